"""Tracking error and lag, against motions whose lag is known."""

import numpy as np
import pytest

from mycobot_scripts.demos.tracking_error import table, tracking

TIME = np.arange(0, 11, 0.1)


def wave(time: np.ndarray) -> np.ndarray:
    """(T, 7): joint 1 swings by 20 degrees, joint 2 goes from 0 to 30, the others stand."""
    rows = np.zeros((len(time), 7))
    rows[:, 0] = np.radians(20) * np.sin(0.8 * time)
    rows[:, 1] = np.radians(30) * np.clip(time / 5, 0, 1)
    return rows


@pytest.mark.parametrize("lag", [0.0, 0.07, 0.35, 0.9])
def test_a_known_lag_is_found(lag):
    joints = tracking(wave(TIME), wave(np.maximum(TIME - lag, 0)), TIME + 100)
    assert [joint.lag for joint in joints[2:]] == [None] * 4
    for joint in joints[:2]:
        assert joint.lag == pytest.approx(lag, abs=0.021)
        assert joint.rms_after_lag < 0.25


def test_errors_in_degrees():
    measured = wave(TIME)
    measured[50, 3] += np.radians(4)
    measured[:, 4] -= np.radians(0.5)
    joints = tracking(wave(TIME), measured, TIME)
    assert joints[3].worst == pytest.approx(4) and joints[3].worst_at == pytest.approx(5.0)
    assert joints[3].rms == pytest.approx(4 / np.sqrt(len(TIME)))
    assert joints[4].rms == joints[4].worst == pytest.approx(0.5)
    lines = table(joints).splitlines()
    assert len(lines) == 7 and lines[4].split()[:3] == ["4", "0.38", "4.00"] and lines[4].split()[-1] == "-"
