"""A camera on the arm is found by what it sees of a prop, and put there."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from constants import get_task
from dataset_tools.multiplied.real_room import carried
from dataset_tools.multiplied.real_room.carried import Carried, colour_of
from dataset_tools.multiplied.real_room.moments import moments
from disturbances import room_look
from episodes import Episode, episode_path, list_episodes
from evaluation import demonstrations
from evaluation.demonstrations import Demonstration, environment, run_script

TASK = replace(get_task("sim_mycobot320_move_cube_scripted"), episode_len=25)  # until the hand is there
WRIST = "right_wrist"
SITS = np.array([0.012, -0.009, 0.007]), np.radians([2.0, -1.5, 1.0])


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Demonstrations in a room whose wrist camera sits elsewhere."""
    folder, env = tmp_path_factory.mktemp("shown"), environment(TASK, "fast", True, True)
    env.env.set_looks(room_look(5))
    env.env.task.looks.bumps[WRIST] = SITS
    rng = np.random.default_rng(3)
    for number in range(8):
        how = Demonstration(noise=0.02)
        run_script(env, TASK, rng, (WRIST,), how=how).save(episode_path(folder, number))
    env.env.set_looks(None)
    env.env.task.looks.bumps.clear()
    yield folder
    demonstrations.close_environments()


@pytest.fixture
def env(shown):
    env = environment(TASK, "fast", True, True)
    yield env
    env.env.task.looks.bumps.clear()


def true_move(env):
    """Where the room has the camera, with the bump on top."""
    looks = env.env.task.looks
    env.env.set_looks(room_look(5))
    env.env.reset(0)
    shift, turn = looks.camera_moves[WRIST]
    env.env.set_looks(None)
    axes = cv2.Rodrigues(turn)[0]
    return shift + axes @ SITS[0], cv2.Rodrigues(axes @ cv2.Rodrigues(SITS[1])[0])[0].ravel()


def test_of_many_demonstrations_some_are_looked_at(shown, env):
    one, *_ = paths = list_episodes(shown)
    assert len(list(moments(env.env, WRIST, [one] * 100, 5))) == 5
    assert len(list(moments(env.env, WRIST, paths, 16))) == 16


def test_a_prop_tells_where_the_camera_sits(shown, env):
    found = Carried.found(env, WRIST, list_episodes(shown))
    shift, turn = true_move(env)
    assert np.linalg.norm(shift) > 0.018 and np.degrees(np.linalg.norm(turn)) > 2  # it is far off
    assert np.linalg.norm(found.move[0] - shift) < 0.012  # a shift looks much like a turn
    assert np.degrees(np.linalg.norm(found.move[1] - turn)) < 3
    assert found.pictures > 60 and found.off < 3
    assert found.told().startswith(f"{WRIST} sits ") and "pictures of cube" in found.told()


def test_pictures_show_the_prop_where_the_room_shows_it(shown, env):
    found = Carried.found(env, WRIST, list_episodes(shown))
    episode = Episode.load(list_episodes(shown)[0])
    off = []
    for put in (False, True):
        if put:
            found.put(env.env)
        env.reset(env_state=episode.env_state)
        env.env.pose(episode.qpos[0])
        pictures = env.env.render(WRIST), np.asarray(episode.images[WRIST][0])
        red = [p.astype(int)[..., 0] - p.astype(int)[..., 1:].max(axis=2) > 60 for p in pictures]
        middles = [np.argwhere(shows).mean(axis=0) for shows in red]
        off.append(np.linalg.norm(middles[0] - middles[1]))
    assert off[1] < 6 < 20 < off[0], off  # pixels


def test_what_cannot_tell_leaves_the_camera(shown, env, tmp_path, monkeypatch):
    paths = list_episodes(shown)
    for number, path in enumerate(paths):
        episode = Episode.load(path)
        grey = np.asarray(episode.images[WRIST]).mean(axis=-1, keepdims=True).astype(np.uint8)
        images = {WRIST: np.repeat(grey, 3, axis=-1)}
        replace(episode, images=images).save(episode_path(tmp_path, number))
    assert Carried.found(env, WRIST, list_episodes(tmp_path)) is None  # nothing has a colour
    assert Carried.found(env, WRIST, paths[:1]) is None  # too few pictures
    monkeypatch.setattr(carried, "MOST_OFF", 0.01)
    assert Carried.found(env, WRIST, paths) is None  # nothing explains them


@pytest.mark.parametrize("hue", [1, 90, 178])
def test_a_hue_is_found_also_where_its_circle_closes(hue):
    rng = np.random.default_rng(0)
    some = np.stack([(hue + rng.integers(-3, 4, 500)) % 180, np.full(500, 180), np.full(500, 200)], axis=1)
    grey = np.stack([rng.integers(0, 180, 2000), rng.integers(0, 12, 2000), np.full(2000, 250)], axis=1)
    found, saturation = colour_of(np.concatenate([some, grey]).astype(np.uint8))
    assert min(abs(found - hue), 180 - abs(found - hue)) <= 3 and saturation > 100
    assert colour_of(np.zeros((0, 3), np.uint8)) == (0, 0.0)
