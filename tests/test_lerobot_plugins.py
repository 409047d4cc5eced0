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

from mycobot_scripts.robot.twin_client import start_twin

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


def test_the_real_arms_robot_works_with_a_port_and_cameras(lerobot, recorded):
    with start_twin(TASK) as twin:
        cameras = ",".join(f"{name}={address}" for name, address in twin.cameras.items())
        flags = {"robot.type": "mycobot320", "robot.port": twin.port, "robot.cameras": cameras}
        flags |= {"robot.options": CALM} | dataset(recorded / "lr", episode=0) | QUIET
        printed = lerobot("replay", flags)
        assert "clamped: none" in printed and "the arm holds its pose" in printed
        assert not twin.state()["released"]


SMALL = {"observation_height": 48, "observation_width": 64}
ENV = {"env.type": "act_toolkit", "env.task": "Mycobot320MoveCube-v0"}
TINY_ACT = {
    "type": "act",
    "device": "cpu",
    "push_to_hub": "false",
    "pretrained_backbone_weights": "null",
    **dict.fromkeys(("chunk_size", "n_action_steps"), 20),
    **{"dim_model": 32, "dim_feedforward": 64, "n_heads": 2, "n_encoder_layers": 1},
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two episodes of ours; and as a dataset of LeRobot, with small pictures."""
    folder = tmp_path_factory.mktemp("recorded")
    words = ("--task_name", TASK, "--num_episodes", 2, "--dataset_dir", folder / "sim")
    ours("record_sim_episodes.py", *words)
    words = ("--dataset_dir", folder / "sim", "--output_dir", folder / "lr", "--image_size", 48, 64)
    ours("edit_episodes.py", "export_lerobot", *words)
    return folder


def test_replays_ours(lerobot, recorded):
    flags = TWIN | {"robot.episode": 1} | dataset(recorded / "lr", episode=1) | QUIET
    assert "the twin: success, reward 3 of 3" in lerobot("replay", flags)


def test_trains_and_evaluates_theirs_on_our_task_and_runs_it_on_the_twin(lerobot, recorded, tmp_path):
    flags = ENV | {f"env.{name}": value for name, value in SMALL.items()}
    flags |= dataset(recorded / "lr", video_backend="pyav")
    flags |= {f"policy.{name}": value for name, value in TINY_ACT.items()}
    flags |= {"batch_size": 2, "num_workers": 0, "steps": 2, "log_freq": 1, "output_dir": tmp_path / "run"}
    flags |= {"env_eval_freq": 2, "eval.n_episodes": 2, "eval.batch_size": 2, "eval.use_async_envs": "true"}
    printed = lerobot("train", flags)
    assert "End of training" in printed and "'n_episodes': 2" in printed
    flags = TWIN | {"robot.image_height": 48, "robot.image_width": 64, "fps": 10, "duration": 3}
    flags |= {"policy.path": tmp_path / "run/checkpoints/last/pretrained_model", "strategy.type": "base"}
    printed = lerobot("rollout", flags | QUIET)
    assert "Rollout finished" in printed and "the twin: no success" in printed


def test_evaluates_ours_and_runs_it_on_the_twin(lerobot, recorded, tmp_path):
    words = ("--task_name", TASK, "--dataset_dir", recorded / "sim", "--ckpt_dir", tmp_path / "run")
    ours("imitate_episodes.py", *words, "--config", "presets/small.json", "--num_steps", 2)
    policy = {"policy.type": "act_toolkit", "policy.device": "cpu"}
    policy["policy.ckpt"] = tmp_path / "run/policy_last.ckpt"
    counts = {"eval.n_episodes": 2, "eval.batch_size": 2, "eval.use_async_envs": "false"}
    assert "'n_episodes': 2" in lerobot("eval", ENV | policy | counts)
    flags = TWIN | policy | {"fps": 10, "duration": 3, "strategy.type": "base"} | QUIET
    printed = lerobot("rollout", flags)
    assert "Rollout finished" in printed and "the twin: no success" in printed
    wrong = ENV | policy | counts | {"env.task": "TransferCube-v0"}
    assert "needs observation.images.right_wrist" in lerobot("eval", wrong, fails=True)
    wrong = ENV | policy | counts | {"policy.ckpt": tmp_path / "none.ckpt"}
    assert "none.ckpt" in lerobot("eval", wrong, fails=True).splitlines()[-1]


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
        (TWIN | {"robot.options": "--phone_port 70000"}, "error: --phone_port is 70000"),  # as a leader's
        ({"robot.type": "mycobot320", "robot.cameras": "top"}, "error: --cameras has 'top'; it takes name="),
        ({"robot.type": "mycobot320", "robot.port": "/dev/nothing"}, "error: port /dev/nothing cannot be"),
        (TWIN | {"teleop.device": "mouse"}, "error: unknown --teleop.device 'mouse'"),
    ],
)
def test_bad_input_is_one_line(lerobot, flags, line):
    printed = lerobot("teleoperate", {"teleop.type": "mycobot320_jog", "fps": 10} | flags, fails=True)
    assert printed.splitlines()[-1].startswith(line)
