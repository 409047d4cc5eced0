"""Where objects were as an episode began, found in a picture by their colour.

Recordings of a real arm do not say it; `multiply` needs it. A pixel and the height of an object's middle give
its place, once it is known how the camera stands: from the scene, or from four points of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from common import choose, cli
from constants import get_task
from dataset_tools.edits import EditFlags, load_header, named_error, plan_edits
from dataset_tools.plans import Plan
from dataset_tools.region_search import coloured_parts
from episodes import Episode, EpisodeError
from tasks import Task, pose_of

Colour = tuple[int, int, int, int, int, int]
OFF = 0.05  # m; an object further from where the task lets it start was mistaken for another
SETTLE_SECONDS = 0.3  # for a prop to fall to its place


@dataclass(frozen=True)
class PlacesFlags(EditFlags):
    """Flags of `places`."""

    task_name: str | None = cli.flag(
        None, "simulated task whose props to find; the one that the file names if not given"
    )
    color: dict[str, Colour] | None = cli.flag(
        None,
        "colour of each prop, also of its sides in the shade: least red, green and blue, then greatest, e.g. "
        "cube=60,0,0,255,60,60",
        least=0,
        most=255,
    )
    camera: str | None = cli.flag(None, "camera to look with; the first of the task if not given")
    step: int = cli.flag(5, "step whose picture is looked at; the arm must not be in the way yet", least=0)
    points: dict[str, tuple[float, float]] | None = cli.flag(
        None,
        "four points of the table, each a pixel x,y and its place x,y in the world (m), e.g. "
        "132,401=-0.45,0.05; the camera stands as in the scene if not given",
    )
    points_height: float = cli.flag(0.0, "height of these points (m)", least=-1, most=1)
    min_area: int = cli.flag(30, "pixels; smaller parts of a colour count as noise", least=1)
    case: str | None = cli.flag(None, "case that the episodes show, for a task with cases")


@dataclass(frozen=True)
class Finder:
    """Finds the props of a task in a picture."""

    task: Task
    colours: Mapping[str, Colour]
    matrix: np.ndarray  # (3, 4), from a homogeneous point in the world to its pixel
    heights: Sequence[float]  # m, of the middle of each prop that stands
    min_area: int

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Start of the props (P * 7,) in a picture (H, W, 3) uint8 RGB; EpisodeError if one is not there.

        Props without a colour are in the middle of where they may start.
        """
        return np.concatenate([self._pose(number, image) for number in range(len(self.task.props))])

    def _pose(self, number: int, image: np.ndarray) -> np.ndarray:
        prop = self.task.props[number]
        low, high = np.array(prop.low), np.array(prop.high)
        if prop.name not in self.colours:
            return pose_of((low + high) / 2, sum(prop.yaw) / 2)
        pixel = middle(image, self.colours[prop.name], self.min_area)
        if pixel is None:
            raise EpisodeError(f"the picture shows no {prop.name}: nothing of its colour (--color) is there")
        place = np.array([*on_plane(self.matrix, pixel, self.heights[number]), low[2]])
        off = float(np.linalg.norm(place - np.clip(place, low, high)))
        if off > OFF:
            where = ", ".join(f"{value:.3f}" for value in place[:2])
            raise EpisodeError(f"{prop.name} would be at ({where}) m, {off:.2f} m from where it may start")
        return pose_of(place, sum(prop.yaw) / 2)


def middle(image: np.ndarray, colour: Colour, min_area: int) -> np.ndarray | None:
    """Middle (2,), x and y, of the largest part of a colour in a picture (H, W, 3); None if there is none."""
    parts, middles = coloured_parts(image, colour[:3], colour[3:])
    areas = parts[:, cv2.CC_STAT_AREA]
    return middles[areas.argmax()] if areas.max(initial=0) >= min_area else None


def on_plane(matrix: np.ndarray, pixel: np.ndarray, height: float) -> np.ndarray:
    """Place (2,) in m of the point at a height (m) that a camera of this matrix (3, 4) sees at a pixel."""
    plane = np.column_stack([matrix[:, 0], matrix[:, 1], height * matrix[:, 2] + matrix[:, 3]])
    x, y, scale = np.linalg.solve(plane, [*pixel, 1.0])
    return np.array([x, y]) / scale


def matrix_from_points(
    pixels: np.ndarray, places: np.ndarray, height: float, image_size: tuple[int, int]
) -> np.ndarray:
    """Matrix (3, 4) of a camera that sees four places (4, 2) in m, all at one height, at pixels (4, 2).

    A homography has eight numbers; with square pixels and the lens in the middle of the picture (H, W), they
    give the focal length and the pose (Zhang 2000, section 3.1). ValueError if the points do not.
    """
    centre = (np.array(image_size[::-1]) - 1) / 2
    homography = cv2.findHomography(places, pixels - centre)[0]
    if homography is None:
        raise ValueError("--points are on a line, or two are the same; give four corners of the table")
    one, two, _ = homography.T
    # two axes of the table are at right angles, and equally long: twice a linear equation in 1 / focal**2
    factors = np.array([one[:2] @ two[:2], one[:2] @ one[:2] - two[:2] @ two[:2]])
    others = -np.array([one[2] * two[2], one[2] ** 2 - two[2] ** 2])
    inverse = factors @ others / (factors @ factors)
    if not 0 < inverse * max(image_size) ** 2 < 100:
        raise ValueError("--points do not fit a camera; check their pixels and places, and their order")
    lens = np.diag([inverse**-0.5, inverse**-0.5, 1.0])
    axes = np.linalg.solve(lens, homography)
    axes /= np.linalg.norm(axes[:, :2], axis=0).mean()
    axes *= np.sign(axes[2, 2])  # the table is in front of the camera
    up = np.cross(axes[:, 0], axes[:, 1])
    pose = np.column_stack([axes[:, :2], up, axes[:, 2] - height * up])
    return np.array([[1, 0, centre[0]], [0, 1, centre[1]], [0, 0, 1]]) @ lens @ pose


def _from_points(flags: PlacesFlags, image_size: tuple[int, int]) -> np.ndarray:
    """The matrix that --points give; ValueError if they do not."""
    try:
        pixels = np.array([[float(number) for number in pixel.split(",")] for pixel in flags.points])
        if pixels.shape != (4, 2):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"--points {' '.join(flags.points)}; four are needed, each a pixel and a place, e.g. "
            "132,401=-0.45,0.05"
        ) from None
    return matrix_from_points(pixels, np.array(list(flags.points.values())), flags.points_height, image_size)


def places(flags: PlacesFlags) -> Plan:
    """Find where objects were at the start by their colour, for episodes whose file does not say it."""
    headers = {path: load_header(path) for path in flags.chosen()}
    task = _task(flags, next(iter(headers.values())))
    if not flags.color:
        raise ValueError(f"say which colour {task.props[0].name} has, e.g. --color {task.props[0].name}=...")
    for name in flags.color:
        choose("prop of --color", name, [prop.name for prop in task.props])
    camera = flags.camera or task.cameras[0]
    pictures = {path: _picture(path, camera, flags.step) for path in headers}
    sizes = {image.shape[:2] for image in pictures.values()}
    if len(sizes) > 1:
        raise EpisodeError(f"{flags.dataset_dir}: pictures of several sizes; name some with --episodes")
    matrix, heights = _measured(task, camera, sizes.pop(), flags)
    finder = Finder(task, flags.color, matrix, heights, flags.min_area)
    how = f"by colour, {camera}, {'four points' if flags.points else 'camera of the scene'}"
    edits, notes = {}, []
    for path, image in pictures.items():
        try:
            start = finder(image)
        except EpisodeError as error:
            raise named_error(path, error) from error
        if headers[path].env_state is None:
            edits[path] = partial(placed, start=start, how=how)
        notes.append(_note(path, task, flags.color, start, headers[path].env_state))
    plan = plan_edits(flags, edits.get)
    return replace(plan, notes=(*plan.notes, *notes))


def placed(episode: Episode, start: np.ndarray, how: str) -> Episode:
    """The episode with the start (P * 7,) of its props, and how it was found."""
    return replace(episode, env_state=start, places=how)


def _task(flags: PlacesFlags, header: Episode) -> Task:
    """The task whose props are found, in the case that the episodes show."""
    task = get_task(flags.task_name or header.task)
    if task.scene is None or not task.props:
        raise ValueError(f"task {task.name!r} has no props to find; give a simulated one (--task_name)")
    labels = [case.label for case in task.cases]
    if bool(labels) != (flags.case is not None):
        hint = f"choose from {', '.join(labels)}, and the episodes with --episodes" if labels else "none"
        raise ValueError(f"--case is {flags.case}; {task.name} has cases: {hint}")
    return task.variants[labels.index(choose("case", flags.case, labels))] if labels else task


def _picture(path: Path, camera: str, step: int) -> np.ndarray:
    """A picture (H, W, 3) of an episode; EpisodeError if there is none."""
    frames = Episode.load(path, (camera,), in_memory=False).images[camera]
    if step >= len(frames):
        raise EpisodeError(f"{path}: --step is {step}; it has {len(frames)} steps")
    return np.asarray(frames[step])


def _measured(
    task: Task, camera: str, image_size: tuple[int, int], flags: PlacesFlags
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
        if flags.points:
            return _from_points(flags, image_size), rest
        choose("camera of the scene", camera, env.cameras)
        return camera_matrix(env.physics, camera, image_size), rest
    finally:
        env.close()


def _note(
    path: Path, task: Task, colours: Mapping[str, Colour], start: np.ndarray, true: np.ndarray | None
) -> str:
    """Where the props of an episode are, and how far that is from what its file says."""
    words = []
    for i, prop in enumerate(task.props):
        if prop.name in colours:
            x, y = start[7 * i : 7 * i + 2]
            words.append(f"{prop.name} at ({x:.3f}, {y:.3f}) m")
            if true is not None:
                off = 1000 * np.linalg.norm(start[7 * i : 7 * i + 2] - true[7 * i : 7 * i + 2])
                words[-1] += f", {off:.1f} mm from where the file says, which stays"
    return f"{path.name}: {'; '.join(words)}"
