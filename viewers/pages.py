"""Pages for a browser, each one file that needs no server and no network, made from a template in web/.

Only what `element` and templates make is markup (`Html`). Everything else that is put into an element or a
page, such as text from a file, is escaped, so that no caller can forget to.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import PAGE_STYLE, complete_file

if TYPE_CHECKING:
    import numpy as np

WEB = Path(__file__).parent / "web"
_VOID = ("br", "img", "line", "polyline")


class Html(str):
    """Markup. Joined to a plain string it becomes a plain string, which would be escaped."""

    __slots__ = ()


def text(value: Any) -> Html:
    """A value as HTML: escaped, unless it is HTML already."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def joined(parts: Iterable[Any], between: str = "") -> Html:
    """Values as HTML, one after the other; empty ones are left out."""
    return Html(escape(between).join(text(part) for part in parts if part not in (None, "")))


def element(tag: str, *content: Any, **attributes: Any) -> Html:
    """`<tag attribute="value">content</tag>`; None leaves content or attribute out.

    In names of attributes `_` stands for `-`, and a last `_` is dropped (`class_`); True gives an attribute
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


def write_page(path: Path, stem: str, shared: str = "", **parts: Any) -> None:
    """Write a page from the template `web/<stem>.html`.

    `{{style}}` becomes the style of all pages and `<stem>.css`; `{{script}}` becomes all `<stem>_*.js` and
    then `<stem>.js`; any other `{{name}}` becomes the part of that name, as HTML. Style and script that
    several pages have, those of the stem `shared`, come first.
    """
    styles = [PAGE_STYLE, WEB / f"{shared}.css", WEB / f"{stem}.css"]
    scripts = [WEB / f"{shared}.js", *sorted(WEB.glob(f"{stem}_*.js")), WEB / f"{stem}.js"]
    values = {name: text(part) for name, part in parts.items()}
    for name, files in (("style", styles), ("script", scripts)):
        values[name] = Html("".join(file.read_text(encoding="utf-8") for file in files if file.is_file()))
    template = (WEB / f"{stem}.html").read_text(encoding="utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)
    with complete_file(path) as part:
        part.write_text(page, encoding="utf-8", errors="replace")


def picture_url(rgb: np.ndarray, quality: int = 85) -> str:
    """The address of a picture (H, W, 3) uint8 RGB that holds the picture itself, as a JPEG."""
    from episodes import encode_jpeg  # imports OpenCV, which most pages do without

    jpeg = encode_jpeg(rgb[..., ::-1], quality)  # blue first, as OpenCV wants it
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def script_json(data: Any) -> Html:
    """JSON that is safe inside a script element, whatever its strings are."""
    return Html(json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))
