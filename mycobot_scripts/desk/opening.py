"""Opens what a script asks: the terminal that it runs in, or with `--desk` pages."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from common import replace_file
from mycobot_scripts.robot import Keys, Setup, ends_in_order, open_keys


@contextlib.contextmanager
def open_person(setup: Setup, script: str, task_name: str) -> Iterator[Keys]:
    """The person at the arm, as the flags say.

    Args:
        setup: from the flags.
        script: its name, which a page is told.
        task_name: likewise.
    """
    config = setup.config
    if config.desk is None:
        with open_keys() as keys:
            yield keys
        return
    from mycobot_scripts.desk.desk import Desk
    from mycobot_scripts.desk.said import heard
    from mycobot_scripts.desk.server import DeskServer

    about = {"task": task_name, "robot": config.robot, "script": script}
    with contextlib.ExitStack() as stack:
        stack.enter_context(ends_in_order())
        desk = Desk(about, attended=not config.unattended)
        stack.callback(desk.close)
        stack.enter_context(heard(desk.said))
        server = DeskServer(desk)
        stack.callback(server.close)
        path = Path(config.desk).absolute()
        write_address(path, {"url": server.url, "token": server.token, "pid": os.getpid()})
        stack.callback(path.unlink, missing_ok=True)
        stack.callback(desk.show, doing="ended")
        yield desk


def write_address(path: Path, address: dict[str, object]) -> None:
    """Write where a desk is: as a whole, and for this user alone."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        json.dump(address, file)
    replace_file(part, path)
