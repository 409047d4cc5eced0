"""Policies, batches and observations of made-up numbers, built as the toolkit builds them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import torch
from _harness import ROOT
from training_step import QUICK, STATE_DIM, StepSize, make_batch

from actors import Interface
from episodes import Stats
from policies import POLICIES, Policy, make_policy
from training import TrainConfig
from utils import Batch

FROZEN = {"norm": "frozen_bn", "pretrained": True}  # a ResNet as with ImageNet weights, which cost the same
SCRATCH = {"backbone_weights": "none"}
LITTLE = QUICK.network  # sizes of ACT at which a CPU compares soon
LITTLE_IMAGE = (96, 128)
MEMORY = 60  # frames that VINN remembers

Make = Callable[[], Policy]


def build(name: str, image: tuple[int, int] = LITTLE_IMAGE, cameras: int = 1, **flags: Any) -> Policy:
    """A policy with the same random weights whenever it is built, on the CPU."""
    torch.manual_seed(0)
    moments = {"mean": torch.zeros(STATE_DIM), "std": torch.ones(STATE_DIM)}
    stats = Stats.completed({f"{of}_{name}": v for of in ("qpos", "action") for name, v in moments.items()})
    interface = Interface(STATE_DIM, STATE_DIM, tuple(f"camera{i}" for i in range(cameras)), image)
    return make_policy(name, POLICIES.config(name)(**flags), interface, stats)


@dataclass(frozen=True)
class Preset:
    """A file of presets/: what it builds, and how that is trained."""

    policy: str
    image: tuple[int, int]
    flags: dict[str, Any]
    training: dict[str, Any]

    @classmethod
    def read(cls, name: str, is_tiny: bool = False) -> Preset:
        """By the file's name; smaller where it only has to run."""
        values = json.loads((ROOT / "presets" / f"{name}.json").read_text(encoding="utf-8"))
        config = POLICIES.config(values["policy_class"])
        values = {**config.training_defaults, **values}
        own, loop = ({f.name for f in fields(c)} & set(values) for c in (config, TrainConfig))
        image = (48, 64) if is_tiny else tuple(values["image_size"])
        training = {key: values[key] for key in loop} | ({"batch_size": 2} if is_tiny else {})
        return cls(values["policy_class"], image, {key: values[key] for key in own}, training)

    def build(self) -> Policy:
        """Its policy."""
        return build(self.policy, self.image, **self.flags)


def full_size(is_tiny: bool, cameras: int = 1, **weights: Any) -> Policy:
    """ACT at its published size at 480x640, a backbone for each camera; `FROZEN` or `SCRATCH`."""
    size = act_size(is_tiny, cameras=cameras)
    return build("ACT", size.image, cameras, **size.network, **weights)


def act_size(is_tiny: bool, **values: Any) -> StepSize:
    """The size of ACT's step, or a tiny one."""
    tiny = {"image": (48, 64), **LITTLE} if is_tiny else {}
    return StepSize(**{**tiny, "shared": False, **values})


def batch_of(policy: Policy, samples: int, pin: bool = False) -> Batch:
    """A batch for it, as `utils.Demonstrations` gives it; half of the first chunk is padding."""
    face, chunk, horizon = policy.interface, policy.chunk_size, policy.observation_horizon
    size = StepSize(samples, len(face.cameras), face.image_size, chunk_size=chunk)
    batch = make_batch(size)
    if chunk > 1:
        batch["is_pad"][0, chunk // 2 :] = True
    batch["valid_steps"] = (~batch["is_pad"]).sum().float()
    if horizon > 1:
        batch |= {name: torch.stack([batch[name]] * horizon, dim=1) for name in ("qpos", "images")}
    return {name: tensor.pin_memory() for name, tensor in batch.items()} if pin else batch


def seen(policy: Policy) -> dict[str, Any]:
    """What an environment gives it."""
    frame = np.random.default_rng(0).integers(0, 256, (*policy.interface.image_size, 3), np.uint8)
    return {"qpos": np.zeros(STATE_DIM), "images": dict.fromkeys(policy.interface.cameras, frame)}


def observation(policy: Policy) -> Batch:
    """The same as a batch of one, on its device."""
    batch = policy.observe([seen(policy)])
    if policy.observation_horizon > 1:
        batch = {name: torch.stack([t] * policy.observation_horizon, dim=1) for name, t in batch.items()}
    return batch


@torch.no_grad()
def able_to_act(policy: Policy) -> Policy:
    """The policy in eval mode, with noise to remember if it acts from memory; the same on every device."""
    policy.eval()
    if policy.config.needs_finish:
        width = policy.features(observation(policy)["images"]).shape[1:]
        generator = torch.Generator().manual_seed(0)
        shapes = (width, (STATE_DIM,), (STATE_DIM,))
        rows = [torch.randn(MEMORY, *shape, generator=generator).to(policy.device) for shape in shapes]
        policy.memory.fill(*rows, torch.full((3,), MEMORY // 3, device=policy.device))
        policy.k.fill_(4)
    return policy


def cases() -> dict[str, Make]:
    """Every policy, small, in the ways that its arithmetic differs."""
    act = partial(build, "ACT", **LITTLE)
    ddpm = {"scheduler": "ddpm", "observation_horizon": 2, "prediction_horizon": 16, "action_horizon": 8}
    return {
        "ACT": partial(act, **FROZEN),
        "ACT, 3 cameras": partial(act, cameras=3, **FROZEN),
        "ACT, from scratch, a shared backbone": partial(act, cameras=2, share_backbone=True, **SCRATCH),
        "ACT with codes": partial(act, use_vq=True, vq_class=8, vq_dim=8, **FROZEN),
        "presets/small": Preset.read("small").build,
        "presets/small_diffusion": Preset.read("small_diffusion").build,
        "presets/small_flow": Preset.read("small_flow").build,
        "Diffusion": partial(build, "Diffusion", **SCRATCH),
        "Diffusion, ddpm, 2 observations": partial(build, "Diffusion", backbone="keypoints", **ddpm),
        "VINN": partial(build, "VINN", chunk_size=20),
        "CNNMLP": partial(build, "CNNMLP", **FROZEN),
    }
