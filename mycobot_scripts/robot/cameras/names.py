"""Whether two names stand for one camera."""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from collections.abc import Mapping
from itertools import combinations

from common import split_login


def same_sources(sources: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of names that stand for one camera."""
    places = {name: _place(str(source)) for name, source in sources.items()}
    return [(one, other) for one, other in combinations(places, 2) if places[one] == places[other]]


def _place(source: str) -> str:
    """The same text for the same camera, however it is named: number, path, link or address."""
    if "://" in source:
        with contextlib.suppress(ValueError):
            source, *_ = split_login(source)
            parts = urllib.parse.urlsplit(source)
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
            host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
            return parts._replace(netloc=f"{host}:{port}", path=parts.path or "/", fragment="").geturl()
        return source
    return os.path.realpath(f"/dev/video{int(source)}" if source.isdecimal() else source)
