import dataclasses
import os
from collections import Counter
from pathlib import Path

import pytest

import constants
from constants import TASKS, Stream, choose, data_dir, get_task

ASSETS = Path(constants.__file__).parent / "assets"
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
simulated = [task for task in TASKS.values() if task.scene]
every_simulated = pytest.mark.parametrize("task", simulated, ids=[task.name for task in simulated])


def waypoints(task, arm):
    return [point for point in task.script if point.arm == arm.label]


def test_the_readme_task_is_there():
    task = get_task("sim_transfer_cube_scripted")
    assert (task.episode_len, task.fps, task.dim, task.max_reward, task.cameras) == (400, 50, 14, 4, ("top",))
    assert task.state_names[0] == "left_waist" and task.state_names[6] == "left_gripper"
    assert task.state_names[7] == "right_waist" and task.state_names[13] == "right_gripper"


def test_unknown_task_names_the_nearest_and_all():
    with pytest.raises(ValueError, match="unknown task 'sim_tranfer_cube_scripted'; did you mean") as caught:
        get_task("sim_tranfer_cube_scripted")
    said = str(caught.value)
    assert "did you mean 'sim_transfer_cube_scripted'?" in said and said.count("\n") == 0
    assert all(name in said.split("choose from")[1] for name in TASKS)


def test_choose():
    assert choose("colour", "red", iter(["red", "blue"])) == "red"
    with pytest.raises(ValueError, match="^unknown colour 'xyz'; choose from red, blue$"):
        choose("colour", "xyz", iter(["red", "blue"]))


def test_data_dir(monkeypatch):
    monkeypatch.delenv("ACT_DATA_DIR", raising=False)
    assert data_dir("a_task") == Path("data", "a_task")
    monkeypatch.setenv("ACT_DATA_DIR", os.path.join("some", "where"))
    assert data_dir("a_task") == Path("some", "where", "a_task")


def test_streams_are_apart():
    assert len(set(map(int, Stream))) == len(Stream) == 3
    assert min(Stream) >= 0  # numpy's seeds are


@every_task
def test_names_and_dimensions(task):
    assert TASKS[task.name] is task
    assert len(task.state_names) == task.dim == sum(len(arm.joints) + 1 for arm in task.arms)
    assert len(set(task.state_names)) == task.dim
    assert task.episode_len > 0 and task.fps > 0 and task.cameras and task.arms
    for names in ([arm.label for arm in task.arms], [arm.name for arm in task.arms], task.cameras):
        assert len(set(names)) == len(names)
    if len(task.arms) == 2:
        assert [arm.label for arm in task.arms] == ["left", "right"]  # left first
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.episode_len = 1


@every_task
def test_arms(task):
    for arm in task.arms:
        assert len(arm.start) == len(arm.joints)
        closed, opened = arm.opening
        assert closed <= arm.start_opening <= opened and closed < opened
        assert all(abs(sign) == 1.0 for _, sign in arm.fingers) and arm.fingers[0][1] == 1.0


@every_task
def test_stages_can_be_told_apart(task):
    assert task.max_reward == len(task.stages)
    assert len({stage.label for stage in task.stages}) == task.max_reward
    for stage in task.stages:
        assert stage.touch or stage.clear
        assert not {frozenset(pair) for pair in stage.touch} & {frozenset(pair) for pair in stage.clear}


@every_task
def test_script(task):
    if not task.script:
        pytest.skip("no script")
    assert {point.arm for point in task.script} == {arm.label for arm in task.arms}
    props = {prop.name for prop in task.props}
    for arm in task.arms:
        steps = [point.step for point in waypoints(task, arm)]
        assert steps == sorted(set(steps)), "in order, and no two at once"
        assert steps[0] == 0 and steps[-1] >= task.episode_len - 1, "from the first step to the last"
        assert waypoints(task, arm)[0].at == "start", "no jump at the first step"
    for point in task.script:
        assert point.at in props | {"start", "world"}
        assert 0 <= point.gripper <= 1 and len(point.xyz) == 3
        assert point.turn[0] in ("x", "y", "z") and abs(point.turn[1]) <= 180


@every_simulated
def test_everything_named_is_in_the_scene(task):
    from sim_env import build_model

    assert (ASSETS / f"{task.scene}.xml").is_file()
    model = build_model(task)
    geoms = Counter(model.geom(i).name for i in range(model.ngeom))
    joints = {model.joint(i).name for i in range(model.njnt)}
    assert set(task.cameras) <= {model.camera(i).name for i in range(model.ncam)}
    for stage in task.stages:
        for pair in (*stage.touch, *stage.clear):
            assert len(set(pair)) == 2 and all(geoms[name] == 1 for name in pair), pair
    for prop in task.props:
        assert geoms[prop.name] and f"{prop.name}_joint" in joints
        assert all(low <= high for low, high in zip(prop.low, prop.high, strict=True))
    for arm in task.arms:
        assert {f"{arm.name}/{name}" for name in (*arm.joints, *dict(arm.fingers))} <= joints
        for name, angle in zip(arm.joints, arm.start, strict=True):
            low, high = model.joint(f"{arm.name}/{name}").range
            assert low <= angle <= high
