"""Files of ACT, ACT++ and Mobile ALOHA, as they are in the wild: one HDF5 file an episode.

Schema: as in `episodes`, and whatever people made of it: pictures of floats, with the channels first, as
PNGs, or grey; other endings and numbers; groups in groups.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from episodes import FACTS, EpisodeError, datasets_below, open_hdf5, read_header, seconds
from readers.base import BROKEN, Reader, Recorded, Recording, Survey, damaged
from readers.formats.hdf5_files import (
    hdf5_files,
    holds_demonstrations,
    no_pictures,
    rows_of,
    sorted_out,
    steps_of,
)
from readers.pictures import frames_of

STATES = ("observations/qpos", "observation/qpos", "obs/qpos", "qpos", "observations/state", "state")
ACTIONS = ("action", "actions", "observations/action")
PREFIXES = ("observations/images/", "observation/images/", "observations/", "obs/", "images/")
OTHERS = {"compress_len", "env_state"}  # datasets of our own files that are no rows of numbers
FPS = 50  # ACT's own rate, of files that do not say


class ActFiles(Reader):
    """See the file."""

    name = "act"
    title = "HDF5 files of ACT, ACT++ or Mobile ALOHA, one an episode"
    default_fps = FPS
    roles = {
        "state": tuple((name,) for name in STATES),
        "action": tuple((name,) for name in ACTIONS),
        "qvel": (("observations/qvel",), ("observation/qvel",), ("qvel",)),
        "base_action": (("base_action",),),
        "reward": (("reward",), ("rewards",)),
        "time": (("time",), ("timestamp",), ("timestamps",)),
    }

    def recognises(self, path: Path) -> bool:
        files = hdf5_files(path)
        return bool(files) and not holds_demonstrations(files)

    def survey(self, path: Path, fps: int | None) -> Survey:
        files = hdf5_files(path)
        if not files:
            raise FileNotFoundError(f"{path} has no HDF5 files (.hdf5, .h5)")
        root = path if path.is_dir() else path.parent
        recordings, rates, tasks = [], set(), []
        for file in files:
            recording, facts = _looked_at(file, file.relative_to(root).as_posix())
            recordings.append(recording)
            rates.add(facts.get("fps"))
            tasks.append(facts.get("task", ""))
        recordings.sort(key=lambda one: [int(p) if p.isdecimal() else p for p in _parts(one.name)])
        rates -= {None}
        if len(rates) > 1 and fps is None:
            raise ValueError(f"{path} has files of {sorted(rates)} steps a second; --fps says which to take")
        notes = () if rates or fps else (f"no file says its rate; {FPS} steps a second, as ACT's, are taken",)
        return Survey(
            recordings,
            next(iter(rates), None),
            tasks=(*filter(None, tasks), root.resolve().name),
            notes=notes,
        )

    def read(self, recording: Recording, cameras: Sequence[str], fps: int) -> Recorded:
        names = dict(recording.key)
        with open_hdf5(recording.path) as root:
            datasets = datasets_below(root)
            recorded = Recorded(
                {name: rows_of(datasets[name], f"{recording.name}: {name}") for name in recording.numbers}
            )
            for camera in cameras:
                frames, notes = frames_of(
                    datasets[names[camera]], names[camera], f"{recording.name}: {names[camera]}"
                )
                recorded.images[camera] = frames
                recorded.notes += notes
            if "env_state" in datasets:
                start = rows_of(datasets["env_state"], f"{recording.name}: env_state").ravel()
                recorded.facts["env_state"] = start if len(start) % 7 == 0 else None
        facts, note = _facts(recording.path)
        recorded.facts |= {name: value for name, value in facts.items() if name != "fps"}
        recorded.notes += [note] if note else []
        for name in ("time", "timestamp", "timestamps"):
            if name in recorded.numbers:
                times, note = seconds(recorded.numbers[name][:, 0], fps)
                recorded.numbers[name] = times[:, None]
                recorded.notes += [note] if note else []
        return recorded


def _parts(name: str) -> list[str]:
    """Text and numbers of a name in turn, so that 2 is before 10."""
    return re.split(r"(\d+)", name)


def _looked_at(file: Path, name: str) -> tuple[Recording, dict[str, Any]]:
    """What a file holds, without its contents, and its attributes."""
    try:
        with open_hdf5(file) as root:
            datasets = {each: item for each, item in datasets_below(root).items() if each not in OTHERS}
            steps = steps_of(datasets, (*ACTIONS, *STATES))
            if not steps:
                raise EpisodeError(f"{name} has neither {ACTIONS[0]} nor {STATES[0]} with rows in it")
            numbers, pictures, left_out = sorted_out(datasets, steps)
            problem = no_pictures(name, datasets, steps)
            has_rate = "fps" in root.attrs
    except BROKEN as error:
        return Recording(name, file, problem=damaged(name, error)), {}
    cameras = {_camera(each): each for each in pictures}
    facts, _ = _facts(file)
    if not has_rate:
        facts.pop("fps", None)
    elif facts:
        facts.setdefault("fps", FPS)  # the default, which `_facts` does not tell
    key = tuple(cameras.items())
    recording = Recording(
        *(name, file, key, steps, numbers, tuple(cameras), tuple(left_out)), without_pictures=problem
    )
    return recording, facts


def _camera(dataset: str) -> str:
    """A camera's name, by its dataset's."""
    prefix = next((each for each in PREFIXES if dataset.startswith(each)), "")
    return dataset.removeprefix(prefix).replace("/", "_")


def _facts(file: Path) -> tuple[dict[str, Any], str]:
    """The attributes that we know, and a note if they cannot be understood."""
    try:
        facts, _ = read_header(file)
    except EpisodeError as error:
        return {}, f"attributes are left out: {str(error).removeprefix(f'{file}: ')}"
    known = {name: value for name, value in facts.items() if value != FACTS[name].default}
    return {**known, "sim": facts["sim"]}, ""
