"""Mistakes in a task are told with the entry, when it is made or when its scene is built."""

from dataclasses import replace

import pytest

from constants import RIGHT, get_task
from tasks.parts import Case, Prop, Stage, Waypoint
from tasks.paths.reach import check_reach
from tasks.scene import building
from tasks.scene.building import build_model
from tasks.scene.inverse_kinematics import GripPointIK
from tasks.schema import Task

MOVE = get_task("sim_move_cube_scripted")
START = Waypoint("right", 0, "start", (0, 0, 0), gripper=0)
CUBE = MOVE.props[0]


def point(**changes) -> Waypoint:
    return replace(Waypoint("right", 100, "red_box", (0, 0, 0.1), gripper=1), **changes)


def script(**changes) -> dict:
    return {"script": (START, point(**changes))}


def prop(**changes) -> dict:
    return {"props": (replace(CUBE, **changes), *MOVE.props[1:])}


def stage(**changes) -> dict:
    return {"stages": (Stage("pushed", **changes),)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (script(arm="rigth"), r"waypoint 1 \(rigth, step 100\): arm is 'rigth'; did you mean 'right'\?"),
        (script(at="red_bx"), "waypoint 1 .*: at is 'red_bx'; did you mean 'red_box'"),
        (script(at=("world", "red_box")), "waypoint 1 .*: at is .*; it must be one name, or one for each"),
        (script(at=("world", "red_box", "tabel")), "at is 'tabel'; it must be one of start, world, red_box"),
        (script(xyz=(0, 0, float("nan"))), "waypoint 1 .*: xyz is .*nan.*; it must be three numbers"),
        (script(xyz=(0, 0)), "xyz is .0, 0.; it must be three numbers"),
        (script(gripper=70), "waypoint 1 .*: gripper is 70; it must be 0 .closed. to 1"),
        (script(turn=("y", -90.0, "w", 3.0)), "an axis of turn is 'w'; it must be one of x, y, z"),
        (script(turn=("y",)), "turn is .'y',.; it must be axis, degrees"),
        (script(turn_with="blue"), "turn_with is 'blue'; it must be one of red_box, yellow_box"),
        (script(step=0), "waypoint 1 .*: step is 0; the one before has 0"),
        (script(step=2.5), "step is 2.5; it must be a whole number, at least 0"),
        ({"script": (point(),)}, "waypoint 0 .*: step is 100; an arm's first waypoint has step 0"),
        ({"script": START}, "script has Waypoint.*; it must be a tuple of Waypoint"),
        (prop(low=(0.3, 0.4, 0.05)), "prop 'red_box': low is 0.3 and high 0.2 along x"),
        (prop(high=(0.2, 0.6)), "prop 'red_box': high is .0.2, 0.6.; it must be .x, y, z."),
        (prop(yaw=(30, -30)), "prop 'red_box': yaw is .30, -30.; it must be .lowest, highest., in degrees"),
        (prop(name="yellow_box"), "two props called 'yellow_box'"),
        (stage(), "stage 'pushed' asks for nothing"),
        (stage(touch=("red_box", "table")), "touch has 'red_box'; it must be a tuple"),
        (stage(touch=(("red_box", "table", "pin"),)), "touch has .*; it must be pairs of two geoms"),
        (stage(near=("blue", (0, 0.5), 0.02)), "the prop of near is 'blue'; it must be one of red_box"),
        (stage(near=("red_box", 0.5, 0.02)), "the place of near is 0.5; it must be a name, or a point"),
        (stage(near=("red_box", (0, 0.5), -1)), "the distance of near is -1; it must be a number above 0"),
        (stage(near=("red_box", (0, 0.5))), "near is .*; it must be .prop, place, metres."),
        (stage(near=("red_box", "red_box", 1)), "red_box is always near itself"),
        (
            {"stages": (Stage("a", clear=MOVE.stages[2].clear), Stage("a", clear=MOVE.stages[2].clear))},
            "labelled 'a'",
        ),
        ({"cameras": ("top")}, "cameras has 'top'; it must be a tuple of str"),
        ({"cameras": ("top", "top")}, "two cameras called 'top'"),
        ({"arms": RIGHT}, "arms has Arm.*; it must be a tuple of Arm"),
        ({"arms": (RIGHT, RIGHT)}, "two arms labelled 'right'"),
        ({"episode_len": 0}, "episode_len is 0; it must be a whole number, at least 1"),
        ({"fps": float("inf")}, "fps is inf; it must be a number above 0"),
        ({"strict_steps": True}, "strict_steps is True; it must be a whole number"),
        ({"cases": (Case("a", props=(Prop("blue", CUBE.low, CUBE.high),)),)}, "case 'a': a prop is 'blue'"),
        ({"cases": (Case("a", script=(START, point(at="blue"))),)}, "case 'a': waypoint 1 .* at is 'blue'"),
    ],
)
def test_mistakes_are_errors_when_the_task_is_made(changes, said):
    with pytest.raises(ValueError, match=f"^task 'mine': .*{said}"):
        replace(MOVE, name="mine", **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scene": "move_cub"}, "there is no scene 'move_cub' in assets/; did you mean 'move_cube'"),
        ({"cameras": ("topp",)}, "'move_cube' has no camera 'topp'; did you mean 'top'"),
        (
            {"props": (replace(CUBE, name="red_bx"),), "script": (), "stages": ()},
            "no free joint for the prop 'red_bx' called 'red_bx_joint'; did you mean 'red_box_joint'",
        ),
        (
            {"arms": (replace(RIGHT, name="vx300s_rigth"),)},
            "no frame for the right arm called 'vx300s_rigth'; did you mean 'vx300s_right'",
        ),
        (stage(touch=(("red_box", "tabel"),)), "stage 'pushed': .*lacks a geom of the pair .*'table'"),
        (stage(near=("red_box", "goal", 0.1)), "no place .*'goal'; .*it has"),
    ],
)
def test_what_the_scene_lacks_is_an_error_when_it_is_built(changes, said):
    with pytest.raises(ValueError, match=f"^task 'mine': .*{said}"):
        build_model(replace(MOVE, name="mine", **changes))


def test_a_scene_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "broken.xml").write_text("<mujoco><worldbody><geom/></mujoco>")
    monkeypatch.setattr(building, "ASSETS", tmp_path)
    with pytest.raises(ValueError, match="task 'mine': .*broken.xml is no scene") as error:
        build_model(replace(MOVE, name="mine", scene="broken"))
    assert "\n" not in str(error.value)


def solvers(task: Task) -> dict[str, GripPointIK]:
    model = build_model(task)
    return {arm.label: GripPointIK(model, arm) for arm in task.arms}


def test_a_waypoint_out_of_reach_is_named_with_how_far_and_from_where():
    near, far = point(xyz=(0, 0, 0.1)), point(step=200, xyz=(-0.7, 0, 0.1))
    check_reach(replace(MOVE, name="mine", script=(START, near)), solvers(MOVE))
    with pytest.raises(
        ValueError, match=r"^task 'mine': waypoint 2 \(right, step 200\) is out of reach"
    ) as e:
        check_reach(replace(MOVE, name="mine", script=(START, near, far)), solvers(MOVE))
    said = str(e.value)
    assert "m with red_box at (0, 0." in said, "the start that it is furthest from"
    assert "mm off" in said and "show_task.py --task_name mine" in said and "\n" not in said


def test_a_corner_of_the_starts_may_be_out_of_reach_and_the_middle_not():
    wide = replace(CUBE, low=(-0.6, 0.4, 0.05), high=(0.3, 0.6, 0.05))
    task = replace(MOVE, name="mine", props=(wide, *MOVE.props[1:]), script=(START, point()))
    with pytest.raises(ValueError, match=r"waypoint 1 .* out of reach.*red_box at \(-0.6"):
        check_reach(task, solvers(MOVE))
    case = Case("far", script=(START, point(xyz=(0, 0, 0.9))))
    task = replace(MOVE, name="mine", script=(START, point()), cases=(Case("as ever"), case))
    with pytest.raises(ValueError, match="task 'mine': case 'far': waypoint 1 .* out of reach"):
        check_reach(task, solvers(MOVE))
