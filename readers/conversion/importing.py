"""Bring recordings in: find out what they are, say it, and write those that are whole as episodes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common import choose, cli
from constants import TASKS
from episodes import EpisodeError, gathered_notes, listed
from readers.base import Reader, Recording, Survey
from readers.conversion.choosing import chosen, file_names, laid_out
from readers.conversion.columns import column_table
from readers.conversion.flags import ImportFlags
from readers.conversion.layout import Layout
from readers.conversion.units import conversion
from readers.conversion.writing import Job, Outcome, publish, stage_of, staging, write_all
from readers.registry import READERS, recognised

RUN_DEPENDENT = ("output_dir", "dry_run", "skip_damaged", "num_workers", "backend", "cluster_address")


@dataclass(frozen=True)
class Intake:
    """What will be brought in."""

    reader: Reader
    survey: Survey
    recordings: Sequence[Recording]  # that were asked for
    layouts: Mapping[str, Layout]  # by name of those that are whole
    task: str
    fps: int
    unit: str
    grippers: tuple[float, float]
    files: Mapping[str, str]
    notes: Sequence[str]

    @property
    def whole(self) -> list[Recording]:
        """The recordings that are whole, as far as was looked."""
        return [one for one in self.recordings if one.name in self.layouts]

    @property
    def problems(self) -> list[Exception]:
        """What is wrong with the others."""
        return [one.problem for one in self.recordings if one.problem]

    def jobs(self) -> list[Job]:
        """The episodes to write."""
        return [self.job(one) for one in self.whole]

    def job(self, one: Recording) -> Job:
        """The episode to write of a recording."""
        layout = self.layouts[one.name]
        convert = {
            role: conversion(names, self.task, self.unit, self.grippers)
            for role, names in layout.entries(one).items()
        }
        return Job(self.reader.name, one, layout, convert, self.task, self.fps, self.files[one.name])


def bring_in(flags: ImportFlags, label: str = "import", is_strict: bool = False) -> None:
    """Bring recordings in as episodes.

    Args:
        flags: from where, and how.
        label: the command's name.
        is_strict: the first recording that is damaged ends everything, with its own error, as
            `import_lerobot` does it; the command's text is that one's too.
    """
    flags.check()
    source, target = Path(flags.source), Path(flags.output_dir)
    reader = READERS[flags.format] if flags.format else recognised(source)
    if target.exists():
        raise FileExistsError(f"{target} exists already; choose another --output_dir")
    if not is_strict:
        print(f"{source}: {reader.title}")
    intake = take_in(reader, flags, is_strict)
    print(_summary(source, intake))
    if is_strict:
        print("".join(f"{line}\n" for line in _notes(intake)), end="")
    else:
        print(_details(intake) + _others(source, reader), end="")
    if flags.dry_run:
        print("".join(f"{line}\n" for line in _columns(intake)), end="")
    if intake.problems and not flags.skip_damaged:
        raise _refusal(intake.problems, len(intake.recordings), "nothing was written")
    if flags.dry_run:
        print("nothing was written (--dry_run)")
        return
    identity = {name: value for name, value in cli.flags_of(flags).items() if name not in RUN_DEPENDENT}
    identity |= {"from": str(source.resolve()), "task": intake.task, "fps": intake.fps}
    with staging(target):
        outcomes = write_all(intake.jobs(), identity, target, flags, label, is_strict)
        problems = [outcome.problem for outcome in outcomes if outcome.problem]
        written = len(intake.whole) - len(problems)
        if not written or (problems and not flags.skip_damaged):
            shutil.rmtree(stage_of(target))
            raise _refusal([*intake.problems, *problems], len(intake.recordings), "nothing was kept")
        publish(target, None if is_strict else _origin(source, intake, problems))
    left_out = _left_out(outcomes, [*intake.problems, *problems])
    notes = sorted({note for outcome in outcomes for note in outcome.notes})
    print("\n".join([*notes, *left_out, f"{target}: {written} episodes"]))


def take_in(reader: Reader, flags: ImportFlags, is_strict: bool = False) -> Intake:
    """Find the recordings and decide what becomes of them; reads no pictures.

    Raises:
        ValueError: there is nothing that can be brought in, or a flag does not fit.
    """
    survey = reader.survey(Path(flags.source), flags.fps)
    asked = recordings = chosen(survey, flags.episodes)
    if not flags.no_images:
        recordings = [replace(one, problem=one.problem or one.without_pictures) for one in asked]
    if is_strict:
        for one in filter(lambda one: one.problem, recordings):
            raise one.problem
    fps = flags.fps or survey.fps or reader.default_fps
    if fps is None:
        if all(one.problem for one in asked):  # it may be why no rate was found
            raise asked[0].problem
        raise ValueError(f"{flags.source} does not say how many steps a second it has; --fps says it")
    if flags.no_images is False and reader.no_pictures and not any(one.cameras for one in recordings):
        first = next(iter(one.problem for one in recordings if one.problem), None)
        raise first or ValueError(f"{flags.source} has states, but no pictures; {reader.no_pictures}")
    if all(one.problem for one in recordings) and not all(one.problem for one in asked):
        raise ValueError(
            f"{recordings[0].problem}; no recording has all its pictures; --no_images brings in states and "
            "actions alone"
        )
    recordings, layouts = laid_out(recordings, reader, flags)
    first = next(one for one in recordings if one.name in layouts)
    width = len(layouts[first.name].names("state", first))
    files, note = file_names([one for one in recordings if one.name in layouts])
    intake = Intake(
        reader,
        survey,
        recordings,
        layouts,
        task_of(flags.task_name, survey.tasks, width),
        fps,
        flags.joint_unit or reader.joint_unit,
        tuple(flags.gripper_range or reader.gripper_range),
        files,
        [*survey.notes, *([note] if note else [])],
    )
    is_scaled = flags.gripper_range and tuple(flags.gripper_range) != (0.0, 1.0)
    if is_scaled and not any(each.grippers for each in intake.job(first).convert.values()):
        raise ValueError(
            "--gripper_range is given, but no entry is a gripper by its name or its task (--task_name); "
            "--dry_run without it shows all columns"
        )
    return intake


def task_of(asked: str | None, candidates: Sequence[str], dim: int) -> str:
    """Which of our tasks recordings are of; "" if that is unknown.

    Args:
        asked: the user's, if any.
        candidates: names that the source gives.
        dim: number of entries in a state.

    Raises:
        ValueError: the user's task does not exist, or has states of another width.
    """
    if asked:
        task = TASKS[choose("task", asked, TASKS)]
        if task.dim != dim:
            raise ValueError(f"states have {dim} entries; those of {asked} have {task.dim}")
        return asked
    return next((name for name in candidates if name in TASKS and TASKS[name].dim == dim), "")


def _summary(source: Path, intake: Intake) -> str:
    """What was found and what is assumed, in a line."""
    whole = intake.whole
    steps, cameras = sum(one.steps for one in whole), intake.layouts[whole[0].name].cameras.values()
    rate = intake.survey.rate_text or intake.fps
    return (
        f"{source}: {len(whole)} episodes, {steps} steps at {rate} fps, cameras: "
        f"{', '.join(cameras) or 'none'}, task: "
        f"{intake.task or 'not one of ours (--task_name says which)'}; assumed: joints in {intake.unit}, "
        "grippers {:g} closed, {:g} open".format(*intake.grippers)
    )


def _details(intake: Intake) -> str:
    """Lines on what becomes of what: state and action, what is not used, choices that the source has."""
    first = intake.whole[0]
    layout = intake.layouts[first.name]
    names, convert = layout.entries(first)["state"], intake.job(first).convert["state"]
    grippers = [names[convert.order[place]] for place in convert.grippers]
    lines = [f"{layout.text(first)}, grippers: {', '.join(grippers) or 'none'}"]
    lines += gathered_notes({one.name: _not_taken(one, intake.layouts[one.name]) for one in intake.whole})
    groups = [f"{name} ({len(names)})" for name, names in intake.survey.groups.items()]
    lines += [f"choices for --episodes: {', '.join(groups)}"] if groups else []
    return "".join(f"{line}\n" for line in [*lines, *_notes(intake)])


def _notes(intake: Intake) -> list[str]:
    return [f"note: {note}" for note in intake.notes]


def _columns(intake: Intake) -> list[str]:
    """A table of the columns, for a person to decide on units by."""
    convert = intake.job(intake.whole[0]).convert["state"]
    return column_table(intake.reader, intake.whole, intake.layouts, convert, intake.fps)


def _others(source: Path, reader: Reader) -> str:
    """A line on recordings of other formats that lie there too; "" if there are none."""
    names = [other.name for other in READERS.values() if other is not reader and other.recognises(source)]
    return (
        f"not read: recordings of other formats; --format {' or '.join(names)} reads them\n" if names else ""
    )


def _not_taken(one: Recording, layout: Layout) -> list[str]:
    """Notes on what a recording holds and its episode will not."""
    unused = [f"not used: {', '.join(layout.unused)}"] if layout.unused else []
    return [*unused, *(f"left out: {what}" for what in one.left_out)]


def _refusal(problems: Sequence[Exception], total: int, what: str) -> EpisodeError:
    """The error if some recordings are damaged, in a line that says how many could come in."""
    rest = total - len(problems)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    hint = f"--skip_damaged brings in the other {rest}" if rest else "none of them can be brought in"
    return EpisodeError(
        f"{len(problems)} of {total} recordings are damaged or differ: {problems[0]}{more}; {hint}; {what}"
    )


def _left_out(outcomes: Sequence[Outcome], problems: Sequence[Exception]) -> list[str]:
    """Lines on what was left out."""
    lines = gathered_notes({outcome.job.recording.name: outcome.left_out for outcome in outcomes})
    if problems:
        lines.append(f"left out: {len(problems)} recordings: {listed(problems)}")
    return lines


def _origin(source: Path, intake: Intake, problems: Sequence[Exception]) -> dict[str, object]:
    """What import.json keeps: where each episode comes from, and what was left out."""
    files = {file: name for name, file in intake.files.items()}
    return {
        "from": str(source.resolve()),
        "format": intake.reader.name,
        "files": files,
        "left_out": [str(problem) for problem in [*intake.problems, *problems]],
    }
