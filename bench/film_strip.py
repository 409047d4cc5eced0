"""The picture that heads the README: the policies of `make demo` and `make demo-twin` at work, a row each.

python3 -m bench.film_strip
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from common import tile
from constants import Stream, get_task
from evaluation import EvalJob, Steps, rollout
from sim_env import make_sim_env

ROOT = Path(__file__).resolve().parents[1]
SIZE = (240, 320)  # height, width (pixels) of each picture
ROWS = (  # folder of the checkpoint, task, number of the start, camera, steps that are shown
    ("demo", "sim_transfer_cube_scripted", 0, "angle", (0, 150, 200, 260, 399)),
    ("demo_twin", "sim_mycobot320_choose_scripted", 1, "top", (0, 30, 55, 80, 114)),
)


def run_policy(checkpoint: Path, task_name: str, index: int) -> tuple[np.ndarray, np.ndarray, int | None]:
    """What a policy does from an unseen start: actions (T, D), where the props were, and the case."""
    job = EvalJob(checkpoint, get_task(task_name))
    actor, task = job.load("cpu"), job.task
    env, execute = make_sim_env(task, job.quality(actor)), job.execute(actor)
    execute.reset([0, Stream.ACT, index])
    case = task.case_number(index) if task.cases else None
    start = env.reset(np.random.default_rng([0, job.stream, index]), case=case)
    env_state, steps = env.env_state, Steps()
    rollout(env, start, lambda _, seen: execute(seen)[: task.dim], task.episode_len, steps)
    env.close()
    if steps.highest_reward < task.max_reward:
        raise RuntimeError(f"{checkpoint} fails from start {index} of {task_name}; show another one")
    return steps.rows("action"), env_state, case


def pictures(
    task_name: str,
    actions: np.ndarray,
    env_state: np.ndarray,
    case: int | None,
    camera: str,
    shown: Sequence[int],
) -> list[np.ndarray]:
    """What a camera sees (H, W, 3) at some steps, with shadows and smooth edges."""
    env = make_sim_env(get_task(task_name), "full", image_size=SIZE)
    env.reset(env_state=env_state, case=case)
    seen = []
    for t, action in enumerate(actions):
        env.step(action)
        if t in shown:
            seen.append(env.render(camera))
    env.close()
    return seen


def main() -> None:
    """Write `docs/demo.jpg`."""
    rows = []
    for folder, task_name, index, camera, shown in ROWS:
        actions, env_state, case = run_policy(ROOT / "runs" / folder / "policy_last.ckpt", task_name, index)
        rows.append(tile(pictures(task_name, actions, env_state, case, camera, shown)))
    picture = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(ROOT / "docs" / "demo.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
