"""No path from a page leaves the folders of data and runs."""

import os

import pytest

from cockpit_app.places import PRESETS, Places, folders_below, is_path


@pytest.fixture
def places(tmp_path):
    for name in ("data/set", "runs/run/evaluations", "secret"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret/key.txt").write_text("x")
    return Places.of("data", "runs", tmp_path)


@pytest.mark.parametrize("text", ["data/set", "data/new", "runs/run", "data/a/../set", "./runs/x y"])
def test_what_is_inside(places, text):
    assert places.inside(text) == places.here / text
    assert places.inside(str(places.here / text))


@pytest.mark.parametrize(
    "text",
    [
        "data",
        "runs/",
        ".",
        "",
        "..",
        "data/../secret",
        "secret",
        "/etc/passwd",
        "data/../../x",
        "~",
        "presets/x",
    ],
)
def test_what_is_outside(places, text):
    with pytest.raises(ValueError, match="outside the cockpit's folders; it must be below data or runs"):
        places.inside(text)


def test_links_do_not_lead_out(places):
    try:
        os.symlink(places.here / "secret", places.data / "link")
    except OSError:
        pytest.skip("no links here")
    for text in ("data/link", "data/link/key.txt"):
        with pytest.raises(ValueError, match="outside"):
            places.inside(text)
    with pytest.raises(ValueError, match="outside"):
        places.file("data", "link/key.txt")
    assert places.data / "link" not in list(folders_below(places.data))


def test_presets_are_read_only(places):
    preset = str(PRESETS / "small.json")
    assert places.inside(preset, reads=True)
    places.check_words("config", [preset])
    with pytest.raises(ValueError, match="outside"):
        places.check_words("ckpt_dir", [preset])


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("ckpt_dir", "here"),
        ("json", "mycobot320.json"),
        ("clicks", "clicks.json"),
        ("backbone_weights", "/etc/passwd"),
        ("x", "../a"),
        ("x", "..\\a"),
        ("x", "C:a"),
        ("x", "~"),
    ],
)
def test_words_that_may_be_paths_are_looked_at(places, flag, word):
    with pytest.raises(ValueError, match="outside"):
        places.check_words(flag, [word])
    places.check_words("x", ["noise=middle", "resnet18", "1.5", "timm:resnet18"])


def test_other_words_are_no_paths():
    assert not any(map(is_path, ("sim_move_cube_scripted", "0.5", "all", "policy_best.ckpt")))


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("data", "../secret/key.txt"),
        ("secret", "key.txt"),
        ("data", ""),
        ("data", "set/"),
        ("runs", ".cockpit/token"),
        ("runs", "run/.x/y"),
        ("data", "set/../../secret/key.txt"),
        ("data", "/etc/passwd"),
        ("data", "a\0b"),
    ],
)
def test_files_outside_and_hidden_ones_are_refused(places, root, name):
    with pytest.raises(ValueError):
        places.file(root, name)


def test_files_have_links(places):
    path = places.runs / "run/report.html"
    assert places.link(path) == "runs/run/report.html" and places.file("runs", "run/report.html") == path
    assert places.link(places.here / "secret/key.txt") is None
