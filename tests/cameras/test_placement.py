"""Whether a camera was moved, and which way it is to be pushed."""

import numpy as np
import pytest
from scenery import SIZE, make_scene, seen, similarity

from cameras.displacement import LITTLE_TEXTURE, NO_MATCH, Displacement
from cameras.placement import Placement, PlacementLimits, judge_placement
from cameras.reference import make_reference

LIMITS = PlacementLimits()


def placed(limits=LIMITS, doubt="", size=(480, 640), **move) -> Placement:
    return Placement("top", Displacement(similarity(size, **move), size, doubt=doubt), limits)


@pytest.mark.parametrize(
    ("move", "advice"),
    [
        ({"shift": (8.0, 0.0)}, "turn it right"),
        ({"shift": (-8.0, 0.0)}, "turn it left"),
        ({"shift": (0.0, 8.0)}, "turn it down"),
        ({"shift": (0.0, -8.0)}, "turn it up"),
        ({"degrees": 2.0}, "turn it clockwise"),
        ({"degrees": -2.0}, "turn it counterclockwise"),
        ({"zoom": 1.03}, "push it back"),
        ({"zoom": 0.97}, "push it forward"),
        ({"shift": (8.0, 8.0), "zoom": 0.97}, "turn it right, down and push it forward"),
    ],
)
def test_which_way_to_push(move, advice):
    placement = placed(**move)
    assert placement.is_moved and placement.can_be_undone
    assert placement.advice == f"{advice} (as seen from behind it)"


def test_within_the_limits_it_stands_well():
    near = placed(shift=(2.0, 1.0), degrees=0.3, zoom=1.005)
    assert not near.is_moved and not near.advice
    tight = PlacementLimits(most_shift=1.0)
    assert placed(tight, shift=(2.0, 1.0)).is_moved
    assert placed(PlacementLimits(most_rotation=5.0), degrees=2.0).is_moved is False
    assert placed(PlacementLimits(most_zoom=0.2), zoom=1.1).is_moved is False


def test_pixels_are_those_of_a_picture_640_wide():
    assert not placed(shift=(4.0, 0.0)).is_moved and placed(shift=(4.0, 0.0), size=SIZE).is_moved


def test_the_line_says_all():
    line = placed(shift=(-6.0, 2.0), degrees=1.2).line
    assert line.startswith(
        "camera top: 6.0 px left, 2.0 px down, 1.2 degrees clockwise, 1.000 times as large"
    )
    assert line.endswith("; turn it left, clockwise (as seen from behind it)")


def test_what_cannot_be_compared():
    bare = placed(doubt=LITTLE_TEXTURE)
    assert not bare.is_moved and not bare.can_be_undone and "too little texture" in bare.line
    elsewhere = placed(doubt=NO_MATCH)
    assert elsewhere.is_moved and not elsewhere.can_be_undone and "looks elsewhere" in elsewhere.line
    assert placed(shift=(200.0, 0.0)).can_be_undone is False
    assert placed(zoom=1.3).can_be_undone is False, "only 59 % of the reference is seen"
    assert placed(zoom=0.7).can_be_undone and placed(zoom=1.1, degrees=4.0).can_be_undone


def test_a_camera_is_compared_with_its_reference():
    reference = make_reference([make_scene()])
    assert not judge_placement("top", reference, make_scene(), LIMITS).is_moved
    assert judge_placement("top", reference, seen(make_scene(), shift=(5.0, 0.0)), LIMITS).is_moved
    with pytest.raises(ValueError, match="^camera top: the picture is 64x48 pixels"):
        judge_placement("top", reference, np.zeros((48, 64, 3), np.uint8), LIMITS)
