"""Which episodes demonstrations can be made from: those that a task's scene can repeat from elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from constants import IMAGE_SIZE, TASKS, get_task
from episodes import Episode, EpisodeError, read_header
from tasks import Task


def check_sources(headers: Mapping[Path, Episode], task_name: str | None) -> Task:
    """The task that all episodes show; EpisodeError for the first that cannot be repeated from elsewhere."""
    first = next(iter(headers))
    name = task_name or headers[first].task
    if not name:
        raise EpisodeError(f"{first}: the file names no task; add --task_name")
    task = get_task(name)
    if task.scene is None:
        raise ValueError(
            f"task {name!r} belongs to a real arm, and has no scene; --task_name a simulated one"
        )
    for path, header in headers.items():
        problem = _unfit(header, task, is_named=task_name is not None)
        if problem:
            raise EpisodeError(f"{path}: {problem}")
    return task


def _unfit(header: Episode, task: Task, is_named: bool) -> str:
    """Why an episode, without images, cannot be repeated in a task; "" if it can."""
    own, props = TASKS.get(header.task), len(task.props)
    if not is_named and header.task != task.name:
        return f"its task is {header.task!r}, that of the others {task.name!r}; name some with --episodes"
    if own and own.scene not in (None, task.scene):
        return f"its task is {header.task!r}, which has another scene than {task.name!r}"
    for name in ("qpos", "action"):
        width = getattr(header, name).shape[1]
        if width != task.dim:
            return f"{name} has {width} entries a step; {task.name} has {task.dim}"
    if header.fps != task.fps:
        return f"it has {header.fps} steps a second, {task.name} {task.fps}; edit_episodes.py resample helps"
    if header.env_state is None:
        return "no /env_state, so it is unknown where its objects were; edit_episodes.py places finds them"
    if header.env_state.size != 7 * props:
        return f"/env_state has {header.env_state.size} numbers; {task.name} needs {7 * props}, 7 a prop"
    return ""


def picture_size(path: Path, cameras: Collection[str]) -> tuple[int, int]:
    """Height and width of a demonstration's pictures, by the first of some cameras that it has; the scene's
    own if it has none. Says which other cameras' differ, as new pictures are all of one size.
    """
    recorded = read_header(path)[1]
    there = [camera for camera in cameras if camera in recorded]
    images = Episode.load(path, there, in_memory=False).images
    sizes = {camera: np.asarray(images[camera][0]).shape[:2] for camera in there}
    size = next(iter(sizes.values()), IMAGE_SIZE)
    for camera, own in sizes.items():
        if own != size:
            (height, width), (had, wide) = size, own
            print(
                f"new pictures of {camera} are {width} x {height}, as those of {there[0]}; the "
                f"demonstrations' are {wide} x {had}"
            )
    return size
