"""Command lines: a config dataclass is the list of a script's flags, and errors end in one clear line."""

from __future__ import annotations

import argparse
import dataclasses
import os
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Config = TypeVar("Config")


def flag(default: Any, help: str, choices: Sequence[Any] | None = None) -> Any:
    """A dataclass field that is also the flag `--<name>`."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def make_parser(description: str) -> argparse.ArgumentParser:
    """A parser whose `--help` shows every default. It takes no abbreviations: a new flag breaks no script."""
    first_line = description.strip().splitlines()[0]
    return argparse.ArgumentParser(
        description=first_line, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )


def _value_type(hint: Any) -> tuple[Any, str | int | None]:
    """(type of one value, nargs) of a field's type hint: T, T | None, tuple[T, ...] or tuple[T, T]."""
    if isinstance(hint, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if typing.get_origin(hint) is not tuple:
        return hint, None
    item, *rest = typing.get_args(hint)
    return item, "+" if rest == [Ellipsis] else 1 + len(rest)


def add_flags(parser: argparse.ArgumentParser, config: type, title: str | None = None) -> None:
    """Add one flag for each field of a dataclass that was made by `flag`."""
    group = parser.add_argument_group(title) if title else parser
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if "help" not in field.metadata:
            continue
        name, text = f"--{field.name}", field.metadata["help"]
        if hints[field.name] is bool:
            group.add_argument(name, action="store_true", help=text)
            continue
        value_type, nargs = _value_type(hints[field.name])
        choices = field.metadata["choices"]
        group.add_argument(
            name, type=value_type, nargs=nargs, default=field.default, choices=choices, help=text
        )


def from_flags(config: type[Config], args: argparse.Namespace, **others: Any) -> Config:
    """Build the dataclass from parsed flags; `others` sets fields that are no flags."""
    values = {f.name: getattr(args, f.name) for f in dataclasses.fields(config) if hasattr(args, f.name)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return config(**{**values, **others})


def run(main: Callable[[], None]) -> None:
    """Run a script; what the user can mend ends it in one line and exit status 1.

    `ACT_TRACEBACK=1` shows where it came from.
    """
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if os.environ.get("ACT_TRACEBACK"):
            raise
        raise SystemExit(f"error: {error}") from None
