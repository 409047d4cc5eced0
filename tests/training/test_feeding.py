"""From the flags of a run to its batches."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_episode, make_small

from episodes import EpisodeError, Shares, StartSampler, episode_path, list_episodes, source_name
from episodes.selection.splits import not_made_of, split_datasets
from training.feeding import joint_offset, load_data
from training.flags import FeedConfig
from utils import Loader


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


def test_episodes_of_another_task_or_rate_are_told_of(tmp_path):
    rng = np.random.default_rng(0)
    for number, name in enumerate(("", "sim_transfer_cube_human", "sim_insertion_scripted", "their_own")):
        replace(make_episode(rng), task=name, fps=25 if number == 3 else 50).save(
            episode_path(tmp_path, number)
        )
    data = load_data(FeedConfig(dataset_dir=(str(tmp_path),), image_size=(48, 64)), "mine", ("top",), 0)
    said = sorted(data.strangers("sim_transfer_cube_scripted_mirror"), key=len)
    assert re.match(r"note: (25|50) steps a second, not (25|50); edit_episodes.py resample", said[0])
    assert said[1].startswith("note: the task is sim_insertion_scripted, not sim_transfer_cube_scripted_m")
    assert "episode_2" in said[1] and len(data.strangers("mine")) == 1


def test_boxes_are_not_for_pictures_of_other_sizes(tmp_path):
    """What is found when such a frame is drawn would end a training in its middle."""
    rng, folders = np.random.default_rng(0), [tmp_path / "large", tmp_path / "small"]
    for folder, size in zip(folders, ((48, 64), (24, 32)), strict=True):
        episodes = [make_episode(rng) for _ in range(2)]
        for number, episode in enumerate(episodes):
            episode.images = {"top": rng.integers(0, 255, (len(episode), *size, 3), dtype=np.uint8)}
            episode.save(episode_path(folder, number))
    config = FeedConfig(dataset_dir=tuple(map(str, folders)), image_size=(24, 32), train_ratio=0.5)
    assert load_data(config, "mine", ("top",), 0).train.frames(0, 0).shape == (1, 24, 32, 3)
    words = r"small/episode_\d.hdf5: frames of camera top are 24x32 .* first episode, 48x64"
    with pytest.raises(EpisodeError, match=words):
        load_data(replace(config, mask_outside={"top": (0, 0, 10, 10)}), "mine", ("top",), 0)


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


def silent_data(tmp_path, places_only=("shown",), knows=True):
    """Episodes of people, and others; the actions of the first teach nothing."""
    rng = np.random.default_rng(0)
    for folder in ("shown", "many"):
        for number in range(3):
            state = rng.normal(size=7) if knows or folder == "many" else None
            episode = make_episode(rng, steps=20, env_state=state)
            episode.save(episode_path(tmp_path / folder, number))
    folders = tuple(str(tmp_path / folder) for folder in ("shown", "many"))
    config = FeedConfig(dataset_dir=folders, image_size=(48, 64), train_ratio=0.7)
    silent = [f"{tmp_path}/{folder}" for folder in places_only]
    return load_data(config, "sim_transfer_cube_scripted", ("top",), 0, silent)


def test_actions_of_a_folder_teach_nothing_and_its_places_do(tmp_path):
    data = silent_data(tmp_path)
    assert {path.parent.name for path in data.validation.paths} == {"many"} and data.sizes == (3, 2)
    batch = data.train.batch([(0, 2), (3, 2), (4, 15)], chunk_size=8)
    assert batch["is_pad"].sum(dim=1).tolist() == [8, 0, 3] and not batch["actions"][0].any()
    assert float(batch["valid_steps"]) == 8 + 5
    assert batch["places"].isfinite().sum(dim=1).tolist() == [7, 7, 0]
    assert float(data.train.batch([(0, 2), (1, 2)], 8)["valid_steps"]) == 1  # a divisor
    starts = [len(steps) for steps in data.train.starts(1)]
    loader = Loader(data.train, StartSampler(starts, [0], 0.0, 0), Shares(6, 2), 8)
    batches = list(loader.batches(range(2)))
    taught = [float((~batch["is_pad"]).sum()) for batch in batches]
    means = [float(batch["valid_steps"]) for batch in batches]
    assert means == [sum(taught[:2]) / 2] * 2 + [sum(taught[2:]) / 2] * 2


def test_a_folder_may_be_written_in_another_way(tmp_path):
    data = silent_data(tmp_path, ("many/../shown/",))
    assert not data.train.batch([(0, 2)], chunk_size=8)["actions"].any()


def test_what_teaches_nothing_at_all_is_refused(tmp_path):
    with pytest.raises(EpisodeError, match=r"episode_0.hdf5 does not tell where its objects are.*places"):
        silent_data(tmp_path / "a", knows=False)
    with pytest.raises(ValueError, match="--places_only names all folders"):
        silent_data(tmp_path / "b", ("shown", "many"))
    with pytest.raises(ValueError, match="folder of --dataset_dir"):
        silent_data(tmp_path / "c", ("other",))
