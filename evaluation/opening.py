"""Open what acts: a checkpoint's policy in torch, or one in an ONNX file, which needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from actors import Actor, is_onnx, open_onnx

if TYPE_CHECKING:
    from cameras import Reference


def open_actor(
    path: str | Path, device: str = "auto", amp: str = "auto", cameras: Sequence[str] | None = None
) -> Actor:
    """What a file's policy acts with.

    Args:
        path: a checkpoint, or an ONNX file.
        device, amp: where it computes, and in what precision, as the flags say.
        cameras: as for `load_policy`; errors too, or `open_onnx`'s.
    """
    if is_onnx(path):
        return open_onnx(path, device, amp, cameras)
    _need_torch(path)
    from common import pick_device
    from policies import TorchActor, ready_to_act
    from policy import load_policy

    policy = load_policy(path, pick_device(device), cameras)
    return TorchActor(ready_to_act(policy, amp), amp)


def _need_torch(path: str | Path) -> None:
    """ImportError, with what to do, where PyTorch is missing."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{path} needs PyTorch: pip install -r requirements.txt; or run an ONNX file, "
            f"which export_policy.py makes of it ({error})"
        ) from error


def choose_cameras(path: Path, given: Sequence[str] | None, likely: Sequence[str]) -> tuple[str, ...] | None:
    """Names of the cameras of a file's policy, for `open_actor`; arguments and errors are
    `policy.choose_cameras`'s. An ONNX file knows its own.
    """
    if is_onnx(path):
        return None if given is None else tuple(given)
    _need_torch(path)
    from policy import choose_cameras

    return choose_cameras(path, given, likely)


def checkpoint_references(path: Path) -> dict[str, Reference]:
    """The pictures of the cameras where the demonstrations of a file's policy began, by camera.

    Errors as those of `open_actor`.
    """
    if is_onnx(path):
        from cameras import stored_references

        return stored_references(open_onnx(path).about.references, f"{path}: its references")
    from policies import checkpoint_references

    return checkpoint_references(path)
