"""LeRobot's datasets: paths and names, videos in and out of files, statistics, tables.

Format v3.0: many episodes in each Parquet and MP4 file, and a table that says where each begins. Sources:
huggingface/lerobot 0.4.4, src/lerobot/datasets: utils.py (paths, info.json, tasks), lerobot_dataset.py (the
table of episodes), compute_stats.py (statistics), video_utils.py (codec options).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from common import complete_file
from episodes import FACTS, EpisodeError, Images

VERSION = "v3.0"  # the newest
READ_VERSIONS = ("v2.0", "v2.1", VERSION)
CHUNK_FILES = 1000  # files in a folder
DATA_MEGABYTES, VIDEO_MEGABYTES = 100, 200  # of a file, about
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
DATA_PATH_V2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH_V2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
EPISODES_PATH_V2 = "meta/episodes.jsonl"
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
OURS = "meta/act_episodes.json"  # what our episodes hold beyond LeRobot's format; LeRobot ignores it
IMAGES = "observation.images."  # before the name of a camera
STATE, VELOCITY, ACTION, BASE = "observation.state", "observation.velocity", "action", "base_action"
REWARD, DONE, SUCCESS = "next.reward", "next.done", "next.success"
ARRAYS = {  # field of an episode, feature of the dataset
    "qpos": STATE,
    "action": ACTION,
    "qvel": VELOCITY,
    "base_action": BASE,
    "reward": REWARD,
}
EXTRAS = tuple(name for name in FACTS if name != "fps")  # attributes that LeRobot has no place for
INDICES = ("frame_index", "episode_index", "index", "task_index")
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
SAMPLED_FRAMES, SAMPLED_WIDTH = 100, 150  # of an episode's video, for its statistics
KEY_EVERY = 2  # frames between key frames, so that any frame is reached soon
INDEX_NAME = "__index_level_0__"  # pandas' name of a table's index

Stats = dict[str, np.ndarray]


def import_packages() -> tuple[ModuleType, ModuleType]:
    """PyAV and pyarrow (with pyarrow.parquet); ImportError says how to get them."""
    try:
        import av
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            f"LeRobot's format needs pyarrow and PyAV: pip install pyarrow av ({error})"
        ) from error
    return av, pyarrow


def file_numbers(sizes: Sequence[float], limit: float) -> list[tuple[int, int]]:
    """Chunk and file of each episode, filled one after the other up to `limit` (same unit as `sizes`)."""
    numbers, filled, count = [], 0.0, 0
    for size in sizes:
        if filled and filled + size > limit:
            filled, count = 0.0, count + 1
        filled += size
        numbers.append(divmod(count, CHUNK_FILES))
    return numbers


# --- videos


def encode_video(path: Path, frames: Images, fps: int, crf: int) -> None:
    """Write frames (H, W, 3) uint8 RGB as H.264, as precisely as `crf` says (0 exact, 51 worst).

    Colours are not tagged, as in LeRobot's videos, so that it reads back the same colours.
    """
    av, _ = import_packages()
    height, width = frames[0].shape[:2]
    options = {"crf": str(crf), "g": str(KEY_EVERY), "bf": "0", "preset": "veryfast"}
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = pixel_format(height, width)
        for rgb in (frames[t] for t in range(len(frames))):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")))
        file.mux(stream.encode())


def pixel_format(height: int, width: int) -> str:
    """The usual format halves the colours' height and width, so odd sides need another."""
    return "yuv444p" if height % 2 or width % 2 else "yuv420p"


def join_videos(path: Path, parts: Sequence[Path], lengths: Sequence[int], fps: int) -> None:
    """Join videos of `encode_video`, with `lengths` frames, without encoding them again."""
    av, _ = import_packages()
    with complete_file(path) as part, av.open(str(part), "w", format="mp4") as file:
        stream, before = None, 0
        for source_path, length in zip(parts, lengths, strict=True):
            with av.open(str(source_path)) as source:
                given = source.streams.video[0]
                stream = stream or file.add_stream_from_template(given)
                offset = round(before / fps / given.time_base)
                for packet in source.demux(given):
                    if packet.dts is not None:  # the last one is empty
                        packet.pts, packet.dts, packet.stream = (
                            packet.pts + offset,
                            packet.dts + offset,
                            stream,
                        )
                        file.mux(packet)
            before += length


def decode_video(path: Path, times: Sequence[float], fps: float) -> Iterator[np.ndarray]:
    """The frames (H, W, 3) uint8 RGB that a video shows at these times (s), which must rise.

    Raises:
        EpisodeError: the video is missing or damaged, or has no frame within half a step of a time.
    """
    av, _ = import_packages()
    half, due = 0.5 / fps, iter(times)
    time = next(due)
    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            stream.thread_type = "AUTO"
            file.seek(int(time / stream.time_base), stream=stream)
            for frame in file.decode(stream):
                if frame.time < time - half:
                    continue
                if frame.time > time + half:
                    break
                yield frame.to_ndarray(format="rgb24")
                time = next(due, None)
                if time is None:
                    return
    except (av.FFmpegError, IndexError) as error:
        raise EpisodeError(f"{path} is no video that can be read ({error})") from error
    raise EpisodeError(f"{path} has no frame at {time:.3f} s; it must have one every {1 / fps:.3f} s")


# --- statistics


def vector_stats(rows: np.ndarray) -> Stats:
    """Of the columns of rows (n, D) or (n,): least, greatest, mean and so on, each (D,); `count` (1,)."""
    rows = rows.reshape(len(rows), -1).astype(np.float64)
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    return {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(rows)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


def image_stats(frames: Images) -> Stats:
    """The same for the colours, in [0, 1], of sampled frames: each (3, 1, 1); `count` is their number."""
    steps = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), SAMPLED_FRAMES)).round().astype(int))
    factor = max(1, max(frames[0].shape[:2]) // SAMPLED_WIDTH)
    pixels = np.stack([frames[int(t)][::factor, ::factor] for t in steps]).reshape(-1, 3) / 255
    stats = {name: values.reshape(-1, 1, 1) for name, values in vector_stats(pixels).items()}
    return {**stats, "count": np.array([len(steps)])}


def pooled_stats(parts: Sequence[Stats]) -> Stats:
    """Statistics of several episodes together; quantiles are averaged, as in LeRobot."""
    counts = np.array([part["count"][0] for part in parts], float)
    stacked = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    shares = (counts / counts.sum()).reshape(-1, *[1] * (stacked["mean"].ndim - 1))
    mean = (shares * stacked["mean"]).sum(axis=0)
    variance = (shares * (stacked["std"] ** 2 + (stacked["mean"] - mean) ** 2)).sum(axis=0)
    return {
        "min": stacked["min"].min(axis=0),
        "max": stacked["max"].max(axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([int(counts.sum())]),
        **{name: (shares * stacked[name]).sum(axis=0) for name in QUANTILES},
    }


# --- tables


def write_table(path: Path, table: Any) -> None:
    """Write a pyarrow table, completely or not at all; makes its folder."""
    _, arrow = import_packages()
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as part:
        arrow.parquet.write_table(table, part)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as part:
        part.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")


def tasks_table(tasks: Sequence[str]) -> Any:
    """Number of each task; its words are the index for pandas."""
    _, arrow = import_packages()
    types = {"task_index": ("int64", "int64"), INDEX_NAME: ("unicode", "object")}
    columns = [
        {
            "name": None if name == INDEX_NAME else name,
            "field_name": name,
            "pandas_type": logical,
            "numpy_type": dtype,
            "metadata": None,
        }
        for name, (logical, dtype) in types.items()
    ]
    label = {
        "name": None,
        "field_name": None,
        "pandas_type": "unicode",
        "numpy_type": "object",
        "metadata": None,
    }
    pandas = {
        "index_columns": [INDEX_NAME],
        "column_indexes": [label],
        "columns": columns,
        "pandas_version": "2.0",
    }
    table = arrow.table({"task_index": list(range(len(tasks))), INDEX_NAME: list(tasks)})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def flat_names(names: Any) -> list[str]:
    """Names of a feature's entries: LeRobot's files have a list, a list in a list, or a list in an object."""
    if isinstance(names, Mapping):
        names = (
            [list(names.values())[0]] if names and isinstance(list(names.values())[0], list) else list(names)
        )
    if isinstance(names, list) and len(names) == 1 and isinstance(names[0], list):
        names = names[0]
    return [str(name) for name in names] if isinstance(names, list) else []
