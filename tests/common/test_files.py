"""Files are whole or not there; a full disk is told with the file's name, whatever library was writing."""

import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from repository import ROOT
from synthetic import make_act, make_episode

from common.processes import here
from common.storage import files, torch_files
from common.storage.files import DiskFull, PatientFile, complete_file, remove_unfinished, told_if_full
from episodes import episode
from episodes.folders import list_episodes
from policy import save_policy


@pytest.fixture
def dead():
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_dead_processes_left_goes_when_the_next_one_writes_there(tmp_path, dead, monkeypatch):
    monkeypatch.setattr(files, "_swept", set())
    theirs = [f".a.ckpt.{dead}.part", f".b.mp4.{dead}@{here()}.part"]
    kept = [f".c.ckpt.{os.getppid()}.part", f".d.ckpt.{dead}@another-machine.part", ".notes.part", "e.part"]
    for name in (*theirs, *kept):
        (tmp_path / name).touch()
    with complete_file(tmp_path / "f.json") as part:
        part.write_text("{}")
    assert names(tmp_path) == sorted([*kept, "f.json"]), "what a living one writes is left alone"
    os.utime(tmp_path / kept[1], (time.time() - 10**6,) * 2)
    os.utime(tmp_path / kept[0], (0, 0))  # older than the process that has the number
    remove_unfinished(tmp_path)
    assert names(tmp_path) == [".notes.part", "e.part", "f.json"]


def test_a_child_that_was_just_killed_gets_a_moment(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (tmp_path / f".x.{child.pid}.part").touch()
    remove_unfinished(tmp_path, patience=0)
    assert len(names(tmp_path)) == 1
    child.kill()
    remove_unfinished(tmp_path)
    child.wait()
    assert names(tmp_path) == []


FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]


@pytest.mark.parametrize("number", FULL)
def test_no_room_is_told_in_one_line_with_the_name(tmp_path, number):
    path = tmp_path / "config.json"
    path.write_text("old")
    with pytest.raises(DiskFull) as caught, complete_file(path) as part:
        part.write_text("half")
        raise OSError(number, os.strerror(number))
    said = str(caught.value)
    assert said.startswith(f"{path}: ") and said.endswith("give the same command again") and "\n" not in said
    assert path.read_text() == "old" and names(tmp_path) == ["config.json"]


def test_what_led_to_an_error_counts_and_other_errors_stay(tmp_path):
    with pytest.raises(DiskFull, match="no space left on device"), told_if_full("video.mp4"):
        raise RuntimeError(f"ffmpeg failed: av_interleaved_write_frame(): {os.strerror(errno.ENOSPC)}")
    with pytest.raises(DiskFull, match="plot.png"), told_if_full("plot.png"):
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError as error:
            raise RuntimeError("unexpected pos 64 vs 0") from error
    with pytest.raises(RuntimeError, match="^unexpected pos"), told_if_full("plot.png"):
        raise RuntimeError("unexpected pos 64 vs 0")
    with pytest.raises(DiskFull, match="^inner: "), told_if_full("outer"), told_if_full("inner"):
        raise OSError(errno.ENOSPC, "full")


@pytest.fixture
def room(monkeypatch):
    """`room(n)`: from now on the disk takes `n` bytes more."""

    def limit(left):
        written = []

        class Small(files.io.FileIO):
            def write(self, data):
                written.append(len(data))
                if sum(written) > left:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(data)

        class SmallPatientFile(PatientFile, Small):
            pass

        for module in (episode, torch_files):
            monkeypatch.setattr(module, "PatientFile", SmallPatientFile)

    return limit


SAVERS = {
    "episode.hdf5": lambda path: make_episode(np.random.default_rng(0), 20).save(path),
    "policy_last.ckpt": lambda path: save_policy(path, make_act()),
}


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize("left", [0, 3000, 9000])
def test_a_disk_that_fills_while_a_library_writes(tmp_path, room, capfd, name, left):
    room(left)
    with pytest.raises(DiskFull, match=f"{name}: no space left on device; free some and give the same"):
        SAVERS[name](tmp_path / name)
    assert names(tmp_path) == [] and capfd.readouterr().err == ""


LIMITED = """
import resource, sys
sys.path[:0] = sys.argv[1:]
from test_files import SAVERS
from pathlib import Path
for limit in (100, 5000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for name, save in SAVERS.items():
        try:
            save(Path(name))
        except OSError as error:
            print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_limit_of_the_shell_is_told_without_noise(tmp_path):
    command = [sys.executable, "-c", LIMITED, *map(str, (ROOT, ROOT / "tests", Path(__file__).parent))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == "" and names(tmp_path) == []
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and all("larger than this system lets you write (ulimit -f)" in o for o in lines)


def test_a_patient_file_holds_what_was_written(tmp_path):
    with PatientFile(tmp_path / "a") as file, h5py.File(file, "w") as root:
        root["x"] = np.arange(10**5)
    with h5py.File(tmp_path / "a") as root:
        assert (root["x"][()] == np.arange(10**5)).all()
    with PatientFile(tmp_path / "b") as file:
        torch.save({"x": torch.arange(10**5)}, file)
    assert (torch.load(tmp_path / "b", weights_only=True)["x"] == torch.arange(10**5)).all()


def test_folders_are_half_changed_only_while_files_take_their_places(tmp_path):
    stage = tmp_path / files.UNFINISHED
    stage.mkdir()
    make_episode(np.random.default_rng(0), 5).save(tmp_path / "part_0" / "episode_0.hdf5")
    identity = {"command": "split", "files": {"part_0/episode_1.hdf5": []}, "moves": []}
    for is_complete in (False, True):
        (stage / files.PLAN).write_text(json.dumps({"is_complete": is_complete, "identity": identity}))
        if not is_complete:
            assert len(list_episodes(tmp_path / "part_0")) == 1
            continue
        for folder in (tmp_path, tmp_path / "part_0"):
            with pytest.raises(OSError, match="is half changed: 'split' was stopped while it moved"):
                list_episodes(folder)
        with pytest.raises(FileNotFoundError):
            list_episodes(tmp_path / "part_1")  # none of its files


@pytest.mark.parametrize(
    ("content", "is_replaced"), [(b'{"a": 1}', True), (b"import sys", False), (b"\xff", False)]
)
def test_a_result_for_scripts_replaces_json_alone(tmp_path, content, is_replaced):
    there = tmp_path / "result.txt"
    there.write_bytes(content)
    with contextlib.nullcontext() if is_replaced else pytest.raises(ValueError, match="already and no JSON"):
        files.check_file(there, "json", ".json")
    files.check_file(tmp_path / "new", "json", ".json")
