"""What a section is given: the device, its sizes, how much time it has, and where its rows go."""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from _gpu.packages import lacking

FOREIGN = ("site-packages", "dist-packages", "/torch/")  # parts of the paths of other people's code
OPTIONAL = ("byol_pytorch", "diffusers", "robomimic")  # packages of some policies


class LostContext(Exception):
    """The GPU takes nothing more from this process."""


@dataclass
class Session:
    """A section's surroundings."""

    device: torch.device
    tiny: bool  # sizes that only show that everything runs
    send: Callable[[dict[str, Any]], None]  # takes a row
    episodes: tuple[Path, ...] = ()  # folders to train on
    train_flags: tuple[str, ...] = ()  # more of imitate_episodes.py for these
    site: str | None = None  # folder of packages that this machine lacks
    keep: Path | None = None  # folder for what is trained; none is kept if not given
    deadline: float = field(default=0.0)  # of the section, on `time.monotonic`

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def left(self) -> float:
        """Seconds that the section may still take."""
        return self.deadline - time.monotonic()

    def has(self, seconds: float, what: str) -> bool:
        """Whether so much time is left; if not, a row says that `what` is skipped."""
        if (left := self.left()) >= seconds:
            return True
        self.skip(what, f"{left:.0f} s left, may take {seconds:.0f}")
        return False

    def skip(self, what: str, why: str) -> None:
        """A row for what is not measured."""
        self.send({"what": what, "skipped": why})

    def measure(self, what: str, function: Callable[..., dict[str, Any]], *args: Any, **flags: Any) -> None:
        """One row: the values that `function` returns, or how it failed. Its memory is free afterwards.

        LostContext if nothing more can be computed.
        """
        try:
            row = {"what": what, **function(*args, **flags)}
        except Exception as error:
            row = {"what": what, **self._failure(error)}
        self.send(row)
        self._clear("error" in row)

    def _failure(self, error: Exception) -> dict[str, str]:
        if isinstance(error, ImportError) and lacking(OPTIONAL):
            return {"skipped": " ".join(str(error).split())}
        traceback.print_exc(file=sys.stderr)
        return {"error": one_line(error)}

    def _clear(self, has_failed: bool) -> None:
        try:
            gc.collect()
            if self.is_cuda:
                torch.cuda.synchronize(self.device)
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(self.device)
                if has_failed:
                    torch.ones(1, device=self.device).item()
        except Exception as error:
            raise LostContext(f"the GPU takes nothing more: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """What an error says, and the last place of ours that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if not any(part in frame.filename for part in FOREIGN)]
    place = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:220]}{place}"


def judged(values: dict[str, Any], **most: float) -> dict[str, Any]:
    """Values, and an `error` for the first that is larger than it may be."""
    for name, limit in most.items():
        if name in values and not values[name] <= limit:
            return {**values, "error": f"{name} is {values[name]:.2g}, more than {limit:g}"}
    return values
