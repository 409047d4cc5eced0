import dataclasses
from fnmatch import fnmatchcase

import pytest
from repository import ROOT

from common.flags.naming import choose
from constants import TASKS, Stream, get_task
from tasks.schema import by_name, mirrored

ASSETS = ROOT / "assets"
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
simulated = [task for task in TASKS.values() if task.scene]
every_simulated = pytest.mark.parametrize("task", simulated, ids=[task.name for task in simulated])


def ways(task):
    """Every way in which a stage of the task can hold."""
    stages = (*task.stages, *task.choices, *([task.strict] if task.strict else []))
    return [way for stage in stages for way in stage.ways]


def waypoints(task, arm):
    return [point for point in task.script if point.arm == arm.label]


def test_the_readme_task_is_there():
    task = get_task("sim_transfer_cube_scripted")
    assert (task.episode_len, task.fps, task.dim, task.max_reward, task.cameras) == (400, 50, 14, 4, ("top",))
    assert task.state_names[0] == "left_waist" and task.state_names[6] == "left_gripper"
    assert task.state_names[7] == "right_waist" and task.state_names[13] == "right_gripper"


def test_a_task_does_not_take_the_place_of_another_by_its_name():
    task = get_task("sim_transfer_cube_scripted")
    with pytest.raises(ValueError, match="two tasks are called 'sim_transfer_cube_scripted'"):
        by_name((task, get_task("sim_insertion_scripted"), dataclasses.replace(task, episode_len=300)))


def test_a_script_longer_than_its_episodes_is_told_with_the_task():
    task = get_task("sim_mycobot320_choose_scripted")
    with pytest.raises(ValueError, match=r"waypoint \d+ \(right, step 107\) lies behind the end: .* is 106"):
        by_name([dataclasses.replace(task, episode_len=106)])


def test_a_tasks_rate_is_a_whole_number():
    with pytest.raises(ValueError, match="fps is 12.5; it must be a whole number, at least 1"):
        by_name([dataclasses.replace(get_task("sim_transfer_cube_scripted"), fps=12.5)])


@pytest.mark.parametrize(
    ("name", "episode_len", "dim", "max_reward", "props"),
    [
        ("sim_transfer_cube_human", 400, 14, 4, ["red_box"]),
        ("sim_transfer_cube_scripted_mirror", 400, 14, 4, ["red_box"]),
        ("sim_insertion_scripted", 400, 14, 4, ["red_peg", "blue_socket"]),
        ("sim_insertion_human", 500, 14, 4, ["red_peg", "blue_socket"]),
        ("sim_insertion_scripted_mirror", 400, 14, 4, ["red_peg", "blue_socket"]),
        ("sim_move_cube_scripted", 400, 7, 3, ["red_box", "yellow_box"]),
        ("sim_move_cube_human", 400, 7, 3, ["red_box", "yellow_box"]),
    ],
)
def test_the_tasks_of_act_plus_plus_are_there(name, episode_len, dim, max_reward, props):
    task = get_task(name)
    assert (task.episode_len, task.fps, task.dim, task.max_reward) == (episode_len, 50, dim, max_reward)
    assert [prop.name for prop in task.props] == props and "top" in task.cameras
    assert bool(task.script) != name.endswith("human"), "people follow no script"
    assert task.strict and task.strict_label.endswith("for 10 steps running")


def test_mirroring_swaps_left_and_right():
    task, mirror = get_task("sim_insertion_scripted"), get_task("sim_insertion_scripted_mirror")
    regions = {prop.name: (prop.low, prop.high) for prop in mirror.props}
    assert regions["red_peg"] == ((-0.2, 0.4, 0.05), (-0.1, 0.6, 0.05))
    assert regions["blue_socket"] == ((0.1, 0.4, 0.05), (0.2, 0.6, 0.05))
    assert mirror.stages[0].touch == (
        ("socket-*", "vx300s_right/10_right_gripper_finger"),
        ("red_peg", "vx300s_left/10_left_gripper_finger"),
    )
    one, other = (
        next(p for p in each.script if p.arm == arm and p.step == 285)
        for each, arm in ((task, "left"), (mirror, "right"))
    )
    assert other.xyz == (0.1, 0.5, 0.15) == (-one.xyz[0], *one.xyz[1:])
    assert (one.turn, other.turn) == (("y", 60.0), ("y", -60.0))
    transfer = get_task("sim_transfer_cube_scripted")
    assert "vx300s_left/*" in mirrored(transfer, "m").strict.clear[0][1]
    assert mirrored(mirrored(transfer, "m"), transfer.name) == transfer, "twice is not at all"


def test_mirroring_a_task_with_cases():
    task = get_task("sim_mycobot320_choose_scripted")
    mirror = mirrored(task, "m")
    assert mirror.variants[1].props[1].low[0] == -task.variants[1].props[1].high[0]
    assert {point.arm for point in mirror.variants[1].script} == {"left"}
    assert mirror.stages[-1].otherwise.clear == task.stages[-1].otherwise.clear[::-1], "pads swapped"
    assert mirror.choices[0].otherwise.clear == task.choices[0].otherwise.clear[::-1]
    assert mirrored(mirror, task.name) == task


def test_unknown_task_names_the_nearest_and_all():
    with pytest.raises(ValueError, match="unknown task 'sim_tranfer_cube_scripted'; did you mean") as caught:
        get_task("sim_tranfer_cube_scripted")
    said = str(caught.value)
    assert "did you mean 'sim_transfer_cube_scripted'?" in said and said.count("\n") == 0
    assert all(name in said.split("choose from")[1] for name in TASKS)


def test_a_name_that_is_cut_off_stands_for_the_whole():
    with pytest.raises(ValueError, match="did you mean 'sim_mycobot320_move_cube_scripted'"):
        get_task("sim_mycobot320_move_cube")  # mycobot320_move_cube is nearer by letters


def test_choose():
    assert choose("colour", "red", iter(["red", "blue"])) == "red"
    with pytest.raises(ValueError, match="^unknown colour 'xyz'; choose from red, blue$"):
        choose("colour", "xyz", iter(["red", "blue"]))


def test_streams_are_apart():
    assert len(set(map(int, Stream))) == len(Stream.__members__)
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
def test_relations_name_tasks_with_the_same_arms(task):
    for name in filter(None, (task.human, task.mirror)):
        other = TASKS[name]
        assert [(arm.model, arm.dim) for arm in other.arms] == [(arm.model, arm.dim) for arm in task.arms]
        assert other.scene == task.scene and other.max_reward == task.max_reward
    if task.human:
        by_hand = TASKS[task.human]
        assert by_hand.human == by_hand.name and not by_hand.script and by_hand.arms == task.arms
    if task.mirror:
        mirror = TASKS[task.mirror]
        assert mirror is not task and TASKS[mirror.mirror] is task
        assert mirrored(mirror, task.name) == task


def test_every_task_by_hand_and_every_mirror_is_the_one_of_another():
    """Names tell nothing; were a relation forgotten, its task would be out of reach."""
    for name, task in TASKS.items():
        if name.endswith("_human"):
            assert [other.name for other in TASKS.values() if other.human == name and other.script]
        if name.endswith("_mirror"):
            assert TASKS[task.mirror].mirror == name


@every_task
def test_arms(task):
    for arm in task.arms:
        assert len(arm.start) == len(arm.joints)
        closed, opened = arm.opening
        assert closed <= arm.start_opening <= opened and closed < opened
        assert all(abs(sign) == 1.0 for _, sign in arm.fingers) and arm.fingers[0][1] == 1.0
        assert (arm.travel_at(0), arm.travel_at(1)) == pytest.approx(arm.opening)
        assert arm.travel_at(-0.5) == closed and arm.travel_at(2.0) == arm.travel_at(1.0), "no further"
        assert arm.gripper_at(arm.travel_at(0.3)) == pytest.approx(0.3)
        assert len(arm.start_state) == arm.dim and 0 <= arm.start_state[-1] <= 1


@every_task
def test_stages_can_be_told_apart(task):
    assert task.max_reward == len(task.stages)
    assert len({stage.label for stage in task.stages}) == task.max_reward
    assert task.strict_steps > 0
    assert len({stage.label for stage in task.choices}) == len(task.choices)
    for stage in ways(task):
        assert stage.touch or stage.clear or stage.near
        assert not {frozenset(pair) for pair in stage.touch} & {frozenset(pair) for pair in stage.clear}


@every_task
def test_cases(task):
    assert len(task.variants) == max(1, len(task.cases)) and bool(task.cases) >= bool(task.choices)
    assert len({case.label for case in task.cases}) == len(task.cases)
    for variant in task.variants:
        assert [prop.name for prop in variant.props] == [prop.name for prop in task.props]
        assert not variant.cases and bool(variant.script) == bool(task.script)
    n = 100 * len(task.variants)
    shares = [[task.case_number(i) for i in range(n)].count(case) for case in range(len(task.variants))]
    assert shares == [100] * len(task.variants), "exact shares"


@pytest.mark.parametrize(
    "task", [variant for task in TASKS.values() for variant in task.variants], ids=lambda task: task.name
)
def test_script(task):
    if not task.script:
        pytest.skip("no script")
    assert {point.arm for point in task.script} == {arm.label for arm in task.arms}
    props = {prop.name for prop in task.props}
    for arm in task.arms:
        steps = [point.step for point in waypoints(task, arm)]
        assert steps == sorted(set(steps)), "in order, and no two at once"
        assert steps[0] == 0 and steps[-1] >= task.episode_len - 1, "from the first step to the last"
        assert waypoints(task, arm)[0].at_start, "no jump at the first step"
    for point in task.script:
        assert set(point.anchors) <= props | {"start", "world"}
        assert 0 <= point.gripper <= 1 and len(point.xyz) == 3
        assert len(point.turn) % 2 == 0 and set(point.turn[::2]) <= {"x", "y", "z"}
        assert all(abs(degrees) <= 180 for degrees in point.turn[1::2])


@every_simulated
def test_everything_named_is_in_the_scene(task):
    from tasks.scene.building import build_model

    assert (ASSETS / f"{task.scene}.xml").is_file()
    model = build_model(task)
    geoms = [model.geom(i).name for i in range(model.ngeom)]
    assert len(set(geoms)) == len(geoms)
    joints = {model.joint(i).name for i in range(model.njnt)}
    assert set(task.cameras) <= {model.camera(i).name for i in range(model.ncam)}
    for stage in ways(task):
        for pair in (*stage.touch, *stage.clear):
            found = [{name for name in geoms if fnmatchcase(name, pattern)} for pattern in pair]
            assert all(found) and not found[0] & found[1], pair
    for prop in (*task.props, *(prop for case in task.cases for prop in case.props)):
        assert f"{prop.name}_joint" in joints
        assert all(low <= high for low, high in zip(prop.low, prop.high, strict=True))
    for arm in task.arms:
        assert {f"{arm.name}/{name}" for name in (*arm.joints, *dict(arm.fingers))} <= joints
        for name, angle in zip(arm.joints, arm.start, strict=True):
            low, high = model.joint(f"{arm.name}/{name}").range
            assert low <= angle <= high
