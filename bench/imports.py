"""How fast recordings of other programs are brought in: frames a second, 480x640, one camera.

Wanted: at least 500 frames a second on two cores. Files are in the system's cache; an import reads, converts,
encodes as JPEG and writes. JPEGs are not encoded again. Frames a CPU second are those of one process: times
the cores, what a machine does that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np
from _harness import Result, alternate, machine, make_parser, medians, parse, report

from episodes import Episode, JpegFrames, episode_path
from readers import ImportFlags, bring_in

SIZES = {False: (8, 200, 480, 640), True: (2, 4, 48, 64)}  # by --quick: episodes, steps, height, width
JOINTS = 14


def pictures(steps: int, height: int, width: int, i: int) -> np.ndarray:
    """(T, H, W, 3) uint8: gradients with some noise, a bar that moves."""
    rng = np.random.default_rng(i)
    y, x = np.mgrid[:height, :width]
    still = np.stack([255 * x // width, 255 * y // height, 128 + 0 * x], axis=2)
    still = (still + rng.integers(-6, 7, still.shape)).clip(0, 255).astype(np.uint8)
    frames = np.repeat(still[None], steps, axis=0)
    for t, frame in enumerate(frames):
        frame[:, (7 * t) % width : (7 * t) % width + width // 10] = (220, 60, 40)
    return frames


def as_act(folder: Path, size: tuple[int, int, int, int], is_jpeg: bool = False) -> None:
    """Files of ACT, raw, or of ACT++, JPEG."""
    count, steps, height, width = size
    for i in range(count):
        frames = pictures(steps, height, width, i)
        if is_jpeg:
            encoded = JpegFrames()
            for frame in frames:
                encoded.append(frame)
        rows = np.zeros((steps, JOINTS), np.float32)
        images = {"top": encoded if is_jpeg else frames}
        Episode(qpos=rows, action=rows, images=images).save(episode_path(folder, i))


def as_tables(folder: Path, size: tuple[int, int, int, int]) -> None:
    """CSV files and H.264 videos."""
    from readers import lerobot_format

    count, steps, height, width = size
    folder.mkdir()
    names = [f"{what}_{j}" for what in ("qpos", "action") for j in range(JOINTS)]
    for i in range(count):
        lines = [",".join(names), *([",".join(["0.0"] * len(names))] * steps)]
        (folder / f"take_{i}.csv").write_text("\n".join(lines), encoding="utf-8")
        frames = pictures(steps, height, width, i)
        lerobot_format.encode_video(folder / f"take_{i}_top.mp4", frames, 50, 23)


def as_lerobot(folder: Path, size: tuple[int, int, int, int]) -> None:
    """LeRobot's v3.0: Parquet and H.264, one video of several episodes."""
    from dataset_tools import ExportFlags, export_lerobot

    with tempfile.TemporaryDirectory(prefix="bench_") as episodes, open(os.devnull, "w") as silence:
        as_act(Path(episodes), size, is_jpeg=True)
        with redirect_stdout(silence):
            export_lerobot(ExportFlags(dataset_dir=episodes, output_dir=str(folder), crf=23))


SETS: dict[str, Callable[[Path, tuple[int, int, int, int]], None]] = {
    "ACT, raw pictures": as_act,
    "ACT++, JPEG": partial(as_act, is_jpeg=True),
    "CSV and H.264": as_tables,
    "LeRobot, H.264": as_lerobot,
}


def measure(source: Path, frames: int) -> Result:
    """Seconds of an import, frames a second, and frames a CPU second."""
    began = time.perf_counter()
    bring(source)
    seconds = time.perf_counter() - began
    began = time.process_time()
    bring(source, num_workers=1)
    return {
        "seconds": seconds,
        "frames": frames / seconds,
        "cpu_frames": frames / (time.process_time() - began),
    }


def bring(source: Path, num_workers: int | None = None) -> None:
    """Bring a set in, in silence, and throw it away."""
    with tempfile.TemporaryDirectory(prefix="bench_") as folder, open(os.devnull, "w") as silence:
        target = str(Path(folder) / "episodes")
        with redirect_stdout(silence):
            bring_in(ImportFlags(source=str(source), output_dir=target, fps=50, num_workers=num_workers))


def compare(args: argparse.Namespace) -> None:
    """Make the sets, bring each in, and print the table."""
    facts, size = machine(), SIZES[args.quick]
    place = Path(tempfile.mkdtemp(prefix="bench_"))
    try:
        for i, make in enumerate(SETS.values()):
            make(place / str(i), size)
        contenders = {
            name: partial(measure, place / str(i), size[0] * size[1]) for i, name in enumerate(SETS)
        }
        results = {name: medians(each) for name, each in alternate(contenders, args.repeats).items()}
    finally:
        shutil.rmtree(place)
    first = results[next(iter(SETS))]["seconds"]
    rows = [
        [
            name,
            f"{each['seconds']:.2f}",
            f"{each['frames']:.0f}",
            f"{each['cpu_frames']:.0f}",
            f"{first / each['seconds']:.2f}",
        ]
        for name, each in results.items()
    ]
    title = f"imports: {size[0]} episodes of {size[1]} steps, {size[2]}x{size[3]}, all cores"
    columns = ["from", "seconds", "frames a second", "frames a CPU second", "times as fast"]
    report(title, facts, columns, rows)


def main() -> None:
    compare(parse(make_parser(__doc__, 3)))


if __name__ == "__main__":
    main()
