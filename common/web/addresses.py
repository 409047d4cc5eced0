"""Addresses: with a login, taken apart and shown without the password; of ports that come over TCP."""

from __future__ import annotations

import re
import urllib.parse

MASK = "***"
LONGEST = 120  # characters of an address that is shown
SCHEME = "socket"
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


def tcp_address(port: str, flag: str = "port") -> tuple[str, int] | None:
    """Host and number of a port like `socket://127.0.0.1:9000`; None for a serial port's name.

    ValueError, which names the `flag`, for any other address.
    """
    if "://" not in port:
        return None
    try:
        parts = urllib.parse.urlsplit(port)
        is_right = parts.scheme == SCHEME and parts.hostname and parts.port and not parts.path + parts.query
    except ValueError:  # a number beyond 65535
        is_right = False
    if not is_right:
        raise ValueError(
            f"--{flag} is {port!r}; it must be a serial port's name, or socket://HOST:PORT, e.g. "
            f"{SCHEME}://127.0.0.1:9000"
        )
    return parts.hostname, parts.port


def listen_address(text: str, flag: str = "tcp") -> tuple[str, int]:
    """Host and number of `HOST:PORT`; ValueError, which names the `flag`, for another form."""
    host, _, number = text.rpartition(":")
    if not host or not number.isdecimal() or int(number) > 65_535:
        raise ValueError(f"--{flag} is {text!r}; it must be HOST:PORT, e.g. 127.0.0.1:9000")
    return host, int(number)
