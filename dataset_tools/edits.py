"""Sub-commands that change episodes one by one: flags, and a function that returns a plan (plans.py).

image_edits.py changes images; rearranging.py changes which episodes a dataset holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from common import Workers, choose, cli
from constants import TASKS
from dataset_tools.plans import Plan, Write
from dataset_tools.transforms import EVENTS, event_step, led, relabelled, resampled, shifted, truncated
from episodes import Episode, EpisodeError, find_episode, list_episodes, unread_datasets


@dataclass(frozen=True)
class FolderFlags:
    """Flags of every sub-command."""

    dataset_dir: str = cli.flag(None, "folder of the episodes", required=True)


def episodes_flag() -> Any:
    """The flag that chooses episodes."""
    return cli.flag(
        None,
        "numbers or names of the episodes, e.g. 0 3 mirror_episode_7; all if not given",
        distinct=True,
    )


@dataclass(frozen=True)
class EditFlags(FolderFlags, Workers):
    """Flags of sub-commands that change episodes."""

    output_dir: str | None = cli.flag(
        None, "folder for the new files; those of --dataset_dir stay as they are"
    )
    in_place: bool = cli.flag(
        False, "put the new files into --dataset_dir, in place of the old ones, once all are there"
    )
    episodes: tuple[str, ...] | None = episodes_flag()
    dry_run: bool = cli.flag(False, "say what would be done, and write nothing")

    @property
    def root(self) -> Path:
        """The folder that is written to."""
        if self.in_place == bool(self.output_dir):
            raise ValueError(
                "say where to write: either --output_dir, or --in_place to replace what is there"
            )
        return Path(self.output_dir or self.dataset_dir)

    def chosen(self) -> list[Path]:
        """The files of the chosen episodes."""
        return chosen_episodes(self.dataset_dir, self.episodes)


def beside(folder: str, ending: str = "") -> Path:
    """A path beside a folder, with its name and an ending; "." and ".." are no names."""
    path = Path(folder)
    path = path if path.name not in ("", "..") else path.resolve()
    return path.with_name(path.name + ending)


def chosen_episodes(folder: str, words: Sequence[str] | None) -> list[Path]:
    """The files of a folder's episodes of these numbers or names; of all if None."""
    paths = list_episodes(folder)
    if words is None:
        return paths
    by_stem = {path.stem: path for path in paths}
    return [_chosen(by_stem, word) for word in words]


def _chosen(by_stem: dict[str, Path], word: str) -> Path:
    """The file of an episode, by number or name."""
    if word not in by_stem and word.isdecimal():
        ours = by_stem.get(f"episode_{int(word)}")
        if ours is not None:
            return ours
        with contextlib.suppress(FileNotFoundError):
            return find_episode(list(by_stem.values()), int(word))
        word = f"episode_{word}"
    return by_stem[choose("episode", word, by_stem)]


Edit = Callable[[Episode], Episode]


def load_header(path: Path, fps: int | None = None) -> Episode:
    """An episode without its images; `fps`, if given, replaces the file's."""
    return Episode.load(path, cameras=(), fps=fps)


def named_error(path: Path, error: EpisodeError) -> EpisodeError:
    """The error with the file's name in front."""
    return EpisodeError(f"{path}: {str(error).removeprefix(f'{path}: ')}")


def plan_edits(
    flags: EditFlags,
    edit_of: Callable[[Path], Edit | None],
    rename: Callable[[Path], str] | None = None,
    is_tried: bool = True,
    growth: float = 1.1,
    fps: int | None = None,
) -> Plan:
    """A plan that changes each chosen file; with another output folder the rest are copied.

    Args:
        flags: which files, and where to.
        edit_of: the edit of a file; None: none.
        rename: the name of the new file; then the old one stays, and the rest are not copied.
        is_tried: try each edit on the episode without its images, to describe it and to refuse what cannot be
            done before anything is written.
        growth: the largest factor by which the files grow.
        fps: steps a second in place of the chosen files' own, which may be invalid.
    """
    root, chosen = flags.root, set(flags.chosen())
    writes, notes = [], []
    for path in list_episodes(flags.dataset_dir):
        edit = edit_of(path) if path in chosen else None
        if edit is None:
            if not (flags.in_place or rename):
                writes.append(Write(path, root / path.name))
            continue
        what = ""
        if is_tried:
            header = load_header(path, fps)
            try:
                what = _difference(header, edit(header))
            except EpisodeError as error:
                raise named_error(path, error) from error
        notes += _lost(path, is_replaced=flags.in_place and not rename)
        writes.append(Write(path, root / (rename(path) if rename else path.name), edit, what, fps))
    return Plan(root, tuple(writes), notes=tuple(notes), in_place=flags.in_place, growth=growth)


def _lost(path: Path, is_replaced: bool) -> list[str]:
    """A note on what the new file will lack; EpisodeError if that would be lost for good."""
    unread = unread_datasets(path)
    if not unread:
        return []
    if is_replaced:
        raise EpisodeError(f"{path}: {', '.join(unread)} would be lost; choose --output_dir, not --in_place")
    return [f"{path}: {', '.join(unread)} is left out of the new file"]


def _difference(old: Episode, new: Episode) -> str:
    """What an edit changes, in words."""
    changes = {
        "steps": (len(old), len(new)),
        "fps": (old.fps, new.fps),
        "task": (old.task or "none", new.task or "none"),
        "success": (old.success, new.success),
    }
    return ", ".join(f"{name} {a} -> {b}" for name, (a, b) in changes.items() if a != b)


@dataclass(frozen=True)
class TruncateFlags(EditFlags):
    steps: int = cli.flag(
        None,
        "how many steps are kept, from the first on; shorter episodes stay as they are",
        required=True,
        least=1,
    )


def truncate(flags: TruncateFlags) -> Plan:
    """Cut the ends of episodes off (ACT++: truncate_data.py)."""
    return plan_edits(
        flags, lambda path: partial(truncated, steps=flags.steps) if _length(path) > flags.steps else None
    )


def _length(path: Path) -> int:
    return len(load_header(path))


@dataclass(frozen=True)
class AlignFlags(EditFlags):
    event: str = cli.flag(
        "grasp",
        "what should happen at the same step: the first grasp, its release, success, or a reward",
        EVENTS,
    )
    reward: float = cli.flag(1.0, "least reward, for --event reward")
    event_steps: dict[str, int] | None = cli.flag(
        None, "steps of the event where files show none or a wrong one, e.g. episode_3=41", least=0
    )
    to: int | None = cli.flag(
        None,
        "step that the event is moved to; if not given, its latest (pad) or earliest (cut)",
        least=0,
        most=1_000_000,
    )
    fill: str = cli.flag(
        "pad",
        "pad: the first or last step is repeated until all are equally long; cut: all are cut to the "
        "shortest",
        ("pad", "cut"),
    )


def align(flags: AlignFlags) -> Plan:
    """Shift episodes in time, so that an event is at the same step in all; they become equally long."""
    chosen, event_steps = flags.chosen(), flags.event_steps or {}
    for name in event_steps:
        choose("episode of --event_steps", name, [path.stem for path in chosen])
    headers = {path: load_header(path) for path in chosen}
    events = {}
    for path, header in headers.items():
        try:
            step = event_steps.get(path.stem)
            events[path] = event_step(header, flags.event, flags.reward) if step is None else step
        except EpisodeError as error:
            hint = f"add --event_steps {path.stem}=STEP, or name the others with --episodes"
            raise EpisodeError(f"{named_error(path, error)}; {hint}") from error
        if not 0 <= events[path] < len(header):
            raise ValueError(f"--event_steps {path.stem}={step}; the episode has {len(header)} steps")
    is_padded = flags.fill == "pad"
    to = flags.to
    if to is None:
        to = max(events.values()) if is_padded else min(events.values())
    if not is_padded and to > min(events.values()):
        raise ValueError(f"--to is {to}; with --fill cut it must be at most {min(events.values())}")
    ends = [to - events[path] + len(header) for path, header in headers.items()]
    steps = max(ends) if is_padded else min(ends)
    plan = plan_edits(flags, lambda path: partial(shifted, shift=to - events[path], steps=steps))
    steps_text = f"{flags.event} at steps {min(events.values())} to {max(events.values())}"
    note = f"{steps_text}, moved to step {to}; all {len(events)} episodes become {steps} steps long"
    return replace(plan, notes=(*plan.notes, note))


@dataclass(frozen=True)
class ShiftActionsFlags(EditFlags):
    steps: int | None = cli.flag(
        None,
        "steps by which commands come earlier (later if negative), e.g. as many as the arm lags behind",
        least=-10_000,
        most=10_000,
    )
    action: str = cli.flag(
        "recorded",
        "commands to take: those recorded, or the state of the next step, for recordings whose commands are "
        "the states themselves (an arm guided by hand)",
        ("recorded", "next_state"),
    )


def shift_actions(flags: ShiftActionsFlags) -> Plan:
    """Take commands from some steps later, or the states in their place, so that they lead the arm."""
    if not flags.steps and flags.action == "recorded":
        raise ValueError("nothing to change; give --steps, or --action next_state")
    edit = partial(led, steps=flags.steps or 0, by_states=flags.action == "next_state")
    return plan_edits(flags, lambda path: edit)


@dataclass(frozen=True)
class ResampleFlags(EditFlags):
    fps: int = cli.flag(None, "steps a second", required=True, least=1, most=1000)


def resample(flags: ResampleFlags) -> Plan:
    """Bring episodes to another rate (relabel --fps only changes what a file says)."""
    rates = {path: load_header(path).fps for path in flags.chosen()}
    growth = 1.1 * max(1.0, flags.fps / min(rates.values()))
    return plan_edits(
        flags,
        lambda path: partial(resampled, fps=flags.fps) if rates[path] != flags.fps else None,
        growth=growth,
    )


@dataclass(frozen=True)
class RelabelFlags(EditFlags):
    success: str | None = cli.flag(
        None,
        "success in the file; `reward`: whether its rewards reach the highest",
        ("true", "false", "unknown", "reward"),
    )
    task_name: str | None = cli.flag(None, "name of the task in the file")
    fps: int | None = cli.flag(
        None, "steps a second in the file (resample changes the steps themselves)", least=1, most=1000
    )


def relabel(flags: RelabelFlags) -> Plan:
    """Change success, task or rate in the files, and nothing else."""
    if flags.success is flags.task_name is flags.fps is None:
        raise ValueError("nothing to change; give --success, --task_name or --fps")
    if flags.task_name is not None:
        choose("task", flags.task_name, TASKS)
    edit = partial(relabelled, success=flags.success, task=flags.task_name, fps=flags.fps)
    return plan_edits(flags, lambda path: edit, fps=flags.fps)
