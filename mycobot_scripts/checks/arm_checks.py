"""Checks of the arm: what it reports, how fast it replies, how late it moves, what its gripper does."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from mycobot_scripts.checks.findings import Finding, judged
from mycobot_scripts.kinematics import JOINTS
from mycobot_scripts.robot import MyCobotRobot
from mycobot_scripts.safety import HARD_LIMITS, Limits, SafetyStop
from mycobot_scripts.wire import FIRMWARE, Command, Reply, Servo, ask, clock

WAVE, STEP_SIZE, MOVED = 3.0, 6.0, 0.5  # degrees: of the wave, of a step, and what counts as having moved
WAVE_TIME, PAUSE, PATIENCE = 4.0, 1.2, 2.0  # s: of the wave, between steps, within which a step must show
STEPS = 5
GRIPPER_TIME = 2.5  # s in which the gripper has opened or closed
SLOW, GOOD_LOSS = 0.060, 0.01  # s of a round trip, share of lost replies
OPEN, CLOSED = 1.0, 0.2
USUAL_LAG = (0.15, 0.6)  # s from a command until it shows


def check_firmware(servo: Servo) -> Iterator[Finding]:
    """Versions, power, servos, errors."""
    version = ask(servo, lambda arm: arm.get_system_version())
    board = ask(servo, lambda arm: arm.get_basic_version())
    names = f"servo board {version.text}, base {board.text}"
    is_known = version.values is not None and not board.wrong
    yield judged("firmware", is_known, names, "it does not say; look at the arm's screen", "look")
    powered = ask(servo, lambda arm: arm.is_power_on())
    is_on = powered.value == 1
    yield judged("power", is_on, "on" if is_on else _problem(powered), "switch it on, wait 3 s")
    enabled = ask(servo, lambda arm: arm.is_all_servo_enable())
    advice = "release the emergency stop, switch the arm off and on; a servo may have lost its cable"
    text = "all answer" if enabled.value == 1 else f"is_all_servo_enable {_problem(enabled)}"
    yield judged("servos", enabled.value == 1, text, advice)
    error = ask(servo, lambda arm: arm.get_error_information())
    advice = "1 to 6: that joint is past its limit; 16 to 19: collision; 32 to 34: no way to a pose"
    is_sound = not error.wrong and error.value in (0, None)
    yield judged("error state", is_sound, error.text, FIRMWARE if error.wrong else advice, "look")
    is_acknowledged = servo.stats.acknowledged
    silent = "silent: commands are sent without waiting for a reply"
    yield Finding("commands", "ok", "acknowledged" if is_acknowledged else silent)


def _problem(reply: Reply) -> str:
    """What is wrong with a reply."""
    return reply.wrong or (f"says {reply.text}" if reply.values else "is not told")


def check_limits(servo: Servo) -> Iterator[Finding]:
    """The firmware's own joint limits, against those of the scripts."""
    lows = [ask(servo, lambda arm, n=n: arm.get_joint_min_angle(n)) for n in range(1, JOINTS + 1)]
    highs = [ask(servo, lambda arm, n=n: arm.get_joint_max_angle(n)) for n in range(1, JOINTS + 1)]
    if odd := [reply for reply in (*lows, *highs) if reply.value is None]:
        text = f"{len(odd)} of {2 * JOINTS} are not told{odd[0].wrong and ', one '}{odd[0].wrong}"
        yield Finding("joint limits", "look", text, "scripts use pymycobot's in any case")
        return
    text = "  ".join(f"{low.text} to {high.text}" for low, high in zip(lows, highs, strict=True))
    low, high = (np.array([reply.value for reply in side]) for side in (lows, highs))
    narrower = np.flatnonzero((low > -HARD_LIMITS) | (high < HARD_LIMITS)) + 1
    advice = (
        f"joints {', '.join(map(str, narrower))} stop earlier than pymycobot's limits; raise --joint_margin"
    )
    yield judged("joint limits", not len(narrower), f"{text} deg", advice, "look")


def check_health(servo: Servo, limits: Limits) -> Iterator[Finding]:
    """Temperatures, currents, voltages of the servos."""
    hot, pushing = "let it cool before you go on", "let it cool, look for what it pushes against"
    for name, question, unit, limit, advice in (
        ("temperatures", lambda arm: arm.get_servo_temps(), "degrees C", limits.max_temperature, hot),
        ("currents", lambda arm: arm.get_servo_currents(), "mA", limits.max_current, pushing),
    ):
        reply = ask(servo, question, JOINTS)
        if reply.values is None:
            level = "bad" if reply.wrong else "look"
            yield Finding(name, level, reply.text, f"scripts cannot watch over them; {FIRMWARE}")
            continue
        is_good = max(map(abs, reply.values)) <= limit
        yield judged(name, is_good, f"{reply.text} {unit}", f"above {limit:g}: {advice}")
    voltages = ask(servo, lambda arm: arm.get_servo_voltages(), JOINTS)
    if voltages.wrong:
        yield Finding("voltages", "look", voltages.text, "scripts do without; a newer firmware may tell them")
    elif voltages.values is not None:
        yield Finding("voltages", "ok", f"{voltages.text} (as the servos tell)")


def check_line(servo: Servo, seconds: float = 3.0) -> Iterator[Finding]:
    """How fast and how surely the arm answers, without moving."""
    before, moments = servo.stats, set()
    deadline = clock.now() + seconds
    while clock.now() < deadline:
        moments.add(servo.latest.time)
        time.sleep(0.002)
    after = servo.stats
    lost = (after.lost - before.lost) / max(
        1, after.round_trips + after.lost - before.round_trips - before.lost
    )
    text = (
        f"{(len(moments) - 1) / seconds:.1f} readings a second, round trip {after.median_ms:.0f} ms "
        f"(99 %: {after.p99_ms:.0f} ms), {lost:.1%} lost"
    )
    advice = "try another USB cable and port; nothing else may use the arm's port"
    yield judged("line", lost <= GOOD_LOSS and after.median_ms <= 1000 * SLOW, text, advice, "look")


def check_motion(robot: MyCobotRobot) -> Iterator[Finding]:
    """Swings joint 6 by a few degrees: how many commands a second arrive, and when they show.

    The arm stands at its last command. SafetyStop if the run is stopped.
    """
    servo, fps = robot.servo, 1 / robot.period
    start, count = servo.sent, round(WAVE_TIME * fps)
    before = servo.stats
    for t in range(count):
        angle = WAVE * np.sin(2 * np.pi * t / count * 2)
        _go(robot, start + np.radians(angle) * np.eye(JOINTS + 1)[5])
    sent = servo.stats.arm_commands - before.arm_commands
    rate = sent / WAVE_TIME
    late = robot.timing.late_steps
    text = f"{rate:.1f} a second of {fps:g}; {robot.timing.rate:.2f} steps a second, {late} late"
    advice = "close other programs; --command_gap 0 saves 20 ms a command where the arm bears it"
    yield judged("command rate", rate > 0.97 * fps, text, advice)
    _rest(robot, start, PAUSE)
    lags = [_lag(robot, start, sign) for sign in (1, -1, 1, -1, 1)[:STEPS]]
    known = [lag for lag in lags if lag is not None]
    if len(known) < len(lags):
        text = (
            f"joint 6 did not move within {PATIENCE:g} s at {len(lags) - len(known)} of {len(lags)} commands"
        )
        yield Finding("motion", "bad", text, "is the arm powered, and its emergency stop released?")
        return
    text = (
        f"a command shows in the angles after {np.median(known):.2f} s ({min(known):.2f} to {max(known):.2f})"
    )
    usual = USUAL_LAG[0] <= np.median(known) <= USUAL_LAG[1]
    yield judged(
        "lag", usual, text, f"usual is {USUAL_LAG[0]} to {USUAL_LAG[1]} s; record and run alike", "look"
    )


def _go(robot: MyCobotRobot, action: np.ndarray) -> None:
    if robot.step(action).last():
        raise SafetyStop(robot.stopped)


def _rest(robot: MyCobotRobot, pose: np.ndarray, seconds: float) -> None:
    for _ in range(round(seconds / robot.period)):
        _go(robot, pose)


def _lag(robot: MyCobotRobot, start: np.ndarray, sign: int) -> float | None:
    """Seconds from a step of joint 6 until a reading shows it; None if none does. Then back."""
    servo = robot.servo
    before = np.degrees(servo.latest.qpos[5])
    target = start + np.radians(sign * STEP_SIZE) * np.eye(JOINTS + 1)[5]
    began = clock.now()
    servo.send(target)
    lag = None
    while lag is None and clock.now() - began < PATIENCE:
        state = servo.latest
        if abs(np.degrees(state.qpos[5]) - before) > MOVED:
            lag = state.time - began
        time.sleep(0.002)
    _rest(robot, target, 0.3)
    _rest(robot, start, PAUSE)
    return lag


def check_gripper(robot: MyCobotRobot) -> Iterator[Finding]:
    """Opens and closes it, and reads it where it can be read. SafetyStop if the run is stopped."""
    mode = ask(robot.servo, lambda arm: arm.get_gripper_mode())
    text = {0: "transparent (RS-485)", 1: "port IO"}.get(mode.value, f"not known: {mode.text}")
    advice = "if it does not move: check_arm.py --calibrate sets it; back to port IO takes a power cycle"
    yield judged("gripper mode", mode.value in (0, 1), text, advice, "look")
    values = {}
    for opening in (OPEN, CLOSED):
        move_gripper(robot, opening)
        values[opening] = read_gripper(robot.servo)
    readings = ", ".join(f"{value} at {round(100 * opening)}" for opening, value in values.items())
    if any(value is None for value in values.values()):
        advice = "its state is its last command; see below whether it moves"
        yield Finding("gripper", "look", f"cannot be read ({readings})", advice)
        return
    follows = all(abs(value - 100 * opening) <= 10 for opening, value in values.items())
    advice = "set its mode (--calibrate), look at its cable; a power cycle frees one that is stuck"
    yield judged("gripper", follows, f"reads {readings}; --read_gripper makes it part of the state", advice)


def move_gripper(robot: MyCobotRobot, opening: float) -> None:
    """Bring it to an opening (0 to 1); the arm stays where it stands."""
    _rest(robot, np.append(robot.servo.sent[:JOINTS], opening), GRIPPER_TIME)


def read_gripper(servo: Servo) -> int | None:
    """The gripper's reading (0 to 100); None where it cannot be read."""
    value = ask(servo, lambda arm: arm._mesg(int(Command.GET_GRIPPER_VALUE), has_reply=True)).value
    return int(value) if value is not None and 0 <= value <= 100 else None
