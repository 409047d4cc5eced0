"""LeRobot sets as people have them: six kinds of real ones, each with what it deviates in, made small.

The kinds are those of public sets; nothing of those is in here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from recordings import HEIGHT, WIDTH, motion, picture, pictures

from episodes.episode import Episode
from episodes.folders import list_episodes
from readers import ImportFlags, bring_in

LENGTHS = (9, 7, 8)
CLOCK = (0.0501, 0.0633, 0.0571)  # s between rows, of a clock on the wall, where a step is 0.05 s


@dataclass(frozen=True)
class Wild:
    """A kind of set."""

    make: Callable[[Path], None]
    flags: Mapping[str, Any]  # with which what is whole comes in
    lengths: tuple[int, ...]  # of the episodes that do
    refused: str  # what is said without flags, as a pattern; "" if nothing is refused
    said: tuple[str, ...]  # in what is printed with the flags
    cameras: tuple[str, ...]


def write_video(path: Path, frames: Sequence[np.ndarray], fps: int = 20, codec: str = "mpeg4") -> None:
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=fps, options={"qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        file.mux(stream.encode())


def write_table(path: Path, columns: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {
        name: list(values) if isinstance(values, np.ndarray) and values.ndim == 2 else values
        for name, values in columns.items()
    }
    pq.write_table(pa.table(rows), path)


def write_info(root: Path, version: str | None, features: Mapping[str, Any], **values: Any) -> None:
    (root / "meta").mkdir(parents=True, exist_ok=True)
    info = {"codebase_version": version, "fps": 20, "features": features, **values}
    (root / "meta/info.json").write_text(
        json.dumps({name: value for name, value in info.items() if value is not None})
    )


def write_lines(root: Path, lengths: Sequence[int] = LENGTHS) -> None:
    """The table of episodes of v2."""
    (root / "meta").mkdir(parents=True, exist_ok=True)
    rows = [{"episode_index": i, "tasks": ["fold it"], "length": n} for i, n in enumerate(lengths)]
    (root / "meta/episodes.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def write_rows(root: Path, keys: Sequence[str], per_file: bool, lengths: Sequence[int], fps: int) -> None:
    """The table of episodes of v3, each in files of its own, or all in one."""
    starts = np.cumsum([0, *lengths]).tolist()
    rows = []
    for i, n in enumerate(lengths):
        start = 0.0 if per_file else starts[i] / fps
        file = {"chunk_index": 0, "file_index": i if per_file else 0}
        last = n - 1 if per_file else n  # some programs write when the last frame begins
        span = {"from_timestamp": start, "to_timestamp": start + last / fps}
        rows.append(
            {
                **{"episode_index": i, "tasks": ["sort it"], "length": n},
                **{"dataset_from_index": starts[i], "dataset_to_index": starts[i + 1]},
                **{f"data/{name}": value for name, value in file.items()},
                **{f"videos/{k}/{name}": value for k in keys for name, value in (file | span).items()},
            }
        )
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    write_table(root / "meta/episodes/chunk-000/file-000.parquet", columns)


def feature(width: int, names: Any = None) -> dict[str, Any]:
    return {"dtype": "float32", "shape": [width], "names": names}


def video_feature(codec: str = "h264") -> dict[str, Any]:
    return {"dtype": "video", "shape": [3, HEIGHT, WIDTH], "info": {"video.codec": codec}}


def index_columns(i: int, steps: int, first: int, fps: int) -> dict[str, Any]:
    return {
        **{"frame_index": np.arange(steps), "episode_index": np.full(steps, i)},
        **{"timestamp": np.arange(steps) / fps, "index": first + np.arange(steps)},
        "task_index": np.zeros(steps, int),
    }


def ticks(i: int, steps: int) -> np.ndarray:
    """(T, 12): encoder ticks of two arms."""
    return np.rint(2048 + 1500 * motion(steps, 12, i)).astype(float)


def guided(root: Path) -> None:
    """Two arms guided by hand: ticks, a clock on the wall, other names in the templates, no index columns."""
    names = [f"arm{arm}_j{j}" for arm in (1, 2) for j in range(1, 7)]
    cameras = ("observation.images.cam0", "observation.images.cam1")
    features = {"observation.state": feature(12, names), "action": feature(12, names)}
    write_info(
        root,
        "v2.1",
        features | dict.fromkeys(cameras, video_feature("mp4v")),
        data_path="data/chunk-{chunk_index:03d}/episode_{episode_index:06d}.parquet",
        video_path="videos/chunk-{chunk_index:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    )
    write_lines(root)
    for i, steps in enumerate(LENGTHS):
        rows = ticks(i, steps)
        gaps = [CLOCK[t % len(CLOCK)] for t in range(steps - 1)]
        columns = {
            **{"frame_index": np.arange(steps), "timestamp": np.cumsum([0.0, *gaps])},
            **{"episode_index": np.full(steps, i), "observation.state": rows},
            **{"action": np.concatenate([rows[1:], rows[-1:]])},
            "next.done": np.arange(steps) == steps - 1,
        }
        write_table(root / f"data/chunk-000/episode_{i:06d}.parquet", columns)
        for camera in cameras:
            frames = pictures(steps, i)
            is_black = i == 0 and camera.endswith("cam0")
            video = root / f"videos/chunk-000/{camera}/episode_{i:06d}.mp4"
            write_video(video, 0 * frames if is_black else frames)


def hands(root: Path) -> None:
    """A robot with hands: other names, degrees, videos in `video` and MPEG-4 all the same, one missing."""
    features = {"actions": feature(34), "state": feature(34), "image": video_feature("h264")}
    write_info(
        root,
        "v3.0",
        features,
        data_path="data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        video_path="videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    )
    write_rows(root, ["image"], True, LENGTHS, 20)
    first = 0
    for i, steps in enumerate(LENGTHS):
        rows = np.degrees(motion(steps, 34, i))
        columns = {"actions": rows, "state": rows, **index_columns(i, steps, first, 20)}
        write_table(root / f"data/chunk-000/file-{i:03d}.parquet", columns)
        if i != 1:
            write_video(root / f"video/image/chunk-000/file-{i:03d}.mp4", pictures(steps, i))
        first += steps


def humanoid(root: Path) -> None:
    """v2.1 as LeRobot has it, with nested names, and a video missing."""
    names = [[f"k{side}{joint}" for side in ("Left", "Right") for joint in range(13)]]
    features = {"observation.state": feature(26, names), "action": feature(26, names)}
    features["observation.images.cam_high"] = video_feature("av1")
    write_info(
        root,
        "v2.1",
        features,
        chunks_size=1000,
        data_path="data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        video_path="videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    )
    write_lines(root)
    for i, steps in enumerate(LENGTHS):
        rows = motion(steps, 26, i)
        columns = {"observation.state": rows, "action": rows, **index_columns(i, steps, 0, 20)}
        write_table(root / f"data/chunk-000/episode_{i:06d}.parquet", columns)
        if i != 2:
            video = root / f"videos/chunk-000/observation.images.cam_high/episode_{i:06d}.mp4"
            write_video(video, pictures(steps, i))


def _in_one_file(root: Path, state: int, action: int, scale: float, fps: int, cameras: Sequence[str]) -> None:
    features = {"observation.state": feature(state), "action": feature(action)}
    write_info(root, "v3.0", features | {name: video_feature() for name in cameras}, fps=fps)
    write_rows(root, cameras, False, LENGTHS, fps)
    parts, first = [], 0
    for i, steps in enumerate(LENGTHS):
        rows = scale * motion(steps, state, i)
        index = index_columns(i, steps, first, fps)
        parts.append({"observation.state": rows, "action": rows[:, :action], **index})
        first += steps
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    write_table(root / "data/chunk-000/file-000.parquet", columns)


def piper(root: Path) -> None:
    """A state of 7, an action of 6, 15 fps, no videos."""
    _in_one_file(root, 7, 6, 1.0, 15, ["observation.images.top"])


def recorded(root: Path) -> None:
    """As `lerobot-record` writes an SO-101, in shares of -100 to 100; videos missing."""
    _in_one_file(root, 6, 6, 180.0, 30, ["observation.images.front", "observation.images.top"])


def bare(root: Path) -> None:
    """An empty info.json and nothing else in meta, files under any name, lists in lists."""
    (root / "meta").mkdir(parents=True)
    (root / "meta/info.json").write_text("")
    for i, steps in enumerate(LENGTHS):
        rows = motion(steps, 7, i)
        columns = {
            **{"observation.state": list(rows[:, None].tolist()), "action": rows},
            "timestamp": (np.arange(steps) / 20)[:, None],
        }
        write_table(root / f"episodes/run_{i}.parquet", columns)
        write_video(root / f"clips/top/run_{i}.mp4", pictures(steps, i))


WILD = {
    "guided": Wild(
        guided,
        {"joint_unit": "ticks:4096"},
        LENGTHS,
        "",
        ("times of steps are not those of the video's frames", "grippers: none"),
        ("cam0", "cam1"),
    ),
    "hands": Wild(
        hands,
        {
            "rename": {"state": "state", "actions": "action"},
            "joint_unit": "deg",
            "skip_damaged": True,
        },
        (9, 8),
        r"has no state and no action, .*: --rename state=state actions=action",
        ("2 videos of image are not where meta/info.json says", "left out: 1 recordings", "grippers: none"),
        ("image",),
    ),
    "humanoid": Wild(
        humanoid,
        {"skip_damaged": True},
        (9, 7),
        r"1 of 3 recordings .*episode_000002\.mp4 is missing; .*--skip_damaged brings in the other 2",
        ("left out: 1 recordings",),
        ("cam_high",),
    ),
    "piper": Wild(
        piper,
        {"no_images": True},
        LENGTHS,
        r"file-000\.mp4 is missing; .*--no_images brings in states and actions alone",
        ("state: observation.state (7), action: action (6)",),
        (),
    ),
    "recorded": Wild(
        recorded,
        {"no_images": True, "joint_unit": "deg"},
        LENGTHS,
        r"file-000\.mp4 is missing; .*--no_images brings in states and actions alone",
        ("state: observation.state (6)",),
        (),
    ),
    "bare": Wild(
        bare,
        {"fps": 20},
        LENGTHS,
        r"meta/info\.json is empty; there are 3 tables, 3 videos, .*: --fps says which",
        ("names no cameras; folders of videos are taken for them: top", "no table of episodes"),
        ("top",),
    ),
}


# --- to change a set, and to bring it in


def bring(source: Path, target: Path, **flags: Any) -> list[Episode]:
    bring_in(ImportFlags(source=str(source), output_dir=str(target), num_workers=1, **flags))
    return [Episode.load(path) for path in list_episodes(target)]


def change_info(root: Path, **values: Any) -> None:
    path = root / "meta/info.json"
    info = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({name: value for name, value in info.items() if value is not None}))


def table_of(path: Path) -> dict[str, list]:
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pydict()


def change_tables(root: Path, change: Callable[[dict[str, list]], None]) -> None:
    for path in sorted((root / "data").rglob("*.parquet")):
        columns = table_of(path)
        change(columns)
        write_table(path, columns)


def assert_shows(frame: np.ndarray, step: int, i: int) -> None:
    """It is the picture of this step of episode i, as a video has it."""
    assert np.abs(frame.astype(int) - picture(step, i)).mean() < 8
