import argparse
from dataclasses import dataclass

import pytest

import cli


@dataclass(frozen=True)
class Config:
    name: str = cli.flag(None, "a text")
    steps: int = cli.flag(5, "a number")
    rate: float = cli.flag(1e-3, "another number")
    loud: bool = cli.flag(False, "a switch")
    mode: str = cli.flag("slow", "one of two", ("slow", "fast"))
    size: tuple[int, int] = cli.flag((480, 640), "two numbers")
    optional_size: tuple[int, int] | None = cli.flag(None, "two numbers or none")
    cameras: tuple[str, ...] | None = cli.flag(None, "any number of names")
    limit: int | None = cli.flag(None, "a number or none")
    boxes: dict[str, tuple[int, int]] | None = cli.flag(None, "two numbers for each of any names")
    shares: dict[str, float] | None = cli.flag(None, "a number for each of any names")
    hidden: int = 7


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


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--mode medium", "invalid choice: 'medium'"),
        ("--steps many", "invalid int value: 'many'"),
        ("--size 1", "expected 2 arguments"),
        ("--boxes top=1", "'top=1' is not of the form NAME=INT,INT"),
        ("--boxes top=1,2,3", "'top=1,2,3' is not of the form NAME=INT,INT"),
        ("--boxes top=1,b", "'top=1,b' is not of the form NAME=INT,INT"),
        ("--boxes =1,2", "'=1,2' is not of the form NAME=INT,INT"),
        ("--boxes top", "'top' is not of the form NAME=INT,INT"),
        ("--boxes a=1,2 b=1,2 a=3,4", "argument --boxes: a name is given twice"),
        ("--shares top=much", "'top=much' is not of the form NAME=FLOAT"),
        ("--hidden 8", "unrecognized arguments: --hidden"),
        ("--ste 6", "unrecognized arguments: --ste"),  # abbreviations would break when a flag is added
    ],
)
def test_wrong_flags_are_refused(line, said, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(*line.split())
    assert caught.value.code == 2 and said in capsys.readouterr().err


def test_help_shows_text_and_defaults(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    assert "What it does." in shown and "More of it" not in shown
    assert "one of two (default: slow)" in shown and "{slow,fast}" in shown


def test_titled_flags_stand_together(capsys):
    parser = argparse.ArgumentParser()
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


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    monkeypatch.delenv("ACT_TRACEBACK", raising=False)
    with pytest.raises(KeyError):
        cli.run(failing(KeyError("what")))


def test_interruption_and_success():
    with pytest.raises(SystemExit) as caught:
        cli.run(failing(KeyboardInterrupt()))
    assert caught.value.code == 130
    ran = []
    cli.run(lambda: ran.append(True))
    assert ran == [True]
