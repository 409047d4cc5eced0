"""The sections of bench/gpu.py, in the order of their worth. Imports no torch.

A section is a function of a `session.Session`, which takes its rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from _gpu.packages import ONLY_IMPORTED


@dataclass(frozen=True)
class Section:
    """One of them."""

    place: str  # "module.function" of this package
    seconds: float  # that it takes on an H100, as far as can be told; it may take longer if time is left
    purpose: str
    needs: tuple[str, ...] = ()  # packages without which all of it is skipped


SECTIONS = {
    "machine": Section("hardware.machine", 8, "the GPU, its peak, copies to it"),
    "right": Section("right.right", 30, "policies against a CPU in float32; waits; checkpoints"),
    "compiled": Section("steps.compiled", 60, "a training step of ACT as one CUDA graph"),
    "eager": Section("steps.eager", 40, "a training step of ACT, not compiled"),
    "small": Section("steps.small", 30, "a step of the presets and of VINN"),
    "latency": Section("acting.latency", 20, "from a frame to a chunk of actions"),
    "accumulate": Section("right.accumulate", 35, "compiled steps against eager ones"),
    "resume": Section("right.resume", 10, "a resumed run against one that never stopped"),
    "feed": Section("data.feed", 12, "a step beside the threads that feed it", ("cv2", "h5py")),
    "workers": Section("acting.workers", 15, "processes that act on one GPU", ONLY_IMPORTED),
    "extras": Section("data.extras", 12, "random changes of images; saving"),
    "top": Section("steps.top", 6, "the kernels that take the most time"),
    "train": Section(
        "full_size.train", 100, "ACT from scratch on --episodes", ("cv2", "h5py", "matplotlib", "tensorboard")
    ),
}
