"""Tiny runs of the script: tasks of a few steps stand in for the real one, which is recorded once."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from joblib.externals.loky import get_reusable_executor
from repository import ROOT

import constants
import record_sim_episodes as script
from common import cli
from common.storage.locks import hold
from common.work import parallel
from common.work.parallel import PACKAGES
from constants import IMAGE_SIZE, Stream, get_task
from episodes.episode import Episode
from episodes.folders import episode_path, list_episodes
from episodes.frames import JpegFrames
from evaluation import demonstrations
from sim_env import SimEnv, make_sim_env
from tasks.looks.ranges import LookPlan
from tasks.parts import Stage
from tasks.starts.files import write_starts
from tasks.starts.sampling import pose_of, sample_start

TRANSFER = get_task("sim_transfer_cube_scripted")
IN_THE_AIR = Stage("in the air", touch=(), clear=(("red_box", "table"),))  # the cube starts above the table
SHORT = replace(TRANSFER, name="sim_short", human=None, episode_len=5, stages=(IN_THE_AIR,))
BRIEF = replace(
    SHORT,
    name="sim_brief",
    episode_len=12,
    script=tuple(replace(point, step=min(point.step, 12)) for point in TRANSFER.script if point.step <= 100),
)
HOPELESS = replace(TRANSFER, name="sim_hopeless", episode_len=3)  # over before anything is touched


@pytest.fixture(autouse=True)
def short_tasks(monkeypatch):
    for task in (SHORT, BRIEF, HOPELESS):
        monkeypatch.setitem(constants.TASKS, task.name, task)


@pytest.fixture
def record(monkeypatch, tmp_path):
    """Runs the script in this process with some flags; the episodes lie in the folder it returns."""

    def run(*flags, task=SHORT, episodes=2, folder="data", workers=1):
        monkeypatch.setattr(demonstrations, "_envs", {})  # `main` closes them
        argv = f"--task_name {task.name} --num_episodes {episodes} --num_workers {workers}".split()
        argv += ["--dataset_dir", str(tmp_path / folder), *flags]
        monkeypatch.setattr(sys, "argv", ["record_sim_episodes.py", *argv])
        cli.run(script.main)
        return tmp_path / folder

    return run


def refusal(record, *flags, **options):
    """The one line that the script ends with."""
    with pytest.raises(SystemExit) as caught:
        record(*flags, **options)
    assert isinstance(caught.value.code, str) and caught.value.code.startswith("error: ")
    assert "\n" not in caught.value.code
    return caught.value.code


def contents(path):
    """All that an episode holds, to the last bit."""
    episode = Episode.load(path)
    jpegs = {
        camera: [frames.encoded(t).tobytes() for t in range(len(frames))]
        for camera, frames in episode.images.items()
    }
    numbers = {name: getattr(episode, name) for name in ("qpos", "qvel", "action", "reward", "env_state")}
    attributes = ("task", "seed", "success", "fps", "render_quality", "noise", "randomized", "looks_hold")
    others = {name: getattr(episode, name) for name in attributes}
    return {**{name: value.tobytes() for name, value in numbers.items()}, **others, "jpegs": jpegs}


def dataset(folder):
    return {path.name: contents(path) for path in list_episodes(folder)}


def state(folder):
    """Names, bytes and times of everything in a folder."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


# --- as the README says


def run_as_user(line, cwd):
    program, *flags = shlex.split(line.removeprefix("python3 "))
    command = [sys.executable, str(ROOT / program), *flags]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_the_readmes_command(tmp_path):
    flags = "--task_name sim_transfer_cube_scripted --dataset_dir episodes --num_episodes 1"
    done = run_as_user(f"python3 record_sim_episodes.py {flags}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "scripted success 1/1 (100%); 1 episodes" in done.stdout
    assert "held by the receiving gripper alone for 10 steps running: 1 of the 1 kept" in done.stdout
    assert "1/1" in done.stderr and "Traceback" not in done.stderr  # the progress bar; EGL at exit
    assert [path.name for path in (tmp_path / "episodes").iterdir()] == ["episode_0.hdf5"]
    episode = Episode.load(tmp_path / "episodes" / "episode_0.hdf5")
    assert episode.success is True and episode.reward.max() == 4 and len(episode) == 400
    assert episode.qpos.shape == episode.qvel.shape == episode.action.shape == (400, 14)
    assert (episode.task, episode.seed, episode.fps) == ("sim_transfer_cube_scripted", 0, 50)
    assert episode.render_quality == "fast" and episode.sim and list(episode.images) == ["top"]
    assert episode.images["top"][399].shape == (480, 640, 3)
    told = next(line for line in done.stdout.splitlines() if line.startswith("look at one: "))
    folder = str((tmp_path / "episodes").resolve())
    assert told.endswith(f"python3 visualize_episodes.py --dataset_dir {folder} --episode_idx 0")


@pytest.mark.parametrize("page", ["README.md", "docs/record.md", "docs/datasets.md"])
def test_every_command_of_the_pages_is_understood(page, monkeypatch, tmp_path):
    text = re.sub(r"\\\n\s*", " ", (ROOT / page).read_text(encoding="utf-8"))
    commands = re.findall(r"record_sim_episodes\.py +(--task_name .*)", text)
    assert commands
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(script, "record", lambda config, task: None)
    start = sample_start(TRANSFER, np.random.default_rng(0))
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    write_starts(
        tmp_path / "runs/demo/next_starts.json", TRANSFER, [prop.name for prop in TRANSFER.props], [start]
    )
    monkeypatch.setattr(parallel.importlib.util, "find_spec", lambda name: "there")
    for command in commands:
        flags = shlex.split(re.sub(r"<[^>]*>", "folder", command.split("`")[0]), comments=True)
        monkeypatch.setattr(sys, "argv", ["record_sim_episodes.py", *flags])
        script.main()


# --- what is recorded


def test_what_an_episode_holds(record):
    folder = record("--camera_names", "top", "left_wrist", "--seed", "3", episodes=1)
    episode = Episode.load(episode_path(folder, 0))
    assert len(episode) == SHORT.episode_len and episode.qpos.shape == (5, 14)
    assert (episode.task, episode.seed, episode.success) == ("sim_short", 3, True)
    assert set(episode.images) == {"top", "left_wrist"}
    assert all(frames[0].shape == (*IMAGE_SIZE, 3) for frames in episode.images.values())
    named = dict(zip(SHORT.state_names, episode.qpos[0], strict=True))
    for arm in SHORT.arms:
        assert [named[f"{arm.label}_{joint}"] for joint in arm.joints] == pytest.approx(arm.start)


def test_replayed_actions_give_the_same_episode(record):
    episode = Episode.load(episode_path(record(episodes=1), 0))
    env, seen = make_sim_env(SHORT), {"qpos": [], "qvel": [], "reward": []}
    step = env.reset(env_state=episode.env_state)
    for t, action in enumerate(episode.action):
        if t in (0, 3):  # the image belongs to the same moment as the joints
            frames = JpegFrames()
            frames.append(step.observation["images"]["top"])
            assert np.array_equal(frames.encoded(0), episode.images["top"].encoded(t))
        seen["qpos"].append(step.observation["qpos"])
        seen["qvel"].append(step.observation["qvel"])
        step = env.step(action)
        seen["reward"].append(step.reward)
    env.close()
    for name, values in seen.items():
        assert np.array_equal(np.array(values, np.float32), getattr(episode, name)), name


def test_a_whole_demonstration_replays_exactly():
    """Contacts amplify the last bit of a command: what is saved must be what was driven."""
    from ee_sim_env import make_ee_sim_env

    driven, replayed = make_ee_sim_env(TRANSFER), make_sim_env(TRANSFER)
    episode = script.run_script(driven, TRANSFER, np.random.default_rng(0))
    step, qpos, rewards = replayed.reset(env_state=episode.env_state), [], []
    for action in episode.action:
        qpos.append(step.observation["qpos"])
        step = replayed.step(action)
        rewards.append(step.reward)
    driven.close()
    replayed.close()
    assert episode.success and max(rewards) == 4
    assert np.array_equal(rewards, episode.reward)
    assert np.array_equal(np.array(qpos, np.float32), episode.qpos)


def test_starts_come_from_the_recording_stream(record):
    folder = record("--seed", "5")
    env = make_sim_env(SHORT)
    for i in range(2):
        start = env.task.sample_start(np.random.default_rng([5, Stream.RECORD, i]))
        assert np.array_equal(Episode.load(episode_path(folder, i)).env_state, start)
        evaluation = env.task.sample_start(np.random.default_rng([5, Stream.EVALUATE, i]))
        assert not np.array_equal(start, evaluation)
    env.close()


@pytest.mark.parametrize("backend", PACKAGES)
def test_any_number_of_workers_records_the_same_anywhere(record, backend):
    pytest.importorskip(PACKAGES[backend])
    one = record(episodes=3, folder="one")
    two = record("--backend", backend, episodes=3, folder="two", workers=2)
    get_reusable_executor().shutdown(wait=True)
    assert dataset(one) == dataset(two) and len(dataset(one)) == 3
    assert len({episode["env_state"] for episode in dataset(one).values()}) == 3


def test_arms_that_hesitate_do_the_same_later(record):
    prompt, late = (record(*flags, folder=str(len(flags))) for flags in ((), ("--hesitate", "6")))
    waits = []
    for one, other in zip(list_episodes(prompt), list_episodes(late), strict=True):
        one, other = Episode.load(one), Episode.load(other)
        assert (other.hesitate, len(other)) == (6, len(one) + 6)
        assert np.array_equal(one.env_state, other.env_state)
        resting = np.abs(other.action - other.action[0]).max(axis=1) < 1e-6
        moved = np.abs(one.action - one.action[0]).max(axis=1) < 1e-6
        waits.append(int(np.argmin(resting) - np.argmin(moved)))
    assert all(0 <= wait <= 6 for wait in waits) and len(set(waits)) > 1, waits


def test_episodes_that_recover_begin_midway_and_end_as_the_others(record, monkeypatch):
    monkeypatch.setattr(demonstrations, "RETURN_SECONDS", 0.2)
    plain = record(folder="plain", episodes=4)
    mixed = record("--begin_midway", "0.7", folder="mixed", episodes=4)
    later, states = 10, []  # steps
    for one, other in zip(list_episodes(plain), list_episodes(mixed), strict=True):
        one, other = Episode.load(one), Episode.load(other)
        assert np.array_equal(one.env_state, other.env_state) and other.success
        assert len(other) == len(one) + later * other.recovers
        if other.recovers:
            states.append(tuple(other.qpos[0]))
            np.testing.assert_allclose(other.action[0], other.qpos[0], atol=0.02)  # from where they are
            np.testing.assert_allclose(other.action[later:], one.action, atol=0.02)
        else:
            assert np.array_equal(one.action, other.action)
    assert 0 < len(set(states)) == len(states) < 4


def test_a_style_changes_the_motion_and_says_so_and_starts_stay(record, capsys):
    plain = record(folder="plain", task=BRIEF)
    human = record("--style", "human", folder="human", task=BRIEF)
    assert "style human, 2 of 2 at the first attempt" in capsys.readouterr().out
    assert dataset(record("--style", "script", folder="script", task=BRIEF)) == dataset(plain)
    again = record("--style", "human", folder="again", episodes=3, workers=2, task=BRIEF)
    get_reusable_executor().shutdown(wait=True)
    assert {name: dataset(again)[name] for name in dataset(human)} == dataset(human)
    other = record("--style", "human", "--seed", "1", folder="other", task=BRIEF)
    lengths = set()
    for one, take, third in zip(*map(list_episodes, (plain, human, other)), strict=True):
        one, take, third = Episode.load(one), Episode.load(take), Episode.load(third)
        assert (one.style, take.style) == ("script", "human")
        assert np.array_equal(one.env_state, take.env_state)
        assert take.action.tobytes() != third.action.tobytes()
        lengths.add(len(take))
    assert len(lengths) == 2 and "as a human does it" in take.words()


def test_a_style_goes_with_everything_else_that_varies(record, monkeypatch):
    monkeypatch.setattr(demonstrations, "RETURN_SECONDS", 0.2)
    human = record("--style", "human", folder="human", task=BRIEF)
    flags = ("--noise", "0.01", "--hesitate", "7", "--begin_midway", "1")
    mixed = record("--style", "human", *flags, folder="mixed", task=BRIEF)
    for one, other in zip(list_episodes(human), list_episodes(mixed), strict=True):
        one, other = Episode.load(one), Episode.load(other)
        assert (other.style, other.hesitate, other.recovers) == ("human", 7, True)
        assert len(other) == len(one) + 7 + 10


def test_noise_changes_the_motion_and_nothing_else(record):
    clean, noisy = (record(*flags, folder=str(len(flags))) for flags in ((), ("--noise", "0.01")))
    again = record("--noise", "0.01", folder="again", episodes=1)
    assert dataset(again)["episode_0.hdf5"] == dataset(noisy)["episode_0.hdf5"]
    moved = []
    for one, other in zip(list_episodes(clean), list_episodes(noisy), strict=True):
        one, other = Episode.load(one), Episode.load(other)
        assert (one.noise, other.noise) == (0.0, 0.01)
        assert np.array_equal(one.env_state, other.env_state) and np.array_equal(one.qpos[0], other.qpos[0])
        moved.append(other.action - one.action)
    assert all(1e-6 < np.abs(each).max() < 0.05 for each in moved)
    assert not np.allclose(*moved, atol=1e-6), "each episode has its own"


def test_without_props_the_arms_move_the_same_over_an_empty_table(record, capsys):
    there = Episode.load(episode_path(record(episodes=1, folder="there"), 0))
    capsys.readouterr()
    folder = record("--no_props", episodes=1, folder="gone")
    gone = Episode.load(episode_path(folder, 0))
    assert "recorded without props; 1 episodes" in capsys.readouterr().out
    assert gone.env_state is None, "nothing stands anywhere"
    assert np.array_equal(there.action, gone.action)
    assert gone.success is None and gone.reward.max() == 0
    difference = np.abs(there.images["top"][0].astype(int) - gone.images["top"][0])
    assert 30 < (difference.max(axis=2) > 60).sum() < 3000, "the cube is all that is missing"
    before = state(folder)
    record("--no_props", episodes=1, folder="gone")
    assert state(folder) == before


def test_render_quality_is_stored_and_seen(record):
    fast, full = (record("--render_quality", q, episodes=1, folder=q) for q in ("fast", "full"))
    fast, full = (Episode.load(episode_path(folder, 0)) for folder in (fast, full))
    assert (fast.render_quality, full.render_quality) == ("fast", "full")
    assert np.array_equal(fast.qpos, full.qpos)
    assert not np.array_equal(fast.images["top"][0], full.images["top"][0])


def test_randomize_changes_pictures_alone(record):
    from joblib.externals.loky import get_reusable_executor

    usual, folder = dataset(record(folder="usual")), record("--randomize", "episode", folder="varied")
    varied = dataset(folder)
    one, other = (Episode.load(path).images["top"][0].astype(int) for path in list_episodes(folder))
    assert np.abs(one - other).mean() > 5, "each episode has a look of its own"
    for name, episode in varied.items():
        changed = {entry for entry, value in episode.items() if value != usual[name][entry]}
        assert changed == {"jpegs", "randomized"} and episode["randomized"]
    assert dataset(record("--randomize", "episode", folder="two", workers=2)) == varied
    get_reusable_executor().shutdown(wait=True)


def test_randomize_gives_each_frame_its_own_look(record):
    """That of its number, so that it does not depend on who recorded it; what happens stays the same."""
    usual, folder = dataset(record(folder="usual")), record("--randomize", folder="varied")
    varied = dataset(folder)
    for name, episode in varied.items():
        changed = {entry for entry, value in episode.items() if value != usual[name][entry]}
        assert changed == {"jpegs", "randomized", "looks_hold"}
        assert episode["randomized"] and episode["looks_hold"] == 1
    assert dataset(record("--randomize", "frame", folder="two", workers=2)) == varied
    get_reusable_executor().shutdown(wait=True)
    episode = Episode.load(episode_path(folder, 1))
    env = make_sim_env(SHORT, randomize=True)
    env.set_looks(LookPlan((0, Stream.RECORD_LOOKS, 1), hold=1))
    step, frames = env.reset(env_state=episode.env_state), []
    for t, action in enumerate(episode.action):
        frames.append(episode.images["top"][t].astype(int))
        assert np.abs(frames[t] - step.observation["images"]["top"]).mean() < 2
        step = env.step(action)
    env.close()
    changes = [np.abs(one - other).mean() for one, other in zip(frames, frames[1:], strict=False)]
    assert min(changes) > 4, "each frame has another look than the one before"


def test_a_level_of_looks_is_kept_with_the_episode(record):
    folder = record("--randomize", "--looks", "real", episodes=1)
    assert Episode.load(episode_path(folder, 0)).looks == "real"
    said = refusal(record, "--randomize", episodes=2)
    assert "episode_0.hdf5 has looks 'real', not 'mild'; give" in said


def test_a_look_can_last_for_several_frames(record):
    folder = record("--randomize", "--hold_looks", "3", episodes=1)
    episode = Episode.load(episode_path(folder, 0))
    assert episode.looks_hold == 3
    images = [episode.images["top"][t].astype(int) for t in range(len(episode))]
    changes = [np.abs(one - other).mean() for one, other in zip(images, images[1:], strict=False)]
    assert changes[2] > 5 and max(changes[:2] + changes[3:]) < 2
    said = refusal(record, "--randomize", "--hold_looks", "2", episodes=2)
    assert "episode_0.hdf5 has looks_hold 3, not 2; give" in said


def test_the_look_of_an_episode_does_not_depend_on_attempts(record, monkeypatch):
    folder = record("--randomize", "episode", episodes=1, folder="first")
    start = Episode.load(episode_path(folder, 0)).env_state
    fail_first(monkeypatch, 1)
    again = Episode.load(episode_path(record("--randomize", "episode", episodes=1, folder="second"), 0))
    assert not np.array_equal(again.env_state, start)
    env = make_sim_env(SHORT, randomize=True)
    env.set_looks([0, Stream.RECORD_LOOKS, 0])
    image = env.reset(env_state=again.env_state).observation["images"]["top"]
    env.close()
    assert np.abs(again.images["top"][0].astype(int) - image).mean() < 2


def test_renderers_are_closed_at_the_end(record, monkeypatch):
    """Left to the interpreter's exit, EGL ones may print tracebacks."""
    closed, close = [], SimEnv.close
    monkeypatch.setattr(SimEnv, "close", lambda self: (closed.append(self), close(self)))
    record(episodes=1)
    assert len(closed) == 1
    refusal(record, episodes=1, task=HOPELESS, folder="other")
    assert len(closed) == 2


def test_onscreen_render_shows_every_step(record, monkeypatch):
    shown = []

    class View:
        def show(self, image, words):
            assert words.startswith("step ")
            shown.append(image.shape)

    monkeypatch.setattr("common.drawing.live_view.LiveView", View)
    record("--onscreen_render", workers=2)  # one after the other all the same
    assert shown == [(*IMAGE_SIZE, 3)] * (2 * SHORT.episode_len)


# --- again, further, anew


def test_a_second_run_reuses_what_is_there(record, capsys, monkeypatch):
    folder = record()
    before = state(folder)
    capsys.readouterr()
    monkeypatch.setattr(script, "record_episode", None)  # nothing is recorded
    record()
    assert state(folder) == before
    assert f"2 of 2 episodes are in {folder} already" in capsys.readouterr().out


def test_a_deleted_episode_comes_back_identical(record, capsys):
    folder = record(episodes=3)
    before, kept = dataset(folder), state(folder)
    episode_path(folder, 1).unlink()
    record(episodes=3)
    assert dataset(folder) == before
    assert all(state(folder)[f"episode_{i}.hdf5"] == kept[f"episode_{i}.hdf5"] for i in (0, 2))
    said = capsys.readouterr().out
    assert "2 of 3 episodes are in" in said and "scripted success 1/1 (100%); 1 episodes" in said


def test_more_episodes_are_added(record):
    folder = record(episodes=1)
    before = dataset(folder)
    record(episodes=2)
    after = dataset(folder)
    assert len(after) == 2 and after["episode_0.hdf5"] == before["episode_0.hdf5"]


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (("--seed", "1"), "has seed 0, not 1; give"),
        (("--camera_names", "top", "angle"), "has cameras ['top'], not ['angle', 'top']; give"),
        (("--render_quality", "full"), "has render_quality 'fast', not 'full'; give"),
        (("--randomize",), "has randomized False, not True; looks_hold 0, not 1; give"),
        (("--randomize", "episode"), "has randomized False, not True; give"),
        (("--noise", "0.01"), "has noise 0.0, not 0.01; give"),
        (("--hesitate", "5"), "has hesitate 0, not 5; give"),
        (("--begin_midway", "1"), "has recovers False, not True; give"),
        (("--style", "human"), "has style 'script', not 'human'; give"),
        (("--no_props",), "has success True, not None; give"),
        (("--no_props", "--keep_failures"), "has success True, not None; give"),
        (("--task_name", "sim_hopeless"), "has task 'sim_short', not 'sim_hopeless'; give"),
        (("--seed", "1", "--randomize", "episode"), "has seed 0, not 1; randomized False, not True; give"),
    ],
    ids=[
        "seed",
        "cameras",
        "quality",
        "looks",
        "looks of episodes",
        "noise",
        "wait",
        "recovery",
        "style",
        "no props",
        "no props, all kept",
        "task",
        "two",
    ],
)
def test_episodes_of_another_kind_are_never_mixed(record, flags, found):
    folder = record(episodes=1)
    before = state(folder)
    said = refusal(record, *flags, episodes=2)
    assert found in said and "episode_0.hdf5" in said and "--overwrite" in said
    assert state(folder) == before


def test_overwrite_records_anew(record):
    folder = record()
    first = dataset(folder)
    record("--seed", "1", "--overwrite")
    other = dataset(folder)
    assert all(other[name]["seed"] == 1 and other[name]["qpos"] != first[name]["qpos"] for name in first)
    record("--overwrite")
    assert dataset(folder) == first


def test_a_damaged_episode_is_named(record):
    folder = record(episodes=1)
    path = episode_path(folder, 0)
    path.write_bytes(path.read_bytes()[:5000])
    said = refusal(record, episodes=2)
    assert "episode_0.hdf5" in said and len(list(folder.iterdir())) == 1


def interrupt_after(monkeypatch, target, name, calls):
    """Ctrl-C at the call after `calls` of `target.name`."""
    real, made = getattr(target, name), []

    def interrupted(*args, **kwargs):
        made.append(1)
        if len(made) > calls:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(target, name, interrupted)


@pytest.mark.parametrize(
    ("target", "name", "calls"),
    [(JpegFrames, "append", 7), (Episode, "_write", 1), (os, "fsync", 1)],
    ids=["while it moves", "while it writes", "before it is named"],
)
def test_an_interrupted_run_leaves_whole_files_and_goes_on(record, monkeypatch, capsys, target, name, calls):
    wanted = dataset(record(episodes=3, folder="uninterrupted"))
    with monkeypatch.context() as patch:
        interrupt_after(patch, target, name, calls)
        with pytest.raises(SystemExit) as caught:
            record(episodes=3)
    assert caught.value.code == 130
    assert "The same command goes on where it stopped." in capsys.readouterr().out
    folder = record(episodes=1)
    assert [path.name for path in folder.iterdir()] == ["episode_0.hdf5"]
    record(episodes=3)
    assert dataset(folder) == wanted


SHORT_TASK = """
import dataclasses, sys
import constants, record_sim_episodes as script
from common import cli
transfer = constants.get_task("sim_transfer_cube_scripted")
in_the_air = constants.Stage("in the air", touch=(), clear=(("red_box", "table"),))
constants.TASKS["sim_short"] = dataclasses.replace(
    transfer, name="sim_short", episode_len=5, stages=(in_the_air,)
)
cli.run(script.main)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals to a process group")
@pytest.mark.parametrize(("number", "whom"), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)])
def test_a_signal_leaves_whole_files_and_no_worker(tmp_path, number, whom):
    folder = tmp_path / "data"
    flags = f"--task_name sim_short --num_episodes 1000 --num_workers 2 --dataset_dir {folder}".split()
    run = subprocess.Popen(
        [sys.executable, "-c", SHORT_TASK, *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        while run.poll() is None and len(list(folder.glob("episode_*"))) < 4:
            time.sleep(0.05)
        family = psutil.Process(run.pid).children(recursive=True)
        assert len(family) >= 2
        whom(run.pid, number)  # Ctrl-C reaches all processes of a terminal
        said, _ = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130 and "The same command goes on where it stopped." in said
    assert "Traceback" not in said and "Error" not in said
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert all(path.name.startswith("episode_") for path in folder.iterdir())
    assert all(Episode.load(path).success for path in list_episodes(folder))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("_", range(3))
def test_after_kill_9_of_the_command_alone_the_same_command_goes_on_at_once(tmp_path, _):
    folder = tmp_path / "data"
    flags = f"--task_name sim_short --num_episodes 12 --num_workers 2 --dataset_dir {folder}".split()
    command = [sys.executable, "-c", SHORT_TASK, *flags]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None and not list(folder.glob("episode_*")):
        time.sleep(0.02)
    family = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    run.wait()
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"episode_{i}.hdf5" for i in range(12))


def test_an_episode_that_appeared_meanwhile_is_done_if_it_has_the_same_settings(
    record, monkeypatch, tmp_path
):
    """As workers of a cluster do, whose command was killed."""
    folder = record(episodes=1)
    before = state(folder)
    monkeypatch.setattr(script, "missing_episodes", lambda *_: [0])
    record(episodes=1)
    assert state(folder) == before
    assert "has seed 0, not 1; give another" in refusal(record, "--seed", "1", episodes=1)
    assert state(folder) == before


def test_two_recorders_in_one_folder(record, tmp_path):
    with hold(tmp_path / "data"):
        said = refusal(record)
        assert f"another command is at work in {tmp_path / 'data'}: process {os.getpid()}, " in said
        assert list((tmp_path / "data").iterdir()) == []


# --- scripts that fail


def fail_first(monkeypatch, failures):
    """Takes the first `failures` runs of the script for failed; returns the starts that were tried."""
    real, starts = script.run_script, []

    def run_script(*args, **others):
        episode = real(*args, **others)
        starts.append(tuple(episode.env_state))
        episode.success = len(starts) > failures
        return episode

    monkeypatch.setattr(script, "run_script", run_script)
    return starts


def test_episodes_begin_where_a_file_says(record, monkeypatch, tmp_path):
    starts = [pose_of((0.01, 0.6, 0.05)), pose_of((0.2, 0.45, 0.05))]
    write_starts(tmp_path / "starts.json", SHORT, ["red_box"], starts)
    tried = fail_first(monkeypatch, 1)
    folder = record("--at", str(tmp_path / "starts.json"), episodes=5)
    assert len(list_episodes(folder)) == 2, "no more than starts"
    assert tried[0] == tuple(starts[0]) and tried[1] != tried[0]
    first, second = (Episode.load(path).env_state for path in list_episodes(folder))
    assert 0 < np.abs(first - starts[0]).max() <= 0.005 and first[0] >= 0 and first[1] <= 0.6, "in the area"
    assert np.array_equal(second, starts[1])
    write_starts(tmp_path / "others.json", SHORT, ["red_box"], [pose_of((0.1, 0.5, 0.05))])
    said = refusal(record, "--at", str(tmp_path / "others.json"), episodes=1)
    assert "does not begin at start 1 of" in said and "others.json" in said
    (tmp_path / "others.json").write_text('{"starts": [{"red_box": [0.5, 0.5, 0.05]}]}')
    said = refusal(record, "--at", str(tmp_path / "others.json"), folder="new")
    assert "start 1 is 300.0 mm outside" in said and not (tmp_path / "new").exists()


def test_a_failed_attempt_is_not_kept(record, monkeypatch, capsys):
    starts = fail_first(monkeypatch, 2)
    folder = record(episodes=2)
    assert "scripted success 2/4 (50%); 2 episodes" in capsys.readouterr().out
    assert len(set(starts)) == 4, "every attempt has a start of its own"
    kept = [Episode.load(path) for path in list_episodes(folder)]
    assert [tuple(episode.env_state) for episode in kept] == starts[2:] and all(e.success for e in kept)


def test_keep_failures_keeps_first_attempts(record, capsys):
    folder = record("--keep_failures", task=HOPELESS)
    record("--keep_failures", task=HOPELESS)  # finds them again
    assert "scripted success 0/2 (0%); 2 episodes" in capsys.readouterr().out
    episodes = [Episode.load(path) for path in list_episodes(folder)]
    assert [(e.success, e.reward.max(), len(e)) for e in episodes] == [(False, 0, 3)] * 2


def test_a_script_that_keeps_failing_ends_the_run(record, monkeypatch, tmp_path):
    starts = fail_first(monkeypatch, 10**6)
    said = refusal(record, task=HOPELESS)
    assert "the script of sim_hopeless failed 10 times running at episode 0 (last reward 0 of 4)" in said
    assert "--keep_failures" in said
    assert len(set(starts)) == script.MAX_ATTEMPTS == 10
    assert not (tmp_path / "data").exists()


# --- wrong input


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--task_name", "sim_shor"), "unknown task 'sim_shor'; did you mean 'sim_short'?"),
        (("--task_name", "mycobot320_choose"), "python3 mycobot_scripts/record_episodes.py --task_name myco"),
        (("--task_name", "mycobot320_choose", "--teleop", "keyboard"), "mycobot_scripts/record_episodes.py"),
        (("--camera_names", "top", "tip"), "unknown camera 'tip'; did you mean 'top'?"),
        (("--num_episodes", "0"), "--num_episodes is 0; it must be 1 to 100000"),
        (("--num_workers", "0"), "--num_workers is 0; it must be 1 to 1024"),
        (("--noise", "-0.01"), "--noise is -0.01; it must be 0 to 1"),
        (("--noise", "nan"), "--noise is nan; it must be a finite number, 0 to 1"),
        (("--noise", "inf"), "--noise is inf; it must be a finite number, 0 to 1"),
        (("--hesitate", "-1"), "--hesitate is -1; it must be 0 to 10000"),
        (("--style", "humane"), "--style is 'humane'; did you mean human?"),
        (("--begin_midway", "1.5"), "--begin_midway is 1.5; it must be 0 to 1"),
        (
            ("--randomize", "frames"),
            "--randomize is 'frames'; did you mean frame? choose from frame, episode",
        ),
        (("--looks", "real"), "--looks is real; it needs --randomize"),
        (
            ("--randomize", "--looks", "reel"),
            "--looks is 'reel'; did you mean real? choose from mild, real, wild",
        ),
        (("--randomize", "episode", "--hold_looks", "2"), "--hold_looks is 2; it needs --randomize frame"),
        (("--begin_midway", "nan"), "--begin_midway is nan; it must be a finite number, 0 to 1"),
    ],
)
def test_wrong_flags_write_nothing(record, tmp_path, flags, said):
    assert said in refusal(record, *flags)
    assert list(tmp_path.iterdir()) == []


def test_task_without_script_is_refused(record, monkeypatch, tmp_path):
    monkeypatch.setitem(constants.TASKS, "sim_short", replace(SHORT, script=()))
    assert "task 'sim_short' has no script to record from" in refusal(record)
    assert list(tmp_path.iterdir()) == []


def test_the_shell_sees_one_line_and_status_1(tmp_path):
    done = run_as_user("record_sim_episodes.py --task_name sim_tranfer_cube --dataset_dir data", tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: unknown task") and len(done.stderr.splitlines()) == 1
    done = run_as_user("record_sim_episodes.py --dataset_dir data", tmp_path)
    assert done.returncode == 1 and done.stderr.startswith(
        "error: --task_name is missing; give the simulated task"
    )
    assert list(tmp_path.iterdir()) == []


def test_where_episodes_go_by_default(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACT_DATA_DIR", raising=False)
    config, task = script.complete(script.RecordConfig(task_name="sim_short"))
    assert Path(config.dataset_dir) == (tmp_path / "data" / "sim_short").resolve() and task is SHORT
    assert config.camera_names == ("top",) and config.num_episodes == 50
    monkeypatch.setenv("ACT_DATA_DIR", str(tmp_path / "elsewhere"))
    config, _ = script.complete(script.RecordConfig(task_name="sim_short"))
    assert Path(config.dataset_dir) == (tmp_path / "elsewhere" / "sim_short").resolve()


def test_a_file_in_place_of_the_folder_is_refused(record, tmp_path):
    (tmp_path / "notes").write_text("mine")
    for place in (tmp_path / "notes", tmp_path / "notes" / "data"):
        assert "notes is a file, not a folder" in refusal(record, "--dataset_dir", str(place))
    assert (tmp_path / "notes").read_text() == "mine"
