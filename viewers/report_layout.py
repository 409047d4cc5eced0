"""The layout of a report's parts: sections, notes, tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from viewers.pages import Html, element


def section(title: str, *content: Html) -> Html:
    """A part with a heading, whose id is its title in small letters; empty without content."""
    content = tuple(part for part in content if part)
    place = title.lower().replace(" ", "_")
    return element("section", element("h2", title), *content, id=place) if content else Html()


def soft(words: str) -> Html:
    """A line that explains."""
    return element("p", words, class_="soft")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Html:
    """A table with a heading for each column."""
    names = element("tr", *(element("th", name) for name in head))
    lines = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    return element("div", element("table", names, *lines), class_="scroll")
