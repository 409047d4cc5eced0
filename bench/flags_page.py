"""docs/flags.md: the flags of every script, as `--help` has them.

python3 -m bench.flags_page
"""

from __future__ import annotations

import argparse
import importlib
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

from common import Flag, cli
from edit_episodes import COMMANDS
from policies import POLICIES

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "flags.md"
INTRODUCTION = """\
# Flags

All flags of all scripts. `python3 -m bench.flags_page` makes this page from the scripts, and a test compares
it with them. A switch takes no value; `false` after it turns off one that a preset (`--config`) has.
"""
WIDTH = 119  # columns


class _HelpAsked(Exception):
    """The parser that was asked for its help."""


def parser_of(script: str, *words: str) -> cli.Parser:
    """The parser that a script (`folder/name`) makes for a command line that begins with `words`."""

    def note(parser: cli.Parser) -> None:
        raise _HelpAsked(parser)

    with mock.patch.object(cli.Parser, "print_help", note):
        try:
            importlib.import_module(script.replace("/", ".")).parse_flags([*words, "--help"])
        except _HelpAsked as asked:
            return asked.args[0]
    raise ValueError(f"{script} has no help")


def scripts() -> list[str]:
    """All scripts, as `folder/name`; those of the arm last."""
    paths = [*sorted(ROOT.glob("*.py")), *sorted(ROOT.glob("mycobot_scripts/*.py"))]
    names = [path for path in paths if "cli.run(" in path.read_text(encoding="utf-8")]
    return [path.relative_to(ROOT).with_suffix("").as_posix() for path in names]


def groups_of(parser: cli.Parser) -> Iterator[tuple[str, list[argparse.Action]]]:
    """Title and flags of each group, as `--help` has them."""
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.dest in parser.flags]
        if actions:
            yield "" if group.title == "options" else group.title, actions


def entry(flag: Flag, default: object) -> str:
    """A flag as an entry of a list."""
    rule = flag.rule
    names = " or ".join(f"`--{name}`" for name in (flag.name, rule.alias) if name)
    facts = [f"one of {', '.join(map(str, rule.choices))}"] if rule.choices else []
    facts += [f"without a value {rule.bare}"] if rule.bare else []
    facts += ["required"] if rule.required else []
    if not (default is None or default is False or default == ()):
        facts.append(f"default {' '.join(map(str, default)) if isinstance(default, tuple) else default}")
    text = f"- {names}: {rule.help}" + (f" ({'; '.join(facts)})" if facts else "")
    text = text.replace("<", "\\<")  # which would begin HTML
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def listed(parser: cli.Parser, actions: Sequence[argparse.Action]) -> str:
    """A group of flags as a list."""
    return "\n".join(entry(parser.flags[a.dest], parser.get_default(a.dest)) for a in actions)


class FlagsPage:
    """The page as it grows; a group of flags that several scripts have is listed once."""

    def __init__(self) -> None:
        self.parts = [INTRODUCTION]
        self._places: dict[str, str] = {}  # heading under which a list stands

    def add(self, heading: str, parser: cli.Parser) -> None:
        """A script, or a command of one."""
        self.parts.append(f"{heading}\n\n{parser.description[0].upper()}{parser.description[1:]}\n")
        for title, actions in groups_of(parser):
            self.add_list(heading.lstrip("# "), title, listed(parser, actions))

    def add_list(self, heading: str, title: str, text: str) -> None:
        """A group of flags, or where it is listed already."""
        place = self._places.setdefault(text, heading)
        if title:
            reference = "" if place == heading else f", as of [{place}](#{anchor(place)})"
            self.parts.append(f"**{title[0].upper()}{title[1:]}**{reference}\n")
        if place == heading or not title:
            self.parts.append(f"{text}\n")


def anchor(heading: str) -> str:
    """GitHub's name for a heading."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def page() -> str:
    """The whole page."""
    made = FlagsPage()
    names = [f"{script}.py" for script in scripts()]
    made.parts += [textwrap.fill(" · ".join(f"[{name}](#{anchor(name)})" for name in names), WIDTH) + "\n"]
    for script in scripts():
        heading = f"## {script}.py"
        if script == "edit_episodes":
            made.parts.append(f"{heading}\n\nEach of its commands has flags of its own.\n")
            for name in COMMANDS:
                made.add(f"### {script}.py {name}", parser_of(script, name))
            continue
        made.add(heading, parser_of(script))
        if script == "imitate_episodes":
            for name in [name for name in POLICIES if name != "ACT"]:
                add_policy(made, name, parser_of(script, "--policy_class", name))
    return "\n".join(made.parts)


def add_policy(made: FlagsPage, name: str, parser: cli.Parser) -> None:
    """The differences in training with a policy other than ACT."""
    title = f"policy {name}"
    made.parts.append(f"### --policy_class {name}\n")
    defaults = {flag: parser.get_default(flag) for flag in POLICIES.config(name).training_defaults}
    if defaults:
        words = " ".join(f"--{flag} {value}" for flag, value in defaults.items())
        made.parts.append(f"Its defaults of training: `{words}`.\n")
    (actions,) = (actions for each, actions in groups_of(parser) if each == title)
    made.add_list(title, title, listed(parser, actions))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
