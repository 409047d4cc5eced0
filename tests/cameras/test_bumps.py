"""The step at which a camera was bumped, though something moves before it; and what is no bump."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from scenery import make_scene, seen, with_noise

from cameras.bumps import find_bump
from dataset_tools.inspection import Thresholds, find_problems
from episodes.episode import Episode
from episodes.frames import JpegFrames

STEPS, FPS, MOST = 60, 10.0, 3.0
SCENE = make_scene()
BUMP = {"shift": (4.0, -2.0), "degrees": 1.0}


class Recording(Sequence):
    """Frames of a camera before which an arm swings; `moves` says how it is off at each step."""

    def __init__(self, moves) -> None:
        self.moves, self.asked = moves, 0

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, step: int) -> np.ndarray:
        self.asked += 1
        picture = seen(SCENE, **self.moves(step)).copy()
        angle = 2 * np.pi * step / STEPS
        end = (int(160 + 90 * np.cos(angle)), int(100 + 80 * np.sin(angle)))
        cv2.line(picture, (160, 240), end, (240, 240, 240), 25)
        return with_noise(picture, step, 2.0)


@pytest.mark.parametrize("step", [1, 7, 30, 59])
def test_the_step_is_found(step):
    bump = find_bump(Recording(lambda t: BUMP if t >= step else {}), FPS, MOST)
    assert bump.step == step
    np.testing.assert_allclose(bump.displacement.shift, BUMP["shift"], atol=0.5)
    assert (
        bump.text == f"bumped at step {step}, by {np.hypot(*bump.displacement.shift):.0f} px and 1.0 degrees"
    )


def test_a_bump_may_take_a_moment():
    def swings(t):
        return {} if t < 20 else BUMP if t >= 24 else {"shift": (9.0 * (-1) ** t, 0.0)}

    assert 20 <= find_bump(Recording(swings), FPS, MOST).step <= 24


def test_a_camera_that_stands_is_asked_for_two_pictures():
    recording = Recording(lambda t: {})
    assert find_bump(recording, FPS, MOST) is None and recording.asked == 2


@pytest.mark.parametrize(
    "moves",
    [
        lambda t: {"shift": (60 * t / STEPS, 0.0)},  # along with the arm
        lambda t: {"shift": (25 * np.sin(t / 4), 0.0)},
        lambda t: {"shift": (2.0, 0.0)} if t > 30 else {},  # within the limit, 1.5 px here
    ],
    ids=["rides", "swings", "little"],
)
def test_what_is_no_bump(moves):
    assert find_bump(Recording(moves), FPS, 6.0) is None


def test_one_frame_or_none_is_no_bump():
    assert find_bump([SCENE], FPS, MOST) is None and find_bump([], FPS, MOST) is None


def test_the_check_of_a_dataset_names_it(tmp_path):
    recording, frames = Recording(lambda t: BUMP if t >= 25 else {}), JpegFrames(95)
    for step in range(STEPS):
        frames.append(recording[step])
    way = np.linspace(0, 1, STEPS)[:, None].repeat(7, axis=1)
    Episode(way, way, {"top": frames}, fps=10).save(tmp_path / "episode_0.hdf5")
    (problem,) = find_problems(tmp_path / "episode_0.hdf5", Thresholds()).problems
    assert problem.startswith("camera 'top': bumped at step 25, by ")
    assert find_problems(tmp_path / "episode_0.hdf5", Thresholds(max_bump=40.0)).problems == []
