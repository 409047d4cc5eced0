"""Read damaged and made-up pickles: `python fuzz_pickles.py SEED COUNT`. Run apart: a crash is seen then."""

from __future__ import annotations

import pickle
import pickletools
import random
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.storage import pickles
from common.storage.pickles import read_pickle

MEMORY = 4 * 2**30  # bytes of address space; the interpreter with numpy has a part of it
NAMES = [
    *pickles._NAMES,
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("os", "system"),
    ("numpy", "matrix"),
]
CODES = ["f4", "f8", "i8", "b1", "u1", "O", "O8", "V8", "S4", "U1", "M8", "c16", "i4,O", "f3", ""]


def valid() -> list[bytes]:
    """What ACT and ACT++ write, by every protocol."""
    values = {
        "qpos_mean": np.arange(14, dtype=np.float32),
        "example_qpos": np.asfortranarray(np.ones((5, 14))),
        "action_std": np.array([1, 2], ">f8"),
        "episode_len": np.float64(400),
        "camera_names": ["top", "angle"],
        "policy_config": {"vq": False, "lr": 1e-5, "sizes": (1, 2, (3, None)), "raw": b"\x00\xff"},
    }
    return [pickle.dumps(values, protocol) for protocol in range(6)]


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A pickle with some bytes changed, cut, doubled or put elsewhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place, other = rng.randrange(len(changed)), rng.randrange(len(changed))
        kind = rng.randrange(5)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place] = rng.choice(pickletools.opcodes).code.encode("latin-1")[0]
        elif kind == 2:
            changed[place : place + rng.randrange(1, 9)] = b""
        elif kind == 3:
            changed[place:place] = changed[other : other + rng.randrange(1, 40)]
        else:
            changed[place : place + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\xff" * 4, b"\0" * 4))
        if not changed:
            changed = bytearray(b".")
    return bytes(changed)


def word(text: str) -> bytes:
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def made_up(rng: random.Random) -> bytes:
    """Operations at random, of those that arrays are made by more often."""
    parts = [b"\x80" + bytes([rng.randrange(2, 6)])]
    makers = [
        lambda: word(rng.choice(CODES)),
        lambda: b"".join(map(word, rng.choice(NAMES))) + b"\x93",
        lambda: b"c" + "\n".join((*rng.choice(NAMES), "")).encode(),
        lambda: b"K" + bytes([rng.randrange(9)]),
        lambda: b"J" + rng.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x08\0\0\0")),
        lambda: b"\x8a\x09" + b"\xff" * 8 + b"\x00",
        lambda: b"C\x08" + rng.randbytes(8),
        lambda: rng.choice([b"(", b"t", b"R", b"b", b")", b"]", b"}", b"\x85", b"\x86", b"\x87", b"N", b"0"]),
        lambda: rng.choice([b"\x88", b"\x89", b"a", b"e", b"s", b"u", b"l", b"d", b"2", b"1", b"\x94"]),
        lambda: rng.choice(
            [b"q\x01", b"h\x01", b"h\x00", b"q\x00", b"r\xff\xff\xff\x7f", b"j\xff\xff\xff\x7f"]
        ),
        lambda: (b"\x86" * 3 + b"R") if rng.random() < 0.5 else b"\x87R",
        lambda: (
            word("f4")
            + b"\x89\x88\x87R"
            + b"(K\x03"
            + word("<")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        ),
        lambda: bytes([rng.randrange(256)]),
    ]
    for _ in range(rng.randrange(1, 60)):
        parts.append(rng.choice(makers)())
    return b"".join(parts) + b"."


def look_through(value: object, depth: int = 0) -> int:
    """Touch everything that was read, as far as a user would."""
    if isinstance(value, np.ndarray):
        assert value.dtype.kind in "biuf" and not value.dtype.hasobject
        value.copy()
        return 1
    if depth < 5 and isinstance(value, dict | list | tuple):
        entries = value.values() if isinstance(value, dict) else value
        return sum(look_through(entry, depth + 1) for entry in list(entries)[:50])
    assert value is None or isinstance(value, (bool, int, float, str, bytes, np.generic, dict, list, tuple))
    return 1


def main(seed: int, count: int) -> None:
    rng, whole = random.Random(seed), valid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.pkl"
        for number in range(count):
            data = made_up(rng) if number % 3 == 0 else mutated(rng, rng.choice(whole))
            path.write_bytes(data)
            try:
                look_through(read_pickle(path))
            except ValueError as error:
                assert str(error).startswith(str(path)) and "\n" not in str(error), repr(error)
                refused += 1
    print(f"{count} read, {refused} refused")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
