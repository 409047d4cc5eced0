"""Waypoints to actions; the user's two sequences as they were given."""

from dataclasses import replace

import numpy as np
import pytest

from constants import MYCOBOT, get_task
from mycobot_scripts.safety import Guard, Limits
from mycobot_scripts.waypoints import Motion, Pose, motion_through, names

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
        guard = Guard(Limits(), np.append(MYCOBOT.start, 0.7))
        actions = Motion.load(name).actions()
        previous = actions[0]
        for action in actions:
            previous = guard.clamp(action, previous)
        assert not guard.clamped


def test_a_motion_through_poses_keeps_to_its_speed(tmp_path):
    states = [np.radians([0, 0, 0, 0, 0, 0, 0.0]), np.radians([10, -40, 5, 0, 0, 0, 0.0])]
    states += [np.append(states[1][:6], 1.0), np.append(states[0][:6], 1.0)]
    motion = motion_through(states, fps=10, speed=20.0)
    assert [pose.frames for pose in motion.poses] == [0, 20, 13, 20]
    speeds = np.degrees(np.abs(np.diff(motion.actions()[:, :6], axis=0))).max() * 10
    assert 20 <= speeds < 20 * 20 / 19 + 0.1  # both ends of a line are frames
    motion.save(tmp_path / "new" / "mine.json")
    assert Motion.load(tmp_path / "new" / "mine.json") == motion


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no file of waypoints"),
        ('{"fps": 10}', "is no file of waypoints .KeyError: 'waypoints'"),
        ('{"fps": 10, "waypoints": []}', "has 0 waypoints; a motion needs at least 2"),
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
