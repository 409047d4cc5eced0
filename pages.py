"""Pages for a browser, each one file that needs no server and no network, made of a template in assets/."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from episodes import complete_file

ASSETS = Path(__file__).resolve().parent / "assets"


def write_page(path: Path, stem: str, **parts: str) -> None:
    """Write the page `assets/<stem>.html`.

    In it, `{{style}}` becomes what all pages look like (page.css) and the file beside it that ends in .css,
    `{{script}}` the one that ends in .js, and other names `parts`, which are HTML.
    """
    for part, names in (("style", ("page.css", f"{stem}.css")), ("script", (f"{stem}.js",))):
        files = [ASSETS / name for name in names]
        parts[part] = "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    template = (ASSETS / f"{stem}.html").read_text(encoding="utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    with complete_file(path) as part:
        part.write_text(page, encoding="utf-8")


def text(value: Any) -> str:
    """A value as HTML."""
    return escape(str(value))


def script_json(data: Any) -> str:
    """JSON that may stand inside a script element, whatever its strings are."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
