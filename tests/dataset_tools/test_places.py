"""Objects found by their colour or by clicks: how a camera stands by four points, places in pictures, the
commands, and the page on which a person clicks.
"""

import json
import re
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from browser import chromium, require_chromium, wait_until

import edit_episodes as script
from common import cli
from constants import IMAGE_SIZE, get_task
from dataset_tools import plans
from dataset_tools.regions.click_file import read_clicks
from dataset_tools.regions.finding import Finder, matrix_from_points, middles, on_plane
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.folders import episode_path
from episodes.frames import JpegFrames
from sim_env import make_sim_env
from tasks.projection import camera_matrix, matrix_of, to_pixels

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


@pytest.fixture
def clicks(scene, tmp_path):
    """Writes a file of clicks, right ones unless others are given, and returns it."""

    def write(**others):
        height = TWIN.props[0].low[2]  # of the cube's middle
        props, points = {}, []
        for i, (_, start) in enumerate(scene[1]):
            (pixel,) = pixels_of(scene[0], [start[:2]], height)
            props[f"episode_{i}"] = {"cube": pixel.round(1).tolist()}
        for pixel, place in zip(pixels_of(scene[0], CORNERS), CORNERS, strict=True):
            points.append({"pixel": pixel.round(1).tolist(), "place": place.tolist()})
        content = {"camera": "top", "size": IMAGE_SIZE, "points": points, "props": props, **others}
        (tmp_path / "clicks.json").write_text(json.dumps(content))
        return tmp_path / "clicks.json"

    return write


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


@pytest.mark.parametrize("tilt", [0, 3, 8, 30])
def test_a_camera_that_looks_down_and_clicks_that_are_not_exact(tilt):
    rng, turn = np.random.default_rng(0), cv2.Rodrigues(np.radians([tilt, 0.0, 0.0]))[0]
    camera = matrix_of(45.0, turn, turn @ [0, 0, 0.7], IMAGE_SIZE)  # looks at 0
    places = np.array([[-0.2, -0.15], [0.2, -0.15], [0.2, 0.15], [-0.2, 0.15]])
    pixels, cube = pixels_of(camera, places), np.array([[0.15, 0.1]])
    for _ in range(50):
        found = matrix_from_points(pixels + rng.uniform(-0.5, 0.5, (4, 2)), places, 0.0, IMAGE_SIZE)
        place = on_plane(found, pixels_of(camera, cube, 0.03)[0], 0.03)
        assert np.linalg.norm(place - cube) < 0.005  # m


def test_a_camera_that_looks_exactly_down_counts_as_a_webcam():
    matrix = matrix_from_points(CORNERS * [1000, -1000], CORNERS, 0.0, IMAGE_SIZE)
    assert np.linalg.norm(matrix[0, :3] - matrix[2, :3] * matrix[0, 2] / matrix[2, 2]) == pytest.approx(576)


def test_points_that_fit_no_camera_are_refused():
    with pytest.raises(ValueError, match="from below"):
        matrix_from_points(CORNERS * 1000, CORNERS, 0.0, IMAGE_SIZE)
    line = np.array([[0.0, 0.1 * i] for i in range(4)])
    with pytest.raises(ValueError, match="do not fit a camera|on a line"):
        matrix_from_points(np.array([[10.0, 30 * i] for i in range(4)]), line, 0.0, IMAGE_SIZE)


def test_the_parts_of_a_colour():
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[5:8, 5:8] = picture[20:30, 40:51] = (200, 20, 20)
    np.testing.assert_allclose(middles(picture, RED, 1), [[45, 24.5], [6, 6]])
    assert len(middles(picture, RED, 30)) == 1
    assert not middles(picture, RED, 1000) and not middles(picture, (0, 200, 0, 90, 255, 90), 1)


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
    beside = picture.copy()
    beside[:40, :40] = (200, 20, 20)  # larger than the cube, but not where that may be
    assert np.linalg.norm(finder(beside)[:3] - start[:3]) < 0.002


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


def test_what_a_file_says_is_found_anew_if_asked_for(find, scene, recorded, tmp_path):
    known, (_, true) = Episode.load(episode_path(recorded, 1)), scene[1][1]
    wrong = true + np.array([0.02, 0, 0, 0, 0, 0, 0])
    replace(known, env_state=wrong).save(episode_path(recorded, 1), overwrite=True)
    said = find("--anew")
    assert "mm from where the file said" in said and "stays" not in said
    found = Episode.load(episode_path(tmp_path / "placed", 1))
    assert np.linalg.norm(found.env_state - true) < 0.002 and found.places


def test_points_in_place_of_the_scenes_camera(find, scene, tmp_path):
    corners = zip(pixels_of(scene[0], CORNERS), CORNERS, strict=True)
    find("--points", *(f"{px:.1f},{py:.1f}={x},{y}" for (px, py), (x, y) in corners))
    found = Episode.load(episode_path(tmp_path / "placed", 0))
    assert found.places == "by colour, top, four points"
    assert np.linalg.norm(found.env_state - scene[1][0][1]) < 0.003


@pytest.mark.parametrize(
    ("flags", "options", "said"),
    [
        ((), {"color": ""}, "say which colour cube has, e.g. --color cube=..., or click it"),
        ((), {"color": "cub=1,2,3,4,5,6"}, "unknown prop of --color 'cub'; did you mean 'cube'?"),
        ((), {"color": "cube=0,200,0,90,255,90"}, "real/episode_0.hdf5: the picture shows no cube"),
        ((), {"name": ""}, "task 'mycobot320_move_cube' has no props to find; give a simulated one"),
        (("--camera", "tip"), {}, "tip"),
        (("--step", "9"), {}, "--step is 9; it has 2 steps"),
        (("--points", "1,2=0,0", "3,4=0,1"), {}, "four are needed, each a pixel and a place"),
        (("--case", "B1 free"), {}, "sim_mycobot320_move_cube_scripted has cases: none"),
        (
            (),
            {"name": "sim_insertion_scripted", "color": "red_peg=80,0,0,255,60,60"},
            "say which colour blue_socket has",
        ),
        ((), {"name": "sim_mycobot320_choose_scripted"}, "has cases: choose from B1 free, B1 occupied"),
    ],
)
def test_wrong_input_writes_nothing(find, tmp_path, flags, options, said):
    with pytest.raises(SystemExit) as caught:
        find(*flags, **options)
    assert said in caught.value.code and "\n" not in caught.value.code
    assert [path.name for path in tmp_path.iterdir()] == ["real"]


# --- clicks


def test_clicks_are_places(find, scene, clicks, tmp_path):
    said = find("--clicks", clicks(), color="")
    assert "episode_1.hdf5: cube at (-0." in said
    for i, (_, start) in enumerate(scene[1]):
        found = Episode.load(episode_path(tmp_path / "placed", i))
        assert found.places == "by click, top, four points"
        assert np.linalg.norm(found.env_state[:2] - start[:2]) < 0.001  # m


def test_what_was_not_clicked_is_found_by_colour(find, scene, clicks, tmp_path):
    file = clicks(points=[], props={"episode_0": {"cube": [300, 330]}})
    find("--clicks", file)
    one, other = (Episode.load(episode_path(tmp_path / "placed", i)) for i in range(N))
    assert one.places == "by click, top, camera of the scene" and other.places.startswith("by colour, top")
    np.testing.assert_allclose(
        one.env_state[:2], on_plane(scene[0], (300, 330), TWIN.props[0].low[2]), atol=1e-3
    )
    assert np.linalg.norm(other.env_state - scene[1][1][1]) < 0.002


def test_clicked_points_and_colours(find, scene, clicks, tmp_path):
    find("--clicks", clicks(props={}))
    found = Episode.load(episode_path(tmp_path / "placed", 0))
    assert found.places == "by colour, top, four points"
    assert np.linalg.norm(found.env_state - scene[1][0][1]) < 0.003


def test_what_is_clicked_anew_counts_for_all_episodes(find, scene, clicks, monkeypatch, tmp_path):
    make = plans.make

    def stopped(write, place):
        if place.name == "episode_1.hdf5":
            raise KeyboardInterrupt
        make(write, place)

    monkeypatch.setattr(plans, "make", stopped)
    with pytest.raises(SystemExit):
        find("--clicks", clicks(points=[], props={f"episode_{i}": {"cube": [300, 330]} for i in range(N)}))
    monkeypatch.setattr(plans, "make", make)
    find("--clicks", clicks())
    for i, (_, start) in enumerate(scene[1]):
        found = Episode.load(episode_path(tmp_path / "placed", i))
        assert np.linalg.norm(found.env_state[:2] - start[:2]) < 0.001  # m


POINT = {"pixel": [132, 401], "place": [-0.45, 0.05]}
UNPLACED = {"pixel": None, "place": [0, 0]}


def cube_at(pixel, episode="episode_0", prop="cube"):
    return {"props": {episode: {prop: pixel}}}


@pytest.mark.parametrize(
    ("others", "flags", "said"),
    [
        (cube_at([300, 330]), (), "episode_1.hdf5: cube was clicked in other episodes"),
        (cube_at([1, 1], "episode_7"), (), "clicks.json: unknown episode 'episode_7'; did you mean"),
        (cube_at([1, 1], prop="cub"), (), "clicks.json: unknown prop 'cub'; did you mean 'cube'?"),
        (cube_at([640, 1]), (), "cube of episode_0 is at (640, 1), outside of the picture of 640 x 480"),
        (cube_at(["a", 1]), (), "props.episode_0.cube[0] is 'a'; it must be a finite number"),
        (cube_at([40, 40]), (), "episode_0.hdf5: cube would be at ("),
        ({"props": {}, "points": []}, (), "clicks.json: nothing was clicked"),
        ({"props": {}}, (), "say which colour cube has"),
        ({"points": [POINT] * 3}, (), "clicks.json: 3 points of the table; give 4, or none"),
        ({"points": [UNPLACED] * 4}, (), "points[0].pixel is None; it must be a list"),
        ({"points": [POINT] * 4}, (), "the points of the table are on a line, or two are the same"),
        ({"size": [240, 320]}, (), "outside of the picture of 320 x 240 pixels"),
        ({"size": [960, 1280]}, (), "clicks in pictures of 1280 x 960 pixels"),
        ({"camera": "front"}, ("--camera", "top"), "--camera is top; the clicks of"),
        ({}, ("--points", "1,2=0,0"), "has points of the table too; give one of them"),
        ({"size": [480, 640, 3]}, (), "size is [480, 640, 3]; it must be a list of 2"),
        ({"camera": 3}, (), "clicks.json: camera is 3; it must be text"),
    ],
)
def test_wrong_clicks_write_nothing(find, clicks, tmp_path, others, flags, said):
    with pytest.raises(SystemExit) as caught:
        find("--clicks", clicks(**others), *flags, color="")
    assert said in caught.value.code and "\n" not in caught.value.code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clicks.json", "real"]


def test_a_file_of_clicks_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file of clicks"):
        read_clicks(str(tmp_path / "none.json"), [], [])
    for content in ("{", "[1]", "[" * 5000):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ValueError, match=r"bad.json( is no file of clicks|: it is)"):
            read_clicks(str(tmp_path / "bad.json"), [], [])


@pytest.fixture
def page(monkeypatch, capsys, recorded, tmp_path):
    """The page of clicks of the recordings."""
    words = ["clicks", "--dataset_dir", f"{recorded}/", "--task_name", TWIN.name, "--step", "1"]
    monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *words])
    cli.run(script.main)
    assert capsys.readouterr().out == f"open {recorded}_clicks.html in a browser\n"
    return tmp_path / "real_clicks.html"


def test_the_page_shows_each_episode_and_the_command(page, recorded):
    content = page.read_text()
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', content, re.DOTALL)[1])
    assert (data["camera"], tuple(data["size"]), data["props"]) == ("top", IMAGE_SIZE, ["cube"])
    assert [each["name"] for each in data["episodes"]] == [f"episode_{i}" for i in range(N)]
    assert all(each["image"].startswith("data:image/jpeg;base64,") for each in data["episodes"])
    command = re.search(r'<pre id="command".*?>(.*?)</pre>', content)[1].split()
    name, flags = script.parse_flags(command[2:])
    assert (name, flags.dataset_dir, flags.task_name) == ("places", f"{recorded}/", TWIN.name)
    assert (flags.clicks, flags.output_dir) == ("clicks.json", f"{recorded}_placed")


def test_the_page_lies_beside_the_folder_that_one_is_in(monkeypatch, recorded, tmp_path):
    monkeypatch.chdir(recorded)
    words = ["clicks", "--dataset_dir", ".", "--task_name", TWIN.name, "--step", "1"]
    monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *words])
    cli.run(script.main)
    content = (tmp_path / "real_clicks.html").read_text()
    assert f"--output_dir {tmp_path / 'real_placed'}" in content


def test_what_a_person_clicks_is_a_file_of_clicks(page, scene, clicks, tmp_path):
    require_chromium()
    wanted = read_clicks(str(clicks()), ["episode_0", "episode_1"], ["cube"])
    with chromium() as driver:
        from selenium.webdriver import ActionChains, Keys

        def click(pixel):
            canvas = driver.find_element("id", "picture")
            height, width = IMAGE_SIZE
            scale = min(canvas.size["width"] / width, canvas.size["height"] / height)
            offset = (np.array(pixel) + 0.5) * scale - (canvas.size["width"] / 2, canvas.size["height"] / 2)
            ActionChains(driver).move_to_element_with_offset(canvas, *map(round, offset)).click().perform()

        driver.get(page.as_uri())
        wait_until(driver, "pictures.size > 0")
        assert driver.find_element("id", "missing").text.startswith("cube is not marked in 2 of 2 episodes")
        click(wanted.props["episode_0"]["cube"])
        ActionChains(driver).send_keys(Keys.ARROW_DOWN).perform()
        click(np.array(wanted.props["episode_1"]["cube"]) - (0.5, 0))
        ActionChains(driver).send_keys(Keys.ARROW_RIGHT).perform()
        driver.find_elements("css selector", "#targets button")[1].click()
        inputs = driver.find_elements("css selector", "#places input")
        for i, point in enumerate(wanted.points):
            click(point.pixel)
            for axis in range(2):
                inputs[2 * i + axis].send_keys(str(point.place[axis]))
        assert driver.find_element("id", "missing").text == ""
        (tmp_path / "clicked.json").write_text(driver.find_element("id", "file").text)
    clicked = read_clicks(str(tmp_path / "clicked.json"), wanted.props, ["cube"])
    assert (clicked.camera, clicked.size) == ("top", IMAGE_SIZE)
    assert [point.place for point in clicked.points] == [point.place for point in wanted.points]
    for one, other in zip(clicked.points, wanted.points, strict=True):
        assert np.abs(np.subtract(one.pixel, other.pixel)).max() < 1.5  # the mouse goes in whole pixels
    for episode, props in wanted.props.items():
        assert np.abs(np.subtract(clicked.props[episode]["cube"], props["cube"])).max() < 1.5
