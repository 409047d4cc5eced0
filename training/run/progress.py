"""What training tells the user: the memory it needs, how far it has come, its losses, how long it takes."""

from __future__ import annotations

import math
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from common import GIGABYTE, Losses, World, autocast, free_bytes, training_bytes
from training.run.state import RunState
from utils import Batch

LONG = 2.0  # hours; a run on a CPU that takes longer says so
RATE_STEPS, RATE_SECONDS = 5, 10.0  # over which its rate is measured, whichever ends later
FULL_SIZE = 10e6  # parameters; presets/small.json has 1.6 million
LINE = 119  # columns of the bar at most
SHOWN = {"loss": ".4f", "val": ".4f", "data wait": ".0%", "success": ".0%"}  # what the bar has room for


class Meter:
    """Losses of steps: on the device until `look`, then summed up until `take`, at the next validation."""

    def __init__(self, describe: Callable[[int], Sequence[str]], ckpt_dir: Path) -> None:
        """`describe` names the samples of a step, `ckpt_dir` holds the run: for the reader of an error."""
        self._describe, self._ckpt_dir = describe, ckpt_dir
        self._pending: dict[int, dict[str, Tensor]] = {}
        self._waited, self._looked = 0.0, time.monotonic()  # s; for data, since the last look
        self._sums: dict[str, float] = defaultdict(float)
        self._count = 0

    def add(self, step: int, losses: dict[str, Tensor], waited: float) -> None:
        """Add the losses of a step, and the seconds that it waited for its data."""
        self._pending[step] = losses
        self._waited += waited

    @property
    def age(self) -> float:
        """Seconds since the last look."""
        return time.monotonic() - self._looked

    def look(self) -> dict[str, float]:
        """Fetch the pending losses; returns their mean `loss`, and `data wait`, the share of time spent on
        waiting for data. RuntimeError if a loss is not finite.
        """
        names = list(next(iter(self._pending.values())))
        table = torch.stack([torch.stack([row[name] for name in names]) for row in self._pending.values()])
        for step, values in zip(self._pending, table.tolist(), strict=True):
            for name, value in zip(names, values, strict=True):
                if not math.isfinite(value):
                    raise RuntimeError(self._broken(name, value, step))
                self._sums[name] += value
        self._count += len(self._pending)
        shown = {"loss": table[:, names.index("loss")].mean().item()}
        shown["data wait"] = self._waited / max(self.age, 1e-9)
        self._pending, self._waited, self._looked = {}, 0.0, time.monotonic()
        return shown

    def _broken(self, name: str, value: float, step: int) -> str:
        return (
            f"{name} is {value} at step {step + 1}; its samples: {', '.join(self._describe(step))}. Look "
            "whether these are sound; otherwise try a lower --lr or --grad_clip 1. "
            f"The last checkpoint in {self._ckpt_dir} is as it was"
        )

    def take(self, world: World, device: torch.device) -> dict[str, float]:
        """Means over all steps since the last call, and over all processes, each of which must call."""
        names = list(self._sums)
        means = torch.tensor([self._sums[name] / self._count for name in names], device=device)
        self._sums, self._count = defaultdict(float), 0
        return dict(zip(names, world.mean(means).tolist(), strict=True))


class Bar:
    """The line that shows how far a run has come; hidden in all processes but the first."""

    def __init__(self, run: RunState, is_hidden: bool) -> None:
        self._run, self._values, self._rate = run, {}, _Rate(run)
        self._line = tqdm(
            total=run.total,
            initial=run.step,
            desc="training",
            unit="step",
            smoothing=0.05,
            ncols=min(LINE, shutil.get_terminal_size((LINE, 24)).columns),
            disable=is_hidden,
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def advance(self) -> None:
        """Note that a step is done."""
        self._line.update()
        if not self._line.disable and (words := self._rate.words()):
            tqdm.write(words)

    def show(self, values: Mapping[str, float]) -> None:
        """Show these from now on, of `SHOWN`."""
        self._values |= values
        self._line.set_postfix(short(self._values), refresh=False)


def short(values: Mapping[str, float]) -> dict[str, str]:
    """Values as the bar shows them, in the order of `SHOWN`."""
    return {name: f"{values[name]:{form}}" for name, form in SHOWN.items() if name in values}


class _Rate:
    """How fast a run's first steps are, for one line about how long all of them will take on a CPU."""

    def __init__(self, run: RunState) -> None:
        self._run, self._is_done = run, run.device.type != "cpu"
        self._began: tuple[int, float] | None = None  # step, time (s); the first step takes longer

    def words(self) -> str | None:
        """After a step: the line, once its rate is known and if the run is long."""
        if self._is_done:
            return None
        step, now = self._run.step, time.monotonic()
        if self._began is None:
            self._began = step, now
            return None
        steps, seconds = step - self._began[0], now - self._began[1]
        if steps < RATE_STEPS or seconds < RATE_SECONDS:
            return None
        self._is_done = True
        size = sum(parameter.numel() for parameter in self._run.policy.parameters())
        return long_run_line((self._run.total - step) * seconds / steps / 3600, size)


def long_run_line(hours: float, parameters: int) -> str | None:
    """A line on the hours that are left of a run on a CPU; None if they are few."""
    if hours < LONG:
        return None
    advice = "; --config presets/small.json takes minutes" if parameters > FULL_SIZE else ""
    return f"about {hours:.0f} h at this rate on this CPU{advice}"


def memory_line(run: RunState, batch: Batch) -> str:
    """How much memory the run needs, estimated from one sample, and what to do if there is less."""
    one = {name: tensor[:1].to(run.device) for name, tensor in batch.items() if tensor.ndim}
    policy, config = run.policy.eval(), run.config  # so that the trial leaves no trace

    def forward() -> Tensor:
        with autocast(config.amp, run.device):
            return policy.loss({**one, **policy.draw_noise(1)})["loss"]

    needed = training_bytes(policy, forward, share=1 / config.batch_size) / GIGABYTE
    policy.train()
    free = free_bytes(run.device) / GIGABYTE
    line = f"memory: about {needed:.1f} GB for training, {free:.1f} GB free"
    if needed < free:
        return line
    return (
        f"{line}. This will hardly fit: try --batch_size {max(1, config.batch_size // 2)} --accumulate "
        f"{2 * config.accumulate}, a smaller --image_size, or --share_backbone where there are several "
        "cameras"
    )


def loss_line(losses: Losses) -> str:
    """The losses of a validation, by phase of the episode too."""
    phases = ", ".join(f"{phase} {loss:.4f}" for phase, loss in losses.phases.items())
    training, validation = losses.training["loss"], losses.validation["loss"]
    by_phase = f" ({phases})" if phases else ""
    return f"step {losses.step}: training loss {training:.4f}, validation {validation:.4f}{by_phase}"
