"""Where the pictures of a dataset's episodes differ (region_search.py): drawn, and put on a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from matplotlib.patches import Rectangle
from tqdm import tqdm

from common import Workers, complete_file, new_figure, spread, write_png
from dataset_tools.regions.region_search import (
    NOISE,
    Region,
    Sight,
    around,
    coarse,
    differing,
    see,
    standing_out,
)
from episodes import Box, Episode
from viewers import picture_url, script_json, write_page

SHOWN = 8  # episodes of a kind whose regions are drawn
EVERYTHING = 0.8  # share of the picture; a box this large leaves nothing out


@dataclass(frozen=True)
class Compared:
    """The episodes that are compared, and when."""

    groups: Sequence[tuple[str, Sequence[Path]]]  # name and files of each kind
    background: Sequence[Path]  # files of a recording without objects; may be none
    steps: tuple[int, int]  # the first and last step

    @property
    def paths(self) -> list[Path]:
        """The files of all kinds."""
        return [path for _, paths in self.groups for path in paths]


@dataclass(frozen=True)
class Survey:
    """What one camera saw in all episodes, and where the episodes differ."""

    camera: str
    names: tuple[str, ...]  # of the kinds
    kinds: np.ndarray  # (episodes,) number of each one's kind
    sights: tuple[Sight, ...]  # (episodes,)
    background: tuple[Sight, ...]  # of a recording without objects; may be none
    regions: tuple[Region, ...]  # tell the kinds apart
    objects: tuple[Region, ...]  # differ from the background or, without one, between episodes

    @cached_property
    def means(self) -> np.ndarray:
        """(kinds, H, W, 3) mean pictures."""
        return np.stack([np.mean([s.mean for s in self.of_kind(k)], axis=0) for k in range(len(self.names))])

    @cached_property
    def layers(self) -> dict[str, np.ndarray]:
        """Layers to draw, by name: (H, W) in grey levels."""
        squares = sum((s.mean - self.means[k]) ** 2 for s, k in zip(self.sights, self.kinds, strict=True))
        layers = {}
        if len(self.names) > 1:
            layers["difference between the kinds"] = np.ptp(self.means, axis=0).max(axis=2)
        layers["standard deviation within a kind"] = np.sqrt(squares / len(self.sights)).max(axis=2)
        layers["standard deviation over time"] = np.mean([s.travel for s in self.sights], axis=0)
        if self.background:
            empty = np.mean([s.mean for s in self.background], axis=0)
            largest = np.max([np.abs(s.mean - empty).max(axis=2) for s in self.sights], axis=0)
            layers["largest difference from the background"] = largest
        return layers

    def of_kind(self, kind: int) -> list[Sight]:
        """The sights in the episodes of one kind."""
        return [sight for sight, k in zip(self.sights, self.kinds, strict=True) if k == kind]

    @property
    def size(self) -> tuple[int, int]:
        return self.sights[0].first.shape[:2]

    @property
    def all_objects(self) -> Region | None:
        """A region around all objects; None if there are none, or it is nearly everything."""
        box = around([region.box for region in self.objects]) if self.objects else None
        return Region(box, 0.0, 0.0) if box and self.share(box) < EVERYTHING else None

    def share(self, box: Box) -> float:
        """The box's share of the picture, in [0, 1]."""
        x0, y0, x1, y1 = box
        return (x1 - x0) * (y1 - y0) / (self.size[0] * self.size[1])

    def words(self) -> list[str]:
        """The result, for the user."""
        reach = _reach((*self.sights, *self.background))
        still = (self.layers["standard deviation over time"] < NOISE).mean()
        lines = [
            f"{self.camera}: {still:.0%} of the picture never changes; shaken by up to {reach:.1f} pixels"
        ]
        if len(self.names) > 1 and not self.regions:
            lines.append("  no region tells the kinds apart by more than chance; more episodes may show one")
        lines += [
            f"  {i}: tells the kinds apart: {region.flag(self.camera)} ({self.share(region.box):.1%} of the "
            f"picture; with the kinds shuffled, one is as different in {region.chance:.0%} of the tries)"
            for i, region in enumerate(self.regions, 1)
        ]
        what = "differ from the background" if self.background else "vary from episode to episode"
        if self.all_objects:
            share = self.share(self.all_objects.box)
            lines.append(
                f"  objects that {what}: {self.all_objects.flag(self.camera)} ({share:.1%} of the picture)"
            )
        return lines


def _reach(sights: Sequence[Sight]) -> float:
    """The largest shake of the camera, in pixels."""
    return max(sight.shake.reach for sight in sights)


def survey(
    camera: str, compared: Compared, margin: int, rng: np.random.Generator, workers: Workers
) -> Survey:
    """Compare what a camera saw in all episodes.

    Args:
        camera: its name.
        compared: the episodes.
        margin: pixels added to boxes on every side.
        rng: shuffles the kinds.
        workers: how many episodes are read at a time.
    """
    groups, background, steps, paths = compared.groups, compared.background, compared.steps, compared.paths
    frames = Episode.load(paths[0], [camera], in_memory=False).images[camera]
    reference = frames[min(steps[0], len(frames) - 1)]
    calls = [(path, camera, steps, reference) for path in (*paths, *background)]
    progress = tqdm(total=len(calls), desc=f"looking at {camera}", unit="episode")
    with progress, spread(see, calls, workers, progress) as results:
        by_path = {sight.path: sight for sight in results}
    sights, empty = (tuple(by_path[path] for path in files) for files in (paths, background))
    kinds = np.repeat(np.arange(len(groups)), [len(own) for _, own in groups])
    images, size = np.stack([coarse(s.mean) for s in sights]), reference.shape[:2]
    plain = np.stack([coarse(s.mean) for s in empty]) if empty else images.mean(axis=0)[None]
    return Survey(
        camera,
        tuple(name for name, _ in groups),
        kinds,
        sights,
        empty,
        tuple(differing(images, kinds, size, margin, rng, _reach(sights))) if len(groups) > 1 else (),
        tuple(standing_out(images, plain, size, margin, _reach((*sights, *empty)))),
    )


def write_survey(folder: Path, surveys: Sequence[Survey]) -> list[Path]:
    """Write pictures, flags and the page; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for one in surveys:
        written.append(folder / f"{one.camera}.png")
        overview_plot(written[-1], one)
        if one.regions or one.objects:
            written.append(folder / f"{one.camera}_regions.png")
            regions_plot(written[-1], one)
    regions = {
        one.camera: {
            "kinds": [{"box": region.box, "chance": region.chance} for region in one.regions],
            "objects": [{"box": region.box} for region in one.objects],
        }
        for one in surveys
    }
    for name, content in (
        ("regions.json", json.dumps(regions, indent=1)),
        ("flags.txt", "\n".join(flag_lines(surveys))),
    ):
        written.append(folder / name)
        with complete_file(written[-1]) as part:
            part.write_text(content + "\n", encoding="utf-8")
    written.append(folder / "region.html")
    write_region_page(written[-1], surveys)
    return written


def flag_lines(surveys: Sequence[Survey]) -> list[str]:
    """Flags of training: first each camera's most different region, then all objects."""
    lines = []
    for what, regions in (
        ("# what tells the kinds apart", [(s.camera, s.regions[0]) for s in surveys if s.regions]),
        ("# all objects", [(s.camera, s.all_objects) for s in surveys if s.all_objects]),
    ):
        if regions:
            values = " ".join(region.flag(camera) for camera, region in regions)
            lines += [what, *(f"{flag} {values}" for flag in ("--crop", "--mask_outside", "--roi"))]
    return lines


def overview_plot(path: Path, survey: Survey) -> None:
    """Write a PNG of each kind's mean picture and of the layers, with the regions' boxes."""
    means = [(f"mean of {name}", survey.means[k] / 255) for k, name in enumerate(survey.names)]
    if survey.background:
        means.append(("mean of the background", np.mean([s.mean for s in survey.background], axis=0) / 255))
    columns = min(max(len(means), len(survey.layers)), 4)
    rows = -(-len(means) // columns) + -(-len(survey.layers) // columns)
    figure = new_figure(4.6 * columns, 3.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    places = iter(panels.flat)
    for title, picture in means:
        panel = next(places)
        panel.imshow(picture)
        panel.set_title(title, loc="left", fontsize=10)
    places = iter(panels[-(-len(means) // columns) :].flat)
    for title, layer in survey.layers.items():
        panel = next(places)
        drawn = panel.imshow(layer, cmap="magma", vmin=0, vmax=max(np.percentile(layer, 99.9), 16))
        figure.colorbar(drawn, ax=panel, label="grey levels", shrink=0.7)
        panel.set_title(title, loc="left", fontsize=10)
        shows_objects = "background" in title
        _draw_boxes(panel, survey.objects if shows_objects else survey.regions)
    write_png(figure, path, grid=False)


def _draw_boxes(panel, regions: Iterable[Region]) -> None:
    for i, region in enumerate(regions, 1):
        x0, y0, x1, y1 = region.box
        panel.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="cyan", linewidth=1.5))
        panel.text(x0, y0 - 4, str(i), color="cyan", fontsize=9)


def regions_plot(path: Path, survey: Survey) -> None:
    """Write a PNG of the regions in single episodes, so that a person can tell objects from cables."""
    regions = (survey.regions or survey.objects)[:3]
    rows, columns = len(regions) * len(survey.names), min(int(np.bincount(survey.kinds).max()), SHOWN)
    figure = new_figure(1.6 * columns + 1.2, 1.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    for r, region in enumerate(regions):
        x0, y0, x1, y1 = region.box
        for k, name in enumerate(survey.names):
            row = panels[r * len(survey.names) + k]
            for panel, sight in zip(row, survey.of_kind(k), strict=False):
                panel.imshow(sight.first[y0:y1, x0:x1])
                panel.set_title(sight.path.stem, fontsize=7)
            label = {"rotation": 90, "fontsize": 9, "va": "center", "ha": "right"}
            row[0].text(-0.08, 0.5, f"{r + 1}: {name}", transform=row[0].transAxes, **label)
    write_png(figure, path, grid=False)


def write_region_page(path: Path, surveys: Sequence[Survey]) -> None:
    """Write a page, one file, on which a person draws a region by mouse and reads the flags for it."""
    cameras = []
    for one in surveys:
        layers = [(f"mean of {name}", one.means[k]) for k, name in enumerate(one.names)]
        layers += [
            (name, cv2.applyColorMap(_grey(layer), cv2.COLORMAP_MAGMA)[..., ::-1])
            for name, layer in one.layers.items()
        ]
        for k, name in enumerate(one.names):
            layers += [(f"{s.path.stem} ({name})", s.first) for s in one.of_kind(k)[:SHOWN]]
        layers += [(f"{s.path.stem} (background)", s.first) for s in one.background[:1]]
        boxes = [{"name": f"region {i}", "box": region.box} for i, region in enumerate(one.regions, 1)]
        if one.all_objects:
            boxes.append({"name": "all objects", "box": one.all_objects.box})
        cameras.append(
            {
                "name": one.camera,
                "size": one.size,
                "layers": [{"name": name, "image": picture_url(_whole(picture))} for name, picture in layers],
                "boxes": boxes,
            }
        )
    title = ", ".join(dict.fromkeys(name for one in surveys for name in one.names))
    write_page(path, "region", shared="picture", title=title, data=script_json(cameras))


def _grey(layer: np.ndarray) -> np.ndarray:
    return _whole(layer * 255 / max(np.percentile(layer, 99.9), 16))


def _whole(levels: np.ndarray) -> np.ndarray:
    return np.clip(levels, 0, 255).astype(np.uint8)
