"""Draw a simulated task: its scene, where its props start, its script's paths, and what is out of reach.

With --looks, draw instead how its scene may look where it is recorded or evaluated with --randomize; with
--style, film eight takes of its script side by side.

python3 show_task.py --task_name sim_transfer_cube_scripted
python3 show_task.py --task_name sim_transfer_cube_scripted --seed 3 --output transfer_cube.png
python3 show_task.py --task_name sim_transfer_cube_scripted --looks real
python3 show_task.py --task_name sim_transfer_cube_scripted --style human
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import check_file, cli
from constants import STYLES, get_task
from tasks import LEVELS, Task, waypoint_name

LOOK_SIZE = (180, 240)  # height, width (pixels) of a picture on a sheet of looks


@dataclass(frozen=True)
class ShowTaskConfig:
    """Flags of this script."""

    task_name: str = cli.flag(None, "simulated task, e.g. sim_transfer_cube_scripted", required=True)
    output: str | None = cli.flag(
        None,
        "picture to write (.png, of looks and takes also .jpg, of takes also .mp4); <task>.png, "
        "<task>_looks_<level>.png or <task>_style_<style>.mp4 if not given",
    )
    seed: int = cli.flag(0, "seed of the start that is drawn", least=0, most=cli.MOST_SEED)
    looks: str | None = cli.flag(
        None, "draw a sheet of looks instead: those of the first episodes recorded with these", tuple(LEVELS)
    )
    style: str | None = cli.flag(
        None, "film eight takes of the script in this style instead, from one start", tuple(STYLES)
    )


def check(config: ShowTaskConfig) -> tuple[Task, Path]:
    """The task and the file; ValueError if it cannot be drawn."""
    task = get_task(config.task_name)
    if task.scene is None:
        raise ValueError(f"--task_name is {task.name}; it belongs to a real arm, and has no scene to draw")
    if config.looks and config.style:
        raise ValueError("--looks does not go with --style; leave one of them out")
    if config.style and not task.script:
        raise ValueError(f"--style is {config.style}; {task.name} has no script that could be followed so")
    named, kinds = f"{task.name}.png", (".png",)
    if config.looks:
        named, kinds = f"{task.name}_looks_{config.looks}.png", (".png", ".jpg")
    if config.style:
        named, kinds = f"{task.name}_style_{config.style}.mp4", (".mp4", ".png", ".jpg")
    path = Path(config.output or named)
    if path.suffix.lower() not in kinds:
        raise ValueError(
            f"--output is {path}; it must end in {' or '.join(kinds).replace(' or ', ', ', len(kinds) - 2)}"
        )
    check_file(path, "output", path.suffix)
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


def draw_looks(task: Task, path: Path, level: str, seed: int) -> None:
    """Write a sheet of looks."""
    from sim_env import make_sim_env
    from viewers import write_look_sheet

    env = make_sim_env(task, image_size=LOOK_SIZE, randomize=True)
    try:
        write_look_sheet(path, env, level, seed)
    finally:
        env.close()


def film_takes(task: Task, path: Path, style: str, seed: int) -> int:
    """Write takes of a style; returns how many of them succeed."""
    from ee_sim_env import make_ee_sim_env
    from viewers import write_takes

    env = make_ee_sim_env(task)
    try:
        return sum(write_takes(path, env, style, seed))
    finally:
        env.close()


def parse_flags(argv: Sequence[str] | None = None) -> ShowTaskConfig:
    """This script's flags."""
    return cli.parse(ShowTaskConfig, __doc__, argv)


def main() -> None:
    config = parse_flags()
    task, path = check(config)
    if config.looks:
        draw_looks(task, path, config.looks, config.seed)
        print(f"{config.looks} looks of {task.name}: {path.resolve()}")
        return
    if config.style:
        successes = film_takes(task, path, config.style, config.seed)
        print(f"takes of {task.name}, style {config.style}, {successes} succeed: {path.resolve()}")
        return
    print(f"drawing {task.name}, from start {config.seed}", flush=True)
    lines = draw(task, path, config.seed)
    print("\n".join(lines) or "every waypoint is in reach, from wherever the props may start")
    print(f"picture: {path.resolve()}")


if __name__ == "__main__":
    cli.run(main)
