"""Which frames of videos rows get where clocks, rates and lengths differ."""

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs pip install pyarrow")
pytest.importorskip("av", reason="needs pip install av")

from recordings import pictures
from wild_lerobot import (
    LENGTHS,
    assert_shows,
    bring,
    change_tables,
    guided,
    recorded,
    table_of,
    write_table,
    write_video,
)

from episodes.errors import EpisodeError
from readers.lerobot.frames import choose_frames
from readers.lerobot.index import Span


def chosen(tmp_path, frames: int, times, steps: int, rate: int = 20, fps: int = 20):
    write_video(tmp_path / "v.mp4", pictures(frames), rate)
    return choose_frames(
        Span(tmp_path / "v.mp4"), None if times is None else np.array(times), steps, fps, "top"
    )


def steps_of(choice, rate: int = 20) -> list[int]:
    return np.rint(choice.times * rate).astype(int).tolist()


def test_even_times_get_their_frames(tmp_path):
    choice = chosen(tmp_path, 12, np.arange(12) / 20, 12)
    assert steps_of(choice) == list(range(12)) and choice.notes == ()


def test_a_clock_that_drifts_gets_frames_by_number(tmp_path):
    for times in (np.arange(12) * 0.058, 1.7e9 + np.arange(12) * 0.058):
        choice = chosen(tmp_path, 12, times, 12)
        assert steps_of(choice) == list(range(12)) and "taken by their number" in choice.notes[0]


@pytest.mark.parametrize("drift", [1.0, 1.16])
def test_a_video_that_ends_early(tmp_path, drift):
    times = np.arange(12) * 0.05 * drift
    choice = chosen(tmp_path, 10, times, 12)
    assert steps_of(choice) == list(range(10)) and "ends some steps early" in choice.notes[-1]
    with pytest.raises(EpisodeError, match="has 6 frames at 20 a second for 12 steps at 20; "):
        chosen(tmp_path, 6, times, 12)


def test_a_video_of_another_rate(tmp_path):
    choice = chosen(tmp_path, 24, None, 12, rate=40)
    assert steps_of(choice, 40) == list(range(0, 24, 2)) and "40 frames a second for 20" in choice.notes[0]
    choice = chosen(tmp_path, 6, None, 12, rate=10)
    assert steps_of(choice, 10) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5] or len(choice.times) == 12
    assert len(list(choice.frames())) == 12


def test_an_episode_takes_no_frame_of_the_next_one_in_its_video(tmp_path, capsys):
    recorded(tmp_path / "set")
    path = tmp_path / "set/meta/episodes/chunk-000/file-000.parquet"
    cameras = ("observation.images.front", "observation.images.top")
    parts = [pictures(steps, i) for i, steps in enumerate(LENGTHS)]
    parts[1] = parts[1][:-2]  # a video that is two frames short, among others in one file
    columns = table_of(path)
    for camera in cameras:
        write_video(tmp_path / f"set/videos/{camera}/chunk-000/file-000.mp4", np.concatenate(parts), 30)
        columns[f"videos/{camera}/from_timestamp"] = [0.0, 9 / 30, 14 / 30]
        columns[f"videos/{camera}/to_timestamp"] = [8 / 30, 13 / 30, 21 / 30]
    write_table(path, columns)
    made = bring(tmp_path / "set", tmp_path / "out")
    assert [len(one) for one in made] == [9, 5, 8]
    for i, one in enumerate(made):
        assert_shows(one.images["top"][0], 0, i)
        assert_shows(one.images["front"][len(one) - 1], len(one) - 1, i)


def test_a_video_that_goes_on(tmp_path):
    choice = chosen(tmp_path, 30, np.arange(12) / 20, 12)
    assert steps_of(choice) == list(range(12)) and "goes on after the last step" in choice.notes[0]


def test_cameras_of_different_lengths_and_rates(tmp_path, capsys):
    guided(tmp_path / "set")
    cam0, cam1 = (
        tmp_path / f"set/videos/chunk-000/observation.images.{c}/episode_000001.mp4" for c in ("cam0", "cam1")
    )
    write_video(cam0, pictures(5, 1))
    write_video(cam1, np.repeat(pictures(8, 1), 2, axis=0), 40)
    change_tables(tmp_path / "set", lambda c: c.pop("timestamp"))
    made = bring(tmp_path / "set", tmp_path / "out")
    assert [len(one) for one in made] == [9, 5, 8] and len(made[1].images["cam1"]) == 5
    assert_shows(made[1].images["cam1"][4], 4, 1)
    printed = capsys.readouterr().out
    assert "cam0: the video ends some steps early" in printed and "cam1: 40 frames a second" in printed
