"""Symptoms of pictures that are late: when the picture changes, against when the joints move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from doctor.survey import Examined, Spell, Survey
from doctor.symptoms import PICTURES, Sign, symptom
from episodes import ARM_DIM

MOST_LATE = 0.4  # s that are looked for
MOST_EARLY = 4  # frames
CLEAR = 0.25  # correlation of both motions, the mean over spells, from which on their delay is believed
AHEAD = 0.1  # by which it must be above that of any other delay
BESIDE = 3  # frames around the peak that belong to it
LATE = 2.0  # frames
LATE_SECONDS = 0.05  # s
MOST_GROWTH = 2.0  # of its 80th percentile: what is beyond, as a flash, does not decide
LEAST_SPELLS = 4
AGREE = 1.0  # frames by which every other spell may differ from the rest
DRIFT = 3.0  # frames from one half of an episode to the other


def _delays(one: Examined, spell: Spell) -> range:
    """Delays that are tried (frames)."""
    most = max(MOST_EARLY, round(MOST_LATE * one.episode.fps))
    return range(-MOST_EARLY, min(most, len(spell.changes) // 3) + 1)


def _fits(one: Examined, spell: Spell) -> np.ndarray:
    """(parts, delays) how well the picture's changes fit the speed of all joints, and of each arm.

    How both grow and shrink is compared, not their size: speeds rise and fall for long, so their sizes fit at
    nearly any delay.
    """
    changes, size = _growth(spell.changes), len(spell.changes) - 1
    fits = []
    for speeds in _arm_speeds(one):
        growth = _growth(speeds[spell.start : spell.start + size + 1])
        fits.append(
            [
                _correlation(
                    changes[max(0, late) : size + min(0, late)], growth[max(0, -late) : size - max(0, late)]
                )
                for late in _delays(one, spell)
            ]
        )
    return np.array(fits)


def _growth(values: np.ndarray) -> np.ndarray:
    """(n - 1,) from step to step, of values (n,) smoothed twice; a single large one counts little."""
    for _ in range(2):
        values = np.convolve(np.pad(values, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    growth = np.diff(values)
    most = MOST_GROWTH * float(np.percentile(np.abs(growth), 80))
    return growth.clip(-most, most) if most > 0 else growth


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    first, second = one - one.mean(), other - other.mean()
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / size) if size > 0 else 0.0


def _arm_speeds(one: Examined) -> list[np.ndarray]:
    """(T - 1,) how fast all joints move, and those of each arm alone, as a camera may see only one."""
    scale = np.ptp(one.states, axis=0)
    steps = np.abs(np.diff(one.states, axis=0)) / np.where(scale > 0, scale, 1)
    steps[:, one.are_grippers] = 0
    width = steps.shape[1]
    arms = [slice(i, i + ARM_DIM) for i in range(0, width, ARM_DIM)] if width % ARM_DIM == 0 else []
    parts = [slice(0, width), *(arms if len(arms) > 1 else [])]
    return [steps[:, part].sum(axis=1) for part in parts]


def find_delay(fits: Sequence[np.ndarray]) -> float | None:
    """Frames by which pictures are late, to a part of one, from the fits (parts, delays) of several spells.

    The peak of their mean, of the part that it is highest for. None: it is not clear, or every other spell
    says something else than the rest.
    """
    if len(fits) < LEAST_SPELLS:
        return None
    means = np.mean(fits, axis=0)
    part = int(means.max(axis=1).argmax())
    curve = means[part]
    best = int(curve.argmax())
    others = np.abs(np.arange(len(curve)) - best) > BESIDE
    lead = curve[best] - curve[others].max(initial=-1)
    if curve[best] < CLEAR or lead < AHEAD or best in (0, len(curve) - 1):
        return None
    halves = [np.mean([each[part] for each in fits[start::2]], axis=0).argmax() for start in (0, 1)]
    if max(abs(int(half) - best) for half in halves) > AGREE:
        return None
    before, peak, after = curve[best - 1 : best + 2]
    bend = before - 2 * peak + after
    return best - MOST_EARLY + (float(0.5 * (before - after) / bend) if bend < 0 else 0.0)


def delay_of(survey: Survey, camera: str, half: int | None = None) -> float | None:
    """Frames by which a camera is late, in one half of the episodes (0, 1) or in both; None if unclear."""
    fits = [
        _fits(one, spell)
        for one in survey.seen_by(camera)
        for number, spell in enumerate(one.cameras[camera].spells)
        if half in (None, number) and len(spell.changes) > 3
    ]
    shapes = {each.shape for each in fits}
    return find_delay(fits) if len(shapes) == 1 else None


@symptom(
    "late_pictures",
    PICTURES,
    "the policy reacts to what was; it must find the same delay when it runs",
    "read the newest frame (no buffer), light well, expose shortly; imitate_episodes.py --eval --disturb "
    "late_pictures says what it costs in simulation",
)
def late_pictures(survey: Survey) -> Iterator[Sign]:
    """Pictures change later than the joints move."""
    for camera in survey.cameras:
        late, fps = delay_of(survey, camera), survey.every[0].episode.fps
        if late is not None and abs(late) >= max(LATE, LATE_SECONDS * fps) - 0.25:
            words = "late" if late > 0 else "early"
            said = f"is {abs(late):.1f} frames ({abs(late) / fps:.2f} s) {words} against the joints"
            yield Sign(said, (), camera)


@symptom(
    "pictures_drift",
    PICTURES,
    "pictures and joints have clocks of their own, so late steps show another moment",
    "record both by one clock; an import takes frames by time where the rows have it",
)
def pictures_drift(survey: Survey) -> Iterator[Sign]:
    """The delay of pictures grows within episodes."""
    for camera in survey.cameras:
        first, second = (delay_of(survey, camera, half) for half in (0, 1))
        if first is not None and second is not None and abs(second - first) >= DRIFT:
            said = f"drifts by {second - first:+.1f} frames from one half of an episode to the other"
            yield Sign(said, (), camera)
