"""One page for a dataset: `index.html` beside a video per episode and camera. No server, no network.

The page (web/viewer*) holds the list of episodes. The numbers of each episode lie in a script of its own,
`<episode>.js`, which is read when the episode is chosen, so that the page opens at once however many there
are. They lie in scripts because browsers let a page on disk read nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from tqdm import tqdm

from common import (
    Workers,
    command_line,
    complete_file,
    file_identity,
    quoted,
    remove_unfinished,
    spread,
    write_video,
)
from constants import TASKS
from episodes import Episode, frame_size
from tasks import case_of
from viewers.pages import script_json, write_page
from viewers.series import Series, camera_order, series_of

KEY_EVERY = 10  # frames between key frames: a jump decodes no more than these
DECIMALS = 4  # of what is drawn: 0.0001 rad is a hundredth of a pixel


def write_viewer(paths: Sequence[Path], output_dir: Path, workers: Workers) -> Path:
    """Write the page of some episodes and all that it shows; returns its path.

    Videos of the same files are kept, so that a run that was cut off goes on.

    Args:
        paths: episode files of one dataset, in the order of the list.
        output_dir: folder for the page; made if it is missing.
        workers: processes that encode side by side.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    calls = [(path.resolve(), output_dir.resolve()) for path in paths]
    progress = tqdm(total=len(calls), desc="videos", unit="episode")
    try:
        with progress, spread(write_episode, calls, workers, progress) as results:
            entries = {entry["name"]: entry for entry in results}
    except KeyboardInterrupt:
        remove_unfinished(output_dir)
        print(f"\nstopped; what is in {output_dir} is whole. The same command goes on where it stopped.")
        raise
    dataset = {
        "name": paths[0].resolve().parent.name,
        "episodes": [entries[path.stem] for path in paths],
        "folder": quoted(paths[0].parent),
        "edit": command_line("edit_episodes.py"),
        "tasks": {name: [stage.label for stage in task.stages] for name, task in TASKS.items()},
    }
    page = output_dir / "index.html"
    write_page(page, "viewer", title=dataset["name"], data=script_json(dataset))
    return page


def write_episode(path: Path, output_dir: Path) -> dict[str, Any]:
    """Write what the page shows of one episode; returns its entry in the list."""
    episode = Episode.load(path, in_memory=False)
    script, origin = output_dir / f"{path.stem}.js", f"// of a file of {file_identity(path)} (bytes, ns)"
    is_same = script.is_file() and script.read_text(encoding="utf-8").startswith(origin)
    if not is_same:
        script.unlink(missing_ok=True)  # the videos are of another episode, or of nobody knows which
    cameras = []
    for camera in camera_order(episode):
        frames = episode.images[camera]
        height, width = frame_size(frames)  # opens no file again
        video = output_dir / f"{path.stem}_{quote(camera, safe='')}.mp4"
        if not (is_same and video.is_file()):
            write_video(video, _each(frames), episode.fps, key_every=KEY_EVERY)
        cameras.append({"name": camera, "video": video.name, "width": width, "height": height})
    data = {"series": [_plain(one) for one in series_of(episode)], "reward": _rounded(episode.reward)}
    with complete_file(script) as part:
        loads = f"loaded({script_json(path.stem)}, {script_json(data)});"
        part.write_text(f"{origin}\n{loads}\n", encoding="utf-8")
    return {
        "name": path.stem,
        "steps": len(episode),
        "fps": episode.fps,
        "task": episode.task,
        "success": episode.success,
        "case": case_of(TASKS.get(episode.task), episode.env_state),
        "word": _word(path.stem),
        "facts": _facts(episode, path),
        "cameras": cameras,
    }


def _word(stem: str) -> str:
    """What `edit_episodes.py --episodes` calls an episode: its number, or its name if that has none."""
    number = stem.removeprefix("episode_")
    return number if f"episode_{number}" == stem and number.isdecimal() else quoted(stem)


def _each(frames: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    return (frames[t] for t in range(len(frames)))


def _facts(episode: Episode, path: Path) -> list[str]:
    """More about an episode, in words."""
    facts = ["simulation" if episode.sim else "real arm", f"{path.stat().st_size / 1e6:.1f} MB"]
    if episode.time is not None and episode.time[-1] > 0:
        facts.append(f"{(len(episode) - 1) / episode.time[-1]:.1f} fps by the clock")
    return facts + episode.words()


def _plain(series: Series) -> dict[str, Any]:
    """As the page's script reads it."""
    values = {"state": _rounded(series.state), "command": _rounded(series.command)}
    return {"group": series.group, "name": series.name, "unit": series.unit, **values}


def _rounded(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else np.round(values.astype(float), DECIMALS).tolist()
