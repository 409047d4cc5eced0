"""Policies by name. Their flags are known at once; a policy itself is imported when it is first used.

To add a policy, write its flags (a dataclass in configs.py), a file here with its subclass of `Policy`, and
its line in `POLICIES`. Its networks go to detr/.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from policies.configs import ACTConfig, CNNMLPConfig, DiffusionConfig, FlowConfig, PolicyConfig, VINNConfig

if TYPE_CHECKING:  # they import torch
    from policies.base import Policy


class Policies(Mapping[str, "type[Policy]"]):
    """Classes of policies by name, each given by the class of its flags and its place, "module.Class"."""

    def __init__(self, **policies: tuple[type[PolicyConfig], str]) -> None:
        self._policies = policies

    def __getitem__(self, name: str) -> type[Policy]:
        module, _, policy = self._policies[name][1].rpartition(".")
        return getattr(importlib.import_module(module), policy)

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def __contains__(self, name: object) -> bool:
        return name in self._policies

    def config(self, name: str) -> type[PolicyConfig]:
        """The class of a policy's flags; imports no torch."""
        return self._policies[name][0]

    def name_of(self, config: Any) -> str:
        """Name of the policy that a config belongs to."""
        return next(name for name, (flags, _) in self._policies.items() if type(config) is flags)


POLICIES = Policies(
    ACT=(ACTConfig, "policies.act.ACTPolicy"),
    Diffusion=(DiffusionConfig, "policies.diffusion.DiffusionPolicy"),
    Flow=(FlowConfig, "policies.flow.FlowPolicy"),
    VINN=(VINNConfig, "policies.vinn.VINNPolicy"),
    CNNMLP=(CNNMLPConfig, "policies.cnnmlp.CNNMLPPolicy"),
)
