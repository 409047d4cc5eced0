"""Contracts over every simulated task, ALOHA's names and physics, and the transfer task's stages."""

import ctypes.util
import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest

import sim_env
from constants import IMAGE_SIZE, TASKS, get_task
from sim_env import SimTask, build_model, make_sim_env

ROOT = Path(sim_env.__file__).parent
SIMULATED = [task for task in TASKS.values() if task.scene]
TRANSFER = get_task("sim_transfer_cube_scripted")
LEFT, RIGHT = (f"vx300s_{side}/10_{side}_gripper_finger" for side in ("left", "right"))  # those that count


@pytest.fixture(scope="module", params=SIMULATED, ids=[task.name for task in SIMULATED])
def env(request):
    env = make_sim_env(request.param)
    yield env
    env.close()


@pytest.fixture(scope="module")
def transfer():
    env = make_sim_env(TRANSFER)
    yield env
    env.close()


def drive(env, seed, steps=40):
    """Everything numeric of an episode under random actions, as one array."""
    step = env.reset(seed)
    home, rng = step.observation["qpos"], np.random.default_rng(0)
    rows = []
    for _ in range(steps):
        step = env.step(home + rng.normal(0, 0.1, home.shape))
        seen = step.observation
        rows.append(np.concatenate([seen["qpos"], seen["qvel"], env.physics.data.qpos, [step.reward]]))
    return np.array(rows)


# --- contracts over all tasks


def test_same_seed_same_trajectory(env):
    first = drive(env, seed=1)
    other = drive(env, seed=2)
    fresh = make_sim_env(env.task.spec)
    try:
        assert np.array_equal(first, drive(env, seed=1)), "in the same environment, after another episode"
        assert np.array_equal(first, drive(fresh, seed=1)), "in a new environment"
    finally:
        fresh.close()
    assert not np.array_equal(first, other)


def test_starts_vary_inside_their_regions(env):
    props, rng = env.task.spec.props, np.random.default_rng(0)
    starts = np.array([env.task.sample_start(rng) for _ in range(300)]).reshape(300, len(props), 7)
    for i, prop in enumerate(props):
        low, high = np.array(prop.low), np.array(prop.high)
        assert (starts[:, i, :3] >= low).all() and (starts[:, i, :3] <= high).all()
        assert np.allclose(np.ptp(starts[:, i, :3], axis=0), high - low, rtol=0.1), "the whole region is used"
        assert (starts[:, i, 3:] == [1, 0, 0, 0]).all()


def test_reset_puts_everything_where_it_says(env):
    task, data = env.task.spec, env.physics.named.data
    seen = env.reset(7).observation
    assert np.array_equal(env.env_state, env.task.sample_start(np.random.default_rng(7)))
    for prop, pose in zip(task.props, env.env_state.reshape(-1, 7), strict=True):
        assert np.array_equal(data.qpos[f"{prop.name}_joint"], pose)
    named = dict(zip(task.state_names, seen["qpos"], strict=True))
    for arm in task.arms:
        assert [named[f"{arm.label}_{joint}"] for joint in arm.joints] == list(arm.start)
        for joint, angle in zip(arm.joints, arm.start, strict=True):
            assert data.qpos[f"{arm.name}/{joint}"] == angle
    assert (seen["qvel"] == 0).all()
    wanted = env.env_state + np.tile([0.01, 0, 0, 0, 0, 0, 0], len(task.props))
    env.reset(env_state=wanted)
    assert np.array_equal(env.env_state, wanted), "a given start is taken as it is"


def test_a_generator_gives_one_start_after_another(env):
    if not env.task.spec.props:
        pytest.skip("nothing to place")
    rng, starts = np.random.default_rng(3), []
    for _ in range(2):
        env.reset(rng)
        starts.append(env.env_state)
    assert not np.array_equal(*starts)
    env.reset(3)
    assert np.array_equal(env.env_state, starts[0])


def test_observations_match_their_specs(env):
    specs = env.observation_spec()
    for first in (True, False):
        step = env.reset(0)
        step = step if first else env.step(step.observation["qpos"])
        observation = step.observation
        assert set(observation) == set(specs) == {"qpos", "qvel", "images"}
        for name in ("qpos", "qvel"):
            specs[name].validate(observation[name])
            assert observation[name].shape == (env.task.spec.dim,) and np.isfinite(observation[name]).all()
        assert list(observation["images"]) == list(specs["images"])
        for camera, spec in specs["images"].items():
            spec.validate(observation["images"][camera])


def test_actions_match_their_spec(env):
    spec, task = env.action_spec(), env.task.spec
    assert spec.shape == (task.dim,)
    grippers = [i for i, name in enumerate(task.state_names) if name.endswith("gripper")]
    assert (spec.minimum[grippers] == 0).all() and (spec.maximum[grippers] == 1).all()
    spec.validate(env.reset(0).observation["qpos"])
    joints = [f"{arm.name}/{joint}" for arm in task.arms for joint in arm.joints]
    limits = [env.physics.model.ptr.joint(name).range for name in joints]
    others = np.delete(np.stack([spec.minimum, spec.maximum], 1), grippers, axis=0)
    assert np.allclose(others, limits)


def test_an_action_reaches_its_joints(env):
    task = env.task.spec
    target = env.reset(0).observation["qpos"] + 0.1
    for _ in range(100):
        seen = env.step(target).observation["qpos"]
    joints = [i for i, name in enumerate(task.state_names) if not name.endswith("gripper")]
    assert np.abs(seen - target)[joints].max() < 0.02  # rad; gravity pulls a little


def test_grippers_reach_closed_and_open(env):
    task = env.task.spec
    home = env.reset(0).observation["qpos"]
    grippers = [i for i, name in enumerate(task.state_names) if name.endswith("gripper")]
    # ALOHA's fingers meet at 0.1 and stop at 0.975 of the travel that counts as [0, 1]
    for command, low, high in ((1, 0.96, 1), (0, 0, 0.11), (0.5, 0.49, 0.51), (9, 0.96, 1), (-9, 0, 0.11)):
        action = home.copy()
        action[grippers] = command
        for _ in range(100):
            seen = env.step(action).observation
        assert (low <= seen["qpos"][grippers]).all() and (seen["qpos"][grippers] <= high).all(), command
        assert np.abs(seen["qvel"][grippers]).max() < 1e-2


def test_gripper_velocity_has_the_units_of_its_position(env):
    action = env.reset(0).observation["qpos"].copy()
    grippers = [i for i, name in enumerate(env.task.spec.state_names) if name.endswith("gripper")]
    action[grippers] = 1.0
    seen = [env.step(action).observation for _ in range(6)]
    slope = (seen[-1]["qpos"] - seen[-3]["qpos"])[grippers] * env.task.spec.fps / 2
    assert slope.min() > 0.1, "still moving"
    assert np.allclose(seen[-2]["qvel"][grippers], slope, rtol=0.2)


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: np.append(s, 0), lambda s: s.reshape(-1, 7)])
def test_start_of_wrong_shape_is_refused(env, change):
    start = np.ones(7 * len(env.task.spec.props))
    with pytest.raises(ValueError, match="env_state has shape") as caught:
        env.reset(env_state=change(start))
    assert all(prop.name in str(caught.value) for prop in env.task.spec.props)


def test_control_runs_at_the_tasks_rate(env):
    env.reset(0)
    env.step(env.reset(0).observation["qpos"])
    assert env.control_timestep() == pytest.approx(1 / env.task.spec.fps)
    assert env.physics.time() == pytest.approx(1 / env.task.spec.fps)
    assert env.physics.timestep() == 0.002


def test_multi_contact_detection_is_off(env):
    """With it, on by default from MuJoCo 3.8, peg insertion no longer behaves as on 2.3.7."""
    options = env.physics.model.ptr.opt
    if hasattr(mujoco.mjtDisableBit, "mjDSBL_MULTICCD"):
        assert options.disableflags & mujoco.mjtDisableBit.mjDSBL_MULTICCD
    else:
        assert not options.enableflags & mujoco.mjtEnableBit.mjENBL_MULTICCD


# --- images


def test_images_show_something_and_differ(env):
    images = env.reset(0).observation["images"]
    assert set(env.task.spec.cameras) <= set(images)
    for camera, image in images.items():
        assert image.shape == (*IMAGE_SIZE, 3) and image.dtype == np.uint8
        assert image.mean() > 5 and image.std() > 5, f"{camera} is black"
    for one, other in itertools.combinations(images, 2):
        assert not np.array_equal(images[one], images[other]), (one, other)


def test_images_are_rendered_only_when_asked_for(env, monkeypatch):
    rendered, render = [], SimTask.render

    def count(self, physics, camera):
        rendered.append(camera)
        return render(self, physics, camera)

    monkeypatch.setattr(SimTask, "render", count)
    action = env.reset(0).observation["qpos"]
    for _ in range(5):
        images = env.step(action).observation["images"]
        assert len(images) == len(list(images))
    assert rendered == []
    camera = env.task.spec.cameras[0]
    assert images[camera] is images[camera]
    assert rendered == [camera]
    assert env.step(action).observation["images"][camera] is not images[camera]
    assert rendered == [camera] * 2


def test_an_old_image_is_kept_or_refused_but_never_wrong(env):
    seen, late, *_ = env.task.cameras
    old = env.reset(0).observation
    image, before = old["images"][seen], old["images"][seen].copy()
    action = old["qpos"] + 0.3
    for _ in range(10):
        new = env.step(action).observation["images"]
    assert not np.array_equal(new[seen], before)
    assert np.array_equal(old["images"][seen], before) and np.array_equal(image, before)
    with pytest.raises(RuntimeError, match=f"camera '{late}' was first asked for after"):
        old["images"][late]
    env.reset(0)
    with pytest.raises(RuntimeError, match="after the simulation had moved on"):
        new[late]


def test_unknown_camera_names_the_choices(env):
    images = env.reset(0).observation["images"]
    with pytest.raises(ValueError, match="unknown camera 'tops'; did you mean 'top'") as caught:
        images["tops"]
    assert all(camera in str(caught.value) for camera in images)


def test_full_quality_adds_shadows_and_smooth_edges():
    image = {}
    for quality in sim_env.QUALITIES:
        env = make_sim_env(TRANSFER, quality, (120, 160))
        image[quality] = env.reset(0).observation["images"]["top"].astype(int)
        assert image[quality].shape == (120, 160, 3) == env.observation_spec()["images"]["top"].shape
        env.close()
    changed = np.abs(image["full"] - image["fast"]).max(axis=2) > 5
    assert 0.02 < changed.mean() < 0.9  # the same view, otherwise lit
    assert image["full"].mean() < image["fast"].mean()
    assert build_model(TRANSFER, "fast").vis.quality.offsamples == 0
    assert build_model(TRANSFER, "full").vis.quality.offsamples == 4


def cube_in_image(env, x, y):
    """Column and row of the red cube's middle in the top view."""
    env.reset(env_state=np.array([x, y, 0.02, 1, 0, 0, 0]))
    image = env.task.render(env.physics, "top").astype(int)
    red = (image[..., 0] > 100) & (image[..., 1] < 60) & (image[..., 2] < 60)
    assert 30 < red.sum() < 3000
    return np.argwhere(red).mean(axis=0)[::-1]


def test_the_cube_is_red_and_is_seen_where_it_is(transfer):
    column, row = cube_in_image(transfer, 0.1, 0.5)
    right, _ = cube_in_image(transfer, 0.2, 0.5)
    _, far = cube_in_image(transfer, 0.1, 0.6)
    assert abs(right - column) > 30 and abs(far - row) > 30


def test_close_frees_the_renderers_and_may_be_repeated():
    env = make_sim_env(TRANSFER, image_size=(48, 64))
    env.reset(0).observation["images"]["top"]
    env.close()
    env.close()


# --- what can go wrong


def test_wrong_names_are_refused():
    with pytest.raises(ValueError, match="unknown render quality 'best'; choose from fast, full"):
        make_sim_env(TRANSFER, "best")
    with pytest.raises(ValueError, match="task 'real' has no scene to simulate"):
        make_sim_env(replace(TRANSFER, name="real", scene=None))


@pytest.mark.parametrize(
    ("set_already", "libraries", "chosen"),
    [
        ({}, {"EGL", "OSMesa"}, "egl"),
        ({}, {"OSMesa"}, "osmesa"),
        ({}, set(), "disabled"),
        ({"DISPLAY": ":0"}, {"EGL"}, None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, {"EGL"}, None),
        ({"DISPLAY": ""}, {"EGL"}, "egl"),
        ({"MUJOCO_GL": "glfw"}, {"EGL"}, "glfw"),
    ],
)
def test_choice_of_gl_backend(monkeypatch, set_already, libraries, chosen):
    monkeypatch.setattr(os, "environ", dict(set_already))
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: name if name in libraries else None)
    monkeypatch.setattr(sys, "platform", "linux")
    sim_env.choose_gl_backend()
    assert os.environ.get("MUJOCO_GL") == chosen


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_choose_their_own_gl(monkeypatch, platform):
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(sys, "platform", platform)
    sim_env.choose_gl_backend()
    assert os.environ == {}


def test_without_opengl_physics_runs_and_rendering_names_the_packages():
    code = (
        "import constants, sim_env\n"
        "env = sim_env.make_sim_env(constants.get_task('sim_transfer_cube_scripted'))\n"
        "observation = env.step(env.reset(0).observation['qpos']).observation\n"
        "try:\n"
        "    observation['images']['top']\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
        "env.close()\n"
    )
    environment = {**os.environ, "MUJOCO_GL": "disabled"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "apt-get install libegl1 libgl1-mesa-dri" in done.stdout and "libosmesa6" in done.stdout


# --- ALOHA: names and physics


def test_names_are_alohas():
    model = build_model(TRANSFER)
    joints = {model.joint(i).name for i in range(model.njnt)}
    parts = (*TRANSFER.arms[0].joints, "left_finger", "right_finger")
    assert parts[:3] == ("waist", "shoulder", "elbow")
    assert parts[3:6] == ("forearm_roll", "wrist_angle", "wrist_rotate")
    arms = {f"vx300s_{side}/{part}" for side in ("left", "right") for part in parts}
    assert joints == arms | {"red_box_joint"}
    assert {model.actuator(i).name for i in range(model.nu)} == arms
    geoms = {model.geom(i).name for i in range(model.ngeom)}
    fingers = {f"vx300s_{arm}/10_{f}_gripper_finger" for arm in ("left", "right") for f in ("left", "right")}
    assert {"red_box", "table"} | fingers <= geoms
    assert all(geoms), "every geom has a name"
    cameras = {model.camera(i).name for i in range(model.ncam)}
    pillars = {"left_pillar", "right_pillar"}
    assert cameras == {"top", "angle", "front_close", "left_wrist", "right_wrist"} | pillars


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "aloha_transfer_mujoco237.npz") as file:
        return dict(file)


@pytest.mark.parametrize("i", range(10))
def test_trajectories_of_mujoco_237_still_succeed(transfer, reference, i):
    transfer.reset(env_state=reference["env_state"][i])
    rewards = [transfer.step(action).reward for action in reference["action"][i]]
    assert max(rewards) == rewards[-1] == 4
    assert {0, 1, 2, 4} <= set(rewards), "touched, lifted, transferred"


# --- reward


def fake_contacts(task, touching):
    """A physics whose contacts are these pairs of names."""
    ids = [[task.geom_id[name] for name in pair] for pair in touching]
    contact = SimpleNamespace(geom=np.array(ids, np.int32).reshape(-1, 2))
    return SimpleNamespace(data=SimpleNamespace(ptr=SimpleNamespace(contact=contact)))


def stage_logic(task):
    """SimTask of `task` and the ids of its geoms."""
    model = build_model(task)
    sim_task = SimTask(task, model, "fast")
    sim_task.geom_id = {model.geom(i).name: i for i in range(model.ngeom)}
    return sim_task


def subsets(items):
    return itertools.chain.from_iterable(itertools.combinations(items, n) for n in range(len(items) + 1))


def test_reward_is_acts():
    task = stage_logic(TRANSFER)
    right, left, table = (RIGHT, "red_box"), ("red_box", LEFT), ("table", "red_box")
    for touching in subsets([right, left, table]):
        wanted = 0  # ACT: sim_env.py, TransferCubeTask.get_reward
        if right in touching:
            wanted = 1
        if right in touching and table not in touching:
            wanted = 2
        if left in touching:
            wanted = 3
        if left in touching and table not in touching:
            wanted = 4
        for order in itertools.permutations(touching):
            for pairs in itertools.product(*([pair, pair[::-1]] for pair in order)):
                assert task.get_reward(fake_contacts(task, pairs)) == wanted, pairs


def test_other_contacts_earn_nothing():
    task = stage_logic(TRANSFER)
    other_fingers = [("red_box", "vx300s_right/10_left_gripper_finger"), (LEFT, RIGHT), (LEFT, "table")]
    assert task.get_reward(fake_contacts(task, other_fingers)) == 0
    assert task.get_reward(fake_contacts(task, [*other_fingers, (RIGHT, "red_box")])) == 2


@pytest.mark.parametrize("spec", SIMULATED, ids=[task.name for task in SIMULATED])
def test_reward_is_the_highest_stage_that_holds(spec):
    task = stage_logic(spec)
    named = {frozenset(pair) for stage in spec.stages for pair in (*stage.touch, *stage.clear)}
    reached = set()
    for touching in subsets(sorted(tuple(sorted(pair)) for pair in named)):
        there = {frozenset(pair) for pair in touching}
        held = [
            number
            for number, stage in enumerate(spec.stages, start=1)
            if {frozenset(p) for p in stage.touch} <= there
            and not {frozenset(p) for p in stage.clear} & there
        ]
        reward = task.get_reward(fake_contacts(task, touching))
        assert reward == max(held, default=0)
        reached.add(reward)
    assert set(range(1, spec.max_reward + 1)) <= reached, "every stage can be reached"


def reward_with_cube_at(env, xyz):
    env.reset(env_state=np.array([*xyz, 1, 0, 0, 0], float))
    return env.task.get_reward(env.physics)


def test_reward_of_real_contacts(transfer):
    transfer.reset(0)
    grip = {
        arm: transfer.physics.named.data.site_xpos[f"vx300s_{arm}/grip_point"].copy()
        for arm in ("left", "right")
    }
    names = [transfer.physics.model.geom(i).name for i in range(transfer.physics.model.ngeom)]
    for xyz, wanted, pair in (
        ((0.1, 0.5, 0.05), 0, None),
        ((0.1, 0.5, 0.0199), 0, {"red_box", "table"}),
        (grip["right"], 2, {"red_box", RIGHT}),
        (grip["left"], 4, {"red_box", LEFT}),
    ):
        assert reward_with_cube_at(transfer, xyz) == wanted
        pairs = [{names[a], names[b]} for a, b in transfer.physics.data.ptr.contact.geom]
        assert (pair in pairs) if pair else not any("red_box" in p for p in pairs)


def test_the_cube_falls_onto_the_table_and_stays(transfer):
    action = transfer.reset(env_state=np.array([0.1, 0.5, 0.05, 1, 0, 0, 0])).observation["qpos"]
    for _ in range(50):
        step = transfer.step(action)
    x, y, z = transfer.physics.named.data.qpos["red_box_joint"][:3]
    assert (x, y, z) == pytest.approx((0.1, 0.5, 0.02), abs=2e-3) and step.reward == 0
