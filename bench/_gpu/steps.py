"""How long a training step takes: ACT at its published size, the presets, VINN; compiled and not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any
from unittest.mock import patch

import torch
from training_step import count_flops

from _gpu.building import FROZEN, LITTLE_IMAGE, SCRATCH, Make, Preset, act_size, batch_of, build, full_size
from _gpu.session import Session
from _gpu.timing import bf16_peak, bf16_rate, launches, milliseconds, seconds_of, slowest_kernels
from training import Run, TrainConfig

SIZES = ((8, 1), (64, 1), (8, 3), (64, 3))  # samples, cameras
TINY_SIZES = ((1, 1), (1, 3))
COMPILING = 45.0  # s without which no further size is compiled
TERA = 1e12


def label(samples: int, cameras: int, more: str = "") -> str:
    """What a row of ACT's step is called; `wanted` looks for it."""
    return f"ACT, batch {samples}, {cameras} camera{'s' if cameras > 1 else ''}{more}"


@lru_cache(maxsize=8)
def work(cameras: int, is_tiny: bool) -> int:
    """Operations of a sample's forward and backward pass."""
    return count_flops(replace(act_size(is_tiny, cameras=cameras), batch=1))


@contextlib.contextmanager
def compiler(device: torch.device) -> Iterator[None]:
    """Compile anew; without a GPU only as far as the graph, as code for a CPU takes a minute."""
    import torch._dynamo
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    try:
        if device.type == "cuda":
            yield
        else:
            with patch.object(torch, "compile", partial(torch.compile, backend="eager")):
                yield
    finally:
        torch._dynamo.reset()


def compiled_facts() -> dict[str, int]:
    """How many graphs the compiler made, and how often it could not use a CUDA graph."""
    from torch._dynamo.utils import counters

    return {
        "graphs": counters["stats"]["unique_graphs"],
        "graph_breaks": sum(counters["graph_break"].values()),
        "no_cuda_graph": counters["inductor"]["cudagraph_skips"],
    }


def step(
    session: Session, make: Make, samples: int, operations: int | None = None, **training: Any
) -> dict[str, Any]:
    """Values of a step through `Run.update`.

    Args:
        session: the section's.
        make: builds the policy.
        samples: of a batch.
        operations: of a sample, for rates.
        training: flags of `TrainConfig`.
    """
    device = session.device
    policy = make().to(device).train()
    is_compiled = training.get("compile", False)
    with compiler(device) if is_compiled else contextlib.nullcontext():
        run = Run(policy, TrainConfig(batch_size=samples, **training), 100_000)
        batch = batch_of(policy, samples, pin=session.is_cuda)

        def update() -> object:
            return run.update([batch])

        first = seconds_of(update, device)
        ms = milliseconds(update, device, 0 if session.tiny else 1.2)
        values: dict[str, Any] = {"ms": ms, "samples/s": 1000 * samples / ms, "first_s": first}
        if session.is_cuda:
            values["GB"] = torch.cuda.max_memory_allocated(device) / 1e9
        if operations:
            rate = operations * samples / ms * 1000
            values |= {"TFLOP/s": rate / TERA, "of peak": rate / bf16_peak(device)}
            values["of_product"] = rate / bf16_rate(device)
        values |= launches(update, device)
        if is_compiled:
            values |= compiled_facts()
    return values


def act_step(session: Session, size: tuple[int, int], weights: dict[str, Any], **training: Any) -> dict:
    """A step of ACT at its published size."""
    samples, cameras = size
    make = partial(full_size, session.tiny, cameras, **weights)
    return step(session, make, samples, work(cameras, session.tiny), **training)


def eager(session: Session) -> None:
    """ACT as published: 480x640, a backbone for each camera."""
    sizes = TINY_SIZES if session.tiny else SIZES
    for size in sizes:
        session.measure(label(*size), act_step, session, size, FROZEN, amp="bf16", compile=False)
    first = sizes[0]
    session.measure(
        label(*first, ", from scratch"), act_step, session, first, SCRATCH, amp="bf16", compile=False
    )
    if not session.tiny:
        what = label(*first, ", float32")
        session.measure(what, act_step, session, first, FROZEN, amp="no", compile=False)


def compiled(session: Session) -> None:
    """The same with --compile: on a GPU a step's forward and backward pass are CUDA graphs."""
    sizes = TINY_SIZES[:1] if session.tiny else SIZES
    rows = [(label(*size), size, FROZEN) for size in sizes]
    if not session.tiny:
        rows.insert(2, (label(*sizes[0], ", from scratch"), sizes[0], SCRATCH))
    for number, (what, size, weights) in enumerate(rows):
        if number == 0 or session.has(COMPILING, what):
            session.measure(what, act_step, session, size, weights, amp="bf16", compile=True)


def small(session: Session) -> None:
    """The presets and VINN, then the presets compiled."""
    presets = {f"presets/{name}": Preset.read(name, session.tiny) for name in ("small", "small_diffusion")}
    for what, preset in presets.items():
        preset_step(session, what, preset, False)
    samples, image = (2, LITTLE_IMAGE) if session.tiny else (32, (120, 160))
    what, make = f"VINN, batch {samples}", partial(build, "VINN", image)
    session.measure(what, step, session, make, samples, compile=False)
    for what, preset in presets.items():
        if not session.tiny and session.has(COMPILING / 2, f"{what}, compiled"):
            preset_step(session, what, preset, True)


def preset_step(session: Session, what: str, preset: Preset, is_compiled: bool) -> None:
    """One row: a step as the preset trains."""
    samples = preset.training["batch_size"]
    loop = {key: preset.training[key] for key in ("grad_clip",) if key in preset.training}
    what = f"{what}, compiled" if is_compiled else f"{what}, batch {samples}"
    session.measure(what, step, session, preset.build, samples, compile=is_compiled, **loop)


def top(session: Session) -> None:
    """Where the GPU's time goes, in a step that is not compiled: kernels have their own names there."""
    if session.is_cuda:
        session.measure(label(8, 1), slowest, session)
    else:
        session.skip(label(8, 1), "needs a GPU")


def slowest(session: Session) -> dict[str, Any]:
    """Milliseconds of the kernels that take most."""
    policy = full_size(session.tiny, **FROZEN).to(session.device).train()
    run = Run(policy, TrainConfig(batch_size=8, amp="bf16", compile=False), 100)
    batch = batch_of(policy, 8, pin=True)
    for _ in range(2):
        run.update([batch])
    return {"kernels_ms": slowest_kernels(lambda: run.update([batch]), session.device)}
