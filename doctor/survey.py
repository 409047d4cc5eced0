"""What is looked at of each episode: its joints, and a sample of its pictures, small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from episodes import MIRROR, Episode, EpisodeError, Images, JpegFrames, entries
from tasks import Entry

SMALL = (60, 80)  # height and width (pixels) of the sampled pictures
FINE = (240, 320)  # of the first one, in grey, which tells where a camera stands and how sharp it is
SAMPLES = 5  # pictures of each camera that are looked at, evenly over an episode
TIMED_EPISODES = 8  # in which the motion in the pictures is compared with that of the joints
SPELL = 2.5  # s of such a comparison; there are two in an episode
LEAST_SPELL, MOST_SPELL = 40, 150  # frames
LEAST_SEEN = 3  # episodes of which is told what a camera usually shows
DARK = 2.0  # grey levels: the deviation of a picture that shows nothing
WHITE = 250  # of 255, in all colours
OVER_EXPOSED = 0.5  # share of a picture that is white


@dataclass(frozen=True)
class Sampling:
    """Which pictures of an episode are read."""

    samples: int = SAMPLES  # of each camera; 0: none
    is_timed: bool = False  # whether to read the frames of two spells as well


@dataclass(frozen=True, eq=False)
class Spell:
    """How much changes in a camera's picture from step to step, for a while."""

    start: int  # step
    changes: np.ndarray  # (n,) mean grey levels between steps start + i and start + i + 1


@dataclass(frozen=True, eq=False)
class CameraSample:
    """A camera's pictures in an episode."""

    pictures: np.ndarray  # (SAMPLES, h, w, 3) uint8 RGB, the first step's first
    fine: np.ndarray  # (h, w) uint8, the first picture in grey
    spells: tuple[Spell, ...] = ()

    @cached_property
    def grey(self) -> np.ndarray:
        """(SAMPLES, h, w) float, the pictures in grey."""
        return self.pictures.mean(axis=3)

    @cached_property
    def first(self) -> np.ndarray:
        """(h, w, 3) float, the picture of the first step."""
        return self.pictures[0].astype(np.float32)

    @cached_property
    def is_dead(self) -> bool:
        """Whether no picture shows anything."""
        return bool(self.grey.std(axis=(1, 2)).max() < DARK)

    @cached_property
    def white(self) -> float:
        """Largest share of a picture that is white."""
        return float((self.pictures.min(axis=3) >= WHITE).mean(axis=(1, 2)).max())


@dataclass(frozen=True, eq=False)
class Examined:
    """An episode: its joints, and what was sampled of its pictures."""

    path: Path
    episode: Episode  # its images are not looked at here
    cameras: dict[str, CameraSample] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def is_mirrored(self) -> bool:
        """Whether it is the mirror image of another."""
        return self.path.name.startswith(MIRROR)

    @cached_property
    def actions(self) -> np.ndarray:
        """(T, A) float, without the speeds of a mobile base."""
        return self.episode.action.astype(float)

    @cached_property
    def states(self) -> np.ndarray:
        """(T, D) float."""
        return self.episode.qpos.astype(float)

    @cached_property
    def are_grippers(self) -> np.ndarray:
        """(D,) bool, which entries of a state are grippers."""
        return np.array([entry.is_gripper for entry in entries(self.episode)], bool)

    @property
    def seconds(self) -> float:
        return len(self.episode) / self.episode.fps


@dataclass(frozen=True, eq=False)
class Usual:
    """What a camera usually shows."""

    camera: str
    seen: tuple[Examined, ...]  # episodes in which it shows something that can be compared

    @cached_property
    def picture(self) -> np.ndarray:
        """(h, w, 3) float, the median of first pictures."""
        return np.median([self.sample(one).first for one in self.seen], axis=0)

    def sample(self, one: Examined) -> CameraSample:
        """The camera's pictures in an episode."""
        return one.cameras[self.camera]


@dataclass(frozen=True, eq=False)
class Survey:
    """The episodes of a dataset."""

    folder: str
    every: tuple[Examined, ...]

    @cached_property
    def alike(self) -> tuple[Examined, ...]:
        """Those with the entries and the rate that most have; the others are told of one by one."""
        kinds = [(one.states.shape[1], one.actions.shape[1], one.episode.fps) for one in self.every]
        usual = Counter(kinds).most_common(1)[0][0] if kinds else None
        return tuple(one for one, kind in zip(self.every, kinds, strict=True) if kind == usual)

    @cached_property
    def whole(self) -> tuple[Examined, ...]:
        """Those that begin with an attempt; the others may be of any length, with any grip."""
        return tuple(one for one in self.alike if not one.episode.recovers)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Of the state of episodes that are alike."""
        return entries(self.alike[0].episode) if self.alike else ()

    @cached_property
    def are_grippers(self) -> np.ndarray:
        """(D,) bool, which entries of a state are grippers."""
        return self.alike[0].are_grippers if self.alike else np.zeros(0, bool)

    @cached_property
    def span(self) -> float:
        """How far the joint that moves most is moved, in the unit of the files."""
        return float(max((self.spans("states")[~self.are_grippers]), default=0.0))

    def spans(self, what: str) -> np.ndarray:
        """(D,) from the least to the most over all episodes, each entry of `states` or `actions`."""
        rows = [getattr(one, what) for one in self.alike]
        low = np.min([row.min(axis=0) for row in rows], axis=0)
        return np.max([row.max(axis=0) for row in rows], axis=0) - low

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """Of which pictures were sampled in several episodes."""
        counts = Counter(camera for one in self.every for camera in one.cameras)
        return tuple(sorted(camera for camera, count in counts.items() if count > 1))

    @property
    def action_width(self) -> int:
        """Entries of an action of episodes that are alike."""
        return self.alike[0].actions.shape[1] if self.alike else 0

    def unless_all(self, found: Sequence[Examined]) -> Sequence[Examined]:
        """Those found; empty, which stands for all, if these are all."""
        return () if len(found) == len(self.every) else found

    @cached_property
    def usual(self) -> tuple[Usual, ...]:
        """What each camera shows that shows something in enough episodes."""
        every = (
            Usual(
                camera,
                tuple(
                    one
                    for one in self.seen_by(camera)
                    if not one.cameras[camera].is_dead and one.cameras[camera].white < OVER_EXPOSED
                ),
            )
            for camera in self.cameras
        )
        return tuple(each for each in every if len(each.seen) >= LEAST_SEEN)

    def seen_by(self, camera: str) -> tuple[Examined, ...]:
        """Episodes whose pictures of that camera may be compared: neither mirrored nor of random looks."""
        return tuple(
            one
            for one in self.every
            if camera in one.cameras and not (one.is_mirrored or one.episode.randomized)
        )


def examine(path: Path, sampling: Sampling) -> Examined | None:
    """Look at a file; None if it cannot be read."""
    try:
        episode = Episode.load(path, None if sampling.samples else (), in_memory=False)
        return examine_episode(path, episode, sampling)
    except (EpisodeError, FileNotFoundError):
        return None


def examine_episode(path: Path, episode: Episode, sampling: Sampling) -> Examined:
    """Look at an episode that is loaded already; a camera whose frames cannot be decoded is left out."""
    cameras = {}
    for camera, frames in episode.images.items() if sampling.samples else ():
        try:
            cameras[camera] = _camera_sample(frames, sampling, _spell_starts(episode))
        except (EpisodeError, cv2.error):
            continue  # every frame is decoded elsewhere (`inspection.find_problems`)
    return Examined(path, _without_images(episode), cameras)


def _without_images(episode: Episode) -> Episode:
    return replace(episode, images={})


def _camera_sample(frames: Images, sampling: Sampling, starts: Sequence[tuple[int, int]]) -> CameraSample:
    steps = np.linspace(0, len(frames) - 1, sampling.samples).round().astype(int)
    first = _picture(frames, 0, FINE)
    fine = _resized(cv2.cvtColor(first, cv2.COLOR_RGB2GRAY), FINE)
    small = [first, *(_picture(frames, int(step), SMALL) for step in steps[1:])]
    pictures = np.stack([_resized(one, SMALL) for one in small])
    spells = tuple(_spell(frames, *each) for each in starts) if sampling.is_timed else ()
    return CameraSample(pictures, fine, spells)


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture of that height and width; averaged, or interpolated where it grows."""
    is_smaller = picture.shape[0] < size[0]
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR if is_smaller else cv2.INTER_AREA)


def _picture(frames: Images, step: int, at_least: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8 RGB, as small as decoding makes it cheaply."""
    if isinstance(frames, JpegFrames):
        return frames.reduced(step, at_least)
    picture = frames[step]
    stride = max(1, min(have // want for have, want in zip(picture.shape[:2], at_least, strict=True)))
    return np.ascontiguousarray(picture[::stride, ::stride])


def _spell_starts(episode: Episode) -> list[tuple[int, int]]:
    """First step and length of the two spells: in each half, where the joints' speed varies most."""
    steps, half = len(episode), len(episode) // 2
    length = min(int(np.clip(round(SPELL * episode.fps), LEAST_SPELL, MOST_SPELL)), half)
    if length < LEAST_SPELL:
        return []
    speed = np.abs(np.diff(episode.qpos.astype(float), axis=0)).sum(axis=1)
    stride = max(1, length // 8)
    halves = (range(0, half - length + 1, stride), range(half, steps - length + 1, stride))
    return [
        (max(starts, key=lambda start: speed[start : start + length - 1].std()), length) for starts in halves
    ]


def _spell(frames: Images, start: int, length: int) -> Spell:
    before, changes = None, []
    for step in range(start, start + length):
        picture = _resized(_picture(frames, step, SMALL), SMALL)
        now = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        if before is not None:
            changes.append(float(np.abs(now - before).mean()))
        before = now
    return Spell(start, np.array(changes))
