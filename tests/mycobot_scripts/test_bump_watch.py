"""During a run a camera that stands is watched; what moves with the arm, or before it, is no bump."""

import numpy as np
import pytest
from scenery import make_scene, seen, with_noise

from cameras.placement import PlacementLimits
from mycobot_scripts.demos.policy_runs.bump_watch import LOOKS, BumpWatch

SCENE = make_scene()
BUMP = {"shift": (8.0, 0.0), "degrees": 2.0}


def observation(step: int, bent: float, **move):
    qpos = np.zeros(7)
    qpos[2] = np.radians(bent)
    return {"qpos": qpos, "images": {"top": with_noise(seen(SCENE, **move), step, 2.0)}}


def watched(*looks) -> list[str]:
    """Why a run was stopped that shows `looks`: degrees of the arm, and how the camera is off."""
    reasons: list[str] = []
    watch = BumpWatch(PlacementLimits(), reasons.append, every=0.0)
    try:
        watch.begin(observation(0, 0.0))
        for step, (bent, move) in enumerate(looks, 1):
            watch.look(observation(step, bent, **move))
            watch.wait()
    finally:
        watch.close()
    return reasons


def test_a_bumped_camera_stops_the_run():
    (reason,) = watched((30.0, {}), *[(30.0, BUMP)] * LOOKS)
    assert reason.startswith("camera top was bumped: 8.") and "turn it right, clockwise" in reason


@pytest.mark.parametrize(
    "looks",
    [
        [(20.0 * i, {}) for i in range(6)],
        [(30.0, {}), *[(30.0, BUMP)] * (LOOKS - 1), (40.0, {}), (40.0, BUMP)],
        [(15.0 * i, {"shift": (9.0 * i, 0.0)}) for i in range(1, 8)],
        [(30.0, {}), *[(40.0, {"shift": (9.0 * i, 0.0)}) for i in range(1, 6)]],
        [(0.0, {}), *[(5.0, BUMP)] * 6],
    ],
    ids=["stands", "comes back", "rides on the arm", "still moving", "not known to stand"],
)
def test_what_is_no_bump(looks):
    assert watched(*looks) == []


def test_a_large_thing_that_moves_before_the_camera_is_no_bump():
    """Two thirds of the picture are pushed aside; the rest stays where it is."""
    reasons: list[str] = []
    watch = BumpWatch(PlacementLimits(), reasons.append, every=0.0)
    watch.begin(observation(0, 0.0))
    watch.look(observation(1, 30.0))
    pushed = seen(SCENE, **BUMP)
    pushed[:, :100] = SCENE[:, :100]
    for _ in range(LOOKS + 2):
        watch.wait()
        watch.look({"qpos": np.full(7, 0.6), "images": {"top": pushed}})
    watch.close()
    assert reasons == []


def test_looks_come_once_in_a_while_and_never_wait():
    watch = BumpWatch(PlacementLimits(), print, every=3600.0)
    watch.begin(observation(0, 0.0))
    watch.look(observation(1, 30.0))
    assert watch._pending is None
    watch.close()
