"""LeRobot's format v2.1: a Parquet file and an MP4 file a camera for each episode, and lists in JSON lines.

Sources: huggingface/lerobot 0.3.3, src/lerobot/datasets/utils.py (paths, info.json, lists) and
compute_stats.py (statistics); NVIDIA/Isaac-GR00T, getting_started/data_preparation.md (modality.json).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import complete_file
from dataset_tools.lerobot.contents import EpisodeStats, Writer, arrow_table, entries_in
from episodes import BASE
from readers import lerobot_format as lerobot
from tasks import Entry

EPISODES_STATS, TASKS = "meta/episodes_stats.jsonl", "meta/tasks.jsonl"
MODALITY = "meta/modality.json"  # GR00T alone reads it
STATISTICS = ("min", "max", "mean", "std", "count")


class WriterV21(Writer):
    """See the file."""

    version = "2.1"
    readers = "LeRobot 0.3.3, GR00T and openpi"

    def video(self, camera: str, i: int) -> Path:
        return self._place(lerobot.VIDEO_PATH_V2, i, video_key=f"{lerobot.IMAGES}{camera}")

    def write(self, stats: Sequence[EpisodeStats]) -> None:
        contents, root = self.contents, self.root
        numbers = range(len(contents.sources))
        for i in numbers:
            lerobot.write_table(self._place(lerobot.DATA_PATH_V2, i), arrow_table(contents.columns(i)))
        episodes = zip(numbers, contents.texts, contents.lengths, strict=True)
        _write_lines(
            root / lerobot.EPISODES_PATH_V2,
            ({"episode_index": i, "tasks": [text], "length": length} for i, text, length in episodes),
        )
        _write_lines(
            root / EPISODES_STATS,
            ({"episode_index": i, "stats": _plain(own)} for i, own in enumerate(stats)),
        )
        _write_lines(root / TASKS, ({"task_index": i, "task": text} for i, text in enumerate(contents.tasks)))
        lerobot.write_json(root / MODALITY, self._modality())
        places = {
            "codebase_version": f"v{self.version}",
            "total_videos": len(numbers) * len(contents.cameras),
            "total_chunks": _chunk(numbers[-1]) + 1,
            "data_path": lerobot.DATA_PATH_V2,
            "video_path": lerobot.VIDEO_PATH_V2 if contents.cameras else None,
        }
        lerobot.write_json(root / lerobot.INFO, places | contents.info)
        lerobot.write_json(root / lerobot.OURS, contents.extras)

    def _place(self, template: str, i: int, **more: str) -> Path:
        return self.root / template.format(episode_chunk=_chunk(i), episode_index=i, **more)

    def _modality(self) -> dict[str, Any]:
        """Which entries of state and action are which part of the robot, and which column is the task."""
        episode = self.contents.sources[0].header
        widths = {"state": (lerobot.STATE, episode.qpos), "action": (lerobot.ACTION, episode.action)}
        parts = {
            name: parts_of(entries_in(episode, rows.shape[1]), feature)
            for name, (feature, rows) in widths.items()
        }
        if episode.base_action is not None:
            parts["action"] |= parts_of(BASE, lerobot.BASE)
        return {
            **parts,
            "video": {c: {"original_key": f"{lerobot.IMAGES}{c}"} for c in self.contents.cameras},
            "annotation": {"human.task_description": {"original_key": "task_index"}},
        }


def _chunk(i: int) -> int:
    return i // lerobot.CHUNK_FILES


def parts_of(entries: Sequence[Entry], feature: str) -> dict[str, dict[str, Any]]:
    """Where each arm and each gripper lies in a feature; one part if its entries have no known names."""
    parts: dict[str, dict[str, Any]] = {}
    for i, entry in enumerate(entries):
        is_gripper = entry.is_gripper and entry.span is not None
        name = entry.name if is_gripper else entry.group.replace(" ", "_")
        parts.setdefault(name, {"start": i, "end": i, "original_key": feature})["end"] = i + 1
    return parts


def _plain(stats: EpisodeStats) -> dict[str, dict[str, Any]]:
    return {feature: {name: part[name].tolist() for name in STATISTICS} for feature, part in stats.items()}


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as part:
        part.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
