"""Replay a recorded episode on the arm or on its twin, and say how well each joint follows.

    python3 mycobot_scripts/replay_episode.py --dataset_dir data/mycobot320_move_cube --episode_idx 0
    python3 mycobot_scripts/replay_episode.py --robot twin --dataset_path data/NAME/episode_0.hdf5

goes slowly to where the episode began, sends its actions once more, and prints each joint's error and lag
against its commands and against the recording; a plot is written beside the episode.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from common import BLUE, ORANGE, check_folder, cli, joint_lines_plot
from constants import MYCOBOT, TASKS, is_mycobot
from episodes import Episode, EpisodeError, episode_path
from evaluation import Steps, follow, rollout
from mycobot_scripts.demos import JointTracking, own_note, table, tracking
from mycobot_scripts.desk import open_person
from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.robot import (
    STOP_KEY,
    Session,
    Setup,
    add_robot_flags,
    open_session,
    read_setup,
    tasks_of,
)
from mycobot_scripts.safety import HARD_LIMITS
from tasks import Task


@dataclass(frozen=True)
class ReplayArmConfig:
    """Flags of this script."""

    dataset_dir: str | None = cli.flag(None, "folder of the episode")
    episode_idx: int = cli.flag(0, "number of the episode", least=0)
    dataset_path: str | None = cli.flag(None, "the episode's file, instead of a folder")
    task_name: str | None = cli.flag(None, "task; the one that the file names if not given")
    output_dir: str | None = cli.flag(None, "where to write the plot; beside the episode if not given")


SAME = 2.0  # degrees (rms) from the recording up to which a joint counts as having done the same


def load(config: ReplayArmConfig, robot: str) -> tuple[Path, Episode, Task]:
    """The episode, and its task without cameras; ValueError says why it cannot be replayed."""
    if (config.dataset_dir is None) == (config.dataset_path is None):
        raise ValueError("give one of --dataset_dir and --dataset_path")
    path = Path(config.dataset_path or episode_path(config.dataset_dir, config.episode_idx))
    episode = Episode.load(path, cameras=())
    if not (config.task_name or episode.task):
        raise EpisodeError(f"{path}: the file names no task; add --task_name")
    if not config.task_name and episode.task not in TASKS and episode.robot != MYCOBOT.name:
        raise EpisodeError(
            f"{path}: the file is of {episode.task!r}, and does not say of which arm; if of a myCobot 320, "
            f"add --task_name {episode.task}"
        )
    task = task_of(config.task_name or episode.task, episode)
    for name in ("qpos", "action"):
        rows = getattr(episode, name)
        if rows.shape[1] != JOINTS + 1 or not is_mycobot(task):
            raise EpisodeError(
                f"{path}: {name} has {rows.shape[1]} entries a step, of {task.name}; it is of another arm"
            )
        if (np.abs(np.degrees(rows[:, :JOINTS])) > HARD_LIMITS + 1).any():
            raise EpisodeError(
                f"{path}: {name} goes beyond what the joints can; if it is in degrees, make it ours by "
                "import_recordings.py"
            )
    if robot == "twin" and task.scene is None:
        raise ValueError(
            f"{path} is of {task.name}, which has no twin; --task_name one of {', '.join(tasks_of(robot))}"
        )
    scene = task.scene if robot == "twin" else None
    return path, episode, replace(task, scene=scene, cameras=(), fps=episode.fps, episode_len=len(episode))


def task_of(name: str, episode: Episode) -> Task:
    """The task of that name, or if constants.py has none, a person's own; prints a note then."""
    if name in TASKS:
        return TASKS[name]
    task = Task(name, episode_len=len(episode), cameras=(), arms=(MYCOBOT,), fps=episode.fps)
    print(own_note(task))
    return task


def replay(session: Session, episode: Episode) -> Steps:
    """Send the episode's actions from where it began; RuntimeError if the run was stopped."""
    start = np.clip(episode.qpos[0], [-np.inf] * JOINTS + [0], [np.inf] * JOINTS + [1])
    if session.scene is not None:
        session.scene.start = episode.env_state
    steps = Steps()
    length = len(episode)
    session.operator.show(
        keys=STOP_KEY, progress=lambda: {"episode": 0, "episodes": 1, "step": len(steps), "steps": length}
    )
    with session.robot.interrupts_stop():
        step = session.robot.reset(start=start)
        rollout(session.robot, step, follow(episode.action), len(episode), steps)
    session.operator.show(doing="idle", keys=())
    print(session.robot.report())
    if session.robot.stopped:
        raise RuntimeError(f"stopped after {len(steps)} of {len(episode)} steps: {session.robot.stopped}")
    return steps


def again_off(episode: Episode, steps: Steps) -> np.ndarray:
    """(T, 6) degrees, this time minus the recording."""
    measured = steps.rows("qpos")
    return np.degrees(measured - episode.qpos[: len(measured)])[:, :JOINTS]


def report(episode: Episode, steps: Steps) -> str:
    """How the joints followed, and how far from the recording they were."""
    again = again_off(episode, steps)
    rms = " ".join(f"{value:.2f}" for value in np.sqrt(np.mean(again**2, axis=0)))
    worst = " ".join(f"{value:.2f}" for value in np.abs(again).max(0))
    return (
        f"against its commands:\n{table(_followed(steps))}\n"
        f"against the recording, joints 1 to 6: rms {rms} deg, max {worst} deg"
    )


def verdict(episode: Episode, steps: Steps, twin: Mapping[str, Any] | None = None) -> str:
    """The last line: whether the arm, and on the twin (`twin`) the scene, did the same again."""
    rms = np.sqrt(np.mean(again_off(episode, steps) ** 2, axis=0))
    joint = int(rms.argmax())
    if rms[joint] > SAME:
        moved = (
            f"not the same motion: joint {joint + 1} was {rms[joint]:.1f} degrees (rms) from the recording "
            "(another --speed, another arm, other limits?)"
        )
    else:
        lags = [one.lag for one in _followed(steps) if one.lag is not None]
        lag = f", {max(lags):.2f} s late at most" if lags else ""
        moved = f"the arm did the same again (each joint within {rms[joint]:.1f} degrees, rms{lag})"
    return f"verdict: {moved}{_of_scene(episode, twin)}"


def _of_scene(episode: Episode, twin: Mapping[str, Any] | None) -> str:
    """What a verdict says of the props, where they began as they had."""
    if not twin or episode.env_state is None:
        return ""
    reward = f"highest reward {twin['highest_reward']} of {twin['max_reward']}"
    if episode.reward is None:
        return f"; {reward}"
    recorded = int(episode.reward.max())
    same = "as recorded" if twin["highest_reward"] == recorded else f"but {recorded} in the recording"
    return f"; {reward}, {same}"


def _followed(steps: Steps) -> list[JointTracking]:
    return tracking(steps.rows("action"), steps.rows("qpos"), steps.rows("time"))


def run(setup: Setup, config: ReplayArmConfig) -> None:
    """Replay, report, plot."""
    path, episode, task = load(config, setup.config.robot)
    plot = Path(config.output_dir or path.parent) / f"{path.stem}_replay.png"
    check_folder(plot.parent, "output_dir")
    plot.parent.mkdir(parents=True, exist_ok=True)  # an error here is one before the arm moves
    with open_person(setup, "replay_episode", task.name) as keys, open_session(setup, task, keys) as session:
        print(f"{path}: {len(episode)} steps at {episode.fps} a second (q: stop)", flush=True)
        steps = replay(session, episode)
        twin = session.twin.state() if session.twin else None
    print(report(episode, steps))
    if twin and episode.env_state is None:
        print("the file does not say where the props started; the twin drew a place")
    print(verdict(episode, steps, twin))
    title = f"{path.stem} replayed"
    lines = {
        "state, this time": (steps.rows("qpos"), {"color": BLUE}),
        "state, recorded": (episode.qpos, {"color": "tab:green", "lw": 1.0}),
        "command": (steps.rows("action"), {"color": ORANGE, "ls": "--", "lw": 1.2}),
    }
    joint_lines_plot(plot, lines, task.entries, episode.fps, title)
    print(f"plot {plot}")


def parse_flags(argv: Sequence[str] | None = None) -> tuple[ReplayArmConfig, Setup]:
    """This script's flags, and those of the arm."""
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, ReplayArmConfig)
    add_robot_flags(parser)
    setup = read_setup(parser, argv)
    return cli.from_flags(ReplayArmConfig, setup.args), setup


def main(argv: Sequence[str] | None = None) -> None:
    config, setup = parse_flags(argv)
    run(setup, config)


if __name__ == "__main__":
    cli.run(main)
