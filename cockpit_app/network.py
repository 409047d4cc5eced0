"""The token that lets a browser in."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

TOKEN = "token"  # file in the cockpit's folder


def keep_token(folder: Path) -> str:
    """The token of the cockpit's folder, made once, so that an open page goes on after a restart.

    Only the user of this account may read its file.
    """
    path = folder / TOKEN
    try:
        token = path.read_text(encoding="ascii").strip()
        if re.fullmatch(r"[\w-]{20,80}", token, re.ASCII):
            return token
    except (OSError, UnicodeDecodeError):
        pass
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(24)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(token)
    return token
