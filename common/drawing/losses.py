"""The losses of a training run, row by row, and how they are written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Losses:
    """A run at one step: means of its losses, by name, and how well it does.

    In checkpoints, `history.csv`, TensorBoard and Weights & Biases each number has a column: `train/<loss>`,
    `val/<loss>`, `val/loss <phase>` and `eval/success`.
    """

    step: int
    training: Mapping[str, float] = field(default_factory=dict)  # over the steps since the row before
    validation: Mapping[str, float] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)  # validation's `loss` by phase of the episode
    success: float | None = None  # share of the rollouts in simulation

    @classmethod
    def from_row(cls, row: Mapping[str, float]) -> Losses:
        """The reverse of `row`; ignores columns of other names. ValueError if there is no step."""
        if "step" not in row:
            raise ValueError("a row has no step")
        parts: dict[str, dict[str, float]] = {"train": {}, "val": {}, "phase": {}}
        for column, value in row.items():
            part, _, name = column.partition("/")
            if column.startswith("val/loss "):
                part, name = "phase", name.removeprefix("loss ")
            parts.setdefault(part, {})[name] = value
        return cls(int(row["step"]), parts["train"], parts["val"], parts["phase"], row.get("eval/success"))

    def row(self) -> dict[str, float]:
        """Values by column."""
        return {
            "step": self.step,
            **{f"train/{name}": value for name, value in self.training.items()},
            **{f"val/{name}": value for name, value in self.validation.items()},
            **{f"val/loss {phase}": value for phase, value in self.phases.items()},
            **({} if self.success is None else {"eval/success": self.success}),
        }
