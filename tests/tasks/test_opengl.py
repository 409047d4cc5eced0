"""Rendering: what it is chosen to run on, what is said where it cannot, and processes that are forked."""

import ctypes.util
import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from repository import ROOT

from tasks import opengl

has_egl = pytest.mark.skipif(
    not (sys.platform.startswith("linux") and ctypes.util.find_library("EGL")), reason="EGL is not installed"
)
MAKE = (
    "import os, sys, constants, sim_env\n"
    "def make():\n"
    "    return sim_env.make_sim_env(constants.get_task('sim_transfer_cube_scripted'), image_size=(48, 64))\n"
    "def look(env):\n"
    "    return env.reset(0).observation['images']['top'].shape\n"
)


def run(code, timeout=120, **variables):
    """(exit status, output) of code that can `make` an environment and `look` at it; None unsets one."""
    environment = {name: value for name, value in {**os.environ, **variables}.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", MAKE + code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("set_already", "libraries", "chosen"),
    [
        ({}, {"EGL", "OSMesa"}, "egl"),
        ({}, {"OSMesa"}, "osmesa"),
        ({}, set(), "disabled"),
        ({"DISPLAY": ":0"}, {"EGL"}, "egl"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, {"EGL"}, "egl"),
        ({"DISPLAY": ":0"}, {"OSMesa"}, None),
        ({"DISPLAY": ":0"}, set(), None),
        ({"DISPLAY": ""}, {"EGL"}, "egl"),
        ({"MUJOCO_GL": "glfw"}, {"EGL"}, "glfw"),
        ({"MUJOCO_GL": "OSMesa"}, {"EGL"}, "osmesa"),
        ({"MUJOCO_GL": ""}, {"EGL"}, "egl"),
        ({"MUJOCO_GL": "off"}, {"EGL"}, "off"),
    ],
)
def test_choice_of_gl_backend(monkeypatch, set_already, libraries, chosen):
    monkeypatch.setattr(os, "environ", dict(set_already))
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: name if name in libraries else None)
    monkeypatch.setattr(sys, "platform", "linux")
    opengl.choose_gl_backend()
    assert os.environ.get("MUJOCO_GL") == chosen


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_choose_their_own_gl(monkeypatch, platform):
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(sys, "platform", platform)
    opengl.choose_gl_backend()
    assert os.environ == {}


@pytest.mark.parametrize("value", ["foo", "egl2", "vulkan"])
def test_what_is_no_backend_is_named(monkeypatch, value):
    monkeypatch.setattr(os, "environ", {"MUJOCO_GL": value})
    with pytest.raises(ValueError, match=f"MUJOCO_GL is '{value}'; it must be egl, osmesa, glfw or disabled"):
        opengl.choose_gl_backend()


@has_egl
@pytest.mark.parametrize("display", [{"DISPLAY": ":99"}, {"DISPLAY": None, "WAYLAND_DISPLAY": "wayland-99"}])
def test_a_display_out_of_reach_is_not_needed(display):
    assert run("print(look(make()))", MUJOCO_GL=None, **display) == (0, "(48, 64, 3)\n")


@has_egl
@pytest.mark.parametrize(
    ("display", "why"), [(":99", "display ':99' cannot be opened"), ("", "there is no display")]
)
def test_a_display_that_was_asked_for_is_named(display, why):
    code = "try:\n    look(make())\nexcept RuntimeError as error:\n    print('SAID', error)\n"
    status, said = run(code, MUJOCO_GL="glfw", DISPLAY=display, WAYLAND_DISPLAY=None)
    assert status == 0 and said.count("\n") == 1, said
    assert (
        said.startswith("SAID MUJOCO_GL is 'glfw' and " + why) and "MUJOCO_GL=egl renders without one" in said
    )


def test_recording_that_cannot_render_leaves_nothing_behind(tmp_path):
    command = ["record_sim_episodes.py", "--task_name", "sim_move_cube_scripted", "--num_episodes", "1"]
    done = subprocess.run(
        [sys.executable, *command, "--num_workers", "1", "--dataset_dir", str(tmp_path / "data")],
        cwd=ROOT,
        env={**os.environ, "MUJOCO_GL": "disabled"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0 and done.stderr.splitlines()[-1].startswith("error: no OpenGL library")
    assert not (tmp_path / "data").exists()


# --- processes that are forked

FORK = (
    "env = make()\n"
    "{before}\n"
    "pid = os.fork()\n"
    "if pid == 0:\n"
    "    try:\n"
    "        {child}\n"
    "    except RuntimeError as error:\n"
    "        print('SAID', error, flush=True)\n"
    "    {end}\n"
    "print('ended', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
)
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@forks
@has_egl
@pytest.mark.parametrize("child", ["look(env)", "look(make())"])
@pytest.mark.parametrize("end", ["os._exit(3)", "sys.exit(3)"])
def test_a_forked_process_says_that_it_cannot_render(child, end):
    status, said = run(FORK.format(before="look(env)", child=child, end=end), MUJOCO_GL=None)
    assert status == 0 and said.endswith("ended 3\n"), said
    assert "SAID this process was forked from one that had rendered" in said and "context='spawn'" in said


@forks
@has_egl
@pytest.mark.parametrize(
    ("before", "child"),
    [
        ("look(env)", "env.close()"),
        ("look(env)", "env.step(env.action_spec().minimum * 0)"),
        ("", "look(make())"),
    ],
)
def test_a_forked_process_may_do_the_rest(before, child):
    status, said = run(FORK.format(before=before, child=child, end="os._exit(3)"), MUJOCO_GL=None)
    assert (status, said) == (0, "ended 3\n")


VECTOR = (
    "import gymnasium, numpy as np, gym_env\n"
    "if __name__ == '__main__':\n"
    "    options = dict(obs_type='pixels_agent_pos', observation_height=48, observation_width=64)\n"
    "    look(make())\n"
    "    kinds = dict(vectorization_mode='async', vector_kwargs={kwargs})\n"
    "    envs = gymnasium.make_vec('act/TransferCube-v0', num_envs=2, **kinds, **options)\n"
    "    try:\n"
    "        envs.reset(seed=0)\n"
    "        envs.step(np.zeros((2, 14), np.float32))\n"
    "        print('stepped')\n"
    "    except RuntimeError as error:\n"
    "        print('SAID', error)\n"
    "    envs.close(terminate=True)\n"
)


@forks
@has_egl
def test_vector_environments_that_are_forked_say_what_to_do():
    status, said = run(VECTOR.replace("{kwargs}", "{'context': 'fork'}"), MUJOCO_GL=None)
    assert status == 0 and "SAID this process was forked" in said and "stepped" not in said


@has_egl
def test_vector_environments_that_are_spawned_render(tmp_path):
    script = tmp_path / "vector.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{MAKE}{VECTOR}".replace(
            "{kwargs}", "{'context': 'spawn'}"
        )
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=240)
    assert "stepped" in done.stdout, done.stderr


LOADER = (
    "import torch\n"
    "class Pictures(torch.utils.data.Dataset):\n"
    "    def __len__(self):\n"
    "        return 2\n"
    "    def __getitem__(self, i):\n"
    "        return torch.tensor(look(make()))\n"
    "look(make())\n"
    "try:\n"
    "    list(torch.utils.data.DataLoader(Pictures(), num_workers=1, multiprocessing_context='fork'))\n"
    "except RuntimeError as error:\n"
    "    print('SAID', error)\n"
)


@forks
@has_egl
def test_workers_of_a_loader_say_what_to_do():
    status, said = run(LOADER, MUJOCO_GL=None)
    assert status == 0 and "multiprocessing_context='spawn'" in said


# --- as Gymnasium has it


@pytest.fixture
def env():
    import gym_env  # noqa: F401

    made = gymnasium.make("act/TransferCube-v0", observation_height=48, observation_width=64)
    yield made
    made.close()


def test_an_episode_that_wild_actions_break_is_cut_short(env):
    env.reset(seed=0)
    env.action_space.seed(3)
    for _ in range(100):
        _, reward, terminated, truncated, info = env.step(env.action_space.sample())
        if truncated:
            break
        assert not info["unstable"]
    assert (
        truncated and not terminated and info["unstable"] is True and reward == 0 and not info["is_success"]
    )
    with pytest.raises(RuntimeError, match=r"call reset\(\)"):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    *_, truncated, info = env.step(
        env.unwrapped._env.task.get_observation(env.unwrapped._env.physics)["qpos"]
    )
    assert not truncated and not info["unstable"]


@pytest.mark.parametrize(
    "action", [np.full(14, np.nan), np.full(14, np.inf), np.zeros(13), np.zeros((1, 14)), 0.0]
)
def test_actions_that_are_none_are_refused(env, action):
    env.reset(seed=0)
    with pytest.raises(ValueError, match="it must be 14 finite numbers"):
        env.unwrapped.step(action)


def test_all_ids_are_listed():
    done = subprocess.run(
        [sys.executable, "gym_env.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    ids = [line.split()[0] for line in done.stdout.splitlines()]
    assert "act/TransferCube-v0" in ids and ids == [
        name for name in gymnasium.registry if name.startswith("act/")
    ]
