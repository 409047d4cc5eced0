"""Moved cameras: how well the displacement is recovered, in the twin's scene, against its known geometry.

The reference is made of the first pictures of several episodes. The camera is then moved by so many mm and
turned by so many degrees, in any direction; objects lie elsewhere; light, white balance and noise are others.
What is true is where the table's point goes that the middle of the picture shows. Features above the table
(the arm) go elsewhere if a camera is moved and not only turned, so large moves have larger errors. The last
column counts the verdicts by the scripts' limits; in the first row each would be a false alarm.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from _harness import machine, make_parser, parse, report
from tqdm import tqdm

from cameras import Displacement, PlacementLimits, Reference, judge_placement, make_reference
from constants import Stream, get_task
from sim_env import SimEnv, make_sim_env
from tasks import CameraMove, camera_matrix, camera_pose, matrix_of, moved_camera

SIZE = (480, 640)
TASKS = ("sim_mycobot320_move_cube_scripted", "sim_mycobot320_choose_scripted")
EPISODES = 5  # of which the first pictures make the reference
NOISE = 2.0  # grey levels
GAIN, BALANCE = (0.7, 1.1), (0.93, 1.07)  # of the whole picture; of each colour
MILLIMETRES, DEGREES = (0, 2, 5, 10, 20), (0, 0.5, 1, 2, 4)


class Bench:
    """A scene whose camera can be moved, as a sensor sees it."""

    def __init__(self, task_name: str, camera: str, looks: int | None) -> None:
        self._env: SimEnv = make_sim_env(get_task(task_name), image_size=SIZE, randomize=True)
        self.camera, self._looks = camera, looks
        self._shots = 0

    def picture(self, rng: np.random.Generator, move: CameraMove | None = None) -> np.ndarray:
        """What the camera sees where an episode begins, (H, W, 3) uint8 RGB."""
        env = self._env
        env.set_looks(None if self._looks is None else [self._looks])
        env.reset(np.random.default_rng([Stream.RECORD, self._shots]))
        self._shots += 1
        env.task.looks.camera_moves.clear()
        if move is not None:
            env.task.looks.camera_moves[self.camera] = move
        gain = rng.uniform(*GAIN) * rng.uniform(*BALANCE, 3) if move is not None else np.ones(3)
        light = gain * env.render(self.camera) + rng.normal(0, NOISE, (*SIZE, 3))
        return np.clip(light, 0, 255).astype(np.uint8)

    def reference(self, rng: np.random.Generator) -> Reference:
        """From the first pictures of some episodes."""
        return make_reference([self.picture(rng) for _ in range(EPISODES)])

    def truth(self, move: CameraMove) -> Displacement:
        """Where the table goes in the picture."""
        before = camera_matrix(self._env.physics, self.camera, SIZE)
        after = moved_matrix(self._env.physics, self.camera, SIZE, move)
        on_table = [0, 1, 3]  # height 0
        return Displacement(after[:, on_table] @ np.linalg.inv(before[:, on_table]), SIZE)

    def close(self) -> None:
        self._env.close()


def moved_matrix(physics: Any, camera: str, image_size: tuple[int, int], move: CameraMove) -> np.ndarray:
    """As `tasks.camera_matrix`, of a camera that was moved."""
    pose, place = camera_pose(physics, camera), physics.named.data.cam_xpos[camera]
    fovy = float(physics.named.model.cam_fovy[camera])
    return matrix_of(fovy, *moved_camera(pose, place, move), image_size)


def draw(rng: np.random.Generator, millimetres: float, degrees: float) -> CameraMove:
    """A move of this size, in any direction."""
    ways = rng.normal(size=(2, 3))
    way, axis = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    return way * millimetres / 1000, axis * np.radians(degrees)


def misses(
    bench: Bench, move: CameraMove, reference: Reference, rng: np.random.Generator
) -> tuple[float, ...]:
    """Error of shift (px), rotation (degrees) and zoom; whether it is believed, and called moved."""
    placement = judge_placement(bench.camera, reference, bench.picture(rng, move), PlacementLimits())
    found, true = placement.displacement, bench.truth(move)
    if not found.is_believed:
        return np.nan, np.nan, np.nan, 0, placement.is_moved
    shift = float(np.hypot(*np.subtract(found.shift, true.shift)))
    return shift, abs(found.rotation - true.rotation), abs(found.zoom - true.zoom), 1, placement.is_moved


def moves(args: argparse.Namespace) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Rows of the table: sizes in mm and degrees, some of which are drawn again and again."""
    yield "not moved", [(0, 0)] * args.unmoved
    for size in MILLIMETRES[1:]:
        yield f"{size} mm", [(size, degrees) for degrees in DEGREES for _ in range(args.runs)]
    for size in DEGREES[1:]:
        yield f"{size:g} degrees", [(length, size) for length in MILLIMETRES for _ in range(args.runs)]


def row(name: str, measured: np.ndarray) -> tuple[str, ...]:
    """A row from errors (N, 5)."""
    believed = measured[measured[:, 3] > 0]
    errors = [(believed[:, i], digits) for i, digits in enumerate((2, 2, 4))]
    cells = [f"{np.quantile(one, q):.{digits}f}" for one, digits in errors for q in (0.5, 0.95)]
    return name, str(len(measured)), *cells, f"{len(believed)}", f"{int(measured[:, 4].sum())}"


def measure(args: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """The rows, each over both tasks and both kinds of looks."""
    kinds = [(task, look) for task in TASKS for look in (None, 1)]
    kinds = kinds[:1] if args.quick else kinds
    benches = [Bench(task, "top", look) for task, look in kinds]
    rng = np.random.default_rng(args.seed)
    references = [bench.reference(rng) for bench in benches]
    rows: Sequence = list(moves(args))
    with tqdm(total=sum(len(sizes) for _, sizes in rows), unit="picture") as progress:
        for name, sizes in rows:
            measured = []
            for number, size in enumerate(sizes):
                which = number % len(benches)
                measured.append(misses(benches[which], draw(rng, *size), references[which], rng))
                progress.update()
            yield row(name, np.array(measured, float))
    for bench in benches:
        bench.close()


def main() -> None:
    parser = make_parser(__doc__, repeats=None)
    parser.add_argument("--unmoved", type=int, default=200, help="runs without a move")
    parser.add_argument("--runs", type=int, default=8, help="of each size in mm with each in degrees")
    parser.add_argument("--seed", type=int, default=0)
    args = parse(parser)
    if args.quick:
        args.unmoved, args.runs = 2, 1
    facts = machine()
    both = [f"{what}, {q}" for what in ("shift (px)", "rotation (deg)", "zoom") for q in ("median", "95 %")]
    header = ("moved by", "runs", *(f"error of {name}" for name in both), "believed", "called moved")
    title = "The camera top of the twin's scene, 480x640, found against true"
    report(title, facts, header, list(measure(args)))


if __name__ == "__main__":
    main()
