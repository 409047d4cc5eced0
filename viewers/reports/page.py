"""The page of a run, or of several: success, stages, choices, losses, videos, commands, versions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from evaluation import ARM
from viewers.pages import write_page
from viewers.reports.parts import body, headline
from viewers.run_folder import PAGE, is_run, read_run, run_name

FILE = PAGE


def write_report(folders: Sequence[Path], output: Path | None = None) -> Path:
    """Write the page of one run or of several; returns its path.

    Args:
        folders: the runs'.
        output: the page; if not given, `report.html` in the folder of the run, or here if there are several.

    Raises:
        ValueError: a folder holds no run, or is named twice; or here is a run, whose report it would replace.
    """
    if output is None and len(folders) > 1 and is_run(Path()):
        raise ValueError(f"{FILE} here is the report of the run {Path().resolve()}; give another --output")
    output = output or (folders[0] / FILE if len(folders) == 1 else Path(FILE))
    runs = [read_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    output.parent.mkdir(parents=True, exist_ok=True)
    place = output.resolve().parent
    write_page(output, "report", title=headline(runs), body=body(runs, lambda path: _link(path, place)))
    return output


def refresh_report(folder: Path) -> Path:
    """Write the page of a run anew, and the pages that are linked with it; returns the run's page."""
    page = write_report([folder])
    for other in (folder.resolve().parent, folder / ARM):
        if (other / FILE).is_file() and is_run(other) and ARM in (folder.resolve().name, other.name):
            write_report([other])
    return page


def _names(folders: Sequence[Path]) -> list[str]:
    """The runs' names: short ones, if they tell the runs apart."""
    resolved = [folder.resolve() for folder in folders]
    for number, folder in enumerate(folders):
        if resolved[number] in resolved[:number]:
            raise ValueError(f"--runs names {folder} twice; name each run once")
    short = [run_name(folder) for folder in folders]
    if len(set(short)) == len(short):
        return short
    common = os.path.commonpath(resolved)
    return [folder.relative_to(common).as_posix() for folder in resolved]


def _link(path: Path, place: Path) -> str:
    """A file's address, relative to the page's folder, unless it is on another drive."""
    path = path.resolve()
    if path.drive != place.drive:
        return path.as_uri()
    return quote(Path(os.path.relpath(path, place)).as_posix())
