"""Run a trained policy on the myCobot 320, or on its twin.

    python3 model_runs.py --ckpt_dir runs/choose --task_name mycobot320_choose --cameras top=1,right_wrist=0
    python3 model_runs.py --ckpt_dir runs/choose --task_name sim_mycobot320_choose_scripted --robot twin

Any other `--task_name` is a task of your own, on the real arm. Every run is saved as an episode. The twin
says by itself whether it succeeded, and starts where `imitate_episodes.py --eval` starts; on the real arm you
are asked. Keys: q stops, m takes the arm over (then keys or a gamepad drive it, g: guide it by hand, p: give
it back), n: on to the next checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from common import check_folder, cli, command_line, quoted
from disturbances import changes_look, read_set
from evaluation import Outcome, Summary, open_evaluation, rollout_steps, write_summary
from mycobot_scripts.demos import (
    ModelRunsConfig,
    Runner,
    action_range,
    as_long_as,
    find_task,
    is_own,
    make_execution,
    open_policies,
    own_note,
    speed_limits,
    trained_fps,
)
from mycobot_scripts.desk import open_person
from mycobot_scripts.robot import (
    BY_HAND,
    Keys,
    Setup,
    add_robot_flags,
    camera_sources,
    open_session,
    read_setup,
)
from tasks import Task
from teleop import check_device
from viewers import NOTED, note_command, refresh_report

if TYPE_CHECKING:
    from actors import Actor
    from cameras import Reference
    from mycobot_scripts.demos import RunPolicies


def reference_pictures(policies: RunPolicies, task: Task) -> dict[str, Reference]:
    """What the task's cameras show where the demonstrations of the first policy begin, if it knows."""
    if not policies.references:
        print(f"{policies.title} knows no reference pictures: moved cameras will not be noticed")
    return {name: reference for name, reference in policies.references.items() if name in task.cameras}


def part_lengths(
    config: ModelRunsConfig, actors: Sequence[Actor], task: Task, fps: float, lost: int = 0
) -> list[int]:
    """Steps that each actor has, the last one `lost` more; as many as the flags say, if they do."""
    if config.seconds is not None:
        return [max(1, round(seconds * fps)) for seconds in config.seconds]
    if len(actors) == 1:
        return [rollout_steps(task, actors[0], lost)]
    *before, last = [actor.interface.episode_len or task.episode_len for actor in actors]
    return [*before, last + lost]


def run_all(
    config: ModelRunsConfig, setup: Setup, policies: RunPolicies, task: Task, keys: Keys
) -> tuple[Summary | None, str | None]:
    """Do the runs. Returns their summary, which is written after each of them, or None if there was none; and
    why the next one was refused.
    """
    actors = policies.actors
    fps = config.fps or trained_fps(actors, task)
    executions = [make_execution(actor, config, fps) for actor in actors]
    lost = config.knock_loose + executions[-1].query_every if config.knock_loose else 0
    steps = part_lengths(config, actors, task, fps, lost)
    task = replace(task, fps=fps, episode_len=sum(steps))
    for execution in executions:
        execution.warm_up()
    settings = policies.settings(config, setup, task)
    references = reference_pictures(policies, task)
    outcomes: list[Outcome] = []
    summary, has_looks = None, changes_look(read_set(config.disturb))
    actions, limits = action_range(actors, task.dim), speed_limits(actors, config.speed_margin)
    if limits is None and config.speed_margin:
        print(f"{policies.title} does not know its demonstrations' speeds: they are not limited")
    with (
        open_evaluation(config.folder, settings) as folder,
        open_session(setup, task, keys, actions, has_looks) as session,
    ):
        runner = Runner(session, config, executions, steps, references, limits)
        try:
            for index in range(config.first_rollout, config.first_rollout + config.num_rollouts):
                outcome = runner.run(index)
                if outcome is None:
                    break
                outcomes.append(outcome)
                summary = Summary.of(task, policies.title, settings, outcomes)
                write_summary(summary, folder)
                if outcome.stopped in BY_HAND:
                    break
        finally:
            runner.close()
    return summary, runner.refused


def parse_flags(argv: Sequence[str] | None = None) -> tuple[ModelRunsConfig, Setup]:
    """This script's flags, and those of the arm."""
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, ModelRunsConfig)
    add_robot_flags(parser, is_driven=True)
    setup = read_setup(parser, argv)
    config = cli.from_flags(ModelRunsConfig, setup.args)
    config.check_robot(setup.config.robot)
    return config, setup


def main(argv: Sequence[str] | None = None) -> None:
    config, setup = parse_flags(argv)
    check_device(config.take_over, setup.teleop)
    task = find_task(config.task_name, setup)
    if is_own(task):
        print(own_note(task))
    policies = open_policies(config, setup, task)
    if is_own(task):
        task = as_long_as(task, [actor.interface.episode_len for actor in policies.actors], config.seconds)
    if setup.config.robot != "twin":
        camera_sources(setup, task)  # a missing one is reported before anything is written
    folder = config.folder
    check_apart(folder)
    folder.mkdir(parents=True, exist_ok=True)
    note_command(folder, "runs on the twin" if setup.config.robot == "twin" else "runs on the arm")
    with open_person(setup, "model_runs", task.name) as keys:
        summary, refused = run_all(config, setup, policies, task, keys)
    if summary is not None:
        tell(summary, folder)
    elif not refused:
        print("no run was made")
    if refused:
        raise RuntimeError(f"no run was started: {refused}; --rectify undoes little, --ignore_moved goes on")


def check_apart(folder: Path) -> None:
    """ValueError if runs would get among demonstrations."""
    check_folder(folder, "output_dir")
    if any(folder.glob("*.hdf5")) and not (folder / NOTED).is_file():
        raise ValueError(
            f"--output_dir is {folder}, which holds episodes that are no runs; give another folder"
        )


def tell(summary: Summary, folder: Path) -> None:
    """Print how the runs went, and where to look at them."""
    page = refresh_report(folder)
    print(summary.text())
    print(f"report: {page.resolve().as_uri()}")
    look = f"visualize_episodes.py --dataset_dir {quoted(folder)} --html"
    print(f"look at the runs: {command_line(look)}")


if __name__ == "__main__":
    cli.run(main)
