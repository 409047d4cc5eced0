"""A phone as a device: a page with touch pads, and the phone's own turning where its browser tells that.

POST /beat  {"client", "number", "grip": n or null, "position": [3] m, "angles": [3] rad, "tilt": [4] degrees
            or null, "gripper": -1 to 1, "commands": [[press, name], ...]}: about 20 times a second
answers     {"mine": whether it counts}

A finger that is down leads the tool (`grip` counts the touches); who is not heard for a moment leads nothing.
`tilt` are alpha, beta, gamma of W3C's DeviceOrientation, which browsers give to pages over https or from
localhost alone, and the angle of its Screen Orientation; the pads need neither. A command comes again, with
the number of its press, if the page did not hear the answer.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np

from common import PAGE_STYLE, LocalHandler, LocalServer, Refused, addresses_of, choose, outer_address
from teleop.devices import RATES, Device, Hand, Input

WEB = Path(__file__).parent / "web"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
LOST = 0.3  # s without a beat after which nothing is led
COMMANDS = {"stop": ("stop", "quit"), "keep": ("keep",), "redo": ("redo",)}  # of the page's buttons
FURTHEST = 10.0  # m and rad; a finger goes no further


@dataclass(frozen=True, eq=False)
class Beat:
    """What a phone says."""

    client: str
    number: int  # rises
    grip: int | None  # of the touch that leads; None: no finger is down
    position: tuple[float, float, float]  # m: right, away, up
    angles: tuple[float, float, float]  # rad: tip up, roll right, turn left
    tilt: tuple[float, float, float, float] | None  # degrees: alpha, beta, gamma, and the screen's angle
    gripper: float  # -1 closing to 1 opening
    commands: tuple[tuple[int, str], ...]  # pressed since the last one: number of the press, and what

    @classmethod
    def of(cls, body: dict[str, Any]) -> Beat:
        """As a page sends it; ValueError for anything else."""
        client, number, grip = (body.get(name) for name in ("client", "number", "grip"))
        if not isinstance(client, str) or not 0 < len(client) <= 100:
            raise ValueError(f"client is {client!r:.80}; it must be a text of 1 to 100 characters")
        for name, value in (("number", number), ("grip", grip)):
            if type(value) is not int and not (name == "grip" and value is None):
                raise ValueError(f"{name} is {value!r:.80}; it must be a whole number")
        tilt = None if body.get("tilt") is None else _numbers(body, "tilt", 4, 360.0)
        return cls(
            *(
                client,
                number,
                grip,
                _numbers(body, "position", 3, FURTHEST),
                _numbers(body, "angles", 3, FURTHEST),
            ),
            *(tilt, _numbers({"gripper": [body.get("gripper")]}, "gripper", 1, 1.0)[0]),
            _presses(body.get("commands", [])),
        )


def _presses(pressed: object) -> tuple[tuple[int, str], ...]:
    if not isinstance(pressed, list) or len(pressed) > 20:
        raise ValueError(f"commands is {pressed!r:.80}; it must be a list, of 20 at most")
    for each in pressed:
        if not isinstance(each, list) or len(each) != 2 or type(each[0]) is not int:
            raise ValueError(f"a command is {each!r:.80}; it must be the number of a press, and a name")
    return tuple((press, choose("command", name, COMMANDS)) for press, name in pressed)


def _numbers(body: dict[str, Any], name: str, count: int, most: float) -> tuple[float, ...]:
    values = body.get(name)
    is_list = isinstance(values, list) and len(values) == count
    if not is_list or not all(type(value) in (int, float) and abs(value) <= most for value in values):
        raise ValueError(f"{name} is {values!r:.80}; it must be {count} numbers from {-most:g} to {most:g}")
    return tuple(map(float, values))


def _about(axis: int, angle: float) -> np.ndarray:
    """(3, 3), a turn by an angle (rad) about x, y or z."""
    c, s = math.cos(angle), math.sin(angle)
    one, other = [i for i in range(3) if i != axis]
    turn = np.eye(3)
    turn[one, one] = turn[other, other] = c
    turn[one, other], turn[other, one] = (s, -s) if axis == 1 else (-s, s)
    return turn


def tilted(tilt: Sequence[float]) -> np.ndarray:
    """(3, 3), earth from screen, of alpha, beta, gamma, and the screen's angle (degrees).

    W3C DeviceOrientation turns the device, however its screen is read, about Z, X', Y''. Screen Orientation's
    angle is 90 for one turned to the left, whose right edge is then the upper one.
    """
    alpha, beta, gamma, screen = np.radians(tilt)
    return _about(2, alpha) @ _about(0, beta) @ _about(1, gamma) @ _about(2, -screen)


def heading(orientation: np.ndarray) -> float:
    """Direction (rad, about the earth's z from its y) in which a phone is held away from the person.

    Held flat, its upper edge points away; held upright, its back.
    """
    away = orientation @ np.array([0.0, 1.0, -1.0])
    return math.atan2(-away[0], away[1])


class Finger:
    """What the phone says that leads, if one does; from any thread.

    Args:
        now: the clock, s.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._lock = now, threading.Lock()
        self._beat: Beat | None = None
        self._heard = -math.inf
        self._numbers: dict[str, int] = {}  # by client: of the last beat
        self._presses: dict[str, int] = {}  # and of the last press that was heard
        self._commands: set[str] = set()
        self._grips = 0  # touches so far
        self._grip: tuple[str, int, float] | None = None  # that leads: client, number, the screen's angle
        self._heading = 0.0  # of the phone when it took hold

    def hear(self, beat: Beat) -> bool:
        """A beat; whether it counts. While one phone leads, others do not; STOP counts from any."""
        with self._lock:
            is_new = beat.number > self._numbers.get(beat.client, -1)
            self._numbers[beat.client] = max(beat.number, self._numbers.get(beat.client, -1))
            pressed = self._pressed(beat) if is_new else ()
            if "stop" in pressed:
                self._commands.update(COMMANDS["stop"])
            before, is_fresh = self._beat, self._now() - self._heard <= LOST
            is_other = before is not None and before.client != beat.client
            if not is_new or (is_other and is_fresh and (before.grip is not None or before.gripper)):
                return not is_other
            for name in pressed:
                self._commands.update(COMMANDS[name])
            screen = 0.0 if beat.tilt is None else beat.tilt[3]  # a page that turns itself moves nothing
            if beat.grip is not None and (self._grip != (beat.client, beat.grip, screen) or not is_fresh):
                self._grips, self._grip = self._grips + 1, (beat.client, beat.grip, screen)
                self._heading = 0.0 if beat.tilt is None else heading(tilted(beat.tilt))
            self._beat, self._heard = beat, self._now()
            return True

    def _pressed(self, beat: Beat) -> tuple[str, ...]:
        """What was pressed and not heard yet."""
        last = self._presses.get(beat.client, -1)
        self._presses[beat.client] = max([last, *(press for press, _ in beat.commands)])
        return tuple(name for press, name in beat.commands if press > last)

    def take(self) -> Input:
        """What is asked for now; each command once."""
        with self._lock:
            commands, self._commands = frozenset(self._commands), set()
            beat = self._beat
            if beat is None or self._now() - self._heard > LOST:
                return Input(commands=commands)
            rates = np.zeros(len(RATES))
            rates[RATES.index("gripper")] = beat.gripper
            return Input(rates, commands, None if beat.grip is None else self._hand(beat))

    def _hand(self, beat: Beat) -> Hand:
        tip, roll, turn = beat.angles
        orientation = _about(2, turn) @ _about(0, tip) @ _about(1, roll)
        if beat.tilt is not None:
            orientation = _about(2, -self._heading) @ tilted(beat.tilt) @ orientation
        return Hand(self._grips, np.array(beat.position), orientation)


class PhoneServer(LocalServer):
    """Serves the page, until `close`; ValueError if the port cannot be had."""

    def __init__(self, finger: Finger, host: str, port: int) -> None:
        self.finger = finger
        try:
            super().__init__(_Handler, port, host, names=addresses_of(host))
        except OSError as error:
            why = f"--phone_port {port} at --phone_host {host} cannot be had ({error.strerror})"
            raise ValueError(f"{why}; give another --phone_port") from None
        self.url = f"http://{outer_address(host)}:{self.server_address[1]}"


class _Handler(LocalHandler):
    server: PhoneServer

    def get(self, name: str) -> None:
        path = PAGE_STYLE if name == "page.css" else WEB / (name or "phone.html")
        if Path(name).name != name or path.suffix not in TYPES or not path.is_file():
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no {name!r:.60} here")
        self.send(path.read_bytes(), f"{TYPES[path.suffix]}; charset=utf-8")

    def post(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        choose("request", name, ("beat",))
        return {"mine": self.server.finger.hear(Beat.of(body))}


class Phone:
    """A phone and the keys beside it, as one device.

    Args:
        host: to listen at; 0.0.0.0 is all of this machine's addresses.
        port: 0 takes any that is free.
        keys: what else the person holds; closed with this.
        say: shows the person a line.
    """

    def __init__(self, host: str, port: int, keys: Device, say: Callable[[str], None] = print) -> None:
        self._keys, self._say, self._is_told = keys, say, False
        self.layouts, self.commands = keys.layouts, keys.commands
        self.finger = Finger()
        self.server = PhoneServer(self.finger, host, port)

    def read(self, now: float) -> Input:
        """As `Device.read`; the address of the page is told at the first."""
        if not self._is_told:
            self._is_told = True
            self._say(f"open this on the phone, in the same network: {self.server.address}")
        return self._keys.read(now) | self.finger.take()

    def close(self) -> None:
        self.server.close()
        self._keys.close()
