"""What a run or a folder of episodes covers: where objects were shown, where a policy fails, what comes next.

A run is a folder that training wrote; of it, the episodes, the evaluations, and the policy's error on the
validation episodes are looked at. A folder of episodes alone tells where objects were shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from constants import TASKS
from episodes import data_dir, list_datasets, list_episodes, read_start, split_datasets
from evaluation import ARM, TriedStart, has_looks, is_plain, share_failed, tried_starts
from tasks import Evidence, StartSpace, Task, nearest_case, suggest
from viewers.run_folder import Evaluation, RunFolder, is_run, read_run

NEXT = 10  # starts that are suggested
LESS_OFTEN = 0.25  # share by which a region may be trained on less often before it is said
THIN = 0.5  # of its even share of the samples; a region with less is thin
START = "start"  # the phase that counts where a place is looked for: then only pictures tell where it is


@dataclass(frozen=True, eq=False)
class ShownStart:
    """An episode and where its objects stood."""

    path: Path
    start: np.ndarray  # (P * 7,)
    case: int
    share: float = 0.0  # of the training samples that come from it; 0: it is none to train on
    is_plain: bool = True  # simulated, in the scene's own look: cameras stand as the scene says
    errors: Mapping[str, float] = field(default_factory=dict)  # by phase: degrees, if it is held out


@dataclass(frozen=True, eq=False)
class Attempt:
    """A start that a policy tried, and the demonstration nearest to it."""

    tried: TriedStart
    case: int
    failed: float  # share of the attempts there
    nearest: ShownStart | None  # of its case
    distance: float  # m from that; inf if there is none


@dataclass(frozen=True)
class Region:
    """A part of where the first object may start, in one case."""

    case: int
    number: int  # as `StartSpace.regions` counts
    shown: int  # demonstrations
    share: float  # of the samples from the beginning of an episode that come from it
    share_after: float  # the same with the suggested starts
    even: float  # its share of the area
    attempts: int  # starts that were tried
    failed: int  # of them, at least once

    @property
    def warning(self) -> str:
        """What to know before the suggested episodes are added; empty if there is nothing."""
        if self.share_after >= self.share or self.even == 0:
            return ""
        if self.share_after < THIN * self.even:
            return "thin, and thinner with the new ones"
        drop = 1 - self.share_after / self.share
        return f"{100 * drop:.0f} % less often" if drop > LESS_OFTEN else ""


@dataclass(frozen=True, eq=False)
class Coverage:
    """What is covered, and what to record next."""

    source: Path
    task: Task | None  # of a real arm's, its twin's; None: all that is known is in the episodes
    spaces: tuple[StartSpace, ...]  # one a case
    shown: tuple[ShownStart, ...]
    attempts: tuple[Attempt, ...]
    notes: tuple[str, ...]  # what is missing, and why
    early: str = ""  # in words, what share of the samples begins early

    @property
    def trained(self) -> tuple[ShownStart, ...]:
        """Episodes that are trained on."""
        return tuple(shown for shown in self.shown if shown.share)

    @property
    def held_out(self) -> tuple[ShownStart, ...]:
        """Validation episodes at which the policy was asked."""
        return tuple(shown for shown in self.shown if shown.errors)

    def evidence(self, case: int) -> Evidence:
        """What is known of a case. Validation episodes count as shown: there is no need to show it twice."""
        space = self.spaces[case]
        shown, attempts, held_out = (
            [each for each in every if each.case == case]
            for every in (self.shown, self.attempts, self.held_out)
        )
        return Evidence(
            space,
            space.coordinates(_rows([each.start for each in shown], space)),
            space.coordinates(_rows([each.tried.start for each in attempts], space)),
            np.array([attempt.failed for attempt in attempts]),
            space.coordinates(_rows([each.start for each in held_out], space)),
            np.array([each.errors[START] for each in held_out]),
        )

    def next_starts(self, count: int = NEXT) -> list[tuple[int, np.ndarray]]:
        """Case and start (P * 7,) of the episodes to record next, the most useful first (`tasks.suggest`)."""
        cases = [case for case, space in enumerate(self.spaces) if space.axes]
        found = suggest([self.evidence(case) for case in cases], count)
        return [(cases[number], self.spaces[cases[number]].start(point)) for number, point in found]

    def regions(self, new: Sequence[tuple[int, np.ndarray]]) -> list[Region]:
        """All regions, before and after the starts `new` are recorded and trained on like the others."""
        n = len(self.trained)
        mean = sum(each.share for each in self.trained) / max(n, 1)
        total = sum(each.share for each in self.trained) + mean * len(new)
        rows = []
        for case, space in enumerate(self.spaces):
            shown = [each for each in self.trained if each.case == case]
            tried = [each for each in self.attempts if each.case == case]
            starts = ([each.start for each in shown], [each.tried.start for each in tried])
            added = [start for of, start in new if of == case]
            of_shown, of_tried, of_new = (
                space.regions(space.coordinates(_rows(some, space))) for some in (*starts, added)
            )
            shares = np.array([each.share for each in shown])
            for number in range(space.region_count):
                share = float(shares[of_shown == number].sum())
                after = (share + mean * int((of_new == number).sum())) / total if total else 0.0
                there = [each for each, region in zip(tried, of_tried, strict=True) if region == number]
                rows.append(
                    Region(
                        case,
                        number,
                        int((of_shown == number).sum()),
                        share / (total - mean * len(new)) if n else 0.0,
                        after,
                        1 / len(self.spaces) / space.region_count,
                        len(there),
                        sum(each.failed > 0 for each in there),
                    )
                )
        return rows


def _rows(starts: Sequence[np.ndarray], space: StartSpace) -> np.ndarray:
    """Starts as (N, P * 7), also where there are none."""
    return np.reshape(starts, (len(starts), 7 * len(space.props)))


def read_coverage(folder: Path, has_policy: bool = True) -> Coverage:
    """What a run, or a folder of episodes, covers.

    Args:
        folder: the --ckpt_dir of a run, or the --dataset_dir of episodes.
        has_policy: whether the policy of a run is asked for its error, which takes a few seconds.

    Raises:
        ValueError: it is neither, or no episode tells where its objects stood; one line.
        FileNotFoundError: the episodes of the run are not where its flags say.
    """
    if is_run(folder):
        return run_coverage(read_run(folder, folder.name), has_policy)
    try:
        paths = list_episodes(folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; nor is it the --ckpt_dir of a run") from None
    return _coverage(folder, [(path, 1 / len(paths)) for path in paths], [], [])


def run_coverage(run: RunFolder, has_policy: bool = True) -> Coverage:
    """As `read_coverage`, of a run that was read."""
    flags = run.flags
    if not isinstance(flags.get("task_name"), str):
        raise ValueError(f"{run.folder} does not say what was trained (config.json)")
    train, validation = _split(flags, run.folder)
    notes: list[str] = []
    shares = [(path, share) for paths, share in train for path in paths]
    coverage = _coverage(run.folder, shares, validation, _evaluations(run))
    errors = _held_out(run, coverage, notes) if has_policy else {}
    shown = tuple(_with_errors(each, errors.get(each.path)) for each in coverage.shown)
    early, steps = float(flags.get("early_share") or 0), flags.get("early_steps", 40)
    words = f"{100 * early:.0f} % of all samples begin in the first {steps} steps" if early else ""
    return replace(coverage, shown=shown, notes=(*coverage.notes, *notes), early=words)


def _with_errors(shown: ShownStart, errors: Mapping[str, float] | None) -> ShownStart:
    return replace(shown, errors=errors) if errors else shown


def _split(flags: Mapping[str, Any], folder: Path) -> tuple[list[tuple[list[Path], float]], list[Path]]:
    """Episodes that a run was trained on, with the share of each in the samples; those it was validated on.

    FileNotFoundError if they are not at hand.
    """
    dirs = flags.get("dataset_dir") or [data_dir(flags["task_name"])]
    try:
        datasets, weights = list_datasets(
            dirs, flags.get("sample_weights"), bool(flags.get("skip_mirrored_data"))
        )
    except OSError as error:
        raise FileNotFoundError(f"the episodes of {folder} are not at hand: {error}") from None
    ratio, seed = float(flags.get("train_ratio", 0.8)), int(flags.get("seed", 0))
    trained, validation = split_datasets(datasets, ratio, seed, flags.get("places_only") or ())
    return [(each, weight / len(each)) for each, weight in zip(trained, weights, strict=True)], validation


def _evaluations(run: RunFolder) -> list[tuple[Evaluation, Path]]:
    """Evaluations of the present checkpoints, simulated and on an arm, with the folder of the episodes."""
    runs = [(run, run.folder)]
    arm = run.folder / ARM
    if is_run(arm):
        runs.append((read_run(arm, ARM), arm))
    every = [(each, folder) for one, folder in runs for each in one.evaluations]
    plain = [(each, folder) for each, folder in every if not each.is_stale and is_plain(each.summary)]
    return [pair for pair in plain if not has_looks(pair[0].summary)] or plain


def _coverage(
    source: Path,
    shares: Sequence[tuple[Path, float]],
    validation: Sequence[Path],
    evaluations: Sequence[tuple[Evaluation, Path]],
) -> Coverage:
    """Coverage without errors of a policy, of episodes to train on, with their shares, and others."""
    every = [(path, share) for path, share in [*shares, *((path, 0.0) for path in validation)]]
    loaded = [(path, share, *read_start(path)) for path, share in every]
    known = [each for each in loaded if each[3] is not None]
    name = next((facts["task"] for _, _, facts, _ in known), "")
    size = max((len(start) for *_, start in known), default=0)
    task = _simulated(name, size)
    size = 7 * len(task.props) if task else size
    if not known:
        raise ValueError(
            f"none of the {len(loaded)} episodes of {source} says where its objects stood (/env_state), so "
            "there is no map"
        )
    known = [each for each in known if len(each[3]) == size and _is_of(each[2]["task"], name, task)]
    if not known:
        raise ValueError(
            f"the episodes of {source} are of {name}; none has the {size} numbers (/env_state) of where its "
            "objects may start, so there is no map"
        )
    notes = []
    if len(known) < len(loaded):
        notes.append(
            f"{len(loaded) - len(known)} of {len(loaded)} episodes are left out: they do not say where their "
            f"objects stood, or are of another task than {name or 'the first'}"
        )
    spaces = StartSpace.of(task) if task else (StartSpace.around(np.array([start for *_, start in known])),)
    shown = tuple(
        ShownStart(path, start, _case(task, start), share, facts["sim"] and not facts["randomized"])
        for path, share, facts, start in known
    )
    tried = [
        each for evaluation, folder in evaluations for each in tried_starts(evaluation.summary, task, folder)
    ]
    fitting = [each for each in tried if len(each.start) == size]
    attempts = tuple(_attempt(each, failed, task, spaces, shown) for each, failed in share_failed(fitting))
    return Coverage(source, task, spaces, shown, attempts, tuple(notes))


def _simulated(name: str, size: int) -> Task | None:
    """The task of that name; of a real arm's, a simulated one with its arms and starts of that size. None if
    there is none.
    """
    task = TASKS.get(name)
    if task is None or task.props:
        return task
    likes = (other for other in TASKS.values() if other.arms == task.arms and other.props)
    return next((other for other in likes if 7 * len(other.props) == size), None)


def _is_of(name: str, first: str, task: Task | None) -> bool:
    """Whether episodes of a task belong to those of `first`, which are in the scene of `task`: a real arm's
    go with what was multiplied from them.
    """
    own = _simulated(name, 7 * len(task.props)) if task else None
    return name == first or (own is not None and (own.scene, own.props) == (task.scene, task.props))


def _case(task: Task | None, start: np.ndarray) -> int:
    return nearest_case(task, start)[0] if task else 0


def _attempt(
    tried: TriedStart,
    failed: float,
    task: Task | None,
    spaces: Sequence[StartSpace],
    shown: Sequence[ShownStart],
) -> Attempt:
    """An attempt with the nearest demonstration of its case."""
    case = _case(task, tried.start)
    space, same = spaces[case], [each for each in shown if each.share and each.case == case]
    if not same:
        return Attempt(tried, case, failed, None, float("inf"))
    here, there = (space.coordinates(_rows(some, space)) for some in ([tried.start], [s.start for s in same]))
    distances = space.distances(here, there)[0]
    nearest = int(distances.argmin())
    return Attempt(tried, case, failed, same[nearest], float(distances[nearest]))


def _held_out(run: RunFolder, coverage: Coverage, notes: list[str]) -> dict[Path, dict[str, float]]:
    """The policy's error at the validation episodes, by phase; empty, with a note, if it cannot be had."""
    from evaluation import held_out_errors
    from policies import run_checkpoint
    from policy import load_policy
    from utils import PHASES

    paths = [shown.path for shown in coverage.shown if not shown.share]
    if not paths:
        return {}
    try:
        policy = load_policy(run_checkpoint(run.folder))
        errors = held_out_errors(policy, paths)
    except (ValueError, OSError, RuntimeError) as error:
        notes.append(f"no error of the policy: {str(error).splitlines()[0]}")
        return {}
    pairs = zip(paths, errors.tolist(), strict=False)
    return {path: dict(zip(PHASES, each, strict=True)) for path, each in pairs}
