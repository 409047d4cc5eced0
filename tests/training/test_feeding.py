"""From the flags of a run to its batches."""

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_episode, make_small

from episodes import episode_path, list_episodes, source_name
from episodes.selection.splits import not_made_of, split_datasets
from training.feeding import joint_offset, load_data
from training.flags import FeedConfig


@pytest.mark.parametrize(
    ("task", "dim", "grippers"),
    [("sim_transfer_cube_scripted", 14, [6, 13]), ("mycobot320_choose", 7, [6]), ("their_own", 14, [6, 13])],
)
def test_joints_are_off_and_grippers_are_not(task, dim, grippers):
    policy = make_small("ACT", dim=dim)
    policy.interface = replace(policy.interface, task=task)
    assert joint_offset(0.0, policy) is None
    offset = joint_offset(1.5, policy).tolist()
    assert [i for i, most in enumerate(offset) if not most] == grippers
    assert {round(most, 6) for most in offset} == {0.0, round(math.radians(1.5), 6)}


def test_a_policy_is_not_trained_on_what_was_made_of_its_validation_episodes(tmp_path):
    rng, few, many = np.random.default_rng(0), tmp_path / "few", tmp_path / "many"
    for number in range(4):
        make_episode(rng).save(episode_path(few, number))
    names = [source_name(episode_path(few, number)) for number in range(4)]
    for number, name in enumerate([*names, *names]):
        replace(make_episode(rng), source=name).save(episode_path(many, number))
    config = FeedConfig(dataset_dir=(str(few), str(many)), image_size=(48, 64), train_ratio=0.5)
    data = load_data(config, "sim_transfer_cube_scripted", ("top",), 0)
    held_out = {source_name(path) for path in data.validation.paths}
    assert len(held_out) == 2 and data.sizes == (2, 4)
    assert not held_out & {source_name(path) for path in data.train.paths}
    assert not held_out & {episode.source for episode in data.train.episodes}
    with pytest.raises(ValueError, match="many were made of few/episode_0, which validates"):
        not_made_of([episode_path(few, 0)], [episode_path(many, 0), episode_path(many, 4)], names[:1] * 2)


@pytest.mark.parametrize("seed", range(4))
def test_what_much_was_made_of_does_not_validate(tmp_path, seed):
    rng, few, many = np.random.default_rng(0), tmp_path / "few", tmp_path / "many"
    for number in range(4):
        make_episode(rng).save(episode_path(few, number))
        name = source_name(episode_path(few, 3 if number < 3 else 0))
        replace(make_episode(rng), source=name).save(episode_path(many, number))
    [first, made], validation = split_datasets([list_episodes(few), list_episodes(many)], 0.5, seed)
    assert episode_path(few, 3) in first and len(validation) == len(first) == 2
    assert len(made) == 4 - (episode_path(few, 0) in validation)
