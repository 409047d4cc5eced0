"""A sheet of looks: what the cameras of a task see of as many scenes as `--randomize` may make of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from common import tile
from constants import Stream
from tasks import LEVELS, LookPlan

if TYPE_CHECKING:  # it opens OpenGL
    from sim_env import SimEnv

LOOKS = 24
MOST_CAMERAS = 2  # side by side for each look
PER_ROW = 8  # pictures, of all cameras
QUALITY = 72  # of a .jpg


def write_look_sheet(path: Path, env: SimEnv, level: str, seed: int) -> None:
    """Write a sheet (.png or .jpg) of how the first episodes of a seed begin if they are recorded with
    `--randomize episode --looks <level>`.
    """
    task = env.spec
    cameras = task.cameras[:MOST_CAMERAS]
    cells = []
    for number in range(LOOKS):
        env.set_looks(LookPlan((seed, Stream.RECORD_LOOKS, number), LEVELS[level]))
        rng = np.random.default_rng([seed, Stream.RECORD, number])
        images = env.reset(rng, case=task.case_number(number)).observation["images"]
        cells.append(tile([images[camera] for camera in cameras]))
    columns = PER_ROW // len(cameras)
    rows = [tile(cells[first : first + columns]) for first in range(0, LOOKS, columns)]
    sheet = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
