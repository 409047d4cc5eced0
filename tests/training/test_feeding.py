"""From the flags of a run to its batches."""

import math
from dataclasses import replace

import pytest
from synthetic import make_small

from training.feeding import joint_offset


@pytest.mark.parametrize(
    ("task", "dim", "grippers"),
    [("sim_transfer_cube_scripted", 14, [6, 13]), ("mycobot320_choose", 7, [6]), ("their_own", 14, [6, 13])],
)
def test_joints_are_off_and_grippers_are_not(task, dim, grippers):
    policy = make_small("ACT", dim=dim)
    policy.interface = replace(policy.interface, task=task)
    assert joint_offset(0.0, policy) is None
    offset = joint_offset(1.5, policy).tolist()
    assert [i for i, most in enumerate(offset) if not most] == grippers
    assert {round(most, 6) for most in offset} == {0.0, round(math.radians(1.5), 6)}
