"""The bodies of a simulated scene for 3-D viewers: what they look like, and where they are in an episode."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from constants import TASKS
from episodes import Episode
from sim_env import make_sim_env
from tasks import Task, mujoco

SHOWN_GROUPS = 3  # MuJoCo draws geoms of groups 0, 1 and 2 unless told otherwise
SEGMENTS = 24  # of a circle
HALF_PLANE = 1.5  # m, of an infinite plane
DRIFT = 0.02  # rad; a repeated episode that is further off has gone another way


@dataclass(frozen=True, eq=False)
class Shape:
    """What one body looks like."""

    body: str
    triangles: np.ndarray  # (F, 3, 3) float32, m, corners in the body's frame
    colors: np.ndarray  # (F, 4) uint8 RGBA


@dataclass(frozen=True, eq=False)
class BodyPoses:
    """Where bodies, or cameras, are at each of T steps, in the world's frame."""

    names: tuple[str, ...]
    xyz: np.ndarray  # (T, N, 3), m
    wxyz: np.ndarray  # (T, N, 4), unit quaternions


@dataclass(frozen=True, eq=False)
class Scene3D:
    """An episode in three dimensions."""

    shapes: tuple[Shape, ...]
    bodies: BodyPoses
    cameras: BodyPoses
    fovy: dict[str, float]  # degrees, by camera
    arm_bodies: tuple[int, ...]  # which of the bodies are parts of arms
    note: str  # for the reader: where the motion is from


def twin_of(episode: Episode) -> Task | None:
    """A simulated task with the episode's arms: its own or one like it; None if there is none."""
    task = TASKS.get(episode.task)
    if task is None or task.dim != episode.qpos.shape[1]:
        return None
    if task.scene:
        return task
    likes = (other for other in TASKS.values() if other.scene and other.arms == task.arms)
    return next((replace(other, name=task.name) for other in likes), None)


def scene_3d(episode: Episode) -> Scene3D | None:
    """An episode in three dimensions; None where no scene is known for it.

    Arms are where the recorded state says. Props are where the simulation takes them when the actions are
    sent once more; they are left out if the episode does not say how they started, or now goes another way.
    """
    task = twin_of(episode)
    if task is None:
        return None
    simulated = _props_qpos(task, episode)
    env = make_sim_env(task, has_props=simulated is not None)
    try:
        model = env.physics.model.ptr
        bodies, cameras = _follow(env, episode, simulated)
        shapes = tuple(shape for body in range(model.nbody) if (shape := _shape(model, body)))
        fovy = {model.camera(i).name: float(model.cam_fovy[i]) for i in range(model.ncam)}
    finally:
        env.close()
    note = "the actions, sent once more in simulation" if simulated is not None else "not known: left out"
    arms = tuple(f"{arm.name}/" for arm in task.arms)
    arm_bodies = tuple(i for i, name in enumerate(bodies.names) if name.startswith(arms))
    return Scene3D(shapes, bodies, cameras, fovy, arm_bodies, f"arms: the recorded state; objects: {note}")


def _props_qpos(task: Task, episode: Episode) -> np.ndarray | None:
    """(T, nq) MuJoCo's state at each step when the actions are sent once more; None if it cannot be had."""
    is_whole = episode.sim and episode.env_state is not None and episode.action.shape[1] == task.dim
    if not is_whole or len(episode.env_state) != 7 * len(task.props):
        return None
    env = make_sim_env(task)
    try:
        step, rows = env.reset(env_state=episode.env_state), []
        for action, recorded in zip(episode.action, episode.qpos, strict=True):
            if np.abs(step.observation["qpos"] - recorded).max() > DRIFT:
                return None
            rows.append(env.physics.data.qpos.copy())
            step = env.step(action)
    finally:
        env.close()
    return np.array(rows)


def _follow(env, episode: Episode, simulated: np.ndarray | None) -> tuple[BodyPoses, BodyPoses]:
    """Where bodies and cameras are at each step; props as `simulated` (T, nq) has them."""
    model, data = env.physics.model.ptr, env.physics.data.ptr
    bodies: list[tuple[np.ndarray, np.ndarray]] = []
    cameras: list[tuple[np.ndarray, np.ndarray]] = []
    for t, state in enumerate(episode.qpos):
        if simulated is not None:
            data.qpos[:] = simulated[t]
        env.pose(state)
        bodies.append((data.xpos.copy(), data.xquat.copy()))
        cameras.append((data.cam_xpos.copy(), np.array([_quaternion(matrix) for matrix in data.cam_xmat])))
    body_names = tuple(model.body(i).name for i in range(model.nbody))
    camera_names = tuple(model.camera(i).name for i in range(model.ncam))
    return BodyPoses(body_names, *map(np.array, zip(*bodies, strict=True))), BodyPoses(
        camera_names, *map(np.array, zip(*cameras, strict=True))
    )


def _quaternion(matrix: np.ndarray) -> np.ndarray:
    """wxyz of a rotation matrix (9,)."""
    wxyz = np.empty(4)
    mujoco.mju_mat2Quat(wxyz, matrix)
    return wxyz


# --- what bodies look like


def _shape(model: mujoco.MjModel, body: int) -> Shape | None:
    """All visible geoms of a body; None if it has none."""
    triangles, colors = [], []
    first = model.body_geomadr[body]
    for geom in range(first, first + model.body_geomnum[body]):
        color = _color(model, geom)
        if model.geom_group[geom] >= SHOWN_GROUPS or not color[3]:
            continue
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
        corners = _triangles(model, geom) @ rotation.reshape(3, 3).T + model.geom_pos[geom]
        triangles.append(corners.astype(np.float32))
        colors.append(np.tile(color, (len(corners), 1)))
    if not triangles:
        return None
    return Shape(model.body(body).name, np.concatenate(triangles), np.concatenate(colors))


def _color(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """RGBA (4,) uint8 of a geom; a texture's mean."""
    material = model.geom_matid[geom]
    if material < 0:
        return np.round(255 * model.geom_rgba[geom]).astype(np.uint8)
    rgba = 255 * model.mat_rgba[material]
    texture = model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB]
    if texture >= 0:
        channels = model.tex_nchannel[texture]
        size = model.tex_height[texture] * model.tex_width[texture] * channels
        begin = model.tex_adr[texture]
        rgba[:3] *= model.tex_data[begin : begin + size].reshape(-1, channels)[:, :3].mean(axis=0) / 255
    return np.round(rgba).astype(np.uint8)


def _triangles(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """(F, 3, 3) corners of a geom in its own frame (MuJoCo's XML reference: geom/type, geom/size)."""
    form, size = mujoco.mjtGeom(model.geom_type[geom]), model.geom_size[geom]
    turn = np.linspace(-np.pi / 2, np.pi / 2, SEGMENTS // 2 + 1)
    half_circle = np.column_stack([np.cos(turn), np.sin(turn)])  # radius, height
    if form == mujoco.mjtGeom.mjGEOM_MESH:
        return _mesh(model, model.geom_dataid[geom])
    if form == mujoco.mjtGeom.mjGEOM_BOX:
        return _box() * size
    if form == mujoco.mjtGeom.mjGEOM_PLANE:
        return _box() * [size[0] or HALF_PLANE, size[1] or HALF_PLANE, 0.0]
    if form == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return _revolved(np.array([[0, -1], [1, -1], [1, 1], [0, 1]])) * [size[0], size[0], size[1]]
    if form == mujoco.mjtGeom.mjGEOM_CAPSULE:
        quarter = half_circle[SEGMENTS // 4 :] * size[0]  # from the equator up
        upper = quarter + [0, size[1]]
        return _revolved(np.concatenate([upper[::-1] * [1, -1], upper]))
    if form in (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_ELLIPSOID):
        return _revolved(half_circle) * (size if form == mujoco.mjtGeom.mjGEOM_ELLIPSOID else size[0])
    return np.zeros((0, 3, 3))  # height fields and the like; our scenes have none


def _mesh(model: mujoco.MjModel, mesh: int) -> np.ndarray:
    faces, corners = model.mesh_faceadr[mesh], model.mesh_vertadr[mesh]
    picked = model.mesh_face[faces : faces + model.mesh_facenum[mesh]]
    return model.mesh_vert[corners : corners + model.mesh_vertnum[mesh]][picked].astype(float)


def _box() -> np.ndarray:
    """(12, 3, 3): the cube from -1 to 1."""
    square = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], float)
    top = np.array([square[[0, 1, 2]], square[[0, 2, 3]]])
    sides = [np.roll(top, k, axis=2) for k in range(3)]
    return np.concatenate([*sides, *(-side[:, ::-1] for side in sides)])


def _revolved(profile: np.ndarray) -> np.ndarray:
    """(F, 3, 3): a profile (K, 2) of radius and height, from bottom to top, turned about the z axis."""
    angles = np.linspace(0, 2 * np.pi, SEGMENTS + 1)
    radius, height = profile.T
    heights = np.tile(height, (SEGMENTS + 1, 1))
    ring = np.stack(
        [np.outer(np.cos(angles), radius), np.outer(np.sin(angles), radius), heights], axis=-1
    )  # (angles, K, 3)
    a, b, c, d = ring[:-1, :-1], ring[1:, :-1], ring[1:, 1:], ring[:-1, 1:]
    corners = np.concatenate([np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)]).reshape(-1, 3, 3)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return corners[areas > 1e-12]  # at the poles half of the triangles are mere lines
