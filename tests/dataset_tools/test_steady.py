"""Demonstrations told again by a steady hand: one speed, no pauses, no tremor, no missed grasps."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

import edit_episodes as script
from common import cli
from constants import Stream, get_task
from dataset_tools.multiplied import multiplying, trials
from dataset_tools.multiplied.job import Job, MultiplyFlags
from dataset_tools.multiplied.retold import retell
from dataset_tools.multiplied.sources import Source, Watched, cut, read_source
from dataset_tools.multiplied.steady import REST, steady
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
    """What steady hands do, until they rest: commands (T', A, 8) of each."""
    return [source.watched.commands[: -round(REST * FPS)] for source in steady(sources, FPS)]


def strides(commands):
    """How far (T' - 1,) in m an arm goes a step."""
    return np.linalg.norm(np.diff(commands[:, 0, :3], axis=0), axis=1)


def test_hands_of_any_speed_take_the_same_time_for_the_same_way():
    slow, quick = told(source_of(way((200, 0.002, 1))), source_of(way((50, 0.008, 1))))
    assert len(slow) == pytest.approx(len(quick), abs=2)
    np.testing.assert_allclose(strides(slow)[5:-5], strides(quick)[5:-5].mean(), rtol=0.05)
    for commands, end in ((slow, 0.4), (quick, 0.4)):
        assert commands[-1, 0, 0] == pytest.approx(end)


def test_in_the_end_it_rests():
    source = source_of(way((100, 0.004, 1), (10, 0, 0), (100, 0.004, 0)), held=slice(105, 210))
    [moves], watched = told(source), steady([source], FPS)[0].watched
    assert len(watched.commands) == len(watched.stands) == len(moves) + REST * FPS
    assert (watched.commands[len(moves) :] == moves[-1]).all() and (moves[-2] != moves[-1]).any()


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


def test_it_slows_down_where_a_prop_that_is_held_comes_to_another():
    source = source_of(way((200, 0.004, 1)), held=slice(50, 200))
    two = {
        name: np.repeat(getattr(source.watched, name), 2, axis=-1 if name != "props" else 1)
        for name in ("props", "touched", "stands")
    }
    two["touched"][..., 1], two["stands"][:, 1] = False, True
    meets = np.zeros((200, 2, 2), bool)
    meets[150:, 0, 1] = meets[150:, 1, 0] = True  # at 0.6 m
    meets[:10] = True  # they lie side by side, in no hand

    def speeds(meets):
        watched = replace(source.watched, **two, meets=meets)
        [commands] = told(replace(source, watched=watched))
        return np.interp([0.05, 0.3, 0.6], commands[1:, 0, 0], strides(commands))

    even, slowed = speeds(np.zeros_like(meets)), speeds(meets)
    np.testing.assert_allclose(even, even[0], rtol=0.01)
    assert slowed[2] < 0.4 * slowed[1] and slowed[0] == pytest.approx(slowed[1], rel=0.01)


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


def job_of_ways(*lengths, **flags):
    """What `multiply` is asked for, of demonstrations "0", "1" ... that last so many steps."""
    sources = [replace(source_of(way((n, 0.001, 1))), name=str(i)) for i, n in enumerate(lengths)]
    return Job(TWIN, (), MultiplyFlags(output_dir="", num_workers=1, **flags), tuple(sources))


def test_what_is_repeated_comes_first_and_then_the_nearest():
    job, starts = job_of_ways(300, 100, 200, 150), (0.0, 0.3, 0.1, 0.2)
    moved = [np.array([place, *[0] * 6]) for place in starts]
    sources = [replace(s, start=s.start + shift) for s, shift in zip(job.sources, moved, strict=True)]

    def tried(repeated=(), **flags):
        flags = replace(job.flags, **flags)
        own = replace(job, sources=tuple(sources), repeated=frozenset(repeated), flags=flags)
        return [source.name for source in own.nearest(sources[0].start.ravel(), 0)]

    assert tried() == ["0", "2", "3"]
    assert tried("1") == ["1", "0", "2"]
    assert tried("13", attempts=4) == ["3", "1", "0", "2"]


@pytest.mark.parametrize(
    ("rates", "ways", "repeated", "tried"),
    [
        ((4, 4, 4, 4), 1, "1", "1"),  # the shortest, and no other is tried
        ((4, 3, 4, 2), 1, "2", "1 3 2"),  # the shortest of those that never fail
        ((4, 3, 4, 2), 2, "2 0", "1 3 2 0"),
        ((1, 3, 2, 3), 1, "1", "1 3 2 0"),  # of equals, the shorter
        ((0, 0, 0, 0), 3, "1 3 2", "1 3 2 0"),
        ((4, 4), 5, "0 1", "1 0"),  # there are no more
    ],
)
def test_the_shortest_that_succeed_wherever_they_are_tried_are_repeated(
    rates, ways, repeated, tried, monkeypatch
):
    calls = []

    def retell(env, task, source, start):
        calls.append((source.name, tuple(start)))
        return "an episode" if len(starts_of(calls, source.name)) <= rates[int(source.name)] else None

    monkeypatch.setattr(trials, "retell", retell)
    monkeypatch.setattr(Job, "environment", lambda self: None)
    job = trials.with_ways(job_of_ways(*(300, 100, 200, 150)[: len(rates)], ways=ways, trials=4))
    assert job.repeated == set(repeated.split())
    assert set(tried.split()) == {name for name, _ in calls}
    starts = [starts_of(calls, name) for name in tried.split()]
    assert all(each == starts[0] and len(set(each)) == 4 for each in starts)  # the same for all


def starts_of(calls, name):
    return [start for other, start in calls if other == name]


def test_each_case_has_its_own_ways(monkeypatch, capsys):
    monkeypatch.setattr(trials, "retell", lambda env, task, source, start: source.name != "1" or None)
    monkeypatch.setattr(Job, "environment", lambda self: None)
    job = job_of_ways(300, 100, 200, 150, ways=1)
    sources = [replace(source, case=i % 2) for i, source in enumerate(job.sources)]
    task = get_task("sim_mycobot320_choose_scripted")
    assert trials.with_ways(replace(job, task=task, sources=tuple(sources))).repeated == {"2", "3"}
    said = "repeated of the case {}, with the successes from 20 trial starts: {} (20)"
    assert capsys.readouterr().out.splitlines() == [
        said.format("'B1 free'", 2),
        said.format("'B1 occupied'", 3) + "; shorter ones that failed more often: 1",
    ]


def test_untried_the_shortest_are_repeated(monkeypatch):
    monkeypatch.setattr(trials, "retell", None)
    assert trials.with_ways(job_of_ways(300, 100, 200, 150, ways=2, trials=0)).repeated == {"1", "3"}
    assert trials.with_ways(job_of_ways(300, 100)).repeated == set()


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

    one_way = ("--steady", "--ways", 1, "--trials", 2)
    [plain], [even] = multiply("plain"), multiply("even", *one_way)
    assert "repeated, with the successes from 2 trial starts: few/episode_" in capsys.readouterr().out
    assert even.success and even.style == "human" and len(even) != len(plain)
    assert "1 of 1 episodes are in" in (multiply("even", *one_way) and capsys.readouterr().out)
    with pytest.raises(SystemExit, match="not made by this command"):
        multiply("plain", "--steady")
    with pytest.raises(SystemExit, match="not made by this command"):
        multiply("even", *one_way[:-1], 3)

    history = tmp_path / "even" / multiplying.HISTORY  # as a folder of before the trials has it
    [made] = json.loads(history.read_text())
    del made["flags"]["trials"]
    history.write_text(json.dumps([made]))
    assert len(multiply("even", *one_way, "--num_episodes", 2)) == 2
    assert "trial starts" not in capsys.readouterr().out
    assert json.loads(history.read_text()) == [made]
