"""How long a policy thinks: one observation in, one chunk of actions out, by policy and by backbone.

Batch 1, one camera, on all cores, from the camera's frame to actions in robot units, each policy made ready
to act (`policies.ready_to_act`). The first row is ACT++'s network in float32, which computes seven decoder
layers. Ours are in bf16 where the machine computes in it.
ResNets have frozen batch norm, as with ImageNet weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from _harness import alternate, machine, make_parser, parse, report, timed
from _published import PublishedACT
from torch import nn

from actors import Interface
from common import autocast, keep_freed_memory, pick_device
from episodes import Stats
from policies import POLICIES, Policy, ready_to_act
from policy import make_policy

PUBLISHED, PUBLISHED_CHUNK = "ACT++'s network", 100
DIM = 14  # of state and action
CAMERA = "top"
FRAME = (480, 640)  # height, width (pixels) that the camera gives
BACKBONES = ("resnet34", "resnet50", "resnet101", "resnet152", "residual_attention_18", "keypoints")
FROZEN = {"norm": "frozen_bn", "pretrained": True}
EPISODES, STEPS = 50, 400  # in VINN's memory


def observation() -> dict[str, Any]:
    """What an environment gives."""
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), np.uint8)
    return {"qpos": np.zeros(DIM), "images": {CAMERA: frame}}


def build(name: str, image_size: tuple[int, int], **flags: Any) -> Policy:
    """An untrained policy, with its default flags but for `flags`."""
    zeros, ones = torch.zeros(DIM), torch.ones(DIM)
    moments = {"qpos_mean": zeros, "qpos_std": ones, "action_mean": zeros, "action_std": ones}
    interface = Interface(DIM, DIM, (CAMERA,), image_size)
    policy = make_policy(name, POLICIES[name].Config(**flags), interface, Stats.completed(moments)).eval()
    if policy.config.needs_finish:
        _remember(policy)
    return policy


@torch.inference_mode()
def _remember(policy: Policy) -> None:
    """Fill VINN's memory with noise."""
    width = policy.features(policy.observe([observation()])["images"]).shape[-1]
    rows = [torch.randn(EPISODES * STEPS, *shape) for shape in ((1, width), (DIM,), (DIM,))]
    policy.memory.fill(*rows, torch.full((EPISODES,), STEPS))
    policy.k.fill_(8)


def policies(image_size: tuple[int, int]) -> dict[str, Policy]:
    """Every policy with its own backbone, then ACT with others."""
    made = {}
    for name, kind in POLICIES.items():
        own = next(field.default for field in fields(kind.Config) if field.name == "backbone")
        made[name] = build(name, image_size, **(FROZEN if own == "resnet18" else {}))
    for backbone in BACKBONES:
        frozen = FROZEN if backbone.startswith("resnet") else {}
        flags = {"backbone": backbone, "backbone_weights": "none", **frozen}
        made[f"ACT, {backbone}"] = build("ACT", image_size, **flags)
    return made


def call(policy: Policy) -> Callable[[], object]:
    """Frame in, actions out, as an evaluation does it. Of several observations only the newest is new."""
    seen, horizon = observation(), policy.observation_horizon
    ready = ready_to_act(policy)

    @torch.inference_mode()
    def act() -> object:
        batch = ready.observe([seen])
        if horizon > 1:
            batch = {name: torch.stack([tensor] * horizon, dim=1) for name, tensor in batch.items()}
        with autocast("auto", ready.device):
            return ready.act(batch).cpu().numpy()  # waits for the device

    return act


def published(
    network: PublishedACT, image_size: tuple[int, int], device: torch.device
) -> Callable[[], object]:
    """As ACT++ does it: the frame to floats, then the network."""
    seen, qpos = observation(), torch.zeros(1, DIM, device=device)

    @torch.inference_mode()
    def act() -> object:
        frame = torch.from_numpy(seen["images"][CAMERA]).to(device)
        image = torch.nn.functional.interpolate(frame.permute(2, 0, 1)[None].float() / 255, image_size)
        return network(qpos, image[None]).cpu().numpy()

    return act


def compare(args: argparse.Namespace) -> None:
    """Measure all and print the table."""
    facts, size, device = machine(), tuple(args.image_size), pick_device(args.device)
    keep_freed_memory()
    networks: dict[str, nn.Module] = {PUBLISHED: PublishedACT(DIM).eval(), **policies(size)}
    networks = {name: network.to(device) for name, network in networks.items()}
    calls = {
        name: published(network, size, device) if name == PUBLISHED else call(network)
        for name, network in networks.items()
    }
    for act in calls.values():  # to warm up
        act()
    seconds = alternate({name: partial(timed, act) for name, act in calls.items()}, args.repeats)
    times = {name: 1000 * median(values) for name, values in seconds.items()}  # ms
    rows = []
    for name, network in networks.items():
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        per_action = times[name] / getattr(network, "execution_horizon", PUBLISHED_CHUNK)
        ratio = times[name] / times["ACT"]
        rows.append((name, f"{millions:.1f}", f"{times[name]:.0f}", f"{ratio:.2f}x", f"{per_action:.1f}"))
    title = f"Time to think at {size[0]}x{size[1]}, one camera, batch 1, by policy and by ACT's backbone"
    header = ("policy", "M parameters", "ms", "of ACT's", "ms per action executed")
    report(title, f"{facts}, {torch.get_num_threads()} threads", header, rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=15)
    parser.add_argument("--device", default="cpu", help="where the policies act: cpu, cuda or auto")
    parser.add_argument("--image_size", type=int, nargs=2, default=FRAME, help="height, width (pixels)")
    args = parse(parser)
    if args.quick:
        args.image_size = (48, 64)
    compare(args)


if __name__ == "__main__":
    main()
