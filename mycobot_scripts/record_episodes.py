"""Record demonstrations on the arm, or on its twin, as episodes that imitate_episodes.py trains on.

    python3 mycobot_scripts/record_episodes.py --task_name mycobot320_move_cube --sequence pickandmove \
        --cameras top=1,right_wrist=0

plays the user's waypoints and records them; `--guide` has you lead the arm by hand through poses first,
`--jog keyboard` has you drive it. On the twin (`--robot twin`) a simulated task's own script is recorded:

    python3 mycobot_scripts/record_episodes.py --robot twin --task_name sim_mycobot320_move_cube_scripted

After each episode: k keeps it, f keeps it as a failure, r does it again, q quits. The twin knows by itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

import cli
from constants import data_dir, get_task
from episodes import episode_path
from mycobot_scripts.demonstrate import Act, Guiding, Jogging, follow, perform, scripted_actions
from mycobot_scripts.jog import Jog, make_device
from mycobot_scripts.keys import open_keys
from mycobot_scripts.recording import Recording, list_journals, recover
from mycobot_scripts.session import (
    Session,
    Setup,
    add_robot_flags,
    as_recorded,
    check_task,
    open_session,
    read_setup,
    start_rng,
)
from mycobot_scripts.waypoints import Motion, motion_through
from schema import Task
from starts import sample_start

MAX_ATTEMPTS = 10  # at an episode on the twin, before the script is taken to be broken
SETTLING = 1.0  # s after the last step in which the twin may still find a success: arm and gripper lag
ANSWERS = {"k": "keep", "enter": "keep", "f": "failure", "r": "redo", "backspace": "redo", "q": "quit"}


@dataclass(frozen=True)
class Config:
    """Flags of this script."""

    task_name: str = cli.flag(None, "task to record, e.g. mycobot320_move_cube")
    dataset_dir: str | None = cli.flag(None, "folder for the episodes; data/<task> if not given")
    num_episodes: int = cli.flag(50, "episodes to have in the end; those that are there already count")
    sequence: str | None = cli.flag(None, "waypoints to play: pickandmove, pickandmove_after, or a JSON file")
    guide: bool = cli.flag(False, "lead the arm by hand through poses, which are then played")
    guide_speed: float = cli.flag(20.0, "speed at which guided poses are played, degrees a second")
    jog: str | None = cli.flag(None, "drive the arm", ("keyboard", "gamepad"))
    episode_len: int | None = cli.flag(
        None, "steps of an episode, at most; as the task or the waypoints have it"
    )
    seed: int = cli.flag(0, "seed of the twin's starts")
    ask: bool = cli.flag(False, "ask after each episode on the twin too")
    recover: bool = cli.flag(False, "make episodes of recordings that were cut off, and end")


def complete(config: Config, robot: str) -> tuple[Config, Task]:
    """Check the flags before anything moves or is written, and fill in the folder."""
    if config.task_name is None:
        raise ValueError("--task_name is missing; e.g. --task_name mycobot320_move_cube")
    task = get_task(config.task_name)
    check_task(task, robot)
    ways = [name for name in ("sequence", "guide", "jog") if getattr(config, name)]
    if len(ways) > 1:
        raise ValueError(f"--{ways[0]} does not go with --{ways[1]}; leave one of them out")
    if not ways and not task.script:
        raise ValueError(f"{task.name} has no script; say how to move: --sequence, --guide or --jog")
    for name in ("num_episodes", "episode_len"):
        if getattr(config, name) is not None and getattr(config, name) < 1:
            raise ValueError(f"--{name} is {getattr(config, name)}; it must be at least 1")
    if not config.guide_speed > 0:
        raise ValueError(f"--guide_speed is {config.guide_speed}; it must be above 0 degrees a second")
    if config.sequence:
        motion = Motion.load(config.sequence)
        if motion.fps != task.fps:
            raise ValueError(
                f"{config.sequence} has {motion.fps} frames a second; {task.name} has {task.fps}"
            )
    return replace(config, dataset_dir=str(Path(config.dataset_dir or data_dir(task.name)).resolve())), task


def missing_episodes(config: Config) -> list[int]:
    """Numbers still to record; ValueError if a recording was cut off."""
    cut_off = list_journals(config.dataset_dir)
    if cut_off:
        raise ValueError(f"{cut_off[0]} was cut off; the same command with --recover makes an episode of it")
    return [i for i in range(config.num_episodes) if not episode_path(config.dataset_dir, i).exists()]


def recover_all(folder: Path) -> None:
    """Make episodes of all recordings in a folder that were cut off."""
    journals = list_journals(folder)
    for journal in journals:
        found = recover(journal)
        torn = f"; a step that was torn is lost ({found.lost_bytes} bytes)" if found.lost_bytes else ""
        print(f"{found.path}: {found.steps} steps{torn}; whether it succeeded is not known")
    if not journals:
        print(f"{folder}: no recording was cut off")


class Recorder:
    """Records one episode after the other.

    Args:
        session: the arm.
        config: the flags.
    """

    def __init__(self, session: Session, config: Config) -> None:
        self._session, self._config, self._task = session, config, session.task
        self._motion = Motion.load(config.sequence) if config.sequence else None
        self._jogging: Jogging | None = None
        self._length = config.episode_len or self._task.episode_len

    def prepare(self) -> bool:
        """Have the person show the poses, if asked for; False if the person quits."""
        session, config = self._session, self._config
        if config.guide:
            self._motion = self._guided()
            if self._motion is None:
                return False
        if config.jog:
            device = make_device(config.jog, session.keys)
            jog = Jog("tool", session.setup.limits.tool_length)
            self._jogging = Jogging(device, jog, self._task.fps, self._length)
        if self._motion is not None:
            self._length = min(config.episode_len or len(self._motion), len(self._motion))
            session.start_at(self._motion.poses[0].qpos)
        return True

    def _guided(self) -> Motion | None:
        session = self._session
        if session.robot.reset().last():
            return None
        poses = Guiding(session.servo, session.keys, float(session.guard.start[-1])).capture()
        if poses is None:
            return None
        motion = motion_through(poses, self._task.fps, self._config.guide_speed)
        if session.is_twin:
            props = session.twin.state()["env_state"]
            starts = np.reshape(props, (-1, 7))[:, :3].tolist()
            named = zip(self._task.props, starts, strict=True)
            motion = replace(motion, props={prop.name: tuple(start) for prop, start in named})
        folder = Path(self._config.dataset_dir) / "sequences"
        number = sum(1 for _ in folder.glob("guided_*.json"))
        motion.save(folder / f"guided_{number}.json")
        print(f"{len(poses)} poses, {len(motion) / motion.fps:.1f} s: {folder / f'guided_{number}.json'}")
        return motion

    def record(self, index: int) -> bool:
        """Record episode `index`, as often as it takes; False if the person quits."""
        rng = start_rng(self._config.seed, index)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            verdict = self._attempt(index, rng)
            if verdict in ("keep", "failure"):
                return True
            if verdict == "quit":
                return False
            if self._is_automatic:
                print(f"episode {index}: attempt {attempt} did not succeed")
        raise RuntimeError(f"{MAX_ATTEMPTS} attempts at episode {index} failed; --ask lets you keep failures")

    @property
    def _is_automatic(self) -> bool:
        return self._session.is_twin and not self._config.ask and self._jogging is None

    def _attempt(self, index: int, rng: np.random.Generator) -> str:
        """Record episode `index` once, and decide: keep, failure, redo or quit."""
        session, act = self._session, None
        case = self._task.case_number(index) if self._task.cases else None
        if session.is_twin:
            act = self._place(rng, case)
        elif index or not self._session.setup.config.confirm:
            question = f"episode {index}: put everything to its place, then press enter (q: quit)"
            if session.keys.ask(question, {"enter": True, "q": False}) is False:
                return "quit"
        session.stop_key.listens = True
        step = session.robot.reset()
        if step.last():
            return self._stopped(None)
        facts = as_recorded(self._task, session.is_twin)
        if session.is_twin:
            facts |= {"seed": self._config.seed, "env_state": np.array(session.scene.told["env_state"])}
        recording = Recording(episode_path(self._config.dataset_dir, index), self._task.cameras, **facts)
        try:
            stopped = self._perform(step, act, recording, index)
            return self._stopped(recording) if stopped else self._decide(recording, index)
        except BaseException:
            recording.abandon()
            print(f"\n{recording.folder} keeps what was recorded; --recover makes an episode of it")
            raise

    def _place(self, rng: np.random.Generator, case: int | None) -> Act | None:
        """Say where the twin's props start; the actions of a task's script, which depend on it."""
        scene, task = self._session.scene, self._task
        if self._motion is not None:
            scene.start = self._motion.env_state(task, rng)
        else:
            scene.start = sample_start(task, rng, case)
        if self._motion is not None or self._jogging is not None:
            return None
        return follow(scripted_actions(task, scene.start, case or 0)[: self._length])

    def _perform(self, step, act: Act | None, recording: Recording, index: int) -> str | None:
        session = self._session
        print(f"episode {index}: recording {self._length} steps (q: stop)", flush=True)
        if self._jogging is not None:
            session.stop_key.listens = False  # the device reads the keys
            self._jogging.begin(session.servo.latest.target)
            act = self._jogging.act
        elif self._motion is not None:
            act = follow(self._motion.actions())
        with session.robot.interrupts_stop():
            stopped = perform(session.robot, step, act, self._length, recording, session.is_twin)
        if self._jogging is not None and self._jogging.wish in ("stop", "quit"):
            session.servo.hold()
        print(f"{session.robot.report()}", flush=True)
        return stopped

    def _decide(self, recording: Recording, index: int) -> str:
        """Keep the episode or not: by what the twin says, or the person."""
        wish = self._jogging.wish if self._jogging else None
        if wish in ("redo", "quit") or not len(recording):
            recording.discard()
            return wish if wish == "quit" else "redo"
        told = self._told() if self._session.is_twin else None
        if self._is_automatic:
            verdict = "keep" if told else "redo"
        else:
            said = "" if told is None else f"{'success' if told else 'no success'}; "
            question = f"episode {index}: {said}[k]eep, keep as a [f]ailure, [r]edo, [q]uit?"
            verdict = self._session.keys.ask(question, ANSWERS)
        return self._end(recording, verdict, told)

    def _end(self, recording: Recording, verdict: str, told: bool | None = None) -> str:
        if verdict in ("keep", "failure"):
            success = verdict == "keep" if told is None else told
            print(f"saved {recording.finish(success)}")
        else:
            recording.discard()
        return verdict

    def _told(self) -> bool:
        """Whether the twin has seen a success, now or within a moment."""
        deadline = time.monotonic() + SETTLING
        while not (success := self._session.twin.state()["success"]) and time.monotonic() < deadline:
            time.sleep(0.05)
        return bool(success)

    def _stopped(self, recording: Recording | None) -> str:
        """The run was stopped: what was recorded may be kept all the same, if a person says so."""
        reason = self._session.robot.stopped
        if reason in ("q was pressed", "Ctrl-C") and self._is_automatic:
            if recording:
                recording.discard()
            return "quit"
        if recording is None or not len(recording):
            if recording:
                recording.discard()
            raise RuntimeError(reason)
        if self._is_automatic:
            raise RuntimeError(reason)
        question = f"stopped ({reason}): [k]eep what there is, as a failure, [r]edo, [q]uit?"
        answers = {**ANSWERS, "k": "failure", "enter": "failure"}
        return self._end(recording, self._session.keys.ask(question, answers))


def record(setup: Setup, config: Config, task: Task) -> None:
    """Record what is missing, and say what came of it."""
    missing = missing_episodes(config)
    there = config.num_episodes - len(missing)
    if there:
        print(f"{there} of {config.num_episodes} episodes are in {config.dataset_dir} already")
    if not missing:
        return
    Path(config.dataset_dir).mkdir(parents=True, exist_ok=True)
    done = 0
    with open_keys() as keys, open_session(setup, task, keys) as session:
        recorder = Recorder(session, config)
        if recorder.prepare():
            for index in missing:
                if not recorder.record(index):
                    break
                done += 1
    print(f"{there + done} of {config.num_episodes} episodes are in {config.dataset_dir}")
    if there + done < config.num_episodes:
        print("the same command goes on from there")
    if there + done:
        print(
            f"look at one: python3 visualize_episodes.py --dataset_dir {config.dataset_dir} --episode_idx 0"
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, Config)
    add_robot_flags(parser)
    setup = read_setup(parser, argv)
    config = cli.from_flags(Config, setup.args)
    if config.recover and config.dataset_dir:
        recover_all(Path(config.dataset_dir))
        return
    config, task = complete(config, setup.config.robot)
    if config.recover:
        recover_all(Path(config.dataset_dir))
        return
    record(setup, config, task)


if __name__ == "__main__":
    cli.run(main)
