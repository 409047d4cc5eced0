"""Waypoints in joint space with a number of frames to each, as JSON files; they become actions.

    {"fps": 10, "waypoints": [{"frames": 0, "degrees": [-3.07, 33.39, ...], "gripper": 0.7}, ...]}

The first waypoint is where the motion begins. `props` (optional) says where the things it moves stand in
simulation: {"cube": [x, y, z]} in m. `sequences/` holds the user's two (act-plus-plus_one:
action_cal.py); `record_episodes.py --guide` writes more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from constants import choose
from files import complete_file
from mycobot_scripts.safety import HARD_LIMITS
from mycobot_scripts.units import JOINTS, to_state
from schema import Task
from starts import pose_of, sample_prop

FOLDER = Path(__file__).with_name("sequences")


@dataclass(frozen=True)
class Pose:
    """A waypoint."""

    frames: int  # control steps to it from the one before
    degrees: tuple[float, ...]  # of the six joints
    gripper: float  # 0 closed, 1 open

    @property
    def qpos(self) -> np.ndarray:
        """As state (7,)."""
        return to_state(self.degrees, 100 * self.gripper)

    def check(self, source: str, is_first: bool) -> None:
        """ValueError, beginning with `source`, unless an arm can go there."""
        degrees = np.asarray(self.degrees, dtype=float)
        if degrees.shape != (JOINTS,) or not (np.abs(degrees) <= HARD_LIMITS).all():
            raise ValueError(
                f"{source}: degrees are {list(self.degrees)}; they must be 6, within {HARD_LIMITS.tolist()} "
                "either way"
            )
        if not 0 <= self.gripper <= 1:
            raise ValueError(f"{source}: gripper is {self.gripper}; it must be 0 (closed) to 1 (open)")
        if not (self.frames == 0 if is_first else isinstance(self.frames, int) and self.frames >= 1):
            right = "0, as the motion begins there" if is_first else "a whole number, at least 1"
            raise ValueError(f"{source}: frames is {self.frames}; it must be {right}")


@dataclass(frozen=True)
class Motion:
    """Poses, one after the other."""

    poses: tuple[Pose, ...]
    fps: int  # control steps a second that the frames are counted in
    props: dict[str, tuple[float, ...]] = field(default_factory=dict)  # start (m) of simulated things

    def __len__(self) -> int:
        return sum(pose.frames for pose in self.poses)

    def actions(self) -> np.ndarray:
        """(T, 7) rad and gripper: straight lines, each with both its ends."""
        return np.concatenate(
            [np.linspace(a.qpos, b.qpos, b.frames) for a, b in pairwise(self.poses)], dtype=np.float32
        )

    def env_state(self, task: Task, rng: np.random.Generator) -> np.ndarray:
        """Start (7 P,) of a simulated task's props: as the motion needs them, others as the task draws."""
        starts = [
            pose_of(self.props[prop.name]) if prop.name in self.props else sample_prop(prop, rng)
            for prop in task.props
        ]
        return np.concatenate(starts)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all; its folder is made if need be."""
        path = Path(path)
        rows = [
            {"frames": pose.frames, "degrees": list(pose.degrees), "gripper": pose.gripper}
            for pose in self.poses
        ]
        lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
        props = f'  "props": {json.dumps(self.props)},\n' if self.props else ""
        text = f'{{\n  "fps": {self.fps},\n{props}  "waypoints": [\n{lines}\n  ]\n}}\n'
        path.parent.mkdir(parents=True, exist_ok=True)
        with complete_file(path) as part:
            part.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, name: str | Path) -> Motion:
        """Read a file, or one of `sequences/` by its name; ValueError says what is wrong in it."""
        path = Path(name)
        if path.suffix != ".json":
            path = FOLDER / f"{choose('sequence', str(name), names())}.json"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file of waypoints; by name there are {', '.join(names())}"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            rows = [(row["frames"], tuple(row["degrees"]), row["gripper"]) for row in values["waypoints"]]
            props = {prop: tuple(map(float, place)) for prop, place in values.get("props", {}).items()}
            motion = cls(tuple(Pose(*row) for row in rows), int(values["fps"]), props)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is no file of waypoints ({type(error).__name__}: {error})") from None
        motion.check(str(path))
        return motion

    def check(self, source: str) -> None:
        """ValueError, beginning with `source`, unless an arm can do it."""
        if len(self.poses) < 2:
            raise ValueError(f"{source} has {len(self.poses)} waypoints; a motion needs at least 2")
        if self.fps < 1:
            raise ValueError(f"{source}: fps is {self.fps}; it must be at least 1")
        for prop, place in self.props.items():
            if len(place) != 3 or not np.isfinite(place).all():
                raise ValueError(f"{source}: prop {prop!r} is at {list(place)}; it must be 3 numbers, in m")
        for i, pose in enumerate(self.poses):
            pose.check(f"{source}: waypoint {i}", is_first=i == 0)


def names() -> list[str]:
    """Motions that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def motion_through(
    states: Sequence[np.ndarray], fps: int, speed: float, gripper_speed: float = 1.0, pause: float = 0.3
) -> Motion:
    """A motion through states (7,), each reached at a speed.

    Args:
        states: rad, and gripper.
        fps: control steps a second.
        speed: of the joint that moves furthest, degrees a second.
        gripper_speed: share of its travel a second.
        pause: s to stay where only the gripper moves, at least: it is slower than it says.
    """
    poses = [_pose(states[0], 0)]
    for before, state in pairwise(states):
        turn = float(np.degrees(np.abs(state[:JOINTS] - before[:JOINTS])).max())
        grip = abs(float(state[JOINTS] - before[JOINTS]))
        seconds = max(turn / speed, grip / gripper_speed + (pause if grip else 0.0))
        poses.append(_pose(state, max(1, round(seconds * fps))))
    return Motion(tuple(poses), fps)


def _pose(state: np.ndarray, frames: int) -> Pose:
    degrees = tuple(round(float(angle), 2) for angle in np.degrees(state[:JOINTS]))
    return Pose(frames, degrees, round(float(np.clip(state[JOINTS], 0, 1)), 2))
