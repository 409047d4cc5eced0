"""Slow motion: one clock for all that an arm does."""

import os
import sys
import time
from unittest.mock import Mock

import numpy as np
import pytest

from constants import get_task
from episodes.episode import Episode
from mycobot_scripts import record_episodes
from mycobot_scripts.robot.twin_client import TwinHandle, start_twin
from mycobot_scripts.wire import clock


def test_a_slow_clock_goes_slower_and_waits_longer():
    with clock.slowed(0.25):
        began, real = clock.now(), time.monotonic()
        clock.sleep(0.05)
        passed, really = clock.now() - began, time.monotonic() - real
        assert really >= 0.2 and passed == pytest.approx(really / 4, rel=0.1)
        assert clock.real(1.0) == 4.0
    assert clock.pace() == 1.0


def test_a_slow_twin_simulates_less_in_the_same_time():
    with start_twin("sim_mycobot320_move_cube_scripted", pace=0.2) as twin:
        began, first = time.monotonic(), twin.state()
        time.sleep(1.5)
        second, real = twin.state(), time.monotonic() - began
        assert 0.1 < (second["time"] - first["time"]) / real < 0.3


def test_what_is_recorded_in_slow_motion_says_so_and_is_like_any_other(tmp_path, monkeypatch, capsys):
    flags = ["--robot", "twin", "--task_name", "sim_mycobot320_move_cube_scripted", "--num_episodes", "1"]
    reset = Mock(side_effect=TwinHandle.reset)
    monkeypatch.setattr(TwinHandle, "reset", lambda twin, **how: reset(twin, **how))
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        more = ["--pace", "0.4", "--stale", "5", "--drift"]
        record_episodes.main([*flags, "--dataset_dir", str(tmp_path), *more])
    assert reset.call_args.kwargs["disturb"] == {"words": [], "seed": 0, "rollout": 0}  # a drift of its own
    said = capsys.readouterr().out
    assert "in slow motion (pace 0.4)" in said
    episode, task = Episode.load(tmp_path / "episode_0.hdf5"), get_task(flags[3])
    assert episode.pace == 0.4 and episode.fps == task.fps and episode.success
    rates = np.diff(episode.time) * task.fps
    assert np.median(rates) == pytest.approx(1, abs=0.1), "seconds of the twin, not of this computer"
    moved = np.diff(episode.qpos[:, 0]) * task.fps
    assert np.abs(episode.qvel[1:, 0] - moved).max() < 0.5 * np.abs(moved).max() + 0.1


def test_the_real_arm_has_no_slow_motion():
    with pytest.raises(ValueError, match="--pace is 0.5; the real arm has no slow motion"):
        record_episodes.main(["--task_name", "mycobot320_move_cube", "--jog", "keyboard", "--pace", "0.5"])
