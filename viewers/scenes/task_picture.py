"""A task in one picture: its scene from two sides, where its props start, and the path of its script."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common import BLUE, ORANGE, new_figure, write_png
from sim_env import SimEnv
from tasks import Arrival, Prop, Task, Waypoint, in_sight, mujoco, rendering

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (600, 800)  # height, width (pixels) of each view
VIEWS = {"from above": (90.0, -89.9), "from the side": (150.0, -28.0)}  # azimuth and elevation (degrees)
ARMS, PROPS = (BLUE, ORANGE), ("red", "deepskyblue", "gold", "magenta")
MARGIN = 1.25  # times the distance from which everything just fits into the picture
LEAST = 0.12  # m; the radius that is shown is at least this
TOGETHER = 14  # pixels; waypoints closer than this share a label


@dataclass(frozen=True)
class CasePicture:
    """What the picture of one case of a task shows."""

    task: Task  # the case as a task of its own
    title: str
    arrivals: Sequence[Arrival]  # at each waypoint, from the start that is shown
    ways: Mapping[str, np.ndarray]  # by arm: (N, 3) m, the path of its grip point
    missed: Mapping[int, float]  # by waypoint that is out of reach from some start: the largest distance (m)


class SideView:
    """The scene from one side; a call says where points of the world are in its `image`."""

    def __init__(self, env: SimEnv, points: np.ndarray, azimuth: float, elevation: float) -> None:
        model, data = env.physics.model.ptr, env.physics.data.ptr
        env.make_room(*SIZE)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        radius = max(LEAST, float(np.linalg.norm(points - middle, axis=1).max()))
        half = np.radians(model.vis.global_.fovy) / 2
        camera = mujoco.MjvCamera()
        camera.lookat, camera.distance = middle, MARGIN * radius / np.sin(half)
        camera.azimuth, camera.elevation = azimuth, elevation
        with rendering(), contextlib.closing(mujoco.Renderer(model, *SIZE)) as renderer:
            renderer.update_scene(data, camera)
            self.image = renderer.render()
            eyes = renderer.scene.camera  # two, as of a stereo camera
            self._eye = np.mean([eye.pos for eye in eyes], axis=0)
            forward, up = (
                np.mean([getattr(eye, name) for eye in eyes], axis=0) for name in ("forward", "up")
            )
        self._axes = np.stack([np.cross(forward, up), -up, forward])  # right, down, ahead
        self._focal = SIZE[0] / 2 / np.tan(half)  # pixels

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of points (N, 3) in m."""
        right, down, ahead = self._axes @ (np.reshape(points, (-1, 3)) - self._eye).T
        centre = (np.array(SIZE[::-1]) - 1) / 2
        return centre + self._focal * np.column_stack([right / ahead, down / ahead])


def _points(case: CasePicture) -> np.ndarray:
    """Everything (N, 3) that must be in the picture."""
    boxes = [np.array(list(_corners(prop))) for prop in case.task.props if in_sight(prop)]
    points = [*boxes, *case.ways.values()]
    return np.concatenate(points) if points else np.zeros((1, 3))


def _corners(prop: Prop) -> product:
    return product(*zip(prop.low, prop.high, strict=True))


def write_task_picture(path: str | Path, env: SimEnv, cases: Sequence[CasePicture], seed: int) -> None:
    """Write a PNG with a row for each case: the scene from above and from the side, and a legend.

    Args:
        path: the file.
        env: the task's environment.
        cases: of the task.
        seed: of the start that is shown.
    """
    figure = new_figure(19.5, 5.6 * len(cases))
    panels = figure.subplots(len(cases), 3, squeeze=False, width_ratios=(1, 1, 0.75))
    for number, (row, case) in enumerate(zip(panels, cases, strict=True)):
        env.reset(seed, case=number)
        for panel, (name, angles) in zip(row, VIEWS.items(), strict=False):
            view = SideView(env, _points(case), *angles)
            panel.imshow(view.image)
            panel.set_xlim(0, SIZE[1])
            panel.set_ylim(SIZE[0], 0)
            panel.set_title(f"{case.title}, {name}", loc="left", fontsize=11)
            panel.set_axis_off()
            _draw_axes(panel, view, _points(case))
            _draw_starts(panel, view, case.task.props)
            _draw_goals(panel, view, case.task)
            _draw_way(panel, view, case)
        row[-1].set_axis_off()
        row[-1].text(
            0, 1, legend(case), va="top", family="monospace", fontsize=8.5, transform=row[-1].transAxes
        )
    write_png(figure, path, grid=False)


def _draw_axes(panel: Axes, view: SideView, points: np.ndarray) -> None:
    """The world's axes, in a corner of the picture, each a fifth of the scene long."""
    corner = np.append(points.min(axis=0)[:2], max(0.0, points.min(axis=0)[2]))
    length = max(LEAST, float(np.ptp(points, axis=0).max())) / 5
    origin, *ends = view(corner + length * np.vstack([np.zeros(3), np.eye(3)]))
    for name, end in zip("xyz", ends, strict=True):
        if np.linalg.norm(end - origin) < TOGETHER:
            continue  # it points at the viewer
        panel.annotate("", end, origin, arrowprops={"arrowstyle": "->", "color": "white", "lw": 1.5})
        panel.text(*(end + 0.15 * (end - origin)), name, color="white", ha="center", va="center", fontsize=10)


def _draw_starts(panel: Axes, view: SideView, props: Sequence[Prop]) -> None:
    for prop, color in zip(props, PROPS * len(props), strict=False):
        if not in_sight(prop):
            continue
        corners = np.array(list(_corners(prop)))
        edges = [(i, j) for i in range(8) for j in range(i) if ((corners[i] == corners[j]).sum() >= 2)]
        pixels = view(corners)
        for i, j in edges:
            panel.plot(*pixels[[i, j]].T, color=color, lw=1.8)
        if prop.low == prop.high:
            panel.plot(*pixels[0], "+", color=color, ms=14, mew=2.5)  # always on the same spot
        lowest = pixels[pixels[:, 1].argmax()]
        _label(panel, lowest + [0, 6], f"{prop.name} starts here", color, va="top")


def _draw_goals(panel: Axes, view: SideView, task: Task) -> None:
    """A circle around each point that a prop must come near in a stage."""
    turn = np.linspace(0, 2 * np.pi, 60)
    low = {prop.name: prop.low[2] for prop in task.props}
    for stage in task.stages:
        for prop, place, metres in (near for way in stage.ways for near in way.nears):
            if isinstance(place, str):
                continue  # the scene shows this body
            x, y, z = (*place, low[prop])[:3]
            circle = np.column_stack([x + metres * np.cos(turn), y + metres * np.sin(turn), np.full(60, z)])
            pixels = view(circle)
            panel.plot(*pixels.T, color="limegreen", lw=1.8, ls="--")
            highest = pixels[pixels[:, 1].argmin()]
            _label(panel, highest - [0, 6], f"{stage.label}: {prop}", "limegreen")


def _draw_way(panel: Axes, view: SideView, case: CasePicture) -> None:
    for arm, color in zip(case.ways, ARMS, strict=False):
        panel.plot(*view(case.ways[arm]).T, color="white", lw=3.6, alpha=0.8)
        panel.plot(*view(case.ways[arm]).T, color=color, lw=1.8)
        own = [a for a in case.arrivals if case.task.script[a.number].arm == arm]
        pixels = view(np.array([arrival.wanted for arrival in own]))
        for arrival, (x, y) in zip(own, pixels, strict=True):
            closed = case.task.script[arrival.number].gripper < 0.5
            panel.plot(x, y, "o", ms=8, mec=color, mew=1.8, mfc=color if closed else "white")
            if arrival.number in case.missed:
                panel.plot(x, y, "x", ms=18, mec="red", mew=4)
        for numbers, place in _groups([arrival.number for arrival in own], pixels):
            is_missed = any(number in case.missed for number in numbers)
            text = ",".join(map(str, numbers)) + (" out of reach" if is_missed else "")
            _label(panel, place + [8, -6], text, "red" if is_missed else color, ha="left")


def _groups(numbers: Sequence[int], pixels: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Waypoints that fall together in the picture, with the place of the first."""
    groups: list[tuple[list[int], np.ndarray]] = []
    for number, pixel in zip(numbers, pixels, strict=True):
        near = (group for group, place in groups if np.linalg.norm(place - pixel) < TOGETHER)
        group = next(near, None)
        if group is None:
            groups.append(([number], pixel))
        else:
            group.append(number)
    return groups


def _label(
    panel: Axes, place: np.ndarray, text: str, color: str, ha: str = "center", va: str = "bottom"
) -> None:
    """Write `text` at `place` (x, y) in pixels."""
    box = {"facecolor": "white", "edgecolor": color, "boxstyle": "round,pad=0.15", "alpha": 0.85}
    panel.text(*place, text, ha=ha, va=va, fontsize=8.5, bbox=box, clip_on=True)


def legend(case: CasePicture) -> str:
    """The picture in words: props, stages, waypoints."""
    task = case.task
    lines = ["Frames: where the middle of a prop may start, in m; arrows: the world's axes"]
    for prop in task.props:
        turned = f", turned by {prop.yaw[0]:g} to {prop.yaw[1]:g} degrees" if any(prop.yaw) else ""
        where = _range(prop) if in_sight(prop) else "out of sight, below the table"
        lines.append(f"  {prop.name:<12} {where}{turned}")
    lines += ["", "Reward"]
    lines += [f"  {number}  {stage.label}" for number, stage in enumerate(task.stages, start=1)]
    if not task.script:
        return "\n".join([*lines, "", "No script: this task is done by people."])
    colours = ", ".join(f"{word} {arm}" for arm, word in zip(case.ways, ("blue", "orange"), strict=False))
    lines += ["", f"Line: the path of the point between the fingers ({colours})"]
    lines += ["Dots: waypoints, white while the gripper is open"]
    lines += ["", " no  arm    step      s  gripper  where"]
    for number, point in enumerate(task.script):
        missed = f"  OUT OF REACH by {1000 * case.missed[number]:.0f} mm" if number in case.missed else ""
        seconds = point.step / task.fps
        head = f"{number:>3}  {point.arm:<5} {point.step:>5} {seconds:>6.1f} {point.gripper:>8.2g}"
        lines.append(f"{head}  {place_of(point)}{missed}")
    return "\n".join(lines)


def _range(prop: Prop) -> str:
    ends = zip("xyz", prop.low, prop.high, strict=True)
    return ", ".join(f"{axis} {low:g}" + (f" to {high:g}" if high > low else "") for axis, low, high in ends)


def place_of(point: Waypoint) -> str:
    """Where a waypoint is, in words."""
    if isinstance(point.at, str):
        return f"{point.at} + ({', '.join(f'{value:g}' for value in point.xyz)})"
    axes = zip("xyz", point.at, point.xyz, strict=True)
    return ", ".join(f"{axis} {name}{value:+g}" for axis, name, value in axes)
