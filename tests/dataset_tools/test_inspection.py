"""What is wrong with episode files is found, and what is right is not complained of."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_episode

from dataset_tools.inspection import Thresholds, compare, find_problems, read_facts, sort_by_kind
from dataset_tools.transforms import decompressed
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.folders import episode_path
from episodes.frames import JpegFrames

T = 30
THRESHOLDS = Thresholds()


def lively(rng, steps=T, sim=False, **values):
    """An episode of an arm that moves, seen by two cameras, each frame of which is another."""
    way = np.cumsum(rng.uniform(-0.03, 0.03, (steps, 14)), axis=0)
    way[:, 0] = np.linspace(0, 1, steps)
    images = {}
    for camera in ("top", "wrist"):
        images[camera] = JpegFrames()
        for _ in range(steps):
            images[camera].append(rng.integers(0, 256, (48, 64, 3), np.uint8))
    return Episode(way, way + 0.01, images, sim=sim, **values)


def frozen(episode, camera, start, count):
    """With `count` frames that are the one at `start`."""
    steps = [start if start <= t < start + count else t for t in range(len(episode))]
    return replace(episode, images={**episode.images, camera: episode.images[camera].take(steps)})


@pytest.fixture
def problems(tmp_path):
    def find(episode, limits=THRESHOLDS):
        path = episode_path(tmp_path, 0)
        episode.save(path, overwrite=True)
        return find_problems(path, limits).problems

    return find


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("sim", [True, False])
@pytest.mark.parametrize("raw", [True, False])
def test_a_good_episode(problems, rng, tmp_path, sim, raw):
    time = np.arange(T) / 50 + rng.uniform(0, 0.004, T)
    episode = lively(rng, sim=sim, time=time)
    assert problems(decompressed(episode) if raw else episode) == []
    found = find_problems(episode_path(tmp_path, 0), THRESHOLDS)
    assert found.frames == 2 * T and found.is_timed


@pytest.mark.parametrize("raw", [True, False])
def test_a_frozen_camera(problems, rng, raw):
    episode = frozen(lively(rng), "top", 10, 8)
    if raw:
        episode = decompressed(episode)
    assert problems(episode) == ["top: frozen at steps 10 to 17, while the arm moves"]
    assert problems(frozen(lively(rng), "wrist", 10, 4)) == [], "4 frames are not 5"
    assert problems(frozen(lively(rng), "wrist", 10, 4), replace(THRESHOLDS, frozen_steps=4)) != []


def test_a_resting_arm_is_seen_as_it_is(problems, rng):
    episode = frozen(lively(rng), "top", 10, 8)
    episode.qpos[20:] += episode.qpos[8] - episode.qpos[19]
    episode.qpos[8:20] = episode.qpos[8]
    assert problems(episode) == []


def test_a_simulated_camera_may_see_nothing_of_the_arm(problems, rng):
    episode = frozen(lively(rng, sim=True), "wrist", 5, 20)
    assert problems(episode) == []
    assert problems(frozen(episode, "top", 10, 8)) == [
        "all cameras: frozen at steps 10 to 17, while the arm moves"
    ]


def test_a_dark_camera_and_frames_of_other_sizes(problems, rng):
    episode = lively(rng)
    odd = JpegFrames()
    odd._encoded = [episode.images["top"].encoded(t) for t in range(T - 1)]
    other = JpegFrames()
    other.append(np.zeros((16, 16, 3), np.uint8))
    odd._encoded.append(other.encoded(0))
    found = problems(replace(episode, images={"top": odd}))
    assert found == [
        "camera 'top': 1 frames show nothing, the first at step 29",
        "camera 'top': 1 frames are not as large as the first, from step 29",
    ]


def test_jumps(problems, rng):
    episode = lively(rng)
    episode.qpos[12:, 3] += 0.5
    found = problems(episode)
    assert len(found) == 1 and "qpos: 1 jumps, the first of 0." in found[0]
    assert "at step 12, entry 3 (limit 0.16 a step)" in found[0]
    assert problems(episode, replace(THRESHOLDS, max_speed=40)) == []
    gripper = lively(rng)
    gripper.action[12:, 6] += 0.9
    assert problems(gripper) == [], "a gripper may be told to close at once"


def test_jumps_of_files_in_degrees(problems, rng):
    episode = lively(rng)
    degrees = replace(episode, qpos=np.degrees(episode.qpos) + 90, action=np.degrees(episode.action) + 90)
    assert problems(degrees) == []
    degrees.action[5:, 0] += 30
    assert "action: 1 jumps" in problems(degrees)[0]


def test_rates(problems, rng):
    time = np.arange(T) / 50
    late = time.copy()
    late[20:] += 0.06  # three steps
    found = problems(lively(rng, time=late))
    assert "time: 1 steps late, the worst by 3.0 steps at step 20" in found[0]
    assert "time: 45.3 steps a second, not 50" in found[1]
    assert problems(lively(rng, time=time * 1.03)) == []
    assert problems(lively(rng, time=time * 1.1)) == ["time: 45.5 steps a second, not 50"]
    back = time.copy()
    back[7] = back[5]
    assert "time: goes back at step 7" in problems(lively(rng, time=back))


def test_a_file_that_is_cut_off(rng, tmp_path):
    path = episode_path(tmp_path, 0)
    lively(rng).save(path)
    path.write_bytes(path.read_bytes()[:-3000])
    found = find_problems(path, THRESHOLDS)
    assert len(found.problems) == 1 and "no complete HDF5 file" in found.problems[0]
    facts = read_facts(path)
    assert facts.problems == found.problems and facts.steps == 0


def test_a_jpeg_that_is_damaged_inside(problems, rng, tmp_path):
    episode = lively(rng)
    episode.images["top"]._encoded[4] = np.array([0xFF, 0xD8, 0xFF, 0xD9], np.uint8)
    assert problems(episode) == ["camera 'top': frame 4 cannot be decoded; every row must be one whole JPEG"]


def test_facts_and_what_is_odd(rng, tmp_path):
    for i in range(3):
        lively(rng, task="sim_transfer_cube_scripted", success=bool(i)).save(episode_path(tmp_path, i))
    odd = lively(rng, fps=10)
    replace(odd, images={"top": odd.images["top"]}).save(episode_path(tmp_path, 3))
    facts = [read_facts(episode_path(tmp_path, i)) for i in range(4)]
    compare(facts)
    first = facts[0]
    assert (first.name, first.steps, first.fps, first.dims) == ("episode_0.hdf5", T, 50, (14, 14))
    assert first.storage == "jpeg" and first.camera_text == "top 48x64, wrist 48x64"
    assert first.seconds == T / 50 and first.success is False and not first.problems
    assert facts[3].problems == [
        "cameras: top 48x64, but most have top 48x64, wrist 48x64",
        "fps: 10, but most have 50",
        "task: , but most have sim_transfer_cube_scripted",
    ]


def test_kinds(rng, tmp_path):
    task = "sim_mycobot320_choose_scripted"
    starts = {0: [-0.33, -0.05, 0.06, 1, 0, 0, 0, 0.01, -0.12, -0.678, 1, 0, 0, 0]}
    starts[1] = [*starts[0][:7], -0.265, -0.225, 0.112, 1, 0, 0, 0]
    paths = []
    for i in range(4):
        episode = make_episode(rng, dim=7)
        episode.task, episode.env_state, episode.success = task, np.array(starts[i % 2]), (True, None)[i // 2]
        paths.append(episode_path(tmp_path, i))
        episode.save(paths[-1])
    assert sort_by_kind(paths, "case") == [("B1 free", paths[::2]), ("B1 occupied", paths[1::2])]
    assert sort_by_kind(paths, "success") == [("success", paths[:2]), ("unknown", paths[2:])]
    assert sort_by_kind(paths, "task") == [(task, paths)]
    odd = Episode.load(paths[0])
    odd.env_state = odd.env_state + 0.2
    odd.save(paths[0], overwrite=True)
    with pytest.raises(EpisodeError, match="its props start where no case of"):
        sort_by_kind(paths, "case")
    odd.env_state = None
    odd.save(paths[0], overwrite=True)
    with pytest.raises(EpisodeError, match="put the episodes of each kind into a folder of its own"):
        sort_by_kind(paths, "case")
