"""Sub-commands that look at a dataset and change nothing: flags, and a function for each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common import Workers, check_file, choose, cli, command_line, complete_file, quoted, spread
from constants import TASKS
from dataset_tools.edits import FolderFlags, beside, load_header
from dataset_tools.inspection import (
    KINDS,
    Facts,
    Findings,
    Thresholds,
    compare,
    find_problems,
    read_facts,
    sort_by_kind,
)
from dataset_tools.regions import steps_in_step
from doctor import Finding, cases, diagnose, jump_limits, survey_folder
from episodes import (
    Episode,
    EpisodeError,
    action_entries,
    entries,
    gathered_notes,
    list_episodes,
    whole_action,
)


@dataclass(frozen=True)
class InfoFlags(FolderFlags):
    pass


def info(flags: InfoFlags) -> None:
    """Show what the files' headers say: lengths, cameras, dimensions, success, size, problems."""
    paths = list_episodes(flags.dataset_dir)
    with tqdm(paths, desc="reading", unit="episode", leave=False) as progress:
        facts = [read_facts(path) for path in progress]
    compare(facts)
    rows = [
        ("file", "steps", "s", "fps", "state", "action", "images", "cameras", "success", "MB"),
        *(
            (
                *(one.name, str(one.steps), f"{one.seconds:.1f}", str(one.fps), *map(str, one.dims)),
                *(one.storage, one.camera_text, one.success_text, f"{one.megabytes:.1f}"),
            )
            for one in facts
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, one in zip(rows, [None, *facts], strict=True):
        problems = f"  {'; '.join(one.problems)}" if one and one.problems else ""
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"{'  '.join(cells).rstrip()}{problems}")
    print(summary(facts))
    print("".join(f"{line}\n" for line in gathered_notes({one.name: one.notes for one in facts})), end="")


def summary(facts: Sequence[Facts]) -> str:
    """Two lines about all files."""
    steps = [one.steps for one in facts if one.steps]
    successes = Counter(one.success_text for one in facts)
    tasks = Counter(one.task or "none named" for one in facts if one.steps)
    seconds, megabytes = sum(one.seconds for one in facts), sum(one.megabytes for one in facts)
    lengths = f"{min(steps)} to {max(steps)}" if steps else "no"
    wrong = sum(bool(one.problems) for one in facts)
    return (
        f"{len(facts)} episodes of {lengths} steps, {sum(steps)} in all ({seconds / 60:.1f} min), "
        f"{megabytes:.0f} MB; success: {successes['yes']} yes, {successes['no']} no, "
        f"{successes['?']} unknown; problems: "
        f"{wrong}\ntask: {', '.join(f'{name} ({count})' for name, count in tasks.items()) or 'none'}"
    )


@dataclass(frozen=True)
class CheckFlags(Thresholds, FolderFlags, Workers):
    only: str | None = cli.flag(
        None,
        "one part of the check: files (each one, every frame), or set (what shows across episodes, by a "
        "sample of frames: fast); both if not given",
        ("files", "set"),
    )
    json: str | None = cli.flag(
        None, "file to write the result to, for scripts; -: to print it instead of the words"
    )


def check(flags: CheckFlags) -> None:
    """Look at all files, and at what shows across them; ends with exit status 1 if a file is wrong."""
    if flags.json not in (None, "-"):
        check_file(flags.json, "json", ".json")
    paths = list_episodes(flags.dataset_dir)
    facts = [read_facts(path) for path in paths]
    compare(facts)
    headers = {path: one.problems for path, one in zip(paths, facts, strict=True)}
    survey = survey_folder(flags.dataset_dir, paths, flags, with_pictures=flags.only != "files")
    found = [] if flags.only == "files" else diagnose(survey)
    checked = {} if flags.only == "set" else _check_files(paths, flags, jump_limits(survey))
    problems = {
        path: list(dict.fromkeys([*(checked[path].problems if checked else ()), *headers[path]]))
        for path in paths
    }
    counts = cases(survey)
    if flags.json:
        _write_json(flags.json, paths, problems, found, counts)
    if flags.json != "-":
        notes = gathered_notes({one.name: one.notes for one in facts})
        lines = [f"{path.name}: {problem}" for path, own in problems.items() for problem in own]
        print("".join(f"{line}\n" for line in [*lines, *notes]), end="")
        print(_counted(len(paths), checked))
        print("".join(f"{line}\n" for line in _set_lines(found, counts)), end="")
    wrong = [path for path in paths if problems[path]]
    if wrong:
        is_open = {path: not checked or checked[path].is_open for path in wrong}
        damaged = [path.stem.removeprefix("episode_") for path in wrong if is_open[path]]
        count = (
            f"{sum(len(problems[path]) for path in wrong)} problems in {len(wrong)} of {len(paths)} episodes"
        )
        advice = _advice(flags.dataset_dir, damaged, len(wrong) - len(damaged), len(paths))
        raise EpisodeError(f"{count}; {advice}")
    if flags.json != "-":
        across = f"{len(found)} finding{'s' * (len(found) > 1)} across them"
        print(f"nothing is wrong with the files; {across}" if found else "nothing is wrong")


def _check_files(
    paths: Sequence[Path], flags: CheckFlags, limits: dict[str, np.ndarray] | None
) -> dict[Path, Findings]:
    """What is wrong with each file; every frame is decoded."""
    thresholds = Thresholds(**{name: getattr(flags, name) for name in cli.flags_of(Thresholds())})
    calls = [(path, thresholds, limits) for path in paths]
    progress = tqdm(total=len(paths), desc="checking", unit="episode")
    with progress, spread(find_problems, calls, flags, progress) as results:
        return {one.path: one for one in results}


def _counted(episodes: int, checked: Mapping[Path, Findings]) -> str:
    """How much was looked at."""
    if not checked:
        return f"{episodes} episodes, a sample of their frames"
    untimed = sum(not one.is_timed for one in checked.values())
    unknown = f"; {untimed} have no /time, so that their rate is unknown" if untimed else ""
    return f"{episodes} episodes, {sum(one.frames for one in checked.values())} frames{unknown}"


def _set_lines(found: Sequence[Finding], counts: Mapping[str, int]) -> list[str]:
    """What shows across episodes, a line each."""
    lines = [", ".join(f"{label}: {count}" for label, count in counts.items())] if counts else []
    return [*(f"episodes per case: {line}" for line in lines), *(f"across episodes: {f.line}" for f in found)]


def _write_json(
    place: str,
    paths: Sequence[Path],
    problems: Mapping[Path, Sequence[str]],
    found: Sequence[Finding],
    counts: Mapping[str, int],
) -> None:
    """The result as JSON, to a file or to stdout (-)."""
    result = {
        "episodes": len(paths),
        "cases": dict(counts),
        "files": {path.name: list(own) for path, own in problems.items() if own},
        "findings": [finding.plain() for finding in found],
    }
    text = json.dumps(result, indent=2)
    if place == "-":
        print(text)
        return
    Path(place).absolute().parent.mkdir(parents=True, exist_ok=True)
    with complete_file(Path(place)) as part:
        part.write_text(f"{text}\n", encoding="utf-8")


def _advice(folder: str, damaged: Sequence[str], closed: int, total: int) -> str:
    """What to do about damaged episodes, by number or name, and those that could not be opened."""
    if not damaged:
        return "files that could not be opened may be sound: do as each line says, and check again"
    if len(damaged) == total:
        return "none is left that could be trained on; do as each line says, or record anew"
    words = f"edit_episodes.py delete --dataset_dir {quoted(folder)} --output_dir NEW --episodes"
    others = f" ({closed} that could not be opened may be sound, and are not among them)" if closed else ""
    return f"to leave these out{others}: {command_line(words)} {' '.join(damaged)}"


@dataclass(frozen=True)
class StatsFlags(FolderFlags):
    dry_run: bool = cli.flag(False, "write no dataset_stats.json beside the episodes")


def show_stats(flags: StatsFlags) -> None:
    """Show mean, deviation and range of each entry of state and action; training normalises by them."""
    from episodes import FILE_NAME, Stats, dataset_stats, is_kept  # imports torch, which takes seconds

    paths = list_episodes(flags.dataset_dir)
    if flags.dry_run:
        episodes = [load_header(path) for path in paths]
        stats = Stats.of([one.qpos for one in episodes], [whole_action(one) for one in episodes])
    else:
        stats = dataset_stats([paths])
    first = load_header(paths[0])
    print(f"{'':32}{'mean':>10}{'std':>10}{'min':>10}{'max':>10}")
    for what, own in (("qpos", entries(first)), ("action", action_entries(first))):
        columns = (getattr(stats, f"{what}_{of}") for of in ("mean", "std", "min", "max"))
        for entry, *row in zip(own, *columns, strict=True):
            print(f"{f'{what} {entry.name}':32}" + "".join(f"{value:10.4f}" for value in row))
    place = Path(flags.dataset_dir) / FILE_NAME
    kept = "not kept" if flags.dry_run else f"{place} cannot be written: they are computed anew each time"
    print(f"over {len(paths)} episodes; {f'kept in {place}' if is_kept(paths) else kept}")


@dataclass(frozen=True)
class RegionFlags(Workers):
    dataset_dir: tuple[str, ...] = cli.flag(
        None,
        "folder of the episodes; or several, if each holds those of one kind",
        required=True,
        distinct=True,
    )
    by: str | None = cli.flag(
        None, "how the episodes of one folder are sorted; by case or success if not given", KINDS
    )
    background: str | None = cli.flag(None, "folder of a recording without objects (--no_props)")
    camera_names: tuple[str, ...] | None = cli.flag(
        None, "cameras to look at; all if not given", distinct=True
    )
    steps: tuple[int, int] | None = cli.flag(
        None, "first and last step to compare; while all arms are in the same pose if not given", least=0
    )
    margin: int = cli.flag(8, "pixels added to boxes on every side", least=0, most=10_000)
    max_episodes: int = cli.flag(
        40, "most episodes of each kind that are read, evenly over its files", least=1
    )
    output_dir: str | None = cli.flag(None, "folder for the pictures; <dataset_dir>_regions if not given")
    seed: int = cli.flag(
        0, "of the shuffled kinds that differences are compared with", least=0, most=cli.MOST_SEED
    )
    dry_run: bool = cli.flag(False, "say what differs, and write nothing")


def region(flags: RegionFlags) -> None:
    """Find where in the picture kinds of episodes differ, and propose boxes for --crop and --mask_outside."""
    from dataset_tools.regions import Compared, flag_lines, survey, write_survey  # imports matplotlib

    groups = [(name, _evenly(own, flags.max_episodes)) for name, own in _groups(flags)]
    empty = _evenly(list_episodes(flags.background), flags.max_episodes) if flags.background else []
    paths = [path for _, own in groups for path in own]
    available = sorted(Episode.load(paths[0], in_memory=False).images)
    cameras = [choose("camera", name, available) for name in flags.camera_names or available]
    for path in (*paths, *empty):
        Episode.load(path, cameras, in_memory=False)  # an error if a camera is missing
    steps = flags.steps or steps_in_step([*paths, *empty])
    if steps[0] > steps[1]:
        raise ValueError(f"--steps {steps[0]} {steps[1]}; give a first and a last step")
    kinds = ", ".join(f"{name} ({len(own)})" for name, own in groups)
    compared = Compared(groups, empty, steps)
    print(f"{kinds}; compared at steps {steps[0]} to {steps[1]}")
    rng = np.random.default_rng(flags.seed)
    surveys = [survey(camera, compared, flags.margin, rng, flags) for camera in cameras]
    print("\n".join(line for one in surveys for line in one.words()))
    print("\n".join(flag_lines(surveys)))
    if not flags.dry_run:
        folder = Path(flags.output_dir or beside(flags.dataset_dir[0], "_regions"))
        written = write_survey(folder, surveys)
        print(f"look at {', '.join(path.name for path in written)} in {folder}; draw your own in region.html")


def _evenly(paths: Sequence[Path], count: int) -> list[Path]:
    return [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, count).round().astype(int))]


def _groups(flags: RegionFlags) -> list[tuple[str, list[Path]]]:
    """Name and files of each kind of episodes, as the flags sort them."""
    folders = [Path(folder) for folder in flags.dataset_dir]
    if len(folders) > 1:
        if flags.by:
            raise ValueError(f"--by {flags.by} sorts one folder; {len(folders)} are given, one for each kind")
        return [(folder.name, list_episodes(folder)) for folder in folders]
    paths = list_episodes(folders[0])
    if flags.by:
        return sort_by_kind(paths, flags.by)
    task = TASKS.get(load_header(paths[0]).task)
    return sort_by_kind(paths, "case" if task and task.cases else "success")
