"""Jogging: what a person holds down moves the tool or the joints, at known speeds, and never runs away."""

import numpy as np
import pytest

from constants import MYCOBOT
from mycobot_scripts.kinematics.geometry import forward, tool_point
from mycobot_scripts.robot.operator.jog import (
    COMMON,
    GRIPPER_SPEED,
    HELD,
    JOINT_SPEED,
    MAX_LEAD,
    TOOL_SPEEDS,
    Jog,
    TerminalPad,
    axes_from,
)
from mycobot_scripts.robot.operator.keys import Keys
from teleop.devices import RATES, SLOW, Input, explain

HOME = np.append(MYCOBOT.start, 0.7)


class Typed(Keys):
    """Keys by when they were typed."""

    def __init__(self, *presses: tuple[float, str]) -> None:
        self.presses, self.now = list(presses), 0.0

    def poll(self) -> list[str]:
        due = [name for at, name in self.presses if at <= self.now]
        self.presses = [press for press in self.presses if press[0] > self.now]
        return due


def rates(**named) -> np.ndarray:
    return np.array([named.get(name.replace(" ", "_"), 0.0) for name in RATES])


def driven(jog: Jog, steps: int, asked: np.ndarray, follows: bool = True) -> np.ndarray:
    target = HOME
    for _ in range(steps):
        target = jog.step(asked, 0.1, target if follows else HOME)
    return target


@pytest.mark.parametrize(("axis", "sign"), [(0, 1), (1, -1), (2, -1)])  # outwards and up the arm is stretched
def test_the_tip_moves_along_an_axis_and_keeps_its_orientation(axis, sign):
    jog = Jog()
    jog.begin(HOME)
    asked = np.zeros(7)
    asked[axis] = sign
    target = driven(jog, 5, asked)
    moved = tool_point(target[:6]) - tool_point(HOME[:6])
    wanted = np.zeros(3)
    wanted[axis] = sign * 5 * 0.1 * TOOL_SPEEDS[axis]
    np.testing.assert_allclose(moved, wanted, atol=2e-4)
    np.testing.assert_allclose(forward(target[:6])[1], forward(HOME[:6])[1], atol=2e-3)
    assert target[6] == HOME[6]


@pytest.mark.parametrize(
    ("side", "right"), [("behind", [0, 1]), ("left", [1, 0]), ("front", [0, -1]), ("right", [-1, 0])]
)
def test_keys_are_those_of_the_person_who_looks(side, right):
    axes = axes_from(side)
    assert np.allclose(axes[:2, 0], right) and np.isclose(np.linalg.det(axes), 1)
    jog = Jog(axes=axes)
    jog.begin(HOME)
    sign = right[0] - right[1]  # outwards and up the arm is stretched
    moved = tool_point(driven(jog, 3, rates(x=sign))[:6]) - tool_point(HOME[:6])
    np.testing.assert_allclose(moved[:2], sign * 0.3 * TOOL_SPEEDS[0] * np.array(right), atol=2e-4)


def test_the_gripper_turns_about_its_tip():
    jog = Jog()
    jog.begin(HOME)
    target = driven(jog, 5, rates(turn_z=1.0))
    np.testing.assert_allclose(tool_point(target[:6]), tool_point(HOME[:6]), atol=2e-4)
    angle = 5 * 0.1 * TOOL_SPEEDS[5]
    about_z = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    np.testing.assert_allclose(forward(target[:6])[1], about_z @ forward(HOME[:6])[1], atol=2e-3)


def test_joints_and_gripper_by_themselves():
    jog = Jog()
    jog.switch()
    jog.begin(HOME)
    target = driven(jog, 10, rates(z=-1.0, gripper=-1.0))
    change = np.zeros(7)
    change[2], change[6] = -JOINT_SPEED, -GRIPPER_SPEED
    np.testing.assert_allclose(target - HOME, change, atol=1e-9)
    jog.switch()
    assert jog.mode == "tool"


def test_a_target_waits_for_an_arm_that_is_blocked_and_can_be_taken_back():
    jog = Jog("joint")
    jog.begin(HOME)
    ahead = driven(jog, 200, rates(x=1.0), follows=False)
    assert jog.waits_for == "the arm"
    assert 0.8 * MAX_LEAD < ahead[0] - HOME[0] <= MAX_LEAD
    back = jog.step(rates(x=-1.0), 0.1, HOME)
    assert back[0] < ahead[0] and jog.waits_for == ""


def test_out_of_reach_the_target_stays():
    jog = Jog()
    jog.begin(HOME)
    target = driven(jog, 300, rates(x=-1.0))
    assert np.isfinite(target).all() and jog.waits_for == "a way: out of reach"
    assert np.linalg.norm(tool_point(target[:6])[:2]) < 0.65


def test_a_tap_lasts_a_moment_and_a_repeating_key_is_held():
    keys = Typed((0.0, "w"), (0.5, "w"), *((0.5 + 0.03 * i, "w") for i in range(1, 30)))
    pad, seen = TerminalPad(keys), []
    for i in range(160):
        keys.now = 0.01 * i
        seen.append(pad.read(keys.now).rates[RATES.index("y")])
    seen = np.array(seen)
    assert seen[:15].all()  # the tap
    assert not seen[25:50].any()  # until it repeats
    assert seen[51:138].all()  # held
    assert not seen[137 + round(100 * HELD) + 10 :].any()


def test_slow_is_switched_on_and_off():
    keys = Typed((0.0, "x"), (0.1, "w"), (0.5, "x"), (0.6, "w"))
    pad, seen = TerminalPad(keys), []
    for moment in (0.0, 0.1, 0.3, 0.5, 0.6):
        keys.now = moment
        seen.append(pad.read(moment).rates[RATES.index("y")])
    assert [seen[i] for i in (0, 1, 3, 4)] == [0, SLOW, 0, 1]
    assert "tab t: tool or joint space" in explain(pad, COMMON) and "x: slow, fast" in explain(pad, COMMON)


def test_commands_come_once():
    keys = Typed((0.0, "q"), (0.1, "m"), (0.1, "enter"))
    pad = TerminalPad(keys)
    given = []
    for moment in (0.0, 0.05, 0.1, 0.15):
        keys.now = moment
        given.append(pad.read(moment).commands)
    assert given == [{"stop"}, set(), {"take over", "keep"}, set()]
    assert isinstance(pad.read(0.2), Input)
