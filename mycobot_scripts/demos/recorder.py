"""Records demonstrations one after the other: how the arm is moved, what is kept."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common import cli
from constants import STYLES, Stream
from episodes import episode_path
from evaluation import Act, follow, rollout
from mycobot_scripts.demos.demonstrate import Guiding, Jogging, scripted_actions
from mycobot_scripts.demos.recording import Recording
from mycobot_scripts.demos.recovery import FOLDER
from mycobot_scripts.demos.waypoints import Motion, motion_through
from mycobot_scripts.robot import (
    BY_HAND,
    PRESSED_Q,
    STOP_KEY,
    Session,
    as_recorded,
    keys_for,
    start_rng,
)
from mycobot_scripts.wire import clock
from tasks import StylePlan, beside, nearest_case, sample_start
from teleop import DEVICES

MAX_LATE = 5  # extra attempts at an episode because of late states
CALM_PATIENCE = 60.0  # s that the recorder waits for a line that is late
MAX_ATTEMPTS = 10  # at an episode on the twin, before the script is taken to be broken
JOG_TIME = 60  # s that a person drives at most; enter ends it
# of a motion's steps: so many may be clamped or left out where the twin succeeds; what was sent is recorded
ROUGH = 0.1
SETTLING = 1.0  # s after the last step in which the twin may still find a success: arm and gripper lag
ANSWERS = {"k": "keep", "f": "failure", "r": "redo", "q": "quit"}


@dataclass(frozen=True)
class RecordArmConfig:
    """Flags of this script."""

    task_name: str | None = cli.flag(None, "task to record, e.g. mycobot320_move_cube (required)")
    dataset_dir: str | None = cli.flag(None, "folder for the episodes; data/<task> if not given")
    num_episodes: int = cli.flag(
        50, "episodes to have in the end; those that are there already count", least=1, most=100_000
    )
    sequence: str | None = cli.flag(None, "waypoints to play: pickandmove, pickandmove_after, or a JSON file")
    guide: bool = cli.flag(False, "lead the arm by hand through poses, which are then played")
    guide_speed: float = cli.flag(
        20.0, "speed at which guided poses are played, degrees a second", above=0, most=180
    )
    jog: str | None = cli.flag(None, "drive the arm", DEVICES, alias="teleop")
    episode_len: int | None = cli.flag(
        None,
        "steps of an episode, at most; as the task or the waypoints say if not given",
        least=1,
        most=1_000_000,
    )
    fps: int | None = cli.flag(
        None,
        "steps a second of a task of your own; as the waypoints or its other episodes say, else 10",
        least=1,
        most=50,
    )
    suggest: str | None = cli.flag(
        None,
        "a run (--ckpt_dir) or a folder of episodes: say before each episode where to put things, so that "
        "it helps most; the twin puts them there",
    )
    style: str = cli.flag(
        "script",
        "how the twin follows its task's script: to the letter, or each time in another way, as people do",
        tuple(STYLES),
    )
    seed: int = cli.flag(0, "seed of the twin's starts", least=0, most=cli.MOST_SEED)
    ask: bool = cli.flag(False, "ask after each episode on the twin too")
    recover: bool = cli.flag(
        False, f"make episodes of recordings that were cut off, in {FOLDER}/ of the folder, and end"
    )
    discard: bool = cli.flag(False, "forget recordings that were cut off, and end")


@dataclass(frozen=True, eq=False)
class GivenStart:
    """Where things are to be put before an episode."""

    words: str  # for people
    env_state: np.ndarray  # (P * 7,), for the twin


class Recorder:
    """Records one episode after the other.

    Args:
        session: the arm.
        config: the flags.
        starts: of the episodes, by number, where they are given.
    """

    def __init__(
        self, session: Session, config: RecordArmConfig, starts: Mapping[int, GivenStart] | None = None
    ) -> None:
        self._session, self._config, self._task = session, config, session.task
        self._starts, self._tried = starts or {}, -1
        self._motion = Motion.load(config.sequence) if config.sequence else None
        self._jogging: Jogging | None = None
        self._start: np.ndarray | None = None  # (7,) where episodes begin, if not as usual
        usual = JOG_TIME * self._task.fps if config.jog else self._task.episode_len
        self._length = config.episode_len or usual

    def prepare(self) -> bool:
        """Have the person show the poses, if asked for; False if the person quits."""
        session, config = self._session, self._config
        if config.guide:
            self._motion = self._guided()
            if self._motion is None:
                return False
        if config.jog:
            self._jogging = Jogging(session.device(config.jog), session.jog(), self._task.fps, self._length)
        if self._motion is not None:
            self._last(len(self._motion))
            self._start = self._motion.poses[0].qpos
        return True

    def _last(self, steps: int) -> None:
        """Let an episode last as long as its motion, or as --episode_len says if that is less."""
        self._length = min(self._config.episode_len or steps, steps)

    def _guided(self) -> Motion | None:
        session = self._session
        if session.robot.reset().last():
            reason, is_wish = self._why_stopped()
            if is_wish:
                return None
            raise RuntimeError(f"the arm is not at its start pose, where guiding begins: {reason}")
        if session.is_twin:
            print(f"lead the arm in a browser: {session.twin.page}")
        poses = Guiding(session.servo, session.operator, float(session.robot.start[-1])).capture()
        if poses is None:
            return None
        motion = motion_through(poses, self._task.fps, self._config.guide_speed)
        if session.is_twin:
            props = session.twin.state()["env_state"]
            starts = np.reshape(props, (-1, 7))[:, :3].tolist()
            named = zip(self._task.props, starts, strict=True)
            motion = replace(motion, props={prop.name: tuple(start) for prop, start in named})
        folder = Path(self._config.dataset_dir) / "sequences"
        names = (folder / f"guided_{number}.json" for number in itertools.count())
        path = next(name for name in names if not name.exists())
        motion.save(path)
        print(f"{len(poses)} poses, {len(motion) / motion.fps:.1f} s: {path}")
        return motion

    def record(self, index: int) -> bool:
        """Record episode `index`, as often as it takes; False if the person quits."""
        rng = start_rng(self._config.seed, index)
        if self._session.is_twin and self._session.setup.config.drift:
            self._session.scene.change(self._config.seed, index)
        failed = late = 0
        for take in itertools.count(1):
            self._wait_until_calm()
            verdict = self._attempt(index, rng, take)
            if verdict == "redo" and self._session.robot.was_late and late < MAX_LATE:
                late += 1  # the computer's fault, and no attempt
                continue
            if verdict in ("keep", "failure"):
                return True
            if verdict == "quit":
                return False
            if self._is_automatic:  # a person may try as often as it takes
                failed += 1
                print(f"episode {index}: attempt {failed} did not succeed")
            if failed == MAX_ATTEMPTS:
                break
        reason = self._session.robot.stopped
        why = f"the last one was stopped: {reason}" if reason else "--ask lets you keep failures"
        raise RuntimeError(f"{MAX_ATTEMPTS} attempts at episode {index} failed; {why}")

    def _wait_until_calm(self) -> None:
        """Where state or pictures are late, wait until they are fresh; RuntimeError if that takes long."""
        robot = self._session.robot
        if robot.is_fresh():
            return
        print("the arm's state or a picture is late; waiting until the line is fresh again", flush=True)
        if not robot.is_fresh(CALM_PATIENCE):
            raise RuntimeError(
                f"state and pictures stayed late for {CALM_PATIENCE:.0f} s: {robot.guard.when_late}"
            )

    @property
    def _style(self) -> str:
        """Who moves the arm, or how a script is followed, as the episode tells it."""
        if self._jogging or self._config.guide:
            return "person"
        return "script" if self._motion else self._config.style

    @property
    def _is_automatic(self) -> bool:
        return self._session.is_twin and not (self._config.ask or self._config.guide or self._config.jog)

    def _attempt(self, index: int, rng: np.random.Generator, take: int) -> str:
        """Record episode `index` once, the `take`th time, and decide: keep, failure, redo or quit."""
        session, facts = self._session, as_recorded(self._task, self._session.is_twin, self._style)
        act = self._act(rng, index, take)
        if session.is_twin:
            facts |= {"seed": self._config.seed, "env_state": session.scene.start}
        elif not self._is_ready(index):
            return "quit"
        recording = Recording(episode_path(self._config.dataset_dir, index), self._task.cameras, **facts)
        try:
            stopped = self._perform(act, recording, index)
            return self._stopped(recording) if stopped else self._decide(recording, index)
        except BaseException:
            if recording.is_open and len(recording):
                recording.abandon()
                print(f"\n{recording.folder} keeps what was recorded; --recover makes an episode of it")
            elif recording.is_open:
                recording.discard()
            raise

    def _is_ready(self, index: int) -> bool:
        """Ask the person to put things to their places."""
        given = self._starts.get(index)
        put = f"put {given.words}" if given else "put everything to its place"
        question = f"episode {index}: {put}, then press enter (q: quit)"
        return self._session.keys.ask(question, {"enter": True, "q": False})

    def _act(self, rng: np.random.Generator, index: int, take: int) -> Act:
        """What moves the arm; on the twin, first set where the props start."""
        scene, task, motion = self._session.scene, self._task, self._motion
        case = task.case_number(index)
        if scene is not None and index in self._starts:
            scene.start = self._given(index, rng)
            case = nearest_case(task, scene.start)[0]
        elif scene is not None:
            scene.start = motion.env_state(task, rng) if motion else sample_start(task, rng, case)
        if self._jogging is not None:
            return self._jogging.act
        if motion is not None:
            return follow(motion.actions())
        style = StylePlan(STYLES[self._config.style], (self._config.seed, Stream.STYLE, index, take))
        actions = scripted_actions(task, scene.start, case, style)
        self._last(len(actions))
        return follow(actions)

    def _given(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """The start (P * 7,) that an episode is given; a little beside it after a failed attempt."""
        given, is_first = self._starts[index], self._tried != index
        self._tried = index
        if is_first:
            print(f"episode {index}: {given.words}")
        return given.env_state if is_first else beside(self._task, given.env_state, rng)

    def _perform(self, act: Act, recording: Recording, index: int) -> str | None:
        """Go to the start pose and move as `act` says; returns why it was stopped, if it was."""
        session, jogging = self._session, self._jogging
        session.operator.listens = True
        session.operator.show(keys=STOP_KEY, progress=lambda: self._progress(index), success=None)
        print(f"episode {index}: {self._length} steps (q: stop)", flush=True)
        with session.robot.interrupts_stop():
            step = session.robot.reset(start=self._start)
            if jogging is not None and not step.last():
                session.operator.listens = False  # from here on the device reads the keys
                session.operator.show(doing="idle", jog=jogging.jog, keys=keys_for(jogging.commands))
                step = jogging.begin(session.servo.latest.target, session.robot)
                session.operator.show(doing="jog")
            rollout(session.robot, step, act, self._length, recording)
        stopped = session.robot.stopped
        session.operator.show(doing="idle", jog=None, keys=())
        if jogging is not None:
            print()  # ends the status line
        if jogging is not None and jogging.wish == "stop":
            session.servo.hold()
            stopped = PRESSED_Q
        print(session.robot.report(), flush=True)
        return stopped

    def _progress(self, index: int) -> dict[str, int]:
        """How far it is, for a page."""
        steps = max(0, len(self._session.robot.timing) - 1)
        episodes = self._config.num_episodes
        return {"episode": index, "episodes": episodes, "step": steps, "steps": self._length}

    def _decide(self, recording: Recording, index: int) -> str:
        """Keep the episode or not: by what the twin says, or the person."""
        wish = self._jogging.wish if self._jogging else None
        if wish in ("redo", "quit") or not len(recording):
            return self._end(recording, "quit" if wish == "quit" else "redo")
        success, trouble = self._twin_success() if self._session.is_twin else None, self._trouble()
        if self._is_automatic:
            is_rough = self._changed() > ROUGH * len(recording)
            if is_rough:
                print(f"episode {index}: {trouble}")
            return self._end(recording, "keep" if success and not is_rough else "redo", success)
        facts = "" if success is None else f"{'success' if success else 'no success'}; "
        facts += f"{trouble}; " if trouble else ""
        question = f"episode {index}: {facts}[k]eep, keep as a [f]ailure, [r]edo, [q]uit?"
        return self._end(recording, self._session.keys.ask(question, ANSWERS), success)

    def _trouble(self) -> str:
        """Why a motion that was played may be a bad demonstration; empty if it is not."""
        if self._jogging is not None or not self._changed():
            return ""
        clamped, missed = self._session.robot.guard.clamped.total(), self._session.robot.timing.missed
        return f"{clamped} commands were clamped, {missed} steps left out: a bad demonstration"

    def _changed(self) -> int:
        """Steps of the motion that were clamped or left out; a gripper may well close more slowly."""
        clamped = self._session.robot.guard.clamped
        return clamped.total() - clamped["gripper step"] + self._session.robot.timing.missed

    def _why_stopped(self) -> tuple[str, bool]:
        """Why the robot was stopped, and whether a person wished it."""
        reason = self._session.robot.stopped or PRESSED_Q
        return reason, reason in BY_HAND

    def _stopped(self, recording: Recording) -> str:
        """The run was stopped: what was recorded may be kept all the same, if a person says so."""
        reason, is_wish = self._why_stopped()
        if self._is_automatic or not len(recording):
            verdict = self._end(recording, "quit" if is_wish else "redo")
            if is_wish or (self._is_automatic and self._session.servo.error is None):
                return verdict  # a twin may be tried again; it harms nobody
            raise RuntimeError(reason)
        question = f"stopped ({reason}): [k]eep what there is, as a failure, [r]edo, [q]uit?"
        answers = {**ANSWERS, "k": "failure"}
        return self._end(recording, self._session.keys.ask(question, answers))

    def _end(self, recording: Recording, verdict: str, success: bool | None = None) -> str:
        """Save or discard the episode; returns the verdict."""
        if verdict not in ("keep", "failure"):
            recording.discard()
            return verdict
        success = verdict == "keep" and success is not False
        print(f"saved {recording.finish(success)}")
        self._session.operator.show(success=success)
        return verdict

    def _twin_success(self) -> bool:
        """Whether the twin has seen a success, now or within a moment."""
        deadline = clock.now() + SETTLING
        while not (success := self._session.twin.state()["success"]) and clock.now() < deadline:
            time.sleep(0.05)
        return bool(success)
