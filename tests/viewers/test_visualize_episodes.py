import os
import subprocess
import sys
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

import constants
import visualize_episodes
from episodes.episode import Episode
from episodes.folders import episode_path, find_episodes
from episodes.frames import JpegFrames

SCRIPT = Path(visualize_episodes.__file__)
T = 6


def make_episode(raw=False, dim=2, **values):
    top, wrist = np.full((T, 48, 64, 3), (200, 30, 30), np.uint8), np.zeros((T, 24, 32, 3), np.uint8)
    images = {"top": top, "wrist": wrist}
    if not raw:
        images = {}
        for name, frames in (("top", top), ("wrist", wrist)):
            images[name] = JpegFrames()
            for frame in frames:
                images[name].append(frame)
    qpos = np.random.default_rng(0).normal(size=(T, dim))
    return Episode(qpos, qpos + 0.1, images, **values)


def run_script(*flags, cwd=None):
    command = [sys.executable, str(SCRIPT), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "data"
    task = next(iter(constants.TASKS.values()))
    make_episode(dim=task.dim, task=task.name, success=True).save(episode_path(folder, 0))
    make_episode(raw=True, fps=10).save(episode_path(folder, 10))
    make_episode().save(episode_path(folder, 0, mirror=True))
    return folder


def test_a_video_shows_what_would_have_been_seen_under_disturbances(dataset):
    done = run_script("--dataset_dir", dataset, "--episode_idx", 0, "--disturb", "noise=strong", "grey=mild")
    assert done.returncode == 0, done.stderr
    video = dataset / "episode_0_noise_strong_grey_mild_video.mp4"
    assert str(video) in done.stdout
    _, frame = cv2.VideoCapture(str(video)).read()
    assert frame[30:, :48].std(axis=(0, 1)).min() > 10  # of one colour before


def test_a_file_without_a_number_can_be_disturbed_too(tmp_path):
    make_episode().save(tmp_path / "mine.hdf5")
    done = run_script("--dataset_dir", tmp_path, "--disturb", "noise=mild")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine_noise_mild_video.mp4").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--disturb", "mass=mild"), "mass=mild changes dynamics; of a recorded episode only pictures can"),
        (("--disturb", "nois=mild"), "did you mean 'noise'"),
        (("--disturb", "noise=mild", "--html"), "--disturb changes videos alone; leave --html out"),
    ],
)
def test_disturbances_that_make_no_sense_are_refused(dataset, flags, said):
    done = run_script("--dataset_dir", dataset, *flags)
    assert done.returncode == 1 and said in done.stderr
    assert not list(dataset.glob("*.mp4")) and not (dataset / "html").exists()


def test_one_episode_as_the_readme_says(dataset, tmp_path):
    done = run_script("--dataset_dir", "data", "--episode_idx", 0, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 steps at 50 fps (0.1 s); cameras: top 48x64, wrist 24x32; success" in done.stdout
    made = sorted(p.name for p in dataset.iterdir() if p.suffix != ".hdf5")
    assert made == ["episode_0_qpos.png", "episode_0_video.mp4"]
    assert all(name in done.stdout for name in made)
    frames, _ = imageio_ffmpeg.count_frames_and_secs(str(dataset / made[1]))
    assert frames == T
    _, frame = cv2.VideoCapture(str(dataset / made[1])).read()
    assert frame.shape == (48, 128, 3)  # the smaller camera at the larger one's height
    assert cv2.imread(str(dataset / made[0])).std() > 1


def test_all_episodes_go_where_told(dataset, tmp_path):
    done = run_script("--dataset_dir", dataset, "--output_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    stems = ("episode_0", "episode_10", "mirror_episode_0")
    wanted = {f"{stem}{end}" for stem in stems for end in ("_qpos.png", "_video.mp4")}
    assert set(os.listdir(tmp_path / "out")) == wanted
    assert len(os.listdir(dataset)) == 3 and "3/3" in done.stderr


@pytest.mark.parametrize(
    ("idx", "mirror", "stems"),
    [(0, True, ["mirror_episode_0"]), (None, True, ["mirror_episode_0"]), (10, False, ["episode_10"])],
)
def test_choice_of_files(dataset, idx, mirror, stems):
    assert [path.stem for path in find_episodes(dataset, idx, mirror)] == stems


def test_episode_without_cameras_gets_a_plot_only(tmp_path):
    path = tmp_path / "e.hdf5"
    Episode(np.zeros((T, 7)), np.zeros((T, 7))).save(path)
    said = visualize_episodes.visualize(path, tmp_path)
    assert "cameras: none" in said and sorted(os.listdir(tmp_path)) == ["e.hdf5", "e_qpos.png"]


def test_bad_input_ends_in_one_line_before_anything_is_written(dataset, tmp_path):
    truncated = episode_path(dataset, 10)
    truncated.write_bytes(truncated.read_bytes()[:5000])
    for flags, message in (
        (("--dataset_dir", dataset, "--episode_idx", 3), "has no episode_3.hdf5; it has 3 episodes, "),
        (("--dataset_dir", tmp_path / "none"), "is no folder; record some first"),
        (("--dataset_dir", dataset, "--output_dir", tmp_path / "out"), "episode_10.hdf5: no complete HDF5"),
    ):
        done = run_script(*flags)
        assert done.returncode == 1 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")
        assert message in done.stderr
    assert not (tmp_path / "out").exists() and len(os.listdir(dataset)) == 3


def test_help_shows_defaults_and_flags():
    done = run_script("--help")
    assert done.returncode == 0 and "(default: loky)" in done.stdout
    assert all(
        flag in done.stdout
        for flag in ("--dataset_dir", "--episode_idx", "--ismirror", "--output_dir", "--html", "--rerun")
    )


def test_a_page_of_all_episodes(dataset, tmp_path):
    done = run_script("--dataset_dir", dataset, "--html", "--num_workers", 1)
    assert done.returncode == 0, done.stderr
    page = dataset / "html" / "index.html"
    assert page.as_uri() in done.stdout and "3/3" in done.stderr
    content = page.read_text()
    stems = ("episode_0", "episode_10", "mirror_episode_0")
    assert all(f'"name":"{stem}"' in content for stem in stems)
    made = {path.name for path in page.parent.iterdir()}
    assert made == {"index.html"} | {
        f"{stem}{end}" for stem in stems for end in (".js", "_top.mp4", "_wrist.mp4")
    }
    assert {path.name for path in dataset.iterdir()} == {"html", *(f"{stem}.hdf5" for stem in stems)}


def test_flags_that_exclude_each_other(dataset):
    for flags, message in (
        (("--html", "--episode_idx", 0), "a page (--html) is of the whole dataset"),
        (("--html", "--rerun"), "--html and --rerun are two things to write"),
        (("--num_workers", 0), "--num_workers is 0"),
    ):
        done = run_script("--dataset_dir", dataset, *flags)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and message in done.stderr
    assert len(os.listdir(dataset)) == 3
