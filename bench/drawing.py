"""How long a chunk of actions takes to draw: Diffusion Policy, and flow matching by Euler steps.

On one core, batch 1, one camera, the same network for all, each policy made ready to act
(`policies.ready_to_act`), from the camera's frame to actions in robot units. By default as
presets/small_diffusion.json and presets/small_flow.json have it.
"""

from __future__ import annotations

import argparse
from functools import partial
from statistics import median

import torch
from _harness import alternate, machine, make_parser, parse, report, timed, use_one_core
from latency import build, call

from common import keep_freed_memory, pick_device

STEPS = (1, 2, 3, 4, 8)  # of Euler
DIFFUSION = "Diffusion, ddim"


def compare(args: argparse.Namespace) -> None:
    """Measure all and print the table."""
    facts, size, device = machine(), tuple(args.image_size), pick_device(args.device)
    use_one_core()
    torch.set_num_threads(1)
    keep_freed_memory()
    make = partial(build, image_size=size, backbone=args.backbone, backbone_weights="none")
    policies = {DIFFUSION: make("Diffusion")}
    policies |= {f"Flow, {steps} steps": make("Flow", num_inference_steps=steps) for steps in STEPS}
    calls = {name: call(policy.to(device)) for name, policy in policies.items()}
    for act in calls.values():  # to warm up
        act()
    seconds = alternate({name: partial(timed, act) for name, act in calls.items()}, args.repeats)
    times = {name: 1000 * median(values) for name, values in seconds.items()}  # ms
    rows = [
        (name, str(len(policy.steps())), f"{times[name]:.1f}", f"{times[name] / times[DIFFUSION]:.2f}x")
        for name, policy in policies.items()
    ]
    title = f"Time to draw a chunk at {size[0]}x{size[1]}, backbone {args.backbone}, one camera, batch 1"
    header = ("policy", "calls of the U-Net", "ms", "of Diffusion's")
    report(title, facts, header, rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=25)
    parser.add_argument("--device", default="cpu", help="where the policies act: cpu, cuda or auto")
    parser.add_argument("--backbone", default="keypoints", help="of all of them")
    parser.add_argument("--image_size", type=int, nargs=2, default=(120, 160), help="height, width (pixels)")
    args = parse(parser)
    if args.quick:
        args.image_size = (48, 64)
    compare(args)


if __name__ == "__main__":
    main()
