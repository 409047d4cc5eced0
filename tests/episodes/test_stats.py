"""Statistics: what they are, that dividing by them is safe, and when what is kept beside the data is used."""

import json
import os

import numpy as np
import pytest
import torch
from synthetic import make_dataset, make_episode

from episodes import stats
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.folders import episode_path, list_episodes
from episodes.stats import MIN_STD, Stats, dataset_stats


def everything(path):
    """All rows of qpos and of action of some folders."""
    episodes = [Episode.load(file) for folder in path for file in list_episodes(folder)]
    return [np.concatenate([getattr(episode, name) for episode in episodes]) for name in ("qpos", "action")]


def assert_same(one: Stats, other: Stats) -> None:
    assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_they_are_those_of_all_steps():
    rng = np.random.default_rng(0)
    episodes = [make_episode(rng, steps) for steps in (10, 20)]
    found = Stats.of([e.qpos for e in episodes], [e.action for e in episodes])
    for name in ("qpos", "action"):
        rows = np.concatenate([getattr(episode, name) for episode in episodes])
        for moment in ("mean", "std", "min", "max"):
            value = getattr(found, f"{name}_{moment}")
            np.testing.assert_allclose(value, getattr(rows, moment)(axis=0), atol=1e-6)


def test_an_entry_that_hardly_varies_can_be_divided_by():
    rng = np.random.default_rng(0)
    qpos = rng.normal(size=(30, 3)).astype(np.float32)
    qpos[:, 1] = 0.25
    qpos[:, 2] = 1 + 1e-6 * qpos[:, 2]
    found = Stats.of([qpos], [qpos])
    np.testing.assert_allclose(found.qpos_std[1:], MIN_STD)
    np.testing.assert_allclose((found.qpos_max - found.qpos_min)[1:], 2 * MIN_STD, rtol=1e-4)
    scaled = 2 * (torch.from_numpy(qpos) - found.qpos_min) / (found.qpos_max - found.qpos_min) - 1
    assert scaled.abs().max() <= 1 + 1e-4 and scaled[:, 1].abs().max() < 1e-4


def test_several_folders_are_as_one(tmp_path):
    folders = [make_dataset(tmp_path / "a", n=2, steps=10), make_dataset(tmp_path / "b", n=3, steps=25)]
    make_episode(np.random.default_rng(5), steps=7).save(episode_path(folders[1], 3))
    pooled = dataset_stats([list_episodes(folder) for folder in folders])
    qpos, action = everything(folders)
    together = Stats.of([qpos], [action])
    for name in vars(pooled):
        torch.testing.assert_close(getattr(pooled, name), getattr(together, name), rtol=1e-6, atol=1e-7)


def test_files_are_read_once_and_again_when_one_changes(tmp_path, monkeypatch):
    make_dataset(tmp_path, n=3)
    read = []
    load = Episode.load
    monkeypatch.setattr(stats.Episode, "load", lambda path, cameras: read.append(path) or load(path, cameras))

    def compute() -> tuple[Stats, int]:
        read.clear()
        return dataset_stats([list_episodes(tmp_path)]), len(read)

    first, n = compute()
    assert n == 3
    second, n = compute()
    assert n == 0
    assert_same(first, second)
    os.utime(episode_path(tmp_path, 1), ns=(0, 1))
    assert compute()[1] == 3 and compute()[1] == 0
    make_episode(np.random.default_rng(9)).save(episode_path(tmp_path, 3))
    wider, n = compute()
    assert n == 4 and not torch.equal(wider.qpos_mean, first.qpos_mean)
    episode_path(tmp_path, 3).unlink()
    fewer, n = compute()
    assert n == 3
    assert_same(fewer, first)
    (tmp_path / stats.FILE_NAME).write_text(json.dumps(["another program's"]))
    again, n = compute()
    assert n == 3
    assert_same(again, first)
    (tmp_path / stats.FILE_NAME).write_text("{")
    assert compute()[1] == 3
    assert {path.suffix for path in tmp_path.iterdir()} == {".hdf5", ".json"}  # nothing half-written


def test_a_folder_that_cannot_be_written_to_is_no_obstacle(tmp_path, monkeypatch):
    make_dataset(tmp_path, n=2)

    def refuse(*args):
        raise PermissionError

    monkeypatch.setattr("common.storage.files.os.replace", refuse)
    dataset_stats([list_episodes(tmp_path)])
    assert {path.suffix for path in tmp_path.iterdir()} == {".hdf5"}


def test_episodes_of_other_dimensions_are_refused_by_name(tmp_path):
    for folder, dim in (("a", 14), ("b", 7)):
        make_episode(np.random.default_rng(0), dim=dim).save(episode_path(tmp_path / folder, 0))
    with pytest.raises(EpisodeError, match=r"b/episode_0.hdf5: qpos has 7 .*, but .*a/episode_0.hdf5 has 14"):
        dataset_stats([list_episodes(tmp_path / name) for name in "ab"])


def test_missing_ranges_are_three_deviations_wide():
    known = {
        "qpos_mean": np.ones(2),
        "qpos_std": [0.5, 1.0],
        "action_mean": np.zeros(1),
        "action_std": np.ones(1),
    }
    found = Stats.completed({**known, "action_min": np.array([-7.0]), "example_qpos": 0})
    assert found.qpos_min.tolist() == [-0.5, -2] and found.qpos_max.tolist() == [2.5, 4]
    assert found.action_min.tolist() == [-7] and found.action_max.tolist() == [3]
    assert found.qpos_std.dtype == found.qpos_min.dtype == torch.float32


def put(*path, value):
    """The change of the file's content at a place in it."""

    def change(content):
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    return change


FORGED = {
    "nan": put("qpos", "mean", 3, value=float("nan")),
    "a mean beyond the greatest": put("qpos", "mean", 3, value=1e9),
    "no end": put("action", "min", 0, value=float("-inf")),
    "negative variance": put("action", "var", 0, value=-1.0),
    "a variance that no such range has": put("action", "var", 0, value=1e6),
    "no rows": put("qpos", "count", value=0),
    "half a row": put("qpos", "count", value=1.5),
    "true rows": put("qpos", "count", value=True),
    "narrow": put("qpos", "mean", value=[0.0]),
    "one number": put("qpos", "mean", value=0.0),
    "text": put("qpos", "mean", 0, value="0"),
    "nothing": put("qpos", "mean", 0, value=None),
    "deep": put("qpos", "mean", 0, value=[[0]]),
    "a huge integer": put("qpos", "max", 0, value=10**400),
    "a list": put("qpos", value=[]),
    "least above greatest": put("qpos", "min", 0, value=99.0),
}


@pytest.mark.parametrize("forged", FORGED)
def test_statistics_that_cannot_be_are_computed_anew(tmp_path, forged):
    make_dataset(tmp_path, n=2)
    paths, file = list_episodes(tmp_path), tmp_path / stats.FILE_NAME
    right = dataset_stats([paths])
    good = file.read_text()
    content = json.loads(good)
    FORGED[forged](content)
    file.write_text(json.dumps(content))
    assert_same(dataset_stats([paths]), right)
    assert file.read_text() == good  # and kept in its place


@pytest.mark.parametrize("text", ["[" * 100_000, "", "null", "[]", '{"files": 1}', "\0", "\xff"])
def test_a_file_of_statistics_that_is_none_does_no_harm(tmp_path, text):
    make_dataset(tmp_path, n=2)
    right = dataset_stats([list_episodes(tmp_path)])
    (tmp_path / stats.FILE_NAME).write_bytes(text.encode("latin-1"))
    assert_same(dataset_stats([list_episodes(tmp_path)]), right)


def test_what_is_loaded_is_not_read_again(tmp_path, monkeypatch):
    make_dataset(tmp_path, n=3)
    paths = list_episodes(tmp_path)
    loaded = {path: Episode.load(path, cameras=()) for path in paths}
    right = dataset_stats([paths])
    (tmp_path / stats.FILE_NAME).unlink()
    monkeypatch.setattr(stats.Episode, "load", lambda *_, **__: pytest.fail("read again"))
    assert_same(dataset_stats([paths], loaded), right)
