"""Write what runs came to as one page: success, stages, choices, losses, videos, commands, versions.

    python3 report.py --runs runs/act runs/diffusion --output report.html

compares runs; training and evaluation write `report.html` into the folder of their own run. The page links to
the videos where they lie, and needs no network.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import cli
from pages import write_page
from report_parts import body, headline
from run_folder import read_run

FILE = "report.html"


@dataclass(frozen=True)
class Config:
    """Flags of this script."""

    runs: tuple[Path, ...] = cli.flag(None, "folders of runs (--ckpt_dir of imitate_episodes.py)")
    output: Path | None = cli.flag(
        None, f"page to write; {FILE} in the folder of the run, or here if there are several"
    )


def write_report(folders: Sequence[Path], output: Path | None = None) -> Path:
    """Write the page of one run or of several; returns it.

    Args:
        folders: of the runs.
        output: the page; `report.html` in the only folder, or here, if not given.

    Raises:
        ValueError: a folder holds no run.
    """
    output = output or (folders[0] / FILE if len(folders) == 1 else Path(FILE))
    runs = [read_run(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    output.parent.mkdir(parents=True, exist_ok=True)
    place = output.resolve().parent
    write_page(output, "report", title=headline(runs), body=body(runs, lambda path: _link(path, place)))
    return output


def _names(folders: Sequence[Path]) -> list[str]:
    """Short ones, if they tell the runs apart."""
    resolved = [folder.resolve() for folder in folders]
    short = [folder.name for folder in resolved]
    if len(set(short)) == len(short):
        return short
    common = os.path.commonpath(resolved)
    return [os.path.relpath(folder, common) for folder in resolved]


def _link(path: Path, place: Path) -> str:
    """A file's address, as seen from the page."""
    return quote(os.path.relpath(path.resolve(), place))


def main() -> None:
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, Config)
    config = cli.from_flags(Config, parser.parse_args())
    if not config.runs:
        parser.error("--runs is required: folders of runs")
    page = write_report(config.runs, config.output)
    print(f"open it in a browser: {page.resolve().as_uri()}")


if __name__ == "__main__":
    cli.run(main)
