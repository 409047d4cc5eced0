"""Pictures of every scene for docs/tasks.md, from all of its cameras, three fifths into a scripted episode.

python3 -m bench.scenes
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from common import tile, write
from constants import TASKS
from ee_sim_env import make_ee_sim_env
from scripted_policy import ScriptedPolicy
from tasks import Task

DOCS = Path(__file__).resolve().parents[1] / "docs"
SIZE = (240, 320)  # height, width (pixels) of each camera's picture
PER_ROW = 4
SEED, SHARE = 1, 0.6  # of the start; of the episode that has passed


def scene_picture(task: Task) -> np.ndarray:
    """What all cameras see of a task's last case, some in a row; the last row is filled up with white."""
    case = len(task.variants) - 1
    env = make_ee_sim_env(task, render_quality="full", image_size=SIZE)
    step = env.reset(SEED, case=case)
    script = ScriptedPolicy(task.variants[case], env.start_xyz(), env.env_state)
    for t in range(round(SHARE * task.episode_len)):
        step = env.step(script(t))
    images = list(step.observation["images"].values())
    for name, image in step.observation["images"].items():
        write(image, name, (6, 20))
    env.close()
    columns = min(PER_ROW, len(images))
    images += [np.full_like(images[0], 255)] * (-len(images) % columns)
    rows = [tile(images[i : i + columns]) for i in range(0, len(images), columns)]
    return np.concatenate(rows)


def main() -> None:
    """Write `docs/<scene>.jpg`."""
    scenes = {task.scene: task for task in reversed(TASKS.values()) if task.scene and task.script}
    for scene, task in tqdm(scenes.items(), unit="picture"):
        picture = cv2.cvtColor(scene_picture(task), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(DOCS / f"{scene}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
