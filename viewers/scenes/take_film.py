"""Takes of a task's script in a style, side by side from the same start: a film, or a sheet of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from common import captioned, tile, write_video
from constants import STYLES, Stream
from scripted_policy import ScriptedPolicy
from tasks import StylePlan, camera_matrix, to_pixels

if TYPE_CHECKING:  # it opens OpenGL
    from ee_sim_env import EndEffectorEnv

TAKES, PER_ROW = 8, 4
MOMENTS = 6  # of each take on a sheet
FPS = 10  # pictures a second of a film
SIZE = (144, 192)  # height, width (pixels) of a picture
MARGIN = 0.45  # of the hands' room that is shown on each side of it
TRAIL = ((255, 200, 0), (0, 220, 255))  # RGB, of each arm's way so far
QUALITY = 75  # of a .jpg


def write_takes(path: Path, env: EndEffectorEnv, style: str, seed: int) -> list[bool]:
    """Write a film (.mp4), or a sheet (.png or .jpg) with a row for each take; returns which succeed.

    All begin as the first episode of the seed; else they are the first attempts at its first episodes.
    """
    films, outcomes = [], []
    for number in range(TAKES):
        frames, success = _film(env, StylePlan(STYLES[style], (seed, Stream.STYLE, number, 1)), seed)
        seconds = len(frames) / FPS
        caption = f"{number}: {seconds:.1f} s{'' if success else ', fails'}"
        films.append([_framed(captioned(frame, caption)) for frame in frames])
        outcomes.append(success)
    if path.suffix.lower() == ".mp4":
        longest = max(map(len, films))
        moments = ([film[min(t, len(film) - 1)] for film in films] for t in range(longest))
        write_video(path, (_grid(pictures, PER_ROW) for pictures in moments), FPS)
    else:
        shares = np.linspace(0, 1, MOMENTS + 1)[1:]
        pictures = [film[round(share * (len(film) - 1))] for film in films for share in shares]
        sheet = cv2.cvtColor(_grid(pictures, MOMENTS), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return outcomes


def _framed(picture: np.ndarray) -> np.ndarray:
    """With a white line at its right and lower edge, which parts it from its neighbours."""
    picture[:, -2:] = picture[-2:] = 255
    return picture


def _grid(pictures: Sequence[np.ndarray], per_row: int) -> np.ndarray:
    rows = [tile(pictures[first : first + per_row]) for first in range(0, len(pictures), per_row)]
    return np.concatenate(rows)


def _film(env: EndEffectorEnv, plan: StylePlan, seed: int) -> tuple[list[np.ndarray], bool]:
    """Pictures (H, W, 3) of one take, with the ways of the grip points so far; and whether it succeeds."""
    task = env.spec
    step = env.reset(np.random.default_rng([seed, Stream.RECORD, 0]), case=task.case_number(0))
    script = ScriptedPolicy(task.variants[env.case], env.start_xyz(), env.env_state)
    window = _window(env, np.array([script(t) for t in range(task.episode_len)]))
    length = script.take(plan)
    frames, ways, reward = [], [], 0.0
    for t in range(length):
        ways.append([_grip_point(env, arm) for arm in task.arms])
        if t % round(task.fps / FPS) == 0:
            image = _with_ways(step.observation["images"][task.cameras[0]], env, np.array(ways))
            frames.append(cv2.resize(image[window], SIZE[::-1], interpolation=cv2.INTER_AREA))
        step = env.step(script(t))
        reward = max(reward, step.reward)
    return frames, reward == task.max_reward


def _window(env: EndEffectorEnv, actions: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a picture with all places of the script's actions (T, 8 per arm), in its shape."""
    height, width = env.env.task.image_size
    matrix = camera_matrix(env.env.physics, env.spec.cameras[0], (height, width))
    places = [part[:, :3] for part in np.split(actions, len(env.spec.arms), axis=1)]
    pixels = to_pixels(matrix, np.concatenate(places))
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    middle, (wide, tall) = (low + high) / 2, (1 + 2 * MARGIN) * (high - low)
    share = min(1.0, max(wide / width, tall / height))
    size = share * np.array([width, height])
    left, top = np.clip(middle - size / 2, 0, np.array([width, height]) - size).astype(int)
    return slice(top, top + int(size[1])), slice(left, left + int(size[0]))


def _grip_point(env: EndEffectorEnv, arm: Any) -> np.ndarray:
    return env.env.physics.named.data.site_xpos[f"{arm.name}/grip_point"].copy()


def _with_ways(image: np.ndarray, env: EndEffectorEnv, ways: np.ndarray) -> np.ndarray:
    """A picture with the ways (T, arms, 3) of the grip points drawn into it."""
    drawn = image.copy()
    matrix = camera_matrix(env.env.physics, env.spec.cameras[0], image.shape[:2])
    for way, colour in zip(ways.swapaxes(0, 1), TRAIL, strict=False):
        pixels = to_pixels(matrix, way)
        if np.isfinite(pixels).all():
            cv2.polylines(drawn, [np.round(pixels).astype(np.int32)], False, colour, 2, cv2.LINE_AA)
    return drawn
