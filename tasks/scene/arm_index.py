"""Where an arm's numbers stand in MuJoCo's arrays, looked up by name once."""

from __future__ import annotations

import numpy as np

from tasks.opengl import mujoco
from tasks.parts import Arm


class ArmIndex:
    """One arm of a model: its joints, then its fingers' (J + F).

    Attributes:
        arm: the arm itself.
        qpos, dofs, motors: where its joints are in MuJoCo's `qpos` and `qvel`, and its actuators in `ctrl`.
        ranges: of the arm's joints alone (J, 2), in rad.
    """

    def __init__(self, model: mujoco.MjModel, arm: Arm) -> None:
        self.arm = arm
        joints = [model.joint(f"{arm.name}/{name}") for name in arm.actuators]
        self.qpos = np.array([joint.qposadr[0] for joint in joints])
        self.dofs = np.array([joint.dofadr[0] for joint in joints])
        self.motors = np.array([model.actuator(f"{arm.name}/{name}").id for name in arm.actuators])
        self._signs = np.array([sign for _, sign in arm.fingers])
        self.ranges = np.array([joint.range for joint in joints[: len(arm.joints)]])

    def state(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        """State (D,) and velocity (D,) of the arm; its first finger gives the gripper, as in ACT."""
        dim, sign = self.arm.dim, self._signs[0]
        position, velocity = data.qpos[self.qpos[:dim]], data.qvel[self.dofs[:dim]]
        position[-1] = self.arm.gripper_at(position[-1] * sign)
        velocity[-1] *= sign / self.arm.travel
        return position, velocity

    def told(self, data: mujoco.MjData, command: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `state`; a gripper that cannot be read counts as at rest where a command (D,) sent it."""
        position, velocity = self.state(data)
        if self.arm.reports_command:
            position[-1], velocity[-1] = np.clip(command[-1], 0.0, 1.0), 0.0
        return position, velocity

    def bounds(self, model: mujoco.MjModel) -> np.ndarray:
        """Least and most (D, 2) of an action: the joints' ranges (rad), and 0 and 1 of the gripper."""
        joints = model.actuator_ctrlrange[self.motors[: len(self.arm.joints)]]
        return np.vstack([joints, (0.0, 1.0)])

    def targets(self, action: np.ndarray) -> np.ndarray:
        """Joint and finger positions (J + F,) for an action or a state (D,)."""
        return np.concatenate([action[:-1], self._signs * self.arm.travel_at(action[-1])])

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, state: np.ndarray) -> None:
        """Put the arm into a state (D,), and drop commands that are still on their way."""
        targets = self.targets(state)
        data.qpos[self.qpos] = data.ctrl[self.motors] = targets
        for motor, target in zip(self.motors, targets, strict=True):
            samples = model.actuator_history[motor, 0]
            if samples:
                mujoco.mj_initCtrlHistory(model, data, motor, None, np.full(samples, target))


class LinkedJoints:
    """Joints that a constraint makes follow another."""

    def __init__(self, model: mujoco.MjModel) -> None:
        numbers = np.flatnonzero(model.eq_type == mujoco.mjtEq.mjEQ_JOINT)
        self._followers = model.jnt_qposadr[model.eq_obj1id[numbers]]
        self._leaders = model.jnt_qposadr[model.eq_obj2id[numbers]]
        self._polynomials = model.eq_data[numbers, :5].copy()

    def place(self, data: mujoco.MjData) -> None:
        """Put them where their leaders ask them to be."""
        links = zip(self._followers, self._leaders, self._polynomials, strict=True)
        for follower, leader, polynomial in links:
            data.qpos[follower] = np.polynomial.polynomial.polyval(data.qpos[leader], polynomial)
