"""Demonstrations as a steady hand gives them: without pauses, tremor and missed grasps, all at one speed.

People differ in speed from take to take, stop on the way, and tremble. A policy that sees no speed learns the
mean of that. Of a demonstration only the way matters, and what happens on it; its clock is made anew. And
people stop recording when it is done; a steady hand stays there for a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dataset_tools.multiplied.retold import blended, turned_by
from dataset_tools.multiplied.sources import GAP, NEAR, PUSHED, Source, Watched, cut, stretches
from tasks import RADIAN, smooth

SLOWEST = 0.3  # of the speed, where a gripper opens or closes or props meet; it grows from there until NEAR
QUICK = 0.75  # share of the demonstrations that are slower than what all become
TREMOR = 0.3  # s before and after each step, whose mean takes its place
REST = 0.5  # s at the end, in which the arms stay as they are: else a policy is not shown to stop
OPEN = 0.5  # of a gripper's opening: above it nothing is held


def steady(sources: Sequence[Source], fps: int) -> list[Source]:
    """The same demonstrations, all as fast as the quicker ones are on average.

    Sources whose arms never move stay as they are.
    """
    watched = [_without_tremor(_without_misses(source.watched), round(TREMOR * fps)) for source in sources]
    slowed = [_slowed_ways(each) for each in watched]
    speeds = [ways.sum() / len(source.watched.commands) for ways, source in zip(slowed, sources, strict=True)]
    if not any(speeds):
        return list(sources)
    speed = float(np.quantile([each for each in speeds if each], QUICK))
    told = []
    for source, own, ways in zip(sources, watched, slowed, strict=True):
        if ways.any():
            own = _resampled(own, _clock(own.commands, ways / speed, round(GAP * fps)))
            own = _resting(own, round(REST * fps))
            source = replace(source, watched=own, parts=cut(own, fps))
        told.append(source)
    return told


def _ways(commands: np.ndarray) -> np.ndarray:
    """How far (T - 1, A) in m each arm goes from step to step of (T, A, 8); turns count RADIAN m a rad."""
    shifts = np.linalg.norm(np.diff(commands[..., :3], axis=0), axis=2)
    pairs = zip(commands, commands[1:], strict=False)
    turns = [[turned_by(*arm) for arm in zip(*pair, strict=True)] for pair in pairs]
    return shifts + RADIAN * np.array(turns).reshape(shifts.shape)


def _at(watched: Watched, steps: np.ndarray) -> Watched:
    """Of what was watched, some whole steps."""
    names = ("commands", "props", "touched", "stands", "meets")
    return replace(watched, **{name: getattr(watched, name)[steps] for name in names})


def _without_misses(watched: Watched) -> Watched:
    """Without the stretches in which a gripper closes and opens again, and no prop comes along."""
    keep = np.ones(len(watched.commands), bool)
    for arm in range(watched.commands.shape[1]):
        for begin, end in _closed(watched.commands[:, arm, 7]):
            is_whole = begin > 0 and end < len(keep)  # it was open before, and is so again
            keep[begin:end] &= not is_whole or _takes(watched, arm, slice(begin, end))
    return _at(watched, np.flatnonzero(keep))


def _takes(watched: Watched, arm: int, stretch: slice) -> bool:
    """Whether an arm lifts or pushes a prop in a stretch of the steps."""
    touched, props = watched.touched[stretch, arm], watched.props[stretch, :, :3]
    pushed = np.linalg.norm(props[-1] - props[0], axis=1) > PUSHED
    return bool((touched & (watched.carried[stretch] | pushed)).any())


def _closed(opening: np.ndarray) -> list[tuple[int, int]]:
    """(first step, step after the last) of each stretch in which a gripper closes, from wide open on."""
    widest = opening.max()
    narrower = stretches(opening < 0.95 * widest)
    return [(begin, end) for begin, end in narrower if opening[begin:end].min() < OPEN * widest]


def _changes(commands: np.ndarray) -> np.ndarray:
    """Steps (n,) at which a gripper of (T, A, 8) opens or closes, and the first and last."""
    change = np.abs(np.diff(commands[..., 7], axis=0)).max(axis=1, initial=0.0)
    events = np.flatnonzero(change > 0.01)
    return np.unique([0, *events, *(events + 1), len(commands) - 1])


def _without_tremor(watched: Watched, half: int) -> Watched:
    """The arms' ways, smoothed where no gripper moves."""
    commands, events = watched.commands.copy(), _changes(watched.commands)
    for begin, end in zip(events, events[1:], strict=False):
        for arm in range(commands.shape[1]):
            commands[begin : end + 1, arm] = smooth(commands[begin : end + 1, arm], half)
    commands[..., 3:7] /= np.linalg.norm(commands[..., 3:7], axis=2, keepdims=True)
    return replace(watched, commands=commands)


def _meetings(watched: Watched) -> np.ndarray:
    """Steps (n,) at which a prop that arms hold comes to another one: a peg to its socket."""
    new = watched.meets[1:] & ~watched.meets[:-1] & watched.carried[1:, :, None]
    return 1 + np.flatnonzero(new.any(axis=(1, 2)))


def _slowed_ways(watched: Watched) -> np.ndarray:
    """How far (T - 1,) in m the faster arm goes from step to step; more where it must be exact: where a
    gripper is about to move, or props to meet.
    """
    ways = _ways(watched.commands)
    gone = np.concatenate([np.zeros((1, ways.shape[1])), np.cumsum(ways, axis=0)])  # (T, A) m
    away = np.full(ways.shape, NEAR)
    for step in (*_changes(watched.commands)[1:-1], *_meetings(watched)):
        away = np.minimum(away, np.abs(gone[1:] - gone[step]))
    return (ways / np.clip(away / NEAR, SLOWEST, 1)).max(axis=1)


def _clock(commands: np.ndarray, ticks: np.ndarray, gap: int) -> np.ndarray:
    """Steps of a source (T',), as fractions, at which an even clock ticks; each has its `ticks`."""
    ticks = ticks.copy()
    for step in _changes(commands)[1:-1]:
        ticks[step : step + gap] = np.maximum(ticks[step : step + gap], 1)  # a gripper needs its time
    time = np.concatenate([[0.0], np.cumsum(ticks)])
    time += 1e-9 * np.arange(len(time))  # what stands still has its place too
    return np.interp(np.linspace(0, time[-1], max(2, round(time[-1]) + 1)), time, np.arange(len(time)))


def _resampled(watched: Watched, steps: np.ndarray) -> Watched:
    """What was watched at steps that are fractions: ways between two steps, all else of the nearest."""
    low = np.minimum(steps.astype(int), len(watched.commands) - 2)
    commands = [
        [blended(*pair, share) for pair in zip(watched.commands[at], watched.commands[at + 1], strict=True)]
        for at, share in zip(low, steps - low, strict=True)
    ]
    return replace(_at(watched, np.rint(steps).astype(int)), commands=np.array(commands))


def _resting(watched: Watched, steps: int) -> Watched:
    """The same, whose last step goes on for so many."""
    count = len(watched.commands)
    return _at(watched, np.minimum(np.arange(count + steps), count - 1))
