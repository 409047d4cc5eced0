"""Read checkpoints of ACT (tonyzhaozh/act) and ACT++ (MarkFzp/act-plus-plus): weights, statistics, camera
names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from actors import described
from common import read_pickle
from constants import IMAGE_SIZE
from detr import CodeLatent, convert_upstream
from episodes import Stats
from policies.checkpoints.files import check_weights, find_weights
from policies.checkpoints.stored import stored_stats


def read_upstream(
    content: Mapping[str, Any], path: Path, cameras: Sequence[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any], Stats, dict[str, Tensor], str]:
    """Translate a checkpoint of ACT or ACT++.

    Args:
        content: of its file: a state dict, or a dict that holds one.
        path: the file; `dataset_stats.pkl` must lie beside it, ACT++'s `config.pkl` may.
        cameras: their names, in the order of training, where there is no config.pkl.

    Returns:
        values of `ACTConfig`, values of `Interface`, statistics (`Stats.completed` fills in ranges that the
        file lacks), weights of our `detr.ACT`, and a note on how they were changed ("" if not at all).

    Raises:
        ValueError: these are no weights of ACT, or the cameras are unknown or do not fit them.
        FileNotFoundError: no dataset_stats.pkl.
    """
    settings = _settings(path)
    weights, sizes, note = _convert(content, path, settings["codes"])
    stats_path = path.with_name("dataset_stats.pkl")
    if not stats_path.is_file():
        raise FileNotFoundError(f"{path} is a checkpoint of ACT; its {stats_path.name} must lie beside it")
    widths = sizes["state_dim"], sizes["action_dim"]
    stats = stored_stats(read_pickle(stats_path), *widths, f"{stats_path}: it")
    count = sizes.pop("num_backbones")
    try:
        cameras = name_cameras(path, settings["camera_names"], cameras, count=_camera_count(count))
    except ValueError as error:
        raise ValueError(f"{error} ({note})" if note else str(error)) from None
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
    return config, interface, stats, weights, note


def count_cameras(content: Mapping[str, Any], path: Path) -> tuple[tuple[str, ...], int | None]:
    """Names of the cameras of a checkpoint of ACT (empty if it does not name them), and how many there are:
    None if it has one backbone, which may serve any number. ValueError as in `read_upstream`.
    """
    settings = _settings(path)
    _, sizes, _ = _convert(content, path, settings["codes"])
    return settings["camera_names"], _camera_count(sizes["num_backbones"])


def _camera_count(backbones: int) -> int | None:
    """How many cameras there are, None if unknown: ACT has one backbone for all, ACT++ one for each."""
    return backbones if backbones > 1 else None


def _convert(
    content: Mapping[str, Any], path: Path, codes: tuple[int, int] | None
) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Weights and sizes from `convert_upstream`, and a note on how they were found."""
    state, note = find_weights(content, path)
    check_weights(state, path)
    try:
        return *convert_upstream(state, codes), note
    except Exception as error:  # weights of another network have other shapes
        reason = str(error) if type(error) is ValueError and str(error) else "its weights have other shapes"
        raise ValueError(f"{path}: {reason}{f' ({note})' if note else ''}") from error


def _settings(path: Path) -> dict[str, Any]:
    """From ACT++'s config.pkl beside a checkpoint: `camera_names` (empty if it has none) and `codes` (None
    without VQ).
    """
    path = path.with_name("config.pkl")
    settings = read_pickle(path) if path.is_file() else {}
    policy = settings.get("policy_config", {}) if type(settings) is dict else None
    if type(policy) is not dict:
        raise ValueError(f"{path} is not ACT++'s dict of settings; it holds {described(settings)}")
    cameras, codes = settings.get("camera_names"), None
    if cameras is not None and (
        type(cameras) not in (list, tuple) or not all(type(name) is str for name in cameras)
    ):
        raise ValueError(f"{path} has camera_names {described(cameras)}; it should be a list of names")
    if type(policy.get("vq")) in (bool, int) and policy["vq"]:
        codes = (policy.get("vq_class"), policy.get("vq_dim"))
        if not all(type(count) is int and count > 0 for count in codes):
            shown = " and ".join(map(described, codes))
            raise ValueError(f"{path} has vq_class and vq_dim {shown}; they should be whole numbers above 0")
    return {"camera_names": tuple(cameras or ()), "codes": codes}


def name_cameras(
    path: Path,
    known: Sequence[str],
    given: Sequence[str] | None,
    likely: Sequence[str] = (),
    count: int | None = None,
) -> tuple[str, ...]:
    """Cameras of a checkpoint, in the order of its training.

    Args:
        path: the checkpoint.
        known: those that it names itself; may be empty.
        given: those of `--camera_names`.
        likely: those of the task or the data; taken if there is just one, which leaves no doubt.
        count: how many there are; None if unknown.

    Raises:
        ValueError: `known` and `given` contradict each other, or both are empty, or they are not `count`.
    """
    if known and given and set(known) != set(given):
        raise ValueError(
            f"--camera_names is {' '.join(given)}; {path} sees with {' '.join(known)}, as it says itself"
        )
    likely = likely if count in (None, len(likely)) else ()
    if not (known or given or len(likely) == 1):
        many = f"it has {count} backbones, one for each" if count else "it does not say how many"
        raise ValueError(
            f"{path} is a checkpoint of ACT, which does not say what its cameras are ({many}): give "
            f"--camera_names, in the order of its training, e.g. --camera_names {' '.join(likely) or 'top'}"
        )
    cameras = tuple(known or given or likely)
    if len(set(cameras)) < len(cameras):
        raise ValueError(f"{path}: its cameras are {', '.join(cameras)}; name each once, with --camera_names")
    if count not in (None, len(cameras)):
        raise ValueError(
            f"{path} has {count} backbones, one for each camera, but the cameras are {', '.join(cameras)}; "
            f"give --camera_names with {count} names, in the order of training"
        )
    return cameras
