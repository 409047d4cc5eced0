"""One page of what visualize_features.py wrote into a folder; it says how to read each picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from viewers.pages import Html, element, joined, write_page
from viewers.report_layout import section, soft

FILE = "index.html"
# how to read a file, by the end of its name; the first that fits counts
READ = (
    (
        "_look.png",
        "What the network sees. gradient: where a small change of the picture changes the actions most, also "
        "edges and corners that mean nothing. hidden: how far the actions go, in standard deviations (std) "
        "of an action, when a patch is covered. Where the two disagree, believe hidden: it changes the "
        "picture as a real thing would.",
    ),
    ("_attention.png", "What the decoder looks at for some actions of the chunk; shares add up to 100 %."),
    ("_actions.png", "The chunk of actions that was predicted, and what was demonstrated."),
    ("_features.mp4", "The same over the episode."),
    ("", "Maps of the backbone's stages: each is scaled for itself, from its least to its greatest value."),
)
COMPARED = "Two moments: their difference, and which patches of B, put into A, turn A's actions into B's."


def reading(name: str) -> str:
    """How to read the file of that name."""
    if re.search(r"_vs_.*_step_\d+\.png$", name):
        return COMPARED
    return next(words for end, words in READ if name.endswith(end))


def write_features_page(folder: Path) -> Path:
    """Write the page of a folder's pictures and videos, by moment; returns its path."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".mp4"))
    moments: dict[str, list[str]] = {}
    for name in names:
        match = re.match(r"episode_\d+_step_\d+(_vs_episode_\d+_step_\d+)?|episode_\d+", name)
        moments.setdefault(match[0] if match else "others", []).append(name)
    parts = [section(moment.replace("_", " "), *_shown(files)) for moment, files in moments.items()]
    write_page(folder / FILE, "report", title="What the policy looks at", body=joined(parts))
    return folder / FILE


def _shown(names: Sequence[str]) -> list[Html]:
    shown = []
    for name in names:
        if name.endswith(".mp4"):
            medium = element("video", src=quote(name), controls=True, style="max-width: 100%")
        else:
            medium = element("img", src=quote(name), alt=name, style="max-width: 100%")
        shown += [soft(reading(name)), medium]
    return shown
