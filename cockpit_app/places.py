"""The folders that the cockpit may touch: those of datasets, of runs, and of presets. Nothing else is read,
written or named in a command that a page asks for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import ROOT

PRESETS = ROOT / "presets"
DEPTH = 3  # folders below one of data or runs in which datasets and runs are looked for
MOST_FOLDERS = 2000  # that are looked at
# flags that name a file or a folder; other texts are looked at where they hold a slash
FOLDERS = {"ckpt_dir", "dataset_dir", "places_only", "stats_dir", "output_dir", "runs"}
PATHS = FOLDERS | {"output", "page", "json", "suggest", "clicks", "at", "from"}
READS = {"config"}  # flags that name what is only read: presets are allowed too


@dataclass(frozen=True)
class Places:
    """Where datasets and runs are, and the folder that relative paths are taken from."""

    data: Path
    runs: Path
    here: Path

    @classmethod
    def of(cls, data: str | Path, runs: str | Path, here: Path) -> Places:
        """From folders as a person gave them."""
        return cls(here / data, here / runs, here)

    def shown(self, path: Path) -> str:
        """A path as one would type it here."""
        try:
            return path.relative_to(self.here).as_posix()
        except ValueError:
            return str(path)

    def inside(self, text: str, reads: bool = False) -> Path:
        """The path that a text names; ValueError unless it lies below one of the folders.

        Links are followed first, so that none leads out.

        Args:
            text: absolute, or relative to `here`.
            reads: it is only read, so that it may be a preset.
        """
        if "\0" in text:
            raise ValueError("a path must not hold a zero byte")
        path = Path(os.path.realpath(self.here / text))
        roots = [self.data, self.runs, *([PRESETS] if reads else [])]
        for root in roots:
            inner = Path(os.path.realpath(root))
            if path != inner and path.is_relative_to(inner):
                return self.here / text
        folders = " or ".join(self.shown(root) for root in (self.data, self.runs))
        raise ValueError(f"{text!r:.100} is outside the cockpit's folders; it must be below {folders}")

    def check_words(self, flag: str, words: list[str]) -> None:
        """ValueError if one of a flag's words names a file outside the folders."""
        for word in words:
            if flag in PATHS | READS or is_path(word):
                self.inside(word, reads=flag in READS)

    def file(self, root: str, name: str) -> Path:
        """A file of `data` or `runs` by its path in it; ValueError if it is outside, or hidden."""
        folder = {"data": self.data, "runs": self.runs}.get(root)
        parts = name.split("/")
        if folder is None or any(part in ("", "..") or part.startswith(".") for part in parts):
            raise ValueError(f"{root}/{name:.100} is no file of the cockpit's folders")
        return self.inside(str(folder.joinpath(*parts)))

    def link(self, path: Path) -> str | None:
        """`data/...` or `runs/...` for a file below one of the folders."""
        for name, root in (("data", self.data), ("runs", self.runs)):
            if path.is_relative_to(root):
                return f"{name}/{path.relative_to(root).as_posix()}"
        return None


def is_path(word: str) -> bool:
    """Whether a word may name a file elsewhere than in the present folder."""
    return bool(re.search(r"[/\\~]", word)) or word in (".", "..") or bool(re.match(r"[A-Za-z]:", word))


def folders_below(root: Path) -> Iterator[Path]:
    """Folders to look into, from the top; hidden ones and links are left out."""
    todo, count = [(root, 0)], 0
    while todo and count < MOST_FOLDERS:
        folder, depth = todo.pop(0)
        count += 1
        yield folder
        if depth < DEPTH:
            todo += [(path, depth + 1) for path in _children(folder)]


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            ]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]
