"""Symptoms of how episodes differ from each other: lengths, paces, copies, places, cases, clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from common import command_line
from constants import TASKS
from doctor.survey import Examined, Survey
from doctor.symptoms import JOINTS, LEAVE_OUT, Sign, symptom
from tasks import StartSpace, Task, case_of, nearest_case

LEAST_GROUP = 5  # episodes of which is told what is usual
TIMES = 2.5  # as long, or as short, as the median: that much is odd
DEVIATIONS = 5.0  # and so many deviations (by the median's) from it
POINTS = 24  # of an episode's way that are compared with others'
NEAR = 0.01  # of the deviation of each joint over the set: ways that are nearer are the same
BLOCK, ROUNDING = 500, 1e-9  # ways that are compared at a time; of their squared distances
EXACT = 1e-6  # the same, where no pictures are compared
SAME_PICTURE = 2.0  # grey levels between the first pictures of two episodes, the mean
LEAST_PLACES = 10  # episodes of which is told how their places are spread
CLUSTERED = 0.5  # of the distance to the nearest that places at random have (Clark and Evans 1954)
EMPTY = 1 / 3  # share of the regions without any
LEAST_OF_CASE = 0.5  # of the episodes that the case with the most has
CLOCK = 0.01  # share by which the clock may go fast or slow


def _odd(values: Mapping[Examined, float]) -> dict[str, list[Examined]]:
    """Those whose value is far below or above that of the rest."""
    if len(values) < LEAST_GROUP:
        return {}
    numbers = np.array(list(values.values()))
    middle = float(np.median(numbers))
    wide = DEVIATIONS * 1.4826 * float(np.median(np.abs(numbers - middle)))
    far = {one: value for one, value in values.items() if abs(value - middle) > wide}
    return {
        "below": [one for one, value in far.items() if value * TIMES < middle],
        "above": [one for one, value in far.items() if value > TIMES * middle],
    }


@symptom("length", JOINTS, "it waits, was cut off, or shows something else than the others", LEAVE_OUT)
def length(survey: Survey) -> Iterator[Sign]:
    """Episodes are much longer or shorter than the rest."""
    odd = _odd({one: one.seconds for one in survey.whole})
    usual = np.median([one.seconds for one in survey.whole] or [0])
    for way, words in (("below", "shorter"), ("above", "longer")):
        if odd.get(way):
            yield Sign(f"{len(odd[way])} episodes are much {words} than the rest ({usual:.1f} s)", odd[way])


@symptom(
    "pace",
    JOINTS,
    "the policy learns a mean of both paces, and waits where the slow ones wait",
    LEAVE_OUT,
)
def pace(survey: Survey) -> Iterator[Sign]:
    """Episodes are much slower or faster than the rest."""
    joints, scale = ~survey.are_grippers, survey.span or 1.0
    ways = {
        one: float(np.abs(np.diff(one.states[:, joints], axis=0)).sum() / scale / one.seconds)
        for one in survey.whole
    }
    odd = _odd(ways)
    for way, words in (("below", "slower"), ("above", "faster")):
        if odd.get(way):
            yield Sign(f"{len(odd[way])} episodes are much {words} than the rest", odd[way])


@symptom(
    "near_duplicates",
    JOINTS,
    "they count twice, and the validation loss looks better than it is where one of a pair validates",
    LEAVE_OUT,
)
def near_duplicates(survey: Survey) -> Iterator[Sign]:
    """Episodes are the same as others before them, in joints and pictures."""
    kept = [one for one in survey.alike if len(one.states) > 1 and not _is_fixed(one)]
    if len(kept) < 2:
        return
    ways = np.stack([_way(one) for one in kept])
    scale = ways.std(axis=(0, 1))
    ways = (ways / np.where(scale > 0, scale, 1)).reshape(len(kept), -1)
    copies = {
        number for number, other, apart in _near_pairs(ways) if _are_same(kept[other], kept[number], apart)
    }
    if copies:
        found = [kept[number] for number in sorted(copies)]
        yield Sign(f"{len(copies)} episodes are nearly the same as others before them", found)


def _near_pairs(ways: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Numbers of two of the ways (N, K) that are near each other, the later one first, and how far apart."""
    sizes = (ways**2).mean(axis=1)
    for start in range(0, len(ways), BLOCK):
        block = slice(start, start + BLOCK)
        squares = sizes[block, None] + sizes - 2 * ways[block] @ ways.T / ways.shape[1]
        for row, other in np.argwhere(squares < NEAR**2 + ROUNDING):
            number = start + int(row)
            if other < number:
                apart = float(np.sqrt(((ways[number] - ways[other]) ** 2).mean()))
                if apart < NEAR:
                    yield number, int(other), apart


def _is_fixed(one: Examined) -> bool:
    """Whether all episodes of its task and case are alike by design: no object's place varies."""
    task = TASKS.get(one.episode.task)
    return task is not None and bool(task.props) and not any(space.axes for space in StartSpace.of(task))


def _way(one: Examined) -> np.ndarray:
    """(POINTS, D) states and, where there is one for each, commands, evenly over an episode."""
    at = np.linspace(0, len(one.states) - 1, POINTS)
    steps = np.arange(len(one.states))
    rows = np.hstack([one.states, one.actions])
    return np.stack([np.interp(at, steps, column) for column in rows.T], axis=1)


def _are_same(one: Examined, other: Examined, apart: float) -> bool:
    shared = one.cameras.keys() & other.cameras.keys()
    if not shared:
        return bool(apart < EXACT)
    return all(
        np.abs(one.cameras[camera].grey[0] - other.cameras[camera].grey[0]).mean() < SAME_PICTURE
        for camera in shared
    )


@symptom(
    "clustered_starts",
    JOINTS,
    "the policy guesses between the places it was shown, and beyond them",
    command_line("report.py --runs {folder} --coverage") + " says where to record next",
)
def clustered_starts(survey: Survey) -> Iterator[Sign]:
    """Objects start at few places, with gaps between them."""
    for label, space, starts in _starts_by_case(survey):
        if len(starts) < LEAST_PLACES or not space.axes:
            continue
        points = space.coordinates(np.stack(starts))
        where = f" of case {label!r}" if label else ""
        regions = space.region_count if space.ground is not None else 1
        empty = regions - len(set(space.regions(points).tolist())) if regions > 1 else 0
        if empty > EMPTY * regions and len(points) >= 2 * regions:
            yield Sign(f"{empty} of {regions} regions{where} where objects may start have no episode")
        elif _closeness(space, points) < CLUSTERED:
            yield Sign(f"objects{where} start at few places, close to each other")


def _starts_by_case(survey: Survey) -> Iterator[tuple[str, StartSpace, list[np.ndarray]]]:
    """Label and space of each case, and where the props of its episodes start."""
    placed = [
        one.episode
        for one in survey.whole
        if one.episode.env_state is not None and not one.is_mirrored  # its props may be where they were
    ]
    for name in sorted({episode.task for episode in placed}):
        task = TASKS.get(name)
        starts = [episode.env_state for episode in placed if episode.task == name]
        if task is None or any(start.size != 7 * len(task.props) for start in starts):
            sizes = Counter(start.size for start in starts)
            usual = sizes.most_common(1)[0][0]
            alike = [start for start in starts if start.size == usual]
            yield "", StartSpace.around(np.stack(alike)), alike
            continue
        for number, space in enumerate(StartSpace.of(task)):
            yield space.label, space, [start for start in starts if nearest_case(task, start)[0] == number]


def _closeness(space: StartSpace, points: np.ndarray) -> float:
    """Mean distance to the nearest other place, in that of as many places at random on the same ground.

    Infinite where the ground is no area.
    """
    axes = [axis for axis in space.ground_axes if axis is not None] if space.ground is not None else []
    if len(axes) < 2:
        return np.inf
    ranges = (space.high - space.low)[axes]
    places = points[:, axes] / ranges
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return float(apart.min(axis=1).mean() / (0.5 / np.sqrt(len(places))))


def cases(survey: Survey) -> dict[str, int]:
    """Episodes of each case of the dataset's task; empty if it has none."""
    for name, _ in Counter(one.episode.task for one in survey.every).most_common(1):
        task = TASKS.get(name)
        if task is not None and task.cases:
            return _count_cases(task, survey.every)
    return {}


def _count_cases(task: Task, every: Sequence[Examined]) -> dict[str, int]:
    found = Counter(case_of(task, one.episode.env_state) for one in every if one.episode.task == task.name)
    known = {case.label: found[case.label] for case in task.cases}
    return known if sum(known.values()) else {}


@symptom(
    "few_of_a_case",
    JOINTS,
    "the policy takes the case that it saw most for the other ones",
    "record {missing} more of it",
)
def few_of_a_case(survey: Survey) -> Iterator[Sign]:
    """A case has much fewer episodes than another."""
    counts = cases(survey)
    most = max(counts.values(), default=0)
    for label, count in counts.items():
        if most >= 4 and count < LEAST_OF_CASE * most:
            said = f"case {label!r} has {count} episodes, another has {most}"
            yield Sign(said, values={"missing": str(most - count)})


@symptom(
    "clock_drift",
    JOINTS,
    "the policy is run at the rate the files name, so it moves faster or slower than it was shown",
    f"record at a rate that computer and cameras hold; {command_line('edit_episodes.py relabel --fps')} sets "
    "what the files say",
)
def clock_drift(survey: Survey) -> Iterator[Sign]:
    """The clock of the steps goes faster or slower than the rate in the files."""
    off = {}
    for one in survey.alike:
        time, steps = one.episode.time, len(one.episode) - 1
        if time is not None and steps > 0 and time[-1] > time[0]:
            off[one] = float((time[-1] - time[0]) * one.episode.fps / steps - 1)
    found = [one for one, share in off.items() if abs(share) > CLOCK and abs(share) * len(one.episode) > 1]
    for way in (1, -1):  # slow and fast ones apart
        own = [one for one in found if off[one] * way > 0]
        if own:
            share = 1 + float(np.median([off[one] for one in own]))
            yield Sign(f"steps take {share:.1%} of the time that fps says", survey.unless_all(own))
