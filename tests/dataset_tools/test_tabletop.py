"""Simulated tables get the top that the demonstrations' pictures show."""

from dataclasses import replace

import numpy as np
import pytest
from test_standing import TASK, seen_by, write_clicks

from dataset_tools.multiplied.real_room.standing import Standing
from dataset_tools.multiplied.real_room.tabletop import Tabletop, middle
from disturbances import room_look
from episodes import Episode
from sim_env import make_sim_env
from tasks import SEEN_PIXELS, LookPlan, only

CAMERA = TASK.cameras[0]


@pytest.fixture(scope="module")
def scene():
    env = make_sim_env(TASK, randomize=True)
    env.reset(0)
    yield env
    env.close()


def standing_of(env, folder, move):
    return Standing.clicked(str(write_clicks(folder / "clicks.json", seen_by(env, move))))


def pictures_in(env, folder, look=None, count=3):
    """A short demonstration in which nothing moves, as an episode's path; and where its camera stands."""
    env.set_looks(look)
    env.reset(0)
    picture, qpos = env.render(CAMERA), env.observe()["qpos"]
    move = env.task.looks.camera_moves.get(CAMERA, (np.zeros(3), np.zeros(3)))
    path = folder / f"episode_{len(list(folder.glob('*.hdf5')))}.hdf5"
    states = np.tile(qpos, (count, 1)).astype(np.float32)
    images = {CAMERA: np.stack([picture] * count)}
    Episode(qpos=states, action=states, images=images, env_state=env.env_state, task=TASK.name).save(path)
    return path, standing_of(env, folder, move), picture


def test_only_the_table_itself_is_taken(scene, tmp_path):
    """Of the plain scene, whose table has one colour, neither the arm nor what stands on it is in the top."""
    path, standing, picture = pictures_in(scene, tmp_path)
    top = Tabletop.of(scene, standing, [path])
    assert top.picture.shape == (SEEN_PIXELS, SEEN_PIXELS, 3) and 0.3 < top.seen < 0.95
    assert top.picture.max() > 240
    red, _, blue = np.moveaxis(top.picture.astype(float), 2, 0)
    warmth = blue / np.maximum(red, 1.0)  # white would be 1, the cube's red 0.1
    assert np.abs(warmth - np.median(warmth)).max() < 0.1
    np.testing.assert_array_equal(pictures_in(scene, tmp_path)[2], picture)  # nothing was left changed


def test_a_simulated_table_looks_as_the_one_in_the_room(scene, tmp_path):
    path, standing, _ = pictures_in(scene, tmp_path, room_look(5))
    top = Tabletop.of(scene, standing, [path])

    def alike(share):
        """How far the table of another look agrees with the room's, seen from elsewhere."""
        top.put(scene, share)
        path, standing, _ = pictures_in(scene, tmp_path, LookPlan((3,), only("table", "real")))
        scene.task.looks.seen_share = 0.0
        tops = (top, Tabletop.of(scene, standing, [path]))
        middle = [each.picture[150:400, 200:450].mean(axis=2).ravel() for each in tops]
        return np.corrcoef(*middle)[0, 1]

    assert alike(1.0) > 0.9 > 0.5 > alike(0.0)


def test_the_median_is_of_what_pictures_show():
    rng = np.random.default_rng(0)
    layers = rng.uniform(size=(5, 4, 4, 3))
    layers[rng.uniform(size=(5, 4, 4)) < 0.5] = np.nan
    layers[:, 0, 0] = np.nan
    found = middle(layers)
    for row, column in np.ndindex(4, 4):
        values = sorted(rgb for rgb in layers[:, row, column, 1] if not np.isnan(rgb))
        wanted = values[(len(values) - 1) // 2] if values else np.nan
        np.testing.assert_equal(found[row, column, 1], wanted)


def test_a_camera_that_looks_elsewhere_is_told(scene, tmp_path):
    path, standing, _ = pictures_in(scene, tmp_path)
    up = replace(standing, axes=standing.axes * [1, -1, -1])
    with pytest.raises(ValueError, match="top shows 0% of the table; was it clicked there?"):
        Tabletop.of(scene, up, [path])
