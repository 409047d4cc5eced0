"""A query of VINN's memory: ours, against comparing the query with every frame, camera by camera.

On one core. Features are random, 512 a camera, as those of a ResNet-18. What is measured is the search and
the average of the chunks of actions, not the backbone. Both give the same actions where features are no
wider than what the memory keeps.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from _harness import alternate, machine, make_parser, parse, report, timed, use_one_core

from detr import Memory

STATE, CHUNK, K, STATE_WEIGHT = 14, 100, 16, 1.0
QUERIES = 20  # of a measurement
BRUTE, OURS = "brute force: every frame, camera by camera", "ours: one product with the memory"


class BruteForce:
    """The memory as ACT++ searches it (vinn_eval.py), but for its order of the weights."""

    def __init__(
        self, features: np.ndarray, states: np.ndarray, actions: np.ndarray, last: np.ndarray
    ) -> None:
        self.features, self.states, self.actions, self.last = features, states, actions, last

    def predict(self, feature: np.ndarray, state: np.ndarray) -> np.ndarray:
        """(chunk, A) for features (cameras, f) and a state (D,)."""
        squares = sum(
            np.square(self.features[:, camera] - feature[camera]).sum(axis=1)
            for camera in range(len(feature))
        )
        distances = np.sqrt(squares) + STATE_WEIGHT * np.linalg.norm(self.states - state, axis=1)
        order = np.argsort(distances)[:K]
        weights = np.exp(distances[order[0]] - distances[order])
        steps = np.minimum(order[:, None] + np.arange(CHUNK), self.last[order, None])
        return np.einsum("k,kca->ca", weights / weights.sum(), self.actions[steps])


def compare(args: argparse.Namespace) -> None:
    """Measure both and print the table."""
    facts = machine()
    use_one_core()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    shape = (args.frames, args.cameras, args.width)
    features = rng.standard_normal(shape, np.float32)
    states, actions = (rng.standard_normal((args.frames, STATE), np.float32) for _ in range(2))
    lengths = np.full(args.frames // 400, 400) if args.frames % 400 == 0 else np.array([args.frames])
    memory = Memory()
    memory.fill(*map(torch.from_numpy, (features, states, actions, lengths)))
    brute = BruteForce(features, states, actions, memory.last.numpy())
    feature, state = rng.standard_normal(shape[1:], np.float32), rng.standard_normal(STATE, np.float32)
    query = torch.from_numpy(feature)[None], torch.from_numpy(state)[None]

    def ours() -> None:
        with torch.inference_mode():
            for _ in range(QUERIES):
                memory.predict(*query, K, STATE_WEIGHT, CHUNK)

    def by_frame() -> None:
        for _ in range(QUERIES):
            brute.predict(feature, state)

    ways = {BRUTE: by_frame, OURS: ours}
    ours()  # the first call sets up
    seconds_of = alternate({name: lambda way=way: timed(way) for name, way in ways.items()}, args.repeats)
    median = {name: 1000 * float(np.median(seconds)) / QUERIES for name, seconds in seconds_of.items()}
    rows = [(name, f"{ms:.2f}", f"{median[BRUTE] / ms:.1f}") for name, ms in median.items()]
    title = f"A query of {args.frames} frames, {args.cameras} cameras with {args.width} features each"
    facts = f"{facts}, {torch.get_num_threads()} threads"
    report(title, facts, ("way", "ms a query", "times as fast"), rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=15)
    parser.add_argument("--frames", type=int, default=20_000, help="in memory")
    parser.add_argument("--cameras", type=int, default=3, help="how many")
    parser.add_argument("--width", type=int, default=512, help="features of a camera")
    args = parse(parser)
    if args.quick:
        args.frames = 800
    compare(args)


if __name__ == "__main__":
    main()
