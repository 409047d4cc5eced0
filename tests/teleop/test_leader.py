"""The SO-101 leader: bytes of its bus, readings that fail, calibration, kinematics, and its clutch."""

import json

import numpy as np
import pytest

from teleop import feetech
from teleop.devices import Hand, Input
from teleop.feetech import StatusParser, encode
from teleop.leader import MOST_TURN, Led, Reading, Readings
from teleop.pilot import MAX_LEAD, MAX_TURN_LEAD, Teleop
from teleop.registry import TeleopConfig, check_device
from teleop.retarget import Retarget, Tool
from teleop.so101 import HIGH, IDS, JOINTS, LOW, NAMES, SIGNS, Calibration, forward

PLAIN = Calibration(np.full(5, 2048.0), np.ones(5), (1800.0, 2400.0))
QUARTER = feetech.STEPS // 4
ZERO = np.zeros(7)


# --- bytes


def test_frames_are_those_of_the_protocol():
    assert encode(1, feetech.PING) == bytes.fromhex("ff ff 01 02 01 fb")
    torque_off = encode(3, feetech.WRITE, bytes([feetech.TORQUE_ENABLE, 0]))
    assert torque_off == bytes.fromhex("ff ff 03 04 03 28 00 cd")
    asked = encode(
        feetech.EVERYBODY, feetech.SYNC_READ, bytes([feetech.PRESENT_POSITION, 2, 1, 2, 3, 4, 5, 6])
    )
    assert asked == bytes.fromhex("ff ff fe 0a 82 38 02 01 02 03 04 05 06 26")


def test_a_reply_gives_a_position_low_byte_first():
    (status,) = StatusParser().feed(bytes.fromhex("ff ff 01 04 00 18 05 dd"))
    assert (status.id, status.error) == (1, 0)
    assert feetech.decode_position(status.data) == 0x0518
    assert feetech.decode_position(bytes.fromhex("0a 80")) == -10, "the sign bit"
    for steps in (0, 1, -1, 4095, -2000):
        assert feetech.decode_position(feetech.encode_position(steps)) == steps


def test_replies_come_in_pieces_and_beside_rubbish():
    frames = [encode(id, 0, feetech.encode_position(100 * id)) for id in range(1, 7)]
    stream = b"\x00\xff" + b"".join(frames[:3]) + b"\xff\xff\xff" + b"".join(frames[3:])
    for size in (1, 2, 5, 100):
        parser, got = StatusParser(), []
        for at in range(0, len(stream), size):
            got += parser.feed(stream[at : at + size])
        assert [status.id for status in got] == [1, 2, 3, 4, 5, 6], size


@pytest.mark.parametrize("at", range(8))
def test_a_garbled_reply_is_left_out_and_the_next_one_counts(at):
    garbled, good = bytearray(encode(1, 0, b"\x18\x05")), encode(2, 0, b"\x00\x08")
    garbled[at] ^= 0x10
    parser = StatusParser()
    got = parser.feed(bytes(garbled) + good + good)
    assert got and all(status == feetech.Status(2, 0, b"\x00\x08") for status in got)


def test_a_torn_reply_hides_no_later_one():
    torn, good = encode(1, 0, b"\x18\x05")[:5], encode(2, 0, b"\x00\x08")
    assert [status.id for status in StatusParser().feed(torn + good + good)][-1] == 2


def test_a_jump_counts_only_when_it_comes_twice():
    readings = Readings()
    readings.add({1: 1000}, 0.0)
    readings.add({1: 1000 + int(MOST_TURN) + 10}, 0.02)
    assert readings.steps[1] == 1000 and readings.times[1] == 0.0
    readings.add({1: 1010}, 0.04)
    assert readings.steps[1] == 1010
    readings.add({1: 3000}, 0.06)
    readings.add({1: 3005}, 0.08)
    assert readings.steps[1] == 3005, "it was moved while nothing was read"
    readings.add({2: 4090}, 0.1)
    readings.add({2: 5}, 0.12)
    assert readings.steps[2] == 5, "past the end of a turn is no jump"


# --- calibration


def poses(zero=2000, sign=1, trigger=400, **changed):
    """Readings in poses A and B; `changed` are steps of joints in pose B beside where they ought to be."""
    a = {IDS[name]: zero for name in NAMES}
    b = {
        IDS[n]: zero + sign * int(s) * QUARTER + changed.get(n, 0) for n, s in zip(JOINTS, SIGNS, strict=True)
    }
    return a, {**b, IDS["gripper"]: zero - trigger}


@pytest.mark.parametrize("zero", [2000, 10, 4090, -30])
@pytest.mark.parametrize("sign", [1, -1])
def test_two_poses_tell_zero_direction_and_trigger(zero, sign):
    a, b = poses(zero, sign)
    calibration = Calibration.of(a, {id: steps % feetech.STEPS for id, steps in b.items()})
    np.testing.assert_allclose(calibration.joints(a), 0, atol=0.002)
    np.testing.assert_allclose(calibration.joints(b), SIGNS * np.pi / 2, atol=0.002)
    assert calibration.gripper(a) == 1 and calibration.gripper(b) == 0
    assert calibration.gripper({IDS["gripper"]: zero - 100}) == pytest.approx(0.75)


def test_both_poses_share_what_they_miss():
    a, b = poses(elbow_flex=100)
    angle = Calibration.of(a, b).joints(a)[JOINTS.index("elbow_flex")]
    assert abs(angle) == pytest.approx(50 * 2 * np.pi / feetech.STEPS, abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"elbow_flex": 700}, "elbow_flex turned by 28 degrees between the two poses; it must be 90"),
        ({"wrist_roll": -1024}, "wrist_roll turned by 0 degrees"),
        ({"trigger": 20}, "the trigger moved by 2 degrees"),
    ],
)
def test_implausible_poses_are_refused_in_one_line(changed, words):
    with pytest.raises(ValueError, match=words):
        Calibration.of(*poses(**changed))


def test_a_calibration_is_kept_and_read_again(tmp_path):
    path = tmp_path / "so101.json"
    Calibration.of(*poses(1234, -1)).save(path)
    again = Calibration.load(path)
    joints = np.array([0.5, -0.4, 0.3, 1.2, -2.0])
    np.testing.assert_allclose(again.joints(again.readings(joints, 0.3)), joints, atol=0.001)
    assert again.gripper(again.readings(joints, 0.3)) == pytest.approx(0.3, abs=0.01)
    assert [entry.name for entry in tmp_path.iterdir()] == ["so101.json"]


@pytest.mark.parametrize("content", ["no json", "[]", "{}", json.dumps({"joints": {}, "trigger": {}})])
def test_a_file_that_is_no_calibration_is_told(tmp_path, content):
    path = tmp_path / "so101.json"
    with pytest.raises(ValueError, match="which is not there; make one"):
        Calibration.load(path)
    path.write_text(content)
    with pytest.raises(ValueError, match="--leader_file is .*make one: python3 mycobot_scripts/leader.py"):
        Calibration.load(path)


@pytest.mark.parametrize("let_go", [2000.0, 2001.0, 2000.0 + feetech.STEPS])
def test_a_trigger_without_travel_is_told(let_go, tmp_path):
    path = tmp_path / "so101.json"
    Calibration.of(*poses()).save(path)
    content = json.loads(path.read_text())
    content["trigger"] = {"squeezed": 2000.0, "let go": let_go}
    path.write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match="whose trigger moves by 0 degrees; it must be at least 10; make one"
    ):
        Calibration.load(path)


# --- kinematics


def in_the_plane(joints: np.ndarray) -> np.ndarray:
    """Tool point (3,) by hand: three links in the plane of the arm, which the pan turns (to the right)."""

    def turned(angle, x, z):
        c, s = np.cos(angle), np.sin(angle)
        return np.array([c * x + s * z, c * z - s * x])

    pan, lift, elbow, wrist, _ = joints
    point = np.array([0.0303992, 0.0624 + 0.0542]) + turned(lift, 0.028, 0.11257)
    point += turned(lift + elbow, 0.1349, 0.0052) + turned(lift + elbow + wrist, 0.0611 + 0.0981274, -0.0079)
    return np.array([0.0388353 + np.cos(pan) * point[0], -np.sin(pan) * point[0], point[1]])


def test_the_tool_is_where_the_lengths_of_the_arm_say():
    np.testing.assert_allclose(forward(np.zeros(5))[0], [0.3913619, 0, 0.22647], atol=1e-4)
    rng = np.random.default_rng(0)
    for _ in range(50):
        joints = rng.uniform(LOW, HIGH)
        joints[4] = -0.0486795  # the roll at which the tool's offset lies in the plane
        position, orientation = forward(joints)
        np.testing.assert_allclose(position, in_the_plane(joints), atol=5e-4)  # the links lie off it by less
        np.testing.assert_allclose(orientation @ orientation.T, np.eye(3), atol=1e-9)


def test_the_roll_turns_about_the_tool():
    joints = np.array([0.3, 0.2, -0.1, 0.5, 0.0])
    before, after = forward(joints), forward(joints + [0, 0, 0, 0, 1.0])
    np.testing.assert_allclose(before[1][:, 2], after[1][:, 2], atol=1e-9)
    assert np.linalg.norm(before[0] - after[0]) < 0.01


# --- retargeting


def hand(position=(0, 0, 0), turn=0.0, gripper=None, grip=1):
    c, s = np.cos(turn), np.sin(turn)
    return Hand(grip, np.array(position, float), np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), gripper)


TOOL = Tool(np.array([0.3, 0.1, 0.2]), np.eye(3), 0.5)


def test_taking_hold_moves_nothing_and_each_grip_begins_anew():
    retarget = Retarget()
    assert np.array_equal(retarget.goal(hand((5, 6, 7)), TOOL).position, TOOL.position)
    moved = retarget.goal(hand((5.1, 6, 7)), TOOL)
    np.testing.assert_allclose(moved.position, TOOL.position + [0.1, 0, 0])
    again = retarget.goal(hand((9, 9, 9), turn=2.0, grip=2), moved)
    np.testing.assert_allclose(again.position, moved.position)
    np.testing.assert_allclose(again.orientation, moved.orientation, atol=1e-12)


def test_scale_and_directions():
    axes = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])  # right is -y, away is x
    retarget = Retarget(2.0, axes)
    retarget.goal(hand(), TOOL)
    goal = retarget.goal(hand((0.01, 0.02, 0.03), turn=0.5), TOOL)
    np.testing.assert_allclose(goal.position - TOOL.position, [0.04, -0.02, 0.06])
    np.testing.assert_allclose(goal.orientation, hand(turn=0.5).orientation, atol=1e-12)


def test_the_box_holds_the_goal_and_lets_go_at_once():
    retarget = Retarget(box=(np.array([0.0, 0.0, 0.1]), np.array([0.35, 0.35, 0.5])))
    retarget.goal(hand(), TOOL)
    np.testing.assert_allclose(retarget.goal(hand((1, 0.05, -1)), TOOL).position, [0.35, 0.15, 0.1])
    np.testing.assert_allclose(retarget.goal(hand((0.01, 0, 0)), TOOL).position, [0.31, 0.1, 0.2])


def test_the_gripper_follows_once_it_has_met_the_arms():
    retarget = Retarget()
    assert retarget.goal(hand(gripper=1.0), TOOL).gripper == 0.5, "an open trigger drops nothing"
    assert retarget.goal(hand(gripper=0.8), TOOL).gripper == 0.5
    assert retarget.goal(hand(gripper=0.45), TOOL).gripper == 0.45
    assert retarget.goal(hand(gripper=1.0), TOOL).gripper == 1.0
    retarget.begin()
    assert retarget.goal(hand(gripper=0.0), TOOL).gripper == 0.5
    assert retarget.goal(hand(gripper=0.9), TOOL).gripper == 0.9, "passed between two looks"
    assert retarget.goal(hand(gripper=None), TOOL).gripper == 0.5


# --- the clutch


class FakeLeader:
    """A leader that is where it is put."""

    error = None

    def __init__(self):
        self.newest = Reading(0.0, np.zeros(5), 1.0)

    def close(self):
        self.closed = True


class FakeKeys:
    """Keys that are pressed once."""

    layouts, commands = ({"e": "clutch"},), {}

    def __init__(self):
        self.pressed = Input()

    def read(self, now):
        pressed, self.pressed = self.pressed, Input()
        return pressed

    def press(self, *commands):
        self.pressed = Input(commands=frozenset(commands))

    def close(self):
        pass


def test_the_clutch_takes_hold_and_lets_go():
    leader, keys, said = FakeLeader(), FakeKeys(), []
    led = Led(leader, keys, said.append)
    assert led.read(0.0).hand is None
    keys.press("clutch")
    first = led.read(0.1).hand
    assert first.grip == 1 and led.read(0.2).hand.grip == 1
    np.testing.assert_allclose(first.position, [0, 0.3913619, 0.22647], atol=1e-4)  # away is where it points
    keys.press("clutch", "keep")
    let_go = led.read(0.3)
    assert let_go.hand is None and "keep" in let_go.commands
    keys.press("clutch")
    assert led.read(0.4).hand.grip == 2


def test_a_leader_that_is_not_heard_opens_the_clutch_for_good():
    leader, keys, said = FakeLeader(), FakeKeys(), []
    led = Led(leader, keys, said.append)
    keys.press("clutch")
    assert led.read(0.0).hand is not None
    there, leader.newest = leader.newest, None
    assert led.read(0.1).hand is None and "the clutch is open" in said[-1]
    leader.newest = there
    assert led.read(0.2).hand is None, "until the person takes hold again"
    leader.newest = None
    keys.press("clutch")
    assert led.read(0.3).hand is None and "stays open" in said[-1]


# --- in simulation


def test_an_end_effector_target_goes_as_the_hand():
    start = np.array([0.1, 0.2, 0.3, 1.0, 0, 0, 0, 0.5])
    teleop = Teleop(["left", "right"], np.tile(start, 2), scale=2.0)
    present = np.tile(start, 2)
    teleop.step(ZERO, 0.02, present, hand(gripper=0.5))
    target = teleop.step(ZERO, 0.02, present, hand((0.01, 0, -0.02), turn=0.1, gripper=0.2))
    np.testing.assert_array_equal(target[:8], start), "the other arm stays"
    np.testing.assert_allclose(target[8:11], start[:3] + [0.02, 0, -0.04])
    np.testing.assert_allclose(target[11:15], [np.cos(0.05), 0, 0, np.sin(0.05)])
    assert target[15] == pytest.approx(0.2)
    back = teleop.step(ZERO, 0.02, present, hand(gripper=0.5))
    np.testing.assert_allclose(back[8:], start, atol=1e-9)


def test_a_target_does_not_leave_an_arm_behind_that_is_led():
    start = np.array([0.1, 0.2, 0.3, 1.0, 0, 0, 0, 0.5])
    teleop = Teleop(["right"], start)
    teleop.step(ZERO, 0.02, start, hand())
    target = teleop.step(ZERO, 0.02, start, hand((1, 0, 0), turn=3.0))
    assert np.linalg.norm(target[:3] - start[:3]) <= MAX_LEAD + 1e-9
    assert 2 * np.arccos(target[3]) <= MAX_TURN_LEAD + 1e-9


# --- what is no leader


def test_a_port_that_is_no_leader_is_told_in_one_line(tmp_path):
    path = tmp_path / "so101.json"
    PLAIN.save(path)
    there = TeleopConfig(leader_port=str(tmp_path / "nothing"), leader_file=str(path))
    with pytest.raises(RuntimeError, match="--leader_port is .*nothing.*cannot be opened"):
        check_device("so101", there)
    with pytest.raises(ValueError, match="--leader_port is 'http://x'; it must be a serial port's name"):
        check_device("so101", TeleopConfig(leader_port="http://x", leader_file=str(path)))
    with pytest.raises(ValueError, match="--leader_file is .*which is not there; make one"):
        check_device("so101", TeleopConfig(leader_file=str(tmp_path / "none.json")))
    check_device("keyboard", there)
    check_device(None, there)
