"""Where the cockpit is found: this machine's addresses, and the token that lets a browser in."""

from __future__ import annotations

import os
import re
import secrets
import socket
from pathlib import Path

ANY = ("0.0.0.0", "::", "")  # hosts that stand for all of this machine's addresses
TOKEN = "token"  # file in the cockpit's folder


def addresses(host: str) -> list[str]:
    """Names and addresses by which browsers may call a server that listens at `host`."""
    if host not in ANY:
        return []
    import psutil

    families = {socket.AF_INET}
    found = [
        address.address
        for entries in psutil.net_if_addrs().values()
        for address in entries
        if address.family in families
    ]
    name = socket.gethostname().lower()
    return sorted({*found, name, f"{name}.local"})


def outer_address(host: str) -> str:
    """The address that another machine of the network would use; that of this machine alone if none."""
    if host not in ANY:
        return host
    numbers = [name for name in addresses(host) if re.fullmatch(r"[\d.]+", name)]
    return next((number for number in numbers if not number.startswith("127.")), "127.0.0.1")


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
