"""Kinds of table tops: brightness patterns that tile, which a look tints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.look_ranges import Range
from tasks.opengl import mujoco

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


def material_name(kind: str, tile: float) -> str:
    """The material of a cover whose pattern repeats every `tile` m."""
    return f"looks/{kind}_{tile}"


def add_materials(spec: mujoco.MjSpec) -> None:
    """Add a texture and a material for each cover and size."""
    for kind, tile in ((kind, tile) for kind, cover in COVERS.items() for tile in cover.tiles):
        name = material_name(kind, tile)
        rng = np.random.default_rng(list(name.encode()))  # the same in every process
        pattern = COVERS[kind].pattern(rng)
        pixels = np.repeat((255 * pattern).astype(np.uint8)[..., None], 3, axis=2)
        texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, nchannel=3)
        texture.height, texture.width = pattern.shape
        texture.data = pixels.tobytes()
        material = spec.add_material(name=name, texuniform=True, texrepeat=[1 / tile, 1 / tile])
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        material.specular = 0.2
