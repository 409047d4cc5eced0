"""All policies by name, and their files.

To add a policy: a module in policies/ with its config and its subclass of `Policy`, and its line in
`POLICIES`; its networks go to detr/.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from constants import choose
from episodes import complete_file
from policies.act import ACTConfig, ACTPolicy
from policies.base import Interface, Policy
from policies.diffusion import DiffusionPolicy
from stats import Stats
from upstream import read_upstream

FORMAT_VERSION = 2  # 1 had no ranges among the statistics
POLICIES: dict[str, type[Policy]] = {"ACT": ACTPolicy, "Diffusion": DiffusionPolicy}


def make_policy(policy_class: str, config: Any, interface: Interface, stats: Stats) -> Policy:
    """Build a policy to be trained; `config` is its class's `Config`."""
    return POLICIES[choose("policy class", policy_class, POLICIES)](config, interface, stats)


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
    with complete_file(path) as part:
        torch.save(content, part)


def read_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Content of a checkpoint; FileNotFoundError, or ValueError if it is no torch file of plain values."""
    path = Path(path)
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.ckpt"))
        raise FileNotFoundError(f"no checkpoint {path}; in that folder: {', '.join(there) or 'none'}")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a whole checkpoint: {str(error).splitlines()[0]}") from error


def load_policy(
    path: str | Path, device: str | torch.device = "cpu", cameras: Sequence[str] | None = None
) -> Policy:
    """Load a policy, ready to act. Files of ACT and ACT++ load too, with the dataset_stats.pkl beside them.

    Args:
        path: the checkpoint.
        device: where its weights go.
        cameras: names for those of an ACT or ACT++ file, which names none itself; ours know theirs.
    """
    content = read_checkpoint(path, device)
    if "policy_class" not in content:
        config, interface, stats, weights = read_upstream(content, Path(path), cameras)
        policy = ACTPolicy(ACTConfig(**config), Interface(**interface), stats)
        policy.network.load_state_dict(weights)
        return policy.to(device).eval()
    if content["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format {content['format_version']}, newer than {FORMAT_VERSION}: update this code"
        )
    kind = POLICIES[choose("policy class", content["policy_class"], POLICIES)]
    interface = Interface.from_plain(content["interface"])
    stats = Stats.completed(content["weights"])
    policy = kind(kind.Config(**content["config"]), interface, stats)
    policy.load_state_dict({**dataclasses.asdict(stats), **content["weights"]})
    return policy.to(device).eval()


def change_policy(path: Path, change: Callable[[Policy], object], device: str | torch.device = "cpu") -> None:
    """Change the policy in a checkpoint of ours; all else in the file stays."""
    content = read_checkpoint(path)
    policy = load_policy(path, device)
    change(policy)
    kept = {name: content[name] for name in ("step", "training") if name in content}
    save_policy(path, policy, **kept)
