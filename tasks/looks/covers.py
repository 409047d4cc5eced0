"""Kinds of table tops and cloths: patterns that tile, which a look tints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.looks.ranges import SEEN_PIXELS, Range
from tasks.opengl import mujoco

if TYPE_CHECKING:  # it opens OpenGL
    from dm_control import mujoco as dm_mujoco

TEXTURE_PIXELS = 256
SEEN = "looks/seen"  # material and texture of a table's top that somebody photographed


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


def _planks(rng: np.random.Generator) -> np.ndarray:
    """Four planks of different shades, with dark joints."""
    boards = np.repeat(rng.uniform(0.75, 1.0, 4), TEXTURE_PIXELS // 4)[:, None]
    joints = np.where(np.arange(TEXTURE_PIXELS) % (TEXTURE_PIXELS // 4) < 3, 0.55, 1.0)[:, None]
    return boards * joints * _wood(rng)


def _folds(rng: np.random.Generator) -> np.ndarray:
    """Shading (N, N) of a cloth that has been folded twice, and lies a little uneven."""
    place = np.arange(TEXTURE_PIXELS) / TEXTURE_PIXELS
    crease = 0.12 * np.exp(-(((place - 0.5) / 0.012) ** 2)) * np.sign(place - 0.5)
    return np.clip(0.8 + 0.2 * _cloud(rng, 2.0) + crease[:, None] + crease[None], 0, 1)


def _bands(period: int, dark: float) -> np.ndarray:
    """(N,): half of each `period` of pixels bright, half `dark`."""
    return np.where(np.arange(TEXTURE_PIXELS) // (period // 2) % 2, 1.0, dark)


def _linen(rng: np.random.Generator) -> np.ndarray:
    threads = rng.uniform(0.92, 1.0, TEXTURE_PIXELS)
    return _folds(rng) * threads[:, None] * threads[None]


def _stripes(rng: np.random.Generator) -> np.ndarray:
    return _folds(rng) * _bands(32, 0.6)[:, None]


def _gingham(rng: np.random.Generator) -> np.ndarray:
    bands = _bands(32, 0.62)
    return _folds(rng) * bands[:, None] * bands[None]


def _dots(rng: np.random.Generator) -> np.ndarray:
    y, x = np.indices((TEXTURE_PIXELS, TEXTURE_PIXELS)) % 32 - 15.5
    return _folds(rng) * np.where(x**2 + y**2 < 49, 1.0, 0.7)


def _coloured(pattern: np.ndarray, dark: tuple[float, float, float]) -> np.ndarray:
    """(N, N, 3): white where a pattern (N, N) is 1, `dark` where it is 0."""
    return 1 - (1 - pattern)[..., None] * (1 - np.array(dark))


def _blue_check(rng: np.random.Generator) -> np.ndarray:
    bands = _bands(32, 0.5)
    return _folds(rng)[..., None] * _coloured(bands[:, None] * bands[None], (0.0, 0.15, 0.55))


def _green_stripes(rng: np.random.Generator) -> np.ndarray:
    stripes = np.tile(_bands(64, 0.35)[:, None], TEXTURE_PIXELS)
    return _folds(rng)[..., None] * _coloured(stripes, (0.1, 0.4, 0.25))


@dataclass(frozen=True)
class Cover:
    """A kind of table top."""

    pattern: Callable[[np.random.Generator], np.ndarray]  # brightness (N, N) or colour (N, N, 3) in [0, 1]
    tiles: tuple[float, ...]  # m, sizes of the pattern to choose from
    hue: Range = (0.0, 1.0)  # turns of the colour wheel
    saturation: Range = (0.0, 0.3)


COVERS = {
    "plain": Cover(_plain, (1.0,)),
    "wood": Cover(_wood, (0.4, 0.7), hue=(0.05, 0.11), saturation=(0.25, 0.5)),
    "checker": Cover(_checker, (0.06, 0.12)),
    "noise": Cover(_noise, (0.3, 0.8)),
    "speckle": Cover(_speckle, (0.25, 0.5)),
    "planks": Cover(_planks, (0.6,), hue=(0.05, 0.11), saturation=(0.15, 0.5)),
    "linen": Cover(_linen, (0.8,), saturation=(0.0, 0.5)),
    "stripes": Cover(_stripes, (0.7,), saturation=(0.05, 0.6)),
    "gingham": Cover(_gingham, (0.4,), saturation=(0.1, 0.6)),
    "dots": Cover(_dots, (0.4,), saturation=(0.05, 0.6)),
    "blue_check": Cover(_blue_check, (0.5,), saturation=(0.0, 0.06)),
    "green_stripes": Cover(_green_stripes, (0.7,), saturation=(0.0, 0.06)),
}


def material_name(kind: str, tile: float) -> str:
    """The material of a cover whose pattern repeats every `tile` m."""
    return f"looks/{kind}_{tile}"


def add_materials(spec: mujoco.MjSpec) -> None:
    """Add a texture and a material for each cover and size."""
    for kind, tile in ((kind, tile) for kind, cover in COVERS.items() for tile in cover.tiles):
        name = material_name(kind, tile)
        rng = np.random.default_rng(list(name.encode()))  # the same in every process
        pattern = COVERS[kind].pattern(rng)
        grey = np.atleast_3d((255 * pattern).astype(np.uint8))
        pixels = np.broadcast_to(grey, (*pattern.shape[:2], 3))
        _add_material(spec, name, pixels, texuniform=True, texrepeat=[1 / tile, 1 / tile])
    _add_material(spec, SEEN, np.full((SEEN_PIXELS, SEEN_PIXELS, 3), 255, np.uint8))


def _add_material(spec: mujoco.MjSpec, name: str, pixels: np.ndarray, **how: Any) -> None:
    """Add a texture (H, W, 3) uint8 RGB, and a material of the same name."""
    texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, nchannel=3)
    texture.height, texture.width = pixels.shape[:2]
    texture.data = pixels.tobytes()
    material = spec.add_material(name=name, **how)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    material.specular = 0.2


def set_seen(physics: dm_mujoco.Physics, picture: np.ndarray) -> None:
    """Give the material SEEN a picture (SEEN_PIXELS, SEEN_PIXELS, 3) uint8 RGB."""
    model, contexts = physics.model.ptr, physics.contexts
    texture = model.texture(SEEN)
    first = int(texture.adr[0])
    pixels = model.tex_data[first : first + picture.size]
    if np.array_equal(pixels, picture.ravel()):
        return
    pixels[:] = picture.ravel()
    with contexts.gl.make_current() as context:
        context.call(mujoco.mjr_uploadTexture, model, contexts.mujoco.ptr, texture.id)
