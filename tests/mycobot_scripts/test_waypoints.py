"""Waypoints to actions; the user's two sequences as they were given."""

import json
from dataclasses import replace

import numpy as np
import pytest

from constants import get_task
from mycobot_scripts.demos.waypoints import Motion, Pose, motion_through, names
from mycobot_scripts.safety.guard import Guard
from mycobot_scripts.safety.limits import Limits

HOME = (-3.07, 33.39, 32.78, 6.94, -88.33, -1.58)
# act-plus-plus_one, action_cal.py: where each stretch of frames ends, degrees
ENDS = {
    "pickandmove": {
        80: (24.08, 47.89, 0.52, 21.89, -89.03, -50.18),
        105: (24.08, 61.52, -15.73, 35.5, -89.12, -71.19),
    },
    "pickandmove_after": {
        90: (34.08, 47.89, 5.52, 0.61, -65.03, -49.83),
        105: (30.08, 55.86, 13.72, 3.61, -65.03, -57.83),
    },
}


@pytest.mark.parametrize("name", ENDS)
def test_the_users_sequences(name):
    motion = Motion.load(name)
    actions = motion.actions()
    assert motion.fps == 10 and len(motion) == 115 and actions.shape == (115, 7)
    degrees, gripper = np.degrees(actions[:, :6]), 100 * actions[:, 6]
    ends = {
        1: HOME,
        10: (-3.95, 66.53, 8.17, 6.32, -88.59, -1.84),
        35: (-4.65, 56.6, 16.17, -7.47, -91.4, -3.95),
    }
    ends |= {65: (-2.54, 29.44, 23.81, 17.92, -88.33, -84.81), **ENDS[name]}
    for frame, pose in ends.items():
        np.testing.assert_allclose(degrees[frame - 1], pose, atol=1e-4)
    wanted = [np.full(10, 70), np.linspace(70, 20, 10), np.full(85, 20), np.linspace(20, 70, 10)]
    np.testing.assert_allclose(gripper, np.concatenate(wanted), atol=1e-4)


def test_every_shipped_sequence_can_be_recorded():
    assert set(names()) == set(ENDS)
    for name in names():
        guard = Guard(Limits())
        actions = Motion.load(name).actions()
        previous = actions[0]
        for action in actions:
            previous = guard.clamp(action, previous)
        assert not guard.clamped


def test_a_motion_through_poses_keeps_to_its_speed(tmp_path):
    states = [np.radians([0, 0, 0, 0, 0, 0, 0.0]), np.radians([10, -40, 5, 0, 0, 0, 0.0])]
    states += [np.append(states[1][:6], 1.0), np.append(states[0][:6], 1.0)]
    motion = motion_through(states, fps=10, speed=20.0)
    assert [pose.frames for pose in motion.poses] == [0, 21, 14, 21]
    speeds = np.degrees(np.abs(np.diff(motion.actions()[:, :6], axis=0))).max() * 10
    assert speeds == pytest.approx(20, abs=0.01)
    close = [np.radians([angle, 0, 0, 0, 0, 0, 0.0]) for angle in (0, 4, 8, 9)]
    actions = np.degrees(motion_through(close, fps=10, speed=20.0).actions()[:, 0])
    assert actions[-1] == pytest.approx(9, abs=0.01) and np.abs(np.diff(actions)).max() * 10 < 20.1
    motion.save(tmp_path / "new" / "mine.json")
    assert Motion.load(tmp_path / "new" / "mine.json") == motion


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no file of waypoints"),
        ('{"fps": 10}', "lacks 'waypoints' .a list.; it has fps; the form is .*degrees"),
        ("[1, 2]", r"motion.json is \[1, 2\]; it must be an object; the form is"),
        ('{"fps": 10, "waypoints": {}}', "waypoints is {}; it must be a list"),
        ('{"fps": 10, "waypoints": [7]}', "waypoint 0 is 7; it must be an object"),
        ('{"fps": 10, "waypoints": []}', "has 0 waypoints; a motion needs at least 2"),
        ("[" * 100_000, "is no file of waypoints"),
        ('{"fps": 10, "waypoints": [], "props": []}', "props is .*; it must be {.cube.: "),
    ],
)
def test_bad_files(tmp_path, text, said):
    path = tmp_path / "motion.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        Motion.load(path)


@pytest.mark.parametrize(
    ("pose", "said"),
    [
        (Pose(5, (0, 0, 146, 0, 0, 0), 0.5), r"waypoint 1: degrees are .*; they must be 6, within"),
        (Pose(5, (0, 0, 0), 0.5), r"waypoint 1: degrees are \[0, 0, 0\]; they must be 6"),
        (Pose(5, (0,) * 6, 70), "waypoint 1: gripper is 70; it must be 0"),
        (Pose(0, (0,) * 6, 0.5), "waypoint 1: frames is 0; it must be a whole number, at least 1"),
    ],
)
def test_bad_waypoints(tmp_path, pose, said):
    path = tmp_path / "motion.json"
    Motion((Pose(0, (0,) * 6, 0.5), pose), 10).save(path)
    with pytest.raises(ValueError, match=said):
        Motion.load(path)


ROWS = [{"frames": 0, "degrees": [0] * 6, "gripper": 0.5}, {"frames": 9, "degrees": [5] * 6, "gripper": 0.5}]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("gripper", "0.5", "waypoint 1: gripper is '0.5'; it must be 0"),
        ("gripper", None, "waypoint 1: gripper is None; it must be 0"),
        ("gripper", [0], r"waypoint 1: gripper is \[0\]; it must be 0"),
        ("gripper", float("nan"), "waypoint 1: gripper is nan; it must be 0"),
        ("gripper", True, "waypoint 1: gripper is True; it must be 0"),
        ("degrees", None, "waypoint 1: degrees are None; they must be 6"),
        ("degrees", "123456", "waypoint 1: degrees are 123456; they must be 6"),
        ("degrees", ["0", 0, 0, 0, 0, 0], "waypoint 1: degrees are .*; they must be 6"),
        ("degrees", [float("inf"), 0, 0, 0, 0, 0], "waypoint 1: degrees are .inf.*; they must be 6"),
        ("frames", 10**12, "waypoint 1: frames is 1000000000000; it must be a whole number"),
        ("frames", 1e300, "waypoint 1: frames is .*; it must be a whole number"),
        ("frames", 2.5, "waypoint 1: frames is 2.5; it must be a whole number"),
        ("frames", "9", "waypoint 1: frames is '9'; it must be a whole number"),
        ("fps", float("inf"), "fps is inf; it must be a whole number, at least 1, at most 50"),
        ("fps", None, "fps is None; it must be a whole number"),
        ("fps", 10.5, "fps is 10.5; it must be a whole number"),
        ("fps", 1000, "fps is 1000; it must be a whole number"),
    ],
)
def test_values_that_cannot_be_are_refused_in_one_line(tmp_path, key, value, said):
    values = {"fps": 10, "waypoints": [dict(row) for row in ROWS]}
    (values if key == "fps" else values["waypoints"][1])[key] = value
    (tmp_path / "motion.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=f"motion.json: {said}") as error:
        Motion.load(tmp_path / "motion.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["frames", "degrees", "gripper"])
def test_a_missing_key_is_named_with_its_waypoint_and_the_form(tmp_path, key):
    rows = [dict(row) for row in ROWS]
    rows[1][f"{key}s"] = rows[1].pop(key)
    (tmp_path / "motion.json").write_text(json.dumps({"fps": 10, "waypoints": rows}))
    said = (
        f"motion.json: waypoint 1 lacks '{key}' .*; it has .*{key}s.*; the form is .*\"degrees\": .6 angles"
    )
    with pytest.raises(ValueError, match=said):
        Motion.load(tmp_path / "motion.json")


def test_a_rate_may_be_written_with_a_point(tmp_path):
    (tmp_path / "motion.json").write_text(json.dumps({"fps": 10.0, "waypoints": ROWS}))
    assert Motion.load(tmp_path / "motion.json").fps == 10


def test_many_frames_in_all_are_too_many(tmp_path):
    rows = [ROWS[0], *[{**ROWS[1], "frames": 60_000}] * 2]
    (tmp_path / "motion.json").write_text(json.dumps({"fps": 10, "waypoints": rows}))
    with pytest.raises(ValueError, match="has 120000 frames in all; it must be 100000 at most"):
        Motion.load(tmp_path / "motion.json")


@pytest.mark.parametrize(
    ("frames", "degrees", "gripper", "said"),
    [
        (1, (93.0, 0, 0, 0, 0, 0), 0.5, "joint 1 by 93.0 degrees; --max_step allows 20; give it 6 frames"),
        (4, (0, -93.0, 0, 0, 0, 0), 0.5, "joint 2 by 31.0 degrees; --max_step allows 20; give it 6 frames"),
        (3, (0,) * 6, 1.0, "the gripper by 0.25; --gripper_step allows 0.1; give it 6 frames"),
    ],
)
def test_a_jump_is_told_with_the_frames_that_it_needs(frames, degrees, gripper, said):
    motion = Motion((Pose(0, (0,) * 6, 0.5), Pose(5, (0,) * 6, 0.5), Pose(frames, degrees, gripper)), 10)
    with pytest.raises(ValueError, match=f"mine: waypoint 2 has {frames} frames, each of which moves {said}"):
        motion.check_steps("mine", Limits())
    slower = replace(motion, poses=(*motion.poses[:2], Pose(6, degrees, gripper)))
    slower.check_steps("mine", Limits())
    jumps = np.abs(np.diff(slower.actions(), axis=0)).max(axis=0)
    assert (np.degrees(jumps[:6]) <= 20 + 1e-4).all() and jumps[6] <= 0.1 + 1e-6


def test_the_shipped_sequences_do_not_jump():
    for name in names():
        Motion.load(name).check_steps(name, Limits())


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown sequence 'pickandmov'; did you mean 'pickandmove'"):
        Motion.load("pickandmov")
    with pytest.raises(FileNotFoundError, match="no such file of waypoints; by name there are pickandmove, "):
        Motion.load("mine.json")


def test_props_stand_where_the_motion_needs_them(tmp_path):
    choose_task = get_task("sim_mycobot320_choose_scripted")
    rng = np.random.default_rng(0)
    state = Motion.load("pickandmove_after").env_state(choose_task, rng).reshape(2, 7)
    np.testing.assert_allclose(
        state, [[-0.3726, -0.0686, 0.06, 1, 0, 0, 0], [-0.265, -0.224, 0.112, 1, 0, 0, 0]]
    )
    free = replace(Motion.load("pickandmove"), props={}).env_state(choose_task, rng).reshape(2, 7)
    for place, prop in zip(free[:, :3], choose_task.props, strict=True):
        assert (place >= prop.low).all() and (place <= prop.high).all()
    replace(Motion.load("pickandmove"), props={"cube": (0.1, 0.2)}).save(tmp_path / "bad.json")
    with pytest.raises(ValueError, match=r"prop 'cube' is at \[0.1, 0.2\]; it must be 3 numbers"):
        Motion.load(tmp_path / "bad.json")
