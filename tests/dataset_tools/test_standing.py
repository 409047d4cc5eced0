"""A simulated camera stands where the real one does, by four points of the table."""

import json
import sys
from itertools import pairwise

import cv2
import numpy as np
import pytest

import edit_episodes as script
from common import cli
from constants import IMAGE_SIZE, get_task
from dataset_tools.multiplied import multiplying
from dataset_tools.multiplied.real_room.standing import Standing
from disturbances import room_look
from episodes import Episode, episode_path, list_episodes
from evaluation import demonstrations
from evaluation.demonstrations import environment, run_script
from sim_env import make_sim_env
from tasks import camera_pose, to_pixels
from tasks.projection import matrix_of

TASK = get_task("sim_mycobot320_move_cube_scripted")
CORNERS = np.array([[-0.45, -0.25, 0], [-0.45, 0.05, 0], [-0.2, 0.05, 0], [-0.2, -0.25, 0]])


@pytest.fixture
def room():
    """The scene in a room whose camera stands 6 degrees from its own place."""
    env = make_sim_env(TASK, randomize=True)
    env.set_looks(room_look(5))
    env.reset(0)
    yield env
    env.close()


def seen_by(env, move, fovy=None):
    """Matrix (3, 4) of the first camera after a move, in the convention of `camera_matrix`."""
    name = TASK.cameras[0]
    axes, place = camera_pose(env.physics, name), env.physics.named.data.cam_xpos[name]
    fovy = float(env.physics.named.model.cam_fovy[name]) if fovy is None else fovy
    return matrix_of(fovy, axes @ cv2.Rodrigues(move[1])[0], place + axes @ move[0], IMAGE_SIZE)


def write_clicks(path, matrix, points=CORNERS):
    pixels = to_pixels(matrix, points)
    rows = [{"pixel": list(p), "place": list(c[:2])} for p, c in zip(pixels, points, strict=True)]
    content = {"camera": TASK.cameras[0], "size": list(IMAGE_SIZE), "props": {}, "points": rows}
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("fovy", [None, 55.0])
def test_four_points_tell_where_it_stands_and_how_much_it_sees(room, tmp_path, fovy):
    move = room.task.looks.camera_moves[TASK.cameras[0]]
    standing = Standing.clicked(str(write_clicks(tmp_path / "clicks.json", seen_by(room, move, fovy))))
    for found, true in zip(standing.move(room), move, strict=True):
        np.testing.assert_allclose(found, true, atol=1e-6)
    own = float(room.physics.named.model.cam_fovy[TASK.cameras[0]])
    assert standing.fovy == pytest.approx(fovy or own, abs=1e-4)
    assert "24 mm and 2.2 degrees from where the scene has it" in standing.told(room)


def test_pictures_show_what_the_room_shows(room, tmp_path):
    """Of each, where edges are: the room's light and colours are its own."""
    name, looks = TASK.cameras[0], room.task.looks
    move = looks.camera_moves[name]
    standing = Standing.clicked(str(write_clicks(tmp_path / "clicks.json", seen_by(room, move))))
    room.set_looks(None)
    room.reset(0)
    plain = room.render(name).astype(int)
    looks.camera_moves[name] = move
    there = room.render(name).astype(int)
    looks.camera_moves.clear()
    standing.put(room)
    put = room.render(name).astype(int)
    assert np.abs(put - there).mean() < 0.1 < np.abs(plain - there).mean()


@pytest.fixture
def multiply(monkeypatch, capsys, tmp_path):
    """Runs the command on one demonstration; gives what it printed and the new episodes."""
    monkeypatch.setattr(multiplying, "close_environments", lambda: None)
    env = environment(TASK, "fast", True, False)
    episode = run_script(env, TASK, np.random.default_rng(0), TASK.cameras[:1])
    episode.save(episode_path(tmp_path / "few", 0))

    def run(*flags, folder="new"):
        words = ["multiply", "--dataset_dir", tmp_path / "few", "--output_dir", tmp_path / folder]
        words += ["--num_episodes", 1, "--num_workers", 1, "--camera_names", TASK.cameras[0], *flags]
        monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *map(str, words)])
        cli.run(script.main)
        return capsys.readouterr().out, [Episode.load(path) for path in list_episodes(tmp_path / folder)]

    yield run
    demonstrations.close_environments()


def test_new_episodes_are_seen_from_there(multiply, room, tmp_path):
    clicks = write_clicks(tmp_path / "clicks.json", seen_by(room, room.task.looks.camera_moves["top"]))
    _, [usual] = multiply("--randomize", folder="usual")
    plain, [there] = multiply("--randomize", "--clicks", clicks, "--seen_table", 0, folder="there")
    said, [seen] = multiply("--randomize", "--clicks", clicks, "--seen_table", 1)
    assert "top stands" in plain and "of the table" not in plain
    assert "of the table; in 100% of the looks it is as it is there" in said
    np.testing.assert_array_equal(there.action, usual.action)
    np.testing.assert_array_equal(seen.action, usual.action)
    shown = [np.asarray(episode.images["top"][0]).astype(int) for episode in (usual, there, seen)]
    assert all(np.abs(one - other).mean() > 3 for one, other in pairwise(shown))


def test_what_the_clicks_must_have(multiply, room, tmp_path):
    clicks = write_clicks(tmp_path / "clicks.json", seen_by(room, room.task.looks.camera_moves["top"]))
    content = json.loads(clicks.read_text())
    for changed, flags, said in (
        (content, (), "add --randomize"),
        ({**content, "points": []}, ("--randomize",), "no points of the table were clicked"),
        ({**content, "points": content["points"][:3]}, ("--randomize",), "3 points of the table; give 4"),
        ({**content, "camera": "front"}, ("--randomize",), "front"),
    ):
        clicks.write_text(json.dumps(changed))
        with pytest.raises(SystemExit, match=said):
            multiply(*flags, "--clicks", clicks)
        assert not (tmp_path / "new").exists() or not list_episodes(tmp_path / "new")
