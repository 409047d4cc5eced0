"""How well the backbone `keypoints` locates things that it saw in only a few pictures: what limits a grasp.

It learns from the first pictures of some episodes where the props lie, and is tested on others. The
error is the distance (mm) on the table, of each prop. A run without its channel for blue shows what the
channel is for; one with more pictures, what more demonstrations would gain.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from _harness import machine, make_parser, parse, report
from torch import Tensor, nn
from tqdm import tqdm

from common import keep_freed_memory
from constants import IMAGENET_MEAN, IMAGENET_STD, Stream, get_task
from detr import Keypoints, build_backbone
from episodes import resize_image
from sim_env import make_sim_env

SIZE = (120, 160)  # height, width (pixels) of what it sees
CASES = ((50, False), (50, True), (200, True))  # pictures to learn from, a channel for blue
BATCH, LR = 32, 1e-3


def pictures(args: argparse.Namespace, stream: Stream, count: int) -> tuple[Tensor, Tensor]:
    """First pictures (N, 3, H, W), normalised, and where the props lie (N, P * 2), m."""
    task, (x0, y0, x1, y1) = get_task(args.task_name), args.crop
    env = make_sim_env(task)
    images, places = [], []
    for index in tqdm(range(count), desc="pictures", leave=False):
        image = env.reset(np.random.default_rng([0, stream, index])).observation["images"][task.cameras[0]]
        images.append(resize_image(image[y0:y1, x0:x1], SIZE))
        places.append(env.env_state.reshape(-1, 7)[:, :2].ravel())
    env.close()
    scaled = (np.array(images) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    return torch.tensor(scaled).float().movedim(-1, 1), torch.tensor(np.array(places)).float()


class Placer(nn.Module):
    """(B, 3, H, W) to (B, outputs)."""

    def __init__(self, outputs: int, has_blue: bool) -> None:
        super().__init__()
        self.backbone: Keypoints = build_backbone("keypoints")
        tokens = 4 * self.backbone.out_channels
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(tokens, 192), nn.ReLU(), nn.Linear(192, outputs))
        if not has_blue:
            self.backbone.opponents[-1] = 0.0

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.backbone(image))


def errors(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], has_blue: bool, steps: int, seed: int
) -> Tensor:
    """Distances (mm) (N, P) between the props' true and predicted places in unseen pictures."""
    torch.manual_seed(seed)
    images, places = train
    mean, std = places.mean(dim=0), places.std(dim=0).clamp_min(1e-3)  # also of what always lies at one place
    model = Placer(places.shape[1], has_blue).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=steps, pct_start=0.1)
    for _ in tqdm(range(steps), desc="learning", leave=False):
        chosen = torch.randint(len(images), (BATCH,))
        loss = (model(images[chosen]) - (places[chosen] - mean) / std).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    with torch.inference_mode():
        predicted = model.eval()(test[0]) * std + mean
    return 1000 * (predicted - test[1]).unflatten(1, (-1, 2)).norm(dim=2)


def main() -> None:
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--task_name", default="sim_insertion_scripted", help="task whose props are placed")
    parser.add_argument(
        "--crop",
        type=int,
        nargs=4,
        default=(200, 190, 440, 370),
        help="x0 y0 x1 y1 (pixels) of the insertion",
    )
    parser.add_argument("--steps", type=int, default=600, help="optimiser steps")
    args = parse(parser)
    facts, tests, steps = machine(), 4 if args.quick else 200, 20 if args.quick else args.steps
    keep_freed_memory()
    most = 4 if args.quick else max(count for count, _ in CASES)
    images, places = pictures(args, Stream.RECORD, most)
    test = pictures(args, Stream.TRAIN_EVALUATE, tests)
    props = [prop.name for prop in get_task(args.task_name).props]
    rows = []
    for count, has_blue in CASES:
        train = (images[:count], places[:count])
        distances = torch.cat([errors(train, test, has_blue, steps, seed) for seed in range(args.repeats)])
        cells = (f"{distances[:, i].quantile(q):.1f}" for i in range(len(props)) for q in (0.5, 0.95))
        rows.append((f"{count} pictures, {'with' if has_blue else 'without'} a channel for blue", *cells))
    header = ("", *(f"{prop}, {part} (mm)" for prop in props for part in ("median", "95 %")))
    report(
        f"Places told by keypoints after {steps} steps, {tests} unseen starts, {args.repeats} seeds",
        facts,
        header,
        rows,
    )


if __name__ == "__main__":
    main()
