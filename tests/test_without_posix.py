"""Where POSIX is absent (`no_posix/sitecustomize.py`): the arm's loop, recording, training, datasets."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from repository import ROOT
from synthetic import SMALL_FLAGS, make_episode

from episodes.folders import episode_path, list_episodes

HERE = ROOT / "tests"
RUN = "import sitecustomize; sitecustomize.run_main()"
TWIN = "sim_mycobot320_move_cube_scripted"
NAMES = set('<>:"|?*')  # characters that Windows has in no file's name


def masked(folder, words) -> dict:
    """A script that is masked, as options of `subprocess`. To open text without an encoding is an error."""
    changed = {"PYTHONPATH": os.pathsep.join(map(str, (HERE / "no_posix", ROOT, HERE)))}
    changed |= {"NO_POSIX_FILES": str(folder), "PYTHONWARNDEFAULTENCODING": "1", "PYTHONIOENCODING": "cp1252"}
    command = [sys.executable, "-c", RUN, *map(str, words)]
    options = {"cwd": folder, "env": {**os.environ, **changed}, "stdin": subprocess.DEVNULL}
    return {"args": command, **options}


def run(folder, *words) -> str:
    """What a masked script prints; it has to succeed."""
    done = subprocess.run(**masked(folder, words), capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    assert not [path for path in folder.rglob("*") if NAMES & set(path.name)]
    return done.stdout.decode("cp1252")


def script(folder, name: str, *flags) -> str:
    return run(folder, ROOT / f"{name}.py", *flags)


def run_code(folder, code: str) -> str:
    """What masked code prints; it has to succeed."""
    path = folder / "code.py"
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    return run(folder, path)


def test_the_mask_holds(tmp_path):
    said = run_code(
        tmp_path,
        """
        import os, signal, subprocess, sys
        from common.storage import locks
        for module in (sys.modules["__main__"], locks):
            assert module.os.name == "nt" and module.sys.platform == "win32" and locks.msvcrt
        assert not hasattr(os, "fork") and not hasattr(signal, "SIGHUP")
        for name in ("fcntl", "termios", "pty", "resource"):
            try:
                __import__(name)
            except ModuleNotFoundError:
                print("no", name)
        held = open("held", "w", encoding="utf-8")
        try:
            os.replace("code.py", "held")
        except PermissionError:
            print("held")
        """,
    )
    assert " ".join(said.split()) == "no fcntl no termios no pty no resource held"


def test_commands_are_as_windows_has_them(tmp_path):
    for words in (["edit_episodes"], ["edit_episodes", "delete"], ["mycobot_scripts/check_arm"]):
        said = script(tmp_path, *words, "--help")
        assert said.startswith(f"usage: python {words[0]}.py") and "python3" not in said
        assert f"  python {words[0]}.py" in said.partition("example")[2]


def test_the_loop_of_the_arm_and_its_watchdog(tmp_path):
    said = run_code(
        tmp_path,
        """
        import subprocess, sys, time
        import numpy as np
        from emulated import START, emulated, eventually, make_guard
        from mycobot_scripts.robot.operator.keys import ConsoleKeys, open_keys
        from mycobot_scripts.wire.protocol import Command
        from mycobot_scripts.wire.servo import Servo

        goal = START + np.append(np.radians([4, 0, 0, 0, 0, 4]), 0)
        if len(sys.argv) > 1:  # the driver that is killed
            servo = Servo(sys.argv[1], make_guard()).start()
            servo.send(goal)
            print("drives", flush=True)
            time.sleep(60)
        with emulated(tcp=("127.0.0.1", 0)) as firmware:
            with open_keys() as keys, Servo(firmware.port, make_guard()) as servo:
                assert isinstance(keys, ConsoleKeys)
                servo.send(goal)
                assert eventually(lambda: np.abs(servo.latest.qpos - goal)[:6].max() < 0.01, 60)
                try:
                    keys.ask("go on? [k]", {"k": True})
                except RuntimeError as error:
                    print(error)
            before = len(firmware.sent(Command.STOP))
            driver = subprocess.Popen([sys.executable, __file__, firmware.port], stdout=subprocess.PIPE)
            assert driver.stdout.readline() == b"drives\\n"
            assert eventually(lambda: np.abs(firmware.told_angles()[-1][0] - np.degrees(goal[0])) < 0.1, 60)
            driver.kill()
            driver.communicate()
            print("stopped", eventually(lambda: len(firmware.sent(Command.STOP)) >= before + 2, 60))
        """,
    )
    assert "nobody can answer: standard input is closed" in said and said.endswith("stopped True\n")


def test_a_file_is_replaced_once_its_reader_is_done(tmp_path):
    said = run_code(
        tmp_path,
        """
        import threading, time
        from pathlib import Path
        from common import Held, complete_file, hold
        from common.storage import files

        path = Path("result.json")
        path.write_text("old", encoding="utf-8")
        reader = open(path, encoding="utf-8")
        threading.Timer(0.5, reader.close).start()
        with complete_file(path) as part:
            part.write_text("new", encoding="utf-8")
        print(path.read_text(encoding="utf-8"))
        files.PATIENCE = 0.2
        with open(path, encoding="utf-8"):
            try:
                with complete_file(path) as part:
                    part.write_text("newer", encoding="utf-8")
            except PermissionError:
                print("refused")
        print(path.read_text(encoding="utf-8"), len(list(Path().glob(".*.part"))))
        with hold("folder"):
            try:
                with hold("folder"):
                    pass
            except Held as error:
                print("another command" in str(error))
        print(Path("folder").exists())
        """,
    )
    assert " ".join(said.split()) == "new refused new 0 True False"


@pytest.fixture
def episodes(tmp_path):
    """A folder, whose name is not ASCII, of four small episodes."""
    folder = tmp_path / "시연 é"
    rng = np.random.default_rng(0)
    for number in range(4):
        make_episode(rng).save(episode_path(folder, number))
    return folder


def test_training_and_the_tools_of_datasets(tmp_path, episodes):
    runs = tmp_path / "학습"
    flags = ("--task_name", "my_robot", "--dataset_dir", episodes, "--ckpt_dir", runs, *SMALL_FLAGS)
    script(tmp_path, "imitate_episodes", *flags, "--num_steps", 4)
    script(tmp_path, "imitate_episodes", *flags, "--num_steps", 6, "--resume")
    assert (runs / "policy_last.ckpt").is_file() and (runs / "report.html").is_file()
    script(tmp_path, "edit_episodes", "info", "--dataset_dir", episodes)
    short = tmp_path / "short"
    words = ("--dataset_dir", episodes, "--steps", 20)
    script(tmp_path, "edit_episodes", "truncate", *words, "--output_dir", short, "--num_workers", 2)
    assert len(list_episodes(short)) == 4
    script(tmp_path, "edit_episodes", "delete", "--dataset_dir", short, "--episodes", 1, "--in_place")
    assert len(list_episodes(short)) == 3


@pytest.mark.slow
def test_a_twin_from_recording_to_running(tmp_path):
    data, runs = tmp_path / "data", tmp_path / "runs"
    task = ("--task_name", TWIN)
    arm = (*task, "--robot", "twin", "--pace", 0.5, "--stale", 20, "--frozen", 60)
    said = script(tmp_path, "mycobot_scripts/check_arm", "--robot", "twin", "--pace", 0.5, "--still")
    assert "socket://127.0.0.1:" in said
    script(tmp_path, "mycobot_scripts/record_episodes", *arm, "--dataset_dir", data, "--num_episodes", 2)
    script(tmp_path, "mycobot_scripts/replay_episode", *arm, "--dataset_dir", data, "--episode_idx", 0)
    train = (*task, "--dataset_dir", data, "--ckpt_dir", runs, *SMALL_FLAGS, "--num_steps", 6)
    script(tmp_path, "imitate_episodes", *train)
    script(tmp_path, "model_runs", *arm, "--ckpt_dir", runs, "--num_rollouts", 1, "--range_margin", 10)


@pytest.mark.slow
def test_recording_and_evaluation_in_simulation_with_workers(tmp_path):
    task = ("--task_name", "sim_transfer_cube_scripted", "--dataset_dir", tmp_path / "data")
    script(tmp_path, "record_sim_episodes", *task, "--num_episodes", 2, "--num_workers", 2)
    assert len(list_episodes(tmp_path / "data")) == 2
    train = (*task, "--ckpt_dir", tmp_path / "run", *SMALL_FLAGS)
    script(tmp_path, "imitate_episodes", *train, "--num_steps", 4)
    rolls = ("--num_rollouts", 2, "--num_workers", 2, "--eval")
    said = script(tmp_path, "imitate_episodes", *train, "--num_steps", 4, *rolls)
    assert "of 2 rollouts succeeded" in said
