"""Recordings survive: what is appended is on disk at once, and becomes an episode whatever happens."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from repository import ROOT

from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.jpegs import encode_jpeg
from mycobot_scripts.demos import recording, recovery
from mycobot_scripts.demos.journal import Step, journal_path, list_journals, read_steps, steps_behind
from mycobot_scripts.demos.recording import Recording
from mycobot_scripts.demos.recovery import recover

FACTS = {"task": "mycobot320_move_cube", "fps": 10, "seed": 3, "env_state": np.arange(7.0), "sim": False}


def make_step(t: int, size: tuple[int, int] = (24, 32)) -> Step:
    rng = np.random.default_rng(t)
    images = {
        name: np.full((*size, 3), 10 * (t % 20) + i, np.uint8) for i, name in enumerate(("top", "wrist"))
    }
    rows = rng.uniform(-1, 1, (3, 7))
    return Step(100.0 + 0.1 * t, *rows, images, reward=float(t % 3))


def record(path: Path, steps: int = 5, is_new: bool = True) -> Recording:
    if not is_new:
        path.unlink(missing_ok=True)
    made = Recording(path, ("top", "wrist"), **FACTS)
    for t in range(steps):
        made.append(make_step(t))
    return made


def test_a_finished_recording_is_the_episode(tmp_path):
    path = record(tmp_path / "new" / "episode_0.hdf5").finish(success=True)
    episode = Episode.load(path)
    assert path == tmp_path / "new" / "episode_0.hdf5"
    assert (episode.task, episode.fps, episode.seed, episode.sim, episode.success) == (
        *("mycobot320_move_cube", 10, 3, False, True),
    )
    np.testing.assert_array_equal(episode.env_state, np.arange(7.0))
    np.testing.assert_allclose(episode.time, [0, 0.1, 0.2, 0.3, 0.4], atol=1e-6)
    np.testing.assert_array_equal(episode.reward, [0, 1, 2, 0, 1])
    for t in range(5):
        step = make_step(t)
        for name in ("qpos", "qvel", "action"):
            np.testing.assert_array_equal(getattr(episode, name)[t], getattr(step, name).astype(np.float32))
        for camera, image in step.images.items():
            np.testing.assert_array_equal(
                episode.images[camera].encoded(t), encode_jpeg(image)
            )  # encoded once
    assert list_journals(path.parent) == []


def test_discarded_recordings_leave_nothing(tmp_path):
    record(tmp_path / "episode_0.hdf5").discard()
    assert list(tmp_path.iterdir()) == []


def test_a_torn_last_record_is_dropped_wherever_it_is_torn(tmp_path):
    record(tmp_path / "episode_0.hdf5", steps=4).abandon()
    journal = journal_path(tmp_path / "episode_0.hdf5")
    whole = (journal / "steps.bin").read_bytes()
    starts = [whole.find(b"STEP")]
    while (following := whole.find(b"STEP", starts[-1] + 4)) >= 0:
        starts.append(following)
    assert len(starts) == 4
    for cut in (starts[3] + 1, starts[3] + 12, starts[3] + 40, len(whole) - 1):
        (journal / "steps.bin").write_bytes(whole[:cut])
        steps, lost = read_steps(journal / "steps.bin", ("top", "wrist"))
        assert (len(steps), lost) == (3, cut - starts[3])
    damaged = bytearray(whole)
    damaged[starts[3] + 50] ^= 1  # a bit of its contents
    (journal / "steps.bin").write_bytes(damaged)
    recovered = recover(journal)
    assert recovered.steps == 3 and recovered.lost_bytes == len(whole) - starts[3]
    episode = Episode.load(recovered.path)
    assert len(episode) == 3 and episode.success is None
    assert not journal.exists()


@pytest.mark.parametrize("damaged", [0, 3])
def test_what_lies_behind_a_damaged_step_is_kept(tmp_path, damaged):
    journal = tmp_path / "episode_0.recording"
    record(tmp_path / "episode_0.hdf5", steps=6).abandon()
    whole = bytearray((journal / "steps.bin").read_bytes())
    whole[[i for i in range(len(whole)) if whole.startswith(b"STEP", i)][damaged] + 30] ^= 255
    (journal / "steps.bin").write_bytes(whole)
    assert steps_behind(journal / "steps.bin") == 5 - damaged
    recovered = recover(journal)
    assert recovered.steps == damaged and not journal.exists()
    assert recovered.damaged == tmp_path / "recovered" / "episode_0.damaged"
    assert (recovered.damaged / "steps.bin").read_bytes() == whole


def test_recovering_takes_nobodys_place(tmp_path):
    record(tmp_path / "episode_0.hdf5").abandon()
    made = Recording(tmp_path / "episode_1.hdf5", ("top", "wrist"), **FACTS)
    made.append(make_step(0))
    made.finish()
    (tmp_path / "episode_1.hdf5").rename(tmp_path / "episode_0.hdf5")
    for number in (0, 1):
        assert recover(tmp_path / "episode_0.recording").path == tmp_path / f"recovered/episode_{number}.hdf5"
        record(tmp_path / "episode_0.hdf5", is_new=False).abandon()


def test_what_is_there_is_not_overwritten(tmp_path):
    record(tmp_path / "episode_0.hdf5").abandon()
    with pytest.raises(FileExistsError, match="cut off; --recover makes an episode of it"):
        record(tmp_path / "episode_0.hdf5")
    recover(tmp_path / "episode_0.recording")
    record(tmp_path / "episode_0.hdf5").finish()
    with pytest.raises(FileExistsError, match="exists already"):
        record(tmp_path / "episode_0.hdf5")


def test_frames_must_keep_their_size(tmp_path):
    made = record(tmp_path / "episode_0.hdf5")
    with pytest.raises(EpisodeError, match=r"camera 'top' gave a frame of \(48, 64, 3\); those before"):
        made.append(make_step(5, size=(48, 64)))
    assert len(Episode.load(made.finish())) == 5


def test_a_failing_disk_is_reported_and_what_is_there_kept(tmp_path, monkeypatch):
    made = record(tmp_path / "episode_0.hdf5", steps=2)
    while made._waiting.qsize():
        time.sleep(0.01)
    monkeypatch.setattr(recording, "record", lambda *_: (_ for _ in ()).throw(OSError("No space left")))
    made.append(make_step(2))
    made._writer.join(10)
    with pytest.raises(OSError, match="cannot be written .No space left"):
        made.append(make_step(3))
    with pytest.raises(OSError, match="No space left"):
        made.finish()
    monkeypatch.undo()
    assert recover(made.folder).steps == 2


def test_syncs_at_least_once_a_second(tmp_path, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr(recording, "SYNC_EVERY", 0.05)
    made = record(tmp_path / "episode_0.hdf5", steps=0)
    written = []

    def spy(descriptor):
        synced.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    for t in range(5):
        made.append(make_step(t))
        deadline = time.monotonic() + 20
        size = made.folder / "steps.bin"
        while not (synced and synced[-1] == size.stat().st_size > sum(written[-1:])):
            assert time.monotonic() < deadline, "not synced while recording went on"
            time.sleep(0.005)
        written.append(size.stat().st_size)
    assert len(set(written)) == 5
    made.discard()


@pytest.mark.parametrize(
    "left", [(), ("header.json",), ("header.json", "steps.bin"), (".header.json.7.part",)]
)
def test_an_empty_journal_is_removed(tmp_path, left):
    record(tmp_path / "episode_0.hdf5", steps=0).abandon()
    journal = tmp_path / "episode_0.recording"
    for path in journal.iterdir():
        if path.name not in left:
            path.unlink()
    if left and left[0].endswith(".part"):
        (journal / left[0]).touch()
    assert recover(journal) == recovery.Recovered(None, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_left_alone(tmp_path):
    record(tmp_path / "episode_0.hdf5").abandon()
    journal = tmp_path / "episode_0.recording"
    (journal / "header.json").write_text("{")
    (tmp_path / "other.recording").mkdir()
    (tmp_path / "other.recording" / "notes.txt").touch()
    for folder in (journal, tmp_path / "other.recording"):
        with pytest.raises(ValueError, match=r"recording is no recording, or was cut off"):
            recover(folder)
    assert (journal / "steps.bin").stat().st_size and (tmp_path / "other.recording" / "notes.txt").exists()


@pytest.mark.parametrize("success", [True, False, None])
def test_what_was_kept_on_a_full_disk_is_kept_when_there_is_room_again(tmp_path, monkeypatch, success):
    made = record(tmp_path / "episode_0.hdf5")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(Episode, "save", Mock(side_effect=OSError("the disk is full")))
        made.finish(success)
    made.abandon()
    recovered = recover(made.folder)
    assert recovered.is_kept and recovered.path == tmp_path / "episode_0.hdf5"
    assert Episode.load(recovered.path).success is success


class Killed(BaseException):
    """Stands for kill -9: nobody is to catch it."""


def kill_at(patch, owner, name, number=0):
    """Kill whoever calls `owner.name` for the time after `number`."""
    real, calls = getattr(owner, name), []

    def call(*args, **kwargs):
        calls.append(args)
        if len(calls) > number:
            raise Killed
        return real(*args, **kwargs)

    patch.setattr(owner, name, call)


MOMENTS = [(Episode, "save"), (Path, "unlink"), (os, "rename"), (recovery, "sync_folder"), (shutil, "rmtree")]


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "cut off"])
@pytest.mark.parametrize(("owner", "name"), MOMENTS, ids=[name for _, name in MOMENTS])
def test_whenever_it_is_killed_a_journal_becomes_one_episode(tmp_path, monkeypatch, owner, name, is_kept):
    made = record(tmp_path / "episode_0.hdf5")
    journal = made.folder
    if is_kept:
        made._stop()
        made._held.close()  # as the system does
    else:
        made.abandon()
    for number in (0, 1):
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            kill_at(patch, owner, name, number)
            if is_kept and number == 0:
                recovery.make_episode(journal, tmp_path / "episode_0.hdf5", recovery.KEPT, True)
            elif journal.exists():
                recover(journal)
    if journal.exists():
        recover(journal)
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    place = tmp_path if is_kept and (owner, name) != MOMENTS[0] else tmp_path / "recovered"
    assert path == place / "episode_0.hdf5" and len(Episode.load(path)) == 5
    assert Episode.load(path).success is (True if place == tmp_path else None)


def test_a_clock_that_is_set_takes_no_running_recording_away(tmp_path, monkeypatch):
    made = record(tmp_path / "episode_0.hdf5")
    header = made.folder / "header.json"
    facts = json.loads(header.read_text())
    facts["process"] = [
        os.getppid(),
        1.0,
    ]  # another's, whose clock was set since
    header.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=f"is still being recorded .*process {os.getpid()}, "):
        recover(made.folder)
    made.append(make_step(5))
    assert len(Episode.load(made.finish())) == 6


RECORDER = """
    import sys, time
    sys.path[:0] = [{root!r}, {root!r} + "/tests", {root!r} + "/tests/mycobot_scripts"]
    from test_recording import FACTS, Recording, make_step
    made = Recording({path!r}, ("top", "wrist"), **FACTS)
    for t in range(100_000):
        made.append(make_step(t, size=(120, 160)))
        print(t, flush=True)
        time.sleep(0.02)
"""


def test_kill_9_loses_at_most_a_second(tmp_path):
    """50 steps a second; the process is killed while it records."""
    path = tmp_path / "episode_7.hdf5"
    code = textwrap.dedent(RECORDER).format(root=str(ROOT), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        said = ""
        for said in process.stdout:
            if int(said) == 60:
                break
        (journal,) = list_journals(tmp_path)
        with pytest.raises(
            ValueError, match=f"still being recorded by process {process.pid}; end that first"
        ):
            recover(journal)
        process.send_signal(signal.SIGKILL)
        done = int([said, *process.stdout][-1]) + 1
    recovered = recover(journal)
    assert done - 50 <= recovered.steps <= done + 1  # one may be kept before it was printed
    episode = Episode.load(recovered.path)
    assert recovered.path == tmp_path / "recovered" / path.name and len(episode) == recovered.steps
    for t in (0, len(episode) - 1):
        np.testing.assert_array_equal(episode.qpos[t], make_step(t).qpos.astype(np.float32))


def test_a_number_that_another_process_has_now_does_not_count(tmp_path):
    record(tmp_path / "episode_0.hdf5").abandon()
    header = tmp_path / "episode_0.recording" / "header.json"
    facts = json.loads(header.read_text())
    facts["process"] = [os.getppid(), 12.5]  # began long ago: our parent has its number by chance
    header.write_text(json.dumps(facts))
    assert recover(header.parent).steps == 5


def test_without_rewards_the_episode_has_none(tmp_path):
    made = Recording(tmp_path / "episode_0.hdf5", ("top", "wrist"), **FACTS)
    for t in range(3):
        made.append(replace(make_step(t), reward=None))
    assert Episode.load(made.finish()).reward is None
