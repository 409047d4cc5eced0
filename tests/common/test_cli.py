from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from common import cli


@dataclass(frozen=True)
class Config:
    name: str = cli.flag(None, "a text")
    steps: int = cli.flag(5, "a number")
    rate: float = cli.flag(1e-3, "another number")
    loud: bool = cli.flag(False, "a switch")
    mode: str = cli.flag("slow", "one of two", ("slow", "fast"))
    size: tuple[int, int] = cli.flag((480, 640), "two numbers")
    optional_size: tuple[int, int] | None = cli.flag(None, "two numbers or none")
    cameras: tuple[str, ...] | None = cli.flag(None, "any number of names", distinct=True)
    limit: int | None = cli.flag(None, "a number or none")
    boxes: dict[str, tuple[int, int]] | None = cli.flag(None, "two numbers for each of any names")
    shares: dict[str, float] | None = cli.flag(None, "a number for each of any names", least=0, most=1)
    share: float = cli.flag(0.5, "a share", least=0, most=1)
    pace: float = cli.flag(1.0, "a speed", above=0, below=2)
    count: int = cli.flag(3, "how many", least=1)
    folder: Path | None = cli.flag(None, "a path")
    vary: str | None = cli.flag(None, "when", ("often", "once"), bare="often")
    hidden: int = 7


@dataclass(frozen=True)
class Needy:
    folder: str = cli.flag(None, "place of it all, e.g. data/x; nothing else will do", required=True)


def parse(*argv, **others):
    parser = cli.make_parser("What it does.\n\nMore of it.")
    cli.add_flags(parser, Config)
    return cli.from_flags(Config, parser.parse_args(argv), **others)


def test_without_flags_the_defaults():
    assert parse() == Config()


def test_flags_round_trip():
    line = (
        "--name a --steps 6 --rate 1e-5 --loud --mode fast --size 120 160 --optional_size 1 2 "
        "--cameras top left_wrist --limit 3"
    )
    assert parse(*line.split()) == Config(
        "a", 6, 1e-5, True, "fast", (120, 160), (1, 2), ("top", "left_wrist"), 3
    )
    assert parse("--cameras", "top").cameras == ("top",)


def test_named_values_become_a_dict():
    config = parse("--boxes", "top=1,-2", "left_wrist=3,4", "--shares", "top=0.5")
    assert config.boxes == {"top": (1, -2), "left_wrist": (3, 4)} and config.shares == {"top": 0.5}


def test_values_have_their_types():
    config = parse("--steps", "6", "--rate", "2", "--size", "1", "2")
    assert type(config.steps) is int and type(config.rate) is float and type(config.size) is tuple


def test_others_set_what_is_no_flag():
    assert parse("--steps", "6", hidden=9) == Config(steps=6, hidden=9)
    assert parse("--steps", "6", steps=8).steps == 8


REFUSED = [
    ("--mode medium", "--mode is 'medium'; choose from slow, fast"),
    ("--mode fas", "--mode is 'fas'; did you mean fast? choose from slow, fast"),
    ("--steps many", "--steps is 'many'; it must be a whole number"),
    ("--steps 1_000", "--steps is '1_000'; it must be a whole number"),
    ("--steps ٣", "--steps is '٣'; it must be a whole number"),
    ("--steps ６", "--steps is '６'; it must be a whole number"),
    ("--steps 1.0", "--steps is '1.0'; it must be a whole number"),
    ("--steps 99999999999", "--steps is 99999999999; it must be at most 1000000000"),
    ("--steps -99999999999", "--steps is -99999999999; it must be at least -1000000000"),
    ("--rate much", "--rate is 'much'; it must be a number"),
    ("--rate 1_0.0", "--rate is '1_0.0'; it must be a number"),
    ("--rate nan", "--rate is nan; it must be a finite number"),
    ("--rate -inf", "--rate is -inf; it must be a finite number"),
    ("--rate 1e308", "--rate is 1e+308; it must be at most 1000000000"),
    ("--rate 1e999", "--rate is inf; it must be a finite number"),
    ("--share -0.1", "--share is -0.1; it must be 0 to 1"),
    ("--share 1.1", "--share is 1.1; it must be 0 to 1"),
    ("--share nan", "--share is nan; it must be a finite number, 0 to 1"),
    ("--pace 0", "--pace is 0.0; it must be above 0"),
    ("--pace 2", "--pace is 2.0; it must be above 0 and below 2"),
    ("--count 0", "--count is 0; it must be at least 1"),
    ("--size 1", "--size: expected 2 arguments"),
    ("--cameras a b a", "--cameras has 'a' twice; give each once"),
    ("--loud maybe", "--loud is 'maybe'; it must be true or false"),
    ("--boxes top=1", "--boxes is 'top=1'; it must be of the form NAME=INT,INT"),
    ("--boxes top=1,2,3", "--boxes is 'top=1,2,3'; it must be of the form NAME=INT,INT"),
    ("--boxes top=1,b", "--boxes is 'top=1,b'; it must be of the form NAME=INT,INT"),
    ("--boxes top=1,٣", "--boxes is 'top=1,٣'; it must be of the form NAME=INT,INT"),
    ("--boxes =1,2", "--boxes is '=1,2'; it must be of the form NAME=INT,INT"),
    ("--boxes top", "--boxes is 'top'; it must be of the form NAME=INT,INT"),
    ("--boxes a=1,2 b=1,2 a=3,4", "--boxes: a name is given twice"),
    ("--boxes a=1,99999999999", "--boxes a has 99999999999; it must be at most 1000000000"),
    ("--shares top=much", "--shares is 'top=much'; it must be of the form NAME=FLOAT"),
    ("--shares top=nan", "--shares top is nan; it must be a finite number, 0 to 1"),
    ("--shares top=2", "--shares top is 2.0; it must be 0 to 1"),
    ("--name", "--name: expected one argument"),
    ("--hidden 8", "'--hidden' is no flag of this command; --help lists all"),
    ("--ste 6", "'--ste' is no flag of this command; did you mean --steps?"),  # an abbreviation is none
    ("--loud true false", "'false' is one word too many"),
]


@pytest.mark.parametrize(("line", "said"), REFUSED)
def test_wrong_flags_are_refused_in_one_line(line, said, capsys):
    shown = refusal(lambda: parse(*line.split()), capsys)
    assert shown.startswith(f"error: {said}") and shown.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", ""], "--name is ''; it must not be empty"),
        (["--name="], "--name is ''; it must not be empty"),
        (["--name", "  "], "--name is '  '; it must not be empty"),
        (["--name", "a\nb"], r"--name is 'a\nb'; it must not have line ends"),
        (["--folder", ""], "--folder is ''; it must not be empty"),
        (["--cameras", "top", ""], "--cameras has ''; it must not be empty"),
        (["--steps", ""], "--steps is ''; it must be a whole number"),
        (["--steps", " 5"], "--steps is ' 5'; it must be a whole number"),
        (["--steps", "9" * 5000], f"--steps is '{'9' * 59}...; it must be a whole number"),
    ],
)
def test_texts_that_are_no_names_are_refused(words, said, capsys):
    assert refusal(lambda: parse(*words), capsys).startswith(f"error: {said}")


def refusal(action, capsys) -> str:
    """What a script would print as it ends with `action`."""
    with pytest.raises(SystemExit) as caught:
        cli.run(action)
    assert caught.value.code not in (0, None)
    text = f"{caught.value.code}\n" if isinstance(caught.value.code, str) else ""
    captured = capsys.readouterr()
    return captured.out + captured.err + text


def test_a_required_flag_is_asked_for():
    parser = cli.make_parser("What it does.")
    cli.add_flags(parser, Needy)
    with pytest.raises(ValueError, match="^--folder is missing; give the place of it all, e.g. data/x$"):
        cli.from_flags(Needy, parser.parse_args([]))


def test_numbers_may_be_negative_and_have_exponents():
    assert parse("--rate", "-1e-5").rate == -1e-5
    assert parse("--boxes", "a=-1,-2", "--steps", "+3") == Config(steps=3, boxes={"a": (-1, -2)})


def test_switches_can_be_turned_off():
    assert parse("--loud").loud and parse("--loud", "true").loud and parse("--loud", "TRUE").loud
    assert not parse("--loud", "--loud", "false").loud
    parser = cli.make_parser("What it does.")
    cli.add_flags(parser, Config)
    cli.set_defaults(parser, {"loud": True}, "preset.json")
    assert parser.parse_args([]).loud and not parser.parse_args(["--loud", "false"]).loud


def test_a_flag_may_have_a_value_or_none():
    """As a switch that became a choice: its old spellings keep working, in files too."""
    assert parse().vary is None and parse("--vary").vary == "often" and parse("--vary", "once").vary == "once"
    assert parse("--vary", "--loud") == Config(vary="often", loud=True)
    assert parse("--vary", "true").vary == "often" and parse("--vary", "False").vary is None
    assert from_file({"vary": True}).vary == "often" and from_file({"vary": False}).vary is None
    assert from_file({"vary": "once"}).vary == "once" and from_file({"vary": None}).vary is None
    with pytest.raises(ValueError, match="^--vary is 'onec'; did you mean once\\? choose from often, once$"):
        parse("--vary", "onec")
    parser = cli.make_parser("What it does.")
    cli.add_flags(parser, Config)
    assert "--vary [{often,once}]" in parser.format_help()


def from_file(flags):
    parser = cli.make_parser("What it does.")
    cli.add_flags(parser, Config)
    cli.set_defaults(parser, flags, "preset.json")
    return cli.from_flags(Config, parser.parse_args([]))


def test_flags_of_a_file_have_their_types():
    flags = {
        "steps": 6, "rate": 2, "loud": True, "mode": "fast", "size": [1, 2], "cameras": ["top"],
        "boxes": {"top": [1, 2]}, "shares": {"top": 1}, "limit": None, "folder": "a/b",
    }  # fmt: skip
    config = from_file(flags)
    assert config == Config(
        **{**flags, "size": (1, 2), "cameras": ("top",), "boxes": {"top": (1, 2)}, "folder": Path("a/b")}
    )
    assert type(config.rate) is float and type(config.shares["top"]) is float


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("steps", None, "--steps is null; it must be a whole number"),
        ("steps", 1.5, "--steps is 1.5; it must be a whole number"),
        ("steps", 6.0, "--steps is 6.0; it must be a whole number"),
        ("steps", "6", "--steps is '6'; it must be a whole number"),
        ("steps", True, "--steps is True; it must be a whole number"),
        ("steps", [6], "--steps is (6,); it must be a whole number"),
        ("steps", {}, "--steps is {}; it must be a whole number"),
        ("count", 0, "--count is 0; it must be at least 1"),
        ("rate", "1", "--rate is '1'; it must be a number"),
        ("rate", float("nan"), "--rate is nan; it must be a finite number"),
        ("rate", 10**400, "--rate is 1000000"),
        ("loud", "false", "--loud is 'false'; it must be true or false"),
        ("loud", 0, "--loud is 0; it must be true or false"),
        ("mode", "medium", "--mode is 'medium'; choose from slow, fast"),
        ("mode", ["slow"], "--mode is ('slow',); it must be a text"),
        ("name", 5, "--name is 5; it must be a text"),
        ("folder", 5, "--folder is 5; it must be a path"),
        ("folder", "", "--folder is ''; it must not be empty"),
        ("size", 5, "--size is 5; it must be a list of 2 values, each a whole number"),
        ("size", [1], "--size is (1,); it must be a list of 2 values, each a whole number"),
        ("size", "12", "--size is '12'; it must be a list of 2 values"),
        ("size", [1, None], "--size is (1, None); it must be a list of 2 values"),
        ("cameras", "top", "--cameras is 'top'; it must be a list of several values, each a text"),
        ("cameras", [], "--cameras is (); it must be a list of several values"),
        ("cameras", [["top"]], "--cameras is (('top',),); it must be a list"),
        ("boxes", [1, 2], "--boxes is (1, 2); it must be names, each with 2 values, each a whole number"),
        ("boxes", {"top": 1}, "--boxes top is 1; it must be a list of 2 values"),
        ("boxes", {"": [1, 2]}, "--boxes has a name that is ''"),
        ("boxes", {}, "--boxes is empty"),
        ("shares", {"top": [0.5]}, "--shares top is (0.5,); it must be a number"),
        ("shares", {"top": 2}, "--shares top is 2.0; it must be 0 to 1"),
        ("stepz", 1, "has the flag 'stepz'; did you mean 'steps'?"),
    ],
)
def test_wrong_flags_of_a_file_are_refused_with_its_name(name, value, said):
    with pytest.raises(ValueError) as caught:
        from_file({name: value})
    separator = " " if said.startswith("has") else ": "
    assert str(caught.value).startswith(f"preset.json{separator}{said}")


def test_a_config_made_by_code_is_checked_alike():
    cli.check(Config())
    with pytest.raises(ValueError, match="^--count is 0; it must be at least 1$"):
        cli.check(Config(count=0))


def test_help_shows_text_and_defaults(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    assert "What it does." in shown and "More of it" not in shown
    assert "one of two (default: slow)" in shown and "{slow,fast}" in shown
    assert "(default: None)" not in shown and "(default: False)" not in shown
    assert "--loud a switch" in shown


def test_titled_flags_stand_together(capsys):
    parser = cli.make_parser("What it does.")
    cli.add_flags(parser, Config, "of the policy")
    assert "of the policy:" in parser.format_help()
    assert cli.from_flags(Config, parser.parse_args(["--steps", "1"])).steps == 1


def failing(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize("kind", [ValueError, OSError, FileNotFoundError, RuntimeError, ImportError])
def test_what_the_user_can_mend_is_one_line(kind, monkeypatch):
    monkeypatch.delenv("ACT_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as caught:
        cli.run(failing(kind("steps is 0; it must be positive")))
    assert caught.value.code == "error: steps is 0; it must be positive"  # Python prints it and exits with 1


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv("ACT_TRACEBACK", "1")
    with pytest.raises(ValueError, match="what"):
        cli.run(failing(ValueError("what")))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("what"), "KeyError: 'what'"),
        (KeyError(), "KeyError"),
        (ValueError(), "ValueError"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (MemoryError(), "MemoryError"),
        (OverflowError("too large"), "OverflowError: too large"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (AssertionError("a\n  b"), "AssertionError: a b"),
        (cv2.error("no picture"), "error: no picture"),
    ],
)
def test_any_other_error_is_one_line_that_says_how_to_see_more(error, said, monkeypatch):
    monkeypatch.delenv("ACT_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as caught:
        cli.run(failing(error))
    assert caught.value.code == f"error: {said} (ACT_TRACEBACK=1 shows where)"


def test_interruption_and_success():
    with pytest.raises(SystemExit) as caught:
        cli.run(failing(KeyboardInterrupt()))
    assert caught.value.code == 130
    ran = []
    cli.run(lambda: ran.append(True))
    assert ran == [True]
