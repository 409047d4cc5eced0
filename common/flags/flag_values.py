"""Which values a flag may have, checked in one place, whether they come from words, JSON or code.

A flag's type is the type hint of its dataclass field: bool, int, float, str or Path, or a tuple or a dict of
them; or None. Its range and choices are the field's `Rule`; for a tuple or dict they hold for each item.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST = 10**9  # either way, for flags without a range: larger numbers overflow, or never end
MOST_SEED = 2**63 - 1  # of NumPy, PyTorch and HDF5 alike
SHOWN = 60  # characters of a value that a message repeats at most
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
_INT, _FLOAT = re.compile(r"[+-]?[0-9]+"), re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """What a flag means, and which values it may have. No number may be NaN or infinite."""

    help: str
    choices: Sequence[Any] | None = None
    least: float | None = None
    most: float | None = None
    above: float | None = None  # like `least`, but the number itself is not allowed
    below: float | None = None
    required: bool = False
    distinct: bool = False  # no item of a tuple may come twice
    group: str = ""  # title under which `--help` lists it
    alias: str = ""  # another spelling, as ACT or ACT++ have it
    name: str = ""  # of the flag, where it is a word of Python's and no field can have it
    # The value if the flag is given without one. Such a flag was a switch in earlier versions, and in their
    # files: true means this value, false that it is not given.
    bare: str = ""

    def problem(self, value: Any) -> str | None:
        """What is wrong with one item, as the half sentence that follows it; None if nothing."""
        if self.choices is not None:
            return None if value in self.choices else self._not_chosen(value)
        if isinstance(value, (str, Path)):
            return _text_problem(str(value))
        if isinstance(value, bool):
            return None
        if isinstance(value, float) and not math.isfinite(value):
            return f"it must be a finite number{self._range_text(', ', value)}"
        return None if self._holds(value) else f"it must be {self._range_text('', value)}"

    def _holds(self, value: float) -> bool:
        low, high = self.least, self.most
        return (
            value >= (-MOST if low is None else low)
            and value <= (MOST if high is None else high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def _range_text(self, before: str, value: float) -> str:
        """The range in words; MOST is mentioned only if the value is beyond it."""
        if self.least is not None and self.most is not None:
            return f"{before}{_plain(self.least)} to {_plain(self.most)}"
        parts = [f"at least {_plain(self.least)}"] if self.least is not None else []
        parts += [f"above {_plain(self.above)}"] if self.above is not None else []
        parts += [f"below {_plain(self.below)}"] if self.below is not None else []
        most = MOST if self.most is None and self.below is None and value > MOST else self.most
        parts += [f"at most {_plain(most)}"] if most is not None else []
        if not parts and value < -MOST and value != -math.inf:
            parts = [f"at least {-MOST}"]
        return before + " and ".join(parts) if parts else ""

    def _not_chosen(self, value: Any) -> str:
        names = list(map(str, self.choices or ()))
        near = difflib.get_close_matches(str(value), names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{hint}choose from {', '.join(names)}"


def is_number(text: str) -> bool:
    """Whether a text is a number, as `float` reads it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _text_problem(text: str) -> str | None:
    if not text.strip():
        return "it must not be empty"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return "it must not have line ends or other control characters"
    return None


def shown(value: Any) -> str:
    """A value for a message: short, texts in quotation marks."""
    text = repr(str(value) if isinstance(value, Path) else value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


@dataclass(frozen=True)
class Kind:
    """The type of a flag's values, taken apart.

    `form` is tuple or dict, or None for a single value. `count` is the length of the tuple, or of each entry
    of the dict if those are tuples; None for any length, or no tuple.
    """

    item: type
    form: type | None = None
    count: int | None = None
    optional: bool = False

    @classmethod
    def of(cls, hint: Any) -> Kind:
        """From a type hint: T, tuple[T, ...], tuple[T, T], dict[str, T] or dict[str, tuple[T, T]], or any
        of these | None.
        """
        optional = isinstance(hint, types.UnionType)
        if optional:
            hint = next(option for option in typing.get_args(hint) if option is not type(None))
        form = typing.get_origin(hint)
        if form is dict:
            hint = typing.get_args(hint)[1]
        if typing.get_origin(hint) is not tuple:
            return cls(hint, form, None, optional)
        item, *rest = typing.get_args(hint)
        return cls(item, form, None if rest == [Ellipsis] else 1 + len(rest), optional)

    @property
    def text(self) -> str:
        """The type in words."""
        item = WORDS[self.item]
        if self.form is None:
            return item
        several = f"{'several' if self.count is None else self.count} values, each {item}"
        if self.form is tuple:
            return f"a list of {several}"
        return f"names, each with {item if self.count is None else several}"

    def parse(self, word: str) -> Any:
        """One item from a word of the command line; ValueError if it does not fit."""
        if self.item is bool and word.lower() in ("true", "false"):
            return word.lower() == "true"
        if self.item is int and _INT.fullmatch(word) and len(word) < 300:
            return int(word)
        if self.item is float and (_FLOAT.fullmatch(word) or _NOT_FINITE.fullmatch(word)):
            return float(word)
        if self.item in (str, Path):
            return self.item(word) if word else word
        raise ValueError(f"it must be {WORDS[self.item]}")

    def from_json(self, value: Any) -> Any:
        """A JSON value as the flag's type, where that is possible; `problem` reports the rest."""
        if self.item is Path and isinstance(value, str) and value:
            return Path(value)
        if isinstance(value, list):
            return tuple(self.from_json(item) for item in value)
        if isinstance(value, dict):
            return {name: self.from_json(item) for name, item in value.items()}
        return float(value) if self.item is float and type(value) is int and abs(value) < MOST else value

    def holds(self, item: Any) -> bool:
        """Whether one item is of the type."""
        if self.item is Path:
            return isinstance(item, (str, Path))
        if self.item is float:
            return isinstance(item, (int, float)) and not isinstance(item, bool)
        return isinstance(item, self.item) and (self.item is bool or not isinstance(item, bool))

    def problem(self, name: str, value: Any, rule: Rule) -> str | None:
        """What is wrong with a value, as a sentence that names it; None if nothing."""
        wrong_type = f"{name} is {shown(value)}; it must be {self.text}"
        if self.form is None:
            if not self.holds(value):
                return wrong_type
            problem = rule.problem(value)
            return problem and f"{name} is {shown(value)}; {problem}"
        if not isinstance(value, dict if self.form is dict else (tuple, list)):
            return wrong_type
        if self.form is tuple:
            return self._problem_of_items(name, value, rule) or (
                f"{name} has {shown(_twice(value))} twice; give each once"
                if rule.distinct and len(set(value)) < len(value)
                else None
            )
        for key, entry in value.items():
            entry_kind = dataclasses.replace(self, form=None if self.count is None else tuple)
            problem = _text_problem(key) and f"{name} has a name that is {shown(key)}; it must not be empty"
            problem = problem or entry_kind.problem(f"{name} {key}", entry, rule)
            if problem:
                return problem
        return None if value else f"{name} is empty; give {self.text}"

    def _problem_of_items(self, name: str, items: Sequence[Any], rule: Rule) -> str | None:
        wrong_count = not items if self.count is None else len(items) != self.count
        if wrong_count or not all(map(self.holds, items)):
            return f"{name} is {shown(items)}; it must be {self.text}"
        for item in items:
            if problem := rule.problem(item):
                return f"{name} has {shown(item)}; {problem}"
        return None


def _twice(items: Sequence[Any]) -> Any:
    return next(item for i, item in enumerate(items) if item in items[:i])


@dataclass(frozen=True)
class Flag:
    """A dataclass field that is also the flag `--<name>`."""

    name: str
    field: str  # its name in the dataclass
    kind: Kind
    rule: Rule
    default: Any
    title: str  # of its group in `--help`

    def parse(self, word: str) -> Any:
        """One item from a word of the command line; ValueError if it does not fit."""
        if self.rule.bare and word.lower() in ("true", "false"):
            return self._of_switch(word.lower() == "true")
        return self.kind.parse(word)

    def from_json(self, value: Any) -> Any:
        """A JSON value as the flag's type, where that is possible; `problem` reports the rest."""
        if self.rule.bare and isinstance(value, bool):
            return self._of_switch(value)
        return self.kind.from_json(value)

    def _of_switch(self, is_on: bool) -> str | None:
        return self.rule.bare if is_on else None

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, in one line that names the flag; None if nothing."""
        if value is None and self.rule.required:
            return f"--{self.name} is missing; give the {self.rule.help.partition(';')[0]}"
        if value is None and (self.kind.optional or self.default is None):
            return None
        return self.kind.problem(f"--{self.name}", value, self.rule)


def flags_of_type(config: Any) -> list[Flag]:
    """The flags of a dataclass, or of an instance of it, in the order of its fields."""
    cls = config if isinstance(config, type) else type(config)
    hints, flags = typing.get_type_hints(cls), []
    for field in dataclasses.fields(cls):
        if "rule" in field.metadata:
            rule = field.metadata["rule"]
            title = rule.group or _owner(cls, field.name).__dict__.get("TITLE", "")
            kind = Kind.of(hints[field.name])
            flags.append(Flag(rule.name or field.name, field.name, kind, rule, field.default, title))
    return flags


def _owner(cls: type, name: str) -> type:
    """The class that declares a field: the dataclass itself or one of its bases."""
    return next(base for base in cls.__mro__ if name in base.__dict__.get("__annotations__", {}))


def check(config: Any) -> None:
    """ValueError for the first flag of a dataclass instance whose value is not of its type or range."""
    for each in flags_of_type(config):
        if problem := each.problem(getattr(config, each.field)):
            raise ValueError(problem)
