"""The joint-space environment driven in end-effector space, through inverse kinematics.

ACT drags its arms by motion-capture bodies in a second set of scenes, then replays the joints in the first.
From MuJoCo 3.1 on, those welds lag and the script fails. Here one environment is driven in one pass: episodes
record what was commanded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from constants import IMAGE_SIZE
from sim_env import SimEnv, make_sim_env
from tasks import GripPointIK, LookPlan, Task, TimeStep, check_reach


class EndEffectorEnv:
    """A joint-space environment, driven by 8 numbers per arm: xyz (m), quaternion wxyz and gripper."""

    def __init__(self, env: SimEnv) -> None:
        self.env = env
        self._arms = env.spec.arms
        self._ends = np.cumsum([arm.dim for arm in self._arms])[:-1]
        self._solvers = [GripPointIK(env.physics.model.ptr, arm) for arm in self._arms]
        self.solvers = {arm.label: solver for arm, solver in zip(self._arms, self._solvers, strict=True)}

    def reset(
        self,
        rng: np.random.Generator | int | None = None,
        env_state: np.ndarray | None = None,
        case: int | None = None,
        state: np.ndarray | None = None,
    ) -> TimeStep:
        """As `SimEnv.reset`."""
        self._joints = [np.array(arm.start) for arm in self._arms]
        if state is not None:
            self._joints = [part[:-1].astype(float) for part in np.split(state, self._ends)]
        return self.env.reset(rng, env_state, case, state)

    def start_xyz(self) -> dict[str, np.ndarray]:
        """Grip point (3,) in m of each arm in its start pose, by label."""
        poses = zip(self._arms, self._solvers, strict=True)
        return {arm.label: solver.forward(np.array(arm.start))[0] for arm, solver in poses}

    def present(self) -> np.ndarray:
        """Where the arms are now, as the action (8 per arm) that would send them there."""
        return self.gripper_action(self.env.observe()["qpos"])

    def gripper_action(self, state: np.ndarray) -> np.ndarray:
        """The end-effector action (8 per arm) for a state or a joint-space action (D,)."""
        parts = np.split(state, self._ends)
        poses = [solver.pose(part[:-1]) for solver, part in zip(self._solvers, parts, strict=True)]
        return np.concatenate(
            [[*xyz, *quat, part[-1]] for (xyz, quat), part in zip(poses, parts, strict=True)]
        )

    def joint_action(self, action: np.ndarray) -> np.ndarray:
        """The joint-space action (D,) for an end-effector action (8 per arm)."""
        parts = np.split(action, len(self._arms))
        self._joints = [
            solver.solve(joints, part[:3], part[3:7])
            for solver, joints, part in zip(self._solvers, self._joints, parts, strict=True)
        ]
        return np.concatenate([[*joints, part[7]] for joints, part in zip(self._joints, parts, strict=True)])

    def step(self, action: np.ndarray) -> TimeStep:
        return self.env.step(self.joint_action(action))

    def set_looks(self, looks: LookPlan | np.random.Generator | int | Sequence[int] | None) -> None:
        """As `SimEnv.set_looks`."""
        self.env.set_looks(looks)

    @property
    def spec(self) -> Task:
        """The simulated task."""
        return self.env.spec

    @property
    def env_state(self) -> np.ndarray:
        """As `SimEnv.env_state`."""
        return self.env.env_state

    @property
    def case(self) -> int:
        """As `SimEnv.case`."""
        return self.env.case

    @property
    def strict_success(self) -> bool | None:
        """As `SimEnv.strict_success`."""
        return self.env.strict_success

    @property
    def choice(self) -> str | None:
        """As `SimEnv.choice`."""
        return self.env.choice

    def close(self) -> None:
        self.env.close()


def make_ee_sim_env(
    task: Task,
    render_quality: str = "fast",
    image_size: tuple[int, int] = IMAGE_SIZE,
    has_props: bool = True,
    randomize: bool = False,
) -> EndEffectorEnv:
    """The environment of a simulated task (see `make_sim_env`), driven in end-effector space.

    ValueError if a waypoint of its script is out of reach.
    """
    env = EndEffectorEnv(make_sim_env(task, render_quality, image_size, has_props, randomize))
    check_reach(task, env.solvers)
    return env
