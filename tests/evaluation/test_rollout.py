"""The loop of an episode: what it drives, what it keeps, when it ends."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from repository import ROOT

from constants import TASKS
from evaluation.episode_loop import Steps, by_policy, follow, rollout, watched
from tasks.timestep import TimeStep

TASK = TASKS["sim_transfer_cube_scripted"]


class Images(dict):
    """Pictures that are rendered when they are asked for, and only before the next step."""

    def __init__(self, env):
        super().__init__()
        self.env, self.moment = env, env.t

    def __getitem__(self, name):
        assert self.moment == self.env.t, "too late"
        self.env.rendered.append(name)
        return np.full((8, 8, 3), self.env.t, np.uint8)


class Counting:
    """Its state is the number of steps taken, the 3rd is rewarded; half of what is asked for is sent."""

    def __init__(self, last=None):
        self.t, self.last, self.rendered, self.actions = 0, last, [], []

    def reset(self):
        return TimeStep(self._observation(), is_last=self.last == 0)

    def step(self, action):
        self.t += 1
        self.actions.append(action)
        reward = 4 if self.t == 3 else 0
        return TimeStep(self._observation(), reward, self.t == self.last, action / 2, 0.1 * self.t)

    def _observation(self):
        state = np.full(14, float(self.t))
        return {"qpos": state, "qvel": -state, "images": Images(self)}


def test_an_episode_is_what_was_seen_and_what_was_sent():
    env, steps = Counting(), Steps(("top",))
    act = by_policy(lambda seen: np.append(seen["qpos"] + 1 / 3, [7, 7]), 14)  # a base's two are dropped
    end = rollout(env, env.reset(), act, 25, steps)
    episode = steps.episode(TASK, success=True)
    assert (len(episode), episode.task, episode.fps, episode.success) == (25, TASK.name, TASK.fps, True)
    assert np.array_equal(episode.qpos[:, 0], np.arange(25)) and np.array_equal(episode.qvel, -episode.qpos)
    assert np.array_equal(episode.action, np.float32(episode.qpos + 1 / 3) / 2)
    assert episode.reward.tolist() == [0, 0, 4] + 22 * [0] and steps.highest_reward == 4
    assert episode.images["top"][9].mean() == pytest.approx(9, abs=1)
    assert env.rendered == ["top"] * 25, "nothing else is rendered"
    assert not end.last() and end.observation["qpos"][0] == 25


def test_what_is_driven_is_float32():
    env = Counting()
    rollout(env, env.reset(), follow(np.full((3, 14), 1 / 3)), 5, Steps())
    assert [action.dtype for action in env.actions] == [np.float32] * 3
    assert (env.actions[0] == np.float32(1 / 3)).all()


@pytest.mark.parametrize(
    ("actions", "length", "last", "taken"),
    [(9, 5, None, 5), (3, 5, None, 3), (9, 5, 2, 2), (9, 5, 0, 0), (0, 5, None, 0), (9, 0, None, 0)],
    ids=["length", "act", "last", "last at once", "no action", "no length"],
)
def test_an_episode_ends_with_its_length_its_actions_or_its_environment(actions, length, last, taken):
    env, steps = Counting(last), Steps()
    start = env.reset()
    end = rollout(env, start, follow(np.zeros((actions, 14))), length, steps)
    assert len(steps) == taken == env.t and end.last() == (last == taken)
    assert (end is start) == (taken == 0)


def test_an_act_that_ends_is_not_asked_again():
    env, asked = Counting(), []
    rollout(env, env.reset(), lambda t, _: asked.append(t), 5, Steps())
    assert asked == [0]


def test_times_are_of_what_was_seen():
    env, steps = Counting(), Steps()
    rollout(env, replace(env.reset(), time=0.0), follow(np.zeros((9, 14))), 3, steps)
    assert steps.rows("time") == pytest.approx([0, 0.1, 0.2])


def test_a_view_shows_the_camera_and_the_progress():
    class View(list):
        def show(self, image, words):
            self.append((image.mean(), words))

    env, steps, view = Counting(), Steps(), View()
    act = watched(follow(np.zeros((9, 14))), view, "left", TASK, steps)
    rollout(env, env.reset(), act, 5, steps)
    assert view == [(t, TASK.progress(t, 4 if t > 2 else 0)) for t in range(5)]
    assert set(env.rendered) == {"left"}


def test_the_loop_is_light():
    """Recording begins soon: no torch, no simulator, no plots."""
    heavy = {"torch", "mujoco", "dm_control", "matplotlib", "plots"}
    code = f"import sys; from evaluation import demonstrations; assert not {heavy!r} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
