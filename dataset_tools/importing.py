"""Bring other people's recordings in, whatever their format (readers/)."""

from __future__ import annotations

from readers import ImportFlags, bring_in


def import_recordings(flags: ImportFlags) -> None:
    """Bring other people's recordings in as episodes: finds out their format, and says what is left out."""
    bring_in(flags)
