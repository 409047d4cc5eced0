"""Draw a simulated task: its scene, where its props start, its script's paths, and what is out of reach.

python3 show_task.py --task_name sim_transfer_cube_scripted
python3 show_task.py --task_name sim_transfer_cube_scripted --seed 3 --output transfer_cube.png
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import cli
from constants import get_task
from tasks import Task, waypoint_name


@dataclass(frozen=True)
class ShowTaskConfig:
    """Flags of this script."""

    task_name: str = cli.flag(None, "simulated task, e.g. sim_transfer_cube_scripted", required=True)
    output: str | None = cli.flag(None, "picture to write (.png); <task>.png if not given")
    seed: int = cli.flag(0, "seed of the start that is drawn", least=0, most=cli.MOST_SEED)


def check(config: ShowTaskConfig) -> tuple[Task, Path]:
    """The task and the file; ValueError if it cannot be drawn."""
    task = get_task(config.task_name)
    if task.scene is None:
        raise ValueError(f"--task_name is {task.name}; it belongs to a real arm, and has no scene to draw")
    path = Path(config.output or f"{task.name}.png")
    if path.suffix.lower() != ".png":
        raise ValueError(f"--output is {path}; it must end in .png")
    if path.is_dir():
        raise ValueError(f"--output is {path}, which is a folder")
    return task, path


def draw(task: Task, path: Path, seed: int) -> list[str]:
    """Write the picture; returns a line for each waypoint that is out of reach."""
    from sim_env import make_sim_env
    from tasks import GripPointIK, arrivals, missed_waypoints
    from viewers import CasePicture, write_task_picture

    env = make_sim_env(task, "full", image_size=(48, 64))
    try:
        solvers = {arm.label: GripPointIK(env.physics.model.ptr, arm) for arm in task.arms}
        pictures, lines = [], []
        for case, variant in enumerate(task.variants):
            env.reset(seed, case=case)
            label = f", {task.cases[case].label}" if task.cases else ""
            names = [waypoint_name(number, point) for number, point in enumerate(variant.script)]
            missed = missed_waypoints(variant, solvers)
            reached, ways = arrivals(variant, solvers, env.env_state) if variant.script else ([], {})
            pictures.append(CasePicture(variant, f"{task.name}{label}", reached, ways, missed))
            lines += [
                f"{names[number]}{label} is out of reach by {1000 * off:.0f} mm"
                for number, off in missed.items()
            ]
        write_task_picture(path, env, pictures, seed)
    finally:
        env.close()
    return lines


def parse_flags(argv: Sequence[str] | None = None) -> ShowTaskConfig:
    """This script's flags."""
    return cli.parse(ShowTaskConfig, __doc__, argv)


def main() -> None:
    config = parse_flags()
    task, path = check(config)
    print(f"drawing {task.name}, from start {config.seed}", flush=True)
    lines = draw(task, path, config.seed)
    print("\n".join(lines) or "every waypoint is in reach, from wherever the props may start")
    print(f"picture: {path.resolve()}")


if __name__ == "__main__":
    cli.run(main)
