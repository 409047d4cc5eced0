"""Bodies in three dimensions: their surfaces, and where they are in an episode."""

import dataclasses

import mujoco
import numpy as np
import pytest

from constants import TASKS
from episodes.episode import Episode
from sim_env import make_sim_env
from viewers.scenes import shapes

MYCOBOT = TASKS["sim_mycobot320_choose_scripted"]
PRIMITIVES = """
<mujoco><worldbody><body name="one"><geom name="g" {}/></body></worldbody></mujoco>
"""


def volume(triangles):
    """m^3, by the divergence theorem; negative if the corners are in the wrong order."""
    a, b, c = np.moveaxis(triangles.astype(float), 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize(
    ("geom", "wanted"),
    [
        ('type="box" size="1 2 3"', 48),
        ('type="sphere" size="1"', 4 / 3 * np.pi),
        ('type="cylinder" size="1 2"', 4 * np.pi),
        ('type="capsule" size="1 2"', 4 * np.pi + 4 / 3 * np.pi),
        ('type="ellipsoid" size="1 2 3"', 8 * np.pi),
        ('type="box" size="1 1 1" pos="5 0 0" euler="10 20 30"', 8),
    ],
)
def test_surfaces_enclose_the_volume_of_the_geom(geom, wanted):
    model = mujoco.MjModel.from_xml_string(PRIMITIVES.format(geom))
    shape = shapes._shape(model, 1)
    assert shape.body == "one" and len(shape.colors) == len(shape.triangles)
    assert volume(shape.triangles) == pytest.approx(wanted, rel=0.04)  # circles have 24 corners


def test_a_body_has_its_meshes_and_colours():
    task = TASKS["sim_insertion_scripted"]
    env = make_sim_env(task)
    model = env.physics.model.ptr
    drawn = {shape.body: shape for i in range(model.nbody) if (shape := shapes._shape(model, i))}
    env.close()
    assert np.array_equal(drawn["peg"].colors[0], (255, 0, 0, 255))
    assert np.array_equal(drawn["socket"].colors[0], (0, 0, 255, 255))
    assert len(drawn["vx300s_left/base_link"].triangles) > 1000
    assert volume(drawn["vx300s_left/gripper_link"].triangles) > 0
    assert np.ptp(drawn["peg"].triangles.reshape(-1, 3), axis=0).max() == pytest.approx(0.12, abs=0.06)


def drive(task, steps=30):
    """An episode of small random motions, and where its bodies really were (steps, bodies, 3)."""
    env = make_sim_env(task)
    step, rng = env.reset(rng=3), np.random.default_rng(0)
    rows, places = [], []
    target = step.observation["qpos"].copy()
    for _ in range(steps):
        target = (target + rng.normal(scale=0.02, size=task.dim)).astype(np.float32)
        places.append(env.physics.data.xpos.copy())
        rows.append((step.observation["qpos"], target))
        step = env.step(target)
    start = env.env_state
    env.close()
    qpos, action = map(np.array, zip(*rows, strict=True))
    return Episode(qpos, action, env_state=start, task=task.name, fps=task.fps), np.array(places)


@pytest.mark.parametrize("name", ["sim_transfer_cube_scripted", MYCOBOT.name])
def test_bodies_are_where_the_simulation_had_them(name):
    task = TASKS[name]
    episode, places = drive(task)
    scene = shapes.scene_3d(episode)
    assert scene.bodies.xyz.shape == places.shape == (30, len(scene.bodies.names), 3)
    off = np.linalg.norm(scene.bodies.xyz - places, axis=2).max(axis=0)
    moved = np.linalg.norm(places - places[0], axis=2).max(axis=0)
    hand = ("left", "right") if task.arms[0].reports_command else ("finger",)
    parts = [body.split("/")[-1] for body in scene.bodies.names]
    is_hand = np.array([any(word in part for word in hand) for part in parts])
    assert off[~is_hand].max() < 1e-4  # m; the file has float32
    assert off[is_hand].max() < 0.01  # the state has one number for all fingers
    assert moved.max() > 0.01 and "sent once more" in scene.note
    np.testing.assert_allclose(np.linalg.norm(scene.bodies.wxyz, axis=2), 1)


def test_an_episode_that_goes_another_way_has_no_props():
    episode, _ = drive(MYCOBOT, steps=15)
    other = dataclasses.replace(episode, action=episode.action + 0.2)
    scene = shapes.scene_3d(other)
    assert "cube" not in scene.bodies.names and "left out" in scene.note
    assert "cube" not in shapes.scene_3d(dataclasses.replace(episode, env_state=None)).bodies.names


def test_a_real_arm_is_shown_as_its_twin():
    qpos = np.zeros((3, 7))
    episode = Episode(qpos, qpos, task="mycobot320_move_cube", sim=False)
    scene = shapes.scene_3d(episode)
    assert "mycobot320/link6" in scene.bodies.names and "cube" not in scene.bodies.names
    names = [scene.bodies.names[i] for i in scene.arm_bodies]
    assert names and all(name.startswith("mycobot320/") for name in names)


@pytest.mark.parametrize(("task", "dim"), [("unheard of", 7), ("", 7), (MYCOBOT.name, 6)])
def test_no_scene_is_made_up(task, dim):
    assert shapes.scene_3d(Episode(np.zeros((2, dim)), np.zeros((2, dim)), task=task)) is None
