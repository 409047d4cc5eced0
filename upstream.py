"""Read checkpoints of ACT (tonyzhaozh/act) and ACT++ (MarkFzp/act-plus-plus): weights, statistics, camera
names.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from constants import IMAGE_SIZE
from detr.latent import CodeLatent
from detr.upstream import convert_upstream
from stats import Stats

# All that a pickle of plain values and numpy arrays may name, under its old and its present module.
_ALLOWED = {
    (f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class _NumpyUnpickler(pickle.Unpickler):
    """Unpickles plain values and numpy arrays; a pickle that asks for anything else may run any code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}; only numpy arrays are allowed")
        return super().find_class(module, name)


def read_pickle(path: str | Path) -> Any:
    """Content of a pickle of plain values and numpy arrays; ValueError if it holds anything else."""
    try:
        with open(path, "rb") as file:
            return _NumpyUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"{path} cannot be read safely: {error}") from error


def read_upstream(
    content: Mapping[str, Tensor], path: Path, cameras: Sequence[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any], Stats, dict[str, Tensor]]:
    """Translate a checkpoint of ACT or ACT++.

    Args:
        content: what its file holds, a state dict.
        path: the file; `dataset_stats.pkl` must lie beside it, ACT++'s `config.pkl` may.
        cameras: their names, in the order of training, where there is no config.pkl.

    Returns:
        values of `policy.ACTConfig`, values of `policy.Interface`, statistics (with ranges that the file
        lacks filled in by `Stats.completed`), and weights of our `detr.act.ACT`.

    Raises:
        ValueError: these are no weights of ACT, or the cameras do not fit them.
        FileNotFoundError: no dataset_stats.pkl.
    """
    stats_path, config_path = path.with_name("dataset_stats.pkl"), path.with_name("config.pkl")
    written = read_pickle(config_path) if config_path.is_file() else {}
    made = written.get("policy_config", {})
    is_vq = bool(made.get("vq"))
    weights, sizes = convert_upstream(content, (made["vq_class"], made["vq_dim"]) if is_vq else None)
    if not stats_path.is_file():
        raise FileNotFoundError(f"{path} is a checkpoint of ACT; its {stats_path.name} must lie beside it")
    stats = Stats.completed(read_pickle(stats_path))
    cameras = tuple(written.get("camera_names", cameras) or ("top",))
    count = sizes.pop("num_backbones")
    if count not in (1, len(cameras)):
        raise ValueError(
            f"{path} has {count} backbones, but the cameras are {', '.join(cameras)}; name as many"
        )
    interface = {
        "state_dim": sizes.pop("state_dim"),
        "action_dim": sizes.pop("action_dim"),
        "cameras": cameras,
        "image_size": IMAGE_SIZE,
        "render_quality": "full",
    }
    config = {**sizes, "share_backbone": count == 1, "pretrained": True}
    latent = config.pop("latent")  # a Gaussian one has always 32 numbers
    config["no_encoder"] = latent is None
    if isinstance(latent, CodeLatent):
        config |= {"use_vq": True, "vq_class": latent.classes, "vq_dim": latent.values}
    return config, interface, stats, weights
