"""Training data: sampling, statistics, batches."""

import numpy as np
import pytest
import torch
from synthetic import make_dataset, make_episode

import utils
from episodes import EpisodeError, episode_path
from utils import Demonstrations, StartSampler, Stats, batches, resize_image, split_episodes


def test_an_epoch_is_one_start_in_each_episode():
    lengths = np.array([5, 50, 500])
    sampler = StartSampler(lengths, [0, 1])
    for number in range(20):
        epoch = sampler.epoch(number)
        assert sorted(epoch[:, 0]) == [0, 1, 2]
        assert (epoch[:, 1] < lengths[epoch[:, 0]]).all()


def test_samples_follow_one_another_across_epochs_and_need_no_history():
    lengths = np.array([30, 40, 50])
    straight = StartSampler(lengths, [7, 1]).draw(0, 20)
    jumped = StartSampler(lengths, [7, 1])
    assert jumped.draw(13, 7) == straight[13:]
    assert jumped.draw(2, 5) == straight[2:7]
    assert StartSampler(lengths, [8, 1]).draw(0, 20) != straight


def test_starts_cover_whole_episodes_evenly():
    starts = [start for _, start in StartSampler(np.array([10]), [0, 1]).draw(0, 5000)]
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10 and counts.min() > 400 and counts.max() < 600


def test_early_share_draws_that_share_from_the_first_steps():
    sampler = StartSampler(np.array([400]), [0, 1], early_share=0.5, early_steps=40)
    starts = np.array([start for _, start in sampler.draw(0, 4000)])
    assert (starts < 40).mean() == pytest.approx(0.5 + 0.5 * 40 / 400, abs=0.03)
    everything = StartSampler(np.array([400]), [0, 1], early_share=1.0, early_steps=40)
    assert max(start for _, start in everything.draw(0, 500)) == 39


@pytest.mark.parametrize("bad", [{"early_share": 1.5}, {"early_share": 0.5, "early_steps": 0}])
def test_bad_shares_are_refused(bad):
    with pytest.raises(ValueError, match=r"--early_"):
        StartSampler(np.array([10]), [0, 1], **bad)


def test_statistics_are_those_of_all_steps_and_never_tiny():
    rng = np.random.default_rng(0)
    episodes = [make_episode(rng, steps) for steps in (10, 20)]
    for episode in episodes:
        episode.qpos[:, 3] = 0.25  # a joint that never moves
    stats = Stats.of(episodes)
    rows = np.concatenate([episode.qpos for episode in episodes])
    np.testing.assert_allclose(stats.qpos_mean, rows.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(stats.qpos_std[:3], rows.std(axis=0)[:3], atol=1e-5)
    assert stats.qpos_std[3] == pytest.approx(0.01)


def test_a_batch_holds_what_the_files_hold(tmp_path):
    data = Demonstrations(utils.list_episodes(make_dataset(tmp_path, n=2)), ("top",), (48, 64))
    batch = data.batch([(1, 25), (0, 3)], chunk_size=10)
    second, first = data.episodes[1], data.episodes[0]
    assert batch["images"].shape == (2, 1, 48, 64, 3) and batch["images"].dtype == torch.uint8
    np.testing.assert_array_equal(batch["qpos"][1], first.qpos[3])
    np.testing.assert_array_equal(batch["actions"][0, :5], second.action[25:])
    np.testing.assert_array_equal(batch["actions"][1], first.action[3:13])
    assert batch["is_pad"].tolist() == [[False] * 5 + [True] * 5, [False] * 10]
    expected = resize_image(second.images["top"][25], (48, 64))
    np.testing.assert_array_equal(batch["images"][0, 0], expected)


@pytest.mark.parametrize("fits", [True, False])
def test_frames_are_the_same_whether_they_fit_in_memory_or_not(tmp_path, monkeypatch, fits):
    monkeypatch.setattr(utils, "CACHE_SHARE", 0.5 if fits else 0.0)
    data = Demonstrations(
        utils.list_episodes(make_dataset(tmp_path, n=2, cameras=("a", "b"))), ("b", "a"), (48, 64)
    )
    assert data.frames.cached is fits
    for _ in range(2):  # decoded, then from the cache
        expected = resize_image(data.episodes[1].images["b"][4], (48, 64))
        np.testing.assert_array_equal(data.frames(1, 4)[0], expected)


def test_batches_come_in_order_whatever_the_number_of_threads(tmp_path):
    data = Demonstrations(utils.list_episodes(make_dataset(tmp_path)), ("top",), (48, 64))
    runs = []
    for workers in (1, 3):
        sampler = StartSampler(data.lengths, [0, 1])
        runs.append(list(batches(data, sampler, 3, 10, range(4, 16), workers)))
    assert len(runs[0]) == len(runs[1]) == 12
    for one, other in zip(*runs, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    expected = data.batch(StartSampler(data.lengths, [0, 1]).draw(12, 3), 10)
    assert torch.equal(runs[0][0]["actions"], expected["actions"])


def test_the_split_is_random_complete_and_given_by_the_seed(tmp_path):
    make_dataset(tmp_path, n=10, steps=2)
    train, val = split_episodes(tmp_path, 0.8, seed=0)
    assert len(train) == 8 and len(val) == 2 and not set(train) & set(val)
    assert split_episodes(tmp_path, 0.8, seed=0) == (train, val)
    assert any(split_episodes(tmp_path, 0.8, seed=s)[1] != val for s in range(1, 5))
    assert [len(part) for part in split_episodes(tmp_path, 0.999, seed=0)] == [9, 1]


def test_a_split_needs_two_episodes_and_a_share(tmp_path):
    make_dataset(tmp_path, n=1, steps=2)
    with pytest.raises(ValueError, match="at least 2"):
        split_episodes(tmp_path, 0.8, seed=0)
    with pytest.raises(ValueError, match="--train_ratio is 1.5"):
        split_episodes(tmp_path, 1.5, seed=0)


def test_episodes_that_do_not_go_together_are_refused(tmp_path):
    make_dataset(tmp_path, n=1)
    make_episode(np.random.default_rng(0), dim=7).save(episode_path(tmp_path, 1))
    with pytest.raises(EpisodeError, match="episode_1.*qpos has 7 entries"):
        Demonstrations(utils.list_episodes(tmp_path), ("top",), (48, 64))
    other = make_episode(np.random.default_rng(0))
    other.render_quality = "full"
    other.save(episode_path(tmp_path, 1), overwrite=True)
    with pytest.raises(EpisodeError, match="rendered 'full'"):
        Demonstrations(utils.list_episodes(tmp_path), ("top",), (48, 64))
