"""Where objects were as an episode began: for recordings of a real arm, which do not say it (finding.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from common import choose, cli
from constants import get_task
from dataset_tools.edits import EditFlags, load_header, named_error, plan_edits
from dataset_tools.plans import Plan
from dataset_tools.regions.click_file import POINTS, Clicks, read_clicks
from dataset_tools.regions.finding import Colour, Finder, matrix_from_points
from episodes import Episode, EpisodeError, list_episodes
from tasks import Task, in_sight

SETTLE_SECONDS = 0.3  # for a prop to fall to its place
NEAR = 0.01  # m; a prop that always starts so near the middle of its places need not be looked for


@dataclass(frozen=True)
class SightFlags:
    """Flags that say whose props are looked for, and in which pictures."""

    task_name: str | None = cli.flag(
        None, "simulated task whose props to find; the one that the file names if not given"
    )
    camera: str | None = cli.flag(
        None, "camera to look with; the first of the task, or that of the clicks, if not given"
    )
    step: int = cli.flag(5, "step whose picture is looked at; the arm must not be in the way yet", least=0)


@dataclass(frozen=True)
class PlacesFlags(SightFlags, EditFlags):
    """Flags of `places`."""

    color: dict[str, Colour] | None = cli.flag(
        None,
        "colour of each prop, also of its sides in the shade: least red, green and blue, then greatest, e.g. "
        "cube=60,0,0,255,60,60",
        least=0,
        most=255,
    )
    clicks: str | None = cli.flag(
        None,
        "file that the page of `edit_episodes.py clicks` saves; what was clicked there is not looked for by "
        "its colour",
    )
    points: dict[str, tuple[float, float]] | None = cli.flag(
        None,
        "four points of the table, each a pixel x,y and its place x,y in the world (m), e.g. "
        "132,401=-0.45,0.05; those of --clicks if not given, or the camera stands as in the scene",
    )
    points_height: float = cli.flag(0.0, "height of these points (m)", least=-1, most=1)
    min_area: int = cli.flag(30, "pixels; smaller parts of a colour count as noise", least=1)
    anew: bool = cli.flag(False, "find them anew in files that say where they were, as those of the twin do")
    case: str | None = cli.flag(None, "case that the episodes show, for a task with cases")


def places(flags: PlacesFlags) -> Plan:
    """Find where objects were at the start, by colour or by clicks, in episodes that do not say it."""
    headers = {path: load_header(path) for path in flags.chosen()}
    task = _in_case(scene_task(flags, next(iter(headers.values()))), flags.case)
    clicks = _clicks(flags, task)
    pictures = pictures_of(headers, clicks.camera, flags.step)
    size = next(iter(pictures.values())).shape[:2]
    if clicks.size not in (None, size):
        has, had = (f"{width} x {height}" for height, width in (size, clicks.size))
        raise ValueError(f"{flags.clicks}: clicks in pictures of {had} pixels; {flags.dataset_dir} has {has}")
    given = _matrix(flags, clicks, size)
    matrix, heights = _measured(task, clicks.camera, size, given)
    finder = Finder(task, flags.color or {}, matrix, heights, flags.min_area, clicks.props)
    stands = f"{clicks.camera}, {'camera of the scene' if given is None else 'four points'}"
    edits, notes = {}, []
    for path, image in pictures.items():
        try:
            start = finder(image, path.stem)
        except EpisodeError as error:
            raise named_error(path, error) from error
        if flags.anew or headers[path].env_state is None:
            edits[path] = partial(placed, start=start, how=f"{finder.how(path.stem)}, {stands}")
        notes.append(_note(path, finder, start, headers[path].env_state, flags.anew))
    plan = plan_edits(flags, edits.get)
    return replace(plan, notes=(*plan.notes, *notes))


def _clicks(flags: PlacesFlags, task: Task) -> Clicks:
    """The clicks in chosen episodes, if --clicks names a file; ValueError if other flags contradict it, or
    there is nothing to find props by.
    """
    names, clicks = [prop.name for prop in task.props], Clicks(flags.camera or task.cameras[0])
    if flags.clicks is not None:
        clicks = read_clicks(flags.clicks, [path.stem for path in list_episodes(flags.dataset_dir)], names)
        if flags.camera not in (None, clicks.camera):
            raise ValueError(
                f"--camera is {flags.camera}; the clicks of {flags.clicks} are in {clicks.camera}"
            )
        if flags.points and clicks.points:
            raise ValueError(f"--points, and {flags.clicks} has points of the table too; give one of them")
        chosen = [path.stem for path in flags.chosen() if clicks.props.get(path.stem)]
        clicks = replace(clicks, props={episode: clicks.props[episode] for episode in chosen})
    for name in flags.color or ():
        choose("prop of --color", name, names)
    sought = {*(flags.color or ()), *(prop for clicked in clicks.props.values() for prop in clicked)}
    unknown = [name for name in (_elsewhere(task) if sought else names) if name not in sought]
    if unknown:
        raise ValueError(
            f"say which colour {unknown[0]} has, e.g. --color {unknown[0]}=..., or click it: "
            "edit_episodes.py clicks makes a page for that"
        )
    return clicks


def _elsewhere(task: Task) -> list[str]:
    """Names of the props that may start far from the middle of where they may start."""
    far = [np.linalg.norm(np.subtract(prop.high, prop.low)) / 2 > NEAR for prop in task.props]
    return [prop.name for prop, is_far in zip(task.props, far, strict=True) if is_far and in_sight(prop)]


def _matrix(flags: PlacesFlags, clicks: Clicks, image_size: tuple[int, int]) -> np.ndarray | None:
    """Matrix (3, 4) of the camera, by points of the table that were given or clicked; None without any."""
    if clicks.points:
        pairs = [(point.pixel, point.place) for point in clicks.points]
    elif flags.points:
        pairs = [(_pixel(words, flags.points), place) for words, place in flags.points.items()]
    else:
        return None
    if len(pairs) != POINTS:
        raise _not_four(flags.points)
    pixels, spots = map(np.array, zip(*pairs, strict=True))
    return matrix_from_points(pixels, spots, flags.points_height, image_size)


def _pixel(words: str, points: Iterable[str]) -> list[float]:
    """A pixel of --points; ValueError unless it is two numbers."""
    with contextlib.suppress(ValueError):
        x, y = map(float, words.split(","))
        return [x, y]
    raise _not_four(points)


def _not_four(points: Iterable[str]) -> ValueError:
    return ValueError(
        f"--points {' '.join(points)}; four are needed, each a pixel and a place, e.g. 132,401=-0.45,0.05"
    )


def placed(episode: Episode, start: np.ndarray, how: str) -> Episode:
    """The episode with the start (P * 7,) of its props, and how it was found."""
    return replace(episode, env_state=start, places=how)


def scene_task(flags: SightFlags, header: Episode) -> Task:
    """The task whose props are looked for; ValueError if it has none."""
    if not flags.task_name and not header.task:
        raise ValueError("the files name no task; add --task_name, whose props are looked for")
    task = get_task(flags.task_name or header.task)
    if task.scene is None or not task.props:
        raise ValueError(f"task {task.name!r} has no props to find; give a simulated one (--task_name)")
    return task


def _in_case(task: Task, case: str | None) -> Task:
    """The task in the case that the episodes show; ValueError unless it has that."""
    labels = [each.label for each in task.cases]
    if bool(labels) != (case is not None):
        hint = f"choose from {', '.join(labels)}, and the episodes with --episodes" if labels else "none"
        raise ValueError(f"--case is {case}; {task.name} has cases: {hint}")
    return task.variants[labels.index(choose("case", case, labels))] if labels else task


def pictures_of(paths: Iterable[Path], camera: str, step: int) -> dict[Path, np.ndarray]:
    """The picture (H, W, 3) at a step of each episode, all of one size; EpisodeError if there is none."""
    pictures = {}
    for path in paths:
        frames = Episode.load(path, (camera,), in_memory=False).images[camera]
        if step >= len(frames):
            raise EpisodeError(f"{path}: --step is {step}; it has {len(frames)} steps")
        pictures[path] = np.asarray(frames[step])
        first = next(iter(pictures))
        if pictures[path].shape != pictures[first].shape:
            raise EpisodeError(
                f"{path}: its pictures are not as large as those of {first.name}; name some with --episodes"
            )
    return pictures


def _measured(
    task: Task, camera: str, image_size: tuple[int, int], given: np.ndarray | None
) -> tuple[np.ndarray, list[float]]:
    """The camera's matrix (3, 4), and the height (m) of the middle of each prop that has come to rest."""
    from sim_env import make_sim_env  # opens OpenGL
    from tasks import camera_matrix

    env = make_sim_env(task)
    try:
        step = env.reset(0)
        for _ in range(round(SETTLE_SECONDS * task.fps)):
            env.step(step.observation["qpos"])
        rest = [env.physics.named.data.qpos[f"{prop.name}_joint"][2] for prop in task.props]
        if given is not None:
            return given, rest
        choose("camera of the scene", camera, env.cameras)
        return camera_matrix(env.physics, camera, image_size), rest
    finally:
        env.close()


def _note(path: Path, finder: Finder, start: np.ndarray, true: np.ndarray | None, is_replaced: bool) -> str:
    """Where the props of an episode are, and how far that is from what its file says."""
    becomes = "said" if is_replaced else "says, which stays"
    words = []
    for i, prop in enumerate(finder.task.props):
        if prop.name in finder.sought:
            x, y = start[7 * i : 7 * i + 2]
            words.append(f"{prop.name} at ({x:.3f}, {y:.3f}) m")
            if true is not None:
                off = 1000 * np.linalg.norm(start[7 * i : 7 * i + 2] - true[7 * i : 7 * i + 2])
                words[-1] += f", {off:.1f} mm from where the file {becomes}"
    return f"{path.name}: {'; '.join(words)}"
