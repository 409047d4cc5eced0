"""How long a policy thinks: one observation in, one chunk of actions out, by policy and by backbone.

Batch 1, one camera, on all cores, from the camera's frame to actions in robot units. The first row is ACT++'s
network, which computes seven decoder layers. ResNets have frozen batch norm, as with ImageNet weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from statistics import median
from typing import Any

import numpy as np
import torch
from _harness import alternate, machine, make_parser, parse, report, timed
from _published import PublishedACT

from machine import keep_freed_memory
from policies.base import Interface, Policy
from policy import POLICIES
from stats import Stats

PUBLISHED = "ACT++'s network"
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


def build(kind: type[Policy], image_size: tuple[int, int], **flags: Any) -> Policy:
    """An untrained policy, ready to act, with its default flags but for `flags`."""
    zeros, ones = torch.zeros(DIM), torch.ones(DIM)
    moments = {"qpos_mean": zeros, "qpos_std": ones, "action_mean": zeros, "action_std": ones}
    interface = Interface(DIM, DIM, (CAMERA,), image_size)
    policy = kind(kind.Config(**flags), interface, Stats.completed(moments)).eval()
    if policy.needs_finish:
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
    found = {}
    for name, kind in POLICIES.items():
        own = next(field.default for field in fields(kind.Config) if field.name == "backbone")
        found[name] = build(kind, image_size, **(FROZEN if own == "resnet18" else {}))
    for name in BACKBONES:
        frozen = FROZEN if name.startswith("resnet") else {}
        flags = {"backbone": name, "backbone_weights": "none", **frozen}
        found[f"ACT, {name}"] = build(POLICIES["ACT"], image_size, **flags)
    return found


def call(policy: Policy) -> Callable[[], object]:
    """Frame in, actions out. Of several observations only the present one is new."""
    seen, horizon = observation(), policy.observation_horizon

    @torch.inference_mode()
    def act() -> object:
        batch = policy.observe([seen])
        if horizon > 1:
            batch = {name: torch.stack([tensor] * horizon, dim=1) for name, tensor in batch.items()}
        return policy.act(batch).numpy()

    return act


def published(image_size: tuple[int, int]) -> Callable[[], object]:
    """As ACT++ does it: the frame to floats, then the network."""
    network, seen = PublishedACT(DIM).eval(), observation()

    @torch.inference_mode()
    def act() -> object:
        image = torch.from_numpy(seen["images"][CAMERA]).permute(2, 0, 1)[None].float() / 255
        image = torch.nn.functional.interpolate(image, image_size)
        return network(torch.zeros(1, DIM), image[None]).numpy()

    return act


def compare(args: argparse.Namespace) -> None:
    """Measure all and print the table."""
    facts, size = machine(), tuple(args.image_size)
    keep_freed_memory()
    found = policies(size)
    calls = {PUBLISHED: published(size), **{name: call(policy) for name, policy in found.items()}}
    for act in calls.values():  # to warm up
        act()
    seconds = alternate({name: lambda act=act: timed(act) for name, act in calls.items()}, args.repeats)
    times = {name: median(values) for name, values in seconds.items()}
    rows = []
    for name, spent in times.items():
        policy = found.get(name)
        size_told = sum(p.numel() for p in policy.parameters()) / 1e6 if policy else 0
        steps = policy.execution_horizon if policy else 100
        rows.append(
            (
                name,
                f"{size_told:.1f} M" if policy else "-",
                f"{1000 * spent:.0f} ms",
                f"{spent / times['ACT']:.2f}x",
                f"{1000 * spent / steps:.1f} ms",
            )
        )
    title = f"Time to think at {size[0]}x{size[1]}, one camera, batch 1, by policy and by ACT's backbone"
    header = ("policy", "parameters", "time", "of ACT's", "per action executed")
    report(title, f"{facts}, {torch.get_num_threads()} threads", header, rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=15)
    parser.add_argument("--image_size", type=int, nargs=2, default=FRAME, help="height, width (pixels)")
    args = parse(parser)
    if args.quick:
        args.image_size = (48, 64)
    compare(args)


if __name__ == "__main__":
    main()
