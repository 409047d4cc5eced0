"""Objects found by their colour: how a camera stands by four points, places in pictures, and the command."""

import sys
from dataclasses import replace

import numpy as np
import pytest

import edit_episodes as script
from common import cli
from constants import IMAGE_SIZE, get_task
from dataset_tools.placing import Finder, matrix_from_points, middle, on_plane
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.folders import episode_path
from episodes.frames import JpegFrames
from sim_env import make_sim_env
from tasks.projection import camera_matrix, to_pixels

TWIN = get_task("sim_mycobot320_move_cube_scripted")
RED = (60, 0, 0, 255, 60, 60)  # also where it is in the shade
COLOUR = f"cube={','.join(map(str, RED))}"
CORNERS = np.array([[-0.45, -0.25], [-0.2, -0.25], [-0.2, 0.05], [-0.45, 0.05]])  # m
N = 2


@pytest.fixture(scope="module")
def scene():
    """The camera's matrix, and pictures with the starts that they show."""
    env = make_sim_env(TWIN)
    pictures = []
    for i in range(N):
        step = env.reset(i)
        pictures.append((step.observation["images"]["top"], env.env_state))
    matrix = camera_matrix(env.physics, "top", IMAGE_SIZE)
    env.close()
    return matrix, pictures


@pytest.fixture
def recorded(scene, tmp_path):
    """A folder of recordings of a real arm: they do not say where the cube is."""
    for i, (picture, _) in enumerate(scene[1]):
        frames = JpegFrames()
        for _ in range(2):
            frames.append(picture)
        way = np.zeros((2, TWIN.dim), np.float32)
        episode = Episode(way, way, {"top": frames}, task="mycobot320_move_cube", fps=10, seed=7)
        episode.save(episode_path(tmp_path / "real", i))
    return tmp_path / "real"


@pytest.fixture
def find(monkeypatch, capsys, recorded, tmp_path):
    """Runs the command in this process; returns what it printed."""

    def run(*flags, name=TWIN.name, color=COLOUR):
        words = ["places", "--dataset_dir", recorded, "--output_dir", tmp_path / "placed", "--step", "0"]
        words += ["--num_workers", "1", *(["--task_name", name] if name else []), *flags]
        words += ["--color", color] if color else []
        monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *map(str, words)])
        cli.run(script.main)
        return capsys.readouterr().out

    return run


def pixels_of(matrix, places, height=0.0):
    return to_pixels(matrix, np.column_stack([places, np.full(len(places), height)]))


def test_a_pixel_and_a_height_are_a_place(scene):
    rng = np.random.default_rng(0)
    for height in (0.0, 0.06):
        wanted = rng.uniform(-0.4, -0.1, (5, 2))
        found = [on_plane(scene[0], pixel, height) for pixel in pixels_of(scene[0], wanted, height)]
        np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("points_height", [0.0, 0.04])
def test_four_points_of_the_table_tell_how_the_camera_stands(scene, points_height):
    pixels = pixels_of(scene[0], CORNERS, points_height)
    matrix = matrix_from_points(pixels, CORNERS, points_height, IMAGE_SIZE)
    wanted = np.array([[-0.3, -0.1], [-0.4, 0.0]])
    for height in (0.0, 0.06, 0.12):
        found = [on_plane(matrix, pixel, height) for pixel in pixels_of(scene[0], wanted, height)]
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_points_that_fit_no_camera_are_refused():
    with pytest.raises(ValueError, match="do not fit a camera|on a line"):
        matrix_from_points(CORNERS * 1000, CORNERS * [1, 1], 0.0, IMAGE_SIZE)
    line = np.array([[0.0, 0.1 * i] for i in range(4)])
    with pytest.raises(ValueError, match="do not fit a camera|on a line"):
        matrix_from_points(np.array([[10.0, 30 * i] for i in range(4)]), line, 0.0, IMAGE_SIZE)


def test_the_largest_part_of_a_colour():
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[5:8, 5:8] = picture[20:30, 40:51] = (200, 20, 20)
    np.testing.assert_allclose(middle(picture, RED, 30), [45, 24.5])
    assert middle(picture, RED, 1000) is None and middle(picture, (0, 200, 0, 90, 255, 90), 1) is None


def test_a_cube_is_found_within_millimetres(scene):
    finder = Finder(TWIN, {"cube": RED}, scene[0], [TWIN.props[0].low[2]], 30)
    for picture, start in scene[1]:
        found = finder(picture)
        assert np.linalg.norm(found[:3] - start[:3]) < 0.002  # m
        np.testing.assert_allclose(found[3:], start[3:])
    with pytest.raises(EpisodeError, match="the picture shows no cube"):
        finder(np.zeros_like(picture))
    stray = np.zeros_like(picture)
    stray[:40, :40] = (200, 20, 20)
    with pytest.raises(EpisodeError, match="from where it may start"):
        finder(stray)


def test_files_get_their_places(find, scene, recorded, tmp_path):
    known = Episode.load(episode_path(recorded, 1))
    replace(known, env_state=scene[1][1][1]).save(episode_path(recorded, 1), overwrite=True)
    said = find()
    assert "episode_0.hdf5: cube at (-0." in said and "mm from where the file says, which stays" in said
    found, stays = (Episode.load(episode_path(tmp_path / "placed", i)) for i in range(N))
    assert np.linalg.norm(found.env_state - scene[1][0][1]) < 0.002
    assert found.places == "by colour, top, camera of the scene" and found.seed == 7
    assert found.task == "mycobot320_move_cube" and len(found.images["top"]) == 2
    np.testing.assert_array_equal(stays.env_state, scene[1][1][1])
    assert stays.places == ""


def test_points_in_place_of_the_scenes_camera(find, scene, tmp_path):
    corners = zip(pixels_of(scene[0], CORNERS), CORNERS, strict=True)
    find("--points", *(f"{px:.1f},{py:.1f}={x},{y}" for (px, py), (x, y) in corners))
    found = Episode.load(episode_path(tmp_path / "placed", 0))
    assert found.places == "by colour, top, four points"
    assert np.linalg.norm(found.env_state - scene[1][0][1]) < 0.003


@pytest.mark.parametrize(
    ("flags", "options", "said"),
    [
        ((), {"color": ""}, "say which colour cube has, e.g. --color cube="),
        ((), {"color": "cub=1,2,3,4,5,6"}, "unknown prop of --color 'cub'; did you mean 'cube'?"),
        ((), {"color": "cube=0,200,0,90,255,90"}, "real/episode_0.hdf5: the picture shows no cube"),
        ((), {"name": ""}, "task 'mycobot320_move_cube' has no props to find; give a simulated one"),
        (("--camera", "tip"), {}, "tip"),
        (("--step", "9"), {}, "--step is 9; it has 2 steps"),
        (("--points", "1,2=0,0", "3,4=0,1"), {}, "four are needed, each a pixel and a place"),
        (("--case", "B1 free"), {}, "sim_mycobot320_move_cube_scripted has cases: none"),
        ((), {"name": "sim_mycobot320_choose_scripted"}, "has cases: choose from B1 free, B1 occupied"),
    ],
)
def test_wrong_input_writes_nothing(find, tmp_path, flags, options, said):
    with pytest.raises(SystemExit) as caught:
        find(*flags, **options)
    assert said in caught.value.code and "\n" not in caught.value.code
    assert [path.name for path in tmp_path.iterdir()] == ["real"]
