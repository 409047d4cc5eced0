"""The log of a training run: `history.csv`, a plot, TensorBoard, and Weights & Biases if asked for."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.drawing.losses import Losses
from common.drawing.plots import loss_plot
from common.storage import complete_file, told_if_full

Row = dict[str, float]  # one row of a table: values by column


def check_wandb(project: str | None) -> None:
    """ImportError if a project is named and the package is missing."""
    if project and importlib.util.find_spec("wandb") is None:
        raise ImportError("a log at Weights & Biases needs the package wandb: pip install wandb")


class RunLog:
    """The log in a run's folder. Every new row rewrites the files completely, from the run's history."""

    def __init__(
        self, folder: Path, step: int, flags: Mapping[str, Any], wandb_project: str | None = None
    ) -> None:
        """`step` is where the run begins or resumes; later rows of the interrupted run are dropped."""
        from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self._wandb = None
        if wandb_project:
            import wandb

            self._wandb = wandb.init(
                project=wandb_project, name=folder.name, id=folder.name, resume="allow", config=dict(flags)
            )

    def write(self, history: Sequence[Losses]) -> None:
        """Log the last row, and write all rows to `history.csv`."""
        rows = [losses.row() for losses in history]
        values = {name: value for name, value in rows[-1].items() if name != "step"}
        with told_if_full(self._folder / "tensorboard"):
            for name, value in values.items():
                self._board.add_scalar(name, value, history[-1].step)
            self._board.flush()
        if self._wandb:
            self._wandb.log(values, step=history[-1].step)
        write_csv(self._folder / "history.csv", rows)

    def plot(self, history: Sequence[Losses]) -> None:
        """Draw all rows to `losses.png`."""
        if any(losses.training for losses in history):
            loss_plot(self._folder / "losses.png", history)

    def close(self) -> None:
        """Flush what is buffered."""
        self._board.close()
        if self._wandb:
            self._wandb.finish()


@contextlib.contextmanager
def open_log(*args: Any, **kwargs: Any) -> Iterator[RunLog]:
    """A `RunLog` that is closed at the end."""
    log = RunLog(*args, **kwargs)
    try:
        yield log
    finally:
        log.close()


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """One line a row; columns in the order in which they first appear, empty where a row lacks one."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with complete_file(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def is_flat(history: Sequence[Losses], rows: int = 10, least: float = 0.01) -> bool:
    """Whether the last `rows` validations hardly lowered the lowest validation loss before them."""
    values = [losses.validation["loss"] for losses in history if losses.validation]
    before, recent = values[:-rows], values[-rows:]
    return len(before) >= rows and min(recent) > (1 - least) * min(before)
