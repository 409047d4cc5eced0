"""Where a server is found: this machine's addresses."""

from __future__ import annotations

import re
import socket

ANY = ("0.0.0.0", "::", "")  # hosts that stand for all of this machine's addresses


def check_host(host: str) -> None:
    """ValueError unless a server can listen at `host`: an IPv4 address of this machine, or its name."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.bind((host, 0))
    except OSError as error:
        raise ValueError(
            f"--host is {host!r}; it must be an IPv4 address of this machine, such as 127.0.0.1, or 0.0.0.0 "
            f"for all of them ({error.strerror})"
        ) from None


def addresses_of(host: str) -> list[str]:
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
    numbers = [name for name in addresses_of(host) if re.fullmatch(r"[\d.]+", name)]
    return next((number for number in numbers if not number.startswith("127.")), "127.0.0.1")
