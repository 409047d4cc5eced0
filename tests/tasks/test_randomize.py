"""Contracts of `--randomize` over every simulated task: what is seen changes, what happens does not."""

import cv2
import mujoco
import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv
from simulated_tasks import SCENES, SIMULATED

from sim_env import make_sim_env
from tasks import LookPlan, only
from tasks.looks.cable import SEGMENT, SEGMENTS, cable_path
from tasks.looks.covers import COVERS, TEXTURE_PIXELS
from tasks.looks.drift import Drift
from tasks.looks.looks import moved_further
from tasks.looks.pictures import Eye, Patch, Tones, developed, shade
from tasks.looks.ranges import LEVELS, MILD, PARTS, DriftRanges, Ranges

SEEDS = range(8)
SMALL = (120, 160)  # pixels


@pytest.fixture(scope="module", params=SCENES)
def envs(request):
    """The same task as it is, and with looks that can vary."""
    pair = [make_sim_env(request.param, image_size=SMALL, randomize=varied) for varied in (False, True)]
    yield pair
    for env in pair:
        env.close()


@pytest.fixture
def plain(envs):
    return envs[0]


@pytest.fixture
def varied(envs):
    return envs[1]


def model_of(env) -> mujoco.MjModel:
    return env.physics.model.ptr


def arrays(struct) -> dict[str, np.ndarray]:
    """Every array and number of a MuJoCo struct."""
    values = {name: getattr(struct, name) for name in dir(struct) if not name.startswith("_")}
    kinds = (np.ndarray, int, float)
    return {name: np.array(value) for name, value in values.items() if isinstance(value, kinds)}


def ours(model) -> list[int]:
    return [i for i in range(model.ngeom) if model.geom(i).name.startswith("looks/")]


def drive(env, steps=30, watched=False) -> np.ndarray:
    """Everything numeric of an episode in which the arms move about and touch things."""
    home, rng = env.reset(5).observation["qpos"], np.random.default_rng(0)
    rows = []
    for _ in range(steps):
        step = env.step(home + rng.normal(0, 0.3, home.shape))
        data = env.physics.data
        if watched:
            step.observation["images"][env.cameras[0]]
        rows.append(
            [*step.observation["qpos"], *step.observation["qvel"], *data.qpos, data.ncon, step.reward]
        )
    return np.array(rows)


def pictures(env, seed) -> dict[str, np.ndarray]:
    """What all cameras see of the start with the looks of a seed."""
    env.set_looks(seed)
    return dict(env.reset(0).observation["images"])


# --- physics is untouched


def test_what_happens_is_the_same_to_the_last_bit(plain, varied):
    wanted = drive(plain)
    for seed in (None, 0, 1):
        varied.set_looks(seed)
        assert np.array_equal(drive(varied), wanted), seed


@pytest.mark.parametrize("task", SCENES)
def test_a_whole_demonstration_is_the_same_to_the_last_bit(task):
    from ee_sim_env import make_ee_sim_env
    from evaluation.demonstrations import run_script

    done = []
    for is_varied in (False, True):
        env = make_ee_sim_env(task, randomize=is_varied)
        if is_varied:
            env.set_looks(3)
        done.append(run_script(env, task, np.random.default_rng(0), ()))
        env.close()
    for name in ("qpos", "qvel", "action", "reward", "env_state"):
        assert np.array_equal(getattr(done[0], name), getattr(done[1], name)), name
    assert done[0].success


def test_the_rest_of_the_model_is_that_of_the_plain_scene(plain, varied):
    """Array by array; what is added comes last, so everything keeps its number."""
    reference, model = model_of(plain), model_of(varied)
    added = {"nbody": 1, "ngeom": len(ours(model))}
    sizes = ("nq", "nv", "nu", "na", "njnt", "nbody", "ngeom", "nsite", "ncam", "neq", "npair", "nmesh")
    for name in sizes:
        assert getattr(model, name) == getattr(reference, name) + added.get(name, 0), name
    kinds = ("body_", "jnt_", "dof_", "actuator_", "eq_", "geom_", "site_", "cam_", "qpos", "mesh_", "pair_")
    wanted = {name: value for name, value in arrays(reference).items() if name.startswith(kinds)}
    assert {"body_mass", "geom_contype", "geom_friction", "dof_damping", "qpos0"} <= set(wanted)
    for seed in range(3):
        varied.set_looks(seed)
        found = arrays(model)
        changed = {n for n, v in wanted.items() if not np.array_equal(found[n][: len(v)], v)}
        # The world's own count of children, and where the boxes that bound bodies are stored, may differ.
        assert changed <= {"geom_rgba", "body_bvhadr", "body_bvhnum"}, changed
        for part in ("opt", "stat"):
            one, other = arrays(getattr(reference, part)), arrays(getattr(model, part))
            changed = {name for name, value in one.items() if not np.array_equal(value, other[name])}
            assert changed <= {"meanmass", "meansize"}, changed  # how large a viewer draws forces


def test_what_is_added_has_neither_mass_nor_contacts(varied):
    model, data = model_of(varied), varied.physics.data
    geoms, body = ours(model), model.body("looks")
    assert len(geoms) > 10 and set(model.geom_bodyid[geoms]) == {body.id}
    assert not model.geom_contype[geoms].any() and not model.geom_conaffinity[geoms].any()
    assert body.mass == 0 and not body.inertia.any() and body.weldid == 0
    for seed in SEEDS:
        varied.set_looks(seed)
        varied.reset(seed)
        assert not np.isin(data.contact.geom, geoms).any()


def test_an_environment_made_without_refuses_looks(plain):
    with pytest.raises(ValueError, match="made without randomize=True"):
        plain.set_looks(0)
    assert not ours(model_of(plain))


@pytest.mark.parametrize("hold", [1, 4])
def test_looks_that_change_within_an_episode_change_nothing_that_happens(plain, varied, hold):
    """The pictures are drawn too: that is when a look is."""
    wanted = drive(plain)
    varied.set_looks(LookPlan((0, 1), hold=hold))
    assert np.array_equal(drive(varied, watched=True), wanted)


# --- what is seen


def test_a_seed_is_a_look(varied):
    first, other = pictures(varied, [0, 1]), pictures(varied, [0, 2])
    for camera, image in first.items():
        assert np.abs(image.astype(int) - other[camera]).mean() > 3, camera
    again = pictures(varied, [0, 1])
    assert all(np.array_equal(image, again[camera]) for camera, image in first.items())
    fresh = make_sim_env(varied.spec, image_size=SMALL, randomize=True)
    try:
        new = pictures(fresh, [0, 1])
    finally:
        fresh.close()
    assert all(np.array_equal(image, new[camera]) for camera, image in first.items())


def test_the_scenes_own_look_comes_back(plain, varied):
    before = {**arrays(model_of(varied)), **arrays(model_of(varied).vis.headlight)}
    images = dict(plain.reset(0).observation["images"])
    varied.set_looks(None)
    nominal = {**arrays(model_of(varied)), **arrays(model_of(varied).vis.headlight)}
    for seed in SEEDS:
        varied.set_looks(seed)
    assert not np.array_equal(before["geom_rgba"], model_of(varied).geom_rgba)
    restored = pictures(varied, None)
    after = {**arrays(model_of(varied)), **arrays(model_of(varied).vis.headlight)}
    assert all(np.array_equal(value, after[name]) for name, value in nominal.items())
    assert all(np.array_equal(image, restored[camera]) for camera, image in images.items())


def test_looks_do_not_accumulate(varied):
    """However many came before, one is the same, and none has drifted away."""
    fields = ("light_dir", "light_diffuse", "light_pos", "geom_rgba", "geom_pos", "geom_matid")
    varied.set_looks(7)
    wanted = {name: getattr(model_of(varied), name).copy() for name in fields}
    for seed in range(100):
        varied.set_looks(seed)
    varied.set_looks(7)
    assert all(np.array_equal(getattr(model_of(varied), name), value) for name, value in wanted.items())


def scene_of(env) -> dict[str, np.ndarray]:
    """How the scene looks, whatever the camera."""
    names = ("light_pos", "light_dir", "light_diffuse", "geom_rgba", "geom_matid", "geom_pos", "geom_size")
    return {name: getattr(model_of(env), name).copy() for name in names}


def is_same(one, other) -> bool:
    return all(np.array_equal(value, other[name]) for name, value in one.items())


def test_a_look_lasts_as_long_as_the_plan_says_and_is_that_of_its_number(varied):
    """All cameras of a moment share it; each has its own pose."""
    varied.set_looks(LookPlan((3, 1), hold=2))
    step, scenes = varied.reset(0), []
    for _ in range(5):
        images, moment = step.observation["images"], []
        for camera in varied.cameras:
            images[camera]
            moment.append(scene_of(varied))
        assert all(is_same(scene, moment[0]) for scene in moment)
        scenes.append(moment[0])
        poses = [np.concatenate(move) for move in varied.task.looks.camera_moves.values()]
        assert len(np.unique(poses, axis=0)) == len(varied.cameras)
        step = varied.step(step.observation["qpos"])
    assert [is_same(*pair) for pair in zip(scenes, scenes[1:], strict=False)] == [True, False, True, False]
    for number in range(3):
        varied.set_looks([3, 1, number])
        assert is_same(scene_of(varied), scenes[2 * number])


def test_a_look_changes_its_room_further(varied):
    """The room is the same in all episodes; what is drawn upon it leaves the rest of it."""
    room = LookPlan((7,), LEVELS["real"])
    varied.set_looks(room)
    alone, cameras = scene_of(varied), dict(varied.task.looks.camera_moves)
    lamps = [LookPlan((seed,), only("light", "mild"), room=room) for seed in (1, 2)]
    scenes = []
    for plan in lamps:
        varied.set_looks(plan)
        scenes.append(scene_of(varied))
    assert not is_same(scenes[0], scenes[1])
    for name in ("geom_rgba", "geom_matid", "geom_pos", "geom_size"):
        assert np.array_equal(scenes[0][name], alone[name]), name
    np.testing.assert_equal(varied.task.looks.camera_moves, cameras)
    varied.set_looks(LookPlan((1,), only("camera", "mild"), room=room))
    for name, (shift, _) in varied.task.looks.camera_moves.items():
        way = np.linalg.norm(shift - cameras[name][0])
        assert 0 < way <= np.sqrt(3) * LEVELS["mild"].camera.shift + 1e-9
    varied.set_looks(room)
    assert is_same(scene_of(varied), alone)


def test_two_moves_of_a_camera_are_one():
    rng = np.random.default_rng(0)
    first, second = ((rng.normal(size=3), rng.normal(0, 0.5, 3)) for _ in range(2))
    shift, turn = moved_further(first, second)
    turns = [cv2.Rodrigues(each)[0] for each in (first[1], second[1], turn)]
    np.testing.assert_allclose(turns[0] @ turns[1], turns[2], atol=1e-9)
    np.testing.assert_allclose(shift, first[0] + turns[0] @ second[0])
    assert moved_further(None, second) is second


def test_a_camera_that_was_bumped_stays_so_whatever_the_look(varied):
    camera, looks = varied.cameras[0], varied.task.looks
    room = LookPlan((7,), LEVELS["real"])
    seen = []
    for bumps in ({}, {camera: (np.array([0.03, 0, 0]), np.zeros(3))}):
        looks.bumps.clear()
        looks.bumps.update(bumps)
        for _ in range(2):
            varied.set_looks(room)
            seen.append(varied.reset(0).observation["images"][camera].astype(int))
    looks.bumps.clear()
    assert np.array_equal(seen[0], seen[1]) and np.array_equal(seen[2], seen[3])
    assert np.abs(seen[0] - seen[2]).mean() > 1


def test_a_look_does_not_depend_on_what_was_seen_before(varied):
    """Neither on earlier steps nor on an earlier attempt, and so on no other process."""
    varied.set_looks(LookPlan((3, 1), hold=1))
    start, camera = varied.reset(0), varied.cameras[0]
    first = start.observation["images"][camera].copy()
    for _ in range(3):
        step = varied.step(start.observation["qpos"])
    last = step.observation["images"][camera].copy()
    start = varied.reset(0)
    assert np.array_equal(start.observation["images"][camera], first)
    for _ in range(3):
        step = varied.step(start.observation["qpos"])
        step.observation["images"][camera]
    assert np.array_equal(step.observation["images"][camera], last)


def test_a_person_who_drives_sees_one_look(varied):
    varied.set_looks(LookPlan((3, 1), hold=1))
    with varied.steady_look():
        step, scenes = varied.reset(0), []
        for _ in range(3):
            step.observation["images"][varied.cameras[0]]
            scenes.append(scene_of(varied))
            step = varied.step(step.observation["qpos"])
    assert is_same(scenes[0], scenes[1]) and is_same(scenes[0], scenes[2])


# What seeds gave when looks were first drawn: the sum of a field's numbers times cos 0, cos 1, and so on.
FIRST_LOOKS = {
    (0, 3, 2): {
        "light_pos": -1.349336186,
        "light_dir": 0.539987073,
        "light_diffuse": 0.261747393,
        "geom_rgba": -1.606505002,
        "geom_pos": -0.479134451,
        "geom_quat": -1.732485188,
        "geom_size": -1.151262966,
    },
    (0, 3, 7): {
        "light_pos": -1.698531542,
        "light_dir": 1.034460254,
        "light_diffuse": 0.317452680,
        "geom_rgba": -0.507916543,
        "geom_pos": -0.819339253,
        "geom_quat": -1.519148020,
        "geom_size": -1.152969213,
    },
}


def test_a_seed_gives_the_look_that_it_always_gave():
    env = make_sim_env(SIMULATED[0], image_size=SMALL, randomize=True)
    model, last = model_of(env), f"looks/cable_{SEGMENTS - 1}"
    geoms = model.geom(last).id + 1  # of the scene and of the first version's looks
    try:
        for seeds, fields in FIRST_LOOKS.items():
            env.set_looks(LookPlan(seeds))
            for name, wanted in fields.items():
                rows = getattr(model, name)[: geoms if name.startswith("geom") else None]
                numbers = np.ravel(rows).astype(float)
                assert numbers @ np.cos(np.arange(len(numbers))) == pytest.approx(wanted, abs=1e-6), name
    finally:
        env.close()


CHANGES = {
    "light": {"light_pos", "light_dir", "light_diffuse", "light_specular"},
    "colours": {"geom_rgba"},
    "table": {"geom_rgba", "geom_matid", "geom_pos", "geom_size"},
    "camera": set(),
    "cable": {"geom_rgba", "geom_pos", "geom_quat", "geom_size"},
    "room": {"geom_rgba", "geom_matid", "geom_pos", "geom_size"},
    "distractors": {"geom_rgba", "geom_pos", "geom_quat", "geom_size", "geom_type"},
    "shade": set(),
    "picture": set(),
    "drift": set(),
}


@pytest.mark.parametrize("part", PARTS)
def test_one_part_alone_changes_what_it_says_and_nothing_else(varied, part):
    looks, changed = varied.task.looks, set()
    varied.set_looks(None)
    own = {name: getattr(model_of(varied), name).copy() for name in looks.FIELDS}
    for seed in SEEDS:
        varied.set_looks(LookPlan((seed,), only(part, "real")))
        found = {name: getattr(model_of(varied), name) for name in own}
        changed |= {name for name in own if not np.allclose(found[name], own[name], atol=1e-6)}
        assert any(np.any(move) for move in looks.camera_moves.values()) == (part == "camera")
    assert changed == CHANGES[part]


def as_range(value) -> tuple[float, float]:
    """A single number is how far it goes either way."""
    return (-value, value) if isinstance(value, (int, float)) else value


@pytest.mark.parametrize(("inner", "outer"), [("mild", "real"), ("real", "wild")])
@pytest.mark.parametrize("part", PARTS)
def test_levels_lie_within_one_another(inner, outer, part):
    inner, outer = getattr(LEVELS[inner], part), getattr(LEVELS[outer], part)
    assert inner != outer
    if inner == type(inner)():
        return  # it does not vary there
    for name, value in vars(inner).items():
        if name == "covers":
            assert set(value) <= set(outer.covers)
        elif name not in ("margin", "on_arm"):
            (low, high), (least, most) = as_range(value), as_range(getattr(outer, name))
            assert least <= low <= high <= most, name


def test_cameras_move_as_far_as_their_level_says(varied):
    """Those that an arm carries move less; all move further than on the level before."""
    model, farthest = model_of(varied), []
    carried = {model.camera(i).name for i in range(model.ncam) if model.body_weldid[model.cam_bodyid[i]]}
    for ranges in (level.camera for level in LEVELS.values()):
        moves = {}
        for seed in range(30):
            varied.set_looks(LookPlan((seed,), Ranges(camera=ranges)))
            for name, (shift, turn) in varied.task.looks.camera_moves.items():
                share = ranges.on_arm if name in carried else 1.0
                assert (
                    np.abs(shift).max() <= share * ranges.shift and np.abs(turn).max() <= share * ranges.tilt
                )
                moves[name] = max(moves.get(name, 0.0), np.abs(shift).max())
        farthest.append(moves)
    mild, real, wild = farthest
    assert all(mild[name] < real[name] < wild[name] for name in mild)
    assert LEVELS["real"].camera.shift == 0.02 and np.degrees(LEVELS["real"].camera.tilt) > 4


def things_of(env) -> list[int]:
    model = model_of(env)
    return [i for i in ours(model) if "thing" in model.geom(i).name and model.geom_rgba[i, 3]]


def test_things_lie_on_the_table_beside_the_work_in_other_colours(varied):
    """Props start, and the script's arms go, where nothing lies; nothing lies on another thing."""
    model, data, counts = model_of(varied), varied.physics.data.ptr, set()
    work = rgb_to_hsv(model.geom_rgba[props_of(model, varied.spec), :3])
    hues = work[(work[:, 1] > 0.5) & (work[:, 2] > 0.5), 0]
    table = model.geom("looks/table")
    for seed in range(40):
        varied.set_looks(LookPlan((seed,), LEVELS["real"]))
        varied.reset(seed)
        things = things_of(varied)
        counts.add(len(things))
        low, high = data.geom_xpos[table.id] - table.size, data.geom_xpos[table.id] + table.size
        for geom in things:
            place, (hue, saturation, _) = data.geom_xpos[geom], rgb_to_hsv(model.geom_rgba[geom, :3])
            assert (place[:2] > low[:2]).all() and (place[:2] < high[:2]).all() and place[2] > high[2]
            assert saturation < 0.2 or (hue_distance(hue, hues) > 0.05).all()
            for start in varied.env_state.reshape(-1, 7)[:, :2]:
                assert np.hypot(*(place[:2] - start)) > 0.05
    assert 0 in counts and max(counts) > 3


def test_shade_darkens_the_table_where_it_lies_whichever_camera_looks():
    """A patch of half a metre on the floor, seen from straight above and from the side."""
    patch = Patch(np.array([0.3, 0.1]), np.array([0.1, 0.05]), 0.0, 0.02, np.full(3, -0.5))
    above = Eye(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0, -1]), np.array([0.0, 1, 0]), slope=1.0)
    picture = shade([patch], above, 0.0, (480, 480))[..., 0]
    rows, columns = np.nonzero(picture < 100)
    x, y = (columns - 239.5) / 240, (239.5 - rows) / 240
    assert 64 <= picture.min() < 70 and picture.max() == 128
    assert x.mean() == pytest.approx(0.3, abs=0.01) and y.mean() == pytest.approx(0.1, abs=0.01)
    assert np.ptp(x) == pytest.approx(0.2, abs=0.03) and np.ptp(y) == pytest.approx(0.1, abs=0.03)
    s = np.sqrt(0.5)
    aside = Eye(np.array([0.0, -1.0, 1.0]), np.array([0.0, s, -s]), np.array([0.0, s, s]), slope=1.0)
    rows, columns = np.nonzero(shade([patch], aside, 0.0, (480, 480))[..., 0] < 100)
    middle = patch.centre - aside.position[:2]  # of the patch from the camera: 0.3 aside, 1.1 ahead, 1 below
    ahead = s * (middle[1] + 1)
    assert columns.mean() == pytest.approx(239.5 + 240 * 0.3 / ahead, abs=5)
    assert rows.mean() == pytest.approx(239.5 - 240 * s * (middle[1] - 1) / ahead, abs=5)


def test_a_camera_that_looks_level_sees_no_shade_above_the_horizon():
    patch = Patch(np.array([0.0, 1.0]), np.array([9.0, 9.0]), 0.0, 0.1, np.full(3, -0.5))
    level = Eye(np.array([0.0, 0, 0.5]), np.array([0.0, 1, 0]), np.array([0.0, 0, 1]), slope=1.0)
    picture = shade([patch], level, 0.0, (240, 320))
    assert (picture[:120] == 128).all() and (picture[-40:] < 70).all()


def test_tones_change_brightness_and_colour_as_they_say():
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert np.array_equal(developed(grey, None, Tones(1.0, 1.0, (1.0, 1.0))), grey)
    assert np.array_equal(developed(grey, None, Tones(1.2, 1.0, (1.1, 0.9)))[0, 0], [132, 120, 108])
    assert developed(grey, None, Tones(1.0, 0.8, (1.0, 1.0)))[0, 0, 0] > 100
    assert developed(grey, None, Tones(9.0, 1.0, (1.0, 1.0))).max() == 255
    assert developed(grey, None, None) is not grey


@pytest.mark.parametrize("level", ["real", "wild"])
def test_cameras_of_wider_levels_still_see_something(varied, level):
    for seed in SEEDS:
        varied.set_looks(LookPlan((seed,), LEVELS[level]))
        for camera, image in varied.reset(0).observation["images"].items():
            assert image.std() > 3 and 2 < image.mean() < 250, (camera, seed)


def test_light_drifts_slowly_and_smoothly_within_a_rollout():
    """Over a minute it goes far; from one step to the next hardly; and the same whenever it is asked for."""
    ranges = LEVELS["real"].drift
    drift, again = (Drift(np.random.default_rng(5), ranges, lights=2) for _ in range(2))
    lights = [drift.at(t / 50) for t in range(3000)]
    strengths = np.array([[light.ambient, *light.strength, light.exposure] for light in lights])
    tints = np.array([light.tint for light in lights])
    assert (np.abs(strengths[:, :3] - 1) <= ranges.light).all() and (np.abs(tints - 1) <= ranges.warmth).all()
    assert np.ptp(strengths[:, 0]) > ranges.light and np.ptp(tints[:, 0]) > 0.5 * ranges.warmth
    assert np.abs(np.diff(strengths, axis=0)).max() < 0.03
    assert again.at(17.0).exposure == drift.at(17.0).exposure
    dark, bright = strengths[:, 0].argmin(), strengths[:, 0].argmax()
    assert strengths[dark, 3] > strengths[bright, 3], "exposure makes up for some of it"
    still = Drift(np.random.default_rng(5), DriftRanges(), lights=2).at(3.0)
    assert still.ambient == still.exposure == 1 and (still.strength == 1).all() and (still.tint == 1).all()


def test_a_look_that_drifts_keeps_all_but_its_light(plain, varied):
    """And what happens stays the same."""
    wanted = drive(plain)
    varied.set_looks(LookPlan((4,), LEVELS["real"], drift_fps=5))
    before = scene_of(varied)
    assert np.array_equal(drive(varied, watched=True), wanted)
    after = scene_of(varied)
    assert {n for n, v in before.items() if not np.array_equal(v, after[n])} == {"light_diffuse"}
    varied.set_looks(None)
    model = model_of(varied)
    assert np.array_equal(model.light_diffuse, model_of(plain).light_diffuse)
    assert np.array_equal(model.vis.headlight.ambient, model_of(plain).vis.headlight.ambient)


def test_no_picture_is_black_or_burnt_out(varied):
    for seed in SEEDS:
        for camera, image in pictures(varied, seed).items():
            assert image.std() > 5 and 5 < image.mean() < 220, (camera, seed)


def test_an_image_of_the_old_look_is_kept_or_refused(varied):
    seen, late, *_ = varied.cameras
    varied.set_looks(0)
    images = varied.reset(0).observation["images"]
    before = images[seen].copy()
    varied.set_looks(1)
    assert np.array_equal(images[seen], before)
    with pytest.raises(RuntimeError, match="after the simulation had moved on"):
        images[late]


def hue_distance(one, other):
    """Turns of the colour wheel."""
    return np.abs((one - other + 0.5) % 1 - 0.5)


def props_of(model, task) -> list[int]:
    bodies = [model.joint(f"{prop.name}_joint").id for prop in task.props]
    return [i for i in range(model.ngeom) if model.geom_bodyid[i] in model.jnt_bodyid[bodies]]


def test_props_keep_their_colours(plain, varied):
    wanted = model_of(plain).geom_rgba
    props = props_of(model_of(plain), varied.spec)
    hue0, saturation0, value0 = rgb_to_hsv(wanted[props, :3]).T
    looks = []
    for seed in SEEDS:
        varied.set_looks(seed)
        rgba = model_of(varied).geom_rgba[props]
        assert np.array_equal(rgba[:, 3], wanted[props, 3])
        hue, saturation, value = rgb_to_hsv(rgba[:, :3]).T
        assert (hue_distance(hue, hue0) < MILD.colours.hue + 1e-6).all()
        assert (saturation > 0.9 * saturation0).all() and (value > 0.84 * value0).all()
        looks.append(rgba.tobytes())
    assert len(set(looks)) == len(SEEDS)


def test_a_red_cube_is_seen_and_red(plain, varied):
    """Pixels of strong colour and red hue: about as many as in the scene's own look."""
    model = model_of(plain)
    colours = rgb_to_hsv(model.geom_rgba[props_of(model, varied.spec), :3])
    if not ((hue_distance(colours[:, 0], 0) < 0.02) & (colours[:, 1] > 0.8)).any():
        pytest.skip("nothing is red")

    def count(image) -> int:
        hue, saturation, value = rgb_to_hsv(image.reshape(-1, 3) / 255).T
        return int(((hue_distance(hue, 0) < 0.05) & (saturation > 0.6) & (value > 0.35)).sum())

    usual = count(plain.reset(0).observation["images"]["top"])
    assert usual > 15
    for seed in SEEDS:
        assert 0.6 * usual < count(pictures(varied, seed)["top"]) < 1.6 * usual, seed


def test_geoms_of_one_colour_stay_of_one_colour(plain, varied):
    arms = tuple(f"{arm.name}/" for arm in varied.spec.arms)
    model = model_of(plain)
    rest = [i for i in range(model.ngeom) if not model.geom(i).name.startswith((*arms, "table"))]
    varied.set_looks(0)
    pairs = {(*model.geom_rgba[i], model.geom_matid[i], *model_of(varied).geom_rgba[i]) for i in rest}
    assert len(pairs) == len({pair[:5] for pair in pairs})


def test_cameras_stay_near_their_places(varied):
    """As drawn: every camera of the scene, also those that follow a body, by millimetres and degrees."""
    shifts, angles = [], []
    for seed in SEEDS:
        pictures(varied, seed)
        for camera, view in varied.task.renderers.items():
            pose = varied.physics.data.ptr.camera(camera)
            left, seen = view.scene.camera  # a pair of eyes; MuJoCo draws from between them
            shifts.append(np.abs((left.pos + seen.pos) / 2 - pose.xpos).max())
            backward, up = pose.xmat.reshape(3, 3)[:, 2], pose.xmat.reshape(3, 3)[:, 1]
            assert seen.forward @ seen.up == pytest.approx(0, abs=1e-5)
            angles += [np.arccos(min(1, -seen.forward @ backward)), np.arccos(min(1, seen.up @ up))]
    bound = np.sqrt(3)  # shifts and turns are bounded along each axis
    assert len(shifts) == len(SEEDS) * len(varied.cameras)
    assert np.median(shifts) > 0.002 and max(shifts) < bound * MILD.camera.shift
    assert np.radians(0.5) < np.median(angles) and max(angles) < bound * MILD.camera.tilt


def test_light_stays_in_its_range(plain, varied):
    reference, model, warmths = model_of(plain), model_of(varied), []
    for seed in SEEDS:
        varied.set_looks(seed)
        factors = model.light_diffuse / reference.light_diffuse
        assert (factors[:, 1] > 0.74).all() and (factors[:, 1] < 1.26).all()
        warmths += list(factors[:, 0] / factors[:, 2])
        assert np.allclose(np.linalg.norm(model.light_dir, axis=1), 1, atol=1e-5)
        angles = np.arccos((model.light_dir * reference.light_dir).sum(axis=1).clip(-1, 1))
        assert (angles > 0).all() and (angles < np.sqrt(3) * MILD.light.tilt).all()
    assert min(warmths) < 0.97 and max(warmths) > 1.03


def test_every_kind_of_table_is_drawn_and_fills_the_tables_place(varied):
    model, kinds = model_of(varied), set()
    for seed in range(60):
        varied.set_looks(seed)
        kinds.add(model.mat(model.geom_matid[model.geom("looks/table").id]).name.split("/")[1].split("_")[0])
    assert kinds == set(MILD.table.covers)
    varied.reset(0)
    data, table, box = varied.physics.data.ptr, model.geom("table"), model.geom("looks/table")
    pose = data.geom(table.id).xmat.reshape(3, 3)
    half = np.abs(pose) @ model.geom_aabb[table.id][3:]
    assert np.allclose(box.size, half, atol=1e-6) and np.allclose(
        data.geom(box.id).xpos, data.geom(table.id).xpos
    )
    assert table.rgba[3] == 0 and box.rgba[3] == 1


def test_a_cable_lies_on_the_table_in_some_episodes(varied):
    model, data, seen = model_of(varied), varied.physics.data.ptr, []
    cable = [i for i in ours(model) if "cable" in model.geom(i).name]
    for seed in range(40):
        varied.set_looks(seed)
        varied.reset(0)
        shown = [i for i in cable if model.geom_rgba[i, 3]]
        seen.append(len(shown))
        if not shown:
            continue
        table = model.geom("looks/table")
        low, high = data.geom(table.id).xpos - table.size, data.geom(table.id).xpos + table.size
        points = data.geom_xpos[shown]
        assert (points[:, :2] > low[:2]).all() and (points[:, :2] < high[:2]).all()
        radius = points[:, 2] - high[2]
        assert (radius > 0.0019).all() and (radius < 0.0041).all()
        hue, saturation, value = rgb_to_hsv(model.geom_rgba[shown[0], :3])
        assert saturation < 0.2 or hue_distance(hue, 0) > 0.1, "no cable is red"
    assert 15 < sum(n > 0 for n in seen) < 38 and 15 < max(seen) <= SEGMENTS
    assert len(set(seen)) > 10 and MILD.cable.length[1] <= SEGMENTS * SEGMENT


def test_a_cables_path_is_smooth_and_enters_at_an_edge():
    low, high = np.array([-0.4, 0.1]), np.array([0.6, 0.8])
    for seed in range(50):
        path = cable_path(np.random.default_rng(seed), low, high, 30, bend=7.0)
        assert path.shape == (31, 2)
        assert np.isclose(path[0], low).any() or np.isclose(path[0], high).any()
        steps = np.diff(path, axis=0)
        assert np.allclose(np.linalg.norm(steps, axis=1), SEGMENT)
        turns = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
        assert np.abs(turns).max() <= 7.0 * SEGMENT + 1e-9
        assert ((path[10] > low) & (path[10] < high)).all(), "it has come in"


@pytest.mark.parametrize("kind", COVERS)
def test_textures_are_bright_enough_to_tint(kind):
    one, other = (COVERS[kind].pattern(np.random.default_rng(seed)) for seed in (0, 1))
    assert one.shape[:2] == (TEXTURE_PIXELS,) * 2 and 0.05 < one.min() <= one.max() <= 1
    assert one.mean() > 0.5 and (kind == "plain") == (one.std() < 0.01)
    if kind != "plain":
        assert not np.array_equal(one, other)
