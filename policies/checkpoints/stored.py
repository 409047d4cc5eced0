"""What checkpoints store of a policy beside its weights, checked value by value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actors import Interface, described, stored_interface, stored_values
from common import Losses, choose
from episodes import Stats
from policies.base import Policy
from policies.checkpoints.files import check_optimiser, check_run, check_weights, without_prefixes
from policies.checkpoints.run_files import LAST
from policies.registry import POLICIES

FORMAT_VERSION = 3  # 1 had no ranges among the statistics, 2 no channel for blue in `keypoints`


def stored_stats(arrays: Any, state_dim: int, action_dim: int, where: str) -> Stats:
    """Statistics from arrays by name; others are ignored, and missing ranges filled in.

    ValueError unless each has one entry for each of the state (`state_dim`) or of the action, all are finite,
    and deviations above 0.
    """
    if not isinstance(arrays, Mapping):
        raise ValueError(f"{where} is {described(arrays)}; it should be a dict of arrays by name")
    names = [field.name for field in dataclasses.fields(Stats)]
    for name in names:
        if name in arrays and not isinstance(arrays[name], np.ndarray | np.generic | Tensor):
            raise ValueError(f"{where} has {name} {described(arrays[name])}; it should be an array")
        width = state_dim if name.startswith("qpos") else action_dim
        if name in arrays and (count := int(np.prod(arrays[name].shape))) != width:
            raise ValueError(f"{where} has {count} numbers in {name}; the network has {width}")
        if name not in arrays and not name.endswith(("_min", "_max")):
            raise ValueError(f"{where} lacks {name!r}")
    stats = Stats.completed({name: arrays[name] for name in names if name in arrays})
    for name in names:
        quantity, statistic = name.split("_")
        values = getattr(stats, name)
        if not values.isfinite().all() or (statistic == "std" and (values <= 0).any()):
            wanted = "finite and above 0" if statistic == "std" else "finite"
            raise ValueError(f"{where} has {name} {_worst(values)}; it should be {wanted}")
        if statistic == "min" and (values > getattr(stats, f"{quantity}_max")).any():
            raise ValueError(f"{where} has {name} above {quantity}_max")
    return stats


def _worst(values: Tensor) -> float:
    """The first that is not finite, or else the least."""
    infinite = values[~values.isfinite()]
    return (infinite[0] if len(infinite) else torch.min(values)).item()


def stored_training(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The state to resume training from (`training.run.state.RunState.state`), its history as losses.

    ValueError, with the file, unless it is whole and its numbers are finite.
    """
    state = content.get("training")
    if not isinstance(state, Mapping) or "weights" not in state:
        raise ValueError(f"{path} holds no run to resume; training writes one to {LAST}")
    wanted = {"step": int, "total": int, "best": float, "best_success": float}
    check_run(state, {**wanted, "optimiser": dict, "schedule": dict, "history": list}, path)
    if not 0 <= state["step"] <= state["total"]:
        raise ValueError(f"{path} cannot be resumed from: it is at step {state['step']} of {state['total']}")
    if state["weights"] is not None:
        check_weights(state["weights"], path)
    check_optimiser(state["optimiser"], path)
    try:
        return {**state, "history": [Losses.from_row(row) for row in state["history"]]}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be resumed from: in its history {error}") from error


# --- the policy


def make_policy(policy_class: str, config: Any, interface: Interface, stats: Stats) -> Policy:
    """Build a policy with the weights that training starts from; `config` is of its `Config`.

    The weights of convolutions have their channels last in memory, as images have: fastest on all devices.
    """
    policy = POLICIES[choose("policy class", policy_class, POLICIES)]
    return policy(config, interface, stats).to(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Stored:
    """What a checkpoint holds of a policy."""

    path: Path
    policy_class: str
    config: dict[str, Any]  # values by field
    interface: Interface
    stats: Stats
    weights: dict[str, Tensor]
    format_version: int | None = None  # None: of ACT or ACT++

    @classmethod
    def of(cls, content: Mapping[str, Any], path: Path) -> Stored:
        """From a checkpoint of ours; ValueError, in one line that begins with the file, if it is unsound."""
        version = content.get("format_version")
        if type(version) is not int:
            shown = (
                f"format_version {described(version)}" if "format_version" in content else "no format_version"
            )
            raise ValueError(
                f"{path} has {shown}; checkpoints of this program have a whole number, {FORMAT_VERSION} today"
            )
        if version > FORMAT_VERSION:
            raise ValueError(f"{path} has format {version}, newer than {FORMAT_VERSION}: update this code")
        missing = [name for name in ("config", "interface", "weights") if name not in content]
        if missing:
            raise ValueError(f"{path} has no {missing[0]}; another program wrote it, or changed it")
        name = content["policy_class"]
        if type(name) is not str or name not in POLICIES:
            choices = ", ".join(POLICIES)
            raise ValueError(f"{path} has the policy class {described(name)}; choose from {choices}")
        config = stored_values(POLICIES.config(name), content["config"], f"{path}: its config")
        interface = stored_interface(content["interface"], f"{path}: its interface")
        check_weights(content["weights"], path)
        weights, _ = without_prefixes(content["weights"])
        where = f"{path}: among its weights it"
        stats = stored_stats(weights, interface.state_dim, interface.action_dim, where)
        return cls(path, name, config, interface, stats, weights, version)

    def policy(self) -> Policy:
        """The policy with its weights. ValueError, in one line that begins with the file, if its config makes
        none, or its weights do not fit.
        """
        try:
            config = POLICIES.config(self.policy_class)(**self.config)
            if not config.is_rebuilt:  # to build it, other files would be read
                raise ValueError("the norm of the backbone is missing")
            policy = make_policy(self.policy_class, config, self.interface, self.stats)
        except ImportError:
            raise
        except Exception as error:  # sizes of 0, or beyond the memory, raise anything
            raise ValueError(f"{self.path}: its config makes no policy ({first_line(error)})") from error
        try:
            policy.load_state_dict({**dataclasses.asdict(self.stats), **self.weights})
        except Exception as error:  # wrong shapes raise anything
            if self.format_version is not None and self.format_version < FORMAT_VERSION:
                old = f"{self.path} has format {self.format_version}"
                raise ValueError(f"{old}, whose networks were different; train it again") from None
            raise ValueError(
                f"{self.path}: its weights do not fit its config ({first_line(error)})"
            ) from error
        return policy


def first_line(error: Exception) -> str:
    """What an error says, in one line; the name of its class if it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[1] if len(lines) > 1 and lines[0].endswith(":") else lines[0] if lines else ""
    return (first if len(first) <= 200 else f"{first[:200]}...") or type(error).__name__
