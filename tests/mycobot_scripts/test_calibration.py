"""The tip's offset and the table's height are found from poses that touch."""

import numpy as np
import pytest

from mycobot_scripts.checks.calibration import fit_tip, table_height
from mycobot_scripts.kinematics.geometry import forward
from mycobot_scripts.kinematics.inverse import rotation, solve

REACH = np.radians([168, 135, 145, 145, 168, 180.0])
PICK = np.radians((-3.95, 66.53, 8.17, 6.32, -88.59, -1.84))
NEAR = np.radians((0, 45, 60, -20, -88, 0))
POINT = np.array([-0.25, -0.07, 0.06])  # m


def touching(point: np.ndarray, length: float, turns) -> list[np.ndarray]:
    """Joints of poses that hold the tip at a point, leaning by some angles (degrees)."""
    _, orientation = forward(PICK)
    poses = []
    for turn in turns:
        leaning = rotation(np.array(turn)) @ orientation
        joints = solve(point - length * leaning[:, 2], leaning, NEAR, (-REACH, REACH), iterations=300)
        assert joints is not None, turn
        poses.append(joints)
    return poses


@pytest.mark.parametrize("length", [0.12, 0.15, 0.18])
def test_a_known_tip_is_found(length):
    point = POINT
    poses = touching(point, length, [(0, 0, 0), (25, 0, 0), (-25, 0, 0), (0, 15, 0), (-35, 0, 0)])
    tip = fit_tip(poses)
    assert tip.length == pytest.approx(length, abs=1e-4) and tip.is_good
    np.testing.assert_allclose(tip.point, point, atol=1e-4)
    rng = np.random.default_rng(0)
    fits = [fit_tip([joints + np.radians(rng.normal(0, 0.2, 6)) for joints in poses]) for _ in range(100)]
    errors = np.array([fit.length - length for fit in fits])
    said = np.array([fit.uncertainty for fit in fits])
    assert 0.5 < np.sqrt(np.mean(errors**2)) / np.sqrt(np.mean(said**2)) < 2  # it knows how sure it is
    assert np.abs(errors).mean() < 0.006


def test_poses_that_touch_different_points_are_noticed():
    poses = touching(POINT, 0.15, [(0, 0, 0), (25, 0, 0), (-25, 0, 0)])
    poses[1] = poses[1] + np.radians([5, 0, 0, 0, 0, 0])
    assert not fit_tip(poses).is_good


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="2 poses touch the point; at least 3 are needed"):
        fit_tip([PICK, PICK])
    with pytest.raises(ValueError, match="leaned by 0 degrees between the touches; lean it by at least 25"):
        fit_tip([PICK] * 3)


def test_the_tables_height():
    table = -0.013
    points = [np.array([x, y, table]) for x, y in ((-0.32, -0.05), (-0.30, 0.0), (-0.28, -0.12))]
    poses = [touching(point, 0.16, [(0, 0, 0)])[0] for point in points]
    height, spread = table_height(poses, 0.16)
    assert height == pytest.approx(table, abs=1e-4) and spread < 1e-4
    assert table_height(poses, 0.15)[0] == pytest.approx(table + 0.01, abs=2e-3)
