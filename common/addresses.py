"""Addresses with a login in them: taken apart, and shown without the password."""

from __future__ import annotations

import re
import urllib.parse

MASK = "***"
LONGEST = 120  # characters of an address that is shown
_SECRET = re.compile(r"([?&;](?:pwd|pass\w*|loginpas|token|key|auth|secret)=)[^&;#\s'\"]+", re.IGNORECASE)
_LOGIN = re.compile(r"(\w://[^/?#\s:@]*):[^/?#\s]*@")


def masked(text: str) -> str:
    """A text without the passwords of the addresses in it."""
    return _SECRET.sub(rf"\1{MASK}", _LOGIN.sub(rf"\1:{MASK}@", text))


def shown(source: str) -> str:
    """A camera's source for a message: without passwords, and not too long."""
    text = masked(source)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 20]}...{text[-17:]}"


def split_login(url: str) -> tuple[str, str | None, str | None]:
    """The address without `user:password@`, the user, the password; ValueError if it is not an address."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be http://HOST/... or https://HOST/..., an MJPEG stream or a JPEG")
    _ = parts.port  # ValueError unless it is a number
    login, _, place = parts.netloc.rpartition("@")
    user, has_password, password = login.partition(":")
    plain = parts._replace(netloc=place).geturl()
    unquote = urllib.parse.unquote
    return plain, unquote(user) if login else None, unquote(password) if has_password else None
