"""A stand-in for an SO-101 leader: its six servos on a pseudo-terminal or over TCP, moved by a recording."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mycobot_scripts.stand_in.wires import PtyWire, TcpWire
from teleop import feetech, so101

FORM = 'it must be {"fps": ..., "joints": [[5 rad], ...], "gripper": [0 to 1, ...]}'


@dataclass(frozen=True, eq=False)
class Motion:
    """How a leader is moved."""

    fps: float
    joints: np.ndarray  # (T, 5) rad
    gripper: np.ndarray  # (T,) 0 closed to 1 open

    def at(self, seconds: float) -> tuple[np.ndarray, float]:
        """Joints (5,) and gripper at a time (s) since its beginning; before and after, its ends."""
        t = np.clip(seconds * self.fps, 0, len(self.gripper) - 1)
        frames = np.arange(len(self.gripper))
        joints = [np.interp(t, frames, column) for column in self.joints.T]
        return np.array(joints), float(np.interp(t, frames, self.gripper))

    @property
    def seconds(self) -> float:
        return (len(self.gripper) - 1) / self.fps

    @classmethod
    def load(cls, path: str | Path) -> Motion:
        """Read a recorded motion; ValueError, in one line, if it is none."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            fps = float(content["fps"])
            joints, gripper = np.array(content["joints"], float), np.array(content["gripper"], float)
        except FileNotFoundError:
            raise ValueError(f"{path} is not there") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no leader's motion ({error}); {FORM}") from None
        is_right = joints.ndim == 2 and joints.shape == (len(gripper), 5) and len(gripper) and fps > 0
        if not is_right or not np.isfinite(joints).all() or not np.isfinite(gripper).all():
            raise ValueError(f"{path} is no leader's motion; {FORM}")
        return cls(fps, joints, gripper)

    def save(self, path: str | Path) -> None:
        """Write it, one frame a line."""
        rows = [json.dumps([round(float(angle), 4) for angle in row]) for row in self.joints]
        gripper = json.dumps([round(float(value), 3) for value in self.gripper])
        text = f'{{"fps": {self.fps:g},\n"gripper": {gripper},\n"joints": [\n' + ",\n".join(rows) + "\n]}\n"
        Path(path).write_text(text, encoding="utf-8")


class StandInLeader:
    """Serves the servos of a leader on a wire, in a thread, until `close`; `port` is what clients open.

    Args:
        wire: what carries it; closed with this.
        calibration: what its servos' readings mean.
        motion: what its hand does from `play` on; before, it stays at the motion's beginning.
        lose: share of the servos' replies that are lost.
        garble: share of which a byte is wrong.
    """

    def __init__(
        self,
        wire: PtyWire | TcpWire,
        motion: Motion,
        calibration: so101.Calibration,
        lose: float = 0.0,
        garble: float = 0.0,
    ) -> None:
        self._wire, self.port, self._motion = wire, wire.port, motion
        self._calibration = calibration
        self._lose, self._garble, self._rng = lose, garble, np.random.default_rng(0)
        self._began: float | None = None
        self.torque = dict.fromkeys(so101.IDS.values(), 1)
        self.mute: set[int] = set()  # servos that do not answer
        self._thread = threading.Thread(target=self._serve, name="stand-in leader", daemon=True)
        self._thread.start()

    def play(self) -> None:
        """Begin the motion now."""
        self._began = time.perf_counter()

    @property
    def began(self) -> float:
        """When `play` was called last (s, `time.perf_counter`); `inf` before."""
        return np.inf if self._began is None else self._began

    @property
    def elapsed(self) -> float:
        """Seconds since `play`; 0 before."""
        return 0.0 if self._began is None else time.perf_counter() - self._began

    def _serve(self) -> None:
        parser = feetech.StatusParser()  # requests have the same form
        while (data := self._wire.receive(None)) is not None:
            for request in parser.feed(data):
                self._wire.send(b"".join(self._replies(request)))

    def _replies(self, request: feetech.Status) -> list[bytes]:
        instruction, data = request.error, request.data
        if instruction == feetech.SYNC_READ and data[:2] == bytes([feetech.PRESENT_POSITION, 2]):
            steps = self._calibration.readings(*self._motion.at(self.elapsed))
            answers = {id: feetech.encode_position(steps[id]) for id in data[2:] if id in steps}
        elif request.id not in self.torque:
            return []
        elif instruction == feetech.READ and data == bytes([feetech.MODEL, 2]):
            answers = {request.id: feetech.STS3215.to_bytes(2, "little")}
        elif instruction == feetech.WRITE and len(data) == 2 and data[0] == feetech.TORQUE_ENABLE:
            self.torque[request.id] = data[1]
            answers = {request.id: b""}
        else:
            answers = {request.id: b""} if instruction == feetech.PING else {}
        return [self._reply(id, answer) for id, answer in answers.items() if id not in self.mute]

    def _reply(self, id: int, answer: bytes) -> bytes:
        frame = bytearray(feetech.encode(id, 0, answer))
        luck = self._rng.random()
        if luck < self._lose:
            return b""
        if luck < self._lose + self._garble:
            frame[self._rng.integers(len(frame))] ^= 1 << self._rng.integers(8)
        return bytes(frame)

    def join(self) -> None:
        """Wait until it is closed, or interrupted."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """End the thread, and close the port."""
        self._wire.wake()
        self._thread.join()
        self._wire.close()
