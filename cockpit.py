"""The cockpit: pages in a browser that record, train, evaluate and run, and show how it goes.

    python3 cockpit.py
    python3 cockpit.py --host 0.0.0.0 --no_browser

Pages start the scripts as they are, as processes of their own: a closed browser or a stopped cockpit stops
nothing. Everything comes from this machine; no network is needed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cockpit_app import FOLDER, ArmDefaults, Cockpit, Places, keep_token
from common import check_folder, check_host, cli, open_page


@dataclass(frozen=True)
class CockpitConfig:
    """Flags of this script."""

    host: str = cli.flag(
        "127.0.0.1",
        "address to listen at: this machine alone; 0.0.0.0 lets a tablet beside the arm in as well, "
        "if it knows the token",
    )
    port: int = cli.flag(8010, "port to listen at; 0: any that is free", least=0, most=65_535)
    robot: str = cli.flag("mycobot320", "the real arm, or its twin", ("mycobot320", "twin"))
    arm_port: str | None = cli.flag(None, "serial port of the arm; looked for if not given")
    cameras: str | None = cli.flag(
        None, "the arm's cameras by name, e.g. top=1,right_wrist=0; those of its own file if not given"
    )
    arm_file: str | None = cli.flag(None, "the arm's own values; mycobot320.json, if there is one")
    no_browser: bool = cli.flag(False, "do not open a browser")
    data_dir: str | None = cli.flag(None, "folder of datasets; $ACT_DATA_DIR or data if not given")
    runs_dir: str = cli.flag("runs", "folder of runs; also keeps the cockpit's own files, in .cockpit/")

    def check(self) -> None:
        """ValueError for a host that is not this machine."""
        check_host(self.host)


def parse_flags(argv: Sequence[str] | None = None) -> CockpitConfig:
    """This script's flags."""
    return cli.parse(CockpitConfig, __doc__, argv)


def main() -> None:
    config = parse_flags()
    check_folder(config.runs_dir, "runs_dir")
    data = config.data_dir or os.environ.get("ACT_DATA_DIR") or "data"
    check_folder(data, "data_dir")
    places = Places.of(data, config.runs_dir, Path.cwd())
    arm = ArmDefaults(config.robot, config.arm_port, config.cameras, config.arm_file)
    cockpit = Cockpit(places, keep_token(places.runs / FOLDER), config.port, config.host, arm)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"the cockpit, until Ctrl-C: {cockpit.address}", flush=True)
    if not config.no_browser:
        open_page(cockpit.address)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        running = sum(job.ended() is None for job in cockpit.jobs.all())
        print(f"\nstopped; {running} of its jobs go on" if running else "\nstopped", flush=True)
    finally:
        cockpit.close()


if __name__ == "__main__":
    cli.run(main)
