"""The arm led by a leader: its targets, the stand-in on its port, calibration, and all of it on the twin."""

import io
import sys
from unittest.mock import Mock

import numpy as np
import pytest
from emulated import eventually

from bench._leader_motion import Teacher
from constants import MYCOBOT
from episodes import Episode
from mycobot_scripts import leader, record_episodes
from mycobot_scripts.demos import Recorder
from mycobot_scripts.demos.demonstrate import Jogging
from mycobot_scripts.kinematics import forward, tool_point
from mycobot_scripts.robot import Jog, open_session
from mycobot_scripts.safety import SafetyStop
from mycobot_scripts.stand_in.leader import Motion, StandInLeader
from mycobot_scripts.stand_in.wires import PtyWire, TcpWire
from teleop import so101
from teleop.devices import Hand, Input
from teleop.leader import SO101, check_servos, open_bus
from teleop.retarget import Retarget

HOME = np.append(MYCOBOT.start, 0.7)
PLAIN = so101.Calibration.load(leader.CALIBRATION)
A, B = np.zeros(5), so101.SIGNS * np.pi / 2
STILL = Motion(25.0, np.array([[0.1, 0.2, -0.3, 0.4, 0.5]] * 2), np.array([0.6, 0.6]))
ZERO = np.zeros(7)


def hand(position, grip=1, gripper=None, turn=None):
    return Hand(grip, np.array(position, float), np.eye(3) if turn is None else turn, gripper)


def led(jog: Jog, way, start=HOME):
    """Targets (T, 7) while a hand goes along `way`."""
    jog.begin(start)
    return np.array([jog.step(ZERO, 0.1, HOME, hand(place)) for place in way])


# --- targets


def test_the_tool_goes_as_the_hand_and_comes_back():
    way = [(0, 0, 0), (0.01, 0, 0), (0.03, 0.01, -0.02), (0, 0, 0)]
    targets = led(Jog(), [place for place in way for _ in range(6)])[5::6]
    moved = np.array([tool_point(target[:6]) for target in targets]) - tool_point(HOME[:6])
    np.testing.assert_allclose(moved, way, atol=1e-3)
    np.testing.assert_allclose(forward(targets[2][:6])[1], forward(HOME[:6])[1], atol=5e-3)


def test_a_hand_that_jumps_is_followed_at_a_joints_speed():
    targets = led(Jog(), [(0, 0, 0)] + [(0.1, 0.2, -0.05)] * 20)
    steps = np.degrees(np.abs(np.diff(np.vstack([HOME, targets])[:, :6], axis=0)))
    assert steps.max() <= 12.01
    moved = tool_point(targets[-1][:6]) - tool_point(HOME[:6])
    np.testing.assert_allclose(moved, (0.1, 0.2, -0.05), atol=2e-3)


def test_out_of_reach_it_goes_as_near_as_it_gets_and_says_so():
    jog = Jog()
    targets = led(jog, [(0, 0, 0)] + [(-2.0, 0.0, 0.0)] * 30)
    assert jog.waits_for == "a way: out of reach"
    assert tool_point(targets[-1][:6])[0] < tool_point(HOME[:6])[0] - 0.05
    assert np.isfinite(targets).all()
    assert (targets[:, 2] >= 0).all(), "the elbow does not flip"
    back = jog.step(ZERO, 0.1, HOME, hand((0, 0, 0)))
    for _ in range(20):
        back = jog.step(ZERO, 0.1, HOME, hand((0, 0, 0)))
    np.testing.assert_allclose(tool_point(back[:6]), tool_point(HOME[:6]), atol=2e-3)


def test_the_box_keeps_the_tool_inside():
    low = tool_point(HOME[:6]) - [0.02, 0.02, 0.02]
    jog = Jog(retarget=Retarget(box=(low, low + 0.04)))
    targets = led(jog, [(0, 0, 0)] + [(0.3, 0.3, -0.3)] * 10)
    tips = np.array([tool_point(target[:6]) for target in targets])
    assert (tips > low - 2e-3).all() and (tips < low + 0.042).all()


def test_a_new_beginning_joins_hand_and_tool_anew():
    jog = Jog()
    led(jog, [(0, 0, 0), (0.05, 0, 0)])
    jog.begin(HOME)
    target = jog.step(ZERO, 0.1, HOME, hand((0.05, 0, 0)))
    np.testing.assert_allclose(target, HOME, atol=1e-3)


# --- an episode begins


class Hands:
    """A device that gives these inputs, the last one for good."""

    layouts, commands = ({"e": "clutch"},), {"clutch": "take hold, let go"}

    def __init__(self, *inputs: Input) -> None:
        self.inputs = list(inputs)

    def read(self, now):
        return self.inputs.pop(0) if len(self.inputs) > 1 else self.inputs[0]


class Looks:
    """A robot that is looked at."""

    looked = False

    def look(self):
        self.looked = True

    def check_wish(self):
        pass


PRESSED = frozenset({"clutch"})


@pytest.mark.parametrize(
    ("inputs", "grip"),
    [
        ([Input(), Input(), Input(hand=hand((0, 0, 0), 1), commands=PRESSED)], 1),
        ([Input(hand=hand((0, 0, 0), 1), commands=PRESSED), Input(hand=hand((0, 0, 0), 1))], 1),
        ([Input(hand=hand((9, 9, 9), 3))] * 4 + [Input(), Input(hand=hand((0, 0, 0), 4))], 4),
    ],
    ids=["it waits", "pressed at once", "closed since before"],
)
def test_an_episode_begins_as_the_person_takes_hold(inputs, grip):
    device, robot = Hands(*inputs), Looks()
    jogging = Jogging(device, Jog(), fps=200.0, length=10)
    jogging.begin(HOME, robot)
    assert robot.looked and len(device.inputs) == 1
    target = jogging.act(0, {"qpos": HOME})
    np.testing.assert_allclose(target, HOME, atol=1e-3)
    assert jogging.commands["clutch"] == "take hold, let go"
    assert device.read(0.0).hand.grip == grip


def test_whoever_is_waited_for_can_still_be_stopped():
    """By Ctrl-C, STOP, or a line that fails."""
    robot, held = Looks(), []
    robot.check_wish, robot.stop = Mock(side_effect=[None, SafetyStop("STOP was pressed")]), held.append
    Jogging(Hands(*[Input()] * 9), Jog(), fps=200.0, length=10).begin(HOME, robot)
    assert str(held[0]) == "STOP was pressed" and not robot.looked


# --- the stand-in


@pytest.fixture(params=["pty", "tcp"])
def wire(request):
    return PtyWire() if request.param == "pty" else TcpWire("127.0.0.1", 0)


def test_the_leader_is_read_from_its_port(wire):
    stand_in = StandInLeader(wire, STILL, PLAIN)
    arm = SO101(stand_in.port, PLAIN)
    try:
        assert eventually(lambda: arm.newest is not None)
        np.testing.assert_allclose(arm.newest.joints, STILL.joints[0], atol=0.002)
        assert arm.newest.gripper == pytest.approx(0.6, abs=0.01)
        assert set(stand_in.torque.values()) == {0}, "it moves freely"
    finally:
        arm.close()
        stand_in.close()


def test_lost_and_garbled_replies_stop_nothing():
    stand_in = StandInLeader(PtyWire(), STILL, PLAIN, lose=0.1, garble=0.1)
    arm = SO101(stand_in.port, PLAIN)
    try:
        assert eventually(lambda: arm.bus.lost > 20 and arm.bus.corrupt > 5 and arm.newest is not None, 60)
        np.testing.assert_allclose(arm.newest.joints, STILL.joints[0], atol=0.002)
        stand_in.mute = set(so101.IDS.values())
        assert eventually(lambda: arm.newest is None), "silence is noticed"
        stand_in.mute = set()
        assert eventually(lambda: arm.newest is not None)
    finally:
        arm.close()
        stand_in.close()


def test_a_bus_without_its_servos_is_told_in_one_line():
    stand_in = StandInLeader(PtyWire(), STILL, PLAIN)
    try:
        stand_in.mute = {3}
        with pytest.raises(RuntimeError, match=r"no answer from elbow_flex \(id 3\): look at the cables"):
            open_bus(stand_in.port)
        stand_in.mute = set(so101.IDS.values())
        with pytest.raises(RuntimeError, match="nothing there answers as an SO-101 does"):
            open_bus(stand_in.port)
    finally:
        stand_in.close()


def test_other_servos_are_no_leader():
    class Others:
        port = "COM7"

        def model(self, id):
            return 2825

    with pytest.raises(RuntimeError, match="shoulder_pan is a servo of model 2825, not an STS3215"):
        check_servos(Others())


# --- the script


def test_calibrating_the_stand_in(tmp_path, monkeypatch, capsys):
    motion = Motion(1.0, np.array([A, B]), np.array([1.0, 0.0]))
    stand_in = StandInLeader(PtyWire(), motion, PLAIN)

    def answer(prompt):
        assert "pose A" in prompt or "pose B" in prompt
        if "pose B" in prompt:
            stand_in.play()
            assert eventually(lambda: stand_in.elapsed > 1.0)

    monkeypatch.setattr("builtins.input", answer)
    path = tmp_path / "mine.json"
    words = ["--calibrate", "--leader_port", stand_in.port, "--leader_file", str(path)]
    try:
        leader.main(words)
        assert "saved" in capsys.readouterr().out
        np.testing.assert_allclose(so101.Calibration.load(path).zero, PLAIN.zero, atol=2)
        with pytest.raises(ValueError, match="shoulder_pan turned by 0 degrees"):
            leader.main(words)  # it stays in pose B
    finally:
        stand_in.close()


def test_a_file_that_is_no_motion_is_told(tmp_path):
    path = tmp_path / "motion.json"
    for content in ("{}", '{"fps": 25, "joints": [[1, 2]], "gripper": [1]}', "x"):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"motion.json is no leader's motion"):
            leader.main(["--stand_in", str(path)])
    with pytest.raises(ValueError, match="is not there"):
        leader.main(["--stand_in", str(tmp_path / "none.json")])
    with pytest.raises(ValueError, match="--tcp is for --stand_in"):
        leader.main(["--tcp", "127.0.0.1:0"])


def test_the_stand_in_is_served_by_the_script(monkeypatch, capsys):
    class Typed(io.StringIO):
        def readline(self):
            line = capsys.readouterr().out
            port = line.split("port=")[1].split()[0]
            open_bus(port).close()
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Typed())
    with pytest.raises(KeyboardInterrupt):
        leader.main(["--stand_in", "--tcp", "127.0.0.1:0"])


# --- on the twin


@pytest.mark.slow
def test_a_replayed_leader_picks_and_places_on_the_twin(tmp_path):
    motion = Motion.load(leader.MOTION)
    stand_in = StandInLeader(PtyWire(), motion, PLAIN)
    words = ["--robot", "twin", "--task_name", "sim_mycobot320_move_cube_scripted", "--num_episodes", "1"]
    words += ["--teleop", "so101", "--leader_port", stand_in.port, "--leader_file", str(leader.CALIBRATION)]
    words += ["--teleop_scale", "2", "--pace", "0.5", "--dataset_dir", str(tmp_path / "data")]
    config, setup = record_episodes.parse_flags(words)
    config, task = record_episodes.complete(config, setup)
    slow = Motion(motion.fps / 2, motion.joints, motion.gripper)  # as the twin, for a busy machine
    stand_in._motion = slow
    try:
        with open_session(setup, task, Teacher(stand_in, slow.seconds)) as session:
            recorder = Recorder(session, config)
            recorder.prepare()
            assert recorder.record(0)
    finally:
        stand_in.close()
    episode = Episode.load(tmp_path / "data" / "episode_0.hdf5")
    assert episode.success
    assert len(episode.action) > 100
