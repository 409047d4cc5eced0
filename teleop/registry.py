"""Which devices there are to drive with, and their flags. A device is one entry of `DEVICES`.

What is held beside the keys gets them: they keep, redo, quit, and work its clutch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from common import flag
from teleop.devices import Device, Gamepad, Input
from teleop.leader import SO101, Led
from teleop.phone import Phone
from teleop.so101 import DEFAULT_FILE, Calibration


@dataclass(frozen=True)
class LeaderConfig:
    """Flags of a leader arm."""

    TITLE = "leading the arm"

    leader_port: str = flag(
        "auto", "serial port of an SO-101 leader, or socket://HOST:PORT; auto looks for it"
    )
    leader_file: str = flag(DEFAULT_FILE, "its calibration (mycobot_scripts/leader.py --calibrate)")


@dataclass(frozen=True)
class TeleopConfig(LeaderConfig):
    """Flags of what leads an arm."""

    TITLE = "leading the arm"

    teleop_scale: float = flag(
        1.0, "how far the tool goes for the leader's or the finger's motion", least=0.05, most=3
    )
    phone_host: str = flag(
        "0.0.0.0", "address at which the phone's page is served; 127.0.0.1 is this machine alone, as by USB"
    )
    phone_port: int = flag(8030, "its port; 0: any that is free", least=0, most=65_535)


class Both:
    """Two devices at once."""

    def __init__(self, one: Device, other: Device) -> None:
        self._devices = one, other
        self.layouts = (*one.layouts, *other.layouts)
        self.commands = {**one.commands, **other.commands}

    def read(self, now: float) -> Input:
        one, other = (device.read(now) for device in self._devices)
        return one | other

    def close(self) -> None:
        for device in self._devices:
            device.close()


def _so101(keys: Device, config: TeleopConfig) -> Device:
    calibration = Calibration.load(config.leader_file)
    return Led(SO101(config.leader_port, calibration), keys)


Opener = Callable[[Device, TeleopConfig], Device]
DEVICES: dict[str, Opener] = {
    "keyboard": lambda keys, config: keys,
    "gamepad": lambda keys, config: Both(Gamepad(), keys),
    "so101": _so101,
    "phone": lambda keys, config: Phone(config.phone_host, config.phone_port, keys),
}


class NoKeys:
    """Nobody presses anything."""

    layouts, commands = (), {}

    def read(self, now: float) -> Input:
        return Input()

    def close(self) -> None:
        """There is nothing to close."""


def open_device(name: str, keys: Device, config: TeleopConfig) -> Device:
    """A device of `DEVICES` with the keys beside it; RuntimeError or ValueError if it is not there."""
    return DEVICES[name](keys, config)


def check_device(name: str | None, config: TeleopConfig) -> None:
    """The error of `open_device`, before anything is started; None is no device."""
    if name is not None:
        with contextlib.closing(open_device(name, NoKeys(), config)):
            pass
