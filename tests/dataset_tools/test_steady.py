"""Demonstrations told again by a steady hand: one speed, no pauses, no tremor, no missed grasps."""

import sys
from dataclasses import replace

import numpy as np
import pytest

import edit_episodes as script
from common import cli
from constants import Stream, get_task
from dataset_tools.multiplied import multiplying
from dataset_tools.multiplied.job import Job, MultiplyFlags
from dataset_tools.multiplied.retold import retell
from dataset_tools.multiplied.sources import Source, Watched, cut, read_source
from dataset_tools.multiplied.steady import steady
from episodes import Episode, episode_path, list_episodes
from evaluation import demonstrations
from evaluation.demonstrations import Demonstration, environment, run_script
from tasks import STYLES, StylePlan

FPS = 50
TWIN, TRANSFER = map(get_task, ("sim_mycobot320_move_cube_scripted", "sim_transfer_cube_scripted"))


@pytest.fixture(scope="module", autouse=True)
def _one_environment():
    yield
    demonstrations.close_environments()


def way(*stretches):
    """One arm's commands (T, 1, 8) along x: stretches of (steps, m a step, opening of the gripper)."""
    speeds, openings = (
        np.concatenate([np.full(steps, value) for steps, *values in stretches for value in [values[i]]])
        for i in (0, 1)
    )
    commands = np.zeros((len(speeds), 1, 8))
    commands[:, 0, 0], commands[:, 0, 3], commands[:, 0, 7] = np.cumsum(speeds), 1, openings
    return commands


def source_of(commands, held=slice(0, 0)):
    """A demonstration in which a prop is held at some steps."""
    steps, arms = commands.shape[:2]
    poses = np.tile(np.array([0.5, 0, 0, 1, 0, 0, 0.0]), (steps, 1, 1))
    touched, stands = np.zeros((steps, arms, 1), bool), np.ones((steps, 1), bool)
    touched[held], stands[held] = True, False
    scene = Watched(commands, poses, touched, stands, np.zeros((steps, 1, 1), bool))
    return Source("few/episode_0", 0, poses[0], None, {}, scene, cut(scene, FPS))


def told(*sources):
    """What steady hands do: commands (T', A, 8) of each."""
    return [source.watched.commands for source in steady(sources, FPS)]


def strides(commands):
    """How far (T' - 1,) in m an arm goes a step."""
    return np.linalg.norm(np.diff(commands[:, 0, :3], axis=0), axis=1)


def test_hands_of_any_speed_take_the_same_time_for_the_same_way():
    slow, quick = told(source_of(way((200, 0.002, 1))), source_of(way((50, 0.008, 1))))
    assert len(slow) == pytest.approx(len(quick), abs=2)
    np.testing.assert_allclose(strides(slow)[5:-5], strides(quick)[5:-5].mean(), rtol=0.05)
    for commands, end in ((slow, 0.4), (quick, 0.4)):
        assert commands[-1, 0, 0] == pytest.approx(end)


def test_pauses_are_left_out():
    still, plain = told(
        source_of(way((50, 0.004, 1), (100, 0, 1), (50, 0.004, 1))), source_of(way((100, 0.004, 1)))
    )
    assert len(still) == pytest.approx(len(plain), abs=10)
    assert strides(still)[2:-2].min() > 0


def test_tremor_is_smoothed_where_no_gripper_moves():
    rng, calm = np.random.default_rng(0), way((100, 0.004, 1), (10, 0, 0), (100, 0.004, 0))
    shaken = calm.copy()
    shaken[..., 1] = rng.normal(0, 0.003, shaken.shape[:2])
    [commands] = told(source_of(shaken, held=slice(105, 210)))
    away = np.abs(commands[:, 0, 0] - 0.4) > 0.1  # m from where it grips
    assert commands[away, 0, 1].std() < 0.3 * shaken[..., 1].std()
    grip = commands[np.flatnonzero(commands[:, 0, 7] < 1)[0], 0, :2]  # there the hand is where it was
    assert np.linalg.norm(shaken[95:115, 0, :2] - grip, axis=1).min() < 0.001


def test_it_slows_down_where_it_grips_and_gives_the_gripper_its_time():
    commands = way((100, 0.004, 1), (1, 0, 0), (100, 0.004, 0))
    [commands] = told(source_of(commands, held=slice(101, 201)))
    closing = int(np.flatnonzero(commands[:, 0, 7] < 0.5)[0])
    lengths = strides(commands)
    assert lengths[closing - 3] < 0.5 * lengths[10] and lengths[closing + 1] < 0.5 * lengths[10]
    assert len(commands) > 2 * 0.06 / lengths.max()


def test_a_grasp_that_misses_is_left_out_and_one_that_holds_is_not():
    missed = ((80, 0.004, 1), (15, 0, 0), (15, 0, 1), (20, 0.001, 1), (15, 0, 0), (80, 0.004, 0))
    [commands] = told(source_of(way(*missed), held=slice(135, 225)))
    closed = commands[:, 0, 7] < 0.5
    assert np.count_nonzero(np.diff(closed.astype(int)) == 1) == 1 and closed[-1]
    assert commands[-1, 0, 0] == pytest.approx(way(*missed)[-1, 0, 0])


def test_a_closed_gripper_that_pushes_is_not_a_miss():
    source = source_of(way((80, 0.004, 1), (60, 0.002, 0), (40, 0.004, 1)))
    source.watched.touched[80:140] = True
    assert told(source)[0][:, 0, 7].min() == 1  # it touches the prop, which stays
    source.watched.props[80:140, 0, 0] += 0.002 * np.arange(60)
    source.watched.props[140:] = source.watched.props[139]
    assert told(source)[0][:, 0, 7].min() == 0


def test_both_arms_keep_one_clock():
    """One goes while the other waits: what they do at the same moment stays together."""
    left, right = way((60, 0.004, 1), (60, 0, 1)), way((60, 0, 1), (60, 0.004, 1))
    [commands] = told(source_of(np.concatenate([left, right], axis=1)))
    assert commands[np.argmax(commands[:, 1, 0] > 0.02), 0, 0] == pytest.approx(0.24, abs=0.02)


def test_arms_that_never_move_stay_as_they_are():
    source = source_of(way((30, 0, 1)))
    assert steady([source], FPS) == [source]


def people(task, count):
    """Sources in the style of people, that succeed."""
    env, found, tries = environment(task, "fast", True, False), [], 0
    while len(found) < count:
        rng = np.random.default_rng([3, Stream.RECORD, tries])
        tries += 1
        episode = run_script(env, task, rng, how=Demonstration(style=StylePlan(STYLES["human"], (tries,))))
        if episode.success:
            found.append(replace(episode, style="human"))
    return env, found


@pytest.mark.parametrize("task", [TWIN, TRANSFER], ids=lambda task: task.name)
def test_what_people_showed_succeeds_and_lasts_alike(task, tmp_path):
    env, episodes = people(task, 3)
    read = [read_source(env, task, tmp_path / f"episode_{i}.hdf5", e) for i, e in enumerate(episodes)]
    again = [retell(env, task, source, source.start.ravel()) for source in steady(read, task.fps)]
    assert all(again)
    before, after = ([len(each) for each in many] for many in (episodes, again))
    assert np.ptp(after) < np.ptp(before) and max(after) < 1.2 * max(before)


def test_so_many_ways_are_repeated_and_others_only_where_they_fail():
    lengths, places = (300, 100, 200, 150), (0.0, 0.3, 0.1, 0.2)
    sources = []
    for number, (steps, place) in enumerate(zip(lengths, places, strict=True)):
        source = source_of(way((steps, 0.001, 1)))
        start = source.start + np.array([place, *[0] * 6])
        sources.append(replace(source, name=str(number), start=start))

    def tried(**flags):
        job = Job(TWIN, (), MultiplyFlags(output_dir="", **flags), tuple(sources))
        return [source.name for source in job.nearest(sources[0].start.ravel(), 0)]

    assert tried() == ["0", "2", "3"]
    assert tried(ways=1) == ["1", "0", "2"]
    assert tried(ways=2, attempts=4) == ["3", "1", "0", "2"]


def test_the_command_makes_them_and_earlier_folders_go_on(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(multiplying, "close_environments", lambda: None)
    _, episodes = people(TWIN, 2)
    for i, episode in enumerate(episodes):
        episode.save(episode_path(tmp_path / "few", i))

    def multiply(folder, *flags):
        words = ["multiply", "--dataset_dir", tmp_path / "few", "--output_dir", tmp_path / folder]
        words += ["--num_episodes", 1, "--num_workers", 1, *flags]
        monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *map(str, words)])
        cli.run(script.main)
        return [Episode.load(path) for path in list_episodes(tmp_path / folder)]

    [plain], [even] = multiply("plain"), multiply("even", "--steady", "--ways", 1)
    assert even.success and even.style == "human" and len(even) != len(plain)
    assert "1 of 1 episodes are in" in (multiply("even", "--steady", "--ways", 1) and capsys.readouterr().out)
    with pytest.raises(SystemExit, match="not made by this command"):
        multiply("plain", "--steady")
