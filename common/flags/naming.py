"""Check names that a person types, and suggest what was meant. Standard library only."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """`did you mean 'x'? ` for a name that is cut off or misspelt; "" if none of `valid` is like it."""
    valid = list(valid)
    near = [each for each in valid if name and each.startswith(name)]
    near = near or difflib.get_close_matches(name, valid, n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def choose(kind: str, name: str, valid: Iterable[str]) -> str:
    """`name` if it is one of `valid`; otherwise ValueError with a suggestion and the choices."""
    valid = list(valid)
    if name in valid:
        return name
    raise ValueError(f"unknown {kind} {name!r}; {did_you_mean(name, valid)}choose from {', '.join(valid)}")
