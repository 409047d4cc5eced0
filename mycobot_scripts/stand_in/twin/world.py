"""The MuJoCo twin of a myCobot 320 task in real time: physics, cameras and judge in one thread, and the arm's
body (`body.Body`) for the emulated firmware, whose commands and questions come from other threads.

The simulation keeps to the wall clock: after a picture it catches up. Commands take effect at the time at
which they came, and states are those of the time asked about, so that pictures delay neither.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import ExitStack
from typing import Any

import numpy as np

from constants import IMAGE_SIZE
from disturbances import changed, look_of, room_look
from mycobot_scripts.stand_in.body import ALL_JOINTS, BodyState
from mycobot_scripts.stand_in.faults import Faults
from mycobot_scripts.stand_in.twin.feeds import CameraFeed
from mycobot_scripts.stand_in.twin.simulated_arm import SimulatedArm
from mycobot_scripts.stand_in.twin.state import UNCHANGED, Changes, TwinState
from mycobot_scripts.wire import clock
from sim_env import make_sim_env
from tasks import Task, mujoco

TURN = 0.004  # s between looks at the clock
MAX_BURST = 25  # steps at a time, before other threads have a turn
MAX_LAG = 1.0  # s; a longer lag is given up: the machine is too slow
MEMORY = 2.0  # s of states that are kept
SETTLED = 1.0  # s, simulated, after which a start counts as good
PATIENCE = 20.0  # s that a question waits for the simulation at most
BROKEN = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
)


class TwinWorld:
    """A simulated task that runs by itself; `run` in the thread that made it, everything else in any.

    Args:
        task: a task of one myCobot 320 in simulation.
        faults: of the cameras.
        camera_fps: pictures a second of each camera, while somebody looks.
        render_quality: as for `make_sim_env`.
        seed: of the start.
        randomize: whether a reset can change how the scene looks.
        room: number of a room that it stands in, with a look of its own (`disturbances.room_look`).
        drift: whether light and exposure change slowly.
    """

    def __init__(
        self,
        task: Task,
        faults: Faults | None = None,
        camera_fps: float = 15.0,
        render_quality: str = "fast",
        image_size: tuple[int, int] = IMAGE_SIZE,
        seed: int = 0,
        randomize: bool = False,
        room: int | None = None,
        drift: bool = False,
    ) -> None:
        self.task = task
        self._room = None if room is None else room_look(room)
        self._drift_fps = task.fps if drift else 0.0
        faults = faults or Faults()
        self._moves = {name: _pose(move) for name, move in (faults.move_camera or {}).items()}
        has_looks = randomize or drift or room is not None or bool(self._moves)
        self._env = make_sim_env(task, render_quality, image_size, randomize=has_looks)
        self._sim = self._env.task
        self._physics = self._env.physics
        self._model, self._data = self._physics.model.ptr, self._physics.data.ptr
        self._arm = SimulatedArm(self._model, self._data, task.arms[0], self._act)
        self._changes = ExitStack()  # undoes those of this episode
        self._dt = self._model.opt.timestep
        self._steps_judged = round(1 / (task.fps * self._dt))
        self._turn = threading.Condition()
        self._commands: deque[tuple[float, Callable[[], Any], Future | None]] = deque()
        self._states: deque[tuple[float, BodyState]] = deque(maxlen=round(MEMORY / self._dt))
        self.slipped, self._broken = 0.0, 0
        self.feeds = {name: CameraFeed(name, camera_fps, faults) for name in self._sim.cameras}
        self._stopped, self._runs = threading.Event(), False
        self._look_as(UNCHANGED)
        for camera in self.feeds:  # the first picture of each takes a second
            self._sim.render(self._physics, camera)
        self._rng = np.random.default_rng(seed)
        self._put(self._sim.sample_start(self._rng), arm=True)

    def _look_as(self, changes: Changes) -> None:
        """Let the scene look, from its next reset on, as in its room under an episode's changes."""
        if self.has_looks:
            key = changes.seed, changes.rollout
            self._env.set_looks(look_of(changes.applied, *key, self._room, self._drift_fps))

    # --- the thread that runs it

    def run(self) -> None:
        """Keep to the wall clock until `stop`."""
        self._epoch, self._runs = self.now() - self._data.time, True
        try:
            while not self._stopped.is_set():
                self._catch_up()
                self._look()
        finally:
            self._runs = False
            with self._turn:
                self._turn.notify_all()

    def _look(self) -> None:
        """Take the picture that is due, or rest if none is."""
        feed = min(self.feeds.values(), key=lambda feed: feed.due)
        if not feed.is_due(self.now()):
            time.sleep(TURN)
            return
        image = None if feed.is_frozen else self._picture(feed)
        feed.publish(image, self._epoch + self._data.time)

    def _picture(self, feed: CameraFeed) -> np.ndarray:
        if feed.is_moved:
            self._sim.looks.bumps[feed.name] = self._moves[feed.name]
        self._sim.steps = int(self._data.time * self.task.fps)  # light drifts also while nothing is commanded
        return self._sim.render(self._physics, feed.name)

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Free the simulation, after `run`, in its thread."""
        self._stopped.set()
        for feed in self.feeds.values():
            feed.close()
        self._env.close()

    def _catch_up(self) -> None:
        """Step until the simulation is where the clock is."""
        while not self._stopped.is_set():
            behind = self.now() - self._epoch - self._data.time
            if behind > MAX_LAG:
                self.slipped += behind - MAX_LAG / 2
                self._epoch += behind - MAX_LAG / 2
            steps = min(int(behind / self._dt), MAX_BURST)
            with self._turn:
                for _ in range(steps):
                    self._step()
                self._mend()
                self._turn.notify_all()
            if steps < MAX_BURST:
                return

    def _step(self) -> None:
        at = self._epoch + self._data.time
        while self._commands and self._commands[0][0] <= at:
            _, command, answer = self._commands.popleft()
            self._obey(command, answer)
        at = self._epoch + self._data.time  # a reset sets it back
        self._arm.before_step()
        mujoco.mj_step2(self._model, self._data)
        mujoco.mj_step1(self._model, self._data)
        self._states.append((at + self._dt, self._arm.state()))
        self._count += 1
        if self._count % self._steps_judged == 0:
            self._judge()

    @staticmethod
    def _obey(command: Callable[[], Any], answer: Future | None) -> None:
        try:
            result = command()
        except Exception as error:
            if answer is None:
                raise
            answer.set_exception(error)
        else:
            if answer is not None:
                answer.set_result(result)

    def _judge(self) -> None:
        self._sim.after_step(self._physics)
        self._reward = int(self._sim.get_reward(self._physics))
        self._highest = max(self._highest, self._reward)

    def _mend(self) -> None:
        """Restart a simulation that broke; MuJoCo itself would go to its zero pose.

        From another start if it broke at once: props that stand in each other would break it again.
        """
        if any(self._data.warning[kind].number for kind in BROKEN):
            self._broken += 1
            is_bad_start = self._data.time < SETTLED
            self._put(self._sim.sample_start(self._rng) if is_bad_start else self._sim.start, arm=True)

    def _act(self, action: np.ndarray) -> None:
        self._sim.before_step(action, self._physics)

    def _put(self, start: np.ndarray, arm: bool) -> None:
        """Begin an episode with the props at `start`, and the arm at its start pose or where it is."""
        qpos, qvel, action = self._data.qpos.copy(), self._data.qvel.copy(), self._arm.action
        self._env.reset(env_state=start)
        self._count, self._reward, self._highest = 0, 0, 0
        self._epoch = self.now()
        if arm:
            self._arm.reset(self._sim.get_observation(self._physics)["qpos"])
        else:
            self._leave_arm(qpos, qvel)
            self._arm.stand(action)
        self._states.clear()
        self._states.append((self._epoch, self._arm.state()))

    def _leave_arm(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """After a reset, put all but the props back to where they were."""
        props = {self._model.joint(f"{prop.name}_joint").id for prop in self.task.props}
        for joint in set(range(self._model.njnt)) - props:
            address, dof = self._model.jnt_qposadr[joint], self._model.jnt_dofadr[joint]
            self._data.qpos[address], self._data.qvel[dof] = qpos[address], qvel[dof]
        mujoco.mj_forward(self._model, self._data)

    # --- from any thread: the arm's body

    def now(self) -> float:
        return clock.now()

    def state(self, at: float) -> BodyState:
        with self._turn:
            self._turn.wait_for(lambda: not self._runs or self._states[-1][0] > at - self._dt, PATIENCE)
            back = round((self._states[-1][0] - at) / self._dt)
            return self._states[-1 - min(max(back, 0), len(self._states) - 1)][1]

    def move(self, joints: np.ndarray, speed: float, at: float) -> None:
        self._post(lambda: self._arm.move(joints, speed), at)

    def hold(self, at: float, joints: Iterable[int] = ALL_JOINTS) -> None:
        self._post(lambda: self._arm.hold(list(joints)), at)

    def set_gripper(self, opening: float, at: float) -> None:
        self._post(lambda: self._arm.set_gripper(opening), at)

    def set_torque(self, joints: Iterable[int], on: bool, at: float) -> None:
        self._post(lambda: self._arm.set_torque(list(joints), on), at)

    def stick(self, joint: int, at: float) -> None:
        self._post(lambda: self._arm.stick(joint), at)

    # --- from any thread: the rest

    @property
    def has_looks(self) -> bool:
        """Whether a reset can change how the scene looks."""
        return self._sim.looks is not None

    def reset(
        self,
        start: np.ndarray | None,
        case: int | None,
        rng: np.random.Generator,
        arm: bool,
        changes: Changes = UNCHANGED,
    ) -> TwinState:
        """Begin an episode: props where `start` (P * 7,) says, or drawn from `rng` in a case or in any."""

        def command() -> TwinState:
            with self._arm.at_full_gains():
                self._changes.close()
                self._look_as(changes)
                physics = changed(self._model, self.task, changes.applied, changes.seed, changes.rollout)
                self._changes.enter_context(physics)
            self._put(self._sim.sample_start(rng, case) if start is None else start, arm)
            return self._tell()

        return self._ask(command)

    def knock_loose(self, rng: np.random.Generator) -> TwinState:
        """A hand takes the first prop from whatever holds it, and puts it where an episode of this case could
        start; what was reached before no longer counts.
        """

        def command() -> TwinState:
            self._env.knock_loose(rng)
            self._reward, self._highest = 0, 0
            return self._tell()

        return self._ask(command)

    def guide(self, joints: np.ndarray | None) -> TwinState:
        """A hand brings the joints whose motors are off to angles (6,) in rad, and holds; None lets go."""

        def command() -> TwinState:
            self._arm.guide(joints)
            return self._tell()

        return self._ask(command)

    def tell(self) -> TwinState:
        """How the episode stands."""
        return self._ask(self._tell)

    def _tell(self) -> TwinState:
        qpos = self._sim.get_observation(self._physics)["qpos"]
        cases = self.task.cases
        return TwinState(
            reward=self._reward,
            highest_reward=self._highest,
            max_reward=self.task.max_reward,
            success=self._highest == self.task.max_reward,
            strict_success=self._env.strict_success,
            case=self._env.case,
            case_label=cases[self._env.case].label if cases else None,
            choice=self._env.choice,
            qpos=qpos.tolist(),
            gripper=self._arm.state().gripper,
            released=self._arm.released,
            env_state=self._sim.start.tolist(),
            time=self._data.time,
            lag=self.now() - self._epoch - self._data.time,
            slipped=self.slipped,
            unstable=self._broken,
        )

    def _post(self, command: Callable[[], Any], at: float) -> None:
        self._commands.append((at, command, None))

    def _ask(self, command: Callable[[], Any]) -> Any:
        answer: Future = Future()
        self._commands.append((self.now(), command, answer))
        try:
            return answer.result(timeout=PATIENCE)
        except FutureTimeoutError:
            raise TimeoutError(f"the simulation did not answer in {PATIENCE:.0f} s") from None


def _pose(move: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Shift (3,) in m and turn (3,) in rad, in the camera's own frame, of `Faults.move_camera`."""
    return np.array(move[:3]) / 1000, np.radians(move[3:])
