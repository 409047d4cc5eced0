"""The meshes that are drawn in fast quality: as good as the full ones for the eye, and nothing to physics."""

import mujoco
import numpy as np
import pytest
from simulated_tasks import SIMULATED

import sim_env
from constants import TASKS
from tasks import build_model, lightened

DEVIATION = 0.8e-3  # m; half a pixel of camera `top`, at the height of a raised gripper
NEAR_DEVIATION = 0.3e-3  # m; of what the wrist cameras see from close by
NEAR = ("7_gripper", "8_gripper_prop", "9_gripper_bar", "10_left_gripper_finger", "10_right_gripper_finger")
SAMPLES = 60
SCENES = list({task.scene: task for task in SIMULATED}.values())


def triangles(model, mesh):
    """(F, 3, 3) in m, in the mesh's own frame."""
    first = model.mesh_faceadr[mesh]
    corners = model.mesh_face[first : first + model.mesh_facenum[mesh]]
    return model.mesh_vert[model.mesh_vertadr[mesh] + corners].astype(float)


def of_body(model, body):
    """Triangles (F, 3, 3) of all meshes of a body, in its frame, and the geom of each (F,)."""
    parts, geoms = [], []
    for geom in range(model.body_geomadr[body], model.body_geomadr[body] + model.body_geomnum[body]):
        mesh, pose = model.geom_dataid[geom], np.zeros(9)
        if mesh >= 0:
            mujoco.mju_quat2Mat(pose, model.geom_quat[geom])
            parts.append(triangles(model, mesh) @ pose.reshape(3, 3).T + model.geom_pos[geom])
            geoms.append(np.full(len(parts[-1]), geom))
    return np.concatenate(parts), np.concatenate(geoms)


def distances(points, corners):
    """From each point (N, 3) to the nearest of the triangles (F, 3, 3): (N,)."""
    nearest = np.full(len(points), np.inf)
    a, b, c = corners.swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-30
    for i, point in enumerate(points):
        height = ((point - a) * normal).sum(axis=1)
        is_above = np.ones(len(a), bool)
        to_edges = np.full(len(a), np.inf)
        for start, end in ((a, b), (b, c), (c, a)):
            along = end - start
            share = ((point - start) * along).sum(axis=1) / ((along**2).sum(axis=1) + 1e-30)
            foot = start + np.clip(share, 0, 1)[:, None] * along
            to_edges = np.minimum(to_edges, np.linalg.norm(point - foot, axis=1))
            is_above &= (np.cross(along, point - start) * normal).sum(axis=1) >= 0
        nearest[i] = np.where(is_above, np.abs(height), to_edges).min()
    return nearest


def on_surface(corners, rng):
    """Random points (SAMPLES, 3) on triangles."""
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = corners[rng.choice(len(corners), SAMPLES, p=areas / areas.sum())]
    return (rng.dirichlet(np.ones(3), SAMPLES)[..., None] * chosen).sum(axis=1)


def first_hits(corners, geoms, rng):
    """Where random lines from far away first meet the front of a triangle (N, 3), and whose geom's it is."""
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    a, b, c = corners.swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    hits, owners = [], []
    for _ in range(4 * SAMPLES):
        ahead = rng.standard_normal(3)
        ahead /= np.linalg.norm(ahead)
        start = rng.uniform(low, high) - 10 * ahead
        slope = normal @ ahead
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = ((a - start) * normal).sum(axis=1) / slope
        points = start + reach[:, None] * ahead
        is_hit = slope < 0
        for first, second in ((a, b), (b, c), (c, a)):
            is_hit &= (np.cross(second - first, points - first) * normal).sum(axis=1) >= 0
        if is_hit.any():
            nearest = np.where(is_hit, reach, np.inf).argmin()
            hits.append(points[nearest])
            owners.append(geoms[nearest])
    return np.array(hits), np.array(owners)


def bound(model, mesh):
    return NEAR_DEVIATION if model.mesh(mesh).name.rpartition("/")[2] in NEAR else DEVIATION


ARM = build_model(TASKS["sim_move_cube_scripted"])  # both arms have the same meshes
LIGHT = lightened(ARM)
BODIES = [i for i in range(ARM.nbody) if "/" in ARM.body(i).name and (ARM.geom_bodyid == i).any()]


@pytest.mark.parametrize("body", BODIES, ids=lambda i: ARM.body(i).name)
def test_what_is_seen_of_a_body_is_near_its_light_meshes(body):
    rng = np.random.default_rng(body)
    hits, owners = first_hits(*of_body(ARM, body), rng)
    light, geoms = of_body(LIGHT, body)
    assert len(hits) > SAMPLES / 2
    for geom in np.unique(owners):
        off = distances(hits[owners == geom], light[geoms == geom])
        assert off.max() < bound(ARM, ARM.geom_dataid[geom])


@pytest.mark.parametrize("mesh", range(ARM.nmesh), ids=lambda i: ARM.mesh(i).name)
def test_a_light_mesh_is_near_the_full_one(mesh):
    full, light = triangles(ARM, mesh), triangles(LIGHT, mesh)
    assert len(light) <= len(full)
    assert distances(on_surface(light, np.random.default_rng(mesh)), full).max() < bound(ARM, mesh)


def saved(model):
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer


@pytest.mark.parametrize("task", SCENES, ids=lambda task: task.scene)
def test_drawing_leaves_the_simulated_model_as_it_is(task):
    env = sim_env.make_sim_env(task, image_size=(48, 64))
    model = env.physics.model.ptr
    before = saved(model)
    env.reset(0)
    env.render(task.cameras[0])
    assert np.array_equal(saved(model), before)
    env.close()


def pictures(task, quality):
    env = sim_env.make_sim_env(task, quality)
    env.reset(0)
    drawn = {camera: env.render(camera).astype(int) for camera in env.cameras}
    env.close()
    return drawn


@pytest.mark.parametrize("task", SCENES, ids=lambda task: task.scene)
def test_only_edges_differ_in_a_picture(task, monkeypatch):
    light = pictures(task, "fast")
    monkeypatch.setattr(sim_env, "draw_light", lambda physics: None)
    for camera, full in pictures(task, "fast").items():
        off = np.abs(light[camera] - full)
        assert off.mean() < 0.3 and (off.max(axis=2) > 16).mean() < 0.005


def test_full_quality_draws_the_arms_own_meshes(monkeypatch):
    monkeypatch.setattr(sim_env, "draw_light", lambda physics: pytest.fail("drawn light"))
    pictures(SCENES[0], "full")
