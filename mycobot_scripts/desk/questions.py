"""Questions as a page asks them: the words for their answers stand in the question, as in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

WORDS = {"y": "yes", "n": "no", "q": "quit", "enter": "go on", "escape": "no"}  # where the question has none
_BRACKETS = re.compile(r"\[(\w)\]")


@dataclass
class Question:
    """What is being asked."""

    number: int
    text: str
    keys: tuple[str, ...] = ()  # that answer it
    takes_line: bool = False
    answer: str | None = None  # a key, or a line

    def describe(self) -> dict:
        """For a page."""
        words = answer_words(self.text, self.keys)
        answers = [{"key": key, "word": word} for key, word in words.items()]
        return {
            "id": self.number,
            "text": self.text,
            "answers": [] if self.takes_line else answers,
            "takes_line": self.takes_line,
        }


def answer_words(question: str, keys: Iterable[str]) -> dict[str, str]:
    """The keys that a question names, all of them if it names none, and a word for each.

    It names `[k]eep`, `start pose [h]`, `[y/n]`, `(q: quit)`, and `press enter`.
    """
    named: dict[str, str] = {}
    for part in re.split(r"[,;?]| or (?=\[)", question):
        for key in _BRACKETS.findall(part):
            named[key] = _BRACKETS.sub(_inside, part).rpartition(": ")[2].strip(" .").removeprefix("or ")
    named |= dict(re.findall(r"[(,] ?(\w): ([\w' ]+)", question))
    for group in re.findall(r"\[(\w(?:/\w)+)\]", question):
        named |= {key: WORDS.get(key, key) for key in group.split("/")}
    if re.search(r"\benter\b", question):
        named["enter"] = WORDS["enter"]
    keys = list(keys)
    chosen = {key: named[key] for key in sorted(named, key=_place(keys)) if key in keys}
    return chosen or {key: WORDS.get(key, key) for key in keys}


def _inside(bracket: re.Match) -> str:
    """A letter in brackets stays if it begins a word; otherwise it stands for itself alone."""
    follows = bracket.string[bracket.end() : bracket.end() + 1]
    return bracket[1] if follows.isalpha() else ""


def _place(keys: list[str]):
    return lambda key: keys.index(key) if key in keys else len(keys)
