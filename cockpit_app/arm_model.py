"""What the page of the arm needs to know of it: what keys and gamepads do."""

from __future__ import annotations

from typing import Any


def controls() -> dict[str, Any]:
    """How the arm is driven by hand, as in a terminal: what keys, sticks and buttons do."""
    from teleop import DEAD_ZONE, KEY_RATES, PAD_AXES, PAD_RATES, RATES, SLOW_KEY  # only when somebody asks

    return {
        "rates": RATES,
        "keys": KEY_RATES,
        "axes": PAD_AXES,
        "buttons": PAD_RATES,
        "dead_zone": DEAD_ZONE,
        "slow_key": SLOW_KEY,
    }
