"""A link to a server far away: a proxy on this machine that delays what passes, loses some of it, or is dead.

TCP is modelled by the segment, in order: a lost one, and all that follows it, waits for its retransmission.
There is no fast retransmission, so that a loss costs here at least what it costs on a real line.
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
import time

SEGMENT = 1448  # bytes of TCP in a packet of Ethernet
FIRST_WAIT = 1.0  # s after which a lost opening of a connection is sent again (RFC 6298)
LEAST_WAIT = 0.2  # s that Linux waits beyond the round trip, at least, before it sends a segment again


class FarLink:
    """Listens on `port`, and passes everything on to a server of this machine, until `close`.

    Args:
        server: its port.
        delay: s one way.
        loss: share of the segments that are lost.
        seed: of the losses.
    """

    def __init__(self, server: int, delay: float = 0.0, loss: float = 0.0, seed: int = 0) -> None:
        self.delay, self.loss, self.is_dead = delay, loss, False
        self.lost = self.passed = 0  # segments
        self._server, self._random = server, random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    @staticmethod
    def _start(what, *args) -> None:
        threading.Thread(target=what, args=args, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._start(self._open, near, time.monotonic())

    def _open(self, near: socket.socket, at: float) -> None:
        """Connect a client; its first bytes wait for the opening's round trip."""
        self._travel(at, FIRST_WAIT)
        _sleep_until(time.monotonic() + self.delay)
        with contextlib.suppress(OSError):
            far = socket.create_connection(("127.0.0.1", self._server))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [near, far]
            self._start(self._pass, near, far)
            self._start(self._pass, far, near)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        """Take what a side sends; it goes on in a thread of its own, as a line holds many segments."""
        sent: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._start(self._deliver, sent, source, target)
        data = b"?"
        while data:
            try:
                data = source.recv(SEGMENT)
            except OSError:
                data = b""
            sent.put((time.monotonic(), data))

    def _deliver(
        self, sent: queue.SimpleQueue[tuple[float, bytes]], source: socket.socket, target: socket.socket
    ) -> None:
        with contextlib.suppress(OSError):
            while (segment := sent.get())[1]:
                self._travel(segment[0], 2 * self.delay + LEAST_WAIT)
                target.sendall(segment[1])
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _travel(self, at: float, wait: float) -> None:
        """Wait until a segment that was sent at a time is there; lost ones are sent again after `wait`."""
        while True:
            _sleep_until(at)
            self.passed += 1
            if not self.is_dead and self._random.random() >= self.loss:
                break
            self.lost += 1
            at, wait = at + wait, 2 * wait
        _sleep_until(at + self.delay)

    def cut(self) -> None:
        """Break all connections; new ones are welcome."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
                each.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


def travel_time(delay: float, loss: float, draws: random.Random) -> float:
    """s that a segment takes one way, as a `FarLink` has it, on a line that is alive."""
    wait, taken = 2 * delay + LEAST_WAIT, delay
    while draws.random() < loss:
        taken, wait = taken + wait, 2 * wait
    return taken


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
