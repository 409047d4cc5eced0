"""Pages for a browser, each one file that needs no server and no network, made of a template in assets/."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from files import complete_file

ASSETS = Path(__file__).resolve().parents[1] / "assets"


def write_page(path: Path, stem: str, **parts: str) -> None:
    """Write the page `assets/<stem>.html`.

    In it, `{{style}}` becomes what all pages look like (page.css) and `<stem>.css`, `{{script}}` all of
    `<stem>_*.js` and then `<stem>.js`, and other names `parts`, which are HTML.
    """
    styles, scripts = [ASSETS / "page.css", ASSETS / f"{stem}.css"], sorted(ASSETS.glob(f"{stem}_*.js"))
    for part, files in (("style", styles), ("script", [*scripts, ASSETS / f"{stem}.js"])):
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
