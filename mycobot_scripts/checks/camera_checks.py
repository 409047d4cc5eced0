"""Checks of the cameras: rate, size, frozen, automatic exposure, and whether they see the gripper."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from common import complete_file
from mycobot_scripts.checks.arm_checks import CLOSED, OPEN, move_gripper
from mycobot_scripts.checks.findings import Finding, judged
from mycobot_scripts.checks.pictures import BRIGHT, DARK, MAX_DRIFT, difference, distinct, drift, marked
from mycobot_scripts.robot import Camera, MyCobotRobot, find_cameras, same_pictures, same_sources, size_text
from mycobot_scripts.wire import clock

PICTURES, PATIENCE = 5, 3.0  # of the gripper, open and closed each; s that they may take


def watch(camera: Camera, seconds: float) -> list[np.ndarray]:
    """Every picture (H, W, 3) that comes in so many seconds."""
    frames, count = [], camera.count
    deadline = clock.now() + seconds
    while clock.now() < deadline:
        if camera.count > count:
            count = camera.count
            frames.append(camera.latest.image)
        time.sleep(0.002)
    return frames


def save_picture(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as part:
        part.write_bytes(cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())


def check_camera(
    camera: Camera, fps: float, folder: Path, has_noise: bool = True, seconds: float = 3.0
) -> Iterator[Finding]:
    """One camera, the arm standing still; its picture goes to `folder`.

    Args:
        camera: which.
        fps: pictures a second that the task needs.
        folder: for its picture.
        has_noise: whether pictures of a scene that stands still differ, as a real sensor's do.
        seconds: how long to watch it.
    """
    name = f"camera {camera.name}"
    frames = watch(camera, seconds)
    if not frames:
        yield Finding(
            name, "bad", f"no picture in {seconds:g} s: {camera.error or 'it is silent'}", "plug it in anew"
        )
        return
    save_picture(folder / f"{camera.name}.png", frames[-1])
    rate = len(frames) / seconds
    text = f"{rate:.1f} pictures a second, {size_text(camera)}, {folder / (camera.name + '.png')}"
    advice = (
        f"{fps:g} a second are needed: another USB port (not one hub for all), more light, fewer programs"
    )
    yield judged(name, rate >= fps, text, advice)
    if camera.is_squashed:
        height, width = camera.size
        advice = f"set the camera to {width}x{height} or that shape; else record and run with the same size"
        yield Finding(f"{name}: shape", "look", f"its pictures are {size_text(camera)}", advice)
    if has_noise and len(frames) > 2:
        count = distinct(frames)
        advice = "pictures are the same to the last bit, which no sensor's are: plug it in anew"
        yield judged(f"{name}: live", count > 1, f"{count} of {len(frames)} pictures differ", advice)
    yield from _light(name, camera, frames)
    stable = find_cameras()
    if camera.source.isdecimal() and stable and not stable[0].isdecimal():
        advice = f"numbers change when plugged in anew; name it by its id: {', '.join(stable)}"
        yield Finding(f"{name}: name", "look", f"number {camera.source}", advice)


def check_same(cameras: Mapping[str, Camera]) -> Iterator[Finding]:
    """Whether two names stand for one camera, by its pictures, where their sources do not show it."""
    known = same_sources({name: camera.source for name, camera in cameras.items()})
    for one, other in same_pictures(cameras):
        if (one, other) in known:
            continue
        text = f"{one} and {other} give the same pictures, to the last bit"
        yield Finding("cameras", "bad", text, "they are one camera: give each name its own, see --cameras")


def _light(name: str, camera: Camera, frames: list[np.ndarray]) -> Iterator[Finding]:
    change, mean = drift(frames), float(frames[-1].mean())
    locked = [what for what, is_locked in camera.locked.items() if is_locked]
    free = [what for what, is_locked in camera.locked.items() if not is_locked]
    kept = f"; locked: {', '.join(locked) or 'nothing'}" if camera.locked else ""
    advice = "it exposes by itself, or lamps flicker: fix exposure in the driver, light the desk evenly"
    yield judged(
        f"{name}: light", change <= MAX_DRIFT, f"brightness varies by {change:.1%}{kept}", advice, "look"
    )
    if free:
        advice = "the driver does not let it be fixed; keep the light the same when recording and running"
        yield Finding(f"{name}: auto", "look", f"{', '.join(free)} may change by itself", advice)
    if not DARK <= mean <= BRIGHT:
        advice = "more light" if mean < DARK else "less light, or a shorter exposure"
        yield Finding(f"{name}: exposure", "look", f"mean brightness {mean:.0f} of 255", advice)


def check_visibility(robot: MyCobotRobot, cameras: Mapping[str, Camera], folder: Path) -> Iterator[Finding]:
    """Whether any camera sees the gripper open and close, where the arm is now (it picks here).

    SafetyStop if the run is stopped.
    """
    move_gripper(robot, OPEN)
    opened = {name: take_pictures(camera) for name, camera in cameras.items()}
    move_gripper(robot, CLOSED)
    closed = {name: take_pictures(camera) for name, camera in cameras.items()}
    move_gripper(robot, OPEN)
    changes = {}
    for name in cameras:
        change = difference(opened[name], closed[name])
        changes[name] = change
        path = folder / f"gripper_{name}.png"
        save_picture(path, marked(closed[name][-1], change))
        text = f"{change.pixels} pixels change when the gripper closes, {path}"
        yield Finding(f"gripper in {name}", "ok" if change.is_visible else "look", text)
    seeing = [name for name, change in changes.items() if change.is_visible]
    advice = (
        "no camera sees the gripper where it picks, so no policy can tell picking from holding: move a "
        "camera; if the gripper did not move, see its mode"
    )
    yield judged("gripper visible", bool(seeing), f"by {', '.join(seeing) or 'none'}", advice)


def take_still(camera: Camera) -> np.ndarray:
    """What stands before a camera, (H, W, 3) uint8 RGB: the median of its next pictures."""
    return np.median(np.stack(take_pictures(camera)), axis=0).astype(np.uint8)


def take_pictures(camera: Camera) -> list[np.ndarray]:
    """The next pictures, taken from now on."""
    frames: list[np.ndarray] = []
    deadline = clock.now() + PATIENCE
    while len(frames) < PICTURES + 1 and clock.now() < deadline:
        frames += watch(camera, 0.1)
    return frames[1:] or [camera.latest.image]
