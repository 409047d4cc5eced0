"""An actor on another machine, which a `PolicyServer` serves. Needs no torch.

A line that stalls or breaks is tried again, as long as an answer may be late; then the arm must stop.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import time
import urllib.parse
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from actors.actor import Actor, Rest, Seen, Traits
from actors.interface import Interface, Observation
from actors.messages import ACT, CONTENT_TYPE, GREET, MOST_BYTES, PROTOCOL, pack, unpack
from actors.serving import Ask, Served, checked_token
from common import command_line, from_plain
from episodes import encode_jpeg

DEFAULT_PORT = 8020
GREETING_TIME = 10.0  # s
FIRST_TIME = 30.0  # s that the first answers may take: nobody waits for them, and the server may be busy
LATE = 0.8  # s that an answer may come later than the last ones
AGAIN = 0.25  # s after which a quick line is tried again
PAUSE = 0.05  # s before a line that was refused is tried again
RECENT = 3  # answers that tell how long the next one takes
SAME_VERSION = "use the same version of this program on both machines"


class _Lost(Exception):
    """No answer came."""


class _Line:
    """One connection at a time to a server.

    Args:
        host, port: of the server.
        token: what it asks for.
    """

    def __init__(self, host: str, port: int, token: str) -> None:
        self.place = f"{host}:{port}"
        self._connection = http.client.HTTPConnection(host, port)
        self._headers = {"Content-Type": CONTENT_TYPE, "X-Token": token}

    def ask(self, name: str, message: bytes, seconds: float) -> bytes:
        """The answer to a message; `_Lost` if none comes in so many s, RuntimeError if it is an error."""
        connection, ends = self._connection, time.monotonic() + seconds
        try:
            if connection.sock is None:
                connection.timeout = seconds
                connection.connect()
            connection.sock.settimeout(max(ends - time.monotonic(), 1e-3))
            connection.request("POST", f"/{name}", message, self._headers)
            answer = connection.getresponse()
            content = answer.read(MOST_BYTES)
            is_whole = answer.isclosed()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise _Lost(
                f"no answer in {seconds:.1f} s" if isinstance(error, TimeoutError) else why
            ) from error
        if not is_whole:
            self.close()
        if answer.status != 200:
            self.close()
            raise RuntimeError(f"the policy server at {self.place} refuses: {_why(answer, content)}")
        if answer.headers.get_content_type() != CONTENT_TYPE:
            raise RuntimeError(f"{self.place} answers, but is no policy server")
        return content

    def close(self) -> None:
        self._connection.close()


def _why(answer: http.client.HTTPResponse, content: bytes) -> str:
    """What an error says."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(content)["error"])[:300]
    return f"{answer.status} {answer.reason}"


class RemoteActor(Actor):
    """Asks a policy server.

    Attributes:
        about: what it serves.
        references: the cameras' reference pictures, plain (`cameras.stored_references`).

    Args:
        address: HOST or HOST:PORT of the server.
        token: what it asks for.
        late: s that an answer may come later than the last ones took, before `act` fails.

    Raises:
        ValueError: the address is none, or no server has such a token.
        ConnectionError: nobody answers there.
        RuntimeError: it is no policy server, of another version, or refuses the token.
    """

    def __init__(self, address: str, token: str = "", late: float = LATE) -> None:
        self._line, self._late = _Line(*split_address(address), checked_token(token)), late
        self.place = self._line.place
        self._session, self._serial = secrets.token_hex(16), 0
        self._took: deque[float] = deque(maxlen=RECENT)  # s of the last answers
        self._greet()
        self.reset((0,))

    def _greet(self) -> None:
        """Learn what is served."""
        place = self._line.place
        try:
            values, pictures = unpack(self._line.ask(GREET, pack({"protocol": PROTOCOL}), GREETING_TIME))
        except _Lost as lost:
            raise ConnectionError(
                f"no policy server answers at {place} ({lost}); start one there: "
                + command_line("policy_server.py")
            ) from None
        about = values.get("about")
        spoken = about.get("protocol") if isinstance(about, Mapping) else None
        if spoken != PROTOCOL:
            raise RuntimeError(
                f"the policy server at {place} is of another version: it speaks protocol {spoken}, this "
                f"program {PROTOCOL}; {SAME_VERSION}"
            )
        try:
            self.about = from_plain(Served, about, "about")
            self.interface = from_plain(Interface, values.get("interface"), "interface")
            self.traits = from_plain(Traits, values.get("traits"), "traits")
        except ValueError as error:
            raise RuntimeError(
                f"the policy server at {place} tells nothing usable: {error}; {SAME_VERSION}"
            ) from None
        self.references: dict[str, dict[str, bytes]] = {}
        for name, content in pictures.items():
            part, _, camera = name.partition(".")
            self.references.setdefault(camera, {})[part] = content.tobytes()

    def reset(self, key: Sequence[int]) -> None:
        """The server is told with the next request: this takes no time."""
        self._key, self._number = tuple(map(int, key)), 0

    def observe(self, observation: Observation) -> Seen:
        qpos = np.asarray(observation["qpos"], np.float32)
        return {"qpos": qpos, "images": self.interface.viewed(observation["images"])}

    def act(self, seen: Seen, rest: Rest | None = None) -> np.ndarray:
        """A chunk; ConnectionError if it is too late, RuntimeError if the server refuses."""
        began, usual = time.monotonic(), max(self._took, default=None)
        message = self._message(seen, rest)
        self._serial, self._number = self._serial + 1, self._number + 1  # whether it is answered or not
        limit = FIRST_TIME if usual is None else usual + self._late
        attempt = FIRST_TIME if usual is None else usual + max(AGAIN, 2 * usual)
        while True:
            left = began + limit - time.monotonic()
            try:
                if left <= 0:
                    raise ConnectionError(
                        f"no answer from the policy server at {self.place} for {limit:.1f} s, "
                        f"{self._late:g} s more than usual (--stale)"
                    )
                _, arrays = unpack(self._line.ask(ACT, message, min(left, attempt)))
                break
            except _Lost:
                time.sleep(max(0.0, min(PAUSE, left)))
        self._took.append(time.monotonic() - began)
        return self._checked(arrays.get("chunk"))

    def _message(self, seen: Seen, rest: Rest | None) -> bytes:
        horizon, arrays = self.observation_horizon, {}
        arrays["qpos"] = np.reshape(seen["qpos"], (horizon, -1))
        pictures = np.reshape(seen["images"], (horizon, -1, *self.interface.image_size, 3))
        for step, row in enumerate(pictures):
            for camera, picture in zip(self.interface.cameras, row, strict=True):
                arrays[f"picture.{step}.{camera}"] = encode_jpeg(picture)
        if rest is not None:
            arrays["rest"] = rest.actions
        settled = 0 if rest is None else int(rest.settled)
        ask = Ask(self._session, self._serial, self.about.version, self._key, self._number, settled)
        return pack(asdict(ask), arrays)

    def _checked(self, chunk: np.ndarray | None) -> np.ndarray:
        width = self.interface.action_dim
        if (
            chunk is None
            or chunk.ndim != 2
            or chunk.shape[1] != width
            or not 0 < len(chunk) <= self.chunk_size
        ):
            raise RuntimeError(
                f"the policy server at {self.place} answers no chunk of actions; {SAME_VERSION}"
            )
        return chunk.copy()

    def close(self) -> None:
        self._line.close()


def split_address(address: str) -> tuple[str, int]:
    """Host and port of HOST or HOST:PORT; ValueError if it is neither."""
    try:
        parts = urllib.parse.urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.path or parts.query or parts.username is not None or address.endswith(":"):
        raise ValueError(f"--server is {address!r}; it must be HOST or HOST:PORT, as gpu-box:{DEFAULT_PORT}")
    return host, DEFAULT_PORT if port is None else port
