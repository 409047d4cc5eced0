"""Attributes of other people's files: each is read as what it is, or refused with file, name and value."""

import h5py
import numpy as np
import pytest
from foreign import D, T, put, write

from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.hdf5.attributes import whole_rate
from episodes.hdf5.facts import FACTS

OUTCOMES = {
    True: [
        True,
        1,
        1.0,
        np.int8(1),
        np.array([True]),
        np.array([[1.0]]),
        "True",
        "yes",
        "SUCCESS",
        b"success",
        "1",
        " t ",
    ],
    False: [
        False,
        0,
        0.0,
        np.array([0]),
        "False",
        "false",
        "no",
        "fail",
        b"failed",
        "0",
        "Failure",
    ],
    None: [
        "unknown",
        "maybe",
        "",
        "None",
        "?",
        2,
        -1,
        0.7,
        np.nan,
        np.array([1, 0, 1]),
        np.array([]),
        h5py.Empty("f"),
        "ja",
    ],
}


@pytest.mark.parametrize(("outcome", "value"), [(o, v) for o, values in OUTCOMES.items() for v in values])
def test_success_is_what_is_understood_and_else_unknown(tmp_path, outcome, value):
    assert Episode.load(write(tmp_path / "e.hdf5", success=value)).success is outcome


def test_what_is_no_outcome_is_told(tmp_path):
    for value, words in (("maybe", "'maybe'"), (np.zeros(3), r"an array of shape (3,)"), (0.7, "0.7")):
        (note,) = Episode.load(write(tmp_path / "e.hdf5", success=value)).notes
        assert "success" in note and words in note and "unknown" in note
    assert Episode.load(write(tmp_path / "e.hdf5", success="unknown")).notes == ()


@pytest.mark.parametrize("wrap", [np.array, lambda v: np.array([v]), lambda v: np.array([[v]])])
def test_arrays_of_one_element_are_that_element(tmp_path, wrap):
    values = {
        "fps": 30,
        "seed": 5,
        "success": True,
        "noise": 0.25,
        "hesitate": 3,
        "sim": False,
        "format_version": 1,
    }
    values = {name: wrap(value) for name, value in values.items()}
    episode = Episode.load(write(tmp_path / "e.hdf5", **values, task=np.array([b"sim_insertion_scripted"])))
    assert (episode.fps, episode.seed, episode.success, episode.noise) == (30, 5, True, 0.25)
    assert (episode.hesitate, episode.sim, episode.task) == (3, False, "sim_insertion_scripted")
    for name in ("fps", "seed", "hesitate"):
        assert type(getattr(episode, name)) is int
    episode.save(tmp_path / "again.hdf5")


@pytest.mark.parametrize(
    "value",
    ["a task", b"a task", np.bytes_("a task"), np.array(["a task"], "S8"), "a\n task\x1b"],
)
def test_text_is_text_however_it_is_stored(tmp_path, value):
    assert Episode.load(write(tmp_path / "e.hdf5", task=value)).task == "a task"


def test_text_that_is_no_utf8_can_be_shown(tmp_path):
    task = Episode.load(write(tmp_path / "e.hdf5", task=b"caf\xe9")).task
    assert task.encode() and task.startswith("caf")
    path = write(
        tmp_path / "v.hdf5", lambda root: root.attrs.create("task", b"\xff\xfe", dtype=h5py.string_dtype())
    )
    assert Episode.load(path).task.encode()


def test_numbers_as_text_are_numbers(tmp_path):
    episode = Episode.load(
        write(tmp_path / "e.hdf5", fps="30", seed=b"7", noise="1e-3", hesitate="2.0", sim="no")
    )
    assert (episode.fps, episode.seed, episode.noise, episode.hesitate) == (
        30,
        7,
        0.001,
        2,
    ) and not episode.sim


WRONG = {
    "fps": [
        "30 Hz",
        np.nan,
        np.inf,
        -np.inf,
        0,
        -5,
        12.5,
        1e9,
        h5py.Empty("f"),
        np.array([30, 30]),
        np.array([]),
        "9" * 5000,
    ],
    "seed": ["a", 1.5, 1e30, np.inf, np.uint64(2**64 - 1), np.zeros(2), 1j],
    "format_version": [np.inf, np.array([1, 1]), h5py.Empty("i"), "one", 1.5, 99],
    "noise": [np.nan, np.inf, "much"],
    "hesitate": [-1, 0.5, np.nan],
    "sim": ["perhaps", 2, np.zeros(2), h5py.Empty("b")],
    "recovers": ["perhaps", np.nan],
    "randomized": [-1],
    "looks": [np.zeros(3)],
    "style": [np.zeros(3)],
    "looks_hold": [-1, 0.5],
    "source": [np.zeros(3)],
    "places": [np.zeros(3)],
    "task": [np.array(["a", "b"], "S1"), "x" * 2000],
    "render_quality": [np.zeros(3)],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_what_cannot_be_read_is_refused_with_file_name_and_value(tmp_path, name, value):
    path = write(tmp_path / "e.hdf5", lambda root: root.attrs.__setitem__(name, value))
    with pytest.raises(EpisodeError, match=rf"e\.hdf5: (attribute '{name}' is|format version is)") as caught:
        Episode.load(path)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 300 + len(str(path))


def test_an_attribute_of_many_megabytes_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "e.hdf5"
    with h5py.File(path, "w", libver="latest") as root:
        root.attrs["noise"] = np.zeros(10**6)
    monkeypatch.setattr(h5py.AttributeManager, "__getitem__", lambda *_: pytest.fail("it was read"))
    with pytest.raises(EpisodeError, match=r"attribute 'noise' is an array of shape \(1000000,\)"):
        Episode.load(path)


def test_attributes_of_types_that_python_lacks_are_refused(tmp_path):
    path = write(
        tmp_path / "e.hdf5", lambda root: root.attrs.create("fps", root["action"].ref, dtype=h5py.ref_dtype)
    )
    with pytest.raises(EpisodeError, match="attribute 'fps' is"):
        Episode.load(path)


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (29.97, 30),
        (30000 / 1001, 30),
        (23.976, 24),
        (59.94, 60),
        (30.0, 30),
        (49.99, 50),
        (14.985, 15),
        (1, 1),
    ],
)
def test_rates_of_video_are_whole_numbers(tmp_path, value, rate):
    assert whole_rate(value) == rate
    episode = Episode.load(write(tmp_path / "e.hdf5", fps=value))
    assert episode.fps == rate and len(episode.notes) == (value != rate)
    assert all(f"fps is {value:g}" in note and f"taken as {rate}" in note for note in episode.notes)


@pytest.mark.parametrize("value", [29.9, 12.5, 7.5, 0.5, 29.5, 0, -30, np.nan, np.inf, 1e9])
def test_other_rates_are_refused_with_the_command_that_sets_one(tmp_path, value):
    assert whole_rate(value) is None
    path = write(tmp_path / "e.hdf5", fps=value)
    with pytest.raises(EpisodeError, match=r"attribute 'fps' is"):
        Episode.load(path)
    assert Episode.load(path, fps=15).fps == 15


def test_the_clock_decides_nothing_here(tmp_path):
    assert Episode.load(write(tmp_path / "e.hdf5", put("time", np.zeros((T, D))), fps=30)).fps == 30


# a value that is not the default, of each attribute; an attribute without one here is missing in the tests
FACTS_GIVEN = {
    "task": "sim_transfer_cube_scripted",
    "sim": False,
    "fps": 20,
    "seed": 3,
    "success": True,
    "render_quality": "fast",
    "noise": 0.01,
    "hesitate": 4,
    "style": "human",
    "recovers": True,
    "randomized": True,
    "looks": "real",
    "looks_hold": 1,
    "disturbed": "noise=mild mass=middle",
    "source": "few/episode_3",
    "places": "by colour",
    "pace": 0.5,
    "robot": "mycobot320",
}
WORDS = [
    "seed 3",
    "rendered fast",
    "noise 10 mm",
    "begins up to 4 steps late",
    "as a human does it",
    "begins in the middle of an attempt",
    "randomized looks",
    "real ones",
    "a look per step",
    "disturbed: noise=mild mass=middle",
    "made from few/episode_3",
    "places found by colour",
    "twin in slow motion (pace 0.5)",
]


def test_every_attribute_is_written_read_and_told(tmp_path):
    way = np.zeros((T, D), np.float32)
    assert set(FACTS_GIVEN) == set(FACTS)
    episode = Episode(way, way, **FACTS_GIVEN)
    episode.save(tmp_path / "e.hdf5")
    again = Episode.load(tmp_path / "e.hdf5")
    assert again.facts() == FACTS_GIVEN and again.words() == WORDS
    with h5py.File(tmp_path / "e.hdf5") as root:
        assert set(root.attrs) == {*FACTS, "compress", "format_version"}


def test_an_attribute_that_is_as_usual_is_neither_written_nor_told(tmp_path):
    way = np.zeros((T, D), np.float32)
    Episode(way, way).save(tmp_path / "e.hdf5")
    assert Episode.load(tmp_path / "e.hdf5").words() == []
    with h5py.File(tmp_path / "e.hdf5") as root:
        assert set(root.attrs) == {
            "sim",
            "compress",
            "format_version",
            "task",
            "fps",
            "render_quality",
        }


@pytest.mark.parametrize("name", FACTS)
def test_no_attribute_of_another_type_is_saved(tmp_path, name):
    way = np.zeros((T, D), np.float32)
    with pytest.raises(EpisodeError, match=rf"{name} is \[\]; it must be (?!.*None to None)"):
        Episode(way, way, **{name: []}).save(tmp_path / "e.hdf5")
    assert not (tmp_path / "e.hdf5").exists()
