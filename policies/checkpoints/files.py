"""Checkpoint files: where they lie, what they hold, and the weights in other programs' files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actors import described
from cameras import Reference, stored_references
from common import read_torch

# names of the entry that holds the weights in other programs' checkpoints
ENTRIES = (
    "model_state_dict",
    "state_dict",
    "policy_state_dict",
    "model",
    "policy",
    "weights",
    "network",
    "net",
)
# what DataParallel, torch.compile and AveragedModel put before the names of weights
PREFIXES = ("module.", "_orig_mod.", "model.module.", "model._orig_mod.")
COUNTER = "n_averaged"  # of torch's AveragedModel


def read_checkpoint(path: str | Path, mmap: bool = False) -> dict[str, Any]:
    """Content of a checkpoint, tensors on the CPU; FileNotFoundError, or ValueError if it is damaged, of
    another kind (`common.read_torch`, also for `mmap`) or holds no dict.
    """
    path = Path(path)
    if not path.is_file():
        folder = path if path.is_dir() else path.parent
        names = ", ".join(sorted(p.name for p in folder.glob("*.ckpt"))) or "none"
        if path.is_dir():
            raise FileNotFoundError(f"{path} is a folder; checkpoints in it: {names}")
        where = f"in that folder: {names}" if folder.is_dir() else "there is no such folder"
        if folder.is_file():
            where = f"{folder} is a file: give its folder, and its name by --ckpt_name"
        raise FileNotFoundError(f"no checkpoint {path}; {where}")
    content = read_torch(path, mmap)
    if not isinstance(content, Mapping) or any(type(name) is not str for name in content):
        raise ValueError(f"{path} holds {described(content)}, not the dict of names that a checkpoint is")
    if not content:
        raise ValueError(f"{path} holds an empty dict; there is nothing to load")
    return dict(content)


def checkpoint_references(path: str | Path) -> dict[str, Reference]:
    """The pictures of the cameras where the demonstrations began, by camera; none in older checkpoints.

    Errors as those of `read_checkpoint`.
    """
    return stored_references(read_checkpoint(path, mmap=True).get("references"), f"{path}: its references")


def find_weights(content: Mapping[str, Any], path: Path) -> tuple[dict[str, Tensor], str]:
    """The weights in a checkpoint of another program.

    Args:
        content: of its file: a state dict, or a dict that holds one in one of `ENTRIES`.
        path: the file.

    Returns:
        the weights, by names without the prefixes of wrappers; and a note on what was done ("" if nothing).

    Raises:
        ValueError: it holds none.
    """
    entry, weights = "", content
    if not is_state_dict(content):
        entry = next((name for name in ENTRIES if is_state_dict(content.get(name))), None)
        if entry is None:
            names = ", ".join(described(name) for name in list(content)[:8])
            raise ValueError(
                f"{path} is neither a checkpoint of this program nor a state dict; it has the entries {names}"
            )
        weights = content[entry]
    weights, prefixes = without_prefixes(weights)
    notes = [f"its weights are those of its entry {entry!r}"] if entry else []
    notes += [f"{prefix!r} before their names was left out" for prefix in prefixes]
    return weights, "; ".join(notes)


def is_state_dict(value: Any) -> bool:
    """Whether it is tensors by name."""
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(type(name) is str and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def without_prefixes(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The weights without the `PREFIXES` that all their names have; and which these were."""
    weights, removed = dict(weights), []
    while prefix := next((p for p in PREFIXES if _all_have(weights, p)), None):
        weights.pop(COUNTER, None)
        kept = "model." if prefix.startswith("model.") else ""
        weights = {kept + name.removeprefix(prefix): tensor for name, tensor in weights.items()}
        removed.append(prefix.removeprefix(kept))
    return weights, removed


def _all_have(weights: Mapping[str, Tensor], prefix: str) -> bool:
    names = [name for name in weights if name != COUNTER]
    return bool(names) and all(name.startswith(prefix) for name in names)


def check_weights(weights: Any, path: Path) -> None:
    """ValueError, with the file and the weight, unless they are finite tensors by name, and no larger than
    the file.
    """
    if not isinstance(weights, Mapping) or (weights and not is_state_dict(weights)):
        raise ValueError(f"{path} should hold weights, tensors by name; it holds {described(weights)}")
    size = path.stat().st_size
    for name, tensor in weights.items():
        if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise ValueError(f"{path}: weight {described(name)} is no plain tensor")
        if tensor.nbytes > size:
            raise ValueError(f"{path}: weight {described(name)} is larger than the file; it is damaged")
        if tensor.is_floating_point() and not _is_finite(tensor):
            raise ValueError(
                f"{path}: weight {described(name)} holds {_first_infinite(tensor)}; its training went wrong, "
                "or the file is damaged: take another checkpoint of the run"
            )


def _is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are; in one pass, without a mask as large as the tensor."""
    return not tensor.numel() or all(map(math.isfinite, (end.item() for end in tensor.float().aminmax())))


def _first_infinite(tensor: Tensor) -> float:
    return tensor[~tensor.isfinite()][0].item()


def check_run(state: Mapping[str, Any], wanted: Mapping[str, type], path: Path) -> None:
    """ValueError unless the state to resume a run from has values of the types `wanted`, by name."""
    for name, expected in wanted.items():
        value = state.get(name)
        is_number = expected is float and type(value) in (int, float) and not math.isnan(value)
        if not is_number and (expected is float or type(value) is not expected):
            raise ValueError(f"{path} cannot be resumed from: its {name} is {described(value)}")
    if not all(type(row) is dict for row in state["history"]):
        raise ValueError(f"{path} cannot be resumed from: its history holds something other than rows")


def check_optimiser(optimiser: Mapping[str, Any], path: Path) -> None:
    """ValueError unless an optimiser's moments are finite tensors."""
    moments = optimiser.get("state")
    if type(moments) is not dict or not all(type(values) is dict for values in moments.values()):
        raise ValueError(f"{path} cannot be resumed from: its optimiser has no state")
    for number, values in moments.items():
        tensors = {f"{name} of parameter {number}": value for name, value in values.items()}
        check_weights({name: value for name, value in tensors.items() if isinstance(value, Tensor)}, path)


def tell(path: Path, note: str) -> None:
    """Print a note on a file, if there is one; once, not in each worker."""
    if note and parent_process() is None:
        print(f"{path}: {note}")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """A state dict, as torch.save or train_backbone.py wrote it, or another program's in one of `ENTRIES`."""
    path = Path(path)
    weights, note = find_weights(read_checkpoint(path), path)
    check_weights(weights, path)
    tell(path, note)
    return weights
