"""What carries the stand-in's port: a pseudo-terminal, or TCP, which every system has."""

from __future__ import annotations

import contextlib
import os
import select
import socket

NOBODY = b""  # what came in the time given: nothing


class PtyWire:
    """A pseudo-terminal; `port` is its name."""

    name = "pty"

    def __init__(self) -> None:
        import tty  # POSIX

        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)  # kept open: without a client, reads would fail
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._wake_read, self._wake_write = os.pipe()

    def receive(self, seconds: float | None) -> bytes | None:
        """What came, or nothing after so many seconds; None once `wake` was called."""
        ready, _, _ = select.select([self._master, self._wake_read], [], [], seconds)
        if self._wake_read in ready:
            return None
        return os.read(self._master, 4096) if ready else NOBODY

    def send(self, data: bytes) -> None:
        """Send a whole reply; nobody need be there to read it."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)

    def wake(self) -> None:
        """End `receive`."""
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        for handle in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(handle)


class TcpWire:
    """A listening socket; `port` is its address as pyserial takes it.

    One client at a time; the next one waits until that has gone.

    Args:
        host: name or address to listen on.
        number: of the TCP port; 0: any that is free.

    Raises:
        OSError: nobody can listen there; the message names it.
    """

    name = "tcp"

    def __init__(self, host: str, number: int) -> None:
        try:
            self._listener = socket.create_server((host, number), backlog=1)
        except OSError as error:
            raise OSError(
                f"--tcp {host}:{number}: {error.strerror or error}; another port may be free"
            ) from None
        self.port = f"socket://{host}:{self._listener.getsockname()[1]}"
        self._client: socket.socket | None = None
        self._wake_read, self._wake_write = socket.socketpair()  # Windows waits for sockets only

    def receive(self, seconds: float | None) -> bytes | None:
        """What came, or nothing after so many seconds; None once `wake` was called."""
        line = self._client or self._listener
        ready, _, _ = select.select([line, self._wake_read], [], [], seconds)
        if self._wake_read in ready:
            return None
        if not ready:
            return NOBODY
        if self._client is None:
            with contextlib.suppress(OSError):  # it has gone again
                self._client = _prompt(self._listener.accept()[0])
            return NOBODY
        try:
            data = self._client.recv(4096)
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        return data

    def send(self, data: bytes) -> None:
        """Send a whole reply; nobody need be there to read it."""
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError):
                client.sendall(data)

    def wake(self) -> None:
        """End `receive`."""
        self._wake_write.send(b"x")

    def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def close(self) -> None:
        self._hang_up()
        for each in (self._listener, self._wake_read, self._wake_write):
            each.close()


def _prompt(client: socket.socket) -> socket.socket:
    """Frames go out at once, each by itself; a client whose computer is gone is noticed."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    client.settimeout(1.0)  # s, for one that does not read what is sent
    return client
