"""Frames against bytes that pymycobot 4.0.7 was seen to write and to take."""

import random

import numpy as np
import pytest
from pymycobot.common import DataProcessor, ProtocolCode

from mycobot_scripts.wire import protocol
from mycobot_scripts.wire.protocol import Command, Frame, FrameParser, encode

HOME = [-3.07, 33.39, 32.78, 6.94, -88.33, -1.58]  # degrees
MOVE = encode(Command.SEND_ANGLES, protocol.encode_angles(HOME) + bytes([20]))
WRITTEN = {  # by pymycobot
    "fe fe 02 20 fa": encode(Command.GET_ANGLES),
    "fe fe 0f 22 fe cd 0d 0b 0c ce 02 b6 dd 7f ff 62 14 fa": MOVE,
    "fe fe 06 21 01 be 60 64 fa": encode(
        Command.SEND_ANGLE, b"\x01" + protocol.encode_angles([-168]) + b"\x64"
    ),
    "fe fe 05 67 46 14 01 fa": encode(Command.SET_GRIPPER_VALUE, bytes([70, 20, 1])),
    "fe fe 02 65 fa": encode(Command.GET_GRIPPER_VALUE),
    "fe fe 02 2b fa": encode(Command.IS_MOVING),
    "fe fe 02 10 fa": encode(Command.POWER_ON),
    "fe fe 0f 2a" + " 00" * 13 + " fa": encode(Command.IS_IN_POSITION, bytes(13)),
    "fe fe 03 16 01 fa": encode(Command.SET_FRESH_MODE, b"\x01"),
}
NOISE = bytes.fromhex("00 fe 12 fa fe 7f")


def frames_of(data, pieces=None):
    parser, frames = FrameParser(), []
    for piece in pieces or [data]:
        frames += parser.feed(piece)
    return frames


@pytest.mark.parametrize("text", WRITTEN, ids=lambda text: text.replace(" ", ""))
def test_frames_are_what_pymycobot_writes(text):
    assert WRITTEN[text] == bytes.fromhex(text)
    (frame,) = frames_of(bytes.fromhex(text))
    assert frame.encode() == bytes.fromhex(text)


def test_replies_mean_what_pymycobot_reads():
    (frame,) = frames_of(bytes.fromhex("fe fe 0e 20 00 23 00 2b 00 2b 00 23 ff dd ff dd fa"))
    assert frame.command == Command.GET_ANGLES
    assert protocol.decode_angles(frame.payload) == [0.35, 0.43, 0.43, 0.35, -0.35, -0.35]
    (frame,) = frames_of(bytes.fromhex("fe fe 05 4a 01 f9 70 fa"))
    assert protocol.encode_limit(1, -168.0) == frame.payload


def test_ids_are_pymycobots():
    ours = {"JOG_RPY": "JOG_ABSOLUTE", "GET_SERVO_SPEEDS": "GET_SERVO_SPEED"}
    ours |= {"SET_PRO_GRIPPER": "SET_TOQUE_GRIPPER", "GET_PRO_GRIPPER": "GET_TOQUE_GRIPPER"}
    for command in Command:
        assert getattr(ProtocolCode, ours.get(command.name, command.name)) == command, command.name


def test_angles_are_truncated_toward_zero():
    assert protocol.to_int16s(protocol.encode_angles([0.29, -0.29, float(np.float32(33.39))])) == (
        28,
        -28,
        3338,
    )
    rng = np.random.default_rng(0)
    theirs = DataProcessor()
    for angle in rng.uniform(-180, 180, 200):
        assert protocol.to_int16s(protocol.encode_angles([angle])) == (theirs._angle2int(angle),)


def test_coords_round_trip():
    coords = [-298.1, 74.3, 300.9, -162.8, 1.24, 88.96]
    assert protocol.decode_coords(protocol.encode_coords(coords)) == pytest.approx(coords, abs=0.1)


def test_measured_angles_lie_on_the_encoders_grid():
    grid = {int(k * 36000 / 4096) / 100 for k in range(-2100, 2100)}
    rng = np.random.default_rng(0)
    for angle in rng.uniform(-170, 170, 500):
        (seen,) = protocol.as_measured([angle])
        assert seen in grid and abs(seen) <= abs(angle) < abs(seen) + 0.1 + 1e-9, angle
    assert protocol.as_measured([-3.07, 33.39]) == [-2.98, 33.31]


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="400"):
        protocol.encode_angles([400.0])
    with pytest.raises(ValueError, match="60 bytes"):
        encode(Command.GET_ANGLES, bytes(60))
    with pytest.raises(ValueError, match="3 bytes"):
        protocol.to_int16s(b"abc")


# --- the parser


def test_the_parser_takes_any_pieces_and_any_noise():
    rng = random.Random(0)
    for _ in range(300):
        frames = [
            Frame(rng.randrange(256), rng.randbytes(rng.randrange(0, 25))) for _ in range(rng.randrange(1, 5))
        ]
        data = b"".join(rng.choice([b"", NOISE[: rng.randrange(1, 3)]]) + frame.encode() for frame in frames)
        cuts = sorted(rng.randrange(len(data)) for _ in range(rng.randrange(6)))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert frames_of(data, pieces) == frames


def test_a_payload_may_look_like_a_frame():
    inner = encode(Command.GET_ANGLES)
    frame = Frame(Command.SET_ENCODERS_DRAG, inner + b"\xfa\xfe\xfe" + inner)
    assert frames_of(frame.encode() * 2) == [frame, frame]


def test_a_third_header_byte_and_a_wrong_length_are_skipped():
    good = encode(Command.GET_ANGLES)
    assert frames_of(b"\xfe" + good) == frames_of(good)
    assert frames_of(bytes.fromhex("fe fe 7f 20") + good) == frames_of(good)
    assert frames_of(bytes.fromhex("fe fe 01 20 fa") + good) == frames_of(good)


def test_a_torn_frame_hides_no_other_for_long():
    torn, good = MOVE[:9], encode(Command.GET_ANGLES)
    parser = FrameParser()
    assert parser.feed(torn + good) == [] and parser.is_waiting
    assert parser.flush() == [Frame(Command.GET_ANGLES)] and not parser.is_waiting
    assert parser.feed(good) == [Frame(Command.GET_ANGLES)]


def test_a_frame_without_its_end_is_none():
    broken = bytearray(MOVE)
    broken[-1] = 0x00
    assert frames_of(bytes(broken) + encode(Command.IS_MOVING)) == [Frame(Command.IS_MOVING)]
