"""docs/add_a_task.md does what it says: its tasks are added as they stand there, recorded, and judged."""

import re
import shutil
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from repository import ROOT

import constants
import gym_env
import imitate_episodes
import record_sim_episodes
import show_task
from common import cli
from constants import Stream
from ee_sim_env import make_ee_sim_env
from episodes.episode import Episode
from episodes.folders import list_episodes
from evaluation.demonstrations import run_script
from tasks.scene import building
from tasks.schema import Task

PAGES = [ROOT / "docs" / "add_a_task.md", ROOT / "docs" / "ko" / "add_a_task.md"]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def test_both_editions_show_the_same():
    for language in ("xml", "python"):
        english, korean = (blocks(path, language) for path in PAGES)
        assert english == korean and english
    commands = [re.findall(r"^ {4}(python3 .*)$", path.read_text(encoding="utf-8"), re.M) for path in PAGES]
    assert commands[0] == commands[1] and len(commands[0]) == 4


@pytest.fixture
def added(tmp_path, monkeypatch) -> dict[str, Task]:
    """The page's tasks by name, added to a copy of the scenes and to all tasks as long as the test runs."""
    assets = tmp_path / "assets"
    shutil.copytree(building.ASSETS, assets)
    (xml,) = blocks(PAGES[0], "xml")
    (assets / "stack_cubes.xml").write_text(xml, encoding="utf-8")
    monkeypatch.setattr(building, "ASSETS", assets)
    names = vars(constants).copy()
    for code in blocks(PAGES[0], "python"):
        exec(code, names)  # as it would run in constants.py
    tasks = {task.name: task for task in (names["_STACK"], names["_PUSH"])}
    for name, task in tasks.items():
        monkeypatch.setitem(constants.TASKS, name, task)
    return tasks


def test_the_example_is_as_short_as_it_says(added):
    assert len(blocks(PAGES[0], "python")[0].splitlines()) <= 36
    assert set(added) == {"sim_stack_cubes_scripted", "sim_push_cube_scripted"}


@pytest.mark.parametrize("name", ["sim_stack_cubes_scripted", "sim_push_cube_scripted"])
def test_the_scripts_succeed_and_things_stay_where_they_belong(added, name):
    env = make_ee_sim_env(added[name], image_size=(48, 64))
    try:
        for i in range(4):
            episode = run_script(env, added[name], np.random.default_rng([0, Stream.RECORD, i]))
            assert episode.success and env.strict_success
            assert episode.reward[-1] == added[name].max_reward, "in the end too"
    finally:
        env.close()


def test_a_push_that_the_cube_does_not_end_at_is_no_strict_success(added):
    """Highest reward once, and the cube back on the table's other side in the end."""
    task = added["sim_push_cube_scripted"]
    env = make_ee_sim_env(task, image_size=(48, 64))
    try:
        env.reset(0)
        sim, at_rest = env.env, env.env.observe()["qpos"]
        goal, away = (np.array([x, 0.5, 0.017, 1, 0, 0, 0]) for x in (-0.05, 0.15))
        rewards = []
        for place in (away, goal, away):
            sim.task.place_prop(sim.physics, 0, place)
            rewards.append([sim.step(at_rest).reward for _ in range(task.strict_steps)])
            strict = sim.strict_success
            assert strict == (place is goal)
        assert max(rewards[1]) == task.max_reward and max(rewards[2]) == 0
    finally:
        env.close()


def test_recording_training_and_drawing_know_it(added, tmp_path, monkeypatch, capsys):
    def call(module, *flags):
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *flags])
        cli.run(module.main)
        return capsys.readouterr().out

    name, data = "sim_stack_cubes_scripted", str(tmp_path / "data")
    flags = ["--task_name", name, "--dataset_dir", data, "--num_episodes", "2", "--num_workers", "1"]
    said = call(record_sim_episodes, *flags)
    assert "stacked in the end, for 10 steps: 2 of the 2 kept" in said and "scripted success 2/2" in said
    assert [Episode.load(path).success for path in list_episodes(data)] == [True, True]
    said = call(show_task, "--task_name", name, "--output", str(tmp_path / "stack.png"))
    assert "every waypoint is in reach" in said and (tmp_path / "stack.png").stat().st_size > 50_000
    flags = [
        "--dataset_dir",
        data,
        "--ckpt_dir",
        str(tmp_path / "run"),
        "--num_steps",
        "2",
        "--batch_size",
        "2",
    ]
    small = ["--config", str(ROOT / "presets" / "small.json"), "--chunk_size", "4", "--device", "cpu"]
    said = call(imitate_episodes, "--task_name", name, *small, *flags)
    assert "--eval" in said, "it has a scene"


def test_gymnasium_gets_an_id_for_it(added, monkeypatch):
    ids = gym_env.env_ids(constants.TASKS.values())
    assert ids["act/StackCubes-v0"] is added["sim_stack_cubes_scripted"] and "act/PushCube-v0" in ids
    env = gym_env.TaskEnv("sim_stack_cubes_scripted", observation_height=24, observation_width=32)
    assert isinstance(env, gymnasium.Env) and env.action_space.shape == (7,)
    env.close()
