"""An environment under disturbances: what is seen, what is sent, and that nothing is rendered in vain."""

import numpy as np
import pytest

from constants import TASKS
from disturbances import AXES, LOOK, Disturbed, KnockedLoose, changed, look_of, read_set, room_look
from sim_env import make_sim_env
from tasks import LookPlan

TASK = TASKS["sim_mycobot320_choose_scripted"]
STEPS = 9


@pytest.fixture(scope="module")
def env():
    env = make_sim_env(TASK, image_size=(48, 64))
    yield env
    env.close()


def run(env, *words, asked=range(STEPS + 1)):
    """Observations of a rollout, with the pictures of the steps that are asked for; and what was sent."""
    applied = read_set(words)
    environment = Disturbed(env, TASK, applied, 0, 1) if applied else env
    env.remember(bool(applied) and environment.looks_back)
    rng, states, pictures, sent = np.random.default_rng(3), [], {}, []
    with changed(env.physics.model.ptr, TASK, applied, 0, 1):
        step = environment.reset(4)
        home = np.array(TASK.arms[0].start_state)
        for t in range(STEPS + 1):
            states.append(step.observation["qpos"])
            if t in asked:
                pictures[t] = {name: step.observation["images"][name] for name in TASK.cameras}
            if t < STEPS:
                action = home + rng.uniform(-0.1, 0.1, TASK.dim) + 0.02 * t
                step = environment.step(action.astype(np.float32))
                sent.append(step.sent)
    env.remember(False)
    return np.array(states), pictures, np.array(sent)


@pytest.fixture(scope="module")
def plain(env):
    return run(env)


@pytest.fixture(scope="module")
def varied():
    """An environment whose looks vary."""
    env = make_sim_env(TASK, image_size=(48, 64), randomize=True)
    yield env
    env.close()


def first_picture(env, name=None, rollout=0) -> np.ndarray:
    """Of the first camera, from one start, under a strong disturbance of the scene."""
    env.set_looks(name and look_of(read_set([f"{name}=strong"]), 0, rollout))
    return env.reset(4).observation["images"][TASK.cameras[0]]


@pytest.mark.parametrize("name", [name for name, each in AXES.items() if each.kind == LOOK])
def test_a_scene_looks_different_in_each_rollout_and_is_then_as_it_was(varied, name):
    before = first_picture(varied)
    pictures = [first_picture(varied, name, rollout) for rollout in range(6)]
    assert len({picture.tobytes() for picture in [*pictures, before]}) >= 4
    assert np.array_equal(first_picture(varied, name, 3), pictures[3]), "the same seed, the same scene"
    assert np.array_equal(first_picture(varied), before)


def test_a_scene_that_looks_different_moves_the_same(varied, plain):
    varied.set_looks(look_of(read_set(["camera=strong", "table=strong", "distractors=strong"]), 0, 1))
    states, pictures, sent = run(varied)
    varied.set_looks(None)
    assert np.array_equal(states, plain[0]) and np.array_equal(sent, plain[2])
    assert not np.array_equal(pictures[0]["top"], plain[1][0]["top"])


@pytest.mark.parametrize("words", [("noise=strong",), ("late_pictures=strong", "grey=mild")])
def test_disturbed_pictures_leave_states_and_actions_alone(env, plain, words):
    states, pictures, sent = run(env, *words)
    assert np.array_equal(states, plain[0]) and np.array_equal(sent, plain[2])
    assert any(not np.array_equal(pictures[9][name], plain[1][9][name]) for name in TASK.cameras)


def test_late_pictures_are_those_of_then_and_only_they_are_rendered(env, plain, monkeypatch):
    rendered, render = [], env.task.render
    monkeypatch.setattr(env.task, "render", lambda *args: rendered.append(args[1]) or render(*args))
    _, pictures, _ = run(env, "late_pictures=strong", asked=(8,))  # 4 steps
    assert rendered == list(TASK.cameras)
    for name in TASK.cameras:
        assert np.array_equal(pictures[8][name], plain[1][4][name])


@pytest.mark.parametrize(
    "plan", [LookPlan((5,), hold=1), LookPlan((5,), drift_fps=10.0)], ids=["hold", "drift"]
)
def test_late_pictures_have_the_look_of_then(varied, plan):
    varied.set_looks(plan)
    _, usual, _ = run(varied)
    states, late, _ = run(varied, "late_pictures=strong")
    varied.set_looks(None)
    for name in TASK.cameras:
        assert np.array_equal(late[9][name], usual[5][name]) and np.array_equal(late[3][name], usual[0][name])
        assert not np.array_equal(usual[9][name], usual[5][name])


def test_a_past_picture_does_not_change_what_comes(env, plain):
    states, _, _ = run(env, "late_pictures=middle", "dropped_frames=strong")
    assert np.array_equal(states, plain[0])


def test_a_simulation_that_does_not_remember_has_no_past_pictures(env):
    step = env.reset(0)
    env.step(np.array(TASK.arms[0].start_state))
    with pytest.raises(RuntimeError, match="after the simulation had moved on"):
        step.observation["images"]["top"]


@pytest.mark.parametrize("word", ["mass=strong", "gain=strong", "friction=strong", "damping=strong"])
def test_other_physics_leaves_the_picture_of_the_start_alone(env, plain, word):
    states, pictures, sent = run(env, word)
    for name in TASK.cameras:
        assert np.array_equal(pictures[0][name], plain[1][0][name])
    assert np.array_equal(sent, plain[2])
    assert np.array_equal(run(env)[0], plain[0]), "and afterwards all is as it was"


def test_larger_objects_are_seen(env, plain):
    _, pictures, _ = run(env, "size=strong")
    assert not np.array_equal(pictures[0]["top"], plain[1][0]["top"])


@pytest.mark.parametrize("name", ["delay", "backlash", "joint_offset", "gripper_wear"])
def test_an_episode_has_what_the_policy_sent(env, plain, name):
    states, _, sent = run(env, f"{name}=strong")
    assert np.allclose(sent, plain[2], atol=1e-6) and sent.dtype == plain[2].dtype
    if name != "gripper_wear":
        assert not np.allclose(states[1:], plain[0][1:])


def test_the_same_twice_is_the_same(env):
    words = ("noise=mild", "dropped_frames=middle", "mass=strong", "joint_offset=middle")
    first, second = run(env, *words), run(env, *words)
    assert np.array_equal(first[0], second[0])
    assert all(
        np.array_equal(first[1][t][name], second[1][t][name]) for t in first[1] for name in TASK.cameras
    )


def test_it_goes_with_a_prop_that_is_knocked_loose(env):
    knocked = KnockedLoose(env, 2, np.random.default_rng(0))
    environment = Disturbed(knocked, TASK, read_set(["noise=strong"]), 0, 0)
    environment.reset(4)
    for _ in range(3):
        step = environment.step(np.array(TASK.arms[0].start_state))
    assert step.observation["images"]["top"].shape == (48, 64, 3) and "top" in step.observation["images"]
    assert len(step.observation["images"]) == len(env.cameras)


def test_the_look_of_a_rollout_in_a_room():
    room, lamp = room_look(5), read_set(["light=middle"])
    assert room != room_look(6) and room_look(5) == room
    assert look_of((), 0, 3) is None and look_of((), 0, 3, room) is room
    lit = look_of(lamp, 0, 3, room)
    assert lit.room is room and lit.drift_fps == 0 and lit != look_of(lamp, 0, 4, room)
    drifting = look_of((), 0, 3, room, 10.0)
    assert drifting.room is room and drifting.drift_fps == 10 and drifting.ranges.drift.light > 0
    assert look_of((), 0, 3, None, 10.0).room is None
