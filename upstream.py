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


def read_config(path: Path) -> dict[str, Any]:
    """What ACT++ wrote beside a checkpoint, `config.pkl`; empty if there is none."""
    config = path.with_name("config.pkl")
    return read_pickle(config) if config.is_file() else {}


def name_cameras(
    path: Path, known: Sequence[str], given: Sequence[str] | None, likely: Sequence[str] = ()
) -> tuple[str, ...]:
    """Cameras of a checkpoint, in the order of its training.

    Args:
        path: the checkpoint.
        known: what it says itself; empty if it names none.
        given: what a person says (`--camera_names`).
        likely: what the task or the data have: taken where there is but one, as that leaves no doubt.

    Raises:
        ValueError: the two contradict, or nobody says it.
    """
    if known and given and set(known) != set(given):
        raise ValueError(
            f"--camera_names is {' '.join(given)}; {path} sees with {' '.join(known)}, which it knows itself"
        )
    if known or given or len(likely) == 1:
        return tuple(known or given or likely)
    raise ValueError(
        f"{path} is a checkpoint of ACT, which does not say what its cameras are: give --camera_names, in "
        f"the order of its training, e.g. --camera_names {' '.join(likely) or 'top'}"
    )


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
    stats_path, written = path.with_name("dataset_stats.pkl"), read_config(path)
    made = written.get("policy_config", {})
    is_vq = bool(made.get("vq"))
    weights, sizes = convert_upstream(content, (made["vq_class"], made["vq_dim"]) if is_vq else None)
    if not stats_path.is_file():
        raise FileNotFoundError(f"{path} is a checkpoint of ACT; its {stats_path.name} must lie beside it")
    stats = Stats.completed(read_pickle(stats_path))
    cameras = name_cameras(path, written.get("camera_names", ()), cameras)
    count = sizes.pop("num_backbones")
    if count not in (1, len(cameras)):
        raise ValueError(
            f"{path} has {count} backbones, but the cameras are {', '.join(cameras)}; give --camera_names "
            f"with {count} names, in the order of training"
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
