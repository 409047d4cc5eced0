"""How a simulated scene looks, drawn anew for each episode or step: domain randomisation (Tobin et al. 2017).

Light, colours, camera poses, the table's cover, a cable and other things on it, the room around it, shade,
and the camera's exposure. Only what is seen changes: what `look_assets` adds has neither mass nor contacts,
and comes after everything else, so that joints, contacts and their order stay those of the plain scene.
"""

from __future__ import annotations

import colorsys

import numpy as np

from tasks.looks.cable import COLOURS, SEGMENT, cable_path, edge_up
from tasks.looks.covers import COVERS, SEEN, material_name
from tasks.looks.drift import Drift, Light
from tasks.looks.pictures import Eye, Patch, Tones, developed, draw_patches, shade
from tasks.looks.ranges import (
    MILD,
    CableRanges,
    CameraRanges,
    ColourRanges,
    DistractorRanges,
    LightRanges,
    LookPlan,
    PictureRanges,
    Ranges,
    RoomRanges,
    ShadeRanges,
    TableRanges,
)
from tasks.looks.things import FreeSpots, draw_things, worked_colours
from tasks.opengl import mujoco
from tasks.projection import CameraMove
from tasks.schema import Task

FLOORS = ("plain", "wood", "planks", "checker", "speckle")
FLOOR_DEPTH = 0.71  # m below the table's top
WALL_DISTANCE = (1.1, 2.2)  # m from the table's middle
WALL_HEIGHT = 2.6  # m
PALE = 0.5  # times the saturation of a table: floors and walls have less


class Looks:
    """Changes how a compiled scene looks; `look_assets.add_assets` must have been called on its spec."""

    LIGHT = ("light_diffuse", "light_specular")
    FIELDS = (
        *("light_pos", "light_dir", *LIGHT),
        *("geom_rgba", "geom_matid", "geom_pos", "geom_quat", "geom_size", "geom_type"),
    )
    HEADLIGHT = ("ambient", "diffuse", "specular")

    def __init__(self, model: mujoco.MjModel, task: Task) -> None:
        self._model = model
        self._nominal = {name: getattr(model, name).copy() for name in self.FIELDS}
        self._headlight = {name: getattr(model.vis.headlight, name).copy() for name in self.HEADLIGHT}
        names = [model.geom(i).name for i in range(model.ngeom)]

        def numbers(*prefixes: str) -> np.ndarray:
            return np.array([i for i, name in enumerate(names) if name.startswith(prefixes)], int)

        added = numbers("looks/")
        model.geom_sameframe[added] = 0  # their own poses count, not their body's
        self._table, self._box, self._floor = map(names.index, ("table", "looks/table", "looks/floor"))
        self._cable, self._things = numbers("looks/cable_"), numbers("looks/thing_")
        self._walls = numbers("looks/wall_")
        self._arms = numbers(*(f"{arm.name}/" for arm in task.arms))
        self._props = np.setdiff1d(np.arange(model.ngeom), [self._table, *added, *self._arms])
        colours = self._drawn_colours()
        self._arm_colours = colours[self._arms]
        rows = [tuple(row) for row in colours[self._props].tolist()]
        self._prop_colours = list(dict.fromkeys(rows))  # props of one colour keep one colour
        self._colour_of = [self._prop_colours.index(row) for row in rows]  # of each prop
        self._hues = worked_colours(np.array(self._prop_colours))
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        self._low, self._high = self._table_box(data)
        self._spots = FreeSpots(model, data, task, self._low, self._high)
        carried = model.body_weldid[model.cam_bodyid] != 0
        self._cameras = {model.camera(i).name: bool(carried[i]) for i in range(model.ncam)}
        self._plan: LookPlan | None = None
        self._number = 0  # of the plan's look that the scene has
        self.camera_moves: dict[str, CameraMove] = {}  # of the look
        self.bumps: dict[str, CameraMove] = {}  # from where the look has the cameras; a new look leaves them
        self.seen_share = 0.0  # of the looks whose table has the top that `covers.set_seen` was given
        self._eyes: dict[str, Eye] = {}  # of cameras, when they last drew
        self._patches: list[Patch] = []
        self._tones: dict[str, Tones] = {}  # of cameras
        self._drift: Drift | None = None
        self._lit: dict[str, np.ndarray] = {}  # lights as they were drawn, before they drift
        self._light: Light | None = None  # of the moment, while they do

    def _drawn_colours(self) -> np.ndarray:
        """RGB (ngeom, 3) as MuJoCo draws them: the material's where a geom has none of its own."""
        model = self._model
        colours = model.geom_rgba[:, :3].copy()
        plain = (model.geom_matid >= 0) & (model.geom_rgba == [0.5, 0.5, 0.5, 1]).all(axis=1)
        colours[plain] = model.mat_rgba[model.geom_matid[plain], :3]
        return colours

    @property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner (3,) of the table (m, world frame)."""
        return self._low, self._high

    @property
    def carried(self) -> tuple[str, ...]:
        """Names of the cameras that an arm carries."""
        return tuple(name for name, is_carried in self._cameras.items() if is_carried)

    def _table_box(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner of the table (m, world frame)."""
        pose, box = data.geom_xmat[self._table].reshape(3, 3), self._model.geom_aabb[self._table]
        centre, half = data.geom_xpos[self._table] + pose @ box[:3], np.abs(pose) @ box[3:]
        return centre - half, centre + half

    def restore(self) -> None:
        """Restore the scene's own look."""
        self._plan, self._patches, self._drift, self._light = None, [], None, None
        for name, value in self._nominal.items():
            getattr(self._model, name)[:] = value
        for name, value in self._headlight.items():
            getattr(self._model.vis.headlight, name)[:] = value
        self.camera_moves.clear()
        self._tones.clear()

    def follow(self, plan: LookPlan) -> None:
        """Take the looks of the episodes that follow from `plan`; the first is drawn now, as by `draw`."""
        self._take(plan, 0)

    def _take(self, plan: LookPlan, number: int) -> None:
        rng = plan.rng(number)
        self.restore()
        if plan.room is not None:
            self._draw(plan.room.rng(0), plan.room.ranges)
        self._draw(rng, plan.ranges)
        self._plan, self._number = plan, number
        if plan.drift_fps:
            self._drift = Drift(rng, plan.ranges.drift, self._model.nlight)
            self._lit = {name: getattr(self._model, name).copy() for name in self.LIGHT}
            self._lit |= {name: getattr(self._model.vis.headlight, name).copy() for name in self.HEADLIGHT}

    def show(self, step: int, data: mujoco.MjData) -> None:
        """Give the scene the look that the plan has for a step of the episode.

        Of `data`, only where geoms, lights and cameras are is computed anew: what happens stays the same.
        """
        if self._plan is None:
            return
        number = self._plan.number(step)
        if number != self._number:
            self._take(self._plan, number)
            mujoco.mj_kinematics(self._model, data)
            mujoco.mj_camlight(self._model, data)
        if self._drift is not None:
            self._shine(self._drift.at(step / self._plan.drift_fps))

    def _shine(self, light: Light) -> None:
        """Make the lights what they are at a moment of their drift."""
        model, self._light = self._model, light
        for name in self.LIGHT:
            getattr(model, name)[:] = self._lit[name] * light.strength[:, None] * light.tint
        for name in self.HEADLIGHT:
            getattr(model.vis.headlight, name)[:] = self._lit[name] * light.ambient * light.tint

    def draw(self, rng: np.random.Generator, ranges: Ranges = MILD) -> None:
        """Draw a new look, which replaces the last. Geoms and lights move with the next reset."""
        self.restore()
        self._draw(rng, ranges)

    def _draw(self, rng: np.random.Generator, ranges: Ranges) -> None:
        """Change the present look further."""
        for draw_part, part in (  # in this order, so that a seed always gives the same look
            (self._draw_lights, ranges.light),
            (self._draw_colours, ranges.colours),
            (self._draw_table, ranges.table),
            (self._draw_cable, ranges.cable),
            (self._draw_cameras, ranges.camera),
            (self._draw_room, ranges.room),
            (self._draw_things, ranges.distractors),
            (self._draw_shade, ranges.shade),
            (self._draw_pictures, ranges.picture),
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

    def _cover(
        self, geom: int, kind: str, rng: np.random.Generator, value: tuple[float, float], pale: float = 1.0
    ) -> None:
        """Cover a box with a material of `look_covers`, in a colour of its kind; `pale` scales saturation."""
        cover, tile = COVERS[kind], rng.choice(COVERS[kind].tiles)
        hue, saturation = rng.uniform(*cover.hue), rng.uniform(*cover.saturation)
        colour = colorsys.hsv_to_rgb(hue, pale * saturation, rng.uniform(*value))
        self._model.geom_rgba[geom] = (*colour, 1)
        self._model.geom_matid[geom] = self._model.material(material_name(kind, tile)).id

    def _draw_table(self, rng: np.random.Generator, ranges: TableRanges) -> None:
        model = self._model
        self._cover(self._box, ranges.covers[rng.integers(len(ranges.covers))], rng, ranges.value)
        if self.seen_share and rng.random() < self.seen_share:
            model.geom_matid[self._box] = model.material(SEEN).id
            model.geom_rgba[self._box, :3] = rng.uniform(*ranges.value)
        # a mesh does not say how a texture lies on it, so a box stands in
        model.geom_rgba[self._table, 3] = 0
        model.geom_pos[self._box] = (self._high + self._low) / 2
        model.geom_size[self._box] = (self._high - self._low) / 2

    def _draw_cable(self, rng: np.random.Generator, ranges: CableRanges) -> None:
        model = self._model
        if rng.random() > ranges.share:
            return
        n = round(rng.uniform(*ranges.length) / SEGMENT)
        radius = rng.uniform(*ranges.radius)
        colour = COLOURS[rng.integers(len(COLOURS))]
        points = cable_path(rng, self._low[:2], self._high[:2], n, ranges.bend)
        start, end = points[:-1], points[1:]
        cable = self._cable[:n]
        model.geom_pos[cable, :2] = (start + end) / 2
        model.geom_pos[cable, 2] = self._high[2] + radius
        model.geom_quat[cable] = edge_up(np.arctan2(*(end - start).T[::-1]))
        model.geom_size[cable] = (SEGMENT / 2 + radius / 2, *2 * [radius / np.sqrt(2)])
        on_table = ((points > self._low[:2]) & (points < self._high[:2])).all(axis=1)
        model.geom_rgba[cable[on_table[:-1] & on_table[1:]]] = (*colour, 1)

    def _draw_cameras(self, rng: np.random.Generator, ranges: CameraRanges) -> None:
        for name, is_carried in self._cameras.items():
            share = ranges.on_arm if is_carried else 1.0
            shift, tilt = share * ranges.shift, share * ranges.tilt
            move = rng.uniform(-shift, shift, 3), rng.uniform(-tilt, tilt, 3)
            self.camera_moves[name] = moved_further(self.camera_moves.get(name), move)

    def _draw_room(self, rng: np.random.Generator, ranges: RoomRanges) -> None:
        """A floor, and a wall on each side."""
        if rng.random() > ranges.share:
            return
        model, middle = self._model, (self._low + self._high)[:2] / 2
        ground = self._high[2] - FLOOR_DEPTH
        self._cover(self._floor, FLOORS[rng.integers(len(FLOORS))], rng, ranges.floor, PALE)
        model.geom_pos[self._floor] = (*middle, ground - 0.005)
        model.geom_size[self._floor] = (3.0, 3.0, 0.005)
        if not len(self._walls):
            return
        self._cover(self._walls[0], "plain", rng, ranges.wall, PALE)
        model.geom_rgba[self._walls] = model.geom_rgba[self._walls[0]]
        for geom, side in zip(self._walls, ((1, 0), (-1, 0), (0, 1), (0, -1)), strict=True):
            centre = middle + rng.uniform(*WALL_DISTANCE) * np.array(side)
            model.geom_pos[geom] = (*centre, ground + WALL_HEIGHT / 2)
            model.geom_size[geom] = (*(0.01 if axis else 3.0 for axis in side), WALL_HEIGHT / 2)

    def _draw_things(self, rng: np.random.Generator, ranges: DistractorRanges) -> None:
        model, geoms = self._model, self._things.reshape(-1, 2)
        things = draw_things(rng, ranges, self._spots, self._hues)
        for (body, top), thing in zip(geoms, things, strict=False):
            thing.put(model, body, top, self._high[2])

    def _draw_shade(self, rng: np.random.Generator, ranges: ShadeRanges) -> None:
        self._patches = draw_patches(rng, ranges, self._low[:2], self._high[:2])

    def _draw_pictures(self, rng: np.random.Generator, ranges: PictureRanges) -> None:
        self._tones = {name: Tones.drawn(rng, ranges) for name in self._cameras}

    def move_camera(self, name: str, scene: mujoco.MjvScene) -> None:
        """Move a camera just before it draws `scene`: if it follows a body, it has no pose in the model."""
        move = self.camera_moves.get(name)
        if name in self.bumps:
            move = moved_further(move, self.bumps[name])
        if move is not None:
            shift, turn = move
            for eye in scene.camera:
                axes = np.column_stack([np.cross(eye.forward, eye.up), eye.up, -eye.forward])
                turned = axes @ _rotation(turn)
                eye.pos[:] += axes @ shift
                eye.up[:], eye.forward[:] = turned[:, 1], -turned[:, 2]
        if self._patches:
            self._eyes[name] = Eye.of(scene)

    def develop(self, name: str, image: np.ndarray) -> np.ndarray:
        """A copy of a camera's picture (H, W, 3) uint8 RGB, just drawn, with what the look changes in it."""
        shades = None
        if self._patches:
            shades = shade(self._patches, self._eyes[name], self._high[2], image.shape[:2])
        tones = self._tones.get(name)
        if self._light is not None:
            tones = (tones or Tones()).exposed(self._light.exposure)
        return developed(image, shades, tones)


def moved_further(move: CameraMove | None, further: CameraMove) -> CameraMove:
    """Both moves of a camera, one after the other; None is none."""
    if move is None:
        return further
    (shift, turn), quat, both = move, np.array([1.0, 0, 0, 0]), np.zeros(3)
    for each in (turn, further[1]):
        mujoco.mju_quatIntegrate(quat, each, 1.0)
    mujoco.mju_quat2Vel(both, quat, 1.0)
    return shift + _rotation(turn) @ further[0], both


def _rotation(turn: np.ndarray) -> np.ndarray:
    """Matrix (3, 3) of a rotation vector (rad)."""
    quat, matrix = np.array([1.0, 0, 0, 0]), np.zeros(9)
    mujoco.mju_quatIntegrate(quat, turn, 1.0)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)
