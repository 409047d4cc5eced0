"""The page on which a person clicks where objects are, and four points of the table (click_file.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import check_file, cli, command_line, quoted
from dataset_tools.edits import FolderFlags, beside, chosen_episodes, episodes_flag, load_header
from dataset_tools.regions.placing import SightFlags, pictures_of, scene_task
from tasks import Task, in_sight
from viewers import picture_url, script_json, write_page

QUALITY = 95  # of the JPEGs on the page


@dataclass(frozen=True)
class ClicksFlags(SightFlags, FolderFlags):
    """Flags of `clicks`."""

    episodes: tuple[str, ...] | None = episodes_flag()
    page: str | None = cli.flag(None, "file of the page; <dataset_dir>_clicks.html if not given")


def clicks(flags: ClicksFlags) -> None:
    """Write a page on which objects, or four points of the table, are clicked; places --clicks takes them."""
    page = Path(flags.page or beside(flags.dataset_dir, "_clicks.html"))
    check_file(page, "page", ".html")
    paths = chosen_episodes(flags.dataset_dir, flags.episodes)
    task = scene_task(flags, load_header(paths[0]))
    camera = flags.camera or task.cameras[0]
    pictures = pictures_of(paths, camera, flags.step)
    page.parent.mkdir(parents=True, exist_ok=True)
    write_click_page(page, flags, task, camera, pictures)
    print(f"open {page} in a browser")


def write_click_page(
    page: Path, flags: ClicksFlags, task: Task, camera: str, pictures: Mapping[Path, np.ndarray]
) -> None:
    """Write the page: a task's props, and a picture (H, W, 3) of each episode, by its file."""
    props = [
        prop.name
        for number, prop in enumerate(task.props)
        if any(in_sight(variant.props[number]) for variant in task.variants)
    ]
    data = {
        "camera": camera,
        "size": next(iter(pictures.values())).shape[:2],
        "props": props,
        "episodes": [
            {"name": path.stem, "image": picture_url(image, QUALITY)} for path, image in pictures.items()
        ],
    }
    words = ["edit_episodes.py", "places", "--dataset_dir", flags.dataset_dir]
    words += ["--output_dir", beside(flags.dataset_dir, "_placed"), "--task_name", task.name]
    command = command_line(quoted(*words, "--clicks", "clicks.json"))
    title = beside(flags.dataset_dir).name
    write_page(page, "clicks", shared="picture", title=title, command=command, data=script_json(data))
