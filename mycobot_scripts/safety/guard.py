"""The guard: holds every command inside the limits, and stops a run that leaves them.

`Guard.clamp` makes a command harmless, and counts what it changed: the command itself is inside all limits,
and so is the arm on every path that it may take there (`prediction.py`). What clamping cannot mend (a policy
that gives NaN, an arm that does not follow or is outside, a dead camera) raises `SafetyStop`: whoever drives
the arm then makes it hold, and says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mycobot_scripts.kinematics import JOINTS, on_the_wire
from mycobot_scripts.safety.bounds import Bounds
from mycobot_scripts.safety.detour import Detour, Situation
from mycobot_scripts.safety.following import Following, jumps
from mycobot_scripts.safety.limits import HARD_LIMITS, LateStop, Limits, SafetyStop
from mycobot_scripts.safety.prediction import LEAD, TOP_SPEED, Course

__all__ = ["HARD_LIMITS", "Guard", "Limits", "SafetyStop"]

MIN_RANGE = 0.4  # rad, and share of the gripper's travel: a narrower training range counts as this
_TINY = 1e-9  # m; rounding of floats
_ROUNDED = 0.001  # m; by how much rounding to the arm's resolution may move it


class Guard:
    """Clamps commands to the limits, counts what it clamped, and tells when to stop.

    Args:
        limits: what is allowed.
        action_range: lowest and highest action (7,) in a policy's training, if one drives the arm.
    """

    def __init__(self, limits: Limits, action_range: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        self.limits, self.action_range = limits, action_range
        self.when_late = "look at cable and power; or this computer is too busy"
        reach = np.radians(HARD_LIMITS - limits.joint_margin)
        self._low, self._high = np.append(-reach, 0.0), np.append(reach, 1.0)
        self._steps = np.append(np.full(JOINTS, np.radians(limits.max_step)), limits.gripper_step)
        self._bounds = Bounds(limits)
        self._detour = Detour(self._bounds)
        self._allowed = np.zeros(self._bounds.count)  # m outside each limit; above 0 where it began so
        self.reset()

    def reset(self) -> None:
        """Forget the counts and the past commands."""
        self.clamped: Counter[str] = Counter()  # commands that were changed, by kind
        self.commands = 0
        self._following = Following(self.limits)
        self._last_reading: tuple[float, np.ndarray] | None = None  # time (s) and state (7,)
        self._overloads: dict[int, str] = {}  # servos whose last current was too large

    def begin(self, pose: np.ndarray) -> None:
        """The arm begins at a pose (7,); where that is outside a limit, the arm may only come back."""
        excess = self._excess(pose)
        self._allowed = np.where(excess > 0, excess + _ROUNDED, 0.0)

    def accept(self, pose: np.ndarray) -> None:
        """The arm was stopped at a pose (7,). If it was pushed far outside, it may come back from there."""
        excess = self._excess(pose)
        is_far = excess > self._allowed + self.limits.max_outside
        self._allowed = np.where(is_far, excess, self._allowed)

    def check_start(self, start: np.ndarray) -> None:
        """SafetyStop if a start pose (7,) is outside a limit."""
        if not _is_pose(start):
            raise SafetyStop(f"the start pose is {np.asarray(start).tolist()}; it must be 7 finite numbers")
        depth, _, words = self._bounds.worst(self._excess(start))
        if depth > _ROUNDED:
            raise SafetyStop(f"the limits keep the arm from its start pose: {words}")

    def _excess(self, pose: np.ndarray) -> np.ndarray:
        return self._bounds.excess(np.asarray(pose, dtype=float)[None, :JOINTS], pose[JOINTS])[0]

    # --- commands

    def clamp(
        self, target: np.ndarray, previous: np.ndarray, course: Course | None = None, now: float = 0.0
    ) -> np.ndarray:
        """The allowed command (7,) nearest to `target` (7,).

        It is exactly what the wire can carry. An arm that is outside a limit, perhaps moved there by hand,
        gets no further out. SafetyStop if the target is not finite.

        Args:
            target: what somebody asks for.
            previous: the last command.
            course: where the arm is and goes; without one, it rests at `previous`.
            now: when the command is sent, s.
        """
        if not _is_pose(target):
            raise SafetyStop(f"a command is {np.asarray(target).tolist()}; it must be 7 finite numbers")
        self.commands += 1
        previous = on_the_wire(previous)
        if course is None:
            course, most = Course(TOP_SPEED, now, previous), self._steps
            self._allowed = np.maximum(0.0, self._excess(previous))
        else:
            most = np.minimum(self._steps, np.append(np.full(JOINTS, course.room(now)), 1.0))
            if self._allowed.any():  # shrinks as the arm comes back
                back = np.maximum(0.0, self._excess(course.pose) + _ROUNDED)
                self._allowed = np.minimum(self._allowed, back)
        situation = Situation(
            *(previous, course.pose, course.starts(now), course.speed, course.opening, self._allowed)
        )
        wanted = self._within(np.asarray(target, dtype=float), situation, most, count=True)

        def slide(joints: np.ndarray) -> np.ndarray:
            pose = np.append(self._bounds.slide(joints), wanted[JOINTS])
            return on_the_wire(self._within(pose, situation, most))[:JOINTS]

        command, side = self._detour.nearest(on_the_wire(wanted), situation, slide)
        self.count(side, side != "")
        return command

    def _within(
        self, target: np.ndarray, situation: Situation, most: np.ndarray, count: bool = False
    ) -> np.ndarray:
        """Joint limits, then steps; all joints are slowed alike, so that the path stays the same."""
        previous = situation.previous
        inside = np.clip(target, np.minimum(self._low, previous), np.maximum(self._high, previous))
        step = inside - previous
        slowed = float(np.max(np.abs(step[:JOINTS]) / np.maximum(most[:JOINTS], _TINY), initial=1.0))
        ahead = np.maximum(LEAD * situation.speed - np.sign(step) * (previous - situation.pose), _TINY)
        waits = float(np.max(np.abs(step[:JOINTS]) / ahead[:JOINTS]))
        gripper = np.clip(step[JOINTS], -most[JOINTS], most[JOINTS])
        if count:
            changed = inside != target
            self.count("joint limit", changed[:JOINTS].any())
            self.count("gripper range", changed[JOINTS])
            self.count("step", slowed > 1 + _TINY)
            self.count("ahead of the arm", waits > max(slowed, 1 + _TINY))
            self.count("gripper step", abs(step[JOINTS]) > most[JOINTS] + _TINY)
        return previous + np.append(step[:JOINTS] / max(slowed, waits), gripper)

    def count(self, change: str, happened: bool = True) -> None:
        """A command was changed, if it `happened`; the report says how often."""
        if happened:
            self.clamped[change] += 1

    def outside(self, joints: np.ndarray, opening: float = 0.0) -> tuple[float, str]:
        """How far (m) the arm is outside its limits at joint angles (6,), and the side: table, box, itself.

        `opening` is the gripper's, 0 to 1.
        """
        depth, side, _ = self._bounds.worst(self._excess(np.append(joints, opening)))
        return max(0.0, depth), side

    def beyond(self, target: np.ndarray) -> str | None:
        """Which limit a finite target (7,) exceeds: joint limit, table or box; None if none.

        Whether the arm would touch itself is for the rehearsal, which knows its shape better.
        """
        joints = target[:JOINTS]
        if (joints < self._low[:JOINTS]).any() or (joints > self._high[:JOINTS]).any():
            return "joint limit"
        depth, side, _ = self._bounds.worst(self._excess(np.append(joints, 0.0)), besides="itself")
        return side if depth > _TINY else None

    # --- what stops a run

    def check_action(self, action: np.ndarray) -> None:
        """SafetyStop if a policy's action (7,) is not finite, or far outside its training range."""
        action = np.asarray(action, dtype=float)
        if not _is_pose(action):
            raise SafetyStop(f"the policy gave {action.tolist()}; an action is 7 finite numbers")
        if self.action_range is None:
            return
        low, high = (np.asarray(bound, dtype=float) for bound in self.action_range)
        room = self.limits.range_margin * np.maximum(high - low, MIN_RANGE)
        beyond = np.maximum(low - room - action, action - high - room)
        worst = int(beyond.argmax())
        if beyond[worst] > 0:
            value, bounds = action[worst], (low[worst], high[worst])
            name, unit = "the gripper", ""
            if worst < JOINTS:
                value, bounds = np.degrees(value), np.degrees(bounds)
                name, unit = f"joint {worst + 1}", " degrees"
            raise SafetyStop(
                f"the policy sends {name} to {value:.2f}{unit}; in training it was {bounds[0]:.2f} to "
                f"{bounds[1]:.2f} (--range_margin {self.limits.range_margin})"
            )

    def refuses(self, action: np.ndarray) -> bool:
        """Whether `check_action` stops the run."""
        try:
            self.check_action(action)
        except SafetyStop:
            return True
        return False

    def note(self, time: float, target: np.ndarray) -> None:
        """The command `target` (7,) was sent at `time` (s)."""
        self._following.note(time, target)

    def check_state(self, time: float, qpos: np.ndarray, now: float, follows: bool = True) -> None:
        """SafetyStop if the state (7,), read at `time` (s), is old, far from the commands, or outside.

        An arm that a hand guides does not follow (`follows`), and may be anywhere.
        """
        age = now - time
        if age > self.limits.stale:
            raise LateStop(
                f"the arm's state is {age:.2f} s old (--stale {self.limits.stale}): {self.when_late}"
            )
        if follows:
            self._check_inside(time, qpos)
            self._following.check(time, qpos)
        else:
            self._following.pause()

    def _check_inside(self, time: float, qpos: np.ndarray) -> None:
        """SafetyStop if the arm is outside a limit, further than it may be."""
        if not np.isfinite(qpos).all():
            raise SafetyStop(f"the arm says that it is at {np.asarray(qpos).tolist()}")
        before, self._last_reading = self._last_reading, (time, np.array(qpos, dtype=float))
        if before is not None and jumps(qpos, before[1], time - before[0]):
            return  # misread; the next reading decides
        depth, _, words = self._bounds.worst(self._excess(qpos) - self._allowed)
        if depth > self.limits.max_outside:
            raise SafetyStop(f"{words} (--max_outside {self.limits.max_outside:g})")

    @property
    def deviation(self) -> float:
        """The largest distance (degrees) of a joint from its recent commands."""
        return self._following.deviation

    def check_servos(self, temperatures: Sequence[float], currents: Sequence[float]) -> str | None:
        """SafetyStop if a servo is too hot (degrees Celsius), or has drawn too much (mA) twice in a row.

        Each call is a new reading; [] means none. Returns a warning about what was too much only once.
        """
        limits = self.limits
        for joint, value in enumerate(temperatures, start=1):
            if value > limits.max_temperature:
                raise SafetyStop(
                    f"servo {joint} is at {value:g} degrees Celsius (--max_temperature "
                    f"{limits.max_temperature:g}): let it cool"
                )
        if not currents:
            return None
        before, self._overloads = (
            self._overloads,
            {
                joint: f"servo {joint} is at {value:g} mA (--max_current {limits.max_current:g})"
                for joint, value in enumerate(currents, start=1)
                if abs(value) > limits.max_current  # its sign, if any, is the direction
            },
        )
        for joint in before:
            if joint in self._overloads:
                raise SafetyStop(f"{self._overloads[joint]} twice in a row: something is in its way")
        passed = ", ".join(before.values())
        return f"{passed} for a moment; twice in a row stops the arm" if passed else None

    def check_camera(self, name: str, age: float, unchanged: float = 0.0, moved: float = 0.0) -> None:
        """SafetyStop if a camera's newest picture is too old, or the same for too long.

        Args:
            name: of the camera.
            age: of its newest picture, s.
            unchanged: how long its pictures have been the same, to the last bit, s.
            moved: how far the arm's joints went in that time, degrees.
        """
        if age > self.limits.stale:
            raise LateStop(f"camera {name!r} gave no picture for {age:.2f} s (--stale {self.limits.stale})")
        if unchanged > self.limits.frozen and moved > self.limits.max_deviation:
            raise SafetyStop(
                f"camera {name!r} has shown the same picture for {unchanged:.1f} s (--frozen "
                f"{self.limits.frozen}) while the arm moved by {moved:.0f} degrees: it is frozen"
            )

    def report(self) -> str:
        """One line: what was clamped, and how well the arm followed."""
        counts = Counter(dict(self.clamped))  # the servo's thread may be counting
        words = ", ".join(f"{kind} {count}" for kind, count in counts.most_common()) or "none"
        return (
            f"{self.commands} commands, clamped: {words}; joints at most {self.deviation:.1f} degrees "
            "from their commands"
        )


def _is_pose(values: np.ndarray) -> bool:
    """Whether these are 7 finite numbers."""
    return np.shape(values) == (JOINTS + 1,) and bool(np.isfinite(values).all())
