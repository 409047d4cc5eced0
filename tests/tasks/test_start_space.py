"""Where episodes may start, and which starts come next: against brute force, inside the area, repeatable."""

import json
from dataclasses import replace

import numpy as np
import pytest

from constants import TASKS, get_task
from tasks.parts import Prop
from tasks.starts.files import read_starts, write_starts
from tasks.starts.sampling import RADIAN, case_of, distance_from, pose_of, sample_start
from tasks.starts.space import NUDGE, Evidence, StartSpace, beside, is_beside, suggest

TRANSFER, CHOOSE = get_task("sim_transfer_cube_scripted"), get_task("sim_mycobot320_choose_scripted")
TURNED = replace(TRANSFER, props=(Prop("red_box", (0.0, 0.4, 0.05), (0.2, 0.6, 0.05), yaw=(-180.0, 180.0)),))
SIMULATED = [task for task in TASKS.values() if task.props]


def drawn(task, count, seed=0, case=None):
    rng = np.random.default_rng(seed)
    return np.array([sample_start(task, rng, case) for _ in range(count)])


def evidence(space, starts, tried=(), failed=()):
    points = space.coordinates(starts)
    return Evidence(space, points, np.reshape(tried, (len(tried), points.shape[1])), np.array(failed, float))


@pytest.mark.parametrize("task", SIMULATED, ids=lambda task: task.name)
def test_a_start_survives_its_coordinates(task):
    for case, space in enumerate(StartSpace.of(task)):
        starts = drawn(task, 20, case=case if task.cases else None)
        again = np.array([space.start(point) for point in space.coordinates(starts)])
        in_sight = [entry for axis in space.axes for entry in range(7 * axis.prop, 7 * axis.prop + 7)]
        assert np.allclose(again[:, in_sight], starts[:, in_sight])


def test_what_is_out_of_sight_has_no_coordinates():
    free, occupied = StartSpace.of(CHOOSE)
    assert [space.label for space in (free, occupied)] == ["B1 free", "B1 occupied"]
    assert len(free.axes) == 2 and len(occupied.axes) == 4


def test_distances_are_those_of_a_loop_also_across_half_a_turn():
    (space,) = StartSpace.of(TURNED)
    some, others = drawn(TURNED, 12), drawn(TURNED, 9, seed=1)
    found = space.distances(space.coordinates(some), space.coordinates(others))
    for i, one in enumerate(some):
        for j, other in enumerate(others):
            turns = [2 * np.arctan2(start[6], start[3]) for start in (one, other)]
            turn = abs(np.angle(np.exp(1j * (turns[0] - turns[1]))))
            apart = np.linalg.norm([*(one[:3] - other[:3]), RADIAN * turn])
            assert found[i, j] == pytest.approx(apart)
    almost = np.array([pose_of((0.1, 0.5, 0.05), 179), pose_of((0.1, 0.5, 0.05), -179)])
    points = space.coordinates(almost)
    assert space.distances(points[:1], points[1:])[0, 0] == pytest.approx(RADIAN * np.radians(2), rel=1e-6)


@pytest.mark.parametrize("task", SIMULATED, ids=lambda task: task.name)
def test_starts_beyond_the_edges_are_at_most_so_far_and_of_the_same_case(task):
    rng, margin = np.random.default_rng(0), 0.01
    for case, variant in enumerate(task.variants):
        starts = [sample_start(task, rng, case, margin) for _ in range(200)]
        poses = np.array(starts).reshape(len(starts), -1, 7)
        off = [
            distance_from(each[place][None], [prop])
            for each in poses
            for place, prop in enumerate(variant.props)
        ]
        assert 0 < max(off) <= margin * np.sqrt(2) + 1e-9
        assert (poses[:, :, 2] == [prop.low[2] for prop in variant.props]).all(), "on the table"
        if task.cases:
            assert {case_of(task, start) for start in starts} == {task.cases[case].label}


@pytest.mark.parametrize("task", SIMULATED, ids=lambda task: task.name)
def test_props_that_lie_askew_are_turned_where_they_would_lie_straight(task):
    for case, variant in enumerate(task.variants):
        straight, askew = (
            np.array([sample_start(task, np.random.default_rng(i), case, askew=turn) for i in range(50)])
            for turn in (0.0, 20.0)
        )
        straight, askew = (poses.reshape(50, -1, 7) for poses in (straight, askew))
        np.testing.assert_array_equal(askew[:, 0, :3], straight[:, 0, :3])
        for place, prop in enumerate(variant.props):
            yaws = [2 * np.degrees(np.arctan2(p[:, place, 6], p[:, place, 3])) for p in (straight, askew)]
            most = np.abs(np.subtract(*yaws)).max()
            assert most <= 20 + 1e-9
            assert (most > 10) == (prop.low != prop.high), "what always lies at one place is not turned"


@pytest.mark.parametrize("task", SIMULATED, ids=lambda task: task.name)
def test_suggestions_are_inside_the_area_away_from_what_was_shown_and_always_the_same(task):
    spaces = StartSpace.of(task)
    every = [
        evidence(space, drawn(task, 30, case=i if task.cases else None)) for i, space in enumerate(spaces)
    ]
    found = suggest(every, 10)
    assert [(case, point.tolist()) for case, point in found] == [
        (case, point.tolist()) for case, point in suggest(every, 10)
    ]
    taken = [list(each.shown) for each in every]
    for case, point in found:
        start = spaces[case].start(point)
        assert distance_from(start.reshape(-1, 7), task.variants[case].props) < 1e-9
        gap = spaces[case].distances(point[None], np.array(taken[case])).min()
        uniform = spaces[case].coordinates(drawn(task, 50, seed=2, case=case if task.cases else None))
        usual = spaces[case].distances(uniform, np.array(taken[case])).min(axis=1)
        assert gap > np.median(usual), "farther away than a start that is drawn, as a rule"
        taken[case].append(point)


def test_without_evidence_the_next_is_the_farthest_of_all_candidates():
    (space,) = StartSpace.of(TRANSFER)
    known = evidence(space, drawn(TRANSFER, 10))
    ((_, point),) = suggest([known], 1)
    gaps = [min(np.linalg.norm(each - shown) for shown in known.shown) for each in space.candidates()]
    assert min(np.linalg.norm(point - shown) for shown in known.shown) == pytest.approx(max(gaps))


def test_places_where_a_policy_fails_come_first():
    (space,) = StartSpace.of(TRANSFER)
    shown = np.array(
        [pose_of((x, y, 0.05)) for x in np.linspace(0, 0.2, 5) for y in np.linspace(0.4, 0.6, 5)]
    )
    tried = space.coordinates(drawn(TRANSFER, 200))
    failed = (tried[:, 0] > 0.15) & (tried[:, 1] > 0.55)
    found = suggest([evidence(space, shown, tried, failed)], 4)
    assert all(point[0] > 0.12 and point[1] > 0.52 for _, point in found)
    everywhere = suggest([evidence(space, shown, tried, np.ones(200))], 10)
    assert any(point[0] < 0.1 for _, point in everywhere) and any(point[1] < 0.5 for _, point in everywhere)


def test_a_case_that_was_never_shown_comes_first():
    spaces = StartSpace.of(CHOOSE)
    every = [evidence(spaces[0], drawn(CHOOSE, 30, case=0)), evidence(spaces[1], np.empty((0, 14)))]
    assert suggest(every, 1)[0][0] == 1


def test_regions_are_a_grid_of_three_by_three():
    (space,) = StartSpace.of(TRANSFER)
    assert space.region_count == 9
    for start, region in zip(
        starts := drawn(TRANSFER, 50), space.regions(space.coordinates(starts)), strict=True
    ):
        (x0, x1), (y0, y1) = space.region_bounds(region)
        assert x0 <= start[0] <= x1 and y0 <= start[1] <= y1
    (line,) = StartSpace.of(replace(TRANSFER, props=(Prop("red_box", (0.0, 0.4, 0.0), (0.0, 0.7, 0.0)),)))
    assert line.region_count == 3 and line.region_bounds(1) == ((0.0, 0.0), pytest.approx((0.5, 0.6)))


def test_a_task_that_does_not_say_where_props_start_has_the_area_of_what_was_shown():
    starts = drawn(TRANSFER, 20)
    space = StartSpace.around(starts)
    assert np.allclose(space.low, starts[:, :2].min(axis=0)) and np.allclose(
        space.high, starts[:, :2].max(axis=0)
    )
    assert [prop.name for prop in space.props] == ["object"]


def test_a_start_beside_another_is_inside_the_area():
    rng = np.random.default_rng(0)
    corner = np.concatenate([pose_of(prop.high) for prop in CHOOSE.variants[1].props])
    for _ in range(20):
        moved = beside(CHOOSE, corner, rng)
        assert case_of(CHOOSE, moved) == "B1 occupied" and is_beside(corner, moved)
    far = corner + np.eye(14)[0] * 3 * NUDGE
    assert not is_beside(corner, far) and not is_beside(corner, None) and not is_beside(corner, corner[:7])


# --- files


@pytest.mark.parametrize("task", [TURNED, CHOOSE], ids=["turned", "cases"])
def test_starts_survive_their_file(task, tmp_path):
    starts = [*drawn(task, 5), *(np.concatenate([pose_of(p.low) for p in v.props]) for v in task.variants)]
    write_starts(tmp_path / "starts.json", task, [prop.name for prop in task.props], starts)
    again = read_starts(tmp_path / "starts.json", task)
    apart = [np.abs(one - other).max() for one, other in zip(starts, again, strict=True)]
    assert max(apart) < 1e-5 and [case_of(task, s) for s in again] == [case_of(task, s) for s in starts]


def test_starts_that_a_person_edited_are_kept(tmp_path, capsys):
    path = tmp_path / "next_starts.json"

    def write(x):
        write_starts(path, TRANSFER, ["red_box"], [pose_of((x, 0.5, 0.05))])

    write(0.1), write(0.11)
    assert not capsys.readouterr().out and [*tmp_path.iterdir()] == [path]
    for number, content in enumerate(
        (path.read_text("utf-8").replace("0.11", "0.15"), '{"starts": []}', "o"), 1
    ):
        path.write_text(content, encoding="utf-8")
        write(0.12)
        kept = tmp_path / f"next_starts_{number}.json"
        assert f"{path} was edited; it is kept as {kept}" in capsys.readouterr().out
        assert kept.read_text("utf-8") == content
        assert read_starts(path, TRANSFER)[0][0] == 0.12


def test_a_file_of_starts_that_is_not_there_says_who_writes_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file of starts .*report.py --coverage"):
        read_starts(tmp_path / "next_starts.json", get_task("sim_transfer_cube_scripted"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nothing", "is no file of starts"),
        ("[]", "holds no starts"),
        ('{"starts": []}', "holds no starts"),
        (
            '{"task": "sim_insertion_scripted", "starts": [{"red_box": [0.1, 0.5, 0.05]}]}',
            "not of sim_transfer",
        ),
        (
            '{"starts": [{"blue_box": [0.1, 0.5, 0.05]}]}',
            "start 1 has blue_box; sim_transfer_cube_scripted has",
        ),
        ('{"starts": [{"red_box": [0.1, 0.5]}]}', "red_box is [0.1, 0.5]; give x, y, z"),
        ('{"starts": [{"red_box": [0.1, 0.5, NaN]}]}', "give x, y, z"),
        ('{"starts": [{"red_box": [0.1, 0.5, 0.05]}, {"red_box": [0.3, 0.5, 0.05]}]}', "start 2 is 100.0 mm"),
    ],
)
def test_a_bad_file_of_starts_is_refused_in_one_line(content, message, tmp_path):
    path = tmp_path / "starts.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="starts.json") as caught:
        read_starts(path, TRANSFER)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_is_made_to_be_edited(tmp_path):
    write_starts(tmp_path / "s.json", TRANSFER, ["red_box"], [pose_of((0.1, 0.5, 0.05))])
    content = json.loads((tmp_path / "s.json").read_text())
    del content["check"]
    assert content == {"task": TRANSFER.name, "starts": [{"red_box": [0.1, 0.5, 0.05]}]}
