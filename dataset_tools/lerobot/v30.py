"""LeRobot's format v3.0: many episodes in each Parquet and MP4 file, and a table of where each begins."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools.lerobot.contents import EpisodeStats, Writer, arrow_table
from readers import lerobot_format as lerobot

PARTS = "parts"  # folder of the videos of single episodes, until they are joined


class WriterV30(Writer):
    """See the file."""

    version = "3.0"
    readers = "LeRobot 0.4 and newer"

    def video(self, camera: str, i: int) -> Path:
        return self.root / PARTS / f"{camera}_{i}.mp4"

    def write(self, stats: Sequence[EpisodeStats]) -> None:
        contents = self.contents
        rows = [
            {
                "episode_index": i,
                "tasks": [text],
                "length": length,
                "dataset_from_index": start,
                "dataset_to_index": start + length,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
            }
            for i, (text, length, start) in enumerate(
                zip(contents.texts, contents.lengths, contents.starts, strict=True)
            )
        ]
        self._write_data(rows)
        for camera in contents.cameras:
            self._join(camera, rows)
        shutil.rmtree(self.root / PARTS, ignore_errors=True)
        self._write_meta(rows, stats)

    def _write_data(self, rows: list[dict[str, Any]]) -> None:
        """Write the data files, and note in each episode's row which file holds it."""
        tables = [self.contents.columns(i) for i in range(len(rows))]
        sizes = [sum(values.nbytes for values in table.values()) / 1e6 for table in tables]
        numbers = lerobot.file_numbers(sizes, lerobot.DATA_MEGABYTES)
        for chunk, file in dict.fromkeys(numbers):
            some = [i for i, number in enumerate(numbers) if number == (chunk, file)]
            for i in some:
                rows[i] |= {"data/chunk_index": chunk, "data/file_index": file}
            joined = {name: np.concatenate([tables[i][name] for i in some]) for name in tables[0]}
            path = self.root / lerobot.DATA_PATH.format(chunk_index=chunk, file_index=file)
            lerobot.write_table(path, arrow_table(joined))

    def _join(self, camera: str, rows: list[dict[str, Any]]) -> None:
        """Write a camera's video files, and note in each episode's row its file and times."""
        feature, fps, lengths = f"{lerobot.IMAGES}{camera}", self.contents.fps, self.contents.lengths
        parts = [self.video(camera, i) for i in range(len(rows))]
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
            path = self.root / lerobot.VIDEO_PATH.format(
                video_key=feature, chunk_index=chunk, file_index=file
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            lerobot.join_videos(path, [parts[i] for i in some], [lengths[i] for i in some], fps)

    def _write_meta(self, rows: list[dict[str, Any]], stats: Sequence[EpisodeStats]) -> None:
        _, arrow = lerobot.import_packages()
        contents, root = self.contents, self.root
        table = [
            row | {f"stats/{f}/{n}": v.tolist() for f, part in own.items() for n, v in part.items()}
            for row, own in zip(rows, stats, strict=True)
        ]
        lerobot.write_table(root / lerobot.EPISODES_PATH, arrow.Table.from_pylist(table))
        lerobot.write_table(root / lerobot.TASKS, lerobot.tasks_table(contents.tasks))
        pooled = {feature: lerobot.pooled_stats([own[feature] for own in stats]) for feature in stats[0]}
        plain = {f: {name: values.tolist() for name, values in part.items()} for f, part in pooled.items()}
        lerobot.write_json(root / lerobot.STATS, plain)
        places = {
            "codebase_version": f"v{self.version}",
            "data_files_size_in_mb": lerobot.DATA_MEGABYTES,
            "video_files_size_in_mb": lerobot.VIDEO_MEGABYTES,
            "data_path": lerobot.DATA_PATH,
            "video_path": lerobot.VIDEO_PATH if contents.cameras else None,
        }
        lerobot.write_json(root / lerobot.INFO, places | contents.info)
        lerobot.write_json(root / lerobot.OURS, contents.extras)
