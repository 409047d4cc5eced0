"""What LeRobot's own `LeRobotDataset` reads of a dataset, as a NumPy file.

Runs under LeRobot's interpreter, so it imports nothing of this project: lerobot_reading.py SET FILE.npz
"""

import sys

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main(root: str, target: str) -> None:
    dataset = LeRobotDataset("somebody/set", root=root, video_backend="pyav")
    rows = [dataset[i] for i in range(len(dataset))]
    values = {name: np.stack([row[name].numpy() for row in rows]) for name in dataset.features}
    stats = [f"{feature}/{name}" for feature, own in dataset.meta.stats.items() for name in own]
    facts = {
        "episodes": dataset.num_episodes,
        "fps": dataset.fps,
        "tasks": [row["task"] for row in rows],
        "stats": stats,
        "mean": dataset.meta.stats["action"]["mean"],
    }
    np.savez(target, **{f"fact {name}": value for name, value in facts.items()}, **values)


if __name__ == "__main__":
    main(*sys.argv[1:])
