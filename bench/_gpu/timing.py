"""Times and counts of what runs on a device: milliseconds, launches, waits, kernels, and the peak."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

Step = Callable[[], object]

# dense bf16 peaks of data sheets, TFLOP/s, by a part of the device's name; the first that fits
DATA_SHEETS = {"H100 PCIe": 756, "H100 NVL": 835, "H200 NVL": 835, "H100": 989, "H200": 989, "A100": 312}
LAUNCHES = (
    "cudaLaunchKernel",
    "cudaLaunchKernelExC",
    "cuLaunchKernel",
    "cuLaunchKernelEx",
    "cudaGraphLaunch",
)


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(step: Step, device: torch.device, calls: int = 1) -> float:
    """Seconds a call, host and device together."""
    synchronise(device)
    began = time.perf_counter()
    for _ in range(calls):
        step()
    synchronise(device)
    return (time.perf_counter() - began) / calls


def milliseconds(step: Step, device: torch.device, seconds: float = 1.2, warm: int = 3) -> float:
    """Milliseconds of a call when one follows the other: the median of three groups, `seconds` in all; of a
    single call, if that is 0.
    """
    if not seconds:
        return 1000 * seconds_of(step, device)
    for _ in range(warm):
        step()
    one = seconds_of(step, device)
    calls = max(2 if one > 0.1 else 5, int(seconds / 3 / max(one, 1e-4)))
    return 1000 * median(seconds_of(step, device, calls) for _ in range(3))


@lru_cache(maxsize=4)
def product_rate(device: torch.device, side: int, dtype: torch.dtype) -> float:
    """Operations a second of a large square product."""
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    return 2 * side**3 / milliseconds(lambda: a @ b, device, 0.3) * 1000


def bf16_rate(device: torch.device) -> float:
    """Operations a second of a large bf16 product on this device."""
    return product_rate(device, 8192 if device.type == "cuda" else 256, torch.bfloat16)


def bf16_peak(device: torch.device) -> float:
    """Operations a second that the data sheet promises; measured where it is not known."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    known = next((1e12 * rate for part, rate in DATA_SHEETS.items() if part in name), None)
    return known or bf16_rate(device)


@contextlib.contextmanager
def counted_waits(device: torch.device) -> Iterator[Counter]:
    """Counts, by line of Python, what waits for a GPU in the block; nothing on another device."""
    lines: Counter = Counter()
    if device.type != "cuda":
        yield lines
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lines
        finally:
            torch.cuda.set_sync_debug_mode("default")
    for warning in caught:
        if "synchroniz" in str(warning.message):
            lines[f"{Path(warning.filename).name}:{warning.lineno}"] += 1


def launches(step: Step, device: torch.device) -> dict[str, Any]:
    """Of one call on a GPU: kernels, launches by the host, ms that the GPU was busy."""
    if device.type != "cuda":
        return {}
    synchronise(device)
    try:
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as result:
            step()
            synchronise(device)
    except RuntimeError as error:  # some machines forbid it; the times stand
        return {"not_profiled": str(error)[:40]}
    events = result.events()
    on_device = [e for e in events if e.device_type == torch.autograd.DeviceType.CUDA and _is_work(e)]
    kernels = [e for e in on_device if not e.name.startswith(("Memcpy", "Memset"))]
    busy = sum(e.time_range.elapsed_us() for e in on_device) / 1000
    by_host = sum(e.name in LAUNCHES for e in events)
    return {"kernels": len(kernels), "launches": by_host, "busy_ms": busy}


def _is_work(event: Any) -> bool:
    """Whether an event on the device is one; others only name a span of time."""
    spans = ("##", "Torch-Compiled", "CompiledFunction", "Optimizer.", "ProfilerStep", "autograd::")
    return not getattr(event, "is_user_annotation", False) and not event.name.startswith(spans)


def slowest_kernels(step: Step, device: torch.device, count: int = 8) -> dict[str, float]:
    """The kernels that took most of one call, in ms."""
    with profile(activities=[ProfilerActivity.CUDA]) as result:
        step()
        synchronise(device)
    times = {e.key[:48]: e.self_device_time_total / 1000 for e in result.key_averages()}
    return dict(sorted(times.items(), key=lambda item: -item[1])[:count])
