"""Write the results of runs on one page: success, stages, choices, losses, videos, commands, versions.

    python3 report.py --runs runs/demo
    python3 report.py --runs runs/act runs/diffusion --output report.html

The second compares runs. Training and evaluation write `report.html` into the folder of their own run. The
page links to the videos in place, and needs no network.

    python3 report.py --runs runs/demo --coverage

writes what to record next: a map of what was shown and where the policy fails, the next places in a camera's
picture, and a file of them for `record_sim_episodes.py --at`. A folder of episodes will do too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import check_file, cli
from viewers import COVERAGE, FILE, STARTS, write_coverage, write_report


@dataclass(frozen=True)
class ReportConfig:
    """Flags of this script."""

    runs: tuple[Path, ...] = cli.flag(
        None, "folders of runs (--ckpt_dir of imitate_episodes.py)", required=True
    )
    output: Path | None = cli.flag(
        None, f"page to write; {FILE} in the folder of the run, or here if there are several"
    )
    coverage: bool = cli.flag(
        False,
        f"write what to record next instead, as {COVERAGE} and {STARTS}; --runs may be a folder of episodes",
    )


def parse_flags(argv: Sequence[str] | None = None) -> ReportConfig:
    """This script's flags."""
    return cli.parse(ReportConfig, __doc__, argv)


def main() -> None:
    config = parse_flags()
    if config.output is not None:
        check_file(config.output, "output", ".html")
    if config.coverage:
        if len(config.runs) > 1:
            raise ValueError(f"--runs names {len(config.runs)} folders; --coverage takes one")
        page = write_coverage(config.runs[0], config.output)
        if page.with_name(STARTS).is_file():
            print(f"the next places, for record_sim_episodes.py --at: {page.with_name(STARTS)}")
        else:
            print("there are no next places: all objects always start at the same place, or nearly so")
    else:
        page = write_report(config.runs, config.output)
    print(f"open it in a browser: {page.resolve().as_uri()}")


if __name__ == "__main__":
    cli.run(main)
