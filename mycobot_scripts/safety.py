"""What the arm may do: limits on every command, and what stops a run.

`Guard.clamp` makes a command harmless, and counts what it changed. What no clamping mends (a policy that
gives NaN, an arm that does not follow, a camera that is dead) raises `SafetyStop`: whoever drives the arm
then holds it, and says why.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cli import flag
from mycobot_scripts.kinematics import TOOL_LENGTH, tool_point
from mycobot_scripts.protocol import ANGLE_MAX
from mycobot_scripts.units import JOINTS, on_the_wire

HARD_LIMITS = np.array(ANGLE_MAX)  # degrees, either way
WINDOW = 1.5  # s; longer than the arm lags behind what it is told
MIN_RANGE = 0.4  # rad, and share of the gripper's travel: what a training range is taken to be at least
_TINY = 1e-9  # m; rounding of floats
_BISECTIONS = 10
_SLIDES = 3  # iterations towards the nearest tool point that is allowed


class SafetyStop(RuntimeError):
    """The run must end; the message says why, in one line."""


@dataclass(frozen=True)
class Limits:
    """What the arm may do. Degrees where people read them; everything else as in qpos."""

    joint_margin: float = flag(2.0, "degrees kept from each joint's limit (168 135 145 145 168 180)")
    max_step: float = flag(20.0, "largest change of a joint per command, degrees")
    gripper_step: float = flag(0.1, "largest change of the gripper per command, share of its travel")
    start_speed: float = flag(20.0, "speed of the move to the start pose, degrees a second")
    table_height: float = flag(0.0, "height of the table above the arm's foot, m")
    clearance: float = flag(0.02, "how far above the table the tool point stays, m")
    box_x: tuple[float, float] = flag((-0.5, 0.5), "where the tool point may be along the base's x axis, m")
    box_y: tuple[float, float] = flag((-0.5, 0.5), "where the tool point may be along the base's y axis, m")
    max_height: float = flag(0.6, "how far above the table the tool point may rise, m")
    tool_length: float = flag(TOOL_LENGTH, "from the flange to the point between the finger tips, m")
    range_margin: float = flag(0.5, "how far a policy may leave its training range, as a share of that range")
    stale: float = flag(0.8, "oldest state or camera picture that a run goes on with, s")
    frozen: float = flag(3.0, "how long a camera may show the same picture while the arm moves, s")
    max_deviation: float = flag(12.0, "how far a joint may be from what it was told lately, degrees")
    deviation_time: float = flag(1.0, "how long it may be, s")
    max_temperature: float = flag(65.0, "hottest servo, degrees Celsius")
    max_current: float = flag(2500.0, "largest current of a servo, mA")

    def __post_init__(self) -> None:
        for name in ("max_step", "gripper_step", "start_speed", "tool_length", "stale", "frozen"):
            if not getattr(self, name) > 0:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.joint_margin < HARD_LIMITS.min():
            most = HARD_LIMITS.min()
            raise ValueError(f"--joint_margin is {self.joint_margin}; it must be 0 to {most:.0f}")
        for name in ("box_x", "box_y"):
            low, high = getattr(self, name)
            if not low < high:
                raise ValueError(f"--{name} is {low} {high}; the first must be less than the second")
        if not self.clearance < self.max_height:
            raise ValueError(
                f"--max_height is {self.max_height}; --clearance {self.clearance} is not below it"
            )


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
        self.deviation = 0.0  # degrees; the largest that was seen
        self._asked: deque[tuple[float, np.ndarray]] = deque()  # time (s) and target that the arm was told
        self._apart_since: float | None = None

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
        asked = self._asked
        asked.append((time, target[:JOINTS].copy()))
        while len(asked) > 1 and asked[1][0] < time - WINDOW:
            asked.popleft()

    def check_state(self, time: float, qpos: np.ndarray, now: float, follows: bool = True) -> None:
        """SafetyStop if the state (7,), read at `time` (s), is stale, or far from what was asked for.

        An arm that is guided by hand does not follow.
        """
        age = now - time
        if age > self.limits.stale:
            raise SafetyStop(
                f"the arm's state is {age:.2f} s old (--stale {self.limits.stale}): look at cable and power"
            )
        joint, apart = self._apart(time, qpos) if follows else (0, 0.0)
        self.deviation = max(self.deviation, apart)
        if apart <= self.limits.max_deviation:
            self._apart_since = None
            return
        self._apart_since = time if self._apart_since is None else self._apart_since
        if time - self._apart_since >= self.limits.deviation_time:
            raise SafetyStop(
                f"joint {joint + 1} is {apart:.1f} degrees from what it was told for "
                f"{time - self._apart_since:.1f} s (--max_deviation {self.limits.max_deviation}): "
                "stuck, pushed, or without power"
            )

    def _apart(self, time: float, qpos: np.ndarray) -> tuple[int, float]:
        """The joint furthest from the range of its recent targets, and how far (degrees)."""
        asked = list(self._asked)  # another thread appends
        if not asked:
            return 0, 0.0
        first = max((i for i, (told, _) in enumerate(asked) if told <= time - WINDOW), default=0)
        recent = np.array([target for _, target in asked[first:]])
        beyond = np.maximum(recent.min(0) - qpos[:JOINTS], qpos[:JOINTS] - recent.max(0))
        joint = int(beyond.argmax())
        return joint, max(0.0, float(np.degrees(beyond[joint])))

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
        words = ", ".join(f"{kind} {count}" for kind, count in self.clamped.most_common()) or "none"
        return (
            f"{self.commands} commands, clamped: {words}; joints at most {self.deviation:.1f} degrees "
            "from what they were told"
        )
