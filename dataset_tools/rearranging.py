"""Sub-commands that change which episodes a dataset holds: flags, and a function that returns a plan."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, pairwise
from pathlib import Path

import numpy as np

from common import Workers, cli
from dataset_tools.edits import EditFlags, FolderFlags, load_header
from dataset_tools.inspection import KINDS, sort_by_kind
from dataset_tools.plans import Plan, Write
from dataset_tools.transforms import part
from episodes import MIRROR, Episode, check_widths, episode_path, list_episodes, source_name


@dataclass(frozen=True)
class DeleteFlags(EditFlags):
    failures: bool = cli.flag(False, "leave out all episodes whose file says that they failed")


def delete(flags: DeleteFlags) -> Plan:
    """Leave episodes out; with --in_place they move to a folder `deleted`, which you may remove."""
    if (flags.episodes is None) != flags.failures:
        raise ValueError("say which: either --episodes, e.g. --episodes 3 7, or --failures")
    chosen = flags.chosen()
    if flags.failures:
        chosen = [path for path in chosen if load_header(path).success is False]
    paths, root = list_episodes(flags.dataset_dir), flags.root
    if len(chosen) == len(paths):
        raise ValueError(
            f"these are all {len(paths)} episodes of {flags.dataset_dir}; remove the folder instead"
        )
    note = f"left out: {', '.join(path.name for path in chosen) or 'none'}"
    if not flags.in_place:
        left_out = set(chosen)
        writes = tuple(Write(path, root / path.name) for path in paths if path not in left_out)
        return Plan(root, writes, notes=(note,))
    bin_ = next(folder for i in range(1, 10**6) if not os.path.lexists(folder := root / _bin_name(i)))
    return Plan(root, moves=tuple((path, bin_ / path.name) for path in chosen), notes=(note,))


def _bin_name(i: int) -> str:
    return "deleted" if i == 1 else f"deleted_{i}"


@dataclass(frozen=True)
class NewFolderFlags(FolderFlags, Workers):
    output_dir: str = cli.flag(None, "folder for the new files", required=True)
    dry_run: bool = cli.flag(False, "say what would be done, and write nothing")

    @property
    def root(self) -> Path:
        """The folder that is written to."""
        return Path(self.output_dir)


@dataclass(frozen=True)
class SplitFlags(NewFolderFlags):
    shares: tuple[float, ...] | None = cli.flag(
        None, "share of the episodes, drawn at random, that each part gets, e.g. 0.8 0.2", above=0, most=1
    )
    by: str | None = cli.flag(None, "a part for each success, case or task", KINDS)
    at: tuple[int, ...] | None = cli.flag(
        None, "steps at which every episode is cut into phases, e.g. 40 75; a part for each phase", least=1
    )
    names: tuple[str, ...] | None = cli.flag(
        None, "folders of the parts; part_0, part_1 and so on if not given", distinct=True
    )
    seed: int = cli.flag(0, "of the draw", least=0, most=cli.MOST_SEED)


def split(flags: SplitFlags) -> Plan:
    """Split a dataset into parts, each a folder in --output_dir; or, with --at, its episodes into phases."""
    if sum(way is not None for way in (flags.shares, flags.by, flags.at)) != 1:
        raise ValueError("say how to split: one of --shares, --by and --at, e.g. --shares 0.8 0.2")
    paths = list_episodes(flags.dataset_dir)
    if flags.at:
        return _phases(flags, paths)
    if flags.by:
        kinds = sort_by_kind(paths, flags.by)
        parts = _folders(kinds)
    else:
        parts = _drawn(flags, paths)
    writes = [Write(path, flags.root / name / path.name) for name, own in parts.items() for path in own]
    return Plan(flags.root, tuple(writes), notes=tuple(f"{name}: {len(own)}" for name, own in parts.items()))


def _folders(kinds: Iterable[tuple[str, list[Path]]]) -> dict[str, list[Path]]:
    """Episodes by the name of a folder for their kind; where two have the same, the later gets a number."""
    parts: dict[str, list[Path]] = {}
    for kind, own in kinds:
        plain = "".join("_" if c in " /\\" else c for c in kind)[:80].strip(".") or "_"
        numbered = (f"{plain}_{i}" for i in count(2))
        parts[plain if plain not in parts else next(n for n in numbered if n not in parts)] = own
    return parts


def _names(flags: SplitFlags, number: int) -> Sequence[str]:
    names = flags.names or tuple(f"part_{i}" for i in range(number))
    if any(Path(name).name != name or name.startswith(".") for name in names):
        raise ValueError(f"--names {' '.join(names)}; each must be the name of a folder, without a path")
    if len(set(names)) != number:
        raise ValueError(f"--names {' '.join(names)}; there are {number} parts, each needs a name of its own")
    return names


def _drawn(flags: SplitFlags, paths: list[Path]) -> dict[str, list[Path]]:
    shares = np.array(flags.shares)
    if not np.isclose(shares.sum(), 1):
        raise ValueError(f"--shares {' '.join(map(str, flags.shares))}; they must add up to 1")
    for path in paths:
        load_header(path)  # a damaged file is told of, not copied
    order = np.random.default_rng(flags.seed).permutation(len(paths))
    ends = np.rint(np.cumsum(shares) * len(paths)).astype(int)
    parts = [[paths[i] for i in np.sort(own)] for own in np.split(order, ends[:-1])]
    if not all(parts):
        raise ValueError(
            f"--shares {' '.join(map(str, flags.shares))} of {len(paths)} episodes leave a part without any"
        )
    return dict(zip(_names(flags, len(parts)), parts, strict=True))


def _phases(flags: SplitFlags, paths: list[Path]) -> Plan:
    lengths = {path: len(load_header(path)) for path in paths}
    cuts = (0, *flags.at, max(lengths.values()))
    if list(cuts) != sorted(set(cuts)) or flags.at[-1] >= min(lengths.values()):
        raise ValueError(
            f"--at {' '.join(map(str, flags.at))}; the steps must rise, from 1 to at most "
            f"{min(lengths.values()) - 1}, the last of the shortest episode"
        )
    writes = []
    for name, (start, stop) in zip(_names(flags, len(cuts) - 1), pairwise(cuts), strict=True):
        for path in paths:
            what = f"steps {start} to {min(stop, lengths[path]) - 1}"
            edit = partial(part, start=start, stop=stop)
            writes.append(Write(path, flags.root / name / path.name, edit, what))
    return Plan(flags.root, tuple(writes), growth=1.1)


@dataclass(frozen=True)
class MergeFlags(NewFolderFlags):
    dataset_dir: tuple[str, ...] = cli.flag(
        None, "folders of the episodes, in this order", required=True, distinct=True
    )


def merge(flags: MergeFlags) -> Plan:
    """Put the episodes of one or more folders into one, numbered from 0 on.

    Mirror images get the number of their originals. EpisodeError if one cannot be read, or is not as wide as
    the first.
    """
    numbers: dict[tuple[Path, str], int] = {}  # by folder and the original's name
    writes, places = [], [Path(folder).resolve() for folder in flags.dataset_dir]
    for folder, place in zip(flags.dataset_dir, places, strict=True):
        if places.count(place) > 1:
            raise ValueError(f"--dataset_dir names {folder} twice, in other words; give each folder once")
    for folder in map(Path, flags.dataset_dir):
        paths = list_episodes(folder)
        for path in sorted(paths, key=lambda path: path.name.startswith(MIRROR)):  # originals first
            original = folder, path.stem.removeprefix(MIRROR)
            number = numbers.setdefault(original, len(numbers))
            is_mirrored = path.name.startswith(MIRROR)
            writes.append(Write(path, episode_path(flags.root, number, is_mirrored)))
    paths = [write.source for write in writes]
    headers = [load_header(path) for path in paths]
    for name in ("qpos", "action"):
        check_widths(name, paths, [getattr(header, name).shape[1] for header in headers])
    pairs = zip(writes, headers, strict=True)
    return Plan(flags.root, tuple(_of_new_name(write, header.source, writes) for write, header in pairs))


def _of_new_name(write: Write, old: str | None, writes: Sequence[Write]) -> Write:
    """A file whose episode was made of one that gets another name: it says so then. Of several whose folders
    have the same name, it is the one beside its own folder; ValueError if that does not tell either.
    """
    named = [other for other in writes if old and source_name(other.source) == old]
    beside = write.source.resolve().parent.parent
    near = [other for other in named if other.source.resolve().parent.parent == beside]
    found = named if len(named) == 1 else near
    if not named:
        return write
    if len(found) != 1:
        raise ValueError(
            f"{write.source} was made of {old}, and {len(named)} folders have such an episode; merge what "
            "belongs together first, each with a name of its own"
        )
    source = source_name(found[0].target)
    return replace(write, edit=partial(_made_of, source=source), what=f"made from {source}")


def _made_of(episode: Episode, source: str) -> Episode:
    return replace(episode, source=source)
