"""Frames: the same whatever is kept in memory; nearly so when scaled while decoding; what fits."""

import subprocess
import sys
import threading
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from repository import ROOT
from synthetic import make_dataset

from episodes import frames
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.folders import episode_path, list_episodes
from episodes.frames import Frames, JpegFrames, decoded, free_memory, resize_image
from episodes.hdf5 import rows
from episodes.jpegs import encode_jpeg

CAMERAS = ("b", "a")
SIZE = (48, 64)


def picture(seed: int, height: int = 480, width: int = 640) -> np.ndarray:
    """Like a rendered one: a shaded table, a few sharp-edged things on it, a little texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = np.stack([120 + 0.1 * y, 90 + 0.08 * x, 60 + 0.05 * (x + y)], axis=-1)
    for _ in range(12):
        centre = rng.integers((0, 0), (width, height)).tolist()
        cv2.circle(image, centre, int(rng.integers(5, 60)), rng.integers(0, 255, 3).tolist(), -1)
        cv2.line(image, centre, rng.integers((0, 0), (width, height)).tolist(), (20, 20, 20), 3)
    return (image + rng.normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)


def jpegs(*pictures: np.ndarray) -> JpegFrames:
    kept = JpegFrames()
    for one in pictures:
        kept.append(one)
    return kept


def make_raw(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    numbers = np.zeros((5, 7), np.float32)
    for i in range(2):
        images = {c: rng.integers(0, 256, (5, 96, 128, 3), np.uint8) for c in "ab"}
        Episode(qpos=numbers, action=numbers, images=images).save(episode_path(folder, i))
    return folder


def sources(folder: Path) -> list:
    loaded = [Episode.load(path, CAMERAS, in_memory=False) for path in list_episodes(folder)]
    return [[episode.images[camera] for camera in CAMERAS] for episode in loaded]


@pytest.mark.parametrize("cache", ["none", "jpeg", "decoded", "auto"])
@pytest.mark.parametrize(
    "make", [lambda f: make_dataset(f, n=2, cameras=CAMERAS), make_raw], ids=["jpeg", "raw"]
)
def test_frames_are_those_of_the_files_whatever_is_kept(tmp_path, cache, make):
    make(tmp_path)
    whole = Episode.load(episode_path(tmp_path, 1))
    is_raw = isinstance(whole.images["a"], np.ndarray)
    if cache == "jpeg" and is_raw:
        with pytest.raises(ValueError, match="cache is jpeg, but some of the episodes are raw"):
            Frames(sources(tmp_path), SIZE, cache)
        return
    kept = Frames(sources(tmp_path), SIZE, cache, scaled_decoding=False)
    for _ in range(2):  # read, then from memory
        found = kept(1, 4)
        assert found.shape == (2, *SIZE, 3) and found.dtype == np.uint8
        for image, camera in zip(found, CAMERAS, strict=True):
            np.testing.assert_array_equal(image, resize_image(whole.images[camera][4], SIZE))


def test_scaling_while_decoding_is_close_to_scaling_afterwards():
    stored = jpegs(*(picture(seed) for seed in range(5)))
    for size, shape in (((240, 320), (240, 320)), ((120, 160), (120, 160)), ((100, 200), (240, 320))):
        for t in range(len(stored)):
            assert stored.reduced(t, size).shape == (*shape, 3)
            scaled = resize_image(stored.reduced(t, size), size).astype(int)
            exact = resize_image(stored[t], size)
            assert np.abs(scaled - exact).mean() < 1.0  # of 255 levels
    for size in ((241, 320), (480, 640), (500, 700)):  # a reduced frame would be too small
        np.testing.assert_array_equal(stored.reduced(0, size), stored[0])


def test_only_what_the_cache_says_is_read_again(tmp_path, monkeypatch):
    make_dataset(tmp_path, n=2, cameras=CAMERAS)
    reads = []
    getitem = rows.StoredRows.__getitem__
    monkeypatch.setattr(rows.StoredRows, "__getitem__", lambda s, t: reads.append(t) or getitem(s, t))
    for cache, expected in (("none", [2, 2, 2]), ("decoded", [2, 0, 0]), ("jpeg", [0, 0, 0])):
        kept = Frames(sources(tmp_path), SIZE, cache)
        kept(0, 0)  # the size of the pictures is found out once
        for count in expected:
            reads.clear()
            kept(1, 3)
            assert len([t for t in reads if t == 3]) == count, cache


def test_auto_takes_what_fits(tmp_path, monkeypatch):
    make_dataset(tmp_path, n=2, cameras=CAMERAS)
    sizes = Frames(sources(tmp_path), SIZE, "none").sizes
    assert sizes["decoded"] == 2 * 30 * 2 * 48 * 64 * 3
    stored = sum(len(jpeg.encoded(t)) for cameras in sources(tmp_path) for jpeg in cameras for t in range(30))
    assert stored <= sizes["jpeg"] < 3 * stored  # each of these tiny frames takes a page of the file
    for budget, cache in (
        (sizes["decoded"], "decoded"),
        (sizes["jpeg"], "jpeg"),
        (sizes["jpeg"] - 1, "none"),
    ):
        monkeypatch.setattr(frames, "free_memory", lambda budget=budget: 2 * budget)
        kept = Frames(sources(tmp_path), SIZE)
        assert kept.cache == cache and f"(cache {cache})" in str(kept) and "budget" in str(kept)
    monkeypatch.setattr(frames, "free_memory", lambda: sizes["decoded"] - 1)
    with pytest.raises(ValueError, match="cache decoded takes .* choose auto, or a smaller image_size"):
        Frames(sources(tmp_path), SIZE, "decoded")


def test_processes_on_one_machine_share_its_memory(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = free_memory()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert 0 < free_memory() < alone / 2


def test_threads_share_the_files_and_few_stay_open(tmp_path, monkeypatch):
    make_dataset(tmp_path, n=6, steps=8, cameras=CAMERAS)
    monkeypatch.setattr(rows, "_kept_open", rows.lru_cache(maxsize=2)(rows._kept_open.__wrapped__))
    kept, exact = Frames(sources(tmp_path), SIZE, "none"), Frames(sources(tmp_path), SIZE, "jpeg")
    wrong = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(40):
            where = int(rng.integers(6)), int(rng.integers(8))
            if not np.array_equal(kept(*where), exact(*where)):
                wrong.append(where)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and rows._kept_open.cache_info().currsize == 2


def test_a_file_that_changes_under_the_run_is_noticed(tmp_path, monkeypatch):
    make_dataset(tmp_path, n=2, cameras=CAMERAS)
    kept = Frames(sources(tmp_path), SIZE, "none")
    make_dataset(tmp_path / "other", n=1, steps=5, cameras=CAMERAS)
    episode_path(tmp_path / "other", 0).replace(episode_path(tmp_path, 1))
    with pytest.raises(EpisodeError, match="episode_1.hdf5 has changed since"):
        kept(1, 3)


def damaged(folder: Path, frame: int) -> Path:
    """An episode one of whose JPEGs was cut short."""
    path = episode_path(make_dataset(folder, n=1), 0)
    with h5py.File(path, "a") as root:
        root["/observations/images/top"][frame, 100:] = 0
    return path


def test_a_damaged_frame_is_named_when_it_is_read(tmp_path):
    stored = Episode.load(damaged(tmp_path, 3), in_memory=False).images["top"]
    assert stored[2].shape == (96, 128, 3)
    for read in (lambda: stored[3], stored.in_memory):
        with pytest.raises(EpisodeError, match="camera 'top': frame 3 is incomplete"):
            read()


@pytest.mark.parametrize("frame", [0, 29])
def test_the_first_and_last_frames_are_checked_at_once(tmp_path, frame):
    with pytest.raises(EpisodeError, match=f"camera 'top': frame {frame} is incomplete"):
        Episode.load(damaged(tmp_path, frame), in_memory=False)


def test_jpegs_are_held_without_their_padding():
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    kept = jpegs(*[np.zeros_like(noise)] * 20, noise)
    rows = np.zeros((21, len(kept.encoded(20))), np.uint8)
    for t in range(21):
        rows[t, : len(kept.encoded(t))] = kept.encoded(t)
    held = JpegFrames.from_padded(rows)
    assert all(held.encoded(t).base is None for t in range(21))  # no row is kept alive
    np.testing.assert_array_equal(held[20], kept[20])


def test_pictures_that_take_more_memory_than_there_is_are_refused_before(monkeypatch):
    kept = jpegs(*[picture(0, 48, 64)] * 3)
    np.testing.assert_array_equal(decoded(kept, "top"), np.stack(list(kept)))
    monkeypatch.setattr(frames, "free_memory", lambda: 2 * 3 * 48 * 64 * 3 - 1)
    monkeypatch.setattr(JpegFrames, "__getitem__", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(EpisodeError, match="top takes 0.0 GB, but 0.0 GB of memory are free"):
        decoded(kept, "top")


def test_frames_of_several_sizes_are_not_stacked():
    kept = JpegFrames.from_padded([encode_jpeg(picture(0, height, 64)) for height in (48, 40)], "top")
    with pytest.raises(EpisodeError, match=r"top: frame 1 is \(40, 64\); frame 0 is \(48, 64\)"):
        decoded(kept, "top")


def test_a_limit_of_the_process_counts(monkeypatch):
    """`ulimit -v`."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))"
    code += "; from episodes import frames; print(frames.free_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert 0 < int(done.stdout) < 4 << 30, done.stderr
