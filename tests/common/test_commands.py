"""Commands in messages are what a person has to type."""

import ast
import re

from repository import ROOT

from common import command_line, commands, quoted, this_command

ROOMS = [path.parent for path in ROOT.glob("*/__init__.py")]
OURS = [*ROOT.glob("*.py"), *(path for room in ROOMS for path in room.rglob("*.py"))]


def literals(tree: ast.AST) -> list[str]:
    """The texts in a program but its docstrings."""
    docs = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in docs]
    return [node.value for node in texts if isinstance(node.value, str)]


def test_no_message_writes_python3_itself():
    wrong = {}
    for path in OURS:
        texts = literals(ast.parse(path.read_text(encoding="utf-8")))
        found = [text for text in texts if re.search(r"python3 [\w/]+\.py|^python3$", text)]
        if found and not path.samefile(commands.__file__):
            wrong[path.relative_to(ROOT).as_posix()] = found
    assert len(OURS) > 300 and wrong == {}


def test_commands_are_as_the_system_has_them(monkeypatch):
    assert command_line("report.py --runs x") == f"{commands.PYTHON} report.py --runs x"
    monkeypatch.setattr("common.commands.PYTHON", "python")
    monkeypatch.setattr("sys.argv", ["report.py", "--runs", "two words", "--token", "secret"])
    assert this_command() == "python report.py --runs 'two words' --token '***'"
    assert this_command(["x.py"]) == "python x.py"
    assert quoted("a b", "c") == "'a b' c"
    monkeypatch.setattr("sys.platform", "win32")
    assert quoted(r"C:\data\many", r"C:\my data") == r'C:\data\many "C:\my data"'
