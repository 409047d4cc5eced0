"""Degrees and percent, to and fro."""

import numpy as np
import pytest

from mycobot_scripts.kinematics.units import on_the_wire, to_degrees, to_state

HOME = [-3.07, 33.39, 32.78, 6.94, -88.33, -1.58]  # degrees


def test_home_is_sent_as_it_was_captured():
    angles, gripper = to_degrees(to_state(HOME, 70))
    assert [int(angle * 100) for angle in angles] == [-307, 3339, 3278, 694, -8833, -158] and gripper == 70
    assert type(gripper) is int and all(type(angle) is float for angle in angles), "pymycobot checks types"


def test_every_hundredth_of_a_degree_survives_truncation():
    hundredths = np.arange(-18000, 18001)
    for row in np.array_split(hundredths, len(hundredths) // 6)[:-1]:
        angles, _ = to_degrees(to_state(np.resize(row, 6) / 100, 0))
        assert [int(angle * 100) for angle in angles] == np.resize(row, 6).tolist()
        assert np.abs(np.array(angles) - np.resize(row, 6) / 100).max() < 1e-12


@pytest.mark.parametrize(("opening", "value"), [(-0.2, 0), (0.0, 0), (0.204, 20), (0.999, 100), (1.7, 100)])
def test_gripper_is_rounded_and_stays_in_range(opening, value):
    assert to_degrees(np.append(np.zeros(6), opening))[1] == value


def test_the_wire_keeps_what_it_can():
    rng = np.random.default_rng(0)
    for _ in range(200):
        qpos = np.append(rng.uniform(-3, 3, 6), rng.uniform(0, 1))
        sent = on_the_wire(qpos)
        assert np.degrees(np.abs(sent - qpos)[:6]).max() <= 0.005 + 1e-9 and abs(sent[6] - qpos[6]) <= 0.005
        assert np.array_equal(on_the_wire(sent), sent), "what was sent is sent again as it is"
        angles, gripper = to_degrees(qpos)
        assert np.allclose(to_state(angles, gripper), sent, atol=1e-12)
