"""Meshes with fewer faces to draw in place of a scene's own: software rendering pays for every face.

Only drawing uses them. What collides, and all other physics, is the model's. `bench/light_meshes.py` makes
their file.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.opengl import mujoco

if TYPE_CHECKING:  # it opens OpenGL
    from dm_control import mujoco as dm_mujoco

LIGHT_MESHES = Path(__file__).resolve().parents[2] / "assets/light_meshes.npz"


def light_name(model: mujoco.MjModel, mesh: int) -> str:
    """Name in the file of what stands for a mesh: the mesh's without its arm's, and its number of faces."""
    return f"{model.mesh(mesh).name.rpartition('/')[2]}.{model.mesh_facenum[mesh]}"


def lightened(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy of a model to draw from, whose meshes are the light ones; those without one stay.

    The file says for each mesh which of its face corners, counted from its first, are joined to faces (F, 3).
    So positions and normals are the mesh's own.
    """
    light = copy.copy(model)
    with np.load(LIGHT_MESHES) as stored:
        for mesh in range(model.nmesh):
            name = light_name(model, mesh)
            if name not in stored:
                continue
            corners = stored[name]
            first = model.mesh_faceadr[mesh]
            own = slice(first, first + model.mesh_facenum[mesh])
            for field in ("mesh_face", "mesh_facenormal", "mesh_facetexcoord"):
                faces = getattr(model, field)[own].ravel()[corners]
                getattr(light, field)[first : first + len(corners)] = faces
            light.mesh_facenum[mesh] = len(corners)
    return light


def draw_light(physics: dm_mujoco.Physics) -> None:
    """Let all that is drawn of a physics from now on show the light meshes."""
    model, contexts = lightened(physics.model.ptr), physics.contexts
    with contexts.gl.make_current() as context:
        for mesh in range(model.nmesh):
            context.call(mujoco.mjr_uploadMesh, model, contexts.mujoco.ptr, mesh)
