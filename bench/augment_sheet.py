"""The picture in docs/train.md of what `--augment` does: a row for each change, and one for all of `robust`.

python3 -m bench.augment_sheet
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch

from common import tile, write
from constants import get_task
from ee_sim_env import make_ee_sim_env
from episodes import resize_image
from policies import CHANGES, GROUPS, Augmentation
from scripted_policy import ScriptedPolicy

PAGE = Path(__file__).resolve().parents[1] / "docs" / "augment.jpg"
TASK, CAMERA, STEPS = "sim_transfer_cube_scripted", "top", 200
SIZE = (120, 160)  # height, width (pixels) that presets/small.json sees
COLUMNS = 8


def frame() -> torch.Tensor:
    """(H, W, 3) uint8: what the camera sees in a scripted episode, at the size that the policy sees."""
    task = get_task(TASK)
    env = make_ee_sim_env(task, render_quality="fast")
    step = env.reset(1)
    script = ScriptedPolicy(task, env.start_xyz(), env.env_state)
    for t in range(STEPS):
        step = env.step(script(t))
    image = step.observation["images"][CAMERA]
    env.close()
    return torch.from_numpy(resize_image(image, SIZE))


def rows(image: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Each change by name, and what it makes of the picture, (COLUMNS, H, W, 3)."""
    random, samples = Random(0), image.expand(COLUMNS, 1, *image.shape)
    torch.manual_seed(0)
    for name, change in CHANGES.items():
        always = replace(change, rate=1.0)
        yield name, always.apply(samples, [always.numbers(1, *SIZE, random) for _ in samples])[:, 0]
    for name, of in GROUPS.items():
        yield name, Augmentation(of, torch.zeros(1), torch.ones(1)).images(samples)[:, 0]


def main() -> None:
    """Write `docs/augment.jpg`."""
    sheet = []
    for name, pictures in rows(frame()):
        row = tile(list(pictures.numpy())).copy()
        write(row, name, (6, 20))
        sheet.append(row)
    picture = cv2.cvtColor(np.concatenate(sheet), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(PAGE), picture, [cv2.IMWRITE_JPEG_QUALITY, 75])


if __name__ == "__main__":
    main()
