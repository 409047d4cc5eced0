"""Write a dataset of episodes as a LeRobot dataset: the command, and the videos.

contents.py has what the dataset holds; each version of the format has its writer in its own file.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common import Workers, cli, complete_file, empty_folder, hold, replace_file, spread
from dataset_tools.edits import FolderFlags, load_header
from dataset_tools.lerobot.contents import Contents, ExportedEpisode, Writer, check_alike
from dataset_tools.lerobot.v21 import WriterV21
from dataset_tools.lerobot.v30 import WriterV30
from episodes import Episode, Images, frame_size, gathered_notes, list_episodes, resize_image
from readers import lerobot_format as lerobot

WRITERS: dict[str, type[Writer]] = {writer.version: writer for writer in (WriterV30, WriterV21)}


@dataclass(frozen=True)
class ExportFlags(FolderFlags, Workers):
    """Flags of `export_lerobot`."""

    output_dir: str = cli.flag(None, "folder of the LeRobot dataset, which must not exist", required=True)
    version: str = cli.flag(
        WriterV30.version,
        "version of LeRobot's format: "
        + "; ".join(f"{version} for {writer.readers}" for version, writer in WRITERS.items()),
        tuple(WRITERS),
    )
    task_text: str | None = cli.flag(None, "the task in words; its name if not given")
    robot_type: str | None = cli.flag(None, "the robot's name; that of the task's arm if not given")
    image_size: tuple[int, int] | None = cli.flag(
        None, "height and width of the pictures, pixels; as recorded if not given", least=16, most=4096
    )
    crf: int = cli.flag(18, "loss of the videos: 0 is exact, 23 usual, 51 worst", least=0, most=51)
    dry_run: bool = cli.flag(False, "say what would be done, and write nothing")


def export_lerobot(flags: ExportFlags) -> None:
    """Write the episodes as a LeRobot dataset (Parquet and MP4), for LeRobot's tools and policies."""
    lerobot.import_packages()
    target = Path(flags.output_dir)
    if target.exists():
        raise FileExistsError(f"{target} exists already; choose another --output_dir")
    sources = [_open(path, flags.image_size) for path in list_episodes(flags.dataset_dir)]
    check_alike(sources)
    contents = Contents(sources, flags.task_text, flags.robot_type)
    steps, cameras = sum(contents.lengths), ", ".join(contents.cameras) or "none"
    what = f"{len(sources)} episodes, {steps} steps at {contents.fps} fps, cameras: {cameras}"
    print(
        "".join(f"{note}\n" for note in gathered_notes({s.path.name: s.header.notes for s in sources})),
        end="",
    )
    if flags.dry_run:
        print(f"{target}: {what}\nnothing was written (--dry_run)")
        return
    stage = target.with_name(f".{target.name}.unfinished")
    with hold(stage):
        empty_folder(stage)
        try:
            writer = WRITERS[flags.version](contents, stage)
            writer.write(_encode(writer, flags))
            replace_file(stage, target)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    megabytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) / 1e6
    print(f"{target}: {what}; {megabytes:.0f} MB in format v{writer.version}, for {writer.readers}")
    print(f"load it: LeRobotDataset('{target.name}', root='{target}')")


@dataclass(frozen=True)
class Resized:
    """Frames of an episode at another size: height, width (pixels)."""

    frames: Images
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, t: int) -> np.ndarray:
        return resize_image(self.frames[t], self.size)


def _open(path: Path, size: tuple[int, int] | None) -> ExportedEpisode:
    episode = Episode.load(path, in_memory=False)
    sizes = {camera: size or tuple(frame_size(frames)) for camera, frames in sorted(episode.images.items())}
    return ExportedEpisode(path, replace(load_header(path), notes=episode.notes), sizes)


def _encode(writer: Writer, flags: ExportFlags) -> list[dict[str, lerobot.Stats]]:
    """Write the videos of all episodes, and return the statistics of each episode, by feature."""
    contents = writer.contents
    calls = [
        (i, source, {camera: writer.video(camera, i) for camera in contents.cameras}, flags.crf)
        for i, source in enumerate(contents.sources)
    ]
    ordered: list[dict[str, lerobot.Stats]] = [{}] * len(calls)
    progress = tqdm(total=len(calls), desc="export_lerobot", unit="episode")
    with progress, spread(encode_episode, calls, flags, progress) as results:
        for i, of_videos in results:
            vectors = {name: lerobot.vector_stats(rows) for name, rows in contents.columns(i).items()}
            ordered[i] = vectors | of_videos
    return ordered


def encode_episode(
    i: int, source: ExportedEpisode, videos: Mapping[str, Path], crf: int
) -> tuple[int, dict[str, lerobot.Stats]]:
    """Write the videos of one episode, by camera; returns its number and their statistics, by feature."""
    episode = Episode.load(source.path, tuple(videos), in_memory=False)
    images = {camera: Resized(episode.images[camera], source.sizes[camera]) for camera in videos}
    for camera, video in videos.items():
        video.parent.mkdir(parents=True, exist_ok=True)
        with complete_file(video) as part:
            lerobot.encode_video(part, images[camera], episode.fps, crf)
    return i, {f"{lerobot.IMAGES}{camera}": lerobot.image_stats(images[camera]) for camera in videos}
