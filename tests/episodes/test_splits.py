"""Folders of episodes to train on: their weights, and which episodes validate."""

import numpy as np
import pytest
from synthetic import make_dataset, make_episode

from episodes.folders import episode_path, list_episodes
from episodes.selection.splits import list_datasets, split_episodes


def test_the_split_is_random_complete_and_given_by_the_seed(tmp_path):
    make_dataset(tmp_path, n=10, steps=2)
    train, val = split_episodes(list_episodes(tmp_path), 0.8, seed=0)
    assert len(train) == 8 and len(val) == 2 and not set(train) & set(val)
    assert split_episodes(list_episodes(tmp_path), 0.8, seed=0) == (train, val)
    assert any(split_episodes(list_episodes(tmp_path), 0.8, seed=s)[1] != val for s in range(1, 5))
    assert [len(part) for part in split_episodes(list_episodes(tmp_path), 0.999, seed=0)] == [9, 1]


def test_a_split_needs_two_episodes(tmp_path):
    make_dataset(tmp_path, n=1, steps=2)
    with pytest.raises(ValueError, match="at least 2"):
        split_episodes(list_episodes(tmp_path), 0.8, seed=0)


def test_folders_have_their_weights_and_mirrored_ones_can_be_left_out(tmp_path):
    for name in ("a", "b_mirror", "c"):
        make_dataset(tmp_path / name, n=2, steps=2)
    make_episode(np.random.default_rng(0), steps=2).save(episode_path(tmp_path / "c", 0, mirror=True))
    folders = [tmp_path / name for name in ("a", "b_mirror", "c")]
    paths, weights = list_datasets(folders, (7, 2, 1))
    assert [len(part) for part in paths] == [2, 2, 3] and weights == pytest.approx([0.7, 0.2, 0.1])
    assert list_datasets(folders)[1] == pytest.approx([1 / 3] * 3)
    paths, weights = list_datasets(folders, (7, 2, 1), skip_mirrored=True)
    assert [len(part) for part in paths] == [2, 2] and weights == pytest.approx([7 / 8, 1 / 8])
    with pytest.raises(ValueError, match="no episode is left of .*b_mirror"):
        list_datasets([tmp_path / "b_mirror"], skip_mirrored=True)
    with pytest.raises(ValueError, match=r"c/\.\./a is given twice"):
        list_datasets([folders[0], tmp_path / "c" / ".." / "a"])
