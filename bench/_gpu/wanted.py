"""What the toolkit wants to reach on a GPU, held against the rows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from _gpu.rows import Row

PUBLISHED_SAMPLES = 100_000  # of ACT's training: 2000 epochs of 50 episodes (Zhao et al. 2023, appendix D)
BATCH = 8
STEP_MS = 5.0  # batch 8, one camera, 480x640, as CUDA graphs
PEER_MS = 13.2  # LeRobot, the same step on each of 8 B200, with CUDA graphs (huggingface/lerobot #4612)
PEAK_SHARE = 0.4  # of the bf16 peak, at batch 64
ONE, MANY = (f"ACT, batch {samples}, 1 camera" for samples in (BATCH, 64))


def verdicts(rows: Sequence[Row]) -> list[tuple[str, dict[str, Any]]]:
    """What is wanted, and whether it is reached: names and values of rows."""
    values = {(row["section"], row["what"]): row for row in rows}
    one, many = (values.get(("compiled", what), {}) for what in (ONE, MANY))
    return [
        (
            f"{ONE}: at most {STEP_MS:g} ms a step",
            _verdict(one, "ms", lambda ms: ms <= STEP_MS)
            | ({"against_LeRobot": f"{PEER_MS / one['ms']:.1f}x"} if "ms" in one else {}),
        ),
        (
            f"{MANY}: at least {PEAK_SHARE:.0%} of the bf16 peak",
            _verdict(many, "of peak", lambda share: share >= PEAK_SHARE),
        ),
        (f"ACT's published training, {PUBLISHED_SAMPLES} samples", _minutes(values)),
    ]


def _verdict(row: Row, name: str, holds: Any) -> dict[str, Any]:
    if name not in row:
        return {"skipped": "not measured"}
    return {name: row[name], "reached": "yes" if holds(row[name]) else "NO"}


def _minutes(values: Mapping[tuple[str, str], Row]) -> dict[str, Any]:
    """Minutes of the steps alone, as batches of 8, by the way they are computed."""
    steps = PUBLISHED_SAMPLES / BATCH
    ways = {way: values.get((way, ONE), {}) for way in ("compiled", "eager")}
    minutes = {f"{way}_minutes": steps * row["ms"] / 60_000 for way, row in ways.items() if "ms" in row}
    return minutes or {"skipped": "not measured"}
