"""Dataclasses from plain values, as JSON has them: each is checked against the type that its field states."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

Data = TypeVar("Data")
MAX_INT = 2**63 - 1  # no count, step or seed is larger
SHOWN = 60  # characters of a value in a message


def from_plain(kind: type[Data], content: Any, where: str = "") -> Data:
    """Build a dataclass from a mapping; entries that are no fields are ignored.

    Args:
        kind: the dataclass; its fields are bool, int, float, str, or tuples, dicts (with names) or
            dataclasses of them, each or None.
        content: the mapping.
        where: its name in messages.

    Raises:
        ValueError: a field without a default is missing, or a value is of another type or not finite.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{where or 'it'} is {_short(content)}; it must be an object, name to value")
    hints, values = typing.get_type_hints(kind), {}
    for field in dataclasses.fields(kind):
        name = f"{where}.{field.name}" if where else field.name
        if field.name in content:
            values[field.name] = _checked(hints[field.name], content[field.name], name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{name} is missing")
    return kind(**values)


def _checked(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`."""
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = (option for option in typing.get_args(hint) if option is not type(None))
    if dataclasses.is_dataclass(hint):
        return from_plain(hint, value, where)
    origin, items = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        length = "" if items[-1] is ... else f" of {len(items)}"
        if not isinstance(value, list | tuple) or (length and len(value) != len(items)):
            raise ValueError(f"{where} is {_short(value)}; it must be a list{length}")
        return tuple(_checked(items[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is {_short(value)}; it must be an object, name to value")
        return {str(name): _checked(items[1], item, f"{where}.{name}") for name, item in value.items()}
    return _checked_scalar(hint, value, where)


def _checked_scalar(hint: type, value: Any, where: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number and abs(value) <= MAX_INT and math.isfinite(value):
        return float(value)
    if hint is int and is_number and abs(value) <= MAX_INT and value == int(value):
        return int(value)
    if hint in (bool, str) and isinstance(value, hint):
        return value
    names = {float: "a finite number", int: "a whole number", bool: "true or false", str: "text"}
    raise ValueError(f"{where} is {_short(value)}; it must be {names[hint]}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
