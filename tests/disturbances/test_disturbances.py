"""Contracts over the registry: each disturbance changes what it says, by more the stronger it is, and nothing
else.
"""

from dataclasses import asdict

import numpy as np
import pytest

from bench import disturbances as page_file
from constants import TASKS
from disturbances import (
    AXES,
    DISTURBANCES,
    GROUPS,
    LINK,
    LOOK,
    MODEL,
    MOMENT,
    PICTURE,
    STRENGTHS,
    Applied,
    Pictures,
    changed,
    disturb_frames,
    look_of,
)
from disturbances.dynamics import FIELDS
from tasks import Ranges, build_model, mujoco

ROLLOUTS = 6
SAME_IN_ALL = {"blur", "jpeg", "grey", "friction", "damping"}  # nothing in them is drawn
TASK = TASKS["sim_transfer_cube_scripted"]


def of_kind(kind: str) -> list[str]:
    return [name for name, each in DISTURBANCES.items() if each.kind == kind]


def at(name: str, level: str) -> Applied:
    return Applied(DISTURBANCES[name], level)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A picture with edges, colours, and bright and dark parts."""
    rng = np.random.default_rng(0)
    image = np.full((120, 160, 3), (70, 80, 90), np.uint8)
    for _ in range(40):
        (x, y), side = rng.integers(0, (150, 110)), rng.integers(4, 30)
        image[y : y + side, x : x + side] = rng.integers(0, 256, 3)
    return image


def seen(image: np.ndarray, name: str, level: str, rollout: int = 0, moment: int = 0, camera: str = "top"):
    return Pictures([at(name, level)], 50, seed=0, rollout=rollout).changed(image, camera, moment)


@pytest.mark.parametrize("name", DISTURBANCES)
def test_each_says_what_it_is(name):
    each = DISTURBANCES[name]
    assert each.name == name and name.isidentifier() and each.group in GROUPS
    assert each.what and each.unit and "\n" not in each.what and not each.what.endswith(".")
    steps = np.diff(each.strengths)
    assert len(each.strengths) == len(STRENGTHS) and ((steps > 0).all() or (steps < 0).all())
    assert list(AXES) and set(AXES) == set(DISTURBANCES)


@pytest.mark.parametrize("name", of_kind(PICTURE))
def test_a_picture_stays_a_picture_and_changes_more_the_stronger_it_is(name, scene):
    before, changes = scene.copy(), []
    for level in STRENGTHS:
        images = [seen(scene, name, level, rollout) for rollout in range(ROLLOUTS)]
        assert {(image.shape, image.dtype) for image in images} == {(scene.shape, scene.dtype)}
        changes.append(np.mean([np.abs(image.astype(int) - scene).mean() for image in images]))
    assert np.array_equal(scene, before), "the picture that was given stays"
    assert 0 < changes[0] < changes[1] < changes[2], changes


@pytest.mark.parametrize("name", of_kind(PICTURE))
def test_the_same_seed_disturbs_the_same(name, scene):
    first = seen(scene, name, "strong", rollout=3, moment=7)
    assert np.array_equal(first, seen(scene, name, "strong", rollout=3, moment=7))
    another_moment = seen(scene, name, "strong", rollout=3, moment=8)
    assert np.array_equal(first, another_moment) == DISTURBANCES[name].holds
    others = [seen(scene, name, "strong", rollout) for rollout in range(ROLLOUTS)]
    differs = any(not np.array_equal(first, other) for other in others)
    assert differs == (name not in SAME_IN_ALL)


def test_another_disturbance_beside_it_changes_nothing_in_what_it_draws(scene):
    alone = seen(scene, "occlusion", "middle")
    both = Pictures([at("occlusion", "middle"), at("grey", "mild")], 50, 0, 0).changed(scene, "top", 0)
    covered = (alone != scene).any(axis=2)
    assert (both[covered].reshape(-1, 3) == both[covered][0]).all()


def test_lengths_are_those_of_a_picture_of_480_lines():
    image = np.zeros((480, 640, 3), np.uint8)
    image[200:280, 300:340] = 255
    small = image[::4, ::4]
    for name in ("shift", "zoom", "occlusion"):
        large, little = (seen(picture, name, "strong").astype(int) for picture in (image, small))
        assert np.abs(large[::4, ::4] - little).mean() < 3, name


@pytest.mark.parametrize("name", of_kind(MOMENT))
@pytest.mark.parametrize("fps", [10, 50])
def test_pictures_come_later_the_stronger_it_is_and_never_from_the_future(name, fps):
    lags = []
    for level in STRENGTHS:
        sources = [
            [Pictures([at(name, level)], fps, 0, rollout).source(t) for t in range(12 * fps)]
            for rollout in range(ROLLOUTS)
        ]
        lag = np.arange(12 * fps) - sources
        assert (lag >= 0).all() and (np.diff(sources, axis=1) >= 0).all()
        lags.append(lag.mean())
    assert 0 < lags[0] < lags[1] < lags[2], lags


def test_how_late_and_for_how_long():
    late = Pictures([at("late_pictures", "middle")], 50, 0, 0)
    assert [late.source(t) for t in (0, 5, 10, 30)] == [0, 0, 0, 20]
    frozen = Pictures([at("frozen_pictures", "middle")], 50, 0, 0)
    sources = np.array([frozen.source(t) for t in range(400)])
    assert np.bincount(sources).max() == 50 and (np.bincount(sources) == 50).sum() == 2
    dropped = Pictures([at("dropped_frames", "strong")], 50, 0, 0)
    arrived = len({dropped.source(t) for t in range(1000)})
    assert 150 < arrived < 250


def is_within(inner, outer) -> bool:
    """Whether whatever is drawn from one range of a look could be drawn from the other."""
    if isinstance(inner, tuple) and inner and isinstance(inner[0], str):
        return set(inner) <= set(outer)
    if isinstance(inner, tuple):
        return outer[0] <= inner[0] <= inner[1] <= outer[1]
    return inner <= outer


@pytest.mark.parametrize("name", of_kind(LOOK))
def test_a_part_of_a_look_goes_further_the_stronger_it_is(name):
    each = DISTURBANCES[name]
    ranges = [asdict(each.apply(strength)) for strength in each.strengths]
    assert asdict(type(each.apply(each.strengths[0]))()) != ranges[0]
    for weaker, stronger in zip(ranges, ranges[1:], strict=False):
        assert weaker != stronger
        assert all(is_within(weaker[key], stronger[key]) for key in weaker)
    look = look_of([at(name, "strong"), at("noise", "mild")], seed=3, rollout=4)
    parts = asdict(look.ranges)
    assert parts[name] == ranges[2] and look.seeds[0] == 3 and look.seeds[2] == 4
    assert {key for key in parts if parts[key] != asdict(Ranges())[key]} == {name}
    assert look_of([at("noise", "mild")], 3, 4) is None


SIMULATED = ("sim_transfer_cube_scripted", "sim_insertion_scripted", "sim_mycobot320_choose_scripted")


@pytest.fixture(scope="module", params=SIMULATED)
def model_and_task(request):
    task = TASKS[request.param]
    return build_model(task), task


def arrays(model) -> dict[str, np.ndarray]:
    names = [name for name in dir(model) if not name.startswith("_")]
    return {name: value.copy() for name in names if isinstance(value := getattr(model, name), np.ndarray)}


@pytest.mark.parametrize("name", of_kind(MODEL))
def test_physics_changes_as_told_and_is_then_as_it_was(name, model_and_task):
    model, task = model_and_task
    before, sizes, states = arrays(model), [], set()
    for level in STRENGTHS:
        for rollout in range(ROLLOUTS):
            with changed(model, task, [at(name, level)], 0, rollout):
                now = arrays(model)
                different = {key for key in before if not np.array_equal(before[key], now[key])}
                states.add(b"".join(now[key].tobytes() for key in FIELDS))
            assert different and different <= set(FIELDS)
        ratios = [now[key][before[key] != 0] / before[key][before[key] != 0] for key in sorted(different)]
        sizes.append(max(np.abs(np.log(ratio)).max() for ratio in ratios))
        after = arrays(model)
        assert all(np.array_equal(before[key], after[key]) for key in before)
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert (len(states) > len(STRENGTHS)) == (name not in SAME_IN_ALL)


def test_physics_is_as_it_was_after_an_error(model_and_task):
    model, task = model_and_task
    before = model.body_mass.copy()
    with pytest.raises(RuntimeError), changed(model, task, [at("mass", "strong")], 0, 0):
        assert not np.array_equal(model.body_mass, before)
        raise RuntimeError
    assert np.array_equal(model.body_mass, before)


def test_a_heavier_object_is_what_mujoco_makes_of_it(model_and_task):
    """The constants that follow from a mass are those that MuJoCo computes."""
    model, task = model_and_task
    with changed(model, task, [at("mass", "strong")], 0, 0):
        ours = arrays(model)
        mujoco.mj_setConst(model, mujoco.MjData(model))
        theirs = arrays(model)
        for name in ("body_invweight0", "dof_invweight0"):
            assert np.allclose(ours[name], theirs[name], rtol=1e-3), name
            getattr(model, name)[:] = ours[name]
        assert np.allclose(ours["body_subtreemass"][1:], theirs["body_subtreemass"][1:])


def drive(name: str, level: str, actions: np.ndarray, rollout: int = 0, fps: int = 50):
    """Actions (T, 3) as they arrive and zeros (T, 3) as they are reported; the last entry is a gripper."""
    each, joints = DISTURBANCES[name], np.array([True, True, False])
    link = each.apply(each.strength(level), each.rng(0, rollout), joints, fps)
    link.begin(np.zeros(3))
    return np.array([link.act(action) for action in actions]), link.sense(np.zeros(3))


@pytest.mark.parametrize("name", of_kind(LINK))
@pytest.mark.parametrize("fps", [10, 50])
def test_what_arrives_at_the_arm_is_further_off_the_stronger_it_is(name, fps):
    time = np.arange(80)[:, None] / 10
    actions = np.concatenate([np.sin(time), np.cos(1.3 * time), 0.5 - 0.5 * np.cos(time)], axis=1)
    given = actions.copy()
    errors = [np.abs(drive(name, level, actions, fps=fps)[0] - given).mean() for level in STRENGTHS]
    assert np.array_equal(actions, given)
    assert 0 < errors[0] < errors[1] < errors[2], errors


def test_what_each_link_does():
    actions = np.linspace(0, 0.1, 12)[:, None] * np.ones(3)
    late, reported = drive("delay", "middle", actions)
    assert np.array_equal(late[10:], actions[:-10]) and not late[:10].any() and not reported.any()
    arrived, _ = drive("backlash", "middle", np.concatenate([actions, actions[::-1]]))
    play = np.radians(1)
    assert np.allclose(arrived[11, :2], 0.1 - play / 2) and arrived[11, 2] == 0.1, "grippers have none"
    assert np.allclose(arrived[12, :2], arrived[11, :2]), "it turns back, and first does nothing"
    moved, reported = drive("joint_offset", "middle", actions)
    assert np.allclose(np.abs(reported[:2]), np.radians(1)) and reported[2] == 0
    assert np.allclose(moved, actions - reported)
    signs = {tuple(np.sign(drive("joint_offset", "middle", actions, r)[1][:2])) for r in range(20)}
    assert len(signs) == 4
    worn, _ = drive("gripper_wear", "middle", actions)
    assert np.array_equal(worn[:, :2], actions[:, :2]) and worn[:, 2].min() == 0.1


def test_frames_of_an_episode_are_disturbed_as_those_of_a_rollout(scene):
    frames = [np.roll(scene, t, axis=1) for t in range(8)]
    applied = [at("noise", "middle"), at("late_pictures", "mild")]
    seen_frames = list(disturb_frames(frames, applied, 10, "top", seed=2, episode=5))
    pictures = Pictures(applied, 10, 2, 5)
    assert len(seen_frames) == 8
    assert np.array_equal(seen_frames[6], pictures.changed(frames[5], "top", 5))
    with pytest.raises(ValueError, match="mass=mild changes dynamics; of a recorded episode only pictures"):
        disturb_frames(frames, [at("mass", "mild")], 10, "top", 0, 0)


def test_the_page_is_what_the_registry_says():
    assert page_file.PAGE.read_text(encoding="utf-8") == page_file.page(), "python3 -m bench.disturbances"
