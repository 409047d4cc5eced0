"""Pictures of what a policy looks at (inspector.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from common import BLUE, ORANGE, PlottedEntry, joint_lines_plot, labelled, new_figure, tile, write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from viewers.features.inspector import CameraLook, Comparison, Look, Saliency  # they import torch

CHANNELS = (2, 8)  # rows and columns of a stage's channels
HEAT = 0.75  # opacity of the strongest heat
SMOOTH = 1 / 60  # of the image's height: gradients jump from pixel to pixel
FRAME_HEIGHT = 240  # pixels of a panel of the video
TINY = 1e-12  # in place of a span of zero


def overlay(
    image: np.ndarray, heat: np.ndarray, low: float | None = None, top: float | None = None
) -> np.ndarray:
    """A grey picture (H, W, 3) uint8 under a map (h, w): clear at `low`, red at `top`, which are by default
    the map's least and greatest value.
    """
    low, top = heat.min() if low is None else low, heat.max() if top is None else top
    share = ((_stretched(heat, image.shape) - low) / max(top - low, TINY)).clip(0, 1)
    colours = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return _blend(image, colours, share)


def signed_overlay(image: np.ndarray, values: np.ndarray, top: float = 1.0) -> np.ndarray:
    """As `overlay`, but red at `top` and blue at minus `top`."""
    values = _stretched(values, image.shape) / top
    colours = np.where(values[..., None] > 0, (220, 20, 20), (30, 60, 230)).astype(np.uint8)
    return _blend(image, colours, np.abs(values).clip(0, 1))


def _stretched(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return cv2.resize(values.astype(np.float32), shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _blend(image: np.ndarray, colours: np.ndarray, share: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = HEAT * share[..., None]
    return ((1 - share) * grey + share * colours).astype(np.uint8)


def strength(stage: np.ndarray) -> np.ndarray:
    """(C, h, w) to (h, w): mean of the absolute values, as some channels are negative."""
    return np.abs(stage).mean(axis=0)


def smoothed(pixels: np.ndarray) -> np.ndarray:
    """(H, W), with the jumps between neighbouring pixels evened out."""
    return cv2.GaussianBlur(pixels, (0, 0), max(SMOOTH * pixels.shape[0], 0.5))


def percent(share: float) -> str:
    """In words; next to nothing has no sign."""
    return f"{round(float(share), 2) + 0.0:.0%}"


# --- one moment


def look_plot(
    path: Path, look: Look, saliency: Saliency, occlusion: Mapping[str, np.ndarray], title: str
) -> None:
    """Write a PNG of one moment, a row a camera: what the policy sees, and what its actions depend on.

    Gradients have one scale for all cameras; so has occlusion.
    """
    gradients = {camera: smoothed(pixels) for camera, pixels in saliency.pixels.items()}
    steepest = max(map(np.max, gradients.values()))
    total = sum(pixels.sum() for pixels in saliency.pixels.values())
    farthest = max(map(np.max, occlusion.values()), default=0.0)
    columns = 3 + bool(occlusion) + any(c.attention is not None for c in look.cameras.values())
    figure = new_figure(0.4 + 3.4 * columns, 0.7 + 2.75 * len(look.cameras))
    grid = figure.subplots(len(look.cameras), columns, squeeze=False)
    for row, (camera, seen) in zip(grid, look.cameras.items(), strict=True):
        panels = iter(row)
        _picture(next(panels), seen.image, f"{camera}: what it sees")
        name, stage = list(seen.stages.items())[-1]
        panel = next(panels)
        if seen.keypoints is None:
            _picture(panel, overlay(seen.image, strength(stage)), f"last map ({name}), mean")
        else:
            _picture(panel, seen.image, "keypoints; larger: matters more")
            _points(panel, seen, saliency.keypoints[camera], max(map(np.max, saliency.keypoints.values())))
        if seen.attention is not None:
            attention = seen.attention.mean(axis=0)
            _picture(next(panels), overlay(seen.image, attention), f"attention, {_peak(attention)}")
        share = saliency.pixels[camera].sum() / max(total, TINY)
        heat = overlay(seen.image, gradients[camera], 0, steepest)
        _picture(next(panels), heat, f"gradient ({share:.0%} of all cameras')")
        if occlusion:
            hidden = occlusion[camera]
            heat = overlay(seen.image, hidden, 0, farthest)
            _picture(next(panels), heat, f"hidden: actions move by up to {hidden.max():.2f} std")
    figure.suptitle(title, x=0.01, ha="left")
    write_png(figure, path, grid=False)


def _peak(attention: np.ndarray) -> str:
    """How far the greatest attention is above the mean."""
    return f"peak {attention.max() / max(attention.mean(), TINY):.1f}x the mean"


def _picture(panel: Axes, image: np.ndarray, title: str, **options: object) -> None:
    panel.imshow(image, **options)
    panel.set_title(title, loc="left", fontsize=9)
    panel.set_axis_off()


def _points(panel: Axes, seen: CameraLook, influence: np.ndarray, top: float) -> None:
    """Keypoints, the sharper the more opaque."""
    height, width = seen.image.shape[:2]
    x, y = seen.keypoints.T
    sharp = np.exp(-2 * seen.spread / height)
    sizes = 6 + 120 * influence / max(top, TINY)
    panel.scatter(
        x, y, s=sizes, c=np.arange(len(x)), cmap="hsv", alpha=sharp.clip(0.15, 1), edgecolors="white"
    )
    panel.set_xlim(-0.5, width - 0.5)
    panel.set_ylim(height - 0.5, -0.5)


def maps_plot(path: Path, seen: CameraLook, title: str) -> None:
    """Write a PNG of one camera's maps, a row a stage: their mean, and the channels that vary most."""
    figure = new_figure(15.5, 0.6 + 2.3 * len(seen.stages))
    grid = figure.subplots(len(seen.stages), 3, squeeze=False, width_ratios=(1.4, 1.4, 5.6))
    for row, (name, stage) in zip(grid, seen.stages.items(), strict=True):
        channels, height, width = stage.shape
        mean = strength(stage)
        _picture(row[0], overlay(seen.image, mean), f"{name}: mean strength")
        _picture(row[1], mean, f"{mean.min():.2g} to {mean.max():.2g}", cmap="viridis")
        shown = min(channels, CHANNELS[0] * CHANNELS[1])
        montage = _montage(stage[np.argsort(-stage.std(axis=(1, 2)))[:shown]])
        text = (
            f"{shown} of {channels} channels of {height}x{width}, those that vary most, each on its own scale"
        )
        _picture(row[2], montage, text, cmap="viridis")
    figure.suptitle(title, x=0.01, ha="left")
    write_png(figure, path, grid=False)


def _montage(channels: np.ndarray) -> np.ndarray:
    """Maps (n, h, w), each scaled to [0, 1], side by side in rows; between them nothing (NaN)."""
    rows, columns = CHANNELS
    low = channels.min(axis=(1, 2), keepdims=True)
    span = np.maximum(channels.max(axis=(1, 2), keepdims=True) - low, TINY)
    gap = max(1, channels.shape[2] // 20)
    spaced = np.pad((channels - low) / span, ((0, 0), (0, gap), (0, gap)), constant_values=np.nan)
    filled = np.full((rows * columns, *spaced.shape[1:]), np.nan, np.float32)
    filled[: len(spaced)] = spaced
    return np.vstack([np.hstack(list(filled[i : i + columns])) for i in range(0, len(filled), columns)])


def attention_plot(path: Path, look: Look, steps: Sequence[int], title: str) -> None:
    """Write a PNG of the decoder's attention: over the image for some actions, and its shares for all."""
    placed = {camera: seen for camera, seen in look.cameras.items() if seen.attention is not None}
    figure = new_figure(max(3.2 * len(steps), 7.0), 3.2 + 2.7 * len(placed))
    parts = figure.subfigures(
        1 + bool(placed), 1, squeeze=False, height_ratios=[2.7 * len(placed)] * bool(placed) + [2.6]
    )
    if placed:
        grid = parts[0, 0].subplots(len(placed), len(steps), squeeze=False)
        for row, (camera, seen) in zip(grid, placed.items(), strict=True):
            shown = seen.attention[list(steps)]
            for panel, step, heat in zip(row, steps, shown, strict=True):
                text = f"{camera}, action {step}: {look.shares[camera][step]:.0%}, {_peak(heat)}"
                _picture(panel, overlay(seen.image, heat, shown.min(), shown.max()), text)
    _shares(parts[-1, 0], look.shares)
    figure.suptitle(title, x=0.01, ha="left")
    write_png(figure, path, grid=False)


def _shares(part: SubFigure, shares: Mapping[str, np.ndarray]) -> None:
    panel = part.subplots()
    rows = np.stack(list(shares.values()))
    panel.stackplot(np.arange(rows.shape[1]), 100 * rows, labels=list(shares), alpha=0.8)
    panel.set_xlim(0, max(1, rows.shape[1] - 1))
    panel.set_ylim(0, 100)
    panel.set_xlabel("action of the chunk")
    panel.set_ylabel("attention (%)")
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def chunks_plot(
    path: Path,
    chunks: Mapping[str, np.ndarray],
    demonstrated: Mapping[str, np.ndarray],
    entries: Sequence[PlottedEntry],
    fps: float,
    title: str,
) -> None:
    """Write a PNG of predicted chunks (n, A), by name, and the actions (n, A) that were demonstrated."""
    lines = {}
    for colour, (name, chunk) in zip((BLUE, ORANGE), chunks.items(), strict=False):
        alone = {"marker": "o"} if len(chunk) == 1 else {}
        lines[f"{name}: predicted"] = chunk, {"color": colour, **alone}
        lines[f"{name}: demonstrated"] = demonstrated[name], {"color": colour, "ls": ":", "lw": 1.2}
    joint_lines_plot(path, lines, entries, fps, title)


# --- two moments


def comparison_plot(
    path: Path, names: Sequence[str], looks: Sequence[Look], comparison: Comparison, title: str
) -> None:
    """Write a PNG of two moments side by side, a row a camera, and what makes the policy do the one thing
    rather than the other: of each patch, how far it takes the chunk to the other moment's.
    """
    cameras = list(looks[0].cameras)
    columns = 5 if comparison.patches else 3
    figure = new_figure(0.4 + 3.4 * columns, 0.5 + 2.75 * len(cameras) + 0.5 * (len(cameras) + 2))
    upper, lower = figure.subfigures(2, 1, height_ratios=(2.75 * len(cameras), 0.5 * (len(cameras) + 2)))
    for row, camera in zip(upper.subplots(len(cameras), columns, squeeze=False), cameras, strict=True):
        images = [look.cameras[camera].image for look in looks]
        for panel, image, letter, name in zip(row, images, "AB", names, strict=False):
            _picture(panel, image, f"{camera}: {letter}, {name}")
        difference = np.abs(images[0].astype(int) - images[1]).max(axis=2)
        _picture(row[2], difference, "difference", cmap="gray", vmin=0, vmax=max(difference.max(), 32))
        for panel, i, other in zip(row[3:], (0, 1), "BA", strict=False):
            moved = comparison.patches[camera][i]
            least, most = (percent(value) for value in (moved.min(), moved.max()))
            text = f"a patch of {other}'s put in: {least} to {most}"
            _picture(panel, signed_overlay(images[i], moved, max(np.abs(moved).max(), 0.05)), text)
    _parts(lower.subplots(), comparison)
    figure.suptitle(title, x=0.01, ha="left")
    write_png(figure, path, grid=False)


def _parts(panel: Axes, comparison: Comparison) -> None:
    """Bars: how much the state and each camera's whole image do alone."""
    names = list(comparison.forward)
    for values, colour, offset, text in (
        (comparison.forward, BLUE, 0.2, "B's put into A: how far A's actions go to B's"),
        (comparison.backward, ORANGE, -0.2, "A's put into B: how far B's actions go to A's"),
    ):
        bars = panel.barh(
            [i + offset for i in range(len(names))],
            [100 * values[n] for n in names],
            0.38,
            color=colour,
            label=text,
        )
        panel.bar_label(bars, [percent(values[n]) for n in names], padding=3, fontsize=8)
    panel.set_yticks(range(len(names)), [n if n == "state" else f"image of {n}" for n in names])
    panel.axvline(0, color="black", lw=0.8)
    panel.axvline(100, color="gray", lw=0.8, ls=":")
    panel.margins(x=0.15)
    panel.set_xlabel("% of the way from one chunk of actions to the other")
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))


# --- over the episode


def video_frame(look: Look, saliency: Saliency, text: str) -> np.ndarray:
    """(H, W, 3) uint8: a row a camera, with its image, last map, attention and gradient.

    Each map has its own scale; gradients have one for all cameras.
    """
    gradients = {camera: smoothed(pixels) for camera, pixels in saliency.pixels.items()}
    steepest = max(map(np.max, gradients.values()))
    rows = []
    for camera, seen in look.cameras.items():
        name, stage = list(seen.stages.items())[-1]
        image = _enlarged(seen.image)
        panels = [(_dotted(image, seen, saliency.keypoints.get(camera)), f"{camera}  {text}")]
        panels.append((overlay(image, strength(stage)), f"last map ({name})"))
        if seen.attention is not None:
            panels.append((overlay(image, seen.attention.mean(axis=0)), "attention"))
        panels.append((overlay(image, gradients[camera], 0, steepest), "gradient"))
        rows.append(tile([labelled(picture, label) for picture, label in panels]))
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _enlarged(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    size = (round(width * FRAME_HEIGHT / height), FRAME_HEIGHT)
    return cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if height > FRAME_HEIGHT else cv2.INTER_LINEAR
    )


def _dotted(image: np.ndarray, seen: CameraLook, influence: np.ndarray | None) -> np.ndarray:
    """The enlarged image with the keypoints that matter most."""
    if influence is None:
        return image
    picture, scale = image.copy(), FRAME_HEIGHT / seen.image.shape[0]
    radii = 1 + 7 * np.sqrt(influence / max(influence.max(), TINY))
    for (x, y), radius in zip(seen.keypoints, radii, strict=True):
        centre = (round(float(x + 0.5) * scale), round(float(y + 0.5) * scale))
        cv2.circle(picture, centre, round(float(radius)), (255, 220, 0), 1, cv2.LINE_AA)
    return picture
