"""Recording that survives a crash: each step goes to a journal on disk at once, which becomes an episode.

A killed process loses what its queue held (a few steps), a power cut what was not yet synced (SYNC_EVERY).
`recovery.recover` makes an episode of the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import complete_file, hold, told_if_full
from episodes import EpisodeError
from mycobot_scripts.demos.journal import (
    HEADER,
    STEPS,
    Step,
    free_episode,
    journal_path,
    list_journals,
    note_verdict,
    plain,
    record,
    sync_folder,
    this_process,
)
from mycobot_scripts.demos.recovery import KEPT, make_episode, recover

__all__ = ["Recording", "Step", "free_episode", "journal_path", "list_journals", "recover"]

SYNC_EVERY = 0.5  # s; so that with the sync itself no more than a second is lost
MAX_WAITING = 100  # steps that may wait for a slow disk


class Recording:
    """An episode while it is being recorded; `append` never waits for the disk.

    Args:
        path: the episode file to be; its folder is made if need be.
        cameras: whose images each step has.
        facts: further fields of the `Episode`: task, fps, seed, env_state, sim.

    Raises:
        FileExistsError: the file, or a journal of it, is there already.
    """

    def __init__(self, path: str | Path, cameras: Sequence[str], **facts: Any) -> None:
        self.path, self.folder = Path(path), journal_path(path)
        if self.path.exists():
            raise FileExistsError(f"{self.path} exists already; choose another place")
        if self.folder.exists():
            raise FileExistsError(
                f"{self.folder} is a recording that was cut off; --recover makes an episode of it, "
                "--discard forgets it"
            )
        self.cameras, self._shapes = tuple(cameras), {}
        self._length = 0
        self.total_reward = 0.0  # of all its steps that count
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._held = contextlib.ExitStack()  # the lock that tells others that it goes on
        self._held.enter_context(hold(self.folder))
        header = {"cameras": self.cameras, "facts": plain(facts), "process": this_process()}
        with complete_file(self.folder / HEADER) as part:
            part.write_text(json.dumps(header, indent=1), encoding="utf-8")
        self._file = open(self.folder / STEPS, "ab", buffering=0)  # noqa: SIM115, closed by `_write_all`
        sync_folder(self.folder)
        sync_folder(self.folder.parent)
        self._waiting: queue.Queue[Step | None] = queue.Queue(MAX_WAITING)
        self._error: Exception | None = None
        self._writer = threading.Thread(target=self._write_all, name=f"journal {self.path.stem}", daemon=True)
        self._writer.start()

    def __len__(self) -> int:
        return self._length

    @property
    def is_open(self) -> bool:
        """Whether it has been neither finished nor discarded."""
        return self.folder.exists()

    def append(self, step: Step) -> None:
        """Keep a step. EpisodeError if it does not fit those before; OSError if the disk fails or falls
        behind; earlier steps stay.
        """
        for camera in self.cameras:
            shape = step.images[camera].shape
            if self._shapes.setdefault(camera, shape) != shape:
                raise EpisodeError(
                    f"{self.path}: camera {camera!r} gave a frame of {shape}; those before were "
                    f"{self._shapes[camera]}"
                )
        self._check()
        try:
            self._waiting.put_nowait(step)
        except queue.Full:
            raise OSError(
                f"{self.folder}: the disk is {MAX_WAITING} steps behind; record to a faster one"
            ) from None
        self._length += 1
        self.total_reward += step.reward or 0.0

    def finish(self, success: bool | None = None) -> Path:
        """Write the episode file and remove the journal; returns the file's path."""
        self._stop()
        self._check()
        note_verdict(self.folder, success)
        path = make_episode(self.folder, self.path, KEPT, success).path
        self._held.close()
        return path

    def discard(self) -> None:
        """Forget the recording."""
        self._stop()
        shutil.rmtree(self.folder)
        self._held.close()

    def abandon(self) -> None:
        """Leave the journal for `recover`, complete and synced."""
        self._stop()
        self._held.close()

    def _check(self) -> None:
        if self._error is not None:
            self._held.close()
            raise OSError(f"{self.folder}: the recording cannot be written ({self._error})")

    def _stop(self) -> None:
        if self._writer.is_alive():
            self._waiting.put(None)
        self._writer.join()

    def _write_all(self) -> None:
        synced = time.monotonic()
        try:
            with self._file, told_if_full(self.folder):
                while (step := self._next(synced)) is not None:
                    if isinstance(step, Step):
                        _write_whole(self._file, record(step, self.cameras))
                    if time.monotonic() - synced >= SYNC_EVERY:
                        os.fsync(self._file.fileno())
                        synced = time.monotonic()
                os.fsync(self._file.fileno())
        except Exception as error:  # handed to whoever records
            self._error = error
            with contextlib.suppress(queue.Empty):  # `_stop` must find room
                while True:
                    self._waiting.get_nowait()

    def _next(self, synced: float) -> Step | str | None:
        """The next step, or a word if none came until it is time to sync."""
        try:
            return self._waiting.get(timeout=max(0.0, synced + SYNC_EVERY - time.monotonic()))
        except queue.Empty:
            return "time to sync"


def _write_whole(file: Any, data: bytes) -> None:
    """Unbuffered files may take less than they are given."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
