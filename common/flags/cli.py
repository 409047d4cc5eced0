"""Command lines: a config dataclass is the list of a script's flags, and errors end in one clear line."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from common.commands import command_line
from common.flags.flag_json import flags_as_json
from common.flags.flag_values import MOST_SEED as MOST_SEED
from common.flags.flag_values import Flag, Kind, Rule, shown
from common.flags.flag_values import check as check
from common.flags.flag_values import flags_of_type as flags_of_type

Config = TypeVar("Config")


def flag(default: Any, help: str, choices: Sequence[Any] | None = None, **rule: Any) -> Any:
    """A dataclass field that is also the flag `--<name>`.

    Args:
        default: the value if the flag is not given.
        help: a noun phrase; if a required flag is missing, the error asks for its first part.
        choices: all allowed values.
        rule: the other fields of `flag_values.Rule`: least, most, above, below, required, distinct, group,
            alias, name, bare. For a tuple or dict, they hold for each item.
    """
    return dataclasses.field(default=default, metadata={"rule": Rule(help, choices, **rule)})


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations (a new flag breaks no script) and whose errors are one line."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", HelpFormatter)
        super().__init__(**options, allow_abbrev=False)
        self.flags: dict[str, Flag] = {}  # by name, and by alias
        self._titled: dict[str, Any] = {}
        self._negative_number_matcher = re.compile(r"-(\.?[0-9]|inf|nan)")  # argparse's own lacks -1e-5

    def titled(self, title: str) -> Any:
        """The group of flags under a title."""
        if title and title not in self._titled:
            self._titled[title] = self.add_argument_group(title)
        return self._titled.get(title, self)

    def print_help(self, file: Any = None) -> None:
        """Print the help; `ACT_HELP=json` prints the flags for a program (`flag_json`) instead."""
        if os.environ.get("ACT_HELP") == "json":
            print(json.dumps(flags_as_json(self)))
        else:
            super().print_help(file)

    def format_help(self) -> str:
        """The help; its usage line names required flags only."""
        needed = "".join(
            f" --{name} {_metavar(each)}"
            for name, each in self.flags.items()
            if each.rule.required and name == each.name
        )
        command = " COMMAND" if self._subparsers else ""
        self.usage = command_line(f"{self.prog}{command}{needed} [options]")
        return super().format_help()

    def error(self, message: str) -> Any:
        """End with exit status 2."""
        named = re.fullmatch(r"argument (\S+): (is )?(.*)", message, re.DOTALL)
        if named:
            message = f"{named[1]} is {named[3]}" if named[2] else f"{named[1]}: {named[3]}"
        self.exit(2, f"error: {message}\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse; refuses a flag given under both its name and its alias."""
        spellings = spelt(sys.argv[1:] if args is None else args)
        for each in self.flags.values():
            if {each.name, each.rule.alias} <= spellings:
                self.error(f"--{each.name} and --{each.rule.alias} are one flag; give one of them")
        return super().parse_known_args(args, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse; the error for an unknown flag suggests the nearest one."""
        parsed, extra = self.parse_known_args(args, namespace)
        if extra:
            word = extra[0].partition("=")[0]
            near = difflib.get_close_matches(word, _options(self), n=1)
            hint = f"; did you mean {near[0]}?" if near else "; --help lists all"
            if word in near:
                hint = ", but of another; --help after its name lists its own"
            is_flag = word.startswith("-")
            problem = "is no flag of this command" if is_flag else "is one word too many"
            self.error(f"{shown(word)} {problem}{hint}")
        return parsed


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Shows defaults as one would type them, but no None or False; shows switches without a value."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        if default is None or default is False or default == argparse.SUPPRESS:
            return action.help
        text = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        return f"{action.help} (default: {text.replace('%', '%%')})"

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        is_switch = action.nargs == "?" and action.metavar is None
        return "" if is_switch else super()._format_args(action, default_metavar)


def spelt(words: Sequence[str]) -> set[str]:
    """Names of the flags in the words of a command line."""
    return {word.partition("=")[0][2:] for word in words if word.startswith("--")}


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """All flags of a parser and of its sub-commands."""
    options = list(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            options += [name for below in action.choices.values() for name in _options(below)]
    return options


def make_parser(description: str, titles: Sequence[str] = ()) -> Parser:
    """A parser whose `--help` begins with a docstring's first line and ends with the commands in it.

    Groups of flags come in the order of `titles`, then the others.
    """
    examples = re.findall(r"^ *(python3 .*(?:\\\n.*)*)$", description, re.MULTILINE)
    script = re.match(r"python3 (\S+\.py)", examples[0]) if examples else None
    lines = (command_line(re.sub(" +", " ", example).removeprefix("python3 ")) for example in examples)
    epilog = "\n".join(f"  {line}" for line in lines)
    parser = Parser(
        prog=script[1] if script else None,
        description=description.strip().splitlines()[0],
        epilog=f"examples:\n{epilog}" if examples else None,
    )
    for title in titles:
        parser.titled(title)
    return parser


def add_parser(subparsers: Any, name: str, description: str, example: str = "") -> Parser:
    """A parser for a sub-command."""
    epilog = f"example:\n  {example}" if example else None
    return subparsers.add_parser(name, help=description, description=description, epilog=epilog)


class _Named(argparse.Action):
    """Makes a dict from words `name=value`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, words: Any, option: Any = None
    ) -> None:
        named = dict(words)
        if len(named) < len(words):
            parser.error(f"argument {option}: a name is given twice; give each once")
        setattr(namespace, self.dest, named)


def _item_parser(each: Flag) -> Callable[[str], Any]:
    """argparse's `type` of a flag: turns a word into an item."""

    def parse_word(word: str) -> Any:
        try:
            return each.parse(word)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"is {shown(word)}; {error}") from None

    return parse_word


def _named_item_parser(kind: Kind) -> tuple[Callable[[str], Any], str]:
    """argparse's `type` and `metavar` of a dict flag: turns a word into (name, value)."""
    form = "NAME=" + ",".join([kind.item.__name__.upper()] * (kind.count or 1))

    def parse_word(word: str) -> tuple[str, Any]:
        name, _, text = word.partition("=")
        values = text.split(",")
        try:
            items = tuple(map(kind.parse, values)) if name and len(values) == (kind.count or 1) else ()
        except ValueError:
            items = ()
        if not items:
            raise argparse.ArgumentTypeError(f"is {shown(word)}; it must be of the form {form}")
        return name, items if kind.count else items[0]

    return parse_word, form


def _argument(each: Flag) -> dict[str, Any]:
    """argparse's options for a flag."""
    kind, rule = each.kind, each.rule
    needed = " (required)" if rule.required else ""
    options: dict[str, Any] = {"default": each.default, "help": f"{rule.help}{needed}"}
    if kind.form is dict:
        parse_word, form = _named_item_parser(kind)
        return {**options, "type": parse_word, "nargs": "+", "action": _Named, "metavar": form}
    options["type"] = _item_parser(each)
    if kind.form is tuple:
        return {**options, "nargs": kind.count or "+", "metavar": _metavar(each)}
    if kind.item is bool:
        return {**options, "nargs": "?", "const": True}
    without_value = {"nargs": "?", "const": rule.bare} if rule.bare else {}
    return {**options, **without_value, "metavar": _metavar(each)}


def _metavar(each: Flag) -> str:
    choices = each.rule.choices
    return f"{{{','.join(map(str, choices))}}}" if choices else each.name.upper()


def add_flags(parser: Parser, config: type, title: str | None = None) -> None:
    """Add a flag for each field made by `flag`; a field that two configs inherit from one class is one flag.

    `--help` lists them under `title`, or else under the field's group or the TITLE of its class.
    """
    for each in flags_of_type(config):
        if each.name in parser.flags and parser.flags[each.name].rule is each.rule:
            continue
        names = [each.name, *filter(None, [each.rule.alias])]
        parser.flags.update(dict.fromkeys(names, each))
        words = [f"--{name}" for name in names]
        parser.titled(title or each.title).add_argument(*words, dest=each.name, **_argument(each))


def from_flags(config: type[Config], args: argparse.Namespace, **others: Any) -> Config:
    """Build the dataclass from parsed flags; `others` sets fields that are no flags.

    ValueError if a required flag is missing or a value has the wrong type or range; and whatever the
    dataclass's own `check`, if any, raises.
    """
    names = {each.field: each.name for each in flags_of_type(config)}
    names = {f.name: names.get(f.name, f.name) for f in dataclasses.fields(config)}
    values = {field: getattr(args, name) for field, name in names.items() if hasattr(args, name)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    values.update(others)
    for each in flags_of_type(config):
        if problem := each.problem(values.get(each.field, each.default)):
            raise ValueError(problem)
    built = config(**values)
    if hasattr(built, "check"):
        built.check()
    return built


def parse(config: type[Config], description: str, argv: Sequence[str] | None = None) -> Config:
    """Parse the flags of a script with one config; `description` is the script's docstring."""
    parser = make_parser(description)
    add_flags(parser, config)
    return from_flags(config, parser.parse_args(argv))


def flags_of(config: Any) -> dict[str, Any]:
    """The value of each flag."""
    return {each.name: getattr(config, each.field) for each in flags_of_type(config)}


def read_flags(path: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """Flags by name from a JSON file; ValueError if it holds none."""
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder, not a JSON file of flags; a run's is its config.json")
    try:
        with open(path, encoding="utf-8-sig") as file:  # Notepad may write its mark
            flags = json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file of flags ({error})") from None
    if not isinstance(flags, dict):
        raise ValueError(f"{path} is not a JSON file of flags; it must hold an object, name to value")
    return {name: value for name, value in flags.items() if name not in without}


def set_defaults(parser: Parser, flags: dict[str, Any], path: str | None) -> None:
    """Make flags from a JSON file the parser's defaults; ValueError for an unknown flag, or for a value that
    the command line would refuse.
    """
    defaults: dict[str, Any] = {}
    for name, value in flags.items():
        if name not in parser.flags:
            near = difflib.get_close_matches(name, parser.flags, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"{path} has the flag {name!r}; {hint}this script has {', '.join(parser.flags)}")
        each = parser.flags[name]
        value = each.from_json(value)
        if value is None and not each.kind.optional:
            raise ValueError(f"{path}: --{name} is null; it must be {each.kind.text}")
        if value is not None and (problem := each.problem(value)):
            raise ValueError(f"{path}: {problem}")
        if each.name in defaults:
            raise ValueError(f"{path} has --{each.name} in two spellings; give one of them")
        defaults[each.name] = value
    parser.set_defaults(**defaults)


def read_config(config: type[Config], path: Path, **others: Any) -> Config:
    """Read the dataclass from a JSON file, which may hold more flags; errors as in `set_defaults`."""
    parser = Parser()
    add_flags(parser, config)
    flags = {name: value for name, value in read_flags(str(path)).items() if name in parser.flags}
    set_defaults(parser, flags | others, str(path))
    return from_flags(config, parser.parse_args([]))


def run(main: Callable[[], None]) -> None:
    """Run a script; an error ends it in one line, with exit status 1.

    `ACT_TRACEBACK=1` shows the traceback instead.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold bytes that are no characters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would hit the interpreter's exit
        raise SystemExit(130) from None
    except Exception as error:
        if os.environ.get("ACT_TRACEBACK"):
            raise
        raise SystemExit(f"error: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    """An error in one line: its text, and its type too if the text is not meant for the user."""
    text = " ".join(filter(None, map(str.strip, str(error).splitlines())))
    is_meant = isinstance(error, (ValueError, OSError, RuntimeError, ImportError))
    if text and is_meant and not isinstance(error, RecursionError):
        return text
    return f"{type(error).__name__}{': ' if text else ''}{text} (ACT_TRACEBACK=1 shows where)"
