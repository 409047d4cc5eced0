"""Files of datasets and runs for a browser: videos, pictures, and pages that scripts wrote.

Such a page holds scripts of its own and texts out of files. So it gets an origin of its own (`sandbox`): it
can show itself and what lies beside it, but neither reads nor asks anything of the cockpit. As such a page
has no cookies, the addresses of files have a key in them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from http import HTTPStatus
from pathlib import Path

from common import LocalHandler, Refused

TYPES = {  # what is sent at all, by ending
    ".html": "text/html; charset=utf-8",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/plain; charset=utf-8",
    ".json": "text/plain; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
# {files}: where a page's files lie; 'self' means nothing to a page of an origin of its own
POLICY = (
    "sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; "
    "script-src {files} 'unsafe-inline'; style-src {files} 'unsafe-inline'; img-src {files} data: blob:; "
    "media-src {files} data: blob:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
HEADERS = {
    "Cross-Origin-Resource-Policy": "cross-origin",  # a page of an origin of its own shows its videos
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache",
}
BLOCK = 1 << 18  # bytes


def view_key(token: str) -> str:
    """The key in addresses of files: who has it can read them, and no more."""
    return hmac.new(token.encode(), b"files", hashlib.sha256).hexdigest()[:32]


def send_file(handler: LocalHandler, path: Path, files: str) -> None:
    """Send a file, or the part of it that a browser asks for; `Refused` if there is none.

    Args:
        handler: answers the request.
        path: of the file.
        files: the address under which files lie; a page may load nothing else.
    """
    content_type = TYPES.get(path.suffix.lower())
    if content_type is None or not path.is_file():
        raise Refused(HTTPStatus.NOT_FOUND, f"there is no page, video or picture {path.name!r}")
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        first, last, is_part = byte_range(handler.headers.get("Range"), size)
        headers, status = (
            {"Content-Security-Policy": POLICY.replace("{files}", files), **HEADERS},
            HTTPStatus.OK,
        )
        if is_part:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            status = HTTPStatus.PARTIAL_CONTENT
        handler.begin(content_type, status, last - first + 1, headers)
        file.seek(first)
        left = last - first + 1
        while left and (data := file.read(min(BLOCK, left))):
            handler.wfile.write(data)
            left -= len(data)


def byte_range(wanted: str | None, size: int) -> tuple[int, int, bool]:
    """First and last byte that a `Range` asks for, and whether it is one that is understood.

    Raises:
        Refused: it begins behind the end.
    """
    asked = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", wanted or "", re.ASCII)
    if asked is None or not (asked[1] or asked[2]):
        return 0, size - 1, False
    if not asked[1]:
        return max(0, size - int(asked[2])), size - 1, True
    first, last = int(asked[1]), min(int(asked[2]) if asked[2] else size - 1, size - 1)
    if first >= size or last < first:
        why = f"the file has {size} bytes; {wanted} is outside"
        raise Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, why)
    return first, last, True
