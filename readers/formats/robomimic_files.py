"""robomimic's files, and those of Isaac Lab: one HDF5 file with all demonstrations, data/demo_0 and so on.

Source of the schema: robomimic's documentation, datasets/overview ("Dataset Structure"): `actions`, `rewards`
and `obs/<key>` in each demonstration, `mask/<name>` lists of demonstrations, and `env_args` (JSON) of `data`.
Isaac Lab writes the same with `obs/joint_pos`, and groups of states (isaaclab/utils/datasets).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from episodes import EpisodeError, datasets_below, open_hdf5
from readers.base import BROKEN, Reader, Recorded, Recording, Survey, damaged
from readers.formats.hdf5_files import (
    demonstrations,
    hdf5_files,
    holds_demonstrations,
    no_pictures,
    rows_of,
    sorted_out,
)
from readers.pictures import frames_of

FPS = 20  # control steps a second of robosuite's environments
PLAYBACK = (
    "play it back to render them (robomimic/scripts/dataset_states_to_obs.py --camera_names agentview), or "
    "bring in numbers alone: --no_images"
)
_GRIPPER = ("robot0_gripper_qpos",)


class RobomimicFiles(Reader):
    """See the file."""

    name = "robomimic"
    title = "HDF5 files of robomimic or Isaac Lab, data/demo_*"
    no_pictures = PLAYBACK
    default_fps = FPS
    roles = {
        "state": (
            ("obs/robot0_joint_pos", *(f"obs/{name}" for name in _GRIPPER)),
            ("obs/robot0_eef_pos", "obs/robot0_eef_quat", *(f"obs/{name}" for name in _GRIPPER)),
            ("obs/robot0_joint_pos",),
            ("obs/robot0_eef_pos", "obs/robot0_eef_quat"),
            ("obs/joint_pos",),
            ("states/articulation/robot/joint_position",),
        ),
        "action": (("actions",), ("action",)),
        "reward": (("rewards",),),
    }

    def recognises(self, path: Path) -> bool:
        return holds_demonstrations(hdf5_files(path))

    def survey(self, path: Path, fps: int | None) -> Survey:
        recordings, groups, rate, files = [], {}, None, hdf5_files(path)
        for file in files:
            prefix = "" if len(files) == 1 else f"{file.name}/"
            try:
                with open_hdf5(file) as root:
                    recordings += [_looked_at(root, file, demo, prefix) for demo in demonstrations(root)]
                    for name, demos in _masks(root).items():
                        groups[name] = (*groups.get(name, ()), *(f"{prefix}{demo}" for demo in demos))
                    rate = rate or _rate(root)
            except EpisodeError as error:
                recordings.append(Recording(f"{prefix or file.name}", file, problem=error))
        if not recordings:
            raise ValueError(f"{path} has no demonstrations (data/demo_0 ...)")
        notes = (
            () if rate or fps else (f"the file does not say its rate; {FPS} steps a second, as robosuite's",)
        )
        names = (path.resolve().name.partition(".")[0],)
        return Survey(recordings, rate, tasks=names, groups=groups, notes=notes)

    def read(self, recording: Recording, cameras: Sequence[str], fps: int) -> Recorded:
        with open_hdf5(recording.path) as root:
            datasets = datasets_below(root, f"data/{recording.key}")
            recorded = Recorded(
                {name: rows_of(datasets[name], f"{recording.name}: {name}") for name in recording.numbers}
            )
            for camera in cameras:
                frames, notes = frames_of(
                    datasets[f"obs/{camera}"], camera, f"{recording.name}: obs/{camera}"
                )
                recorded.images[camera] = frames
                recorded.notes += notes
        recorded.facts["sim"] = True
        return recorded


def _looked_at(root: Any, file: Path, demo: str, prefix: str) -> Recording:
    """What a demonstration holds, without its contents."""
    name = f"{prefix}{demo}"
    try:
        datasets = {
            each: item
            for each, item in datasets_below(root, f"data/{demo}").items()
            if not each.startswith("next_obs/")  # the same once more, a step later
        }
        actions = datasets.get("actions", datasets.get("action"))
        if actions is None or not actions.shape or not actions.shape[0]:
            raise EpisodeError(f"{name} has no actions")
        if not any(each.startswith("obs/") for each in datasets):
            what = (
                "the simulator's states, but no observations" if "states" in datasets else "no observations"
            )
            raise EpisodeError(f"{name} has {what}; {PLAYBACK.partition(', or')[0]}")
        steps = actions.shape[0]
        numbers, pictures, left_out = sorted_out(datasets, steps)
        problem = no_pictures(name, datasets, steps)
    except BROKEN as error:
        return Recording(name, file, demo, problem=damaged(name, error))
    cameras = tuple(each.removeprefix("obs/") for each in pictures if each.startswith("obs/"))
    return Recording(name, file, demo, steps, numbers, cameras, tuple(left_out), without_pictures=problem)


def _masks(root: Any) -> dict[str, list[str]]:
    """Names of demonstrations, by the name of each choice."""
    masks = {}
    for name, dataset in datasets_below(root, "mask").items():
        with suppress(*BROKEN):
            names = [each.decode() if isinstance(each, bytes) else str(each) for each in dataset[()].ravel()]
            masks[name] = names
    return masks


def _rate(root: Any) -> int | None:
    """Control steps a second, as the environment's arguments say."""
    with suppress(*BROKEN):
        text = root["data"].attrs["env_args"]
        rate = json.loads(text)["env_kwargs"]["control_freq"]
        return int(rate) if 1 <= rate <= 1000 else None
    return None
