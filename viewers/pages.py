"""Pages for a browser, each one file that needs no server and no network, made of a template in assets/.

What comes from a file is text, whatever it holds: only what `element` and templates make is markup (`Html`),
and all else that is put into an element or a page is escaped. So nothing can be forgotten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from common import complete_file

ASSETS = Path(__file__).resolve().parents[1] / "assets"
_VOID = ("br", "img", "line", "polyline")


class Html(str):
    """Markup. Joined to other text it is text again, and would be escaped."""

    __slots__ = ()


def text(value: Any) -> Html:
    """A value as HTML: escaped, unless it is that already."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def joined(parts: Iterable[Any], between: str = "") -> Html:
    """Values as HTML, one after the other; empty ones are left out."""
    return Html(escape(between).join(text(part) for part in parts if part not in (None, "")))


def element(tag: str, *content: Any, **attributes: Any) -> Html:
    """`<tag attribute="value">content</tag>`; None leaves content or attribute out.

    In names of attributes `_` stands for `-`, and one at the end for nothing (`class_`); True is an attribute
    without a value.
    """
    opening = tag
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.removesuffix("_").replace("_", "-")
        opening += f" {name}" if value is True else f' {name}="{escape(str(value))}"'
    if tag in _VOID:
        return Html(f"<{opening}/>")
    return Html(f"<{opening}>{joined(content)}</{tag}>")


def write_page(path: Path, stem: str, **parts: Any) -> None:
    """Write the page `assets/<stem>.html`.

    In it, `{{style}}` becomes what all pages look like (page.css) and `<stem>.css`, `{{script}}` all of
    `<stem>_*.js` and then `<stem>.js`, and other names `parts`, as HTML.
    """
    styles, scripts = [ASSETS / "page.css", ASSETS / f"{stem}.css"], sorted(ASSETS.glob(f"{stem}_*.js"))
    made = {name: text(part) for name, part in parts.items()}
    for part, files in (("style", styles), ("script", [*scripts, ASSETS / f"{stem}.js"])):
        made[part] = Html("".join(file.read_text(encoding="utf-8") for file in files if file.is_file()))
    template = (ASSETS / f"{stem}.html").read_text(encoding="utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: made[found[1]], template)
    with complete_file(path) as part:
        part.write_text(page, encoding="utf-8", errors="replace")


def script_json(data: Any) -> Html:
    """JSON that may stand inside a script element, whatever its strings are."""
    return Html(json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))
