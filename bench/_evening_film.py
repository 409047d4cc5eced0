"""A film of an evening (`evening.py`): what each step saw, in two minutes and three megabytes at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from common import write_video
from episodes import Episode, list_episodes

if TYPE_CHECKING:
    from _evening_steps import Evening

FPS = 12
COARSE = 28  # of the encoder
SECONDS = {"shown": 20, "map": 6, "many": 12, "block": 18}  # of film, for each part
SIZE = (180, 240)  # height, width (pixels) of each camera's picture
MARGIN, LINE = 30, 20  # pixels: around the map, and of the caption
SPREAD = 0.05  # m around the places on the map
DARK, LIGHT, RED, GREEN = (24, 24, 28), (235, 235, 235), (220, 70, 60), (60, 170, 90)


def write_film(evening: Evening, path: Path) -> None:
    """Write it."""
    write_video(path, frames(evening), FPS, quality=COARSE)


def frames(evening: Evening) -> Iterator[np.ndarray]:
    """All pictures (H, W, 3) uint8 RGB, one after the other."""
    folder, size = evening.folder, evening.size
    yield from clips(folder / "shown", f"{size.shown} demonstrations, as people do it", SECONDS["shown"])
    if not evening.is_plain:
        yield from place_map(folder)
        title = f"{size.multiplied} made of them in simulation, a room in each frame"
        yield from clips(folder / "many", title, SECONDS["many"])
    for step in evening.steps():
        if step.runs:
            yield from clips(folder / step.folder, step.name, SECONDS["block"])


def clips(folder: Path, title: str, seconds: float) -> Iterator[np.ndarray]:
    """The first episodes of a folder, each sped up alike, until the time is over."""
    paths = list_episodes(folder)[:10] if folder.is_dir() else []
    for number, path in enumerate(paths):
        episode = Episode.load(path, in_memory=False)
        count = max(1, round(seconds * FPS / len(paths)))
        shown = np.linspace(0, len(episode) - 1, count).round().astype(int)
        outcome = {True: "success", False: "no success", None: ""}[episode.success]
        for step in shown:
            pictures = [
                np.asarray(images[step]) for _, images in sorted(episode.images.items(), reverse=True)
            ]
            words = outcome if step == shown[-1] else ""
            yield captioned(pictures, f"{title}: {number + 1} of {len(paths)}", words)


def captioned(pictures: Iterable[np.ndarray], title: str, outcome: str = "") -> np.ndarray:
    """Two pictures beside each other, and a line of text below."""
    scaled = [cv2.resize(picture, SIZE[::-1], interpolation=cv2.INTER_AREA) for picture in pictures][:2]
    while len(scaled) < 2:
        scaled.append(np.full((*SIZE, 3), DARK, np.uint8))
    line = np.full((LINE, 2 * SIZE[1], 3), DARK, np.uint8)
    text(line, title, (6, 14), LIGHT)
    text(line, outcome, (2 * SIZE[1] - 80, 14), GREEN if outcome == "success" else RED)
    return np.concatenate([np.concatenate(scaled, axis=1), line])


def text(picture: np.ndarray, words: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Write into a picture."""
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.38, colour, 1, cv2.LINE_AA)


def place_map(folder: Path) -> Iterator[np.ndarray]:
    """Where the cube lay, seen from above: shown, suggested and multiplied."""
    groups = [starts(folder / name) for name in ("many", "shown", "more")]
    low, high = (pick(np.concatenate(groups), axis=0) for pick in (np.min, np.max))
    picture = np.full((SIZE[0] + LINE, 2 * SIZE[1], 3), DARK, np.uint8)
    scale = ((np.array([2 * SIZE[1], SIZE[0]]) - 2 * MARGIN) / (high - low + SPREAD)).min()
    looks = ((110, 110, 120), 2, "multiplied"), (GREEN, 4, "shown"), (RED, 4, "suggested")
    for (colour, radius, words), places, line in zip(looks, groups, range(3), strict=True):
        for x, y in places:
            at = np.array([x - low[0] + SPREAD / 2, high[1] - y + SPREAD / 2]) * scale + MARGIN
            cv2.circle(picture, tuple(at.round().astype(int).tolist()), radius, colour, -1, cv2.LINE_AA)
        text(picture, f"{len(places)} {words}", (2 * SIZE[1] - 130, 20 + 16 * line), colour)
    text(picture, "where the cube lay, as its clicks in the pictures tell", (6, SIZE[0] + 14), LIGHT)
    yield from [picture] * round(SECONDS["map"] * FPS)


def starts(folder: Path) -> np.ndarray:
    """Where the first prop lay (N, 2), m, in the episodes of a folder."""
    return np.array([Episode.load(path, ()).env_state[:2] for path in list_episodes(folder)])
