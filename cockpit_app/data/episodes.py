"""The episodes of a dataset: what each is, and a film of each, made when somebody asks for it, and kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cockpit_app.asking import PATIENCE, output_of
from cockpit_app.data.found import present
from cockpit_app.places import Places
from common import ROOT, Refused

MOST_TAKES = 200  # of a dataset that are listed, the last ones
MOST_FILMS = 200  # that are kept
_known: dict[tuple[str, int], dict[str, Any]] = {}  # what episodes say, by path and time of change


def takes(places: Places, folder: Path) -> dict[str, Any]:
    """The episodes of a dataset, the last one first, and how many there are."""
    from episodes import episode_number, is_episode_name

    files = present(path for path in folder.glob("*.hdf5") if is_episode_name(path.name))
    newest = sorted(files, key=lambda path: (-(episode_number(path) or 0), path.name))[:MOST_TAKES]
    listed = [_take(places, file, files[file].st_mtime_ns) for file in newest]
    return {"path": places.shown(folder), "episodes": len(files), "takes": listed}


def _take(places: Places, file: Path, changed: int) -> dict[str, Any]:
    """Number, length, outcome and style of an episode; `problem` where it cannot be read."""
    from episodes import Episode, episode_number

    key = (str(file), changed)
    if key not in _known:
        about: dict[str, Any] = {"steps": 0, "seconds": 0.0, "success": None, "style": "", "problem": None}
        try:
            episode = Episode.load(file, (), in_memory=False)
            about |= {"steps": len(episode), "seconds": len(episode) / episode.fps}
            about |= {"success": episode.success, "style": episode.style or ""}
        except (OSError, ValueError) as error:
            about["problem"] = str(error)[:300]
        _known[key] = about
    return {
        "name": file.stem,
        "number": episode_number(file),
        "changed": changed // 10**6,
        "film": f"film/{places.link(file)}",
        **_known[key],
    }


class Films:
    """Small films of episodes, in a folder of the cockpit's; made one at a time, by a process of their own.

    Args:
        folder: keeps them; the oldest go when there are many.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def get(self, episode: Path) -> Path:
        """The film of an episode file; `Refused` if there is no such episode, or it has no pictures."""
        from episodes import is_episode_name

        if not (is_episode_name(episode.name) and episode.is_file()):
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no episode {episode.name!r:.60}")
        about = episode.stat()
        words = f"{os.path.realpath(episode)} {about.st_mtime_ns} {about.st_size}"
        film = self._folder / f"{hashlib.sha256(words.encode()).hexdigest()[:24]}.mp4"
        with self._lock:
            if not film.is_file():
                self._make(episode, film)
        return film

    def _make(self, episode: Path, film: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            output_of(["-m", "cockpit_app.data.film", str(episode.resolve()), str(film.resolve())], ROOT)
        except subprocess.TimeoutExpired:
            raise Refused(HTTPStatus.BAD_GATEWAY, f"no film of {episode.name} in {PATIENCE:.0f} s") from None
        except ValueError as error:
            raise Refused(HTTPStatus.NOT_FOUND, f"no film of {episode.name}: {str(error)[:300]}") from None
        films = present(self._folder.glob("*.mp4"))
        films = sorted(films, key=lambda path: -films[path].st_mtime)
        for old in films[MOST_FILMS:]:
            old.unlink(missing_ok=True)
