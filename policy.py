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

import flag_values
from checkpoints import check_weights, described, read_checkpoint, tell, without_prefixes
from naming import choose
from policies.act import ACTPolicy
from policies.base import Interface, Policy
from policies.cnnmlp import CNNMLPPolicy
from policies.diffusion import DiffusionPolicy
from policies.stored import stored_interface, stored_stats, stored_values
from policies.vinn import VINNPolicy
from stats import Stats
from torch_files import write_torch
from upstream import count_cameras, name_cameras, read_upstream

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
    """Write a checkpoint of plain values and tensors, with a checksum, completely or not at all; `extra` is
    stored beside.
    """
    name = next(name for name, kind in POLICIES.items() if type(policy) is kind)
    content = {
        "format_version": FORMAT_VERSION,
        "policy_class": name,
        "config": dataclasses.asdict(policy.rebuild_config()),
        "interface": dataclasses.asdict(policy.interface),
        "weights": policy.state_dict(),
        **extra,
    }
    write_torch(path, content)


def load_policy(
    path: str | Path, device: str | torch.device = "cpu", cameras: Sequence[str] | None = None
) -> Policy:
    """Load a policy, ready to act. Files of ACT and ACT++ load too, with the dataset_stats.pkl beside them.

    Args:
        path: the checkpoint.
        device: where its weights go.
        cameras: names for those of a file of ACT, which names none itself; others must not contradict.

    Raises:
        FileNotFoundError: no such file, or no dataset_stats.pkl beside one of ACT's.
        ValueError: in one line that begins with the file: it is damaged, of another program, of a newer
            version, or an ACT file whose cameras nobody has named.
    """
    path = Path(path)
    return _loaded(read_checkpoint(path), path, device, cameras)


def _loaded(
    content: dict[str, Any], path: Path, device: str | torch.device, cameras: Sequence[str] | None = None
) -> Policy:
    """The policy of what `read_checkpoint` read."""
    if "policy_class" not in content:
        config, interface, stats, weights, note = read_upstream(content, path, cameras)
        name, values, interface = "ACT", config, Interface(**interface)
        weights = {f"network.{key}": value for key, value in weights.items()}
        tell(path, note)
    else:
        name, values, interface, stats, weights = stored_parts(content, path)
        name_cameras(path, interface.cameras, cameras)
    policy = _built(name, values, interface, stats, path)
    _fill(policy, {**dataclasses.asdict(stats), **weights}, content.get("format_version"), path)
    return policy.to(device).eval()


def stored_parts(
    content: dict[str, Any], path: Path
) -> tuple[str, dict[str, Any], Interface, Stats, dict[str, torch.Tensor]]:
    """Name, values of the config, interface, statistics and weights in a checkpoint of ours.

    ValueError, in one line that begins with the file, if one is not what it should be.
    """
    version = content.get("format_version")
    if type(version) is not int:
        told = (
            f"has format_version {described(version)}"
            if "format_version" in content
            else "has no format_version"
        )
        raise ValueError(
            f"{path} {told}; checkpoints of this program have a whole number, {FORMAT_VERSION} today"
        )
    if version > FORMAT_VERSION:
        raise ValueError(f"{path} has format {version}, newer than {FORMAT_VERSION}: update this code")
    missing = [name for name in ("config", "interface", "weights") if name not in content]
    if missing:
        raise ValueError(f"{path} has no {missing[0]}; another program wrote it, or changed it")
    name = content["policy_class"]
    if type(name) is not str or name not in POLICIES:
        raise ValueError(f"{path} has the policy class {described(name)}; choose from {', '.join(POLICIES)}")
    values = stored_values(POLICIES[name].Config, content["config"], f"{path}: its config")
    if values.get("norm") is None:  # or other files would be read to build it
        raise ValueError(f"{path}: its config lacks the norm of the backbone")
    interface = stored_interface(content["interface"], f"{path}: its interface")
    check_weights(content["weights"], path)
    weights, _ = without_prefixes(content["weights"])
    where = f"{path}: among its weights it"
    stats = stored_stats(weights, interface.state_dim, interface.action_dim, where)
    return name, values, interface, stats, weights


def _built(name: str, values: dict[str, Any], interface: Interface, stats: Stats, path: Path) -> Policy:
    """The policy of a config that was stored; ValueError with the file if it makes none."""
    try:
        config = POLICIES[name].Config(**values)
        flag_values.check(config)
        return make_policy(name, config, interface, stats)
    except ImportError:
        raise
    except Exception as error:  # whatever sizes of 0, or beyond the memory, lead to
        raise ValueError(f"{path}: its config makes no policy ({first_line(error)})") from error


def _fill(policy: Policy, weights: dict[str, torch.Tensor], version: int | None, path: Path) -> None:
    """Give a policy its weights; ValueError with the file if they are not those of its networks."""
    try:
        policy.load_state_dict(weights)
    except Exception as error:  # whatever shapes lead to
        if version is not None and version < FORMAT_VERSION:
            raise ValueError(
                f"{path} has format {version}, whose networks were others; train it again"
            ) from None
        raise ValueError(f"{path}: its weights do not fit its config ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    """What an error says, for the reader, in one line; its kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[1] if len(lines) > 1 and lines[0].endswith(":") else lines[0] if lines else ""
    return (first if len(first) <= 200 else f"{first[:200]}...") or type(error).__name__


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
    """Change the policy in a checkpoint of ours; all else in the file stays. Returns the policy."""
    content = read_checkpoint(path)
    policy = _loaded(content, path, device)
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
