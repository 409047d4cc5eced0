"""Recording demonstrations: along waypoints, by hand, by keys; what is kept, and what is never lost."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from arm_rig import LIMITS, SLOW, Person, make_rig
from repository import ROOT
from synthetic import make_dataset

from common import cli
from common.storage.locks import Held, hold
from constants import STYLES, get_task
from episodes.episode import Episode
from episodes.folders import episode_path, missing_numbers
from mycobot_scripts import record_episodes
from mycobot_scripts.demos.demonstrate import scripted_actions
from mycobot_scripts.demos.journal import Step, journal_path, list_journals
from mycobot_scripts.demos.own_tasks import check_same_task, own_task
from mycobot_scripts.demos.recorder import MAX_ATTEMPTS, RecordArmConfig, Recorder
from mycobot_scripts.demos.recording import Recording
from mycobot_scripts.demos.waypoints import Motion, Pose, names
from mycobot_scripts.kinematics.units import on_the_wire
from mycobot_scripts.robot.operator.person import PRESSED_Q
from mycobot_scripts.robot.session import Setup, add_robot_flags, read_setup
from tasks import StylePlan
from tasks.starts.sampling import distance_from, sample_start

HOME = (-3.07, 33.39, 32.78, 6.94, -88.33, -1.58)
THERE = (2.0, 30.0, 38.0, 4.0, -85.0, -10.0)
MOTION = Motion((Pose(0, HOME, 0.7), Pose(8, THERE, 0.7), Pose(4, THERE, 0.4)), fps=10)


@pytest.fixture
def sequence(tmp_path):
    MOTION.save(tmp_path / "short.json")
    return str(tmp_path / "short.json")


def config(tmp_path, **flags) -> RecordArmConfig:
    return RecordArmConfig(task_name="mycobot320_move_cube", dataset_dir=str(tmp_path / "data"), **flags)


def recorded(rig, settings, episodes: int = 1) -> list[bool]:
    recorder = Recorder(rig.session, settings)
    assert recorder.prepare()
    return [recorder.record(index) for index in range(episodes)]


def pressed_while_recording(tmp_path, key: str, after: int = 3):
    """Presses a key once so many steps are in the journal of episode 0."""
    journal = journal_path(episode_path(tmp_path / "data", 0)) / "steps.bin"
    done = []

    def press() -> list[str]:
        if done or not journal.exists() or journal.read_bytes().count(b"STEP") < after:
            return []
        done.append(key)
        return [key]

    return press


def test_a_motion_that_the_limits_change_is_said_to_be_a_bad_demonstration(tmp_path):
    far = (40.0, *HOME[1:])
    jump = Motion((Pose(0, HOME, 0.7), Pose(1, far, 0.7), Pose(4, far, 0.7)), fps=10)
    jump.save(tmp_path / "jump.json")
    with make_rig(Person("enter", "k"), replace(LIMITS, max_step=20.0)) as rig:
        assert recorded(rig, config(tmp_path, sequence=str(tmp_path / "jump.json"))) == [True]
    assert "commands were clamped" in rig.person.questions[-1]


@pytest.mark.parametrize(
    ("clamped", "verdict"),
    [({}, "keep"), ({"step": 10}, "keep"), ({"step": 11}, "redo"), ({"gripper step": 50}, "keep")],
)
def test_a_few_clamped_commands_do_not_spoil_what_succeeds_on_the_twin(monkeypatch, capsys, clamped, verdict):
    robot = SimpleNamespace(guard=SimpleNamespace(clamped=Counter(clamped)), timing=SimpleNamespace(missed=0))
    recorder = Recorder.__new__(Recorder)
    recorder._session = SimpleNamespace(robot=robot, is_twin=True)
    recorder._config, recorder._jogging = SimpleNamespace(ask=False, guide=False, jog=None), None
    monkeypatch.setattr(Recorder, "_twin_success", lambda self: True)
    monkeypatch.setattr(Recorder, "_end", lambda self, recording, wish, success: wish)
    assert recorder._decide(range(100), 3) == verdict
    assert ("episode 3: 11 commands were clamped" in capsys.readouterr().out) == (verdict == "redo")


@pytest.mark.parametrize(
    ("verdict", "seen", "kept"),
    [
        ("keep", None, True),
        ("keep", True, True),
        ("keep", False, False),
        ("failure", None, False),
        ("failure", True, False),
    ],
)
def test_a_demonstration_counts_as_a_success_if_both_the_person_and_the_twin_say_so(verdict, seen, kept):
    written = []
    recorder = Recorder.__new__(Recorder)
    recorder._session = SimpleNamespace(operator=SimpleNamespace(show=lambda **_: None))
    recorder._end(SimpleNamespace(finish=written.append), verdict, seen)
    assert written == [kept]


def test_a_person_may_practise_as_often_as_it_takes(tmp_path, monkeypatch):
    with make_rig(Person()) as rig:
        recorder, takes = Recorder(rig.session, config(tmp_path)), []

        def attempt(index, rng, take):
            takes.append(take)
            return "keep" if take > MAX_ATTEMPTS + 2 else "redo"

        monkeypatch.setattr(recorder, "_attempt", attempt)
        assert recorder.record(0) and takes == list(range(1, MAX_ATTEMPTS + 4))


def test_a_folder_holds_episodes_of_one_task(tmp_path):
    make_dataset(tmp_path)
    check_same_task(get_task("sim_transfer_cube_scripted"), tmp_path)
    check_same_task(own_task("my_push"), tmp_path / "new")
    with pytest.raises(ValueError, match="are of sim_transfer_cube_scripted, not my_push; give that"):
        check_same_task(own_task("my_push"), tmp_path)


def test_a_take_of_a_style_is_the_same_again_and_no_two_are():
    task = get_task("sim_mycobot320_move_cube_scripted")
    start = sample_start(task, np.random.default_rng(0))
    takes = [StylePlan(STYLES[style], (0, i)) for style, i in (("human", 1), ("human", 1), ("human", 2))]
    actions = [scripted_actions(task, start, 0, take) for take in takes]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert not np.array_equal(actions[0][:50], actions[2][:50])
    script = scripted_actions(task, start, 0, StylePlan(STYLES["script"], (0, 1)))
    np.testing.assert_array_equal(script, scripted_actions(task, start, 0))
    assert len(script) == task.episode_len


@pytest.mark.parametrize(
    ("flags", "task"),
    [
        ({"guide": True}, "sim_mycobot320_move_cube_scripted"),
        ({"sequence": "pickandmove"}, "sim_mycobot320_move_cube_scripted"),
        ({}, "mycobot320_move_cube"),
    ],
)
def test_only_a_script_is_followed_in_a_style(tmp_path, flags, task):
    with pytest.raises(ValueError, match="--style human is how a script is followed; it does not go with"):
        record_episodes.check_ways(config(tmp_path, style="human", **flags), get_task(task))


def test_waypoints_are_played_and_recorded_as_sent(tmp_path, sequence, capsys):
    with make_rig(Person("enter", "k", "enter", "f"), pace=SLOW) as rig:
        assert recorded(rig, config(tmp_path, sequence=sequence), episodes=2) == [True, True]
    episode = Episode.load(episode_path(tmp_path / "data", 0))
    assert (episode.task, episode.fps, episode.sim, episode.success) == (
        "mycobot320_move_cube",
        10,
        False,
        True,
    )
    assert len(episode) == 12 and sorted(episode.images) == ["right_wrist", "top"]
    sent = [on_the_wire(action) for action in MOTION.actions()]
    np.testing.assert_allclose(episode.action, sent, atol=1e-6)
    np.testing.assert_allclose(
        episode.qpos[0, :6], np.radians(HOME), atol=np.radians(4)
    )  # from the start pose
    np.testing.assert_array_equal(episode.qpos[0, 6], np.float32(0.7))
    assert episode.time[0] == 0 and (np.diff(episode.time) > 0).all() and episode.reward is None
    assert np.abs(episode.qvel[:, :6]).max() > 0.05
    assert episode.images["top"][5].shape == (48, 64, 3)
    assert Episode.load(episode_path(tmp_path / "data", 1)).success is False
    assert list_journals(tmp_path / "data") == []
    assert "put everything to its place" in rig.person.questions[0]
    assert "steps a second of 10" in capsys.readouterr().out


def test_what_is_done_again_replaces_nothing(tmp_path, sequence):
    with make_rig(Person("enter", "r", "enter", "k")) as rig:
        assert recorded(rig, config(tmp_path, sequence=sequence)) == [True]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["episode_0.hdf5"]


def suggesting(tmp_path, **facts):
    """Flags that suggest starts from a folder of three episodes that say where they began."""
    rng, task = np.random.default_rng(0), get_task("sim_mycobot320_move_cube_scripted")
    blank = Episode(np.zeros((2, 7), np.float32), np.zeros((2, 7), np.float32), task=task.name)
    for i in range(3):
        values = {"env_state": sample_start(task, rng), **facts}
        replace(blank, **values).save(episode_path(tmp_path / "shown", i))
    return config(tmp_path, suggest=str(tmp_path / "shown"), num_episodes=4), task


def test_the_next_place_is_said_before_each_episode(tmp_path, sequence, capsys):
    settings, task = suggesting(tmp_path)
    starts = record_episodes.suggested_starts(settings, task, is_twin=True)
    assert list(starts) == [0, 1, 2, 3] and (tmp_path / "data" / "coverage.html").is_file()
    assert "the next places, to look at: file://" in capsys.readouterr().out
    assert all(distance_from(each.env_state.reshape(-1, 7), task.props) < 1e-9 for each in starts.values())
    with make_rig(Person("enter", "k")) as rig:
        recorder = Recorder(rig.session, replace(settings, sequence=sequence), starts)
        assert recorder.prepare() and recorder.record(0)
    said = r"episode 0: put cube at x -0\.\d+, y -0\.\d+ m: place 1; episode_\d is nearest: from there "
    assert re.match(said, rig.person.questions[0])


def test_a_folder_that_is_recorded_into_goes_on_with_its_numbers(tmp_path):
    settings, task = suggesting(tmp_path)
    own = replace(settings, dataset_dir=settings.suggest, num_episodes=5)
    starts = record_episodes.suggested_starts(own, task, is_twin=True)
    assert list(starts) == [3, 4] and "place 1" in starts[3].words
    episode_path(tmp_path / "shown", 1).unlink()
    starts = record_episodes.suggested_starts(own, task, is_twin=True)
    assert list(starts) == [1, 3, 4] and "place 1" in starts[1].words


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"env_state": None}, "none of the 3 episodes of"),
        ({"task": "my_push"}, "of a task without a scene; the twin simulates sim_mycobot320_move"),
    ],
)
def test_suggestions_that_cannot_be_made_end_before_anything_is_written(tmp_path, facts, message):
    settings, task = suggesting(tmp_path, **facts)
    with pytest.raises(ValueError, match=message):
        record_episodes.suggested_starts(settings, task, is_twin=True)
    assert not (tmp_path / "data").exists()
    with pytest.raises(ValueError, match="--suggest does not go with --guide"):
        record_episodes.check_ways(replace(settings, guide=True), task)


def test_quitting(tmp_path, sequence):
    with make_rig(Person("enter", "q")) as rig:
        assert recorded(rig, config(tmp_path, sequence=sequence)) == [False]
        rig.person.answers = ["q"]
        assert recorded(rig, config(tmp_path, sequence=sequence)) == [False]
    assert list((tmp_path / "data").iterdir()) == []


def test_q_stops_the_arm_and_the_person_decides(tmp_path, sequence):
    with make_rig(Person("enter", "k", press=pressed_while_recording(tmp_path, "q"))) as rig:
        assert recorded(rig, config(tmp_path, sequence=sequence)) == [True]
        assert "stopped (q was pressed)" in rig.person.questions[-1]
        time.sleep(0.7)
        before = rig.joints()
        time.sleep(0.3)
        np.testing.assert_allclose(rig.joints(), before, atol=1e-4)
        assert np.abs(before - np.radians(THERE)).max() > np.radians(0.5)
    episode = Episode.load(episode_path(tmp_path / "data", 0))
    assert 3 <= len(episode) < 12 and episode.success is False


def test_ctrl_c_stops_the_arm_in_order(tmp_path, sequence):
    due = pressed_while_recording(tmp_path, "Ctrl-C")

    def press() -> list[str]:
        if due():
            os.kill(os.getpid(), signal.SIGINT)
        return []

    with make_rig(Person("enter", "r", "enter", "k", press=press)) as rig:
        assert recorded(rig, config(tmp_path, sequence=sequence)) == [True]
    assert "stopped (Ctrl-C)" in rig.person.questions[1]
    assert len(Episode.load(episode_path(tmp_path / "data", 0))) == 12


def test_an_error_while_recording_loses_nothing(tmp_path, sequence, capsys):
    """Nobody is there to answer in the end: the recording waits for --recover."""
    with make_rig(Person("enter")) as rig, pytest.raises(RuntimeError, match="nobody answers"):
        recorded(rig, config(tmp_path, sequence=sequence))
    assert "keeps what was recorded; --recover makes an episode of it" in capsys.readouterr().out
    flags = ["--task_name", "mycobot320_move_cube", "--dataset_dir", str(tmp_path / "data")]
    with pytest.raises(ValueError, match="episode_0.recording was cut off; the same command with --recover"):
        record_episodes.main([*flags, "--sequence", sequence, "--cameras", "top=1,right_wrist=0"])
    record_episodes.main([*flags, "--recover"])
    assert "12 steps; whether it succeeded is not known" in capsys.readouterr().out
    episode = Episode.load(episode_path(tmp_path / "data" / "recovered", 0))
    assert len(episode) == 12 and episode.success is None
    assert missing_numbers(tmp_path / "data", 3) == [0, 1, 2], "it is no demonstration"
    record_episodes.main([*flags, "--recover"])
    assert "no recording was cut off" in capsys.readouterr().out


def cut_off(path, steps):
    """A recording whose process was killed after so many steps."""
    made = Recording(path, ("top",), task="mycobot320_move_cube", fps=10)
    for t in range(steps):
        made.append(Step(t / 10, *np.zeros((3, 7)), {"top": np.zeros((24, 32, 3), np.uint8)}))
    made.abandon()
    return made.folder


def test_one_bad_journal_does_not_keep_the_others(tmp_path, capsys):
    folder, flags = tmp_path / "data", ["--dataset_dir", str(tmp_path / "data")]
    cut_off(episode_path(folder, 0), 0)
    damaged = cut_off(episode_path(folder, 1), 3)
    (damaged / "header.json").write_text("{")
    cut_off(episode_path(folder, 2), 4)
    with pytest.raises(ValueError, match="episode_1.recording is no recording") as error:
        record_episodes.main([*flags, "--recover"])
    assert "\n" not in str(error.value)
    said = capsys.readouterr().out
    assert "episode_0.recording: cut off before its first step; nothing to keep, removed" in said
    assert "recovered/episode_2.hdf5: 4 steps; whether it succeeded is not known" in said
    assert "does not count as a demonstration, and is not trained on" in said and "merge" in said
    assert list_journals(folder) == [damaged]
    record_episodes.main([*flags, "--discard"])
    assert list_journals(folder) == [] and "episode_1.recording: forgotten" in capsys.readouterr().out


def test_the_same_command_goes_on_after_a_kill_before_the_first_step(tmp_path):
    settings = config(tmp_path, num_episodes=3)
    cut_off(episode_path(tmp_path / "data", 0), 0)
    assert record_episodes.missing_episodes(settings) == [0, 1, 2]
    cut_off(episode_path(tmp_path / "data", 1), 2)
    with pytest.raises(ValueError, match="episode_1.recording was cut off; .* with --discard forgets it"):
        record_episodes.missing_episodes(settings)


def test_two_recorders_in_one_folder(tmp_path, sequence):
    flags = ["--task_name", "mycobot320_move_cube", "--dataset_dir", str(tmp_path / "data")]
    cameras = ["--cameras", "top=1,right_wrist=0"]
    with hold(tmp_path / "data"), pytest.raises(Held, match="another command is at work in .*data: process"):
        record_episodes.main([*flags, "--sequence", sequence, *cameras])


def test_poses_shown_by_hand_are_played_and_recorded(tmp_path):
    """The hand brings the arm to two poses; closed in the second."""
    person = Person("y", "enter", "k")
    with make_rig(person, pace=SLOW, episode_len=200) as rig:
        settings = config(tmp_path, guide=True, guide_speed=40.0)
        script = iter([["space"], ["c"], "move", ["space"], ["space"], ["backspace"], ["enter"]])
        poses = [np.radians(THERE)]

        def press() -> list[str]:
            if not rig.session.servo.released:
                return []
            keys = next(script, [])
            if keys != "move":
                return keys
            rig.body.place(poses[0], rig.body.now())
            deadline = time.monotonic() + 60
            while np.abs(rig.session.servo.latest.qpos[:6] - poses[0]).max() > 0.01:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            return []

        person.press = press
        assert recorded(rig, settings) == [True]
        assert not rig.session.servo.released
    assert "Hold it, then press enter" in person.questions[0] and len(person.questions) == 3
    motion = Motion.load(tmp_path / "data" / "sequences" / "guided_0.json")
    assert len(motion.poses) == 2 and motion.poses[1].gripper == 0.2
    np.testing.assert_allclose(motion.poses[1].degrees, THERE, atol=0.2)
    episode = Episode.load(episode_path(tmp_path / "data", 0))
    assert len(episode) == len(motion)
    np.testing.assert_allclose(episode.action, [on_the_wire(a) for a in motion.actions()], atol=2e-4)


def test_servos_are_released_only_after_a_yes(tmp_path):
    with make_rig(Person("n")) as rig:
        assert not Recorder(rig.session, config(tmp_path, guide=True)).prepare()
        assert not rig.session.servo.released


def test_guiding_does_not_begin_elsewhere(tmp_path):
    """A fault on the way to the start pose is an error; a person's wish is none."""
    with make_rig(Person()) as rig:
        robot = rig.session.robot
        robot.reset = lambda: SimpleNamespace(last=lambda: True)
        recorder = Recorder(rig.session, config(tmp_path, guide=True))
        robot.stopped = PRESSED_Q
        assert not recorder.prepare()
        robot.stopped = "the arm's state is 0.81 s old"
        with pytest.raises(RuntimeError, match="not at its start pose.*0.81 s old"):
            recorder.prepare()


def test_jogging(tmp_path):
    """Joint space, joint 1 for some steps, then done."""
    person = Person("enter", "k")
    with make_rig(person) as rig:
        script = iter([["tab"], [], *[["d"]] * 8, [], [], ["enter"]])
        person.press = lambda: [] if rig.session.operator.listens else next(script, [])
        assert recorded(rig, config(tmp_path, jog="keyboard", episode_len=60)) == [True]
    episode = Episode.load(episode_path(tmp_path / "data", 0))
    assert 10 <= len(episode) < 60 and episode.style == "person"
    moved = np.degrees(episode.action[-1] - episode.action[0])
    assert moved[0] > 5 and np.abs(moved[1:6]).max() < 0.02


def test_stopping_while_jogging_and_doing_it_again(tmp_path):
    person = Person("enter", "r", "enter", "k")
    with make_rig(person) as rig:
        script = iter([["d"], [], [], ["q"], *[[]] * 3, ["a"]])
        person.press = lambda: [] if rig.session.operator.listens else next(script, [])
        assert recorded(rig, config(tmp_path, jog="keyboard", episode_len=6)) == [True]
    assert "stopped (q was pressed)" in person.questions[1]
    assert len(Episode.load(episode_path(tmp_path / "data", 0))) == 6


def test_time_begins_with_the_first_key(tmp_path, capsys):
    person = Person("enter", "k")
    with make_rig(person) as rig:
        script = iter([*[[]] * 8, ["d"]])
        person.press = lambda: [] if rig.session.operator.listens else next(script, [])
        assert recorded(rig, config(tmp_path, jog="keyboard", episode_len=4)) == [True]
        assert rig.session.robot.timing.longest < 0.5, "the wait is no part of the episode"
    assert len(Episode.load(episode_path(tmp_path / "data", 0))) == 4
    said = capsys.readouterr().out
    assert "move to begin" in said and "enter: done" in said and "enter: keep" not in said


def test_quitting_before_the_first_move(tmp_path):
    person = Person("enter")
    with make_rig(person) as rig:
        script = iter([[], ["q"]])
        person.press = lambda: [] if rig.session.operator.listens else next(script, [])
        assert recorded(rig, config(tmp_path, jog="keyboard", episode_len=4)) == [False]
    assert not list((tmp_path / "data").glob("*"))


def test_the_recorder_waits_until_a_busy_computer_is_calm(tmp_path, monkeypatch, capsys):
    late = [True] * 3 + [False]  # of the attempts, those that a late state ends
    with make_rig(Person()) as rig:
        recorder, robot = Recorder(rig.session, config(tmp_path)), rig.session.robot
        waits, takes = [], []

        def is_fresh(patience=0.0):
            waits.extend([patience] if patience else [])
            return bool(patience)

        def attempt(index, rng, take):
            takes.append(take)
            robot.was_late = late.pop(0)
            return "redo" if robot.was_late else "keep"

        monkeypatch.setattr(robot, "is_fresh", is_fresh)
        monkeypatch.setattr(recorder, "_attempt", attempt)
        monkeypatch.setattr("mycobot_scripts.demos.recorder.MAX_ATTEMPTS", 1)
        assert recorder.record(0) and len(waits) == 4, "late attempts do not count"
        assert takes == [1, 2, 3, 4], "each is another take"
        assert "waiting until the line is fresh" in capsys.readouterr().out
        monkeypatch.setattr(robot, "is_fresh", lambda patience=0.0: False)
        with pytest.raises(RuntimeError, match="stayed late for 60 s: look at cable"):
            recorder.record(1)


def test_fresh_is_what_the_arm_and_its_cameras_are_while_nothing_is_late():
    with make_rig(Person()) as rig:
        robot = rig.session.robot
        assert robot.is_fresh() and robot.is_fresh(5.0)
        robot.guard.limits = replace(robot.guard.limits, stale=1e-6)
        assert not robot.is_fresh() and not robot.is_fresh(0.1)


MOVE = ["--task_name", "mycobot320_move_cube"]
PUSH = ["--task_name", "my_push", "--cameras", "front=1"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--task_name is missing"),
        (["--task_name", "mycobot320_move_cub"], "did you mean 'mycobot320_move_cube'"),
        (["--task_name", "mycobot320_move_cub", "--guide"], "did you mean 'mycobot320_move_cube'.*--cameras"),
        (
            ["--task_name", "my_push"],
            "'my_push' is a task of your own; say what it sees with, e.g. --cameras",
        ),
        ([*PUSH], "'my_push' is a task of your own, and has no script; say how to move: --sequence"),
        (
            ["--task_name", "my_push", "--cameras", "wrist/left=1", "--guide"],
            "--cameras has the name 'wrist/left'; it must be plain, without '/'",
        ),
        ([*PUSH, "--robot", "twin", "--guide"], "'my_push', which has no scene; the twin plays sim_mycobot"),
        (
            ["--task_name", "../push", "--guide"],
            "--task_name is '../push'; it must be made of letters, digits",
        ),
        (["--task_name", "", "--guide"], "--task_name is ''; it must"),
        (
            [*MOVE, "--sequence", "pickandmove", "--fps", "20"],
            "--fps is 20; mycobot320_move_cube has 10 steps",
        ),
        (
            [*PUSH, "--sequence", "pickandmove", "--fps", "20"],
            "pickandmove has 10 frames a second; my_push has",
        ),
        (
            [*PUSH, "--sequence", "pickandmove", "--max_step", "0.5"],
            "pickandmove: waypoint .* --max_step allows",
        ),
        (["--task_name", "sim_transfer_cube_scripted"], "the real arm does mycobot320_move_cube, "),
        ([*MOVE, "--robot", "twin"], "the twin plays sim_mycobot320_move_cube_scripted, "),
        (MOVE, "has no script; say how to move: --sequence, --guide or --jog"),
        ([*MOVE, "--guide", "--jog", "keyboard"], "--guide does not go with --jog"),
        ([*MOVE, "--sequence", "pick"], f"choose from {', '.join(names())}"),
        ([*MOVE, "--guide", "--num_episodes", "0"], "--num_episodes is 0; it must be 1 to 100000"),
        ([*MOVE, "--guide"], "--cameras lacks top, right_wrist; .* top=0,"),
        ([*MOVE, "--guide", "--cameras", "top"], "--cameras has 'top'; it takes name=source"),
        ([*MOVE, "--guide", "--arm_file", "none.json"], "no such arm file"),
    ],
)
def test_bad_flags_end_in_one_line_before_anything_is_written(tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    with open(os.devnull) as nothing, pytest.raises((ValueError, OSError), match=said) as error:
        monkeypatch.setattr(sys, "stdin", nothing)
        record_episodes.main(flags)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def flags_of(*words: str) -> tuple[RecordArmConfig, Setup]:
    parser = cli.make_parser("Test.")
    cli.add_flags(parser, RecordArmConfig)
    add_robot_flags(parser)
    setup = read_setup(parser, [*PUSH, *words])
    return cli.from_flags(RecordArmConfig, setup.args), setup


def test_a_task_of_ones_own_takes_cameras_rate_and_length_from_what_is_given(
    tmp_path, monkeypatch, sequence, capsys
):
    monkeypatch.chdir(tmp_path)
    given, task = record_episodes.complete(*flags_of("--sequence", sequence))
    assert (task.name, task.cameras, task.fps, task.episode_len) == ("my_push", ("front",), 10, len(MOTION))
    assert given.dataset_dir == str(tmp_path / "data" / "my_push") and task.dim == 7
    assert "'my_push' is a task of your own" in capsys.readouterr().out
    _, task = record_episodes.complete(*flags_of("--jog", "keyboard", "--fps", "20", "--episode_len", "99"))
    assert (task.fps, task.episode_len) == (20, 99)
    replace(MOTION, fps=5).save(tmp_path / "slow.json")
    _, task = record_episodes.complete(*flags_of("--sequence", str(tmp_path / "slow.json")))
    assert task.fps == 5


def test_a_task_of_ones_own_goes_on_as_it_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with make_rig(Person("enter", "k"), cameras=("front",), name="my_push", fps=5) as rig:
        replace(MOTION, fps=5).save(tmp_path / "slow.json")
        settings = RecordArmConfig(
            "my_push", str(tmp_path / "data" / "my_push"), sequence=str(tmp_path / "slow.json")
        )
        assert recorded(rig, settings) == [True]
    episode = Episode.load(tmp_path / "data" / "my_push" / "episode_0.hdf5")
    assert (episode.task, episode.robot, episode.fps) == ("my_push", "mycobot320", 5)
    _, task = record_episodes.complete(*flags_of("--guide"))
    assert task.fps == 5, "as the episode that is there"
    with pytest.raises(ValueError, match="have 5 steps a second, not 10; record at theirs, or into another"):
        record_episodes.complete(*flags_of("--guide", "--fps", "10"))
    with pytest.raises(ValueError, match="have the cameras front; --cameras names top"):
        record_episodes.complete(*flags_of("--guide", "--cameras", "top=1"))


def test_a_slip_in_a_name_is_pointed_out_and_recorded_all_the_same(tmp_path, monkeypatch, sequence, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--task_name", "mycobot320_move_cub", "--sequence", sequence]
    _, task = record_episodes.complete(*flags_of(*words))
    assert task.name == "mycobot320_move_cub"
    assert "did you mean 'mycobot320_move_cube'?" in capsys.readouterr().out


def test_the_whole_script_on_the_twin(tmp_path, sequence):
    """From any folder, keys from standard input: the twin is started, moves, is asked, and ends."""
    flags = ["--robot", "twin", "--task_name", "sim_mycobot320_move_cube_scripted", "--num_episodes", "1"]
    flags += ["--dataset_dir", str(tmp_path / "data"), "--sequence", sequence, "--stale", "20", "--ask"]
    flags += ["--pace", "0.3"]  # for a busy machine
    command = [sys.executable, str(ROOT / "mycobot_scripts" / "record_episodes.py"), *flags]
    with subprocess.Popen(
        command, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        timer = threading.Timer(300, process.kill)
        timer.start()
        said = []
        while "[k]eep" not in "".join(said[-40:]):
            said.append(process.stdout.read(1))
            assert said[-1], "".join(said)
        process.stdin.write("k")
        process.stdin.flush()
        said.append(process.stdout.read())
        timer.cancel()
    text = "".join(said)
    assert process.returncode == 0, text
    assert "no success; " in text and "[k]eep" in text and "the arm holds its pose" in text
    assert "1 of 1 episodes" in text and "visualize_episodes.py" in text
    episode = Episode.load(episode_path(tmp_path / "data", 0))
    assert len(episode) == 12 and episode.sim and episode.success is False and episode.seed == 0
    assert episode.images["top"].shape == (480, 640) and episode.render_quality == "fast"
    np.testing.assert_allclose(episode.env_state[2], 0.06)
    assert list_journals(tmp_path / "data") == []
