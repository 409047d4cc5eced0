"""Write a dataset of episodes as a LeRobot dataset (lerobot_format.py)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common import Workers, cli, empty_folder, hold, spread
from constants import TASKS
from dataset_tools.edits import FolderFlags, load_header
from episodes import BASE, Episode, EpisodeError, entries_of, frame_size, gathered_notes, list_episodes
from readers import lerobot_format as lerobot


@dataclass(frozen=True)
class ExportFlags(FolderFlags, Workers):
    """Flags of `export_lerobot`."""

    output_dir: str = cli.flag(None, "folder of the LeRobot dataset, which must not exist", required=True)
    task_text: str | None = cli.flag(None, "the task in words; its name if not given")
    robot_type: str | None = cli.flag(None, "the robot's name; that of the task's arm if not given")
    crf: int = cli.flag(18, "loss of the videos: 0 is exact, 23 usual, 51 worst", least=0, most=51)
    dry_run: bool = cli.flag(False, "say what would be done, and write nothing")


@dataclass(frozen=True)
class ExportedEpisode:
    """An episode to write."""

    path: Path
    header: Episode  # without images
    sizes: Mapping[str, tuple[int, int]]  # by camera: height, width (pixels)


def export_lerobot(flags: ExportFlags) -> None:
    """Write the episodes as a LeRobot dataset (v3.0: Parquet and MP4), for LeRobot's tools and policies."""
    lerobot.import_packages()
    target = Path(flags.output_dir)
    if target.exists():
        raise FileExistsError(f"{target} exists already; choose another --output_dir")
    sources = [_open(path) for path in list_episodes(flags.dataset_dir)]
    check_alike(sources)
    steps, cameras = sum(len(s.header) for s in sources), ", ".join(sources[0].sizes) or "none"
    what = f"{len(sources)} episodes, {steps} steps at {sources[0].header.fps} fps, cameras: {cameras}"
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
            _write(sources, stage, flags)
            os.replace(stage, target)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    megabytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) / 1e6
    print(f"{target}: {what}; {megabytes:.0f} MB")
    print(f"load it: LeRobotDataset('{target.name}', root='{target}')")


def _open(path: Path) -> ExportedEpisode:
    episode = Episode.load(path, in_memory=False)
    sizes = {camera: tuple(frame_size(frames)) for camera, frames in sorted(episode.images.items())}
    return ExportedEpisode(path, replace(load_header(path), notes=episode.notes), sizes)


def check_alike(sources: Sequence[ExportedEpisode]) -> None:
    """EpisodeError for an episode that differs from the first in cameras, rate or widths."""
    first = sources[0]
    for source in sources[1:]:
        for name, own, wanted in (
            ("cameras", dict(source.sizes), dict(first.sizes)),
            ("fps", source.header.fps, first.header.fps),
            *((name, _width(source.header, name), _width(first.header, name)) for name in lerobot.ARRAYS),
        ):
            if own != wanted:
                raise EpisodeError(
                    f"{source.path}: {name} is {own}, but {wanted} in {first.path}; all must be alike"
                )


def all_know_success(sources: Sequence[ExportedEpisode]) -> bool:
    """Whether every episode says if it succeeded."""
    return all(source.header.success is not None for source in sources)


def _width(episode: Episode, name: str) -> int | None:
    """Entries a step; None if the episode lacks it."""
    array = getattr(episode, name)
    return None if array is None else array[0].size


def _write(sources: Sequence[ExportedEpisode], stage: Path, flags: ExportFlags) -> None:
    first, lengths = sources[0], [len(source.header) for source in sources]
    starts = np.cumsum([0, *lengths])
    texts = [flags.task_text or source.header.task or "unknown task" for source in sources]
    tasks = list(dict.fromkeys(texts))
    videos = _encode(sources, stage, flags)
    rows = [
        {
            "episode_index": i,
            "tasks": [text],
            "length": length,
            "dataset_from_index": int(starts[i]),
            "dataset_to_index": int(starts[i + 1]),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        for i, (text, length) in enumerate(zip(texts, lengths, strict=True))
    ]
    tables = [
        _columns(source.header, all_know_success(sources), i, int(starts[i]), tasks.index(texts[i]))
        for i, source in enumerate(sources)
    ]
    _write_data(tables, rows, stage)
    for camera in first.sizes:
        _join(f"{lerobot.IMAGES}{camera}", camera, lengths, rows, stage, first.header.fps)
    shutil.rmtree(stage / "parts", ignore_errors=True)
    stats = [
        {name: lerobot.vector_stats(values) for name, values in table.items()} | videos[i]
        for i, table in enumerate(tables)
    ]
    _write_meta(sources, stage, flags, rows, tasks, stats)


def _encode(
    sources: Sequence[ExportedEpisode], stage: Path, flags: ExportFlags
) -> list[dict[str, lerobot.Stats]]:
    """Write the video of each camera of each episode into `parts`, and return their statistics."""
    (stage / "parts").mkdir(parents=True)
    calls = [(i, source.path, list(source.sizes), stage, flags.crf) for i, source in enumerate(sources)]
    ordered: list[dict[str, lerobot.Stats]] = [{}] * len(calls)
    progress = tqdm(total=len(calls), desc="export_lerobot", unit="episode")
    with progress, spread(encode_episode, calls, flags, progress) as results:
        for i, stats in results:
            ordered[i] = stats
    return ordered


def encode_episode(
    i: int, path: Path, cameras: Sequence[str], stage: Path, crf: int
) -> tuple[int, dict[str, lerobot.Stats]]:
    """Write the videos of one episode; returns its number and their statistics, by feature."""
    episode = Episode.load(path, cameras, in_memory=False)
    for camera in cameras:
        lerobot.encode_video(_part(stage, camera, i), episode.images[camera], episode.fps, crf)
    return i, {f"{lerobot.IMAGES}{c}": lerobot.image_stats(episode.images[c]) for c in cameras}


def _part(stage: Path, camera: str, i: int) -> Path:
    return stage / "parts" / f"{camera}_{i}.mp4"


def _columns(
    episode: Episode, tells_success: bool, i: int = 0, start: int = 0, task: int = 0
) -> dict[str, np.ndarray]:
    """Columns of an episode in a data file, by feature: (T, D), or (T,) if D is 1.

    Args:
        episode: without images.
        tells_success: whether every episode of the dataset says if it succeeded.
        i, start, task: numbers of the episode, of its first step in the dataset, and of its task.
    """
    steps = np.arange(len(episode))
    columns = {
        feature: getattr(episode, name).reshape(len(episode), -1)
        for name, feature in lerobot.ARRAYS.items()
        if getattr(episode, name) is not None
    }
    columns = {name: rows[:, 0] if rows.shape[1] == 1 else rows for name, rows in columns.items()}
    columns[lerobot.DONE] = steps == len(episode) - 1
    if tells_success:
        columns[lerobot.SUCCESS] = columns[lerobot.DONE] & bool(episode.success)
    columns["timestamp"] = (steps / episode.fps).astype(np.float32)
    numbers = (steps, np.full_like(steps, i), start + steps, np.full_like(steps, task))
    return columns | dict(zip(lerobot.INDICES, numbers, strict=True))


def _write_data(tables: Sequence[Mapping[str, np.ndarray]], rows: list[dict[str, Any]], stage: Path) -> None:
    """Write the data files, and note in each episode's row which file holds it."""
    _, arrow = lerobot.import_packages()
    sizes = [sum(values.nbytes for values in table.values()) / 1e6 for table in tables]
    numbers = lerobot.file_numbers(sizes, lerobot.DATA_MEGABYTES)
    for chunk, file in dict.fromkeys(numbers):
        some = [i for i, number in enumerate(numbers) if number == (chunk, file)]
        for i in some:
            rows[i] |= {"data/chunk_index": chunk, "data/file_index": file}
        joined = {name: np.concatenate([tables[i][name] for i in some]) for name in tables[0]}
        table = arrow.table({name: _arrow(values) for name, values in joined.items()})
        path = stage / lerobot.DATA_PATH.format(chunk_index=chunk, file_index=file)
        lerobot.write_table(path, table)


def _arrow(values: np.ndarray) -> Any:
    _, arrow = lerobot.import_packages()
    if values.ndim == 1:
        return arrow.array(values)
    return arrow.FixedSizeListArray.from_arrays(arrow.array(values.ravel()), values.shape[1])


def _join(
    feature: str, camera: str, lengths: Sequence[int], rows: list[dict[str, Any]], stage: Path, fps: int
) -> None:
    """Write a camera's video files, and note in each episode's row its file and times."""
    parts = [_part(stage, camera, i) for i in range(len(rows))]
    numbers = lerobot.file_numbers([part.stat().st_size / 1e6 for part in parts], lerobot.VIDEO_MEGABYTES)
    for chunk, file in dict.fromkeys(numbers):
        some, before = [i for i, number in enumerate(numbers) if number == (chunk, file)], 0
        for i in some:
            rows[i] |= {
                f"videos/{feature}/chunk_index": chunk,
                f"videos/{feature}/file_index": file,
                f"videos/{feature}/from_timestamp": before / fps,
                f"videos/{feature}/to_timestamp": (before + lengths[i]) / fps,
            }
            before += lengths[i]
        path = stage / lerobot.VIDEO_PATH.format(video_key=feature, chunk_index=chunk, file_index=file)
        path.parent.mkdir(parents=True, exist_ok=True)
        lerobot.join_videos(path, [parts[i] for i in some], [lengths[i] for i in some], fps)


def _write_meta(
    sources: Sequence[ExportedEpisode],
    stage: Path,
    flags: ExportFlags,
    rows: list[dict[str, Any]],
    tasks: Sequence[str],
    stats: Sequence[Mapping[str, lerobot.Stats]],
) -> None:
    _, arrow = lerobot.import_packages()
    first = sources[0]
    task = TASKS.get(first.header.task)
    table = [
        row | {f"stats/{f}/{n}": v.tolist() for f, part in own.items() for n, v in part.items()}
        for row, own in zip(rows, stats, strict=True)
    ]
    lerobot.write_table(stage / lerobot.EPISODES_PATH, arrow.Table.from_pylist(table))
    lerobot.write_table(stage / lerobot.TASKS, lerobot.tasks_table(tasks))
    pooled = {feature: lerobot.pooled_stats([own[feature] for own in stats]) for feature in stats[0]}
    plain = {f: {name: values.tolist() for name, values in part.items()} for f, part in pooled.items()}
    lerobot.write_json(stage / lerobot.STATS, plain)
    info = {
        "codebase_version": lerobot.VERSION,
        "robot_type": flags.robot_type or (task.arms[0].model if task else None),
        "total_episodes": len(rows),
        "total_frames": rows[-1]["dataset_to_index"],
        "total_tasks": len(tasks),
        "chunks_size": lerobot.CHUNK_FILES,
        "data_files_size_in_mb": lerobot.DATA_MEGABYTES,
        "video_files_size_in_mb": lerobot.VIDEO_MEGABYTES,
        "fps": first.header.fps,
        "splits": {"train": f"0:{len(rows)}"},
        "data_path": lerobot.DATA_PATH,
        "video_path": lerobot.VIDEO_PATH if first.sizes else None,
        "features": features(first, all_know_success(sources)),
    }
    lerobot.write_json(stage / lerobot.INFO, info)
    lerobot.write_json(stage / lerobot.OURS, [_extras(source) for source in sources])


def features(source: ExportedEpisode, tells_success: bool) -> dict[str, Any]:
    """The entry of each column and video in info.json."""
    episode, entries = source.header, {}
    for camera, (height, width) in source.sizes.items():
        entries[f"{lerobot.IMAGES}{camera}"] = {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": lerobot.pixel_format(height, width),
                "video.is_depth_map": False,
                "video.fps": episode.fps,
                "video.channels": 3,
                "has_audio": False,
            },
        }
    for name, values in _columns(episode, tells_success).items():
        width = values[0].size
        names = _names(episode, name, width) if values.ndim > 1 else None
        entries[name] = {"dtype": str(values.dtype), "shape": [width], "names": names}
    return entries


def _names(episode: Episode, feature: str, width: int) -> list[str]:
    own = BASE if feature == lerobot.BASE else entries_of(episode.task, width)
    return [entry.name for entry in own]


def _extras(source: ExportedEpisode) -> dict[str, Any]:
    """The data that LeRobot's format has no place for."""
    episode = source.header
    start = None if episode.env_state is None else episode.env_state.tolist()
    return {
        "file": source.path.name,
        **{name: getattr(episode, name) for name in lerobot.EXTRAS},
        "env_state": start,
    }
