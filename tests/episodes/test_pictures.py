"""What pictures tell about their camera."""

import numpy as np

from mycobot_scripts.checks.pictures import MIN_PIXELS, difference, distinct, drift, marked

RNG = np.random.default_rng(0)
SCENE = RNG.integers(60, 180, (120, 160, 3))


def pictures(scene: np.ndarray, count: int = 5, noise: float = 4.0) -> list[np.ndarray]:
    return [np.clip(scene + RNG.normal(0, noise, scene.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def test_noise_and_light_are_no_gripper():
    assert difference(pictures(SCENE), pictures(SCENE)).pixels == 0
    brighter = difference(pictures(SCENE), pictures(SCENE + 40))
    assert brighter.pixels < MIN_PIXELS and not brighter.is_visible


def test_a_gripper_that_moves_is_seen_and_marked():
    moved = SCENE.copy()
    moved[40:60, 100:112] = (250, 20, 20)
    found = difference(pictures(SCENE), pictures(moved))
    left, top, right, bottom = found.box
    assert found.is_visible and abs(left - 100) <= 2 and abs(bottom - 60) <= 2
    assert 0.7 * 240 * 16 < found.pixels < 1.1 * 240 * 16  # as if it were 480x640
    shown = marked(pictures(moved)[0], found)
    assert (shown[top - 2, left] == (0, 255, 0)).all()


def test_drift_and_frozen():
    assert drift(pictures(SCENE)) < 0.01
    assert drift([*pictures(SCENE), *pictures(SCENE * 1.2)]) > 0.1
    frame = pictures(SCENE)[0]
    assert distinct([frame] * 6) == 1 and distinct(pictures(SCENE, 6)) == 6
