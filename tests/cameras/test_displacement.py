"""How far a picture is off its reference: what is found, through light, noise and what moves by itself."""

import numpy as np
import pytest
from scenery import SIZE, make_scene, seen, similarity, with_noise

from cameras.displacement import LITTLE_TEXTURE, NO_MATCH, Displacement, find_displacement

MOVES = {
    "not moved": {},
    "a pixel": {"shift": (1.0, -0.5)},
    "pushed": {"shift": (7.0, 4.0)},
    "far": {"shift": (-30.0, 18.0)},
    "turned": {"degrees": 3.0},
    "turned far": {"degrees": -20.0, "shift": (5.0, 5.0)},
    "nearer": {"zoom": 1.05},
    "all": {"shift": (-6.0, 3.0), "degrees": -2.0, "zoom": 0.97},
}
LIGHTS = {
    "the same light": lambda picture: picture,
    "dimmer": lambda picture: (0.6 * picture).astype(np.uint8),
    "warmer": lambda picture: np.clip(picture * [1.2, 1.0, 0.75], 0, 255).astype(np.uint8),
    "from one side": lambda picture: (picture * np.linspace(0.5, 1, SIZE[1])[:, None]).astype(np.uint8),
}


def assert_is(found: Displacement, move: dict, within: float = 0.5) -> None:
    assert found.is_believed
    np.testing.assert_allclose(found.shift, move.get("shift", (0, 0)), atol=within)
    assert found.rotation == pytest.approx(move.get("degrees", 0.0), abs=0.3)
    assert found.zoom == pytest.approx(move.get("zoom", 1.0), abs=0.01)
    assert found.residual < 1 and found.share > 0.2


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_shift_rotation_and_zoom_are_found(move):
    scene = make_scene()
    found = find_displacement(with_noise(scene, 1), with_noise(seen(scene, **move), 2))
    assert_is(found, move)


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS)
def test_light_does_not_count(light):
    scene, move = make_scene(), MOVES["all"]
    assert_is(find_displacement(scene, with_noise(light(seen(scene, **move)))), move)


def test_what_covers_a_quarter_does_not_count():
    scene, move = make_scene(), MOVES["pushed"]
    present = seen(scene, **move)
    present[60:180, 80:240] = make_scene(9)[60:180, 80:240]
    assert_is(find_displacement(scene, present), move)


def test_what_moves_by_itself_is_left_out_by_the_mask():
    """Most of the texture is on a cloth that was pushed by 6 pixels; the camera was not."""
    scene = np.full((*SIZE, 3), 128, np.uint8)
    scene[:, :110] = make_scene(3)[:, :110]
    scene[:, 120:300] = make_scene(4)[:, 120:300]
    present = scene.copy()
    present[:, 126:306] = scene[:, 120:300]
    steady = np.ones(SIZE, bool)
    steady[:, 112:] = False
    assert_is(find_displacement(scene, present, steady), {})


@pytest.mark.parametrize("picture", [np.full((*SIZE, 3), 90, np.uint8), np.zeros((*SIZE, 3), np.uint8)])
def test_too_little_texture_is_no_result(picture):
    found = find_displacement(with_noise(picture, 1), with_noise(picture, 2))
    assert not found.is_believed
    assert find_displacement(picture, make_scene()).doubt == LITTLE_TEXTURE
    assert find_displacement(make_scene(), with_noise(picture, 3)).doubt == NO_MATCH  # covered, dark, glared


def test_another_scene_is_no_displacement():
    found = find_displacement(make_scene(0), make_scene(1))
    assert found.doubt == NO_MATCH and not found.is_believed


def test_another_size_is_refused():
    with pytest.raises(ValueError, match="the picture is 64x48 pixels, its reference 320x240; they must be"):
        find_displacement(make_scene(), np.zeros((48, 64, 3), np.uint8))


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_the_numbers_are_those_of_the_matrix(move):
    there = Displacement(similarity(SIZE, **move), SIZE)
    np.testing.assert_allclose(there.shift, move.get("shift", (0, 0)), atol=1e-9)
    assert there.rotation == pytest.approx(move.get("degrees", 0.0))
    assert there.zoom == pytest.approx(move.get("zoom", 1.0))


def test_how_much_of_the_reference_is_still_seen():
    size = (300, 400)
    assert Displacement(similarity(size), size).seen == 1
    assert Displacement(similarity(size, shift=(100.0, 0.0)), size).seen == pytest.approx(0.75, abs=0.03)
    assert Displacement(similarity(size, zoom=1.25), size).seen == pytest.approx(0.64, abs=0.03)
    assert Displacement(similarity(size, zoom=0.8), size).seen == 1


def test_a_displacement_can_be_undone():
    scene = make_scene()
    move = {"shift": (8.0, -5.0), "degrees": 2.0, "zoom": 1.02}
    undone = Displacement(similarity(SIZE, **move), SIZE).undone(seen(scene, **move))
    inside = (slice(20, -20), slice(20, -20))
    before = np.abs(seen(scene, **move)[inside].astype(int) - scene[inside]).mean()
    assert undone.shape == scene.shape and undone.dtype == np.uint8
    assert np.abs(undone[inside].astype(int) - scene[inside]).mean() < before / 5
    assert find_displacement(scene, undone).distance < 0.3
