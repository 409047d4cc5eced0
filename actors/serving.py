"""Serves an actor to arms on other machines, over HTTP: `POST /greet` and `/act`, with messages as bodies.

Each arm has a session: draws of its own, and the answer that it was given last. An arm whose line was cut
asks again, with the same number, and gets that answer.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus

import cv2
import numpy as np

from actors.actor import Actor, Rest, Seen
from actors.messages import ACT, CONTENT_TYPE, GREET, MOST_BYTES, PROTOCOL, pack, unpack
from common import LocalHandler, LocalServer, Refused, choose, from_plain
from episodes import jpeg_size

MOST_SESSIONS = 64  # arms whose draws are kept; the one that has been silent for longest makes room
IDLE = 600.0  # s that a connection may be silent
SHORTEST_TOKEN = 8  # characters
LONGEST_NAME = 64  # characters of a session's


@dataclass(frozen=True)
class Served:
    """What is served, for who asks: plain values."""

    name: str  # of the checkpoint
    version: str  # of what it holds
    protocol: int = PROTOCOL


@dataclass(frozen=True)
class Ask:
    """The plain values of a request for a chunk."""

    session: str
    serial: int  # of the request in the session: the same if it is sent again
    version: str  # of what is asked
    key: tuple[int, ...]  # of the episode, for `Actor.reset`
    number: int  # of the chunk in the episode
    settled: int = 0  # as in `Rest`


@dataclass
class _Session:
    """An arm that asks."""

    actor: Actor
    lock: threading.Lock = field(default_factory=threading.Lock)
    serial: int = -1  # of the last request that was answered
    answer: bytes = b""


class PolicyServer(LocalServer):
    """Serves an actor until `close`. One chunk is computed at a time, whoever asks.

    Args:
        actor: it.
        about: what it is.
        references: the cameras' reference pictures, as `cameras.Reference.plain` has them.
        host, port: to listen at.
        token: what a request must bring; none is needed if it is empty.
        greeted: called with the address of an arm that comes anew.
    """

    request_queue_size = 16

    def __init__(
        self,
        actor: Actor,
        about: Served,
        references: Mapping[str, Mapping[str, bytes]] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str = "",
        greeted: Callable[[str], None] = lambda address: None,
    ) -> None:
        self.actor, self.about, self.greeted = actor, about, greeted
        self.is_open = not token
        pictures = {
            f"{part}.{camera}": np.frombuffer(content, np.uint8)
            for camera, parts in (references or {}).items()
            for part, content in parts.items()
        }
        told = {"about": asdict(about), "interface": asdict(actor.interface), "traits": asdict(actor.traits)}
        self.greeting = pack(told, pictures)
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock, self._computing = threading.Lock(), threading.Lock()
        super().__init__(_Handler, port, host, checked_token(token) or None)

    def act(self, message: bytes) -> bytes:
        """The chunk for a request; `Refused` or ValueError if it is none for this policy."""
        values, arrays = unpack(message)
        ask = from_plain(Ask, values)
        if ask.version != self.about.version:
            why = f"another policy is served now: {self.about.name}, {self.about.version}; start the run anew"
            raise Refused(HTTPStatus.CONFLICT, why)
        seen, rest = read_seen(self.actor, arrays), read_rest(self.actor, ask.settled, arrays)
        session = self._session(ask.session)
        with session.lock:
            if ask.serial == session.serial:  # its answer was lost on the way
                return session.answer
            if ask.number == 0:
                session.actor.reset(ask.key)
            elif ask.serial != session.serial + 1:  # what it drew before is not known here
                session.actor.reset((*ask.key, ask.number))
            with self._computing:
                chunk = session.actor.act(seen, rest)
            session.serial, session.answer = ask.serial, pack({}, {"chunk": chunk})
            return session.answer

    def _session(self, name: str) -> _Session:
        if not 0 < len(name) <= LONGEST_NAME:
            raise ValueError(f"a session's name has 1 to {LONGEST_NAME} characters; this has {len(name)}")
        with self._lock:
            session = self._sessions.pop(name, None) or _Session(self.actor.another())
            self._sessions[name] = session
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return session


def needs_token(host: str) -> bool:
    """Whether others than this machine's users reach a server that listens at a host; OSError if there is
    none of that name.
    """
    addresses = {entry[4][0] for entry in socket.getaddrinfo(host or "0.0.0.0", None, socket.AF_INET)}
    return not all(ipaddress.ip_address(address).is_loopback for address in addresses)


def checked_token(token: str) -> str:
    """A token that a header can hold, and nobody guesses; ValueError if it is another. "" is none."""
    if token and not re.fullmatch(f"[!-~]{{{SHORTEST_TOKEN},200}}", token):
        raise ValueError(
            f"--token has {len(token)} characters; it must have {SHORTEST_TOKEN} to 200, which are letters, "
            "digits and signs of ASCII"
        )
    return token


def read_seen(actor: Actor, arrays: Mapping[str, np.ndarray]) -> Seen:
    """The observations of a request, as the actor keeps them; ValueError unless they fit it."""
    interface, horizon = actor.interface, actor.observation_horizon
    qpos = _array(arrays, "qpos", (horizon, interface.state_dim))
    steps = []
    for step in range(horizon):
        names = [f"picture.{step}.{camera}" for camera in interface.cameras]
        pictures = [_picture(arrays, name, interface.image_size) for name in names]
        images = np.array(pictures, np.uint8).reshape(len(names), *interface.image_size, 3)
        steps.append(actor.finish({"qpos": qpos[step].astype(np.float32), "images": images}))
    return steps[0] if horizon == 1 else {name: np.stack([s[name] for s in steps]) for name in steps[0]}


def read_rest(actor: Actor, settled: int, arrays: Mapping[str, np.ndarray]) -> Rest | None:
    """What is left of the present chunk, if a request says so; ValueError unless it fits the actor."""
    if "rest" not in arrays:
        return None
    rows = len(arrays["rest"]) if arrays["rest"].ndim else 0
    if not actor.inpaints or not 0 < rows <= actor.chunk_size or settled < 0:
        raise ValueError(f"{rows} actions of the last chunk, {settled} of them settled, fit no chunk")
    return Rest(_array(arrays, "rest", (rows, actor.interface.action_dim)).copy(), settled)


def _array(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    array = arrays.get(name)
    if array is None or array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{name} must be {shape} finite numbers")
    return array


def _picture(arrays: Mapping[str, np.ndarray], name: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    jpeg = arrays.get(name)
    if jpeg is None or jpeg.dtype != np.uint8 or jpeg.ndim != 1 or jpeg_size(jpeg, name) != tuple(size):
        raise ValueError(f"{name} must be a JPEG of {size[0]}x{size[1]} pixels (height x width)")
    image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    if image is None or image.shape[:2] != tuple(size):
        raise ValueError(f"{name} cannot be decoded")
    return image


class _Handler(LocalHandler):
    """The requests of one arm's line."""

    server: PolicyServer
    protocol_version = "HTTP/1.1"  # one connection for all requests: each new one takes a round trip
    disable_nagle_algorithm = True
    max_body, body_type = MOST_BYTES, CONTENT_TYPE
    no_token = "it needs the token that policy_server.py printed: --token"

    def do_POST(self) -> None:
        self.answer(self._post)

    def _post(self, name: str) -> None:
        message = self.read_body()
        if choose("request", name, (GREET, ACT)) == ACT:
            answer = self.server.act(message)
        else:
            self.server.greeted(self.client_address[0])
            answer = self.server.greeting
        self.send(answer, CONTENT_TYPE)

    def check_token(self) -> None:
        if not self.server.is_open:
            super().check_token()

    def check_sender(self) -> None:
        """Programs alone may ask, by any name of this machine: browsers send an origin with a POST."""
        if self.headers.get("Origin") is not None:
            raise Refused(HTTPStatus.FORBIDDEN, "pages may not ask a policy server")

    def handle_one_request(self) -> None:
        self._received.deadline = time.monotonic() + IDLE
        super().handle_one_request()

    def parse_request(self) -> bool:
        self._received.deadline = time.monotonic() + self.request_time
        return super().parse_request()
