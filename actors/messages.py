"""Messages between an actor and who asks it from another machine: plain values, and arrays as their bytes.

    4 bytes        length of the head, big-endian
    head           JSON: {"values": {...}, "arrays": [[name, dtype, shape], ...]}
    arrays         their bytes one after the other, in C order, little-endian

Nothing in a message is code, and nothing is allocated that it does not hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

PROTOCOL = 1  # version of the messages; raised when an older program would misread them
CONTENT_TYPE = "application/x-act-message"
GREET, ACT = "greet", "act"  # what is asked
MOST_BYTES = 16_000_000  # of a message
DTYPES = ("<f4", "<f8", "|u1")
MOST_ARRAYS, MOST_DIMENSIONS = 1000, 8


def pack(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> bytes:
    """A message; ValueError for an array of a type that none has."""
    arrays = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    described = [[name, _dtype(array), array.shape] for name, array in arrays.items()]
    head = json.dumps({"values": dict(values), "arrays": described}).encode()
    return b"".join([len(head).to_bytes(4, "big"), head, *(array.tobytes() for array in arrays.values())])


def _dtype(array: np.ndarray) -> str:
    name = array.dtype.newbyteorder("<").str
    if name not in DTYPES:
        raise ValueError(f"a message holds no array of {array.dtype}")
    return name


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Values and arrays, which cannot be written to; ValueError for what is no message."""
    length = int.from_bytes(message[:4], "big")
    if len(message) < 4 + length:
        raise ValueError("a message breaks off in its head")
    head = json.loads(message[4 : 4 + length])
    if not isinstance(head, dict) or not isinstance(head.get("values"), dict):
        raise ValueError("a message's head has no values")
    described = head.get("arrays")
    if not isinstance(described, list) or len(described) > MOST_ARRAYS:
        raise ValueError(f"a message's head must list its arrays, {MOST_ARRAYS} at most")
    arrays: dict[str, np.ndarray] = {}
    at = 4 + length
    for each in described:
        name, dtype, shape = _described(each)
        size = math.prod(shape) * dtype.itemsize
        if size > len(message) - at:
            raise ValueError(f"a message breaks off in its array {name[:60]!r}")
        arrays[name] = np.frombuffer(message, dtype, math.prod(shape), at).reshape(shape)
        at += size
    if at != len(message):
        raise ValueError(f"a message has {len(message) - at} bytes too many")
    return head["values"], arrays


def _described(each: Any) -> tuple[str, np.dtype, list[int]]:
    """Name, type and shape of an array."""
    if not isinstance(each, list) or len(each) != 3:
        raise ValueError("each array of a message has a name, a type and a shape")
    name, dtype, shape = each
    if not isinstance(name, str) or dtype not in DTYPES:
        raise ValueError(f"an array of a message has a name, and one of the types {', '.join(DTYPES)}")
    is_list = isinstance(shape, list) and len(shape) <= MOST_DIMENSIONS
    if not is_list or not all(type(n) is int and 0 <= n <= MOST_BYTES for n in shape):
        raise ValueError(f"the shape of a message's array {name[:60]!r} is no list of sizes")
    return name, np.dtype(dtype), shape
