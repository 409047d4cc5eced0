"""The arm in another program's loop, as LeRobot's: names, what was sent, and what stops it."""

import time

import numpy as np
import pytest
from arm_rig import Person, make_rig
from emulated import START, eventually

from mycobot_scripts.kinematics.units import on_the_wire
from mycobot_scripts.robot.outer_loop import FEATURES, Nobody, OuterLoop, as_named, from_named
from mycobot_scripts.safety.limits import SafetyStop

EXPORTED = [f"right_joint_{n}" for n in range(1, 7)] + ["right_gripper"]  # by `export_lerobot`
POSE = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])


def test_names_are_as_lerobot_has_them():
    assert (*(f"joint_{n}.pos" for n in range(1, 7)), "gripper.pos") == FEATURES
    assert all(name.endswith(".pos") for name in FEATURES), "lerobot-rollout gives a policy no others"


@pytest.mark.parametrize("names", [FEATURES, EXPORTED])
def test_actions_come_by_name_in_any_order(names):
    action = dict(reversed(list(zip(names, POSE.astype(np.float32), strict=True))))
    np.testing.assert_allclose(from_named(action), POSE, rtol=1e-6)


@pytest.mark.parametrize(
    "names", [FEATURES[:6], (*FEATURES[:6], "wrist.pos"), (*FEATURES, "right_gripper"), ()]
)
def test_other_names_are_refused(names):
    with pytest.raises(ValueError, match=r"an action has .*; the arm takes joint_1.pos, .*gripper.pos"):
        from_named(dict.fromkeys(names, 0.1))


@pytest.fixture
def rig():
    with make_rig(Person()) as rig:
        yield rig


def test_observes_state_and_pictures_at_once(rig):
    loop = OuterLoop(rig.session.robot)
    seen = loop.observe()
    assert list(seen) == [*FEATURES, *rig.session.task.cameras]
    assert all(type(seen[name]) is float for name in FEATURES)
    np.testing.assert_allclose([seen[name] for name in FEATURES], rig.session.servo.latest.qpos, atol=0.01)
    assert seen["top"].dtype == np.uint8 and seen["top"].shape == (480, 640, 3)
    assert OuterLoop(rig.session.robot, (30, 40)).observe()["top"].shape == (30, 40, 3)


def test_returns_what_the_guard_let_pass(rig):
    loop, servo = OuterLoop(rig.session.robot), rig.session.servo
    near, far = servo.sent.copy(), servo.sent.copy()
    near[0] += np.radians(3)
    far[0] += np.radians(160)
    assert from_named(loop.send(as_named(near))) == pytest.approx(on_the_wire(near))
    sent = from_named(loop.send(as_named(far)))
    assert sent == pytest.approx(servo.sent) and sent[0] < near[0] + np.radians(61), "one step"
    assert rig.session.robot.guard.clamped["step"] == 1
    assert eventually(lambda: rig.joints()[0] > near[0] + np.radians(10)), "the arm goes there"


def test_degrees_stop_the_arm_where_it_is(rig):
    loop = OuterLoop(rig.session.robot)
    before = rig.session.servo.sent.copy()
    with pytest.raises(SafetyStop, match=r"joint_2.pos is 33.39; joints are in rad"):
        loop.send({**as_named(START), "joint_2.pos": 33.39})
    with pytest.raises(SafetyStop, match=r"gripper.pos is 70"):
        OuterLoop(replace_stop(rig)).send({**as_named(START), "gripper.pos": 70.0})
    assert np.allclose(rig.session.servo.sent, before, atol=np.radians(0.1))


def replace_stop(rig):
    """The robot, which may go on."""
    assert not rig.session.robot.begin().last()
    return rig.session.robot


@pytest.mark.parametrize("call", [lambda loop: loop.observe(), lambda loop: loop.send(as_named(START))])
def test_a_stop_holds_the_arm_and_lasts(rig, call):
    loop = OuterLoop(rig.session.robot)
    rig.session.robot.request_stop("somebody pressed q")
    for _ in range(2):
        with pytest.raises(SafetyStop, match="somebody pressed q"):
            call(loop)
    commands = rig.session.servo.stats.arm_commands
    time.sleep(0.2)
    assert rig.session.servo.stats.arm_commands == commands


def test_a_guided_arm_is_sent_nothing(rig):
    loop, servo = OuterLoop(rig.session.robot), rig.session.servo
    servo.release()
    try:
        commands = servo.stats.arm_commands
        assert from_named(loop.send(as_named(POSE))) == pytest.approx(on_the_wire(POSE))
        assert servo.stats.arm_commands == commands
    finally:
        servo.focus()


def test_nobody_answers():
    assert Nobody().poll() == []
    with pytest.raises(RuntimeError, match="nobody can be asked"):
        Nobody().ask("The arm moves. Go? [y/n]", {"y": True})
