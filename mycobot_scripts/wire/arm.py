"""Talks to the arm, one request at a time: commands, readings, its servos' health.

Single-threaded; `servo.Servo` is the thread that calls it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common import check, command_line, flag
from mycobot_scripts.kinematics import JOINTS, on_the_wire, to_degrees, to_state
from mycobot_scripts.safety import Course, Guard, jumps, top_speed
from mycobot_scripts.wire.link import SERVICE, Link
from mycobot_scripts.wire.protocol import Command, encode_angles, to_int16s
from mycobot_scripts.wire.replies import FIRMWARE, WrongReply, read_angles

DETECTION, DETECTIONS = 0.3, 3  # s, and tries, to see whether writes are acknowledged: replies get lost
INSISTENCE = 3  # times that a stop is sent, at most, until it is acknowledged
READINGS = 10  # tries to read the state at the start
MISSING_ACKS = 5  # in a row; then writes count as silent after all
LATENESS = 0.03  # s that a command may be late before a reading is skipped
RECHECK = 0.3  # s after which a current that is too large is read again
PATIENCE = 5.0  # s that a look at the servos' health waits for a moment without commands
VELOCITY_SPAN = 0.15  # s that a velocity is taken over; readings come in steps of 0.09 degrees
STANDSTILL, SETTLING = 2.0, 0.4  # degrees that a stopped arm may still move, and s that it may take
UNKNOWN_GRIPPER = 0.7  # opening of a gripper that cannot be read and has no command yet


@dataclass(frozen=True)
class ServoConfig:
    """How to talk to the arm."""

    speed: int = flag(
        20, "speed of the arm's moves, 1 to 100; 20 peaks at about 75 degrees a second", least=1, most=100
    )
    gripper_speed: int = flag(20, "speed of the gripper's moves, 1 to 100", least=1, most=100)
    gripper_type: int = flag(1, "kind of gripper: 1 adaptive, 3 parallel, 4 flexible", (1, 3, 4))
    gripper_mode: int | None = flag(
        None, "gripper mode to set: 0 transparent, 1 port; left as it is if not given", (0, 1)
    )
    read_gripper: bool = flag(
        False, "read the gripper where it can be read; else its state is its last command"
    )
    command_gap: float = flag(
        20.0, "quiet time between a reply and the next command to arm or gripper, ms", least=0, most=1000
    )
    reply_window: float = flag(100.0, "how long to wait for a reply, ms", above=0, most=10_000)
    gripper_period: float = flag(
        150.0, "shortest time between two commands to the gripper, ms", least=0, most=10_000
    )
    state_period: float = flag(
        50.0, "time between readings while nothing is commanded, ms", least=0, most=10_000
    )
    health_period: float = flag(
        2.0, "time between readings of the servos' temperatures and currents, s", above=0, most=3600
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ArmState:
    """The arm's newest state."""

    time: float  # s, `clock.now`, when the reading came
    qpos: np.ndarray  # (7,) as measured; a gripper that cannot be read: its last command
    qvel: np.ndarray  # (7,) per second
    target: np.ndarray  # (7,) the last command, as sent


@dataclass(frozen=True)
class ServoStats:
    """Counts and times of the line and the loop."""

    round_trips: int
    lost: int  # requests without a reply
    rejected: int  # impossible readings
    median_ms: float  # of a round trip
    p99_ms: float
    arm_commands: int
    gripper_commands: int
    acknowledged: bool  # whether the firmware answers commands that move something

    def text(self) -> str:
        """One line."""
        writes = "acknowledged" if self.acknowledged else "silent"
        return (
            f"servo line, writes {writes}: {self.round_trips} round trips, median {self.median_ms:.1f} ms, "
            f"99 % within {self.p99_ms:.1f} ms, {self.lost} lost, {self.rejected} impossible readings; "
            f"{self.arm_commands} commands to the arm, {self.gripper_commands} to the gripper"
        )


class LinkedArm:
    """The arm at the other end of a link.

    On construction it finds out how the firmware answers, and reads the state; RuntimeError, with what to do,
    if nothing answers. Every method raises OSError when the port fails.
    """

    def __init__(self, link: Link, guard: Guard, config: ServoConfig) -> None:
        self.link, self.guard, self.config, self._now = link, guard, config, link.now
        self.temperatures: list[float] = []  # degrees Celsius, of each servo; [] until known
        self.currents: list[float] = []  # mA
        self.released = False
        self._counts = {"arm": 0, "gripper": 0, "rejected": 0}
        self._missing_acks, self._health = 0, ["temperatures", "currents"]
        if link.request(Command.IS_POWER_ON) == b"\x00":  # without power it answers nothing else
            link.request(Command.POWER_ON, window=3.0)
        self._odd = ""  # the last reply with impossible angles
        angles = self._angles(READINGS)
        if angles is None and self._odd:
            raise RuntimeError(f"the arm on {link.port} answers with {self._odd}; {FIRMWARE}")
        if angles is None:
            raise RuntimeError(
                f"nothing answers on {link.port}; is the arm on, and its screen on Transponder? "
                f"{command_line('mycobot_scripts/check_arm.py')} says more"
            )
        # 1: the latest target wins, none is queued
        replies = (link.request(Command.SET_FRESH_MODE, b"\x01", DETECTION) for _ in range(DETECTIONS))
        self.acknowledged = any(reply is not None for reply in replies)
        if config.gripper_mode is not None:
            self._tell(Command.SET_GRIPPER_MODE, bytes([config.gripper_mode]))
        opening = self._opening()
        self._reads_gripper = config.read_gripper and opening is not None
        qpos = np.append(np.radians(angles), UNKNOWN_GRIPPER if opening is None else opening)
        now = self._now()
        self._readings = deque([(now, qpos)], maxlen=50)
        self._sent = on_the_wire(qpos)  # the last command
        self._gripper_sent: int | None = None  # the gripper's last command, 0 to 100
        self._is_unconfirmed = False  # the last command to the arm may not have arrived
        self._skipped = False  # whether the last reading was skipped
        self._stopped: tuple[float, np.ndarray] | None = None  # when (s) and where (7,)
        self._gripper_due = self._health_due = now
        self.state = ArmState(now, qpos, np.zeros(JOINTS + 1), self._sent)
        self._course = Course(top_speed(config.speed), now, qpos)
        guard.begin(qpos)
        guard.note(now, self._sent)

    # --- commands

    @property
    def sent(self) -> np.ndarray:
        """The last command (7,), as it was allowed."""
        return self._sent

    def command(self, target: np.ndarray) -> None:
        """Send the arm towards `target` (7,), as far as is allowed; `update` commands the gripper."""
        self._go(self.guard.clamp(target, self._sent, self._course, self._now()))

    def _go(self, target: np.ndarray) -> None:
        now = self._now()
        self._sent, self._stopped = target, None
        self.guard.note(now, target)
        self._course.note(now, target)
        self._move()

    def _move(self) -> None:
        payload = encode_angles(to_degrees(self._sent)[0]) + bytes([self.config.speed])
        self._is_unconfirmed = not self._tell(Command.SEND_ANGLES, payload)
        self._counts["arm"] += 1

    def grip(self, opening: float) -> None:
        """Command the gripper alone, to an opening (0 to 1), at once; also while the arm is moved by hand."""
        self._sent = on_the_wire(np.append(self._sent[:JOINTS], opening))
        self._set_gripper(to_degrees(self._sent)[1])

    def _set_gripper(self, value: int) -> None:
        payload = bytes([value, self.config.gripper_speed, self.config.gripper_type])
        self._gripper_sent = value if self._tell(Command.SET_GRIPPER_VALUE, payload) else self._gripper_sent
        self._gripper_due = self._now() + self.config.gripper_period / 1000
        self._counts["gripper"] += 1

    def update(self, spare: float, is_urgent: Callable[[], bool] = lambda: False) -> None:
        """Read the state; then send the gripper its new command, or read the servos' health.

        `spare` (s) is the time until the next command, which this should not delay; when `is_urgent`, this
        ends early. Command, reading and gripper together take longer than the tenth of a second between
        commands: a reading that would add to the delay is skipped, but never two in a row.
        """
        due = self._now() + spare
        if self._is_unconfirmed and not self.released:
            self._move()
        if self._skipped or spare + LATENESS > SERVICE + self.config.command_gap / 1000:
            self._read()
            self._skipped = False
        else:
            self._skipped = True
        if is_urgent():
            return
        now = self._now()
        value = to_degrees(self._sent)[1] if self._counts["arm"] else self._gripper_sent
        if value != self._gripper_sent and now >= self._gripper_due:
            self._set_gripper(value)
        elif now >= self._health_due and (now + SERVICE < due or now > self._health_due + PATIENCE):
            self._read_health()

    def stop(self) -> None:
        """Send STOP. The arm's pose then counts as the last command, so that the next one starts there."""
        self._is_unconfirmed = False
        if self.released:
            return
        self._insist(Command.STOP)
        self._read()
        if self._gripper_sent is not None:  # a command that the gripper has not got yet is forgotten
            self._sent = np.append(self._sent[:JOINTS], self._gripper_sent / 100)
        self._stand()
        self.guard.accept(self._sent)
        self._stopped = (self._now(), self.state.qpos)

    def release(self) -> None:
        """Let the arm be moved by hand: it drops unless somebody holds it."""
        self.stop()
        self._insist(Command.RELEASE_ALL_SERVOS)
        self.released, self._stopped = True, None

    def focus(self) -> None:
        """Hold the arm where it is, after `release`."""
        self._insist(Command.FOCUS_SERVO, b"\x00")
        self._read()
        self._stand()
        self.guard.begin(self._sent)
        self._go(self._sent)
        self.released = False

    def _tell(self, command: Command, payload: bytes = b"") -> bool:
        """Wait for a quiet line, send a write; returns whether it arrived, as far as is known."""
        self.link.quiet()
        if not self.acknowledged:
            self.link.tell(command, payload)
            return True
        arrived = self.link.request(command, payload) is not None
        self._missing_acks = 0 if arrived else self._missing_acks + 1
        self.acknowledged = self._missing_acks < MISSING_ACKS
        return arrived

    def _insist(self, command: Command, payload: bytes = b"") -> None:
        """Send a command again, up to a limit, until it has arrived."""
        for _ in range(INSISTENCE):
            if self._tell(command, payload):
                return

    # --- readings

    def _angles(self, tries: int = 1) -> list[float] | None:
        """Joint angles (degrees) of the first plausible reply; None if there is none."""
        for _ in range(tries):
            reply = self.link.ask(Command.GET_ANGLES)
            if reply is None:
                continue
            try:
                return read_angles(reply)
            except WrongReply as error:
                self._counts["rejected"] += 1
                self._odd = str(error)
        return None

    def _opening(self) -> float | None:
        """The gripper's opening (0 to 1), or None if it cannot be read: a real 320 replies 255."""
        reply = self.link.ask(Command.GET_GRIPPER_VALUE)
        return reply[0] / 100 if reply and len(reply) == 1 and reply[0] <= 100 else None

    def _read(self) -> None:
        angles = self._angles()
        if angles is None:
            return
        now = self._now()
        opening = self._opening() if self._reads_gripper else None
        qpos = to_state(angles, 100 * (self._sent[JOINTS] if opening is None else opening))
        before, last = self._readings[-1]
        if jumps(qpos, last, now - before):
            self._counts["rejected"] += 1
            return
        self._readings.append((now, qpos))
        self._course.see(now, qpos)
        self.state = ArmState(now, qpos, self._velocity(), self._sent)
        self._make_sure_it_stands()

    def _velocity(self) -> np.ndarray:
        """(7,) per second, from the oldest reading within the span, or the one before, to the newest."""
        now, qpos = self._readings[-1]
        recent = [reading for reading in self._readings if now - reading[0] <= VELOCITY_SPAN]
        since, start = recent[0] if len(recent) > 1 else self._readings[-2]
        return (qpos - start) / max(now - since, 1e-3)

    def _stand(self) -> None:
        """Take the measured joints for the last command."""
        self._sent = on_the_wire(np.append(self.state.qpos[:JOINTS], self._sent[JOINTS]))
        self.state = ArmState(self.state.time, self.state.qpos, self.state.qvel, self._sent)
        self._course.begin(self._now(), self._sent)
        self.guard.note(self._now(), self._sent)

    def _make_sure_it_stands(self) -> None:
        """If the firmware ignored STOP, command the arm to where it is now."""
        if self._stopped is None or self.state.time - self._stopped[0] < SETTLING:
            return
        moved = np.degrees(np.abs(self.state.qpos - self._stopped[1])[:JOINTS].max())
        self._stopped = None
        if moved > STANDSTILL:
            self._stand()
            self._go(self._sent)

    def _read_health(self) -> None:
        """Read temperatures or currents, in turn."""
        quantity = self._health[0]
        command = {"temperatures": Command.GET_SERVO_TEMPS, "currents": Command.GET_SERVO_CURRENTS}[quantity]
        reply = self.link.ask(command)
        if reply is not None and len(reply) in (JOINTS, 2 * JOINTS):
            values = list(reply) if len(reply) == JOINTS else to_int16s(reply)
            setattr(self, quantity, [float(value) for value in values])
            if (
                quantity == "currents" and max(map(abs, values)) > self.guard.limits.max_current
            ):  # read again soon
                self._health_due = self._now() + min(RECHECK, self.config.health_period)
                return
        self._health.reverse()
        self._health_due = self._now() + self.config.health_period / 2

    @property
    def stats(self) -> ServoStats:
        median, slowest = self.link.latency()
        return ServoStats(
            round_trips=self.link.answered,
            lost=self.link.lost,
            rejected=self._counts["rejected"],
            median_ms=1000 * median,
            p99_ms=1000 * slowest,
            arm_commands=self._counts["arm"],
            gripper_commands=self._counts["gripper"],
            acknowledged=self.acknowledged,
        )
