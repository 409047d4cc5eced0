"""Command lines: a config dataclass is the list of a script's flags, and errors end in one clear line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
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


def add_parser(subparsers: Any, name: str, description: str) -> argparse.ArgumentParser:
    """A parser, as `make_parser` makes them, of a sub-command."""
    return subparsers.add_parser(
        name,
        help=description,
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )


def _present(hint: Any) -> Any:
    """T of a type hint T or T | None."""
    if isinstance(hint, types.UnionType):
        return next(option for option in typing.get_args(hint) if option is not type(None))
    return hint


def _value_type(hint: Any) -> tuple[Any, str | int | None]:
    """(type of one value, nargs) of a type hint T, tuple[T, ...] or tuple[T, T]."""
    if typing.get_origin(hint) is not tuple:
        return hint, None
    item, *rest = typing.get_args(hint)
    return item, "+" if rest == [Ellipsis] else 1 + len(rest)


class _Named(argparse.Action):
    """Makes a dict of words `name=value`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, words: Any, option: Any = None
    ) -> None:
        named = dict(words)
        if len(named) < len(words):
            parser.error(f"argument {option}: a name is given twice; give each once")
        setattr(namespace, self.dest, named)


def _named_flag(hint: Any) -> dict[str, Any]:
    """argparse's options for a type hint dict[str, T] or dict[str, tuple[T, T]]."""
    value_type, count = _value_type(typing.get_args(hint)[1])
    form = "NAME=" + ",".join([value_type.__name__.upper()] * (count or 1))

    def word(text: str) -> tuple[str, Any]:
        name, _, values = text.partition("=")
        try:
            numbers = tuple(map(value_type, values.split(",")))
        except ValueError:
            numbers = ()
        if not name or len(numbers) != (count or 1):
            raise argparse.ArgumentTypeError(f"{text!r} is not of the form {form}")
        return name, numbers if count else numbers[0]

    return {"type": word, "nargs": "+", "action": _Named, "metavar": form}


def add_flags(parser: argparse.ArgumentParser, config: type, title: str | None = None) -> None:
    """Add one flag for each field of a dataclass that was made by `flag`."""
    group = parser.add_argument_group(title) if title else parser
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if "help" not in field.metadata:
            continue
        name, text = f"--{field.name}", field.metadata["help"]
        hint = _present(hints[field.name])
        if hint is bool:
            group.add_argument(name, action="store_true", help=text)
            continue
        if typing.get_origin(hint) is dict:
            group.add_argument(name, default=field.default, help=text, **_named_flag(hint))
            continue
        value_type, nargs = _value_type(hint)
        choices = field.metadata["choices"]
        group.add_argument(
            name, type=value_type, nargs=nargs, default=field.default, choices=choices, help=text
        )


def from_flags(config: type[Config], args: argparse.Namespace, **others: Any) -> Config:
    """Build the dataclass from parsed flags; `others` sets fields that are no flags."""
    values = {f.name: getattr(args, f.name) for f in dataclasses.fields(config) if hasattr(args, f.name)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return config(**{**values, **others})


def flags_of(config: Any) -> dict[str, Any]:
    """The value of each flag."""
    fields = (field for field in dataclasses.fields(config) if "help" in field.metadata)
    return {field.name: getattr(config, field.name) for field in fields}


def read_flags(path: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """Flags by name from a JSON file; ValueError if it is none."""
    try:
        with open(path, encoding="utf-8") as file:
            flags = json.load(file)
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file of flags ({error})") from None
    if not isinstance(flags, dict):
        raise ValueError(f"{path} is no JSON file of flags; it must hold an object, name to value")
    return {name: value for name, value in flags.items() if name not in without}


def set_defaults(parser: argparse.ArgumentParser, flags: dict[str, Any], path: str | None) -> None:
    """Make flags that were read from a file the parser's defaults; ValueError for one that it lacks."""
    known = {action.dest for action in parser._actions}
    unknown = sorted(set(flags) - known)
    if unknown:
        raise ValueError(f"{path} has the flag {unknown[0]!r}; this script has {', '.join(sorted(known))}")
    parser.set_defaults(**flags)


def run(main: Callable[[], None]) -> None:
    """Run a script; what the user can mend ends it in one line and exit status 1.

    `ACT_TRACEBACK=1` shows where it came from.
    """
    try:
        main()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one is enough: a second finds the interpreter leaving
        raise SystemExit(130) from None
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if os.environ.get("ACT_TRACEBACK"):
            raise
        raise SystemExit(f"error: {error}") from None
