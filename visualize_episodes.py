"""Turn recorded episodes into videos and plots of their joints.

    python3 visualize_episodes.py --dataset_dir data/sim_transfer_cube_scripted --episode_idx 0

writes `episode_0_video.mp4` (all cameras side by side; any browser plays it) and `episode_0_qpos.png` (state
against command), named as in ACT's visualize_episodes.py. Reads files of ACT, ACT++ and this project.

    python3 visualize_episodes.py --dataset_dir data/sim_transfer_cube_scripted --html

writes one page for all of them, `html/index.html` in the dataset's folder: open it in a browser. With
`--rerun` it writes `episode_0.rrd` each, for the Rerun viewer: cameras, joints, and the arms in 3-D.

    python3 visualize_episodes.py --dataset_dir data/sim_transfer_cube_scripted --disturb noise=middle

writes `episode_0_noise_middle_video.mp4`: the pictures as a policy would see them then.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from common import Workers, captioned, cli, joint_plot, spread, tile, write_video
from disturbances import HELP, Cell, check_recorded, disturb_frames, read_set
from episodes import Episode, entries, episode_number, find_episodes
from viewers import camera_order, write_viewer

PAGE_FOLDER = "html"


@dataclass(frozen=True)
class VisualizeConfig(Workers):
    """Flags of this script."""

    dataset_dir: Path = cli.flag(None, "folder of the episodes", required=True)
    episode_idx: int | None = cli.flag(None, "number of the episode; all of them if not given", least=0)
    ismirror: bool = cli.flag(False, "take mirror_episode_<number>.hdf5")
    output_dir: Path | None = cli.flag(
        None, f"where to write; the dataset's folder if not given (with --html: {PAGE_FOLDER}/ in it)"
    )
    html: bool = cli.flag(
        False, "write one page instead, index.html with a video per camera: all episodes, beside their plots"
    )
    rerun: bool = cli.flag(
        False, "write <episode>.rrd instead, for the Rerun viewer: cameras, joints, and the arms in 3-D"
    )
    disturb: tuple[str, ...] | None = cli.flag(
        None, f"{HELP}; recorded episodes take those of pictures alone"
    )

    def check(self) -> None:
        """ValueError for the first value that makes no sense."""
        self.check_workers()
        check_recorded(read_set(self.disturb))
        if self.disturb and (self.html or self.rerun):
            other = "html" if self.html else "rerun"
            raise ValueError(f"--disturb changes videos alone; leave --{other} out")
        if self.html and self.rerun:
            raise ValueError("--html and --rerun are two things to write; give one of them")
        if self.rerun and importlib.util.find_spec("rerun") is None:
            raise ImportError("--rerun needs the package rerun-sdk: pip install rerun-sdk")
        if self.html and self.episode_idx is not None:
            raise ValueError(
                f"--episode_idx is {self.episode_idx}; a page (--html) is of the whole dataset: leave one out"
            )


def parse_flags(argv: Sequence[str] | None = None) -> VisualizeConfig:
    """This script's flags."""
    return cli.parse(VisualizeConfig, __doc__, argv)


def visualize(path: Path, output_dir: Path, disturb: Cell = ()) -> str:
    """Write the video and the joint plot of one episode file, and return what to print about it."""
    episode = Episode.load(path)
    cameras = camera_order(episode)
    lines = [describe(path.stem, episode)]
    if cameras:
        suffix = "".join(f"_{each.disturbance.name}_{each.level}" for each in disturb)
        video = output_dir / f"{path.stem}{suffix}_video.mp4"
        number = episode_number(path) or 0
        views = [
            disturb_frames(episode.images[camera], disturb, episode.fps, camera, 0, number)
            for camera in cameras
        ]
        moments = zip(*views, strict=True)  # decoded one after the other
        write_video(video, (tile(list(map(captioned, moment, cameras))) for moment in moments), episode.fps)
        lines.append(f"  video {video}")
    plot = output_dir / f"{path.stem}_qpos.png"
    joint_plot(plot, episode.qpos, episode.action, entries(episode), episode.fps, lines[0])
    return "\n".join([*lines, f"  plot  {plot}"])


def record_rerun(path: Path, output_dir: Path) -> str:
    """Write the Rerun recording of one episode file, and return what to print about it."""
    from viewers import write_rerun  # an optional package

    episode = Episode.load(path)
    recording = output_dir / f"{path.stem}.rrd"
    note = write_rerun(recording, episode, path.stem)
    return f"{describe(path.stem, episode)}\n  {note}\n  look at it: rerun {recording}"


def describe(name: str, episode: Episode) -> str:
    """One line: length, cameras and outcome of an episode."""
    sizes = []
    for camera, frames in sorted(episode.images.items()):
        height, width = frames[0].shape[:2]
        sizes.append(f"{camera} {height}x{width}")
    facts = [
        f"{len(episode)} steps at {episode.fps} fps ({len(episode) / episode.fps:.1f} s)",
        f"cameras: {', '.join(sizes) or 'none'}",
    ]
    if episode.success is not None:
        facts.append("success" if episode.success else "failure")
    return f"{name}: {'; '.join(facts)}"


def main() -> None:
    config = parse_flags()
    paths = find_episodes(config.dataset_dir, config.episode_idx, config.ismirror)
    for path in paths:
        Episode.load(path, cameras=())  # a bad file is refused before anything is written
    if config.html:
        page = write_viewer(paths, config.output_dir or config.dataset_dir / PAGE_FOLDER, config)
        print(f"open it in a browser: {page.resolve().as_uri()}")
        return
    output_dir = config.output_dir or config.dataset_dir
    output_dir.mkdir(parents=True, exist_ok=True)
    disturb = read_set(config.disturb)
    write = record_rerun if config.rerun else partial(visualize, disturb=disturb)
    calls = [(path, output_dir) for path in paths]
    progress = tqdm(total=len(calls), unit="episode", disable=len(calls) == 1)
    with progress, spread(write, calls, config, progress) as results:
        for text in results:
            tqdm.write(text)


if __name__ == "__main__":
    import visualize_episodes  # by its name: workers then import it

    cli.run(visualize_episodes.main)
