"""Joint angles that bring an arm's grip point to a pose. Needs MuJoCo, and no rendering."""

from __future__ import annotations

import numpy as np

from tasks.opengl import mujoco
from tasks.parts import Arm
from tasks.scene.arm_index import ArmIndex

DAMPING = 0.02  # of the least squares; keeps steps small near singular poses
POSTURE = 0.03  # weight of 1 rad off the arm's posture, against 1 rad off the orientation
METRE = 20.0  # weight of 1 m off the position, likewise
TOLERANCE = 1e-4  # rad; iterations end when no joint would move further
MAX_ITERATIONS = 10
MAX_JOINT_STEP = 0.2  # rad per iteration


class GripPointIK:
    """Inverse kinematics of an arm's site `grip_point`, by damped least squares (Buss 2004).

    A wrist reaches most orientations in two ways, half a turn of the forearm apart, and where it is stretched
    it changes from one to the other. The arm's `posture` makes all demonstrations take the same way: a
    mixture cannot be imitated, as the average of two ways is not a way.
    """

    def __init__(self, model: mujoco.MjModel, arm: Arm) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        index, count = ArmIndex(model, arm), len(arm.joints)
        self._qpos, self._dofs = index.qpos[:count], index.dofs[:count]
        posture = dict(arm.posture)
        self._keep = np.array([POSTURE if name in posture else 0.0 for name in arm.joints])
        self._posture = np.array([posture.get(name, 0.0) for name in arm.joints])
        self._low, self._high = index.ranges.T
        self._site = model.site(f"{arm.name}/grip_point").id
        self._jacobian = np.zeros((6, model.nv))
        self._site_quat, self._inverse, self._difference = np.zeros(4), np.zeros(4), np.zeros(4)
        _, self._zero_quat = self.forward(np.zeros(count))

    def forward(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Grip point at joint angles (rad): position (3,) in m, orientation wxyz (4,), world frame."""
        self._data.qpos[self._qpos] = joints
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mju_mat2Quat(self._site_quat, self._data.site_xmat[self._site])
        return self._data.site_xpos[self._site].copy(), self._site_quat.copy()

    def pose(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Grip point at joint angles (rad), as `solve` takes it: xyz (3,) in m, rotation wxyz (4,)."""
        xyz, orientation = self.forward(joints)
        quat = np.zeros(4)
        mujoco.mju_negQuat(self._inverse, self._zero_quat)
        mujoco.mju_mulQuat(quat, orientation, self._inverse)
        return xyz, quat

    def solve(self, joints: np.ndarray, xyz: np.ndarray, quat: np.ndarray) -> np.ndarray:
        """Joint angles (6,) in rad, within their ranges, that bring the grip point to a pose, or towards it.

        Args:
            joints: where the search starts (rad).
            xyz: position in the world (m).
            quat: rotation wxyz, in the world, from the grip point's orientation at the zero pose.
        """
        target = np.zeros(4)
        mujoco.mju_mulQuat(target, quat, self._zero_quat)
        joints = joints.copy()
        weights = np.repeat([METRE, 1.0], 3)
        for _ in range(MAX_ITERATIONS):
            error = weights * self._error(joints, xyz, target)
            mujoco.mj_comPos(self._model, self._data)
            mujoco.mj_jacSite(self._model, self._data, self._jacobian[:3], self._jacobian[3:], self._site)
            jacobian = weights[:, None] * self._jacobian[:, self._dofs]
            curvature = jacobian.T @ jacobian + np.diag(self._keep + DAMPING**2)
            step = np.linalg.solve(curvature, jacobian.T @ error + self._keep * (self._posture - joints))
            largest = np.abs(step).max()
            if largest < TOLERANCE:
                break
            joints = np.clip(joints + step * min(1.0, MAX_JOINT_STEP / largest), self._low, self._high)
        return joints

    def _error(self, joints: np.ndarray, xyz: np.ndarray, quat: np.ndarray) -> np.ndarray:
        """Remaining translation (m) and rotation vector (rad), world frame: (6,)."""
        position, orientation = self.forward(joints)
        rotation = np.zeros(3)
        mujoco.mju_negQuat(self._inverse, orientation)
        mujoco.mju_mulQuat(self._difference, quat, self._inverse)
        mujoco.mju_quat2Vel(rotation, self._difference, 1.0)
        return np.concatenate([xyz - position, rotation])
