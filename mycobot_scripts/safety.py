"""What the arm may do: limits on every command, and what stops a run.

`Guard.clamp` makes a command harmless, and counts what it changed. What no clamping mends (a policy that
gives NaN, an arm that does not follow, a camera that is dead) raises `SafetyStop`: whoever drives the arm
then holds it, and says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mycobot_scripts.following import Following
from mycobot_scripts.kinematics import tool_point
from mycobot_scripts.limits import HARD_LIMITS, Limits, SafetyStop
from mycobot_scripts.units import JOINTS, on_the_wire

__all__ = ["HARD_LIMITS", "Guard", "Limits", "SafetyStop"]

MIN_RANGE = 0.4  # rad, and share of the gripper's travel: what a training range is taken to be at least
_TINY = 1e-9  # m; rounding of floats
_BISECTIONS = 10
_SLIDES = 3  # iterations towards the nearest tool point that is allowed


class Guard:
    """Clamps commands to the limits, counts what it clamped, and tells when to stop.

    Args:
        limits: what is allowed.
        start: pose (7,) at which runs begin.
    """

    def __init__(self, limits: Limits, start: np.ndarray) -> None:
        self.limits, self.start = limits, np.asarray(start, dtype=float)
        reach = np.radians(HARD_LIMITS - limits.joint_margin)
        self._low, self._high = np.append(-reach, 0.0), np.append(reach, 1.0)
        self._steps = np.append(np.full(JOINTS, np.radians(limits.max_step)), limits.gripper_step)
        bottom = limits.table_height
        self._box_low = np.array([limits.box_x[0], limits.box_y[0], bottom + limits.clearance])
        self._box_high = np.array([limits.box_x[1], limits.box_y[1], bottom + limits.max_height])
        self.reset()

    def reset(self) -> None:
        """Forget counts, and what the arm was told."""
        self.clamped: Counter[str] = Counter()  # commands that were changed, by kind
        self.commands = 0
        self._following = Following(self.limits)

    # --- commands

    def clamp(self, target: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """The allowed command (7,) nearest to `target` (7,), if the last one was `previous` (7,).

        It is exactly what the wire can say. Where `previous` is itself outside a limit, as an arm may be that
        was moved by hand, the command is at least no further out. SafetyStop if the target is not finite.
        """
        if np.shape(target) != self.start.shape or not np.isfinite(target).all():
            raise SafetyStop(f"a command is {np.asarray(target).tolist()}; it must be 7 finite numbers")
        self.commands += 1
        previous = on_the_wire(previous)
        allowed = self._within(np.asarray(target, dtype=float), previous, count=True)
        return self._keep_tool_in(on_the_wire(allowed), previous)

    def _within(self, target: np.ndarray, previous: np.ndarray, count: bool = False) -> np.ndarray:
        """Joint limits, then steps; all joints are slowed alike, so that the path stays the same."""
        inside = np.clip(target, np.minimum(self._low, previous), np.maximum(self._high, previous))
        step = inside - previous
        share = max(1.0, np.abs(step[:JOINTS] / self._steps[:JOINTS]).max())
        slowed = previous + np.append(
            step[:JOINTS] / share, np.clip(step[JOINTS], -self._steps[JOINTS], self._steps[JOINTS])
        )
        if count:
            changed = inside != target
            self._count("joint limit", changed[:JOINTS].any())
            self._count("gripper range", changed[JOINTS])
            self._count("step", share > 1 + _TINY)
            self._count("gripper step", abs(step[JOINTS]) > self._steps[JOINTS] + _TINY)
        return slowed

    def _count(self, kind: str, happened: bool) -> None:
        if happened:
            self.clamped[kind] += 1

    def outside(self, joints: np.ndarray) -> tuple[float, str]:
        """How far (m) the tool point is outside its box at joint angles (6,), and at which side."""
        point = tool_point(joints, self.limits.tool_length)
        below, above = self._box_low - point, point - self._box_high
        beyond = np.maximum(below, above)
        axis = int(beyond.argmax())
        side = "table" if axis == 2 and below[2] > 0 else "box"
        return max(0.0, float(beyond[axis])), side

    def beyond(self, target: np.ndarray) -> str | None:
        """Which limit a finite target (7,) is beyond: joint limit, table, box, or none."""
        joints = target[:JOINTS]
        if (joints < self._low[:JOINTS]).any() or (joints > self._high[:JOINTS]).any():
            return "joint limit"
        depth, side = self.outside(joints)
        return side if depth > _TINY else None

    def _keep_tool_in(self, target: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """Slide along the side that the tool point would pass; failing that, go as far as is allowed."""
        allowed = self.outside(previous[:JOINTS])[0] + _TINY
        depth, side = self.outside(target[:JOINTS])
        if depth <= allowed:
            return target
        self._count(side, True)
        slid = on_the_wire(self._within(self._slide(target), previous))
        if self.outside(slid[:JOINTS])[0] <= allowed:
            return slid
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            share = (low + high) / 2
            part = on_the_wire(previous + share * (slid - previous))
            low, high = (share, high) if self.outside(part[:JOINTS])[0] <= allowed else (low, share)
        stopped = on_the_wire(previous + low * (slid - previous))
        return np.append(stopped[:JOINTS], target[JOINTS])

    def _slide(self, target: np.ndarray) -> np.ndarray:
        """Joints whose tool point is the nearest inside the box, by damped least squares."""
        joints, length, edge = target[:JOINTS].copy(), self.limits.tool_length, 1e-3
        for _ in range(_SLIDES):
            point = tool_point(joints, length)
            error = np.clip(point, self._box_low + edge, self._box_high - edge) - point
            small = 1e-4
            moved = [tool_point(joints + small * unit, length) - point for unit in np.eye(JOINTS)]
            jacobian = np.array(moved).T / small  # (3, 6) m/rad
            joints += jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-4 * np.eye(3), error)
        return np.append(joints, target[JOINTS])

    # --- what stops a run

    def check_action(
        self, action: np.ndarray, low: np.ndarray | None = None, high: np.ndarray | None = None
    ) -> None:
        """SafetyStop if a policy's action (7,) is not finite, or far outside its training range (7,) each."""
        action = np.asarray(action, dtype=float)
        if action.shape != self.start.shape or not np.isfinite(action).all():
            raise SafetyStop(f"the policy gave {action.tolist()}; an action is 7 finite numbers")
        if low is None or high is None:
            return
        low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
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

    def note(self, time: float, target: np.ndarray) -> None:
        """The arm was told `target` (7,) at `time` (s)."""
        self._following.note(time, target)

    def check_state(self, time: float, qpos: np.ndarray, now: float, follows: bool = True) -> None:
        """SafetyStop if the state (7,), read at `time` (s), is stale, or far from what was asked for.

        An arm that is guided by hand does not follow.
        """
        age = now - time
        if age > self.limits.stale:
            raise SafetyStop(
                f"the arm's state is {age:.2f} s old (--stale {self.limits.stale}): look at cable and power; "
                "or this computer is too busy"
            )
        if follows:
            self._following.check(time, qpos)
        else:
            self._following.pause()

    @property
    def deviation(self) -> float:
        """The furthest (degrees) that a joint was from all that it was told lately."""
        return self._following.deviation

    def check_servos(self, temperatures: Sequence[float], currents: Sequence[float]) -> None:
        """SafetyStop if a servo is too hot (degrees Celsius) or draws too much (mA)."""
        kinds = (
            ("degrees Celsius", "max_temperature", temperatures, "let it cool"),
            ("mA", "max_current", currents, "something is in its way"),
        )
        for unit, name, values, advice in kinds:
            limit = getattr(self.limits, name)
            for joint, value in enumerate(values, start=1):
                if value > limit:
                    raise SafetyStop(f"servo {joint} is at {value:g} {unit} (--{name} {limit:g}): {advice}")

    def check_camera(self, name: str, age: float, unchanged: float = 0.0, moved: float = 0.0) -> None:
        """SafetyStop if a camera's newest picture is too old, or the same for too long.

        Args:
            name: of the camera.
            age: of its newest picture, s.
            unchanged: how long its pictures have been the same, to the last bit, s.
            moved: how far the arm's joints went in that time, degrees.
        """
        if age > self.limits.stale:
            raise SafetyStop(f"camera {name!r} gave no picture for {age:.2f} s (--stale {self.limits.stale})")
        if unchanged > self.limits.frozen and moved > self.limits.max_deviation:
            raise SafetyStop(
                f"camera {name!r} has shown the same picture for {unchanged:.1f} s (--frozen "
                f"{self.limits.frozen}) while the arm moved by {moved:.0f} degrees: it is frozen"
            )

    def report(self) -> str:
        """One line: what was clamped, and how well the arm did what it was told."""
        kinds = Counter(dict(self.clamped))  # the servo's thread may be counting
        words = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()) or "none"
        return (
            f"{self.commands} commands, clamped: {words}; joints at most {self.deviation:.1f} degrees "
            "from what they were told"
        )
