"""All policies by name, and their files.

To add a policy: a module in policies/ with its config and its subclass of `Policy`, and its line in
`POLICIES`; its networks go to detr/.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from checkpoints import read_checkpoint
from constants import choose
from files import PatientFile, complete_file
from policies.act import ACTConfig, ACTPolicy
from policies.base import Interface, Policy
from policies.cnnmlp import CNNMLPPolicy
from policies.diffusion import DiffusionPolicy
from policies.vinn import VINNPolicy
from stats import Stats
from upstream import name_cameras, read_config, read_upstream

FORMAT_VERSION = 3  # 1 had no ranges among the statistics, 2 no channel for blue in `keypoints`
POLICIES: dict[str, type[Policy]] = {
    "ACT": ACTPolicy,
    "Diffusion": DiffusionPolicy,
    "VINN": VINNPolicy,
    "CNNMLP": CNNMLPPolicy,
}


def make_policy(policy_class: str, config: Any, interface: Interface, stats: Stats) -> Policy:
    """Build a policy with the weights that training starts from; `config` is its class's `Config`.

    The weights of convolutions have their channels last in memory, as images have: fastest on all devices.
    """
    kind = POLICIES[choose("policy class", policy_class, POLICIES)]
    return kind(config, interface, stats).to(memory_format=torch.channels_last)


def save_policy(path: str | Path, policy: Policy, **extra: Any) -> None:
    """Write a checkpoint of plain values and tensors, completely or not at all; `extra` is stored beside."""
    name = next(name for name, kind in POLICIES.items() if type(policy) is kind)
    content = {
        "format_version": FORMAT_VERSION,
        "policy_class": name,
        "config": dataclasses.asdict(policy.rebuild_config()),
        "interface": dataclasses.asdict(policy.interface),
        "weights": policy.state_dict(),
        **extra,
    }
    with complete_file(path) as part, PatientFile(part) as file:
        torch.save(content, file)


def load_policy(
    path: str | Path, device: str | torch.device = "cpu", cameras: Sequence[str] | None = None
) -> Policy:
    """Load a policy, ready to act. Files of ACT and ACT++ load too, with the dataset_stats.pkl beside them.

    Args:
        path: the checkpoint.
        device: where its weights go.
        cameras: names for those of a file of ACT, which names none itself; others must not contradict.
    """
    content = read_checkpoint(path, device)
    if "policy_class" not in content:
        config, interface, stats, weights = read_upstream(content, Path(path), cameras)
        policy = make_policy("ACT", ACTConfig(**config), Interface(**interface), stats)
        policy.network.load_state_dict(weights)
        return policy.to(device).eval()
    if content["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format {content['format_version']}, newer than {FORMAT_VERSION}: update this code"
        )
    name = choose("policy class", content["policy_class"], POLICIES)
    interface = Interface.from_plain(content["interface"])
    name_cameras(Path(path), interface.cameras, cameras)
    stats = Stats.completed(content["weights"])
    policy = make_policy(name, POLICIES[name].Config(**content["config"]), interface, stats)
    try:
        policy.load_state_dict({**dataclasses.asdict(stats), **content["weights"]})
    except RuntimeError:
        if content["format_version"] == FORMAT_VERSION:
            raise
        raise ValueError(
            f"{path} has format {content['format_version']}, whose networks were others; train it again"
        ) from None
    return policy.to(device).eval()


def choose_cameras(path: Path, given: Sequence[str] | None, likely: Sequence[str]) -> tuple[str, ...]:
    """Names of a checkpoint's cameras, for `load_policy`; arguments and errors are `name_cameras`'s."""
    content = read_checkpoint(path)
    is_ours = "policy_class" in content
    known = content["interface"]["cameras"] if is_ours else read_config(path).get("camera_names", ())
    cameras = name_cameras(path, known, given, likely)
    if not (known or given):
        print(f"{path} does not say what its cameras are; taken for {cameras[0]}, the only one there is")
    return cameras


def change_policy(
    path: Path, change: Callable[[Policy], object], device: str | torch.device = "cpu"
) -> Policy:
    """Change the policy in a checkpoint of ours; all else in the file stays. Returns the policy."""
    content = read_checkpoint(path)
    policy = load_policy(path, device)
    change(policy)
    kept = {name: content[name] for name in ("step", "training") if name in content}
    save_policy(path, policy, **kept)
    return policy


def finish_policies(
    paths: Sequence[Path], finish: Callable[[Policy], object], device: str | torch.device = "cpu"
) -> None:
    """Finish the policies of a run (`Policy.finish`). Files of one step hold the same policy, which is
    finished once.
    """
    finished: dict[int, Policy] = {}
    for path in paths:
        step = read_checkpoint(path)["step"]
        if step in finished:
            change_policy(path, partial(_become, finished[step]), device)
        else:
            finished[step] = change_policy(path, finish, device)


def _become(model: Policy, policy: Policy) -> None:
    policy.load_state_dict(model.state_dict())
