"""How a simulated scene looks, drawn anew for each episode or step: domain randomisation (Tobin et al. 2017).

Light, colours, camera poses, the table's cover, and a cable lying on it. Only what is seen changes: the added
assets are one fixed body without mass or contacts, after everything else, so that joints, contacts and their
order stay those of the scene without it.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np

from tasks.look_covers import COVERS, add_materials, material_name
from tasks.look_ranges import (
    MILD,
    CableRanges,
    CameraRanges,
    ColourRanges,
    LightRanges,
    LookPlan,
    Ranges,
    TableRanges,
)
from tasks.opengl import mujoco
from tasks.parts import Arm

SEGMENT = 0.02  # m, of the cable
BEND_EVERY = 6  # segments from one random curvature to the next
CABLE_SEGMENTS = 38
CABLE_COLOURS = (  # none is red, as the cube is
    (0.05, 0.05, 0.05),
    (0.05, 0.05, 0.05),
    (0.20, 0.20, 0.22),
    (0.85, 0.85, 0.85),
    (0.10, 0.22, 0.55),
    (0.10, 0.40, 0.20),
    (0.75, 0.65, 0.10),
)


def add_assets(spec: mujoco.MjSpec) -> None:
    """Add what `Looks` needs to a complete scene, invisible at first: a box as table, textures, a cable."""
    add_materials(spec)
    body = spec.worldbody.add_body(name="looks")  # the last: ids of all else stay
    invisible = {"rgba": [0, 0, 0, 0], "contype": 0, "conaffinity": 0, "mass": 0}
    # Boxes for the cable too: in software, 25 capsules cost an eighth of a picture's time.
    bar = {"type": mujoco.mjtGeom.mjGEOM_BOX, "size": [SEGMENT / 2] * 3, **invisible}
    body.add_geom(name="looks/table", **bar)
    for i in range(CABLE_SEGMENTS):
        body.add_geom(name=f"looks/cable_{i}", **bar)


class Looks:
    """Changes how a compiled scene looks; `add_assets` must have been called on its spec."""

    FIELDS = (
        *("light_pos", "light_dir", "light_diffuse", "light_specular"),
        *("geom_rgba", "geom_matid", "geom_pos", "geom_quat", "geom_size"),
    )
    HEADLIGHT = ("ambient", "diffuse", "specular")

    def __init__(self, model: mujoco.MjModel, arms: Sequence[Arm]) -> None:
        self._model = model
        self._nominal = {name: getattr(model, name).copy() for name in self.FIELDS}
        self._headlight = {name: getattr(model.vis.headlight, name).copy() for name in self.HEADLIGHT}
        names = [model.geom(i).name for i in range(model.ngeom)]
        self._table, self._box = names.index("table"), names.index("looks/table")
        self._cable = np.array([i for i, name in enumerate(names) if name.startswith("looks/cable_")])
        model.geom_sameframe[[self._box, *self._cable]] = 0  # their own poses count, not their body's
        prefixes = tuple(f"{arm.name}/" for arm in arms)
        self._arms = [i for i, name in enumerate(names) if name.startswith(prefixes)]
        no_props = {self._table, self._box, *self._cable, *self._arms}
        self._props = [i for i in range(model.ngeom) if i not in no_props]
        colours = self._drawn_colours()
        self._arm_colours = colours[self._arms]
        rows = [tuple(row) for row in colours[self._props].tolist()]
        self._prop_colours = list(dict.fromkeys(rows))  # props of one colour keep one colour
        self._colour_of = [self._prop_colours.index(row) for row in rows]  # of each prop
        self._low, self._high = self._table_box()
        self._cameras = [model.camera(i).name for i in range(model.ncam)]
        self._plan: LookPlan | None = None
        self._number = 0  # of the plan's look that the scene has
        self.camera_moves: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # shift (m), turn (rad), own frame

    def _drawn_colours(self) -> np.ndarray:
        """RGB (ngeom, 3) as MuJoCo draws them: the material's where a geom has none of its own."""
        model = self._model
        colours = model.geom_rgba[:, :3].copy()
        plain = (model.geom_matid >= 0) & (model.geom_rgba == [0.5, 0.5, 0.5, 1]).all(axis=1)
        colours[plain] = model.mat_rgba[model.geom_matid[plain], :3]
        return colours

    def _table_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner of the table (m, world frame)."""
        data = mujoco.MjData(self._model)
        mujoco.mj_kinematics(self._model, data)
        pose, box = data.geom_xmat[self._table].reshape(3, 3), self._model.geom_aabb[self._table]
        centre, half = data.geom_xpos[self._table] + pose @ box[:3], np.abs(pose) @ box[3:]
        return centre - half, centre + half

    def restore(self) -> None:
        """Restore the scene's own look."""
        self._plan = None
        for name, value in self._nominal.items():
            getattr(self._model, name)[:] = value
        for name, value in self._headlight.items():
            getattr(self._model.vis.headlight, name)[:] = value
        self.camera_moves.clear()

    def follow(self, plan: LookPlan) -> None:
        """Take the looks of the episodes that follow from `plan`; the first is drawn now, as by `draw`."""
        self.draw(plan.rng(0), plan.ranges)
        self._plan, self._number = plan, 0

    def show(self, step: int, data: mujoco.MjData) -> None:
        """Give the scene the look that the plan has for a step of the episode.

        Of `data`, only where geoms, lights and cameras are is computed anew: what happens stays the same.
        """
        number = self._plan.number(step) if self._plan else self._number
        if number == self._number:
            return
        plan = self._plan
        self.draw(plan.rng(number), plan.ranges)
        self._plan, self._number = plan, number
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_camlight(self._model, data)

    def draw(self, rng: np.random.Generator, ranges: Ranges = MILD) -> None:
        """Draw a new look, which replaces the last. Geoms and lights move with the next reset."""
        self.restore()
        for draw_part, part in (
            (self._draw_lights, ranges.light),
            (self._draw_colours, ranges.colours),
            (self._draw_table, ranges.table),
            (self._draw_cable, ranges.cable),
            (self._draw_cameras, ranges.camera),
        ):
            if part != type(part)():  # else it stays as it is
                draw_part(rng, part)

    def _draw_lights(self, rng: np.random.Generator, ranges: LightRanges) -> None:
        model = self._model
        warmth = rng.uniform(*ranges.warmth)
        tint = np.array([1 + warmth, 1, 1 - warmth])
        strength = rng.uniform(*ranges.strength, (model.nlight, 1))
        model.light_diffuse *= strength * tint
        model.light_specular *= strength * tint
        model.light_pos += rng.uniform(-ranges.shift, ranges.shift, (model.nlight, 3))
        for direction in model.light_dir:
            direction[:] = _rotation(rng.uniform(-ranges.tilt, ranges.tilt, 3)) @ direction
        ambient = rng.uniform(*ranges.ambient)
        for name in self.HEADLIGHT:
            getattr(model.vis.headlight, name)[:] *= ambient * tint

    def _draw_colours(self, rng: np.random.Generator, ranges: ColourRanges) -> None:
        rgba = self._model.geom_rgba
        shade = rng.uniform(*ranges.arm_shade)
        rgba[self._arms, :3] = np.minimum(1, shade * self._arm_colours)
        drawn = []
        for colour in self._prop_colours:
            hue, saturation, value = colorsys.rgb_to_hsv(*colour)
            hue += rng.uniform(-ranges.hue, ranges.hue)
            saturation *= rng.uniform(*ranges.saturation)
            value = min(1.0, value * rng.uniform(*ranges.value))
            drawn.append(colorsys.hsv_to_rgb(hue % 1, saturation, value))
        rgba[self._props, :3] = np.array(drawn)[self._colour_of]

    def _draw_table(self, rng: np.random.Generator, ranges: TableRanges) -> None:
        model = self._model
        kind = ranges.covers[rng.integers(len(ranges.covers))]
        cover, tile = COVERS[kind], rng.choice(COVERS[kind].tiles)
        hue, saturation = rng.uniform(*cover.hue), rng.uniform(*cover.saturation)
        colour = colorsys.hsv_to_rgb(hue, saturation, rng.uniform(*ranges.value))
        # a mesh does not say how a texture lies on it, so a box stands in
        model.geom_rgba[self._table, 3] = 0
        model.geom_rgba[self._box] = (*colour, 1)
        model.geom_matid[self._box] = model.material(material_name(kind, tile)).id
        model.geom_pos[self._box] = (self._high + self._low) / 2
        model.geom_size[self._box] = (self._high - self._low) / 2

    def _draw_cable(self, rng: np.random.Generator, ranges: CableRanges) -> None:
        model = self._model
        if rng.random() > ranges.share:
            return
        n = round(rng.uniform(*ranges.length) / SEGMENT)
        radius = rng.uniform(*ranges.radius)
        colour = CABLE_COLOURS[rng.integers(len(CABLE_COLOURS))]
        points = cable_path(rng, self._low[:2], self._high[:2], n, ranges.bend)
        start, end = points[:-1], points[1:]
        cable = self._cable[:n]
        model.geom_pos[cable, :2] = (start + end) / 2
        model.geom_pos[cable, 2] = self._high[2] + radius
        model.geom_quat[cable] = _edge_up(np.arctan2(*(end - start).T[::-1]))
        model.geom_size[cable] = (SEGMENT / 2 + radius / 2, *2 * [radius / np.sqrt(2)])
        on_table = ((points > self._low[:2]) & (points < self._high[:2])).all(axis=1)
        model.geom_rgba[cable[on_table[:-1] & on_table[1:]]] = (*colour, 1)

    def _draw_cameras(self, rng: np.random.Generator, ranges: CameraRanges) -> None:
        shift, tilt = ranges.shift, ranges.tilt
        for name in self._cameras:
            self.camera_moves[name] = rng.uniform(-shift, shift, 3), rng.uniform(-tilt, tilt, 3)

    def move_camera(self, name: str, scene: mujoco.MjvScene) -> None:
        """Move a camera just before it draws `scene`: if it follows a body, it has no pose in the model."""
        if name not in self.camera_moves:
            return
        shift, turn = self.camera_moves[name]
        for eye in scene.camera:
            axes = np.column_stack([np.cross(eye.forward, eye.up), eye.up, -eye.forward])
            turned = axes @ _rotation(turn)
            eye.pos[:] += axes @ shift
            eye.up[:], eye.forward[:] = turned[:, 1], -turned[:, 2]


def cable_path(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, segments: int, bend: float
) -> np.ndarray:
    """Points (segments + 1, 2) in m, SEGMENT apart, of a smooth curve that enters a rectangle at an edge.

    It heads for a point in the rectangle's middle half; its curvature (1/m) wanders within `bend`.
    """
    start, side = rng.uniform(low, high), rng.integers(4)
    start[side % 2] = (low, high)[side // 2][side % 2]
    middle = rng.uniform(low + (high - low) / 4, high - (high - low) / 4)
    knots = rng.uniform(-bend, bend, segments // BEND_EVERY + 2)
    curvature = np.interp(np.arange(segments) / BEND_EVERY, np.arange(len(knots)), knots)
    heading = np.arctan2(*(middle - start)[::-1]) + np.cumsum(curvature) * SEGMENT
    steps = SEGMENT * np.column_stack([np.cos(heading), np.sin(heading)])
    return start + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


def _edge_up(heading: np.ndarray) -> np.ndarray:
    """Orientations (N, 4), wxyz, of bars along `heading` (N,) in rad, on an edge to look round."""
    (c, s), (a, b) = (np.cos(heading / 2), np.sin(heading / 2)), (np.cos(np.pi / 8), np.sin(np.pi / 8))
    return np.column_stack([c * a, c * b, s * b, s * a])


def _rotation(turn: np.ndarray) -> np.ndarray:
    """Matrix (3, 3) of a rotation vector (rad)."""
    quat, matrix = np.array([1.0, 0, 0, 0]), np.zeros(9)
    mujoco.mju_quatIntegrate(quat, turn, 1.0)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)
