"""How a simulated scene looks, drawn anew for each episode: domain randomisation (Tobin et al. 2017).

Light, colours, camera poses, the table's cover, and a cable lying on it. Only what is seen changes: the added
assets are one fixed body without mass or contacts, after everything else, so that joints, contacts and their
order stay those of the scene without it.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.opengl import mujoco
from tasks.parts import Arm

Range = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """How far an episode's look goes from the scene's own; each number is drawn uniformly."""

    light: Range = (0.75, 1.25)  # times the strength of each light
    ambient: Range = (0.75, 1.25)  # times the ambient light
    warmth: Range = (-0.08, 0.08)  # share that red gains and blue loses, in all lights
    light_tilt: float = 0.35  # rad, about each axis, either way
    light_shift: float = 0.3  # m, along each axis, either way
    hue: float = 0.015  # of props, in turns of the colour wheel, either way
    saturation: Range = (0.92, 1.0)  # times that of props
    value: Range = (0.85, 1.1)  # times that of props
    arm_shade: Range = (0.75, 1.1)  # times the colours of all arms
    table_value: Range = (0.25, 0.7)  # brightness of the table; its hue and saturation are in `COVERS`
    camera_shift: float = 0.005  # m, along each axis, either way
    camera_tilt: float = 0.03  # rad, about each axis, either way
    cable_share: float = 0.7  # of episodes that have a cable
    cable_radius: Range = (0.002, 0.004)  # m
    cable_length: Range = (0.3, 0.75)  # m
    cable_bend: float = 7.0  # 1/m, curvature either way


RANGES = Ranges()
SEGMENT = 0.02  # m, of the cable
BEND_EVERY = 6  # segments from one random curvature to the next
CABLE_COLOURS = (  # none is red, as the cube is
    (0.05, 0.05, 0.05),
    (0.05, 0.05, 0.05),
    (0.20, 0.20, 0.22),
    (0.85, 0.85, 0.85),
    (0.10, 0.22, 0.55),
    (0.10, 0.40, 0.20),
    (0.75, 0.65, 0.10),
)
TEXTURE_PIXELS = 256


def _cloud(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> np.ndarray:
    """Noise (N, N) in [0, 1] that tiles; amplitude falls as frequency^-slope, sooner in x by `stretch`."""
    white = np.fft.rfft2(rng.standard_normal((TEXTURE_PIXELS, TEXTURE_PIXELS)))
    y, x = np.fft.fftfreq(TEXTURE_PIXELS)[:, None], np.fft.rfftfreq(TEXTURE_PIXELS)[None]
    frequency = np.hypot(y, stretch * x)
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(white * frequency**-slope)
    return (noise - noise.min()) / np.ptp(noise)


def _plain(rng: np.random.Generator) -> np.ndarray:
    return np.ones((TEXTURE_PIXELS, TEXTURE_PIXELS))


def _wood(rng: np.random.Generator) -> np.ndarray:
    return 0.65 + 0.35 * _cloud(rng, 1.0, stretch=30.0)


def _checker(rng: np.random.Generator) -> np.ndarray:
    odd = np.indices((TEXTURE_PIXELS, TEXTURE_PIXELS)) >= TEXTURE_PIXELS // 2
    return np.where(odd[0] ^ odd[1], 1.0, rng.uniform(0.5, 0.8))


def _noise(rng: np.random.Generator) -> np.ndarray:
    return 0.5 + 0.5 * _cloud(rng, 1.5)


def _speckle(rng: np.random.Generator) -> np.ndarray:
    grain = _cloud(rng, 0.5)
    dark, light = np.quantile(grain, (0.12, 0.9))
    return np.select([grain < dark, grain > light], [0.45, 1.0], 0.8)


@dataclass(frozen=True)
class Cover:
    """A kind of table top."""

    pattern: Callable[[np.random.Generator], np.ndarray]  # brightness (N, N) in [0, 1]
    tiles: tuple[float, ...]  # m, sizes of the pattern to choose from
    hue: Range = (0.0, 1.0)  # turns of the colour wheel
    saturation: Range = (0.0, 0.3)


COVERS = {
    "plain": Cover(_plain, (1.0,)),
    "wood": Cover(_wood, (0.4, 0.7), hue=(0.05, 0.11), saturation=(0.25, 0.5)),
    "checker": Cover(_checker, (0.06, 0.12)),
    "noise": Cover(_noise, (0.3, 0.8)),
    "speckle": Cover(_speckle, (0.25, 0.5)),
}


def _material(kind: str, tile: float) -> str:
    return f"looks/{kind}_{tile}"


def add_assets(spec: mujoco.MjSpec) -> None:
    """Add what `Looks` needs to a complete scene, invisible at first: a box as table, textures, a cable."""
    for kind, tile in ((kind, tile) for kind, cover in COVERS.items() for tile in cover.tiles):
        name = _material(kind, tile)
        rng = np.random.default_rng(list(name.encode()))  # the same in every process
        pattern = COVERS[kind].pattern(rng)
        pixels = np.repeat((255 * pattern).astype(np.uint8)[..., None], 3, axis=2)
        texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, nchannel=3)
        texture.height, texture.width = pattern.shape
        texture.data = pixels.tobytes()
        material = spec.add_material(name=name, texuniform=True, texrepeat=[1 / tile, 1 / tile])
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        material.specular = 0.2
    body = spec.worldbody.add_body(name="looks")  # the last: ids of all else stay
    invisible = {"rgba": [0, 0, 0, 0], "contype": 0, "conaffinity": 0, "mass": 0}
    # Boxes for the cable too: in software, 25 capsules cost an eighth of a picture's time.
    bar = {"type": mujoco.mjtGeom.mjGEOM_BOX, "size": [SEGMENT / 2] * 3, **invisible}
    body.add_geom(name="looks/table", **bar)
    for i in range(round(RANGES.cable_length[1] / SEGMENT)):
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
        self._colours = self._drawn_colours()
        self._low, self._high = self._table_box()
        self._cameras = [model.camera(i).name for i in range(model.ncam)]
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
        for name, value in self._nominal.items():
            getattr(self._model, name)[:] = value
        for name, value in self._headlight.items():
            getattr(self._model.vis.headlight, name)[:] = value
        self.camera_moves.clear()

    def draw(self, rng: np.random.Generator) -> None:
        """Draw a new look, which replaces the last. Geoms and lights move with the next reset."""
        self.restore()
        self._draw_lights(rng)
        self._draw_colours(rng)
        self._draw_table(rng)
        self._draw_cable(rng)
        shift, tilt = RANGES.camera_shift, RANGES.camera_tilt
        for name in self._cameras:
            self.camera_moves[name] = rng.uniform(-shift, shift, 3), rng.uniform(-tilt, tilt, 3)

    def _draw_lights(self, rng: np.random.Generator) -> None:
        model = self._model
        warmth = rng.uniform(*RANGES.warmth)
        tint = np.array([1 + warmth, 1, 1 - warmth])
        strength = rng.uniform(*RANGES.light, (model.nlight, 1))
        model.light_diffuse *= strength * tint
        model.light_specular *= strength * tint
        model.light_pos += rng.uniform(-RANGES.light_shift, RANGES.light_shift, (model.nlight, 3))
        for direction in model.light_dir:
            direction[:] = _rotation(rng.uniform(-RANGES.light_tilt, RANGES.light_tilt, 3)) @ direction
        ambient = rng.uniform(*RANGES.ambient)
        for name in self.HEADLIGHT:
            getattr(model.vis.headlight, name)[:] *= ambient * tint

    def _draw_colours(self, rng: np.random.Generator) -> None:
        rgba = self._model.geom_rgba
        shade = rng.uniform(*RANGES.arm_shade)
        rgba[self._arms, :3] = np.minimum(1, shade * self._colours[self._arms])
        drawn: dict[tuple[float, ...], tuple[float, ...]] = {}
        for geom in self._props:  # props of one colour keep one colour
            colour = tuple(self._colours[geom].tolist())
            if colour not in drawn:
                hue, saturation, value = colorsys.rgb_to_hsv(*colour)
                hue += rng.uniform(-RANGES.hue, RANGES.hue)
                saturation *= rng.uniform(*RANGES.saturation)
                value = min(1.0, value * rng.uniform(*RANGES.value))
                drawn[colour] = colorsys.hsv_to_rgb(hue % 1, saturation, value)
            rgba[geom, :3] = drawn[colour]

    def _draw_table(self, rng: np.random.Generator) -> None:
        model = self._model
        kind = list(COVERS)[rng.integers(len(COVERS))]
        cover, tile = COVERS[kind], rng.choice(COVERS[kind].tiles)
        hue, saturation = rng.uniform(*cover.hue), rng.uniform(*cover.saturation)
        colour = colorsys.hsv_to_rgb(hue, saturation, rng.uniform(*RANGES.table_value))
        model.geom_rgba[self._table, 3] = (
            0  # a mesh does not say how a texture lies on it, so a box stands in
        )
        model.geom_rgba[self._box] = (*colour, 1)
        model.geom_matid[self._box] = model.material(_material(kind, tile)).id
        model.geom_pos[self._box] = (self._high + self._low) / 2
        model.geom_size[self._box] = (self._high - self._low) / 2

    def _draw_cable(self, rng: np.random.Generator) -> None:
        model = self._model
        if rng.random() > RANGES.cable_share:
            return
        n = round(rng.uniform(*RANGES.cable_length) / SEGMENT)
        radius = rng.uniform(*RANGES.cable_radius)
        colour = CABLE_COLOURS[rng.integers(len(CABLE_COLOURS))]
        points = cable_path(rng, self._low[:2], self._high[:2], n, RANGES.cable_bend)
        start, end = points[:-1], points[1:]
        cable = self._cable[:n]
        model.geom_pos[cable, :2] = (start + end) / 2
        model.geom_pos[cable, 2] = self._high[2] + radius
        model.geom_quat[cable] = _edge_up(np.arctan2(*(end - start).T[::-1]))
        model.geom_size[cable] = (SEGMENT / 2 + radius / 2, *2 * [radius / np.sqrt(2)])
        on_table = ((points > self._low[:2]) & (points < self._high[:2])).all(axis=1)
        model.geom_rgba[cable[on_table[:-1] & on_table[1:]]] = (*colour, 1)

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
