"""What files and messages hold of an actor, as plain values, checked value by value."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from actors.actor import Traits
from actors.interface import Interface
from episodes import View

MOST_PIXELS = 16384  # of a side of a picture


def described(value: Any) -> str:
    """A value from a file, for a message: always short."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        text = ascii(value)
        return text if len(text) <= 60 else f"{text[:60]}..."
    return f"a {type(value).__name__}"


def stored_values(config: type, values: Any, where: str) -> dict[str, Any]:
    """Stored values of a dataclass's fields, checked.

    Args:
        config: the dataclass, e.g. a policy's `Config`.
        values: as the file has them.
        where: what a message calls them, e.g. "runs/a/policy_best.ckpt: its config".

    Raises:
        ValueError: a field is missing, unknown here, or has a value of another type.
    """
    if not isinstance(values, Mapping) or any(type(name) is not str for name in values):
        raise ValueError(f"{where} is {described(values)}; it should be a dict of values by name")
    hints = typing.get_type_hints(config)
    fields = {field.name: field for field in dataclasses.fields(config)}
    for name in values:
        if name not in fields:
            raise ValueError(
                f"{where} has {described(name)}, which this version does not know; another version wrote it"
            )
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where} lacks {name!r}")
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{where} has {name} {described(value)}; it should be {_words(hints[name])}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a stored value is of a type hint; numbers must be finite."""
    if isinstance(hint, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        hints = inner[:1] * len(value) if isinstance(value, list | tuple) and inner[-1] is Ellipsis else inner
        return isinstance(value, list | tuple) and len(value) == len(hints) and all(map(_fits, value, hints))
    if origin is dict:
        return isinstance(value, Mapping) and all(type(name) is str for name in value)
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is hint


def _words(hint: Any) -> str:
    """A type hint in words."""
    if isinstance(hint, types.UnionType):
        return " or ".join(_words(option) for option in typing.get_args(hint))
    names = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}
    names[type(None)] = "nothing"
    if typing.get_origin(hint) is tuple:
        item, *rest = typing.get_args(hint)
        count = "a row of" if rest == [Ellipsis] else f"{1 + len(rest)} values, each"
        return f"{count} {_words(item)}"
    return names.get(hint, "a dict of values by name")


def stored_interface(values: Any, where: str) -> Interface:
    """What a policy is connected to, as it was stored; ValueError if it is not sound."""
    values = stored_values(Interface, values, where)
    for camera, view in values.get("views", {}).items():
        stored_values(View, view, f"{where}, view of {described(camera)}")
    interface = Interface.from_plain(values)
    cameras, sides = interface.cameras, interface.image_size
    for name, is_sound, wanted in (
        ("state_dim", interface.state_dim >= 1, "at least 1"),
        ("action_dim", interface.action_dim >= 1, "at least 1"),
        ("cameras", len(set(cameras)) == len(cameras) > 0, "one name or more, each once"),
        ("image_size", all(1 <= side <= MOST_PIXELS for side in sides), f"1 to {MOST_PIXELS} pixels a side"),
        ("fps", interface.fps >= 0, "0 (not known) or more"),
        ("episode_len", interface.episode_len >= 0, "0 (not known) or more"),
        *(
            (
                name,
                _is_limit(getattr(interface, name), interface.action_dim),
                "a number of 0 or more for each action",
            )
            for name in ("velocity", "acceleration")
        ),
    ):
        if not is_sound:
            shown = (
                " ".join(map(described, values[name])) if isinstance(values[name], tuple) else values[name]
            )
            raise ValueError(f"{where} has {name} {shown or 'none'}; it should be {wanted}")
    return interface


def _is_limit(values: tuple[float, ...], action_dim: int) -> bool:
    """Whether each action has a limit, or none has."""
    return len(values) in (0, action_dim) and all(value >= 0 for value in values)


def stored_traits(values: Any, interface: Interface, where: str) -> Traits:
    """How an actor with that interface is asked, as it was stored; ValueError if it is not sound."""
    traits = Traits(**stored_values(Traits, values, where))
    chunk, executed = traits.chunk_size, traits.execution_horizon
    counts = ("chunk_size", "execution_horizon", "observation_horizon")
    wide = {"qpos_mean": interface.state_dim}
    wide |= dict.fromkeys(("action_std", "action_min", "action_max"), interface.action_dim)
    for name in counts:
        if getattr(traits, name) < 1:
            raise ValueError(f"{where} has {name} {getattr(traits, name)}; it should be at least 1")
    if executed > chunk:
        raise ValueError(f"{where} has execution_horizon {executed}; it should be at most {chunk}")
    for name, width in wide.items():
        if len(getattr(traits, name)) != width:
            raise ValueError(
                f"{where} has {len(getattr(traits, name))} numbers in {name}; it should be {width}"
            )
    return traits
