"""Which samples of an episode show one look, where looks change within it (`EpisodeFacts.looks_hold`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from episodes.episode import Episode
from episodes.errors import EpisodeError


def starts_in_one_look(episode: Episode, history: int, path: Path) -> np.ndarray:
    """Steps (N,) of an episode whose `history` observations, up to their own, have one look.

    The first observation stands for those before it. EpisodeError, with `path`, if no look lasts that long.
    """
    hold, steps = episode.looks_hold, np.arange(len(episode))
    if not hold or history == 1:
        return steps
    if hold < history:
        lasting = f"a look lasts {hold} steps" if hold > 1 else "each step has a look of its own"
        raise EpisodeError(
            f"{path}: {lasting}, and the policy looks at {history} observations, which must "
            f"have one look; record with --hold_looks {history} or more, or with --randomize episode"
        )
    return steps[steps // hold == np.maximum(0, steps - history + 1) // hold]
