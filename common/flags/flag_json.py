"""Flags as JSON: a script tells its flags to a program (`ACT_HELP=json python3 SCRIPT.py --help`), which
then knows what each of them may be without loading the script.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.flags.flag_values import Flag, Kind, Rule, is_number

_ITEMS = {item.__name__: item for item in (bool, int, float, str, Path)}
_FORMS = {form.__name__: form for form in (tuple, dict)}


def flags_as_json(parser: Any) -> dict[str, Any]:
    """All flags of a `cli.Parser`, with the defaults that it has now."""
    flags = []
    for group in parser._action_groups:
        title = "" if group.title == "options" else group.title
        for action in group._group_actions:
            if action.dest in parser.flags:
                flags.append(_told(parser.flags[action.dest], title, parser, action))
    return {"description": parser.description, "flags": flags}


def _told(flag: Flag, title: str, parser: Any, action: argparse.Action) -> dict[str, Any]:
    kind, default = flag.kind, parser.get_default(action.dest)
    return {
        "name": flag.name,
        "title": title,
        "item": kind.item.__name__,
        "form": kind.form and kind.form.__name__,
        "count": kind.count,
        "optional": kind.optional,
        "default": str(default) if isinstance(default, Path) else default,
        "shown": _words_of(default),
        "rule": {**dataclasses.asdict(flag.rule), "choices": flag.rule.choices and list(flag.rule.choices)},
    }


def _words_of(default: Any) -> str:
    """A default as a person would type it; "" for none."""
    if default is None or isinstance(default, bool) or default == ():
        return ""
    if isinstance(default, dict):
        return " ".join(f"{name}={value}" for name, value in default.items())
    return " ".join(map(str, default)) if isinstance(default, (tuple, list)) else str(default)


@dataclass(frozen=True)
class ToldFlag:
    """A flag as its script told it, and what a person typed for it made into words of a command line."""

    flag: Flag
    title: str
    default: Any

    @property
    def is_switch(self) -> bool:
        return self.flag.kind.item is bool and self.flag.kind.form is None

    def words(self, value: bool | Sequence[str]) -> list[str]:
        """The words that give it a value: true or false for a switch, one text for each item otherwise.

        Raises:
            ValueError: the script would refuse it; the message is the one that the script has.
        """
        name, kind = f"--{self.flag.name}", self.flag.kind
        if self.is_switch:
            if not isinstance(value, bool):
                raise ValueError(f"{name} is {value!r:.60}; it must be true or false")
            return [] if value == bool(self.default) else [name] if value else [name, "false"]
        texts = list(value) if isinstance(value, (list, tuple)) else [value]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{name} is {value!r:.60}; it must be {kind.text}")
        for text in texts:
            if text.startswith("-") and not is_number(text):
                raise ValueError(f"{name} is {text!r:.60}; it must not begin with a dash")
        if problem := self._problem(texts):
            raise ValueError(problem)
        return [name, *texts]

    def _problem(self, texts: Sequence[str]) -> str | None:
        flag, name = self.flag, f"--{self.flag.name}"
        if flag.kind.form is dict:
            return None if all("=" in text for text in texts) else f"{name} needs words NAME=VALUE"
        items = []
        for text in texts:
            try:
                items.append(flag.parse(text))
            except ValueError as error:
                return f"{name} is {text!r:.60}; {error}"
        if flag.kind.form is None and len(items) > 1:
            return f"{name} is {' '.join(texts)!r:.60}; it must be one value"
        return flag.problem(tuple(items) if flag.kind.form is tuple else items[0])


def told_flags(told: dict[str, Any]) -> dict[str, ToldFlag]:
    """The flags, by name, that a script told with `ACT_HELP=json`."""
    flags = {}
    for one in told["flags"]:
        kind = Kind(_ITEMS[one["item"]], _FORMS.get(one["form"]), one["count"], one["optional"])
        rule = Rule(**one["rule"])
        flag = Flag(one["name"], one["name"], kind, rule, one["default"], one["title"])
        flags[one["name"]] = ToldFlag(flag, one["title"], one["default"])
    return flags
