"""What `Looks` needs in a scene: one fixed body without mass or contacts, invisible at first."""

from __future__ import annotations

from tasks.looks.cable import SEGMENT, SEGMENTS
from tasks.looks.covers import add_materials
from tasks.looks.things import MOST_THINGS
from tasks.opengl import mujoco

WALLS = 4


def add_assets(spec: mujoco.MjSpec, has_walls: bool = True) -> None:
    """Add it to a complete scene: a box as table, textures, a cable, a floor and walls, and things."""
    add_materials(spec)
    body = spec.worldbody.add_body(name="looks")  # the last: ids of all else stay
    # Boxes for the cable too: in software, 25 capsules cost an eighth of a picture's time.
    box = {"type": mujoco.mjtGeom.mjGEOM_BOX, "size": [SEGMENT / 2] * 3, "rgba": [0, 0, 0, 0]}
    names = ["table", *(f"cable_{i}" for i in range(SEGMENTS)), "floor"]
    names += [f"wall_{i}" for i in range(WALLS)] if has_walls else []
    names += [f"thing_{i}" for i in range(2 * MOST_THINGS)]  # each with its top
    for name in names:
        body.add_geom(name=f"looks/{name}", contype=0, conaffinity=0, mass=0, **box)
