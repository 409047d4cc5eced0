"""Make assets/light_meshes.npz, what `tasks/scene/light_meshes.py` draws, from the arm's own meshes.

pip install meshoptimizer && python3 -m bench.light_meshes

First, faces are left out that the rest of their body hides from every side. Then meshoptimizer collapses
edges, as long as neither the surface nor its normals change by more than a tolerance. Vertices stay in their
places.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from constants import get_task
from tasks import LIGHT_MESHES, build_model, light_name, mujoco, opengl_explained

with opengl_explained():
    from dm_control import _render
    from OpenGL import GL  # after it, which chooses how

TASK = "sim_move_cube_scripted"  # one arm is enough: both have the same meshes
VIEWS, PIXELS = 3000, 1024  # directions from which a body is looked at; side of each picture
TOLERANCE = 0.3e-3  # m
NEAR = {"7_gripper": 0.1e-3, "8_gripper_prop": 0.1e-3, "9_gripper_bar": 0.1e-3}  # m, before the wrist camera
NEAR |= {"10_left_gripper_finger": 0.1e-3, "10_right_gripper_finger": 0.1e-3}
NORMAL = 10e-3  # m that count as much as a normal's change by 1


class Body:
    """The triangles of all meshes of a body: `corners` (F, 3, 3) in m, and the mesh of each."""

    def __init__(self, model: mujoco.MjModel, body: int) -> None:
        first = model.body_geomadr[body]
        geoms = [g for g in range(first, first + model.body_geomnum[body]) if model.geom_dataid[g] >= 0]
        corners, meshes = [np.zeros((0, 3, 3))], [np.zeros(0, int)]
        for geom in geoms:
            mesh, pose = model.geom_dataid[geom], np.zeros(9)
            mujoco.mju_quat2Mat(pose, model.geom_quat[geom])
            points = vertices(model, mesh) @ pose.reshape(3, 3).T + model.geom_pos[geom]
            corners.append(points[faces(model, mesh)])
            meshes.append(np.full(model.mesh_facenum[mesh], mesh))
        self.corners, self.meshes = np.concatenate(corners), np.concatenate(meshes)


def vertices(model: mujoco.MjModel, mesh: int) -> np.ndarray:
    """(V, 3) in m."""
    first = model.mesh_vertadr[mesh]
    return model.mesh_vert[first : first + model.mesh_vertnum[mesh]].astype(float)


def faces(model: mujoco.MjModel, mesh: int) -> np.ndarray:
    """(F, 3) numbers of vertices."""
    first = model.mesh_faceadr[mesh]
    return model.mesh_face[first : first + model.mesh_facenum[mesh]]


def directions(count: int) -> Iterator[np.ndarray]:
    """So many unit vectors (3,), evenly spread over the sphere."""
    for i in range(count):
        z, turn = 1 - (2 * i + 1) / count, np.pi * (1 + 5**0.5) * i
        yield np.array([np.cos(turn) * np.sqrt(1 - z * z), np.sin(turn) * np.sqrt(1 - z * z), z])


def seen_faces(corners: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which of the faces (F,) are seen from anywhere outside; needs OpenGL's context.

    A line of sight from outside goes on to infinity without meeting the body again, so parallel projections
    show all that any camera can see.
    """
    numbers = np.arange(1, len(corners) + 1, dtype=np.uint32)
    colours = np.repeat(np.ascontiguousarray(numbers | 0xFF000000).view(np.uint8).reshape(-1, 4), 3, axis=0)
    points = corners.reshape(-1, 3) - (corners.min(axis=(0, 1)) + corners.max(axis=(0, 1))) / 2
    points /= 1.01 * np.linalg.norm(points, axis=1).max()
    seen = np.zeros(len(corners) + 1, bool)
    GL.glColorPointer(4, GL.GL_UNSIGNED_BYTE, 0, colours)
    for ahead in directions(VIEWS):
        right = np.cross(rng.standard_normal(3), ahead)
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(ahead, right), -ahead], axis=1)
        GL.glClear(GL.GL_COLOR_BUFFER_BIT | GL.GL_DEPTH_BUFFER_BIT)
        GL.glVertexPointer(3, GL.GL_FLOAT, 0, np.ascontiguousarray(points @ axes, np.float32))
        GL.glDrawArrays(GL.GL_TRIANGLES, 0, len(points))
        picture = GL.glReadPixels(0, 0, PIXELS, PIXELS, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE)
        seen[np.unique(np.frombuffer(picture, np.uint32) & 0xFFFFFF)] = True
    return seen[1:]


def prepare_drawing() -> None:
    """A frame buffer with depth, and faces in plain colours, as MuJoCo draws them: without their backs."""
    GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, GL.glGenFramebuffers(1))
    kinds = {GL.GL_COLOR_ATTACHMENT0: GL.GL_RGBA8, GL.GL_DEPTH_ATTACHMENT: GL.GL_DEPTH_COMPONENT24}
    for attachment, kind in kinds.items():
        buffer = GL.glGenRenderbuffers(1)
        GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
        GL.glRenderbufferStorage(GL.GL_RENDERBUFFER, kind, PIXELS, PIXELS)
        GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, attachment, GL.GL_RENDERBUFFER, buffer)
    GL.glViewport(0, 0, PIXELS, PIXELS)
    for switch in (GL.GL_DEPTH_TEST, GL.GL_CULL_FACE):
        GL.glEnable(switch)
    for switch in (GL.GL_LIGHTING, GL.GL_DITHER):
        GL.glDisable(switch)
    GL.glShadeModel(GL.GL_FLAT)
    for array in (GL.GL_VERTEX_ARRAY, GL.GL_COLOR_ARRAY):
        GL.glEnableClientState(array)


def visible(model: mujoco.MjModel) -> dict[int, np.ndarray]:
    """By mesh: which of its faces (F,) are seen, or have all their corners on faces that are."""
    kept = {}
    rng = np.random.default_rng(0)
    prepare_drawing()
    for number in tqdm(range(model.nbody), unit="body"):
        body = Body(model, number)
        if not len(body.corners):
            continue
        seen = seen_faces(body.corners, rng)
        for mesh in np.unique(body.meshes):
            corners = faces(model, mesh)
            is_seen = np.zeros(model.mesh_vertnum[mesh], bool)
            is_seen[corners[seen[body.meshes == mesh]]] = True
            kept[int(mesh)] = is_seen[corners].all(axis=1)
    return kept


def simplified(
    points: np.ndarray, normals: np.ndarray, triangles: np.ndarray, tolerance: float
) -> np.ndarray:
    """Triangles (F, 3) of the same points (V, 3), fewer, that change the surface by about a tolerance (m)."""
    import ctypes

    import meshoptimizer
    from meshoptimizer.simplifier import lib

    of = ctypes.POINTER
    number, real, size = of(ctypes.c_uint), of(ctypes.c_float), ctypes.c_size_t
    lib.meshopt_simplifyWithAttributes.argtypes = [  # version 0.2.30a0 declares them without the locks
        *(number, number, size, real, size, size, real, size, real, size),
        *(of(ctypes.c_ubyte), size, ctypes.c_float, ctypes.c_uint, real),
    ]
    corners = np.ascontiguousarray(triangles, np.uint32).ravel()
    left = np.empty_like(corners)
    count = meshoptimizer.simplify_with_attributes(
        left,
        corners,
        np.ascontiguousarray(points, np.float32),
        np.ascontiguousarray(normals, np.float32),
        np.full(3, NORMAL / np.ptp(points, axis=0).max(), np.float32),
        target_index_count=0,
        target_error=tolerance,
        options=meshoptimizer.SIMPLIFY_ERROR_ABSOLUTE,
    )
    return left[:count].reshape(-1, 3)


def light_corners(model: mujoco.MjModel, mesh: int, kept: np.ndarray) -> np.ndarray:
    """(F, 3) corners of a mesh, counted from its first face's first, that make its light faces."""
    full, points = faces(model, mesh), vertices(model, mesh)
    normals = model.mesh_normal[model.mesh_normaladr[mesh] :][: model.mesh_normalnum[mesh]]
    name = model.mesh(mesh).name.rpartition("/")[2]
    left = simplified(points, normals, full[kept], NEAR.get(name, TOLERANCE))
    corner_of = np.zeros(len(points), np.uint16)
    corner_of[full.ravel()] = np.arange(full.size)
    return corner_of[left]


def main() -> None:
    """Write the file, and print how many faces are left of each mesh."""
    model = build_model(get_task(TASK))
    with _render.Renderer(PIXELS, PIXELS).make_current() as context:
        kept = context.call(visible, model)
    light = {}
    for mesh, is_kept in kept.items():
        light[light_name(model, mesh)] = light_corners(model, mesh, is_kept)
        print(f"{light_name(model, mesh)}: {is_kept.sum()} seen, {len(light[light_name(model, mesh)])} drawn")
    np.savez_compressed(LIGHT_MESHES, **light)


if __name__ == "__main__":
    main()
