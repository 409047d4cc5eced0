"""LeRobot's own commands find the plugins, and work with them on the twin (their_lerobot.py: where it is)."""

import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
from repository import ROOT
from their_lerobot import interpreters, run_theirs

pytestmark = pytest.mark.slow

PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
TASK = "sim_mycobot320_move_cube_scripted"
CALM = "--stale 30 --frozen 60 --max_deviation 60"  # on a machine however busy
TWIN = {"robot.type": "mycobot320_twin", "robot.task_name": TASK, "robot.options": CALM}
QUIET = {"play_sounds": "false"}


@pytest.fixture(scope="module", autouse=True)
def newest():
    if "3.0" not in interpreters():
        pytest.skip("LEROBOT_PYTHON names no interpreter of the newest LeRobot; see their_lerobot.py")


@pytest.fixture(scope="module")
def site(newest, tmp_path_factory):
    """A folder of packages with the plugins."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "plugins", folder / "plugins", ignore=shutil.ignore_patterns("build"))
    for plugin in PLUGINS:
        words = ("install", "--quiet", "--no-deps", "--target", folder, folder / "plugins" / plugin)
        run_theirs("3.0", folder, "-m", "pip", *words)
    return folder


@pytest.fixture
def lerobot(site, tmp_path):
    """Runs one of LeRobot's commands with flags, in a folder of its own; returns what it prints."""

    def run(command: str, flags: dict, **options) -> str:
        env = {"PYTHONPATH": str(site), "ACT_TOOLKIT": str(ROOT), "MUJOCO_GL": "egl"}
        env |= {"PYTHONUNBUFFERED": "1"}
        words = [f"--{name}={value}" for name, value in flags.items()]
        options.setdefault("stdin", subprocess.DEVNULL)
        module = f"lerobot.scripts.lerobot_{command}"
        return run_theirs("3.0", tmp_path / "home", "-m", module, *words, env=env, cwd=tmp_path, **options)

    return run


def ours(*words: object) -> str:
    """What a script of ours prints."""
    done = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dataset(root, **more) -> dict:
    return {"dataset.repo_id": "me/set", "dataset.root": root, **{f"dataset.{k}": v for k, v in more.items()}}


def test_records_the_script_replays_it_and_we_read_it(lerobot, tmp_path):
    more = {"fps": 10, "num_episodes": 1, "episode_time_s": 25, "reset_time_s": 0, "push_to_hub": "false"}
    more["single_task"] = "Put the cube on B1."
    flags = TWIN | {"teleop.type": "mycobot320_script"} | dataset(tmp_path / "lr", **more) | QUIET
    assert "the twin: success, reward 3 of 3" in lerobot("record", flags)
    again = lerobot("replay", TWIN | dataset(tmp_path / "lr", episode=0) | QUIET)
    assert "clamped: none" in again and "the twin: success, reward 3 of 3" in again
    words = ("--from", tmp_path / "lr", "--output_dir", tmp_path / "in", "--task_name", TASK)
    assert "1 episodes" in ours("edit_episodes.py", "import", *words)
    assert "nothing is wrong" in ours("edit_episodes.py", "check", "--dataset_dir", tmp_path / "in")


def test_replays_ours(lerobot, tmp_path):
    words = ("--task_name", TASK, "--num_episodes", 2)
    ours("record_sim_episodes.py", *words, "--dataset_dir", tmp_path / "sim")
    words = ("export_lerobot", "--dataset_dir", tmp_path / "sim", "--output_dir", tmp_path / "lr")
    ours("edit_episodes.py", *words)
    flags = TWIN | {"robot.episode": 1} | dataset(tmp_path / "lr", episode=1) | QUIET
    assert "the twin: success, reward 3 of 3" in lerobot("replay", flags)


def test_a_person_drives_the_twin_by_keys_and_quits(lerobot, tmp_path):
    read, write = os.pipe()
    is_over = threading.Event()

    def press() -> None:
        while not is_over.is_set():  # a d: left, right; until it is over, as starting takes its time
            for key in b"aaaaaaaaaaaaaaaaaaaahq":
                time.sleep(0.1)
                try:
                    os.write(write, bytes([key]))
                except BrokenPipeError:
                    return

    thread = threading.Thread(target=press)
    thread.start()
    try:
        flags = TWIN | {"teleop.type": "mycobot320_jog", "fps": 10}
        printed = lerobot("teleoperate", flags, stdin=read)
    finally:
        is_over.set()
        os.close(read)
        thread.join()
        os.close(write)
    assert "stopped: q was pressed; the arm holds its pose" in printed
    assert "the twin: no success, reward 0 of 3" in printed


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (TWIN | {"robot.task_name": "sim_foo"}, "error: --task_name is 'sim_foo', which has no scene"),
        (TWIN | {"robot.options": "--max_stp 3"}, "error: '--max_stp' is no flag of this command; did you"),
        ({"robot.type": "mycobot320", "robot.cameras": "top"}, "error: --cameras has 'top'; it takes name="),
        ({"robot.type": "mycobot320", "robot.port": "/dev/nothing"}, "error: port /dev/nothing cannot be"),
        (TWIN | {"teleop.device": "mouse"}, "error: unknown --teleop.device 'mouse'"),
    ],
)
def test_bad_input_is_one_line(lerobot, flags, line):
    printed = lerobot("teleoperate", {"teleop.type": "mycobot320_jog", "fps": 10} | flags, fails=True)
    assert printed.splitlines()[-1].startswith(line)
