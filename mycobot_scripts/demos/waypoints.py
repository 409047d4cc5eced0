"""Waypoints in joint space with a number of frames to each, as JSON files; they become actions.

    {"fps": 10, "waypoints": [{"frames": 0, "degrees": [-3.07, 33.39, ...], "gripper": 0.7}, ...]}

The first waypoint is where the motion begins, and has 0 frames. `props` (optional) says where the things it
moves stand in simulation: {"cube": [x, y, z]} in m. `sequences/` holds the user's two (act-plus-plus_one:
action_cal.py); `record_episodes.py --guide` writes more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from common import choose, complete_file
from mycobot_scripts.kinematics import JOINTS, to_state
from mycobot_scripts.safety import HARD_LIMITS, Limits
from tasks import Task, pose_of, sample_prop

FOLDER = Path(__file__).resolve().parents[1] / "sequences"
FORMAT = 'the form is {"fps": 10, "waypoints": [{"frames": 0, "degrees": [6 angles], "gripper": 0.7}, ...]}'
KEYS = {"frames": "steps to it", "degrees": "6 angles", "gripper": "0 closed to 1 open"}  # of a waypoint
MAX_FRAMES = 100_000  # almost three hours at 10 a second
MAX_FPS = 50
_TINY = 1e-9  # rounding of floats


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
        degrees = self.degrees
        are_six = isinstance(degrees, tuple) and len(degrees) == JOINTS and all(map(_is_number, degrees))
        if not are_six or not (np.abs(degrees) <= HARD_LIMITS).all():
            angles = list(degrees) if isinstance(degrees, tuple) else degrees
            limits = ", ".join(f"{limit:g}" for limit in HARD_LIMITS)
            raise ValueError(f"{source}: degrees are {angles}; they must be 6, within [{limits}] either way")
        if not _is_number(self.gripper) or not 0 <= self.gripper <= 1:
            raise ValueError(f"{source}: gripper is {self.gripper!r}; it must be 0 (closed) to 1 (open)")
        if not _is_whole(self.frames) or not (
            self.frames == 0 if is_first else 1 <= self.frames <= MAX_FRAMES
        ):
            right = f"a whole number, at least 1, at most {MAX_FRAMES}"
            right = "0, as the motion begins there" if is_first else right
            raise ValueError(f"{source}: frames is {self.frames!r}; it must be {right}")


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
            values = json.loads(path.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no file of waypoints ({error}); {FORMAT}") from None
        motion = cls._of(str(path), values)
        motion.check(str(path))
        return motion

    @classmethod
    def _of(cls, source: str, values: Any) -> Motion:
        """The motion in what a file holds; ValueError for an entry that is missing, with its format."""
        values = _entries(source, values, {"fps": "a number", "waypoints": "a list"})
        rows, props = values["waypoints"], values.get("props", {})
        if not isinstance(rows, list):
            raise ValueError(f"{source}: waypoints is {rows!r:.60}; it must be a list; {FORMAT}")
        if not isinstance(props, dict):
            raise ValueError(f'{source}: props is {props!r:.60}; it must be {{"cube": [x, y, z]}}, in m')
        poses = []
        for number, row in enumerate(rows):
            row = _entries(f"{source}: waypoint {number}", row, KEYS)
            degrees = row["degrees"]
            degrees = tuple(degrees) if isinstance(degrees, list) else degrees
            poses.append(Pose(_whole(row["frames"]), degrees, row["gripper"]))
        places = {name: tuple(xyz) if isinstance(xyz, list) else xyz for name, xyz in props.items()}
        return cls(tuple(poses), _whole(values["fps"]), places)

    def check(self, source: str) -> None:
        """ValueError, beginning with `source`, unless an arm can do it."""
        if len(self.poses) < 2:
            raise ValueError(f"{source} has {len(self.poses)} waypoints; a motion needs at least 2")
        if not _is_whole(self.fps) or not 1 <= self.fps <= MAX_FPS:
            raise ValueError(
                f"{source}: fps is {self.fps!r}; it must be a whole number, at least 1, at most {MAX_FPS}"
            )
        for prop, place in self.props.items():
            if not isinstance(place, tuple) or len(place) != 3 or not all(map(_is_number, place)):
                xyz = list(place) if isinstance(place, tuple) else place
                raise ValueError(f"{source}: prop {prop!r} is at {xyz}; it must be 3 numbers, in m")
        for i, pose in enumerate(self.poses):
            pose.check(f"{source}: waypoint {i}", is_first=i == 0)
        if len(self) > MAX_FRAMES:
            raise ValueError(f"{source} has {len(self)} frames in all; it must be {MAX_FRAMES} at most")

    def check_steps(self, source: str, limits: Limits) -> None:
        """ValueError for a waypoint to which the arm would move further in a frame than it may."""
        most = np.append(np.full(JOINTS, limits.max_step), limits.gripper_step)
        for number, (before, pose) in enumerate(pairwise(self.poses), start=1):
            way = np.append(np.subtract(pose.degrees, before.degrees), pose.gripper - before.gripper)
            jumps = np.abs(way) / max(1, pose.frames - 1)  # a stretch has a frame at both its ends
            worst = int((jumps / most).argmax())
            if jumps[worst] > most[worst] + _TINY:
                needed = math.ceil(round(abs(way[worst]) / most[worst], 6)) + 1
                motion = f"joint {worst + 1} by {jumps[worst]:.1f} degrees"
                flag = f"--max_step allows {limits.max_step:g}"
                if worst == JOINTS:
                    motion = f"the gripper by {jumps[worst]:.2f}"
                    flag = f"--gripper_step allows {limits.gripper_step:g}"
                raise ValueError(
                    f"{source}: waypoint {number} has {pose.frames} frames, each of which moves {motion}; "
                    f"{flag}; give it {needed} frames or more"
                )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> Any:
    """10.0 as 10; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _entries(source: str, values: Any, wanted: Mapping[str, str]) -> dict[str, Any]:
    """`values`, if it is an object that has all that is wanted; otherwise ValueError with the format."""
    if not isinstance(values, dict):
        raise ValueError(f"{source} is {values!r:.60}; it must be an object; {FORMAT}")
    missing = [name for name in wanted if name not in values]
    if missing:
        has = f"; it has {', '.join(values)}" if values else ""
        raise ValueError(f"{source} lacks {missing[0]!r} ({wanted[missing[0]]}){has}; {FORMAT}")
    return values


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
        pause: s added where the gripper moves: it is slower than it should be.
    """
    poses = [_pose(states[0], 0)]
    for before, state in pairwise(states):
        turn = float(np.degrees(np.abs(state[:JOINTS] - before[:JOINTS])).max())
        grip = abs(float(state[JOINTS] - before[JOINTS]))
        seconds = max(turn / speed, grip / gripper_speed + (pause if grip else 0.0))
        poses.append(_pose(state, max(1, math.ceil(round(seconds * fps, 6))) + 1))  # a frame at both its ends
    return Motion(tuple(poses), fps)


def _pose(state: np.ndarray, frames: int) -> Pose:
    degrees = tuple(round(float(angle), 2) for angle in np.degrees(state[:JOINTS]))
    return Pose(frames, degrees, round(float(np.clip(state[JOINTS], 0, 1)), 2))
