"""Many demonstrations from few (MimicGen: Mandlekar et al. 2023, arXiv:2310.17596).

Each new start is tried with the demonstrations of its case whose own start is nearest: sources.py cuts them
into parts, retold.py moves these to where things are now. What succeeds is rendered and saved as any other
recording. New episode i depends only on the sources, the seed and i.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common import (
    Workers,
    check_folder,
    check_whole,
    cli,
    complete_file,
    file_identity,
    hold,
    remove_unfinished,
    spread,
)
from constants import IMAGE_SIZE, Stream
from dataset_tools.edits import chosen_episodes, load_header
from dataset_tools.multiplied.advice import training_command
from dataset_tools.multiplied.job import MAX_STARTS, Job, MultiplyFlags
from dataset_tools.multiplied.real_room import RealRoom, clicked_room
from dataset_tools.multiplied.retold import retell
from dataset_tools.multiplied.source_checks import check_sources, picture_size
from dataset_tools.multiplied.sources import Source, read_source
from dataset_tools.multiplied.steady import steady
from dataset_tools.multiplied.trials import with_ways
from dataset_tools.plans import HISTORY
from episodes import Episode, EpisodeError, episode_path, list_episodes, missing_numbers, read_header
from evaluation import (
    check_looks,
    check_scene,
    close_environments,
    follow,
    run_episode,
)
from tasks import LEVELS, LookPlan, sample_start


@dataclass(frozen=True)
class Made:
    """What making one episode took."""

    tried: tuple[tuple[str, bool], ...]  # name of each source that was tried, and whether it succeeded
    strict_success: bool


def make_episode(job: Job, index: int) -> Made:
    """Make and save new episode `index`; tries new starts until a source succeeds, at most MAX_STARTS."""
    env, task, flags = job.environment(), job.task, job.flags
    if flags.randomize:
        seeds = (flags.seed, Stream.MULTIPLY_LOOKS, index)
        env.set_looks(LookPlan(seeds, LEVELS[flags.looks], job.looks_hold))
    rng, case, tried = np.random.default_rng([flags.seed, Stream.MULTIPLY, index]), job.case(index), []
    for midway in islice(job.midways(index), MAX_STARTS):
        start = sample_start(task, rng, case, flags.margin, 0.0 if midway is None else flags.askew)
        for source in job.nearest(start, case):
            driven = retell(env, task, source, start, midway)
            tried.append((source.name, driven is not None))
            if driven is not None:
                made = Made(tuple(tried), bool(env.strict_success))
                save(job, index, source, driven, midway)
                return made
    raise RuntimeError(
        f"no demonstration succeeded from {MAX_STARTS} starts running at episode {index} of {task.name}; "
        "give more of them, or try more for each start (--attempts)"
    )


def save(job: Job, index: int, source: Source, driven: Episode, midway: np.ndarray | None = None) -> None:
    """Save an episode that succeeded; its pictures are rendered now, by repeating its actions."""
    env, flags, episode = job.environment(), job.flags, driven
    if job.cameras:
        state = source.state if midway is None else midway
        start = env.reset(env_state=driven.env_state, state=state)
        task = replace(job.task, episode_len=len(driven))
        episode = run_episode(env.env, task, start, follow(driven.action), job.cameras)
    facts = {
        **source.facts,
        "source": source.name,
        "seed": flags.seed,
        "render_quality": flags.render_quality,
        "randomized": flags.randomize is not None,
        "looks": flags.looks,
        "looks_hold": job.looks_hold,
        "recovers": midway is not None or source.state is not None,
    }
    replace(episode, **facts).save(episode_path(flags.output_dir, index))


def multiply(flags: MultiplyFlags) -> None:
    """Make many demonstrations from few: moved to new starts in simulation, and kept if they succeed."""
    check_looks(flags.looks, flags.randomize, flags.hold_looks)
    if flags.askew and not flags.begin_midway:
        raise ValueError(f"--askew is {flags.askew:g}; it needs --begin_midway, e.g. --begin_midway 0.4")
    check_folder(flags.output_dir, "output_dir")
    flags = replace(flags, output_dir=str(Path(flags.output_dir).resolve()))
    paths = chosen_episodes(flags.dataset_dir, flags.episodes)
    headers = {path.resolve(): load_header(path) for path in paths}
    task = check_sources(headers, flags.task_name)
    fit = [path for path, header in headers.items() if header.success is not False]
    if not fit:
        raise ValueError(f"{flags.dataset_dir}: all {len(paths)} episodes failed, as their files say")
    cameras = flags.camera_names or tuple(read_header(fit[0])[1])
    check_scene(task, cameras)
    size = picture_size(fit[0], cameras)
    job = Job(task, cameras, flags, room=_real_room(flags, cameras), image_size=size)
    try:
        if job.room is not None:
            print(job.room.standing.told(job.own_environment().env))
        if flags.dry_run:
            print_parts(replace(job, sources=tuple(read_sources(job, fit))))
            return
        with hold(flags.output_dir):
            make_missing(job, fit)
        is_whole = len(fit) == len(list_episodes(flags.dataset_dir))
        print(f"train on them: {training_command(job, headers[fit[0]], len(paths), is_whole)}")
    finally:
        close_environments()


def _real_room(flags: MultiplyFlags, cameras: Sequence[str]) -> RealRoom | None:
    """Where clicks say that a camera stands; ValueError if that cannot be shown."""
    if flags.clicks is None:
        return None
    if flags.randomize is None:
        raise ValueError("--clicks puts a camera elsewhere, in looks that vary about that; add --randomize")
    return clicked_room(flags.clicks, cameras)


def read_sources(job: Job, paths: Sequence[Path]) -> list[Source]:
    """Watch all demonstrations; says which fail when they are replayed. EpisodeError if one has no event."""
    progress = tqdm(total=len(paths), desc="watching", unit="demonstration")
    with progress, spread(read_one, [(job, path) for path in paths], job.flags, progress) as results:
        read = dict(results)
    for path in paths:
        if read[path] is not None and not any(read[path].parts):
            raise EpisodeError(
                f"{path}: no event was found: no arm grips or moves a prop, so there is nothing to move"
            )
    sources = [read[path] for path in paths if read[path] is not None]
    if not sources:
        raise ValueError(f"none of {len(paths)} demonstrations succeeds in {job.task.name} when replayed")
    if job.flags.steady:
        sources = steady(sources, job.task.fps)
    failed = [path.stem for path in paths if read[path] is None]
    if failed:
        print(f"left out, as their replay fails: {', '.join(failed)}")
    cases = {source.case for source in sources}
    for number, case in enumerate(job.task.cases):
        if number not in cases:
            print(f"no demonstration shows the case {case.label!r}; no new episode will")
    return sources


def read_one(job: Job, path: Path) -> tuple[Path, Source | None]:
    """A demonstration with the path of its file; None if its replay fails."""
    return path, read_source(job.environment(), job.task, path, load_header(path))


def print_parts(job: Job) -> None:
    """Say where the demonstrations are cut."""
    for source in job.sources:
        for arm, parts in zip(job.task.arms, source.parts, strict=True):
            names = ["the world" if p.prop is None else job.task.props[p.prop].name for p in parts]
            cuts = [f"from step {p.begin} with {name}" for p, name in zip(parts, names, strict=True)]
            print(f"{source.name}: {arm.label} arm {', '.join(cuts) or 'stays as it is'}")
    print("nothing was written (--dry_run)")


def make_missing(job: Job, paths: Sequence[Path]) -> None:
    """Make the episodes that the folder does not have yet, and print the outcome."""
    flags, folder = job.flags, Path(job.flags.output_dir)
    identity = _identity(flags, paths, job.image_size)
    if _untried(identity) in _history(folder):  # begun when nothing was tried first
        flags, identity = replace(flags, trials=0), _untried(identity)
        job = replace(job, flags=flags)
    check_output(folder, identity)
    missing = missing_numbers(folder, flags.num_episodes)
    there = flags.num_episodes - len(missing)
    if there:
        print(f"{there} of {flags.num_episodes} episodes are in {folder} already")
    if not missing:
        return
    check_unchanged(folder)
    if job.room is not None:
        carried = () if flags.keep_carried else job.cameras
        job = replace(job, room=job.room.seen(job.environment(), paths, flags.seen_table, carried))
    job = with_ways(replace(job, sources=tuple(read_sources(job, paths))))
    if identity not in _history(folder):
        with complete_file(folder / HISTORY) as part:
            part.write_text(json.dumps([identity], indent=1) + "\n", encoding="utf-8")
    progress = tqdm(total=len(missing), desc=f"multiplying {job.task.name}", unit="episode")
    began, calls, made = time.perf_counter(), [(job, index) for index in missing], []
    try:
        with progress, spread(make_episode, calls, flags, progress) as results:
            for one in results:
                made.append(one)
                progress.set_postfix_str(_rate([each for done in made for each in done.tried]))
    except KeyboardInterrupt:
        remove_unfinished(folder)
        print(f"\nstopped; the episodes in {folder} are whole. The same command goes on where it stopped.")
        raise
    print(outcome(job, made))
    megabytes = sum(episode_path(folder, index).stat().st_size for index in missing) / 1e6
    seconds = time.perf_counter() - began
    print(f"{len(missing)} episodes, {megabytes:.0f} MB, {seconds:.0f} s, in {folder}")


def outcome(job: Job, made: Sequence[Made]) -> str:
    """How often the demonstrations succeeded from new starts, one by one and in all."""
    tried, lines = [each for one in made for each in one.tried], []
    for source in job.sources:
        own = [each for each in tried if each[0] == source.name]
        lines += [f"{source.name}: {_rate(own)}"] if own else []
    if len(lines) < len(job.sources):
        lines.append(f"{len(job.sources) - len(lines)} others were not needed")
    if job.task.strict_label:
        strict = sum(one.strict_success for one in made)
        lines.append(f"{job.task.strict_label}: {strict} of the {len(made)} kept")
    return "\n".join([*lines, f"in all: {_rate(tried)}"])


def _rate(tried: Sequence[tuple[str, bool]]) -> str:
    """In words; each that was tried is a source's name, and whether it succeeded."""
    successes = sum(success for _, success in tried)
    return f"success {successes}/{len(tried)} ({successes / len(tried):.0%})"


def check_output(folder: Path, identity: Mapping[str, Any]) -> None:
    """ValueError if a folder holds anything but what the same command has made."""
    check_whole(folder)
    has_more = any(path.name[0] != "." and path.name != HISTORY for path in folder.iterdir())
    if identity not in _history(folder) and has_more:
        raise ValueError(
            f"{folder} is not empty, and not made by this command from these episodes; choose another "
            "--output_dir"
        )


def check_unchanged(folder: Path) -> None:
    """ValueError if new episodes would not be like those that a folder has; some may have been deleted."""
    commands = [entry["command"] for entry in _history(folder)]
    changes = [command for command in commands if command not in ("multiply", "delete")]
    if changes:
        raise ValueError(
            f"{folder} was changed since ({', '.join(changes)}), which new episodes would not be; choose "
            "another --output_dir"
        )


def _history(folder: Path) -> list[Any]:
    """What a folder says about how it was made."""
    history = folder / HISTORY
    return json.loads(history.read_text(encoding="utf-8")) if history.is_file() else []


def _untried(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity as it was before there were `--trials`."""
    return {**identity, "flags": {k: v for k, v in identity["flags"].items() if k != "trials"}}


def _identity(
    flags: MultiplyFlags, paths: Sequence[Path], image_size: tuple[int, int] = IMAGE_SIZE
) -> dict[str, Any]:
    """What the new episodes depend on, as plain JSON values."""
    no_matter = {"output_dir", "num_episodes", "dry_run", "dataset_dir", "episodes", *cli.flags_of(Workers())}
    newer = ("begin_midway", "askew", "steady", "ways", "clicks", "margin", "keep_carried")
    if flags.clicks is None:
        no_matter |= {"seen_table", "keep_carried"}
    if flags.ways is None:
        no_matter.add("trials")
    no_matter |= {name for name in newer if not getattr(flags, name)}  # folders of before the flags go on
    own = {name: value for name, value in cli.flags_of(flags).items() if name not in no_matter}
    if image_size != IMAGE_SIZE:
        own["image_size"] = image_size
    if flags.clicks is not None:
        own["clicks"] = file_identity(Path(flags.clicks))
    sources = {str(path): file_identity(path) for path in paths}
    return json.loads(json.dumps({"command": "multiply", "flags": own, "sources": sources}))
