"""A task as a picture."""

import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

import constants
import show_task
from common import cli
from constants import get_task
from tasks.parts import Stage, Waypoint

MOVE = get_task("sim_move_cube_scripted")


@pytest.fixture
def show(monkeypatch, capsys, tmp_path):
    def run(*flags):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["show_task.py", *flags])
        cli.run(show_task.main)
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", ["sim_mycobot320_choose_scripted", "sim_insertion_human"])
def test_a_task_is_drawn_whatever_it_has(show, tmp_path, name):
    """Several cases, a prop out of sight; no script."""
    said = show("--task_name", name)
    assert f"drawing {name}, from start 0" in said and "every waypoint is in reach" in said
    assert f"picture: {tmp_path / name}.png" in said
    picture = cv2.imread(str(tmp_path / f"{name}.png"))
    rows = len(get_task(name).variants)
    assert picture.shape[1] > 1500 and picture.shape[0] > 500 * rows and picture.std() > 30


def test_what_is_out_of_reach_is_named_and_drawn_in_red(show, tmp_path, monkeypatch):
    from viewers.scenes import task_picture

    monkeypatch.setattr(task_picture, "PROPS", ("deepskyblue",))  # nothing else is red

    def drawn(script):
        monkeypatch.setitem(constants.TASKS, "mine", replace(MOVE, name="mine", script=script))
        said = show("--task_name", "mine", "--output", "mine.png", "--seed", "1")
        blue, green, red = cv2.split(cv2.imread(str(tmp_path / "mine.png")))
        return said, int(((red > 250) & (green < 5) & (blue < 5)).sum())

    near = (Waypoint("right", 0, "start", (0, 0, 0), 0), Waypoint("right", 50, "red_box", (0, 0, 0.1), 1))
    said, before = drawn(near)
    assert "every waypoint is in reach" in said
    said, after = drawn((*near, Waypoint("right", 90, "world", (-0.7, 0.5, 0.2), 1)))
    assert "waypoint 2 (right, step 90) is out of reach by" in said
    assert after > before + 200


@pytest.mark.parametrize(
    ("name", "shape"), [(MOVE.name, (540, 1920, 3)), ("sim_insertion_scripted", (1080, 1920, 3))]
)
def test_a_sheet_of_looks_is_drawn(show, tmp_path, name, shape):
    assert f"real looks of {name}: {tmp_path / name}_looks_real.png" in show(
        "--task_name", name, "--looks", "real"
    )
    sheet = cv2.imread(str(tmp_path / f"{name}_looks_real.png"))
    assert sheet.shape == shape and sheet.std() > 30
    show("--task_name", name, "--looks", "mild", "--output", "sheet.jpg")
    other = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert other.shape == shape and np.abs(other.astype(int) - sheet).mean() > 10


@pytest.fixture
def brief(monkeypatch):
    task = replace(
        MOVE, name="brief", episode_len=30, script=MOVE.script[:1] + (replace(MOVE.script[1], step=30),)
    )
    monkeypatch.setitem(constants.TASKS, "brief", task)
    return task


def test_takes_of_a_style_are_drawn_or_filmed(show, tmp_path, brief):
    said = show("--task_name", "brief", "--style", "human", "--output", "takes.jpg")
    assert f"takes of brief, style human, 0 succeed: {tmp_path}/takes.jpg" in said
    sheet = cv2.imread(str(tmp_path / "takes.jpg"))
    assert sheet.shape == (8 * 144, 6 * 192, 3) and sheet.std() > 20
    show("--task_name", "brief", "--style", "script")
    film = cv2.VideoCapture(str(tmp_path / "brief_style_script.mp4"))
    assert film.read()[1].shape == (2 * 144, 4 * 192, 3)
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 6


def test_the_words_beside_the_picture():
    from viewers.scenes.task_picture import CasePicture, legend

    anchored = Waypoint("right", 100, ("world", "red_box", "red_box"), (-0.02, 0, 0.1), 1)
    near = Stage("at the goal", near=("red_box", (0, 0.5), 0.04))
    cube = replace(MOVE.props[0], yaw=(-30, 30))
    task = replace(MOVE, props=(cube, *MOVE.props[1:]), stages=(near,), strict=None)
    task = replace(task, script=(MOVE.script[0], anchored))
    said = legend(CasePicture(task, "mine", [], {}, {1: 0.123}))
    assert "x 0 to 0.2, y 0.4 to 0.6, z 0.05, turned by -30 to 30 degrees" in said
    assert "1  at the goal" in said and "start + (0, 0, 0)" in said
    assert "x world-0.02, y red_box+0, z red_box+0.1  OUT OF REACH by 123 mm" in said
    assert "done by people" in legend(CasePicture(replace(task, script=()), "mine", [], {}, {}))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--task_name", "sim_tranfer_cube_scripted"], "did you mean 'sim_transfer_cube_scripted'"),
        (
            ["--task_name", "mycobot320_choose"],
            "mycobot320_choose; it belongs to a real arm, and has no scene",
        ),
        (["--task_name", MOVE.name, "--output", "a.jpg"], "--output is a.jpg; it must end in .png"),
        (["--task_name", MOVE.name, "--looks", "real", "--output", "a.gif"], "it must end in .png or .jpg"),
        (
            ["--task_name", MOVE.name, "--style", "human", "--output", "a.gif"],
            "it must end in .mp4, .png or .jpg",
        ),
        (["--task_name", MOVE.name, "--style", "humane"], "--style is 'humane'; did you mean human?"),
        (
            ["--task_name", MOVE.name, "--style", "human", "--looks", "real"],
            "--looks does not go with --style",
        ),
        (["--task_name", "sim_insertion_human", "--style", "human"], "sim_insertion_human has no script"),
        (["--task_name", MOVE.name, "--looks", "reel"], "--looks is 'reel'; did you mean real?"),
        (["--task_name", MOVE.name, "--output", "folder.png"], "--output is folder.png, which is a folder"),
        ([], "--task_name is missing"),
    ],
)
def test_bad_flags_end_in_one_line_before_anything_is_drawn(show, tmp_path, capsys, flags, said):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SystemExit) as stopped:
        show(*flags)
    text = f"{stopped.value} {capsys.readouterr().err}"
    assert said in text and list(tmp_path.iterdir()) == [tmp_path / "folder.png"]
