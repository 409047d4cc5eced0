"""The machine: what its GPU is, and what it reaches."""

from __future__ import annotations

import os
from typing import Any

import torch

from _gpu.packages import ONLY_IMPORTED, lacking
from _gpu.session import OPTIONAL, Session
from _gpu.timing import bf16_peak, bf16_rate, milliseconds, product_rate
from common import computes_bf16

TERA = 1e12


def machine(session: Session) -> None:
    """Facts, the rate of large products, and of copies from the host."""
    session.measure("facts", facts, session.device)
    session.measure("product in bf16", lambda: {"TFLOP/s": bf16_rate(session.device) / TERA})
    side = 8192 if session.is_cuda else 256
    float32 = torch.float32
    session.measure(
        "product in float32", lambda: {"TFLOP/s": product_rate(session.device, side, float32) / TERA}
    )
    for is_pinned in (True, False):
        what = f"copy to it from {'pinned' if is_pinned else 'other'} memory"
        if session.is_cuda:
            session.measure(what, copy_rate, session.device, is_pinned)
        else:
            session.skip(what, "needs a GPU")


def facts(device: torch.device) -> dict[str, Any]:
    """What the machine is."""
    known = {"torch": torch.__version__, "cpus": os.cpu_count(), "bf16": computes_bf16(device)}
    known["lacks"] = lacking([*OPTIONAL, *ONLY_IMPORTED]) or "nothing"
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        known |= {"gpu": properties.name, "GB": properties.total_memory / 1e9}
        known |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
        known |= {"peak_TFLOPs": bf16_peak(device) / TERA}
    return known


def copy_rate(device: torch.device, is_pinned: bool) -> dict[str, float]:
    """GB a second from the host."""
    host = torch.ones(256 << 20, dtype=torch.uint8)
    host = host.pin_memory() if is_pinned else host
    there = torch.empty_like(host, device=device)
    ms = milliseconds(lambda: there.copy_(host, non_blocking=is_pinned), device, 0.3)
    return {"ms": ms, "GB_per_s": host.nbytes / ms / 1e6}
