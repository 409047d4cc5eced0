"""Read pickles of plain values and numpy arrays without running anything that they ask for.

`pickle.Unpickler` calls the functions that a file names and hands them the file's state. numpy trusts that
state: however strict `find_class` is, a few hundred bytes can make an array of pointers. So this module
carries out the operations itself, only those that plain values need. It calls no function of the file, hands
on no state, and makes arrays of numbers only.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

LARGEST = 256 * 2**20  # bytes of a file; ACT's statistics and settings take kilobytes
MOST_OPERATIONS = 2_000_000
MOST_DIMENSIONS = 32
DEEPEST = 100  # nesting of tuples
CODES = {kind + str(size) for kind, sizes in {"i": (1, 2, 4, 8), "f": (2, 4, 8)}.items() for size in sizes}
CODES |= {"b1"} | {code.replace("i", "u") for code in CODES if code[0] == "i"}
KEYS = (str, int, float, bool, bytes, type(None))  # types whose hash does not recurse


class PickleError(ValueError):
    """A pickle is damaged, or holds more than plain values and numpy arrays."""


@dataclass(frozen=True, slots=True)
class _Name:
    """Stands for a function or class of numpy that the file names."""

    role: str


class _DType:
    """The type of the numbers of an array."""

    def __init__(self, code: Any) -> None:
        if type(code) is not str or code not in CODES:
            raise PickleError(f"it holds an array of {_shown(code)}; only numbers and bools are allowed")
        self.numpy = np.dtype(code)

    def set_state(self, state: tuple) -> None:
        """Only the byte order may change; the parts after it belong to compound types."""
        _, order, *parts = state
        if order not in ("<", ">", "=", "|") or any(part is not None for part in parts[:3]):
            raise PickleError("it holds an array of compound values; only numbers and bools are allowed")
        self.numpy = self.numpy.newbyteorder(order)


class _Array:
    """An array whose shape, type and bytes come later (BUILD)."""

    numpy: np.ndarray | None = None

    def set_state(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, data = state
        self.numpy = _make_array(shape, dtype, data, "F" if is_fortran is True else "C")


class _Arguments(tuple):
    """A tuple with a `_Name` or `_DType` among its entries: for a call, never a value."""


_MARK = object()  # where the entries of a container begin on the stack
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Name("array"),
    ("numpy.core.multiarray", "scalar"): _Name("scalar"),
    ("numpy.core.numeric", "_frombuffer"): _Name("buffer"),
    ("numpy", "ndarray"): _Name("ndarray"),
    ("numpy", "dtype"): _Name("dtype"),
    ("_codecs", "encode"): _Name("bytes"),  # how protocols 0 to 2 write bytes
    ("__builtin__", "bytes"): _Name("empty bytes"),  # and empty ones
}


def read_pickle(path: str | Path) -> Any:
    """Content of a pickle of plain values (None, bool, numbers, text, bytes, lists, tuples, dicts) and numpy
    arrays of numbers, of any protocol and any numpy.

    ValueError, with the file's name, if it is damaged or holds anything else.
    """
    path = Path(path)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is larger than {LARGEST // 2**20} MiB; it is no file of statistics")
    try:
        return _Machine().run(path.read_bytes())
    except OSError:
        raise
    except Exception as error:  # a damaged file can lead to any of them
        reason = str(error) if isinstance(error, PickleError) else "it is no whole pickle"
        raise ValueError(f"{path} cannot be read safely: {reason}") from error


def check_depth(file: bytes | IO[bytes]) -> None:
    """PickleError if a pickle nests tuples more than `DEEPEST` deep; other errors if it is damaged.

    The hash of a tuple that becomes a key recurses into its entries; too deep, it overflows the C stack and
    kills the process. So check a foreign pickle before another library reads it.
    """
    depths: list[int | None] = []  # of what is on the stack; None: a mark
    memo: dict[int, int | None] = {}
    for operation, argument, _ in pickletools.genops(file):
        before, after = operation.stack_before, operation.stack_after
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if argument is None else argument] = depths[-1]
            continue
        if operation.name in ("GET", "BINGET", "LONG_BINGET"):
            depths.append(memo[argument])
            continue
        if pickletools.markobject in before:
            place = next(n for n in reversed(range(len(depths))) if depths[n] is None)
            place -= before.index(pickletools.markobject)
        else:
            place = len(depths) - len(before)
        taken = [depth or 0 for depth in depths[place:]]
        del depths[place:]
        depth = 1 + max(taken, default=0) if operation.name in _DEEPENING else 0
        if depth > DEEPEST:
            raise PickleError(f"it has tuples more than {DEEPEST} deep in each other")
        depths += [None if thing is pickletools.markobject else depth for thing in after]


_DEEPENING = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST")


def _shown(value: Any) -> str:
    """A value of the file, for a message."""
    return repr(value[:60]) if type(value) in (str, bytes) else f"a {type(value).__name__.strip('_')}"


def _make_array(shape: Any, dtype: Any, data: Any, order: str) -> np.ndarray:
    """An array with memory of its own; PickleError unless it has exactly as many bytes as its shape says."""
    if type(data) is str:
        data = data.encode("latin-1")  # of Python 2, whose texts are bytes
    is_sound = type(dtype) is _DType and type(data) in (bytes, bytearray) and type(shape) is tuple
    is_sound = is_sound and len(shape) <= MOST_DIMENSIONS
    if not is_sound or any(type(side) is not int or side < 0 for side in shape):
        raise PickleError("it holds an array of something other than numbers")
    if math.prod(shape) * dtype.numpy.itemsize != len(data):
        raise PickleError(f"it holds an array whose {len(data)} bytes do not fit its shape")
    if not data:
        return np.empty(shape, dtype.numpy)
    return np.frombuffer(bytes(data), dtype.numpy).reshape(shape, order=order).copy(order)


def _value(thing: Any) -> Any:
    """The plain value that a thing on the stack stands for."""
    if type(thing) is _Array:
        thing = thing.numpy
        if thing is None:
            raise PickleError("it holds an array without its numbers")
    if thing is _MARK or type(thing) in (_Name, _DType, _Arguments):
        raise PickleError("it holds names of functions or types; only plain values and arrays are allowed")
    return thing


def _pack(things: list[Any]) -> tuple:
    if any(type(thing) in (_Name, _DType) for thing in things):
        return _Arguments(thing if type(thing) in (_Name, _DType) else _value(thing) for thing in things)
    return tuple(map(_value, things))


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if kind != _NAMES["numpy", "ndarray"]:
        raise PickleError("it asks for an array of a class of its own")
    return _Array()


def _encode(text: str, coding: str) -> bytes:
    if type(text) is not str or coding != "latin1":
        raise PickleError("it asks for bytes in a way that Python does not write")
    return text.encode("latin-1")


_CALLS: dict[str, Callable[..., Any]] = {
    "array": _reconstruct,
    "scalar": lambda dtype, data: _make_array((), dtype, data, "C")[()],
    "buffer": lambda data, dtype, shape, order: _make_array(shape, dtype, data, "F" if order == "F" else "C"),
    "dtype": lambda code, *_: _DType(code),
    "bytes": _encode,
    "empty bytes": lambda: b"",
}


class _Machine:
    """The stack and the memo that a pickle's operations work on."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}  # no list, which an index of 2**31 would make that long

    def run(self, data: bytes) -> Any:
        """Carry out a whole pickle; any exception if it is damaged."""
        for count, (operation, argument, _) in enumerate(pickletools.genops(data)):
            if count > MOST_OPERATIONS:
                raise PickleError(f"it takes more than {MOST_OPERATIONS} operations")
            if operation.name == "STOP":
                return _value(self.stack.pop())
            action = _ACTIONS.get(operation.name)
            if action is None:
                raise PickleError(f"it asks for {operation.name}; only plain values and arrays are allowed")
            action(self, argument)
        raise PickleError("it ends too early")

    def push(self, thing: Any) -> None:
        self.stack.append(thing)

    def take(self, count: int) -> list[Any]:
        """The topmost things, taken away."""
        if len(self.stack) < count:
            raise PickleError("it takes more from the stack than there is")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def take_to_mark(self) -> list[Any]:
        """All things above the last mark, taken away with it."""
        place = next(n for n in reversed(range(len(self.stack))) if self.stack[n] is _MARK)
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def extend(self, things: list[Any]) -> None:
        """Add things to the list on top."""
        if type(self.stack[-1]) is not list:
            raise PickleError("it adds to what is no list")
        self.stack[-1].extend(map(_value, things))

    def set_items(self, things: list[Any]) -> None:
        """Set keys and values, in turn, of the dict on top."""
        target = self.stack[-1]
        if type(target) is not dict or len(things) % 2:
            raise PickleError("it sets entries of what is no dict")
        for key, value in zip(things[::2], things[1::2], strict=True):
            if type(key) not in KEYS:
                raise PickleError(f"it has {_shown(key)} for a key; text and numbers are allowed")
            target[key] = _value(value)

    def make_dict(self) -> None:
        things = self.take_to_mark()
        self.push({})
        self.set_items(things)

    def name(self, module: Any, name: Any) -> None:
        """A function or class by its name; PickleError unless numpy's arrays need it."""
        if type(module) is not str or type(name) is not str:
            raise PickleError("it names a function by what is no text")
        known = _NAMES.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            full_name = ascii(f"{module}.{name}"[:100])[1:-1]
            raise PickleError(f"it asks for {full_name}; only numpy arrays are allowed")
        self.push(known)

    def call(self) -> None:
        """REDUCE, for the functions in `_NAMES` only."""
        function, arguments = self.take(2)
        if type(function) is not _Name or type(arguments) not in (tuple, _Arguments):
            raise PickleError("it calls what is no function")
        self.push(_CALLS[function.role](*arguments))

    def build(self) -> None:
        """BUILD, for arrays and types that this module made only."""
        (state,) = self.take(1)
        if type(self.stack[-1]) not in (_Array, _DType) or type(state) not in (tuple, _Arguments):
            raise PickleError("it sets the state of what is no array")
        self.stack[-1].set_state(state)


def _actions() -> dict[str, Callable[[_Machine, Any], object]]:
    """By name of the operation: what it does with its argument."""
    actions: dict[str, Callable[[_Machine, Any], object]] = {
        "PROTO": lambda machine, _: None,
        "FRAME": lambda machine, _: None,
        "NONE": lambda machine, _: machine.push(None),
        "NEWTRUE": lambda machine, _: machine.push(True),
        "NEWFALSE": lambda machine, _: machine.push(False),
        "EMPTY_LIST": lambda machine, _: machine.push([]),
        "EMPTY_DICT": lambda machine, _: machine.push({}),
        "EMPTY_TUPLE": lambda machine, _: machine.push(()),
        "MARK": lambda machine, _: machine.push(_MARK),
        "POP": lambda machine, _: machine.take(1),
        "POP_MARK": lambda machine, _: machine.take_to_mark(),
        "DUP": lambda machine, _: machine.push(machine.stack[-1]),
        "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
        "TUPLE": lambda machine, _: machine.push(_pack(machine.take_to_mark())),
        "LIST": lambda machine, _: machine.push(list(map(_value, machine.take_to_mark()))),
        "DICT": lambda machine, _: machine.make_dict(),
        "APPEND": lambda machine, _: machine.extend(machine.take(1)),
        "APPENDS": lambda machine, _: machine.extend(machine.take_to_mark()),
        "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
        "SETITEMS": lambda machine, _: machine.set_items(machine.take_to_mark()),
        "GLOBAL": lambda machine, names: machine.name(*names.split(" ", 1)),
        "STACK_GLOBAL": lambda machine, _: machine.name(*machine.take(2)),
        "REDUCE": lambda machine, _: machine.call(),
        "BUILD": lambda machine, _: machine.build(),
    }
    for count in (1, 2, 3):
        actions[f"TUPLE{count}"] = lambda machine, _, n=count: machine.push(_pack(machine.take(n)))
    numbers = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
    texts = (
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
    )
    byte_strings = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
    actions |= dict.fromkeys((*numbers, *texts, *byte_strings), _Machine.push)
    actions["BYTEARRAY8"] = lambda machine, data: machine.push(bytes(data))
    actions |= dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.remember)
    gets = ("GET", "BINGET", "LONG_BINGET")
    return actions | dict.fromkeys(gets, lambda machine, index: machine.push(machine.memo[index]))


_ACTIONS = _actions()
