"""What a training run leaves on the disk while it goes on: checkpoints, the log, the plot of its losses."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from common import Background, Losses, RunLog, open_log
from training.run.state import RunState

LAST_EVERY = 60.0  # s between checkpoints to resume from
PLOT_EVERY = 30.0  # s between plots of the losses
OF_A_RUN = ("policy_last", "policy_best", "policy_best_success", "policy_step_*")  # checkpoints


def forget(ckpt_dir: Path) -> None:
    """Remove what an earlier run left in its folder, so that nothing of it is taken for the next one's."""
    names = [*(f"{name}.ckpt" for name in OF_A_RUN), "history.csv", "losses.png"]
    for path in [path for name in names for path in ckpt_dir.glob(name)]:
        path.unlink()


class Keeper:
    """Keeps what a run has become, in a thread, so that its steps do not wait for the disk."""

    def __init__(self, run: RunState, ckpt_dir: Path, log: RunLog, background: Background) -> None:
        self._run, self._ckpt_dir, self._log, self._background = run, ckpt_dir, log, background
        self._saved = self._plotted = -math.inf  # s; when the last checkpoint and the last plot were made

    def add(self, losses: Losses) -> None:
        """Add a row to the run's history, and save the policy if it is the best so far. A checkpoint to
        resume from and the plot are only made now and then, and at the end.
        """
        run, now = self._run, time.monotonic()
        run.history.append(losses)
        if losses.validation and losses.validation["loss"] < run.best:
            run.best = losses.validation["loss"]
            run.save(self._ckpt_dir, "best", self._background)
        if losses.success is not None and losses.success > run.best_success:
            run.best_success = losses.success
            run.save(self._ckpt_dir, "best_success", self._background)
        is_over = run.step == run.total
        if is_over or now - self._saved > LAST_EVERY:
            run.save(self._ckpt_dir, "last", self._background)
            self._saved = now
        self._log.write(run.history)
        if is_over or now - self._plotted > PLOT_EVERY:
            self._background.do(self._log.plot, list(run.history))
            self._plotted = now

    def save(self) -> Path:
        """Write the checkpoint to resume from, and return when all is on the disk."""
        self._background.wait()
        return self._run.save(self._ckpt_dir, "last")

    def stop(self) -> None:
        """Leave everything as it is before the end of the run."""
        self.save()
        self._log.plot(self._run.history)


@contextmanager
def keep(run: RunState, ckpt_dir: Path) -> Iterator[Keeper]:
    """A run's `Keeper`; at the end everything is on the disk."""
    with (
        open_log(ckpt_dir, run.step, asdict(run.config), run.config.wandb) as log,
        Background() as background,
    ):
        yield Keeper(run, ckpt_dir, log, background)
