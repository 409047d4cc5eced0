"""The myCobot 320 of a simulated task: its motors, in MuJoCo's arrays. Not for two threads at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from mycobot_scripts.stand_in.body import ALL_JOINTS, BodyState
from tasks import Arm, ArmIndex, mujoco

STUCK = 1e6  # Nm s/rad, damping of a joint that no longer moves


class SimulatedArm:
    """An arm as its servos see it.

    Args:
        model, data: MuJoCo's.
        arm: which.
        act: takes an action (7,) for the arm: angles in rad, and the gripper's opening.
    """

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, arm: Arm, act: Callable[[np.ndarray], None]
    ) -> None:
        self._model, self._data, self._act = model, data, act
        self._index = ArmIndex(model, arm)
        self._dofs, self._motors = self._index.dofs, self._index.motors
        self._gains = model.actuator_gainprm.copy(), model.actuator_biasprm.copy()
        self._damping = model.dof_damping[self._dofs].copy()
        self._on, self._hand = np.ones(6, bool), False
        self.action = np.zeros(7)  # as last commanded

    def reset(self, action: np.ndarray) -> None:
        """An episode begins: the arm is at `action` (7,), and its motors are on."""
        self.action, self._hand = action, False
        self._switch(ALL_JOINTS, on=True)

    @property
    def released(self) -> bool:
        """Whether a motor is off."""
        return not self._on.all()

    def state(self) -> BodyState:
        """Where it is."""
        position, velocity = self._index.state(self._data)
        # The joints' damping is how the model keeps to its top speed; no motor works against it.
        driven = self._data.actuator_force[self._motors[:6]] - self._damping[:6] * velocity[:6]
        torques = driven + self._data.qfrc_gravcomp[self._dofs[:6]]
        return BodyState(
            position[:6], velocity[:6], torques * self._on, float(position[6]), float(velocity[6])
        )

    def before_step(self) -> None:
        """Joints whose motors are off carry the arm's weight themselves, unless a hand does."""
        off = self._dofs[:6][~self._on]
        self._data.qfrc_applied[self._dofs[:6]] = 0.0
        if not self._hand:
            self._data.qfrc_applied[off] = -self._data.qfrc_gravcomp[off]

    def move(self, joints: np.ndarray, speed: float) -> None:
        """Go to angles (6,) in rad, no joint faster than `speed` (rad/s): its force over its damping."""
        force = self._damping[:6] * speed
        self._model.actuator_forcerange[self._motors[:6]] = np.column_stack([-force, force])
        self._send(np.append(np.where(self._on, joints, self.action[:6]), self.action[6]))

    def set_gripper(self, opening: float) -> None:
        """Open to a share, always at full speed: a slower motor would grip less."""
        self._send(np.append(self.action[:6], opening))

    def hold(self, joints: list[int]) -> None:
        """Stop these joints where they are; commands on their way to them are dropped."""
        action = self.action.copy()
        action[joints] = self._data.qpos[self._index.qpos[joints]]
        self._send(action)
        self._forget(self._motors[joints])

    def set_torque(self, joints: list[int], on: bool) -> None:
        """Switch the motors of these joints on, where they are, or off."""
        self._switch(joints, on)
        self.hold(joints)

    def guide(self, joints: np.ndarray | None) -> None:
        """A hand brings the joints whose motors are off to angles (6,) in rad, and holds; None lets go."""
        self._hand = joints is not None
        off = np.flatnonzero(~self._on)
        self._switch(off, on=False)
        if joints is not None:
            action = self.action.copy()
            action[off] = joints[off]
            self._send(action)

    def stick(self, joint: int) -> None:
        """A joint never moves again."""
        self._model.dof_damping[self._dofs[joint]] = STUCK

    def stand(self, action: np.ndarray) -> None:
        """Drop all earlier commands; the arm is at, or goes to, its last one (7,)."""
        self._send(action)
        self._forget(self._motors)

    def _send(self, action: np.ndarray) -> None:
        self.action = action
        self._act(action)

    def _forget(self, motors: Iterable[int]) -> None:
        """Drop the motors' delayed commands, except the present ones."""
        for motor in motors:
            samples = self._model.actuator_history[motor, 0]
            if samples:
                times = self._data.time + self._model.opt.timestep * np.arange(-samples, 0)
                commands = np.full(samples, self._data.ctrl[motor])
                mujoco.mj_initCtrlHistory(self._model, self._data, motor, times, commands)

    @contextmanager
    def at_full_gains(self) -> Iterator[None]:
        """Inside, the model has all motors' gains, and may get others; motors that are off stay off."""
        self._model.actuator_gainprm[:], self._model.actuator_biasprm[:] = self._gains
        try:
            yield
        finally:
            self._gains = self._model.actuator_gainprm.copy(), self._model.actuator_biasprm.copy()
            for joint in ALL_JOINTS:
                self._switch([joint], self._on[joint])

    def _switch(self, joints: Iterable[int], on: bool) -> None:
        """Motors on or off; a hand is a motor too."""
        for joint in joints:
            self._on[joint] = on
            motor, share = self._motors[joint], float(on or self._hand)
            self._model.actuator_gainprm[motor] = share * self._gains[0][motor]
            self._model.actuator_biasprm[motor] = share * self._gains[1][motor]
