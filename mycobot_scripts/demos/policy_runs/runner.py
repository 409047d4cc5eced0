"""Runs of policies on an arm that is ready: each is prepared, watched, recorded and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cameras import Reference
from common import command_line
from constants import Stream
from disturbances import LOOK, MODEL, Disturbed, read_set
from evaluation import Outcome, rollout
from mycobot_scripts.demos.journal import free_episode
from mycobot_scripts.demos.policy_runs.bump_watch import BumpWatch
from mycobot_scripts.demos.policy_runs.flags import ModelRunsConfig
from mycobot_scripts.demos.policy_runs.parts import Guarded, Parts, RunView
from mycobot_scripts.demos.policy_runs.placed_cameras import PlacedCameras
from mycobot_scripts.demos.policy_runs.takeover import Corrections, TakeOver, WithCorrections
from mycobot_scripts.demos.recording import Recording
from mycobot_scripts.robot import STOP_KEY, Session, as_recorded, keys_for
from mycobot_scripts.safety import SpeedFilter
from mycobot_scripts.wire import clock

if TYPE_CHECKING:
    from actors import Actor
    from evaluation import Execution

SETTLING = 0.3  # s after the last step in which the twin may still succeed: commands take as long on the line
VERDICTS = {True: "success", False: "no success", None: "nobody knows how it ended"}
HELPED = ", with your help: it does not count as the policy's"
RECOVER = command_line("mycobot_scripts/record_episodes.py --recover --dataset_dir")


def make_execution(actor: Actor, config: ModelRunsConfig, fps: float) -> Execution:
    """How an actor's chunks are executed."""
    from evaluation import BackgroundEnsemble, BackgroundExecution, Join, waiting_execution

    if config.sync:
        return waiting_execution(actor, config, fps)
    background = {"now": clock.now, "join": Join.of(actor, config, fps)}
    if config.temporal_agg:
        decay, most, every = config.ensemble_decay, config.ensemble_drop, config.query_every or 1
        return BackgroundEnsemble(actor, fps, decay, most, every, **background)
    return BackgroundExecution(actor, fps, config.query_every, **background)


class Runner:
    """Runs policies on an arm that is ready.

    Args:
        session: the arm; its task has the run's steps a second and length.
        config: flags.
        executions: of the policies, which run one after the other.
        lengths: steps of each.
        references: what cameras show where the demonstrations begin.
        limits: velocity (6,) and acceleration (6,) of the joints (`speed_limits`); none if not given.
    """

    def __init__(
        self,
        session: Session,
        config: ModelRunsConfig,
        executions: Sequence[Execution],
        lengths: Sequence[int],
        references: Mapping[str, Reference] | None = None,
        limits: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self._session, self._config, self._task = session, config, session.task
        self._folder = config.folder
        robot = session.robot
        if config.dry_run:
            from mycobot_scripts.safety import Rehearsal, Rehearsed  # needs MuJoCo

            rehearsal = Rehearsal(self._task, session.setup.limits)
            for execution in executions:
                execution.actor = Rehearsed(execution.actor, rehearsal, robot.request_stop)
        self._parts = Parts(executions, lengths)
        self._corrections = Corrections(
            self._folder / "corrections",
            self._task.cameras,
            as_recorded(self._task, session.is_twin, "person", config.disturb),
        )
        self._take_over = TakeOver(
            self._parts,
            session.device(config.take_over),
            session.jog(),
            *(robot, session.operator, self._corrections),
        )
        known = replace(config, ignore_moved=config.ignore_moved or bool(config.disturb))
        self._placed = PlacedCameras(references or {}, known)
        self._watch = None if known.ignore_moved else BumpWatch(config, robot.request_stop)
        self.refused: str | None = None  # why a run did not start
        self._view = RunView(self._task.cameras) if config.view else None
        self._speed = None if limits is None else SpeedFilter(*limits, robot.period)
        self._applied = read_set(config.disturb)
        self._n_corrections = 0
        self._index = 0  # of the run
        self._recording: Recording | None = None  # likewise

    def run(self, index: int) -> Outcome | None:
        """Run number `index`; None if the person quits before it, or it is `refused`."""
        session, task = self._session, self._task
        case = task.case_number(index) if task.cases else None
        if not session.is_twin and not self._ready(index):
            return None
        self._index = index
        print(f"run {index}: {task.episode_len} steps (q: stop, m: take over)", flush=True)
        self._take_over.reset([self._config.seed, Stream.ACT, index])
        session.operator.listens = True
        session.operator.show(keys=STOP_KEY, progress=self._progress, success=None)
        environment = self._environment(index)
        with session.robot.interrupts_stop():
            start = environment.reset(self._start(index), case)
            if start.last():
                return self._outcome(index, case)
            self.refused = self._placed.check(start.observation["images"])
            if self.refused:
                return None
            if self._watch is not None:
                self._watch.begin(start.observation)
            if self._speed is not None:
                self._speed.begin(session.servo.sent)
            session.operator.listens = False  # from here on whoever may take over reads the keys
            session.operator.show(policy=self._at_work, keys=keys_for(self._take_over.of_policy))
            recording = self._recording = self._begin_recording()
            try:
                act = Guarded(self._act, session.robot.request_stop)
                keeper = WithCorrections(recording, self._corrections)
                rollout(environment, start, act, task.episode_len, keeper)
                self._take_over.finish()
                return self._outcome(index, case, recording)
            except BaseException:
                recording.abandon()
                print(f"{recording.folder} keeps what was recorded; {RECOVER} {self._folder}")
                raise

    def _progress(self) -> dict[str, int]:
        """How far the runs are, for a page."""
        config, steps = self._config, max(0, len(self._session.robot.timing) - 1)
        n = config.first_rollout + config.num_rollouts
        return {"episode": self._index, "episodes": n, "step": steps, "steps": self._task.episode_len}

    def _at_work(self) -> dict[str, Any]:
        """Who moves the arm, and how far the policy is, for a page."""
        return {"mode": self._take_over.mode, **self._parts.describe()}

    def _environment(self, index: int) -> Any:
        """The robot, with what disturbs a run; the twin itself changes its physics and its look."""
        robot, seed = self._session.robot, self._config.seed
        words = [str(each) for each in self._applied if each.kind in (MODEL, LOOK)]
        if words or self._session.setup.config.drift:
            self._session.scene.change(seed, index, words)
        return Disturbed(robot, self._task, self._applied, seed, index) if self._applied else robot

    def _start(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self._config.seed, Stream.EVALUATE, index])

    def _ready(self, index: int) -> bool:
        question = f"run {index}: put everything to its place, then press enter (q: quit)"
        return self._session.keys.ask(question, {"enter": True, "q": False})

    def _begin_recording(self) -> Recording:
        facts = as_recorded(self._task, self._session.is_twin, "policy", self._config.disturb)
        if self._session.is_twin:
            facts |= {
                "seed": self._config.seed,
                "env_state": np.array(self._session.scene.state["env_state"]),
            }
        return Recording(free_episode(self._folder), self._task.cameras, **facts)

    def _act(self, t: int, observation: Mapping[str, Any]) -> np.ndarray:
        if t == self._config.knock_loose:
            self._recording.total_reward = 0.0  # only what happens now counts
            self._session.scene.knock_loose(self._config.seed, self._index)
        if self._watch is not None:
            self._watch.look(observation)
        observation = self._placed.rectified(observation)
        action = self._limited(self._take_over(observation))
        if self._view is not None:
            parts = self._parts
            progress = (
                f"part {parts.part + 1}, {parts.left} steps left; chunk: {parts.remaining} actions left"
            )
            twin = self._session.scene.state if self._session.is_twin else None
            reward = f"; reward {twin['reward']} of {twin['max_reward']}" if twin else ""
            lines = [f"{self._take_over.mode}; {progress}{reward}", self._session.robot.guard.report()]
            self._view.show(observation, [*lines, self._take_over.help])
        return action

    def _limited(self, action: np.ndarray) -> np.ndarray:
        """The action within the limits of speed; a person's as it is, and one that the robot will refuse."""
        speed, servo, guard = self._speed, self._session.servo, self._session.robot.guard
        if speed is None or guard.refuses(action):
            return action
        if self._take_over.mode != "policy":
            speed.drive(action)
            return action
        if servo.is_up_to_date:
            speed.follow(servo.sent)
        limited = speed(action)
        guard.count(speed.changed, speed.changed != "")
        return limited

    def _outcome(self, index: int, case: int | None, recording: Recording | None = None) -> Outcome:
        """Find out how a run went, save it, and say so."""
        session, task = self._session, self._task
        session.operator.show(doing="idle", policy=None, jog=None, keys=())
        judgement = self._judge(recording is not None)
        outcome = Outcome(
            index,
            total_reward=0.0 if recording is None else recording.total_reward,
            case=None if case is None else task.cases[case].label,
            stopped=session.robot.stopped,
            takeovers=self._take_over.takeovers,
            steps=None if recording is None else len(recording),
            **judgement,
        )
        if recording is not None:
            reward = outcome.highest_reward
            success = None if reward is None else reward == max(1, task.max_reward)
            path = recording.finish(success)
            session.operator.show(success=success)
            outcome = replace(outcome, episode=path.name)
            print(f"saved {path}: {VERDICTS[success]}{HELPED if outcome.takeovers else ''}")
            print(session.robot.report())
            print(latency_line(self._parts), flush=True)
        for path in self._corrections.paths[self._n_corrections :]:
            print(f"a correction: {path}")
        self._n_corrections = len(self._corrections.paths)
        return outcome

    def _judge(self, has_run: bool) -> dict[str, Any]:
        """How a run ended, as the twin or the person says."""
        if not has_run:  # the policy did nothing
            return {"highest_reward": None}
        if not self._session.is_twin:
            question = "did it succeed? [y/n] (u: unknown)"
            return {"highest_reward": self._session.keys.ask(question, {"y": 1, "n": 0, "u": None})}
        clock.sleep(SETTLING)
        state = self._session.twin.state()
        return {name: state[name] for name in ("highest_reward", "strict_success", "choice")}

    def close(self) -> None:
        """End what runs in the background."""
        if self._watch is not None:
            self._watch.close()
        self._take_over.finish()
        self._parts.close()
        if self._view is not None:
            self._view.close()


def latency_line(parts: Parts) -> str:
    """How long the policy took, and how often the arm had to wait for it."""
    latencies = 1000 * np.array(parts.latencies or [np.nan])
    median, slowest = np.percentile(latencies, [50, 99])
    held = f"; the arm held for {parts.held} steps, waiting for a chunk" if parts.held else ""
    return f"policy: {len(parts.latencies)} chunks, {median:.0f} ms (99 %: {slowest:.0f} ms){held}"
