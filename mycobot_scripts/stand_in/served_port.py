"""A stand-in serial port, behind which the emulated firmware answers.

It is as slow as the arm. What goes wrong on the wire happens here: lost and late replies, commands that
garble each other, a cable that is pulled.
"""

from __future__ import annotations

import queue
import threading
import time

import numpy as np

from mycobot_scripts.stand_in.wires import PtyWire, TcpWire
from mycobot_scripts.wire import Command, Frame, FrameParser, decode_angles, encode, encode_angles

READ_TIME, WRITE_TIME = 0.030, 0.028  # s until the reply; measured (zoskek8/mycobot320_M5_control_test)
TORN_AFTER = 0.05  # s of silence after which an unfinished frame is given up
TICK = 0.02  # s
MOTION = {
    *(Command.SEND_ANGLE, Command.SEND_ANGLES, Command.SEND_COORD, Command.SEND_COORDS),
    *(Command.JOG_ANGLE, Command.JOG_COORD, Command.JOG_INCREMENT, Command.JOG_INCREMENT_COORD),
    *(Command.SET_ENCODER, Command.SET_ENCODERS, Command.SET_GRIPPER_VALUE, Command.SET_GRIPPER_STATE),
    *(Command.SET_PRO_GRIPPER, Command.SET_ELECTRIC_GRIPPER),
}
GARBLED = 25.0  # degrees by which a garbled command sends a joint elsewhere, at most


class ServedPort:
    """Serves a firmware on a wire, in threads, until `close`; `port` is what clients open.

    Args:
        firmware: `firmware.Firmware`.
        wire: what carries it; closed with this.
        delays: whether replies take as long as the arm's do.
    """

    def __init__(self, firmware, wire: PtyWire | TcpWire, delays: bool = True) -> None:
        self._firmware, self._faults = firmware, firmware.faults
        self._delays = delays
        self._rng = np.random.default_rng(self._faults.fault_seed)
        self._wire, self.port = wire, wire.port
        self.served = 0  # frames answered or ignored
        self._frames: queue.Queue[tuple[float, Frame]] = queue.Queue()
        self._ended, self._is_open = threading.Event(), True
        self._began: float | None = None  # s, when the first command came
        self._last: tuple[float, Frame] | None = None  # the last motion command, and when it was over
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in ((self._receive, f"{wire.name} receive"), (self._serve, f"{wire.name} serve"))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> ServedPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and close the port."""
        self._ended.set()
        if self._is_open:
            self._wire.wake()
        for thread in self._threads:
            thread.join()
        self._unplug()

    def _unplug(self) -> None:
        if self._is_open:
            self._is_open = False
            self._wire.close()

    def _receive(self) -> None:
        """Note when each frame came, even while the one before is being answered."""
        parser = FrameParser()
        while not self._ended.is_set():
            data = self._wire.receive(TORN_AFTER if parser.is_waiting else None)
            if data is None:
                return
            frames = parser.feed(data) if data else parser.flush()
            for frame in frames:
                self._frames.put((self._firmware.body.now(), frame))

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                arrived, frame = self._frames.get(timeout=TICK)
            except queue.Empty:
                self._firmware.tick(self._firmware.body.now())
            else:
                if self._began is None:
                    self._began = arrived
                    self._firmware.begin(arrived)
                self._answer(frame, arrived)
            if self._is_pulled():
                self._ended.set()
                self._wire.wake()
                self._threads[0].join()
                self._unplug()

    def _is_pulled(self) -> bool:
        after = self._faults.disconnect_after
        return (
            after is not None and self._began is not None and self._firmware.body.now() >= self._began + after
        )

    def _answer(self, frame: Frame, arrived: float) -> None:
        now = self._firmware.body.now
        if self._garbles(frame, arrived):
            self.served += 1
            return
        began = now()
        is_write = self._firmware.is_write(frame.command)
        if is_write:
            payload = self._firmware.answer(frame, began)  # it acts at once, and acknowledges later
            self._sleep(WRITE_TIME)
        else:
            self._sleep(READ_TIME)
            payload = self._firmware.answer(frame, (began + now()) / 2)
        if payload is not None:
            self._reply(frame, payload)
        if frame.command in MOTION:
            self._last = (now() if self._firmware.acks else arrived, frame)
        self.served += 1

    def _reply(self, frame: Frame, payload: bytes) -> None:
        luck = self._rng.random()
        if luck < self._faults.lose_replies + self._faults.late_share:
            self._firmware.unanswered(frame, self._firmware.body.now())
        if luck < self._faults.lose_replies:
            return
        if luck < self._faults.lose_replies + self._faults.late_share:
            self._ended.wait(self._faults.late_ms / 1000)
        self._wire.send(encode(frame.command, payload))

    def _garbles(self, frame: Frame, arrived: float) -> bool:
        """Whether a command came so soon that it is lost, and the one before it garbled."""
        too_soon = self._faults.corrupt_ms / 1000
        if frame.command not in MOTION or not too_soon or self._last is None:
            return False
        over, before = self._last
        if arrived - over >= too_soon:
            return False
        if before.command == Command.SEND_ANGLES:
            angles = np.array(decode_angles(before.payload[:12]))
            angles += self._rng.uniform(-GARBLED, GARBLED, len(angles))
            angles = np.clip(angles, self._firmware.motion.low, self._firmware.motion.high)
            garbled = Frame(before.command, encode_angles(angles) + before.payload[12:])
            self._firmware.answer(garbled, self._firmware.body.now())
        self._last = (arrived, frame)
        return True

    def _sleep(self, seconds: float) -> None:
        if self._delays:
            time.sleep(seconds)
