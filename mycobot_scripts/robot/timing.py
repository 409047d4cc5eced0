"""When each step of a run on the arm happened, and how old its state and pictures were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

LATE = 0.01  # s after its deadline from which a step counts as late


class Timing:
    """Grows by a row a step; row 0 is what was seen before the first action."""

    def __init__(self, cameras: Sequence[str]) -> None:
        self.missed = 0  # deadlines that were skipped
        self._cameras = tuple(cameras)
        self._rows: list[tuple[float, ...]] = []

    def add(self, moment: float, late: float, state_age: float, camera_ages: Mapping[str, float]) -> None:
        """Note a step that was observed at `moment`, so long after its deadline; all in s."""
        self._rows.append((moment, late, state_age, *(camera_ages[name] for name in self._cameras)))

    def __len__(self) -> int:
        return len(self._rows)

    def arrays(self) -> dict[str, np.ndarray]:
        """(T,) s each: `time` since the first step, `late`, `state_age`, and `age_<camera>`."""
        rows = np.array(self._rows).reshape(-1, 3 + len(self._cameras))
        names = ("time", "late", "state_age", *(f"age_{name}" for name in self._cameras))
        columns = dict(zip(names, rows.T, strict=True))
        columns["time"] = columns["time"] - columns["time"][:1]
        return columns

    @property
    def rate(self) -> float:
        """Steps a second, as achieved; NaN for fewer than two steps."""
        time = self.arrays()["time"][1:]
        return (len(time) - 1) / float(time[-1] - time[0]) if len(time) > 1 else float("nan")

    def recent_rate(self, steps: int = 30) -> float:
        """As `rate`, of the last steps."""
        moments = [row[0] for row in self._rows[-steps - 1 :]]
        return (len(moments) - 1) / (moments[-1] - moments[0]) if len(moments) > 2 else float("nan")

    @property
    def late_steps(self) -> int:
        return int((self.arrays()["late"][1:] > LATE).sum())

    @property
    def longest(self) -> float:
        """The longest time between two steps, s."""
        return float(np.diff(self.arrays()["time"][1:]).max(initial=0.0))

    def text(self, fps: float) -> str:
        """Two lines; `fps` is the rate asked for."""
        if len(self) < 2:
            return "no steps"
        columns = self.arrays()
        ages = "; ".join(
            f"{name.removeprefix('age_').replace('_age', '')} {_span(columns[name])}"
            for name in columns
            if "age" in name.split("_")
        )
        return (
            f"{self.rate:.2f} steps a second of {fps:g}; {self.late_steps} of {len(self) - 1} more than "
            f"{1000 * LATE:.0f} ms late, {self.missed} left out, longest pause {1000 * self.longest:.0f} ms\n"
            f"ages when seen (median, 99 %): {ages}"
        )


def _span(seconds: np.ndarray) -> str:
    median, slowest = 1000 * np.percentile(seconds, [50, 99])
    return f"{median:.0f}, {slowest:.0f} ms"
