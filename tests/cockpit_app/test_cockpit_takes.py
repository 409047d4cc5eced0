"""Episodes as pages show them: a list, films that are made once, and recordings of others to choose from."""

import os
import urllib.error
import urllib.request

import pytest
from synthetic import make_dataset

from cockpit_app.data import episodes, found
from cockpit_app.network import keep_token
from cockpit_app.places import Places
from cockpit_app.server import FOLDER, Cockpit
from common import Refused


@pytest.fixture
def places(tmp_path):
    (tmp_path / "runs").mkdir()
    make_dataset(tmp_path / "data/set", 3)
    return Places.of("data", "runs", tmp_path)


def test_episodes_are_listed_the_last_one_first(places):
    (places.data / "set/episode_7.hdf5").write_bytes(b"no episode")
    told = episodes.takes(places, places.data / "set")
    assert [one["number"] for one in told["takes"]] == [7, 2, 1, 0]
    assert told["episodes"] == 4 and told["path"] == "data/set"
    assert "episode_7" in told["takes"][0]["problem"] and told["takes"][1]["problem"] is None
    assert told["takes"][1]["steps"] > 0 and told["takes"][1]["film"] == "film/data/set/episode_2.hdf5"


def test_a_film_is_made_once_and_anew_when_the_episode_changes(places):
    films, episode = episodes.Films(places.runs / FOLDER / "films"), places.data / "set/episode_0.hdf5"
    first = films.get(episode)
    assert first.read_bytes()[4:8] == b"ftyp"
    stamp = first.stat().st_mtime_ns
    assert films.get(episode) == first and first.stat().st_mtime_ns == stamp
    os.utime(episode, (1, 1))
    assert films.get(episode) != first


def test_a_film_of_what_is_no_episode_is_refused(places):
    films = episodes.Films(places.runs / FOLDER / "films")
    broken = places.data / "set/episode_9.hdf5"
    broken.write_bytes(b"no episode")
    with pytest.raises(Refused, match=r"no film of episode_9\.hdf5"):
        films.get(broken)
    for name in ("set/episode_8.hdf5", "set", "set/x.mp4"):
        with pytest.raises(Refused, match="there is no episode"):
            films.get(places.data / name)
    assert list((places.runs / FOLDER / "films").glob("*")) == []


def test_films_are_served_from_the_folders_alone(places):
    cockpit = Cockpit(places, keep_token(places.runs / FOLDER))
    view = f"{cockpit.url}/view/{cockpit.view_key}"
    try:
        with urllib.request.urlopen(f"{view}/film/data/set/episode_1.hdf5", timeout=60) as answer:
            assert answer.headers["Content-Type"] == "video/mp4" and answer.read()[4:8] == b"ftyp"
        for name in (
            "film/data/../data/set/episode_1.hdf5",
            "film/data",
            "film",
            "film/other/episode_1.hdf5",
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{view}/{name}", timeout=60)
            assert refused.value.code in (400, 404), name
    finally:
        cockpit.close()


def test_recordings_of_others_are_found_by_their_names(places):
    for name in (
        "robot/meta/info.json",
        "pusht.zarr/data/x",
        "lift/demo.hdf5",
        "logs/a.csv",
        "set/notes.csv",
    ):
        (places.data / name).parent.mkdir(parents=True, exist_ok=True)
        (places.data / name).write_bytes(b"")
    (places.data / "loose.csv").write_text("a,b\n")
    told = {one["path"]: one["kind"] for one in found.importable(places)}
    assert told == {
        "data/robot": "LeRobot",
        "data/pusht.zarr": "Zarr",
        "data/lift/demo.hdf5": "HDF5",
        "data/logs": "CSV",
    }
