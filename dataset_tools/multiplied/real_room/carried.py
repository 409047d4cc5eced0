"""Where a camera really is on the arm that carries it, by what it sees of a prop that lies still.

People screw a wrist camera on where it fits. Until a hand comes near, the files say where the arm and the
prop are; what is left to explain where a picture shows the prop is how the camera sits: a hand-eye
calibration (Tsai and Lenz 1989) that needs no pattern.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy.optimize import least_squares

from dataset_tools.multiplied.real_room.moments import moments
from dataset_tools.multiplied.real_room.standing import how_far
from episodes import Episode
from tasks import CameraMove, camera_pose, matrix_of, moved_camera, to_pixels

if TYPE_CHECKING:  # it opens OpenGL
    from ee_sim_env import EndEffectorEnv
    from sim_env import SimEnv

PICTURES = 120  # of all demonstrations together
LEAST = 20  # of them that must show the prop
NEAR = 0.06  # m between a grip point and a prop: nearer, a hand hides it or moves it
HUES = 180  # of OpenCV
SAME_HUE = 10  # either way; a colour's hue varies with the light
GREY = 60  # saturation, of 255, of what has no colour to be told by
USUAL = np.array(3 * [0.01] + 3 * [0.035])  # m and rad by which cameras are off; pictures can outweigh it
EXACT = 2.0  # pixels; places are not known better, so that a greater difference counts less
SIDE = 0.5  # weight of how large the prop is, against where it is
MOST_OFF = 10.0  # pixels, median of a fit that explains something


@dataclass(frozen=True)
class View:
    """A picture, with what the scene says about it."""

    picture: np.ndarray  # (H, W, 3) uint8 RGB
    axes: np.ndarray  # (3, 3), of the camera, as `camera_pose`
    place: np.ndarray  # (3,), m, of the camera
    corners: tuple[np.ndarray, ...]  # of each prop: of the boxes round its geoms (N, 3), m

    def outline(self, prop: int, fovy: float, move: CameraMove) -> np.ndarray:
        """A prop's outline (N, 1, 2), in pixels, if the camera is moved so; nothing hides it."""
        axes, place = moved_camera(self.axes, self.place, move)
        pixels = to_pixels(matrix_of(fovy, axes, place, self.picture.shape[:2]), self.corners[prop])
        return cv2.convexHull(np.nan_to_num(pixels).astype(np.float32))


@dataclass(frozen=True)
class Sight:
    """Where a view really shows a prop."""

    view: View
    seen: np.ndarray  # (3,), pixels: x and y of its middle, and SIDE times the root of its area


@dataclass(frozen=True)
class Carried:
    """Where a camera is on its arm."""

    camera: str
    move: CameraMove  # from where the scene has it
    prop: str  # by which it was found
    pictures: int
    off: float  # pixels, median of them

    @classmethod
    def found(cls, env: EndEffectorEnv, camera: str, paths: Sequence[Path]) -> Carried | None:
        """From demonstrations whose props have known places; None if they do not tell."""
        task, views = env.spec, list(views_of(env, camera, paths))
        fovy = float(env.env.physics.named.model.cam_fovy[camera])
        for number, prop in enumerate(task.props):
            sights = sights_of(views, number, fovy)
            if len(sights) < LEAST:
                continue
            move, off = fitted(sights, number, fovy)
            if off <= MOST_OFF:
                return cls(camera, move, prop.name, len(sights), off)
        return None

    def put(self, env: SimEnv) -> None:
        """Put the simulated camera there, until the environment is closed. It must have looks."""
        env.task.looks.bumps[self.camera] = self.move

    def told(self) -> str:
        """In words."""
        return (
            f"{self.camera} sits {how_far(self.move)}, as {self.pictures} pictures of {self.prop} tell to "
            f"{self.off:.1f} pixels"
        )


def views_of(env: EndEffectorEnv, camera: str, paths: Sequence[Path]) -> Iterator[View]:
    """Views of the props at their starts, evenly from each demonstration, until a hand comes near one."""
    physics = env.env.physics
    for picture in moments(env.env, camera, paths, PICTURES, partial(_before_near, env)):
        axes, place = camera_pose(physics, camera), physics.named.data.cam_xpos[camera]
        corners = tuple(_corners(physics, prop.name) for prop in env.spec.props)
        yield View(picture, axes.copy(), place.copy(), corners)


def _before_near(env: EndEffectorEnv, episode: Episode) -> int:
    """The last step before a hand comes near a prop."""
    props = episode.env_state.reshape(-1, 7)[:, :3]
    for step, state in enumerate(episode.qpos):
        hands = env.gripper_action(state).reshape(-1, 8)[:, :3]
        if np.linalg.norm(hands[:, None] - props, axis=2).min() < NEAR:
            return max(0, step - 1)
    return len(episode) - 1


def _corners(physics: Any, prop: str) -> np.ndarray:
    """Corners (N, 3) in m of the boxes round a prop's geoms, where they are now."""
    model, data = physics.model.ptr, physics.data.ptr
    signs = np.array(np.meshgrid(*3 * [[-1, 1]])).reshape(3, -1).T  # (8, 3)
    geoms = np.flatnonzero(model.geom_bodyid == model.body(prop).id)
    boxes = model.geom_aabb[geoms, None, :3] + signs * model.geom_aabb[geoms, None, 3:]  # (G, 8, 3)
    turned = boxes @ data.geom_xmat[geoms].reshape(-1, 3, 3).transpose(0, 2, 1)
    return (data.geom_xpos[geoms, None] + turned).reshape(-1, 3)


def sights_of(views: Sequence[View], prop: int, fovy: float) -> list[Sight]:
    """Where views show a prop: the largest part of its colour, unless the picture's edge cuts it."""
    usual = np.zeros(3), np.zeros(3)
    hued = [cv2.cvtColor(view.picture, cv2.COLOR_RGB2HSV) for view in views]
    inside = [
        hsv[_filled(view.outline(prop, fovy, usual), hsv.shape[:2])]
        for view, hsv in zip(views, hued, strict=True)
    ]
    hue, saturation = colour_of(np.concatenate(inside))
    if saturation < GREY:
        return []
    sights = []
    for view, hsv in zip(views, hued, strict=True):
        is_prop = _is_near(hsv[..., 0], hue) & (hsv[..., 1] > saturation / 2)
        _, _, parts, middles = cv2.connectedComponentsWithStats(is_prop.astype(np.uint8))
        if len(parts) == 1:
            continue
        number = 1 + int(parts[1:, cv2.CC_STAT_AREA].argmax())
        x, y, width, height, area = parts[number]
        if x > 0 and y > 0 and x + width < hsv.shape[1] and y + height < hsv.shape[0]:
            sights.append(Sight(view, np.array([*middles[number], SIDE * np.sqrt(area)])))
    return sights


def _filled(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The inside of an outline, (H, W) bool."""
    mask = np.zeros(size, np.uint8)
    cv2.fillConvexPoly(mask, np.round(outline).astype(np.int32), 1)
    return mask > 0


def _is_near(hues: np.ndarray, hue: int) -> np.ndarray:
    """Which hues are the same as one."""
    return np.abs((hues.astype(int) - hue + HUES // 2) % HUES - HUES // 2) < SAME_HUE


def colour_of(pixels: np.ndarray) -> tuple[int, float]:
    """The hue that most of the colour in pixels (N, 3) of OpenCV's HSV has, and its median saturation."""
    if not len(pixels):
        return 0, 0.0
    hues, strength = pixels[:, 0].astype(int), pixels[:, 1] * pixels[:, 2].astype(float)
    counts = np.bincount(hues, strength, HUES)
    around = sum(np.roll(counts, shift) for shift in range(-SAME_HUE // 2, SAME_HUE // 2 + 1))
    hue = int(around.argmax())
    return hue, float(np.median(pixels[_is_near(hues, hue), 1]))


def fitted(sights: Sequence[Sight], prop: int, fovy: float) -> tuple[CameraMove, float]:
    """The camera's move that explains best where a prop is seen, and how far (pixels, median) it is off.

    Turns and shifts look much alike, so USUAL holds back what the pictures do not ask for.
    """
    seen = np.array([sight.seen for sight in sights])

    def differences(numbers: np.ndarray) -> np.ndarray:
        move = numbers[:3], numbers[3:]
        return np.array([_shown(sight.view.outline(prop, fovy, move)) for sight in sights]) - seen

    def residuals(numbers: np.ndarray) -> np.ndarray:
        return np.concatenate([differences(numbers).ravel(), numbers / USUAL])

    numbers = least_squares(residuals, np.zeros(6), x_scale=USUAL, loss="soft_l1", f_scale=EXACT).x
    off = float(np.median(np.linalg.norm(differences(numbers)[:, :2], axis=1)))
    return (numbers[:3], numbers[3:]), off


def _shown(outline: np.ndarray) -> np.ndarray:
    """As `Sight.seen`, of an outline."""
    moments = cv2.moments(outline)
    area = max(moments["m00"], 1e-6)
    return np.array([moments["m10"] / area, moments["m01"] / area, SIDE * np.sqrt(area)])
