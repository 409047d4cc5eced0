"""Who has the control: one page at a time, which is heard about ten times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from teleop import RATES, SLOW

QUIET = 0.5  # s without a beat of the owner after which nothing is held down, and the arm holds
FORGOTTEN = 5.0  # s likewise after which the next page that is heard becomes the owner
MOST_CLIENTS = 100  # of which numbers are remembered
MOST_KEYS = 100  # that wait for a script which does not ask for them


@dataclass(frozen=True)
class Beat:
    """What a page says about ten times a second."""

    client: str
    number: int  # rises from beat to beat
    keys: tuple[str, ...] = ()  # pressed since the last one
    rates: tuple[float, ...] | None = None  # of `teleop.RATES`, each in -1..1, that are held down
    slow: bool = False


class Control:
    """Keys and rates of the page that has the control.

    Args:
        now: the clock, s.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.owner: str | None = None
        self._now, self._lock = now, threading.Lock()
        self._heard = 0.0  # when the owner last was
        self._numbers: dict[str, int] = {}  # of each client's newest beat; the newest client last
        self._keys: list[str] = []
        self._rates = np.zeros(len(RATES))

    @property
    def silence(self) -> float | None:
        """Seconds since the owner was heard; None before there is one."""
        with self._lock:
            return None if self.owner is None else self._now() - self._heard

    @property
    def is_lost(self) -> bool:
        """Whether there was an owner, who is not heard any more."""
        silence = self.silence
        return silence is not None and silence > QUIET

    def hear(self, beat: Beat) -> None:
        """A beat; only the owner's keys and rates count, and none that comes later than the next one."""
        with self._lock:
            newest = self._numbers.pop(beat.client, -1)
            self._numbers[beat.client] = max(newest, beat.number)
            if len(self._numbers) > MOST_CLIENTS:
                del self._numbers[next(iter(self._numbers))]
            if beat.number <= newest or (self.owner != beat.client and not self._is_free()):
                return
            self._give(beat.client)
            self._keys = [*self._keys, *beat.keys][-MOST_KEYS:]
            share = SLOW if beat.slow else 1.0
            self._rates = np.zeros(len(RATES)) if beat.rates is None else share * np.array(beat.rates)

    def take(self, client: str) -> None:
        """A client takes the control over, whoever has it."""
        with self._lock:
            self._give(client)

    def leave(self, client: str) -> None:
        """A client goes: if it has the control, it counts as lost at once, and the next one that is heard
        gets it.
        """
        with self._lock:
            if self.owner == client:
                self._keys, self._heard = [], self._now() - FORGOTTEN - QUIET

    def is_owner(self, client: str) -> bool:
        """Whether a client has the control; it gets it if nobody has."""
        with self._lock:
            if self.owner != client and self._is_free():
                self._give(client)
            return self.owner == client

    def _is_free(self) -> bool:
        return self.owner is None or self._now() - self._heard > FORGOTTEN

    def _give(self, client: str) -> None:
        if self.owner != client:
            self.owner, self._keys, self._rates = client, [], np.zeros(len(RATES))
        self._heard = self._now()

    def poll(self) -> list[str]:
        """The owner's keys since the last call."""
        with self._lock:
            keys, self._keys = self._keys, []
        return keys

    @property
    def rates(self) -> np.ndarray:
        """(7,) of `teleop.RATES` that the owner holds down; zero once it is not heard."""
        with self._lock:
            return self._rates.copy() if self._now() - self._heard <= QUIET else np.zeros(len(RATES))


def as_keys(value: Sequence[str] | None) -> tuple[str, ...]:
    """Names of keys as a page sends them; ValueError for anything else."""
    keys = [] if value is None else value
    is_list = isinstance(keys, list) and len(keys) <= 50
    if not is_list or not all(isinstance(key, str) and 0 < len(key) <= 20 for key in keys):
        raise ValueError(f"keys is {value!r:.80}; it must be a list of names of keys, 50 at most")
    return tuple(keys)


def as_rates(value: Sequence[float] | None) -> tuple[float, ...] | None:
    """Rates as a page sends them; ValueError for anything else."""
    if value is None:
        return None
    is_list = isinstance(value, list) and all(type(entry) in (int, float) for entry in value)
    if not is_list or len(value) != len(RATES) or not all(-1 <= entry <= 1 for entry in value):
        raise ValueError(f"rates is {value!r:.80}; it must be {len(RATES)} numbers from -1 to 1, or null")
    return tuple(map(float, value))


def as_client(value: str) -> str:
    """The name that a page gives itself; ValueError for anything else."""
    if not isinstance(value, str) or not 0 < len(value) <= 100 or not value.isprintable():
        raise ValueError(f"client is {value!r:.80}; it must be a text of 1 to 100 characters")
    return value


def as_beat(body: dict) -> Beat:
    """A beat as a page sends it; ValueError for anything else."""
    number, slow = body.get("number"), body.get("slow", False)
    if type(number) is not int or number < 0:
        raise ValueError(f"number is {number!r:.80}; it must be a whole number that rises from beat to beat")
    if not isinstance(slow, bool):
        raise ValueError(f"slow is {slow!r:.80}; it must be true or false")
    rates = as_rates(body.get("rates"))
    return Beat(as_client(body.get("client")), number, as_keys(body.get("keys")), rates, slow)
