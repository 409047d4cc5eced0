"""New demonstrations from others: rigid moves, where episodes are cut, the clock, and the command as a whole.

Sources and new episodes have no pictures here, but for one: nothing is rendered.
"""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from repository import ROOT
from simulated_tasks import SIMULATED

import edit_episodes as script
import imitate_episodes
from common import PYTHON, cli
from constants import TASKS, Stream, get_task
from dataset_tools.multiplied import multiplying, retold, sources
from dataset_tools.multiplied.advice import training_command
from dataset_tools.multiplied.job import Job, MultiplyFlags
from dataset_tools.multiplied.multiplying import make_missing
from dataset_tools.multiplied.retold import Move, Retold, arms_midway, distance, retell
from dataset_tools.multiplied.sources import Part, Source, Watched, cut, read_source
from dataset_tools.plans import HISTORY
from episodes.episode import Episode
from episodes.folders import episode_path, list_episodes
from episodes.frames import JpegFrames
from evaluation import demonstrations
from evaluation.demonstrations import Demonstration, environment, run_script
from tasks.starts.sampling import distance_from, pose_of, sample_start

TWIN = get_task("sim_mycobot320_move_cube_scripted")
TRANSFER = get_task("sim_transfer_cube_scripted")
STEP = 0.009  # m; 60 mm (NEAR) are seven such steps
SCRIPTED = [task for task in SIMULATED if task.script]


@pytest.fixture(scope="module", autouse=True)
def _one_environment():
    yield
    demonstrations.close_environments()


def simulation(task):
    return environment(task, "fast", True, False)


def record(task, folder, count, seed=0, **how):
    """So many demonstrations by script that succeed, without pictures."""
    for i in range(count):
        rng = np.random.default_rng([seed, Stream.RECORD, i])
        case = task.case_number(i)
        tries = (run_script(simulation(task), task, rng, how=Demonstration(case, **how)) for _ in range(9))
        episode = next(episode for episode in tries if episode.success)
        replace(episode, **how).save(episode_path(folder, i))
    return folder


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A folder of two demonstrations of the twin's move."""
    return record(TWIN, tmp_path_factory.mktemp("few"), 2)


@pytest.fixture
def multiply(monkeypatch, capsys, twin, tmp_path):
    """Runs the command in this process; returns what it printed."""

    def run(*flags, folder=twin, output="new", episodes=2, workers=1):
        monkeypatch.setattr(multiplying, "close_environments", lambda: None)
        words = ["multiply", "--dataset_dir", folder, "--output_dir", tmp_path / output]
        words += ["--num_episodes", episodes, "--num_workers", workers, *flags]
        monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *map(str, words)])
        cli.run(script.main)
        return capsys.readouterr().out

    return run


def refusal(multiply, *flags, **options):
    """What the command says as it ends in one line."""
    with pytest.raises(SystemExit) as caught:
        multiply(*flags, **options)
    assert isinstance(caught.value.code, str) and "\n" not in caught.value.code, caught.value.code
    return caught.value.code


def contents(folder):
    """All numbers and facts of a folder's episodes."""
    episodes = {path.name: Episode.load(path) for path in list_episodes(folder)}
    return {
        name: (e.facts(), *(getattr(e, n).tobytes() for n in ("qpos", "action", "reward", "env_state")))
        for name, e in episodes.items()
    }


# --- moves


def matrix(pose):
    """The 4 x 4 matrix of a pose (7,)."""
    w, x, y, z = pose[3:7]
    turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = turn, pose[:3]
    return whole


def random_pose(rng, yaw_only=False):
    if yaw_only:
        return pose_of(rng.uniform(-1, 1, 3), rng.uniform(-180, 180))
    quat = rng.normal(size=4)
    return np.array([*rng.uniform(-1, 1, 3), *(quat / np.linalg.norm(quat))])


def test_a_move_is_what_matrices_say():
    rng = np.random.default_rng(0)
    for _ in range(20):
        old, new = random_pose(rng, yaw_only=True), random_pose(rng, yaw_only=True)
        gripper = np.array([*random_pose(rng), 0.3])
        moved = Move.between(old, new)(gripper)
        np.testing.assert_allclose(matrix(moved), matrix(new) @ np.linalg.inv(matrix(old)) @ matrix(gripper))
        assert moved[7] == 0.3


def test_a_prop_that_is_tipped_turns_a_path_about_the_vertical_alone():
    rng = np.random.default_rng(1)
    for _ in range(20):
        old, new = random_pose(rng), random_pose(rng)
        move = Move.between(old, new)
        np.testing.assert_allclose(move(np.array([*old, 0]))[:3], new[:3])
        upright = move(np.array([0, 0, 0, 1, 0, 0, 0, 0]))
        np.testing.assert_allclose(upright[4:6], 0, atol=1e-12)


def test_how_far_starts_are_from_each_other():
    one, other = pose_of((0, 0, 0)), pose_of((0.03, 0.04, 0), yaw=-90)
    assert distance(one, other) == pytest.approx(0.05 + 0.1 * np.pi / 2)
    assert distance(np.concatenate([one, one]), np.concatenate([one, other])) == distance(one, other)


# --- where episodes are cut


def watched(steps=100, props=1, arms=1):
    """Arms that go by STEP along x, over props that stand at x = 0.5 m; nothing happens."""
    commands = np.zeros((steps, arms, 8))
    commands[..., 0], commands[..., 3] = STEP * np.arange(steps)[:, None], 1
    poses = np.tile(pose_of((0.5, 0, 0)), (steps, props, 1))
    touched, stands = np.zeros((steps, arms, props), bool), np.ones((steps, props), bool)
    return Watched(commands, poses, touched, stands, np.zeros((steps, props, props), bool))


def grip(scene, arm, start, end, lifted=None, prop=0):
    """An arm touches a prop from step `start` to `end`, and holds it up from `lifted` on."""
    scene.touched[start:end, arm, prop] = True
    if lifted is not None:
        scene.stands[lifted:end, prop] = False


def test_an_arm_reaches_with_the_prop_and_brings_it_with_the_world():
    scene = watched()
    grip(scene, 0, 40, 80, lifted=50)
    assert cut(scene, 50) == ((Part(0, 33, 0), Part(50, 73, None)),)


def test_a_touch_that_is_lost_for_a_moment_goes_on():
    scene = watched()
    grip(scene, 0, 40, 80, lifted=50)
    scene.touched[60:65] = False
    assert cut(scene, 50) == ((Part(0, 33, 0), Part(50, 73, None)),)


def test_a_grasp_that_misses_is_moved_with_the_prop_as_the_next_one():
    scene = watched()
    grip(scene, 0, 20, 25)
    grip(scene, 0, 60, 90, lifted=70)
    assert cut(scene, 50) == ((Part(0, 13, 0), Part(25, 53, 0), Part(70, 83, None)),)


def test_a_prop_is_brought_to_another_one_that_stands():
    scene = watched(props=2)
    grip(scene, 0, 40, 80, lifted=50)
    scene.meets[75:, 0, 1] = scene.meets[75:, 1, 0] = True
    assert cut(scene, 50)[0][-1] == Part(50, 68, 1)


def test_two_arms_that_bring_props_together_do_so_in_the_world():
    scene = watched(props=2, arms=2)
    for arm in (0, 1):
        grip(scene, arm, 40, 100, lifted=50, prop=arm)
    scene.meets[75:, 0, 1] = scene.meets[75:, 1, 0] = True
    assert [parts[-1].prop for parts in cut(scene, 50)] == [None, None]


def test_an_arm_that_takes_over_a_prop_stays_in_the_world():
    scene = watched(arms=2)
    grip(scene, 0, 30, 60, lifted=40)
    grip(scene, 1, 58, 100, lifted=58)
    giver, taker = cut(scene, 50)
    assert giver == (Part(0, 23, 0), Part(40, 51, None)) and taker == ()


def test_a_prop_that_falls_to_its_place_beside_an_arm_is_not_carried():
    scene = watched()
    scene.stands[:5] = False
    grip(scene, 0, 0, 4)
    assert cut(scene, 50) == ((),)
    grip(scene, 0, 40, 80, lifted=50)
    assert cut(scene, 50) == ((Part(0, 33, 0), Part(50, 73, None)),)


def test_the_events_of_a_known_episode():
    """The right arm of ACT's transfer closes from step 130 on, and is at the meeting place at 220."""
    episode = run_script(simulation(TRANSFER), TRANSFER, np.random.default_rng(0))
    assert episode.success
    seen, is_success = sources.watch(simulation(TRANSFER), TRANSFER, episode)
    left, right = cut(seen, TRANSFER.fps)
    assert is_success and left == ()
    assert [part.prop for part in right] == [0, None]
    reach, carry = right
    assert reach.begin == 0 and 80 < reach.settled < 130 < carry.begin < 180 < carry.settled < 220
    np.testing.assert_allclose(seen.props[0].ravel(), episode.env_state)


# --- the clock


def source_of(scene, parts):
    return Source("few/episode_0", 0, scene.props[0], None, {}, scene, parts)


def all_of(retold):
    """Its end-effector actions (n, 8 per arm)."""
    actions = []
    while (action := retold()) is not None:
        actions.append(action)
    return np.array(actions)


def test_from_its_own_start_a_source_is_repeated():
    scene = watched()
    retold = Retold(source_of(scene, ((Part(0, 30, 0), Part(50, 70, None)),)), lambda: scene.props[0])
    np.testing.assert_allclose(all_of(retold), scene.commands[:, 0], atol=1e-12)


def test_a_part_is_moved_with_its_prop_and_the_rest_is_joined():
    scene = watched()
    moved = pose_of((0.5, 0.06, 0))
    retold = Retold(source_of(scene, ((Part(0, 30, 0), Part(50, 70, None)),)), lambda: moved[None])
    actions = all_of(retold)
    shift = np.interp(actions[:, 0] / STEP, [0, 30, 50, 70], [0, 0.06, 0.06, 0])
    np.testing.assert_allclose(actions[:, 1], shift, atol=1e-3)
    assert actions[0, 0] == 0 and actions[-1, 0] == pytest.approx(99 * STEP)


def test_a_join_is_never_faster_than_the_source_and_the_arms_keep_together():
    scene = watched(arms=2)
    parts = (Part(0, 30, 0), Part(50, 51, None))  # back at once
    retold = Retold(source_of(scene, (parts, ())), lambda: pose_of((0.5, 0.2, 0), yaw=30)[None])
    left, right = np.split(all_of(retold), 2, axis=1)
    steps = np.linalg.norm(np.diff(left[:, :3], axis=0), axis=1)
    assert steps.max() < 1.03 * STEP and len(left) > 120
    behind = left[:, 0] - right[:, 0]
    at_the_end = np.abs(behind[right[:, 0] > 52 * STEP])
    np.testing.assert_allclose(at_the_end, 0, atol=1e-9)


def test_props_are_looked_at_when_a_part_begins():
    """A prop that was nudged meanwhile is met where it is."""
    scene, now = watched(), [pose_of((0.5, 0, 0))]
    retold = Retold(source_of(scene, ((Part(40, 60, 0),),)), lambda: now[0][None])
    actions = [retold() for _ in range(30)]
    now[0] = pose_of((0.5, 0.03, 0))
    actions += list(all_of(retold))
    assert actions[39][1] == 0 and actions[-1][1] == pytest.approx(0.03)


# --- in simulation


@pytest.mark.parametrize("task", SCRIPTED, ids=lambda task: task.name)
def test_any_task_can_be_multiplied(task, tmp_path, capsys):
    cases = len(task.variants)
    record(task, tmp_path / "few", cases, noise=0.002)
    (tmp_path / "new").mkdir()
    flags = MultiplyFlags(output_dir=str(tmp_path / "new"), num_workers=1, num_episodes=cases)
    make_missing(Job(task, (), flags), list_episodes(tmp_path / "few"))
    for i in range(cases):
        episode = Episode.load(episode_path(tmp_path / "new", i))
        assert episode.success and episode.reward.max() == task.max_reward
        assert (episode.task, episode.noise) == (task.name, 0.002)
        assert episode.source == f"few/episode_{i}", "a case's own source"
    assert f"in all: success {cases}/" in capsys.readouterr().out


def test_a_source_from_its_own_start_does_the_same_again(twin):
    path = list_episodes(twin)[0]
    episode = Episode.load(path)
    source = read_source(simulation(TWIN), TWIN, path, episode)
    again = retell(simulation(TWIN), TWIN, source, episode.env_state)
    np.testing.assert_allclose(again.action, episode.action, atol=0.02)  # rad
    assert np.array_equal(again.env_state, episode.env_state)


def test_an_episode_that_begins_midway_is_repeated_from_there(twin, monkeypatch):
    monkeypatch.setattr(sources, "watch", lambda *_: (watched(), True))
    path = list_episodes(twin)[0]
    plain = Episode.load(path)
    assert read_source(None, TWIN, path, plain).state is None
    midway = read_source(None, TWIN, path, replace(plain, recovers=True, hesitate=3))
    np.testing.assert_array_equal(midway.state, plain.qpos[0])
    assert midway.facts.items() >= {"recovers": True, "hesitate": 3, "noise": 0.0}.items()


# --- the command


def test_the_same_for_any_number_of_workers_and_it_goes_on(multiply, twin, tmp_path):
    said = multiply(output="one")
    assert "in all: success 2/" in said and "2 episodes, " in said and f"{twin.name}/episode_" in said
    multiply(output="two", workers=2, episodes=1)
    said = multiply(output="two", workers=2)
    assert "1 of 2 episodes are in" in said and "1 episodes, " in said
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    starts = [Episode.load(path).env_state for path in list_episodes(tmp_path / "one")]
    expected = [sample_start(TWIN, np.random.default_rng([0, Stream.MULTIPLY, i]), 0) for i in range(2)]
    np.testing.assert_array_equal(starts, expected)  # no evaluation has these
    assert "2 of 2 episodes are in" in multiply(output="one")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_new_starts_may_lie_beyond_the_edges_of_the_task(multiply, tmp_path):
    multiply("--margin", 0.03, "--seed", 2, episodes=2)
    starts = [Episode.load(path).env_state for path in list_episodes(tmp_path / "new")]
    rngs = [np.random.default_rng([2, Stream.MULTIPLY, i]) for i in range(2)]
    np.testing.assert_array_equal(starts, [sample_start(TWIN, rng, 0, margin=0.03) for rng in rngs])
    assert any(distance_from(start.reshape(-1, 7), TWIN.props) > 0.001 for start in starts)


def test_what_the_new_episodes_say(multiply, twin, tmp_path):
    multiply("--seed", "4", "--randomize", "--looks", "real", "--hold_looks", "5", episodes=1)
    episode = Episode.load(episode_path(tmp_path / "new", 0))
    assert episode.source.startswith(f"{twin.name}/episode_") and episode.seed == 4
    assert (episode.randomized, episode.looks, episode.looks_hold) == (True, "real", 5)
    assert f"made from {episode.source}" in episode.words()
    (entry,) = json.loads((tmp_path / "new" / HISTORY).read_text())
    assert entry["command"] == "multiply" and len(entry["sources"]) == 2


def test_new_episodes_begin_midway_go_back_and_succeed(multiply, twin, tmp_path):
    multiply("--begin_midway", 1, episodes=2)
    multiply(output="usual", episodes=2)
    midway, usual = ([Episode.load(path) for path in list_episodes(tmp_path / o)] for o in ("new", "usual"))
    home = usual[0].qpos[0]
    for one, other in zip(midway, usual, strict=True):
        assert one.recovers and one.success and not other.recovers
        assert np.abs(one.qpos[0] - home).max() > 0.1
        assert len(one) >= 2 * TWIN.fps + 80
        assert one.action[round(1.5 * TWIN.fps), 6] == pytest.approx(one.qpos[0, 6], abs=1e-3)  # as it was
        assert one.action[2 * TWIN.fps, 6] == pytest.approx(other.action[0, 6], abs=1e-3)  # open
        at_home = np.abs(one.qpos[2 * TWIN.fps, :6] - home[:6]).max()
        assert at_home < np.abs(one.qpos[0, :6] - home[:6]).max()
    assert not np.array_equal(midway[0].qpos[0], midway[1].qpos[0])
    again = read_source(simulation(TWIN), TWIN, episode_path(tmp_path / "new", 0), midway[0])
    assert again is not None and again.state is not None
    some = multiply("--begin_midway", 0.5, output="half", episodes=4)
    told = [Episode.load(path).recovers for path in list_episodes(tmp_path / "half")]
    assert len(set(told)) == 2, some


class Earliest(np.random.Generator):
    """Draws the least of all whole numbers."""

    def integers(self, low, high=None, **options):
        return low


def test_arms_that_reach_for_a_prop_are_not_shown_to_turn_back(twin):
    """By script or multiplied, the earliest moment that may be drawn is of a hand that closes."""
    env, rng, path = simulation(TWIN), Earliest(np.random.PCG64(0)), list_episodes(twin)[0]
    source = read_source(env, TWIN, path, Episode.load(path))
    opened = Episode.load(path).action[0, 6]
    for state in (arms_midway(env, TWIN, source, rng), demonstrations.arms_midway(env, TWIN, rng)):
        assert state[6] < opened - 0.2


SCRIPTED = [task for task in TASKS.values() if task.script]


@pytest.mark.parametrize("task", SCRIPTED, ids=[task.name for task in SCRIPTED])
def test_every_scripts_first_grasp_is_found(task):
    """Whether its hands begin closed, as ACT's, or open."""
    hands, grasps = [], []
    steps = np.arange(task.episode_len)
    for arm in {point.arm for point in task.script}:
        own = [point for point in task.script if point.arm == arm]
        hands.append(np.interp(steps, [point.step for point in own], [point.gripper for point in own]))
        closes = (later.step for sooner, later in pairwise(own) if later.gripper < sooner.gripper)
        grasps += [next(closes)]
    assert demonstrations.first_grasp(np.array(hands).T) == min(grasps) > 0
    assert demonstrations.first_grasp(np.zeros((9, 2))) == demonstrations.first_grasp(np.ones((9, 1))) == 0


def test_each_stage_is_lost_as_often_as_any_other(twin, monkeypatch):
    """A prop is gripped for a moment and carried for long; it can be lost at either."""
    rewards = np.repeat([0, 1, 0, 2, 3], [5, 2, 1, 50, 10])
    way = np.tile(np.arange(len(rewards), dtype=np.float32)[:, None], 7)
    driven = Episode(way, way, {}, reward=rewards.astype(float))
    monkeypatch.setattr(retold, "retell", lambda *_: driven)
    rng, source = np.random.default_rng(0), SimpleNamespace(case=0)
    drawn = [int(arms_midway(None, TWIN, source, rng)[0]) for _ in range(800)]
    assert min(drawn) == 5
    counts = np.histogram(drawn, [5, 8, 58, 68])[
        0
    ]  # touched, also where it is lost for a moment; lifted; put down
    assert all(220 < count < 320 for count in counts)


def test_props_lie_askew_where_arms_begin_midway(multiply, tmp_path):
    multiply("--begin_midway", 0.5, "--askew", 45, episodes=4)
    episodes = [Episode.load(path) for path in list_episodes(tmp_path / "new")]
    for episode in episodes:
        assert episode.success and (abs(episode.env_state[6]) > 0.01) == episode.recovers
    assert len({episode.recovers for episode in episodes}) == 2


def test_where_arms_begin_midway_is_drawn_anew_with_each_start(twin, monkeypatch):
    job, begun, saved = Job(TWIN, (), MultiplyFlags(output_dir="", begin_midway=1)), [], []
    job = replace(job, sources=tuple(multiplying.read_sources(job, list_episodes(twin))))

    def fail_twice(env, task, source, start, midway=None):
        driven = retell(env, task, source, start, midway)
        if midway is not None and not any(midway is each for each in begun):
            begun.append(midway)
        return driven if midway is None or len(begun) > 2 else None

    monkeypatch.setattr(multiplying, "retell", fail_twice)
    monkeypatch.setattr(multiplying, "save", lambda *args: saved.append(args[-1]))
    multiplying.make_episode(job, 0)
    assert len(begun) >= 3 and saved[0] is begun[-1]
    assert not np.array_equal(begun[0], begun[1]) and not np.array_equal(begun[1], begun[2])
    np.testing.assert_array_equal(begun[0], next(job.midways(0)))


def test_pictures_belong_to_the_moment(twin, tmp_path):
    """The saved pictures are those of a replay of the saved actions."""
    path = list_episodes(twin)[0]
    short = Episode.load(path).take(range(3))
    job = Job(TWIN, ("top",), MultiplyFlags(output_dir=str(tmp_path)))
    scene = watched()
    multiplying.save(job, 0, source_of(scene, ((),)), short)
    saved, env = Episode.load(episode_path(tmp_path, 0)), simulation(TWIN).env
    step, frames = env.reset(env_state=short.env_state), JpegFrames()
    for action in short.action:
        frames.append(step.observation["images"]["top"])
        step = env.step(action)
    assert np.array_equal(saved.images["top"][2], frames[2])
    np.testing.assert_array_equal(saved.qpos, short.qpos)


def test_pictures_are_as_large_as_those_that_were_shown(multiply, twin, tmp_path):
    shown = Episode.load(episode_path(twin, 0))
    for camera, size in (("top", (90, 160)), ("right_wrist", (60, 80))):
        shown.images[camera] = JpegFrames()
        for _ in range(len(shown)):
            shown.images[camera].append(np.zeros((*size, 3), np.uint8))
    shown.save(episode_path(tmp_path / "wide", 0))
    said = multiply("--camera_names", "top", "right_wrist", folder=tmp_path / "wide", episodes=1)
    assert (
        "new pictures of right_wrist are 160 x 90, as those of top; the demonstrations' are 80 x 60" in said
    )
    made = Episode.load(episode_path(tmp_path / "new", 0))
    assert {images[0].shape for images in made.images.values()} == {(90, 160, 3)}
    assert "1 of 1 episodes are in" in multiply(
        "--camera_names", "top", "right_wrist", folder=tmp_path / "wide", episodes=1
    )


def test_ctrl_c_leaves_whole_files_and_the_same_command_goes_on(multiply, monkeypatch, tmp_path):
    real = multiplying.make_episode

    def stopped(job, index):
        if index == 1:
            raise KeyboardInterrupt
        return real(job, index)

    monkeypatch.setattr(multiplying, "make_episode", stopped)
    with pytest.raises(SystemExit):
        multiply(output="cut")
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == [HISTORY, "episode_0.hdf5"]
    monkeypatch.setattr(multiplying, "make_episode", real)
    first = contents(tmp_path / "cut")
    multiply(output="cut")
    assert first.items() <= contents(tmp_path / "cut").items() and len(list_episodes(tmp_path / "cut")) == 2


def test_dry_run_tells_the_cuts_and_writes_nothing(multiply, tmp_path):
    said = multiply("--dry_run", "--episodes", "1")
    assert "episode_1: right arm from step 0 with cube, from step" in said and "with the world" in said
    assert said.endswith("nothing was written (--dry_run)\n") and list(tmp_path.iterdir()) == []


def test_failures_are_no_sources(multiply, twin, tmp_path):
    few = tmp_path / "few"
    for i, (success, last) in enumerate(((False, None), (True, None), (True, 30))):
        episode = Episode.load(episode_path(twin, 0))
        replace(episode.take(range(last or len(episode))), success=success).save(episode_path(few, i))
    said = multiply(folder=few, episodes=1)
    assert "left out, as their replay fails: episode_2" in said and "few/episode_1: success" in said
    assert "episode_0" not in said
    said = refusal(multiply, "--episodes", "2", folder=few, output="other")
    assert "none of 1 demonstrations succeeds in sim_mycobot320_move_cube_scripted when replayed" in said


def test_cases_without_a_source_are_left_out(tmp_path, capsys):
    task = get_task("sim_mycobot320_choose_scripted")
    record(task, tmp_path / "few", 2)
    occupied = list_episodes(tmp_path / "few")[1:]
    (tmp_path / "new").mkdir()
    flags = MultiplyFlags(output_dir=str(tmp_path / "new"), num_workers=1, num_episodes=1)
    make_missing(Job(task, (), flags), occupied)
    assert "no demonstration shows the case 'B1 free'" in capsys.readouterr().out
    assert Episode.load(episode_path(tmp_path / "new", 0)).source == "few/episode_1"


def test_a_source_that_never_succeeds_ends_the_run(multiply, monkeypatch):
    monkeypatch.setattr(multiplying, "retell", lambda *_: None)
    assert "no demonstration succeeded from 10 starts running at episode 0" in refusal(multiply, episodes=1)


# --- wrong input


@pytest.mark.parametrize(
    ("changes", "flags", "said"),
    [
        ({"env_state": None}, (), "no /env_state, so it is unknown where its objects were; edit_episodes"),
        (
            {"env_state": np.zeros(14)},
            (),
            "sim_mycobot320_move_cube_scripted needs 7, 7 a prop",
        ),
        ({"task": "mycobot320_move_cube"}, (), "'mycobot320_move_cube' belongs to a real arm"),
        ({"task": ""}, (), "the file names no task; add --task_name"),
        ({"task": TRANSFER.name}, (), "qpos has 7 entries a step; sim_transfer_cube_scripted has 14"),
        ({}, ("--task_name", "sim_move_cube_scripted"), "which has another scene than"),
        ({"fps": 50}, (), "it has 50 steps a second, sim_mycobot320_move_cube_scripted 10; "),
        ({"success": False}, (), "all 1 episodes failed"),
        ({}, ("--looks", "real"), "--looks is real; it needs --randomize"),
        ({}, ("--randomize", "episode", "--hold_looks", "2"), "--hold_looks is 2; it needs"),
        ({}, ("--askew", "10"), "--askew is 10; it needs --begin_midway"),
        ({}, ("--attempts", "0"), "--attempts is 0; it must be"),
        ({}, ("--camera_names", "tip"), "unknown camera 'tip'; did you mean"),
        ({}, ("--episodes", "7"), "unknown episode 'episode_7'"),
    ],
)
def test_wrong_input_writes_nothing(multiply, twin, tmp_path, changes, flags, said):
    replace(Episode.load(episode_path(twin, 0)), **changes).save(episode_path(tmp_path / "few", 0))
    assert said in refusal(multiply, *flags, folder=tmp_path / "few")
    assert [path.name for path in tmp_path.iterdir()] == ["few"]


def test_sources_must_show_one_task(multiply, twin, tmp_path):
    for i, task in enumerate((TWIN.name, "sim_mycobot320_choose_scripted")):
        replace(Episode.load(episode_path(twin, i)), task=task).save(episode_path(tmp_path / "few", i))
    said = refusal(multiply, folder=tmp_path / "few")
    assert "few/episode_1.hdf5: its task is 'sim_mycobot320_choose_scripted', that of the others" in said
    (tmp_path / "none").mkdir()
    assert "holds no episodes" in refusal(multiply, folder=tmp_path / "none")


def test_an_episode_without_an_event_is_refused(multiply, twin, tmp_path, monkeypatch):
    still = Episode.load(episode_path(twin, 0)).take(range(5))
    replace(still, action=still.action[:1].repeat(5, axis=0)).save(episode_path(tmp_path / "few", 0))
    easy = replace(TWIN, stages=())  # whatever happens is a success
    monkeypatch.setitem(TASKS, TWIN.name, easy)
    monkeypatch.setattr(demonstrations, "_envs", {})
    said = refusal(multiply, folder=tmp_path / "few")
    demonstrations.close_environments()
    assert "few/episode_0.hdf5: no event was found: no arm grips or moves a prop" in said
    assert [path.name for path in tmp_path.iterdir()] == ["few"]


def test_only_its_own_folder_is_gone_on_with(multiply, twin, tmp_path):
    multiply(episodes=1)
    before = contents(tmp_path / "new")
    for flags in (("--seed", "1"), ("--episodes", "1"), ("--attempts", "1")):
        assert "new is not empty, and not made by this command" in refusal(multiply, *flags)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    assert "mine is not empty" in refusal(multiply, output="mine")
    assert contents(tmp_path / "new") == before


def test_a_folder_that_was_changed_since_is_not_gone_on_with(multiply, monkeypatch, tmp_path):
    multiply(episodes=2)
    edit(monkeypatch, "delete", tmp_path / "new", "--episodes", "1")
    assert "1 of 2 episodes are in" in multiply(episodes=2)
    edit(monkeypatch, "truncate", tmp_path / "new", "--steps", "60")
    before = contents(tmp_path / "new")
    assert "new was changed since (truncate), which new episodes" in refusal(multiply, episodes=3)
    assert contents(tmp_path / "new") == before
    history = json.loads((tmp_path / "new" / "edits.json").read_text())
    assert [entry["command"] for entry in history] == ["multiply", "delete", "truncate"]


def edit(monkeypatch, command, folder, *flags):
    words = [command, "--dataset_dir", folder, "--in_place", "--num_workers", "1", *flags]
    monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *map(str, words)])
    cli.run(script.main)


def test_a_folder_of_before_a_flag_is_gone_on_with():
    """A flag that came later must not be among what new episodes depend on, unless it is given."""
    first = {"task_name", "camera_names", "seed", "attempts", "render_quality", "randomize", "looks"}
    identity = multiplying._identity(MultiplyFlags(output_dir="new"), [])
    assert identity["flags"].keys() == {*first, "hold_looks"}
    changed = multiplying._identity(MultiplyFlags(output_dir="new", margin=0.01), [])
    assert changed["flags"].keys() - identity["flags"].keys() == {"margin"}


# --- as the page says


SHOWN_ON_AN_ARM = {"place_loss": 1, "sample_weights": (1, 9), "places_only": ("few",)}


@pytest.mark.parametrize(
    ("robot", "how", "folders", "expected"),
    [
        ("", {}, ("few", "new"), {"num_steps": 3000}),
        ("", {"steady": True}, ("new",), {"num_steps": 3000}),
        ("", {"randomize": "frame"}, ("few", "new"), {"place_loss": 1}),
        ("", {"randomize": "frame", "steady": True}, ("new",), {"place_loss": 1}),
        ("mycobot320", {"steady": True}, ("few", "new"), SHOWN_ON_AN_ARM),
    ],
)
def test_it_tells_how_to_train_on_them(twin, robot, how, folders, expected):
    flags = MultiplyFlags(dataset_dir="few", output_dir="new", **how)
    shown = replace(Episode.load(episode_path(twin, 0)), robot=robot)
    job = Job(TWIN, TWIN.cameras, flags)
    python, name, *words = shlex.split(training_command(job, shown, 2, True))
    assert (python, name) == (PYTHON, "imitate_episodes.py")
    config, training, _ = imitate_episodes.parse_flags(words)
    assert (config.task_name, config.dataset_dir) == (TWIN.name, folders)
    given = {**vars(config), **vars(training)}
    kept = {"place_loss": 0, "sample_weights": None, "places_only": None, "num_steps": 5500}
    assert {name: given[name] for name in kept} == kept | expected
    assert config.camera_names is None
    said = training_command(replace(job, cameras=("right_wrist",)), shown, 1, True)
    config, *_ = imitate_episodes.parse_flags(shlex.split(said)[2:])
    assert config.dataset_dir == ("new",), "one demonstration leaves none to validate"
    assert config.camera_names == ("right_wrist",) and config.places_only is None
    config, *_ = imitate_episodes.parse_flags(shlex.split(training_command(job, shown, 2, False))[2:])
    if not robot:
        assert config.dataset_dir == ("new",), "what failed, or was not chosen, teaches nothing"


@pytest.mark.slow
def test_the_pages_commands_make_a_policy_from_a_recording(tmp_path):
    page = re.sub(r" *\\\n\s*", " ", (ROOT / "docs/record.md").read_text(encoding="utf-8"))
    section = page.partition("## From ten recordings to a policy")[2].partition("\n1. ")[0]
    commands = re.findall(r"^ {4}python3 (.*)$", section, re.MULTILINE)
    assert [command.split(".py")[0] for command in commands] == [
        *("record_sim_episodes", "edit_episodes", "imitate_episodes"),
    ]
    for command in commands:
        words = re.sub(r"--num_episodes \d+", "--num_episodes 2", command).split()
        words = [str(ROOT / word) if word.startswith("presets/") else word for word in words]
        words += ["--num_steps", "2", "--batch_size", "2"] if "imitate" in words[0] else []
        run = [sys.executable, str(ROOT / words[0]), *words[1:]]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/few/policy_last.ckpt").is_file()
