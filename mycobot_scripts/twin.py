"""The twin of the arm: a myCobot 320 task in MuJoCo, in real time, with a serial port and cameras.

Connect to its port as to the arm (`pymycobot.MyCobot320(port)`; with --tcp `MyCobot320Socket(host, number)`)
and to its cameras as to any IP camera (`cv2.VideoCapture(url)`). The first line of its output names both, and
the page that shows it.

    python3 mycobot_scripts/twin.py --task_name sim_mycobot320_choose_scripted --view
    python3 mycobot_scripts/twin.py --task sim_mycobot320_move_cube_scripted --lose_replies 0.01 --legacy
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import (
    PYTHON,  # noqa: E402
    LocalServer,  # noqa: E402
    cli,  # noqa: E402
    listen_address,  # noqa: E402
    open_page,  # noqa: E402
    tcp_address,  # noqa: E402
)
from constants import TASKS, get_task, is_mycobot  # noqa: E402
from mycobot_scripts.robot import drift_flag, room_flag  # noqa: E402
from mycobot_scripts.stand_in import (
    SPEED_AT_20,  # noqa: E402
    Faults,  # noqa: E402
)
from mycobot_scripts.wire import (
    SLOWEST,  # noqa: E402
    clock,  # noqa: E402
)
from tasks import Task  # noqa: E402


@dataclass(frozen=True)
class TwinConfig:
    """Flags of this script."""

    task_name: str = cli.flag(
        "sim_mycobot320_choose_scripted", "simulated task of a myCobot 320", alias="task"
    )
    view: bool = cli.flag(False, "show the cameras and the state in a browser")
    legacy: bool = cli.flag(False, "silent firmware, which acknowledges no command, as before pymycobot 4")
    no_delays: bool = cli.flag(False, "answer at once, not after 30 ms as the arm does")
    speed_at_20: float = cli.flag(
        round(SPEED_AT_20, 6),
        "top speed of a joint (degrees a second) at speed 20; others in proportion",
        above=0,
        most=1000,
    )
    camera_fps: float = cli.flag(
        15.0, "pictures a second of each camera, while somebody looks", above=0, most=240
    )
    http_port: int = cli.flag(
        0, "port of the cameras on 127.0.0.1; 0: any that is free", least=0, most=65_535
    )
    tcp: str | None = cli.flag(
        None,
        "serve the arm's port over TCP, at HOST:PORT (port 0: any that is free), not on a pseudo-terminal; "
        "where there are none, as on Windows, it is 127.0.0.1:0 if not given",
        bare="127.0.0.1:9000",
    )
    render_quality: str = cli.flag(
        "fast", "full adds shadows and smooth edges, at a tenth of the speed", ("fast", "full")
    )
    pace: float = cli.flag(
        1.0,
        "0.5 is slow motion, half as fast as real time, for a slow computer; the line answers as ever",
        least=SLOWEST,
        most=1.0,
    )
    randomize: bool = cli.flag(False, "let a reset change how the scene looks (model_runs.py --disturb)")
    room: int | None = room_flag()
    drift: bool = drift_flag()
    seed: int = cli.flag(0, "seed of the first start", least=0, most=cli.MOST_SEED)
    end_with_stdin: bool = cli.flag(False, "end when standard input is closed, not to outlive the parent")


def check(config: TwinConfig) -> Task:
    """The task; ValueError for an impossible flag."""
    tcp_of(config)
    task = get_task(config.task_name)
    if task.scene is None or not is_mycobot(task):
        fit = [name for name, other in TASKS.items() if other.scene and is_mycobot(other)]
        raise ValueError(f"task {task.name!r} has no myCobot 320 in simulation; choose from {', '.join(fit)}")
    return task


def tcp_of(config: TwinConfig) -> tuple[str, int] | None:
    """Host and number of the TCP port to serve; None for a pseudo-terminal. ValueError for another form."""
    text = config.tcp or (None if hasattr(os, "openpty") else "127.0.0.1:0")
    return None if text is None else listen_address(text)


def check_cameras(faults: Faults, cameras: list[str]) -> None:
    """ValueError for a fault of a camera that does not exist."""
    for flag in ("freeze_camera", "drop_camera", "move_camera"):
        for name, value in (getattr(faults, flag) or {}).items():
            if name not in cameras:
                raise ValueError(f"--{flag} {name}={value}: it must be one of {', '.join(cameras)}")


def serve(config: TwinConfig, faults: Faults, task: Task) -> None:
    """Run the twin until Ctrl-C, SIGTERM, or the end of standard input."""
    from mycobot_scripts.stand_in import Firmware, TwinServer, TwinWorld, serve_port  # these open OpenGL

    world = TwinWorld(
        task,
        faults,
        config.camera_fps,
        config.render_quality,
        seed=config.seed,
        randomize=config.randomize,
        room=config.room,
        drift=config.drift,
    )
    try:
        check_cameras(faults, list(world.feeds))
        firmware = Firmware(world, faults, acks=not config.legacy, speed_at_20=config.speed_at_20)
        server = TwinServer(world, firmware, config.http_port)
        port = serve_port(firmware, not config.no_delays, tcp_of(config))
        try:
            announce(task, port.port, server, list(world.feeds))
            if config.view:
                open_page(server.address)
            if config.end_with_stdin:
                threading.Thread(target=_follow_stdin, args=(world,), daemon=True).start()
            world.run()
        finally:
            world.stop()
            server.close()
            port.close()
    finally:
        world.close()


def _follow_stdin(world) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    world.stop()


def announce(task: Task, port: str, server: LocalServer, cameras: list[str]) -> None:
    """One line for programs, then some for people."""
    named = ",".join(f"{name}={server.url}/{name}" for name in cameras)
    print(f"twin port={port} cameras={named} page={server.address}", flush=True)
    address = tcp_address(port)
    arm = f"MyCobot320Socket('{address[0]}', {address[1]})" if address else f"MyCobot320('{port}')"
    speed = "in real time" if clock.pace() == 1 else f"in slow motion (pace {clock.pace():g})"
    print(
        f"{task.name} runs {speed}, until Ctrl-C.\n"
        f"look at it: {server.address} in a browser\n"
        f'talk to it: {PYTHON} -c "import pymycobot; print(pymycobot.{arm}.get_angles())"',
        flush=True,
    )


def parse_flags(argv: Sequence[str] | None = None) -> tuple[TwinConfig, Faults]:
    """This script's flags, and the faults of the arm."""
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, TwinConfig)
    cli.add_flags(parser, Faults, "faults")
    args = parser.parse_args(argv)
    return cli.from_flags(TwinConfig, args), cli.from_flags(Faults, args)


def main() -> None:
    config, faults = parse_flags()
    task = check(config)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with clock.slowed(config.pace):
            serve(config, faults, task)
    except KeyboardInterrupt:
        print("stopped", flush=True)


if __name__ == "__main__":
    cli.run(main)
