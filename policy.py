"""Policies and their files: make one by name, save it, load it, change a saved one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from actors import Interface, stored_interface
from common import write_torch
from policies import (
    FORMAT_VERSION,
    POLICIES,
    Policy,
    Stored,
    count_cameras,
    name_cameras,
    read_checkpoint,
    read_upstream,
    tell,
)
from policies import make_policy as make_policy


def save_policy(path: str | Path, policy: Policy, **extra: Any) -> None:
    """Write a checkpoint of plain values and tensors, with a checksum, completely or not at all.

    `extra` is stored with the policy.
    """
    write_torch(path, policy_content(policy, **extra))


def policy_content(policy: Policy, **extra: Any) -> dict[str, Any]:
    """What `save_policy` writes; its tensors are the policy's own."""
    return {
        "format_version": FORMAT_VERSION,
        "policy_class": POLICIES.name_of(policy.config),
        "config": dataclasses.asdict(policy.rebuild_config()),
        "interface": dataclasses.asdict(policy.interface),
        "weights": policy.state_dict(),
        **extra,
    }


def load_policy(
    path: str | Path, device: str | torch.device = "cpu", cameras: Sequence[str] | None = None
) -> Policy:
    """Load a policy, ready to act. Files of ACT and ACT++ load too, with the dataset_stats.pkl beside them.

    Args:
        path: the checkpoint.
        device: where its weights go.
        cameras: names for the cameras of a file of ACT, which has none; must agree with any other file's.

    Raises:
        FileNotFoundError: no such file, or ACT's without its dataset_stats.pkl.
        ValueError: the file is damaged, of another program, of a newer version, or an ACT file without names
            for its cameras; one line that begins with the file.
    """
    path = Path(path)
    return _loaded(read_checkpoint(path, mmap=True), path, device, cameras)  # reads no optimiser's moments


def _loaded(
    content: dict[str, Any], path: Path, device: str | torch.device, cameras: Sequence[str] | None = None
) -> Policy:
    """The policy from the content that `read_checkpoint` returned."""
    if "policy_class" in content:
        stored = Stored.of(content, path)
        name_cameras(path, stored.interface.cameras, cameras)
    else:
        config, interface, stats, weights, note = read_upstream(content, path, cameras)
        weights = {f"network.{key}": value for key, value in weights.items()}
        stored = Stored(path, "ACT", config, Interface(**interface), stats, weights)
        tell(path, note)
    return stored.policy().to(device).eval()


def choose_cameras(path: Path, given: Sequence[str] | None, likely: Sequence[str]) -> tuple[str, ...]:
    """Names of a checkpoint's cameras, for `load_policy`; arguments and errors are `name_cameras`'s."""
    content = read_checkpoint(path)
    if "policy_class" in content:
        known, count = stored_interface(content.get("interface"), f"{path}: its interface").cameras, None
    else:
        known, count = count_cameras(content, path)
    cameras = name_cameras(path, known, given, likely, count)
    if not (known or given):
        print(f"{path} does not say what its cameras are; taken for {cameras[0]}, the only one there is")
    return cameras


def change_policy(
    path: Path, change: Callable[[Policy], object], device: str | torch.device = "cpu"
) -> Policy:
    """Change the policy in a checkpoint of ours, and return it; the rest of the file stays."""
    content = read_checkpoint(path)
    policy = _loaded(content, path, device)
    change(policy)
    kept = {name: content[name] for name in ("step", "references", "training") if name in content}
    save_policy(path, policy, **kept)
    return policy


def finish_policies(
    paths: Sequence[Path], finish: Callable[[Policy], object], device: str | torch.device = "cpu"
) -> None:
    """Finish a run's policies (`Policy.finish`); files of one step hold the same policy, finished once."""
    finished: dict[int, Policy] = {}
    for path in paths:
        step = read_checkpoint(path)["step"]
        if step in finished:
            change_policy(path, partial(_become, finished[step]), device)
        else:
            finished[step] = change_policy(path, finish, device)


def _become(model: Policy, policy: Policy) -> None:
    policy.load_state_dict(model.state_dict())
