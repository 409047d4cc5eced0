"""Training data: sampling, statistics, batches."""

import numpy as np
import pytest
import torch
from synthetic import make_dataset, make_episode

from episodes.episode import Episode, whole_action
from episodes.errors import EpisodeError
from episodes.folders import episode_path, list_episodes
from episodes.frames import resize_image
from episodes.selection.sampling import Shares, StartSampler
from utils import (
    PHASES,
    Demonstrations,
    Loader,
    phase_batches,
)


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


def test_a_mobile_base_widens_the_action_by_its_smoothed_speeds():
    episode = make_episode(np.random.default_rng(0), steps=20)
    assert whole_action(episode) is episode.action
    episode.base_action = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32)
    whole = whole_action(episode)
    assert whole.shape == (20, 16) and whole.dtype == np.float32
    assert np.array_equal(whole[:, :14], episode.action)
    for t in range(2, 18):
        np.testing.assert_allclose(whole[t, 14:], episode.base_action[t - 2 : t + 3].mean(axis=0), atol=1e-6)


def test_history_ends_with_the_present_and_begins_with_the_first_step(tmp_path):
    data = Demonstrations(list_episodes(make_dataset(tmp_path, 2)), ("top",), (48, 64), cache="jpeg")
    batch = data.batch([(0, 0), (1, 1), (1, 7)], 4, history=3)
    assert batch["qpos"].shape == (3, 3, 14) and batch["images"].shape == (3, 3, 1, 48, 64, 3)
    for row, (index, steps) in enumerate([(0, (0, 0, 0)), (1, (0, 0, 1)), (1, (5, 6, 7))]):
        for place, step in enumerate(steps):
            alone = data.batch([(index, step)], 4)
            for name in ("qpos", "images"):
                assert torch.equal(batch[name][row, place], alone[name][0])
    assert torch.equal(batch["actions"], data.batch([(0, 0), (1, 1), (1, 7)], 4)["actions"])


def test_datasets_are_mixed_by_weight_and_each_takes_turns():
    sizes, weights = (20, 5, 10), (0.7, 0.1, 0.2)
    sampler = StartSampler(np.full(35, 50), [3, 1], sizes=sizes, weights=weights)
    episodes = np.array([episode for episode, _ in sampler.draw(0, 35 * 400)])
    dataset = np.searchsorted(np.cumsum(sizes), episodes, side="right")
    np.testing.assert_allclose(np.bincount(dataset) / len(dataset), weights, atol=0.02)
    for number, size in enumerate(sizes):
        counts = np.bincount(episodes[dataset == number] - sum(sizes[:number]), minlength=size)
        np.testing.assert_allclose(counts / counts.mean(), 1, atol=0.15)
    for number in range(50):  # within an epoch none comes twice as long as another has not come
        epoch = sampler.epoch(number)[:, 0]
        counts = np.bincount(epoch[epoch < 20], minlength=20)
        assert counts.max() - counts.min() <= 1
    assert sampler.draw(1000, 50) == sampler.draw(990, 60)[10:]


def test_a_dataset_without_weight_is_never_drawn_and_one_alone_is_as_if_there_were_no_others():
    lengths = np.array([30, 40, 50])
    alone = StartSampler(lengths, [7, 1]).draw(0, 20)
    assert StartSampler(lengths, [7, 1], sizes=(3,), weights=(1.0,)).draw(0, 20) == alone
    drawn = StartSampler(lengths, [7, 1], sizes=(2, 1), weights=(0.0, 1.0)).draw(0, 20)
    assert {episode for episode, _ in drawn} == {2}


def test_samples_of_one_dataset_stay_as_they_were():
    """As drawn before there could be several: a run of then can be repeated."""
    before = [(0, 2), (2, 2), (1, 2), (2, 7), (0, 3), (1, 31), (1, 28), (2, 2)]
    assert StartSampler(np.array([30, 40, 50]), [7, 1], early_share=0.5, early_steps=5).draw(0, 8) == before


def test_a_batch_holds_what_the_files_hold(tmp_path):
    data = Demonstrations(list_episodes(make_dataset(tmp_path, n=2)), ("top",), (48, 64))
    batch = data.batch([(1, 25), (0, 3)], chunk_size=10)
    second, first = data.episodes[1], data.episodes[0]
    assert batch["images"].shape == (2, 1, 48, 64, 3) and batch["images"].dtype == torch.uint8
    np.testing.assert_array_equal(batch["qpos"][1], first.qpos[3])
    np.testing.assert_array_equal(batch["actions"][0, :5], second.action[25:])
    np.testing.assert_array_equal(batch["actions"][1], first.action[3:13])
    assert batch["is_pad"].tolist() == [[False] * 5 + [True] * 5, [False] * 10]
    expected = resize_image(second.images["top"].reduced(25, (48, 64)), (48, 64))
    np.testing.assert_array_equal(batch["images"][0, 0], expected)


def test_samples_are_described_by_file_and_step(tmp_path):
    data = Demonstrations(list_episodes(make_dataset(tmp_path, n=2)), ("top",), (48, 64))
    assert data.describe([(1, 25), (0, 3)]) == [
        f"{episode_path(tmp_path, 1)}, step 25",
        f"{episode_path(tmp_path, 0)}, step 3",
    ]


def test_batches_come_in_order_whatever_the_number_of_threads(tmp_path):
    data = Demonstrations(list_episodes(make_dataset(tmp_path)), ("top",), (48, 64))
    runs = []
    for workers in (1, 3):
        sampler = StartSampler(data.lengths, [0, 1])
        loader = Loader(data, sampler, Shares(3), 10, num_workers=workers)
        runs.append(list(loader.batches(range(4, 16))))
    assert len(runs[0]) == len(runs[1]) == 12
    for one, other in zip(*runs, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    expected = data.batch(StartSampler(data.lengths, [0, 1]).draw(12, 3), 10)
    assert torch.equal(runs[0][0]["actions"], expected["actions"])


def test_processes_and_accumulated_batches_share_the_samples_of_one_large_batch(tmp_path):
    data = Demonstrations(list_episodes(make_dataset(tmp_path)), ("top",), (48, 64))
    sampler = StartSampler(data.lengths, [0, 1])
    whole, *parts = (
        list(Loader(data, sampler, shares, 10).batches(range(2, 4)))
        for shares in (Shares(12), Shares(2, 3, 0, 2), Shares(2, 3, 1, 2))
    )
    for step in range(2):
        mine = [parts[rank][3 * step + number] for number in range(3) for rank in range(2)]
        for name in ("qpos", "images", "actions", "is_pad"):
            assert torch.equal(torch.cat([batch[name] for batch in mine]), whole[step][name])
        assert whole[step]["valid_steps"] == (~whole[step]["is_pad"]).sum()
        share = pytest.approx(float(whole[step]["valid_steps"]) / 6)
        assert all(float(batch["valid_steps"]) == share for batch in mine)


def test_phases_are_drawn_from_their_part_of_the_episodes(tmp_path):
    data = Demonstrations(list_episodes(make_dataset(tmp_path, steps=60)), ("top",), (48, 64))
    drawn = []
    data.batch = lambda samples, chunk_size, history: drawn.append(samples) or {}
    by_phase = phase_batches(data, 40, 16, 10, [0, 1, 1])
    assert list(by_phase) == list(PHASES) and [len(batches) for batches in by_phase.values()] == [3] * 4
    for number, (low, high) in enumerate(PHASES.values()):
        starts = np.array([start for batch in drawn[3 * number : 3 * number + 3] for _, start in batch])
        assert len(starts) == 40 and (int(60 * low) <= starts).all() and (starts < 60 * high).all()
        assert len(set(starts)) >= min(3, int(60 * (high - low)))


def test_samples_are_described(tmp_path):
    data = Demonstrations(list_episodes(make_dataset(tmp_path, n=2)), ("top",), (48, 64))
    assert data.describe([(1, 7)]) == [f"{tmp_path / 'episode_1.hdf5'}, step 7"]


def test_episodes_that_do_not_go_together_are_refused(tmp_path):
    make_dataset(tmp_path, n=1)
    make_episode(np.random.default_rng(0), dim=7).save(episode_path(tmp_path, 1))
    with pytest.raises(EpisodeError, match="episode_1.*qpos has 7 entries"):
        Demonstrations(list_episodes(tmp_path), ("top",), (48, 64))
    other = make_episode(np.random.default_rng(0))
    other.render_quality = "full"
    other.save(episode_path(tmp_path, 1), overwrite=True)
    with pytest.raises(EpisodeError, match="rendered 'full'"):
        Demonstrations(list_episodes(tmp_path), ("top",), (48, 64))


def test_a_missing_camera_is_refused_naming_both_files(tmp_path):
    make_dataset(tmp_path / "a", n=1, cameras=("top", "wrist"))
    make_dataset(tmp_path / "b", n=1, cameras=("wrist",))
    paths = [episode_path(tmp_path / name, 0) for name in "ab"]
    with pytest.raises(
        EpisodeError, match=r"b/episode_0.hdf5: no camera 'top'; .*, unlike .*a/episode_0.hdf5$"
    ):
        Demonstrations(paths, ("top",), (48, 64))


def test_datasets_may_be_rendered_differently(tmp_path):
    make_dataset(tmp_path / "a", n=1)
    real = make_episode(np.random.default_rng(0))
    real.render_quality = ""
    real.save(episode_path(tmp_path / "b", 0))
    data = Demonstrations([episode_path(tmp_path / name, 0) for name in "ab"], ("top",), (48, 64))
    assert len(data.episodes) == 2


def test_nobody_waits_for_batches_that_are_not_asked_for_any_more(tmp_path):
    data = Demonstrations(list_episodes(make_dataset(tmp_path, n=2)), ("top",), (48, 64))
    begun, batch = [], data.batch
    data.batch = lambda *args: begun.append(args) or batch(*args)
    loader = Loader(data, StartSampler(data.lengths, [0, 1]), Shares(2), 10, num_workers=1)
    source = loader.batches(range(1000))
    next(source)
    source.close()
    assert 1 <= len(begun) < 10


# --- looks that change within an episode


def with_looks(folder, hold, n=3, steps=37):
    make_dataset(folder, n=n, steps=steps)
    for path in list_episodes(folder):
        episode = Episode.load(path)
        episode.randomized, episode.looks_hold = hold > 0, hold
        episode.save(path, overwrite=True)
    return Demonstrations(list_episodes(folder), ("top",), (48, 64))


@pytest.mark.parametrize(
    ("hold", "history"), [(0, 3), (1, 1), (2, 2), (5, 2), (5, 3), (5, 5), (10, 3), (50, 4)]
)
def test_every_sample_of_several_observations_has_one_look(tmp_path, hold, history):
    """And every such sample can be drawn; steps before the first are the first."""
    data = with_looks(tmp_path, hold)
    looks = [step // hold if hold else 0 for step in range(37)]
    possible = {t for t in range(37) if len({looks[max(0, t - back)] for back in range(history)}) == 1}
    assert all(set(starts.tolist()) == possible for starts in data.starts(history))
    sampler = StartSampler([len(starts) for starts in data.starts(history)], [0, 1])
    loader = Loader(data, sampler, Shares(20), 10, history)
    assert {start for step in range(40) for _, start in loader.samples(step)} == possible
    drawn = []
    data.batch = lambda samples, chunk_size, history: drawn.extend(samples) or {}
    phase_batches(data, 40, 16, 10, [0, 1, 1], history)
    assert len(drawn) == 160 and {start for _, start in drawn} <= possible


@pytest.mark.parametrize(
    ("hold", "lasting"), [(1, "each step has a look of its own"), (2, "a look lasts 2 steps")]
)
def test_looks_too_short_for_a_policy_are_refused_in_one_line(tmp_path, hold, lasting):
    data = with_looks(tmp_path, hold)
    with pytest.raises(EpisodeError) as caught:
        data.starts(3)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'episode_0.hdf5'}: {lasting}, and the policy looks at 3")
    assert "\n" not in said and "--hold_looks 3 or more" in said


def test_a_folder_of_differing_looks_is_refused(tmp_path):
    data = with_looks(tmp_path, 2)
    episode = Episode.load(data.paths[1])
    episode.looks_hold = 1
    episode.save(data.paths[1], overwrite=True)
    with pytest.raises(
        EpisodeError, match="episode_1.hdf5: rendered 'fast', a new look every 1 steps, but .*_0"
    ):
        Demonstrations(data.paths, ("top",), (48, 64))
