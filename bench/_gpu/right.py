"""Whether a GPU computes what a CPU does: policies, steps, checkpoints, resumed and compiled runs."""

from __future__ import annotations

import contextlib
import copy
import math
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from _gpu.building import FROZEN, LITTLE, Make, able_to_act, batch_of, build, cases, observation
from _gpu.session import Session, judged
from _gpu.steps import COMPILING, compiler
from _gpu.timing import counted_waits
from common import autocast
from policies import Policy, ready_to_act
from policy import load_policy
from training import Run, TrainConfig

SAMPLES = 4
EXACT = 2e-3  # largest relative difference in float32
MIXED = 0.1  # and in bf16, between two ways to compute the same
COMPILED = 0.02  # of the losses of compiled steps
RESUMED = 0.2  # distance of a resumed run's weights, relative to how far they have moved


def right(session: Session) -> None:
    """Each policy: in float32 against a CPU, three steps as training takes them, its checkpoint."""
    few = ("ACT with codes", "presets/small", "Diffusion, ddpm, 2 observations", "VINN")
    for what, make in cases().items():
        if not session.tiny or what in few:
            session.measure(what, compare, session.device, make)


def compare(device: torch.device, make: Make) -> dict[str, Any]:
    """All of one policy."""
    values = {**against_cpu(device, make), **three_steps(device, make)}
    return judged(values, loss_off=EXACT, act_off=EXACT, file_off=EXACT, ready_off=MIXED, not_finite=0)


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Convolutions in float32 proper, without TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """Distance of `a` from `b`, relative to `b`."""
    a, b = a.detach().double().cpu(), b.detach().double().cpu()
    return float((a - b).norm() / b.norm().clamp_min(1e-12))


@torch.no_grad()
def against_cpu(device: torch.device, make: Make) -> dict[str, float]:
    """The same weights, samples and noise in float32, here and there."""
    here = make().eval()
    there = copy.deepcopy(here).to(device)
    batch = {**batch_of(here, SAMPLES), **here.draw_noise(SAMPLES, torch.Generator().manual_seed(0))}
    moved = {name: tensor.to(device) for name, tensor in batch.items()}
    with exact():
        losses = [float(p.loss(b)["loss"]) for p, b in ((here, batch), (there, moved))]
        values = {"loss_off": abs(losses[1] / losses[0] - 1)}
        if not draws(here):
            values["act_off"] = relative(*(chunk(able_to_act(policy)) for policy in (there, here)))
    return values


def draws(policy: Policy) -> bool:
    """Whether it draws all along: the generators of two devices draw different numbers."""
    return getattr(policy.config, "scheduler", None) == "ddpm"


def chunk(policy: Policy) -> torch.Tensor:
    """Its actions for the observation of every test; from the same noise if it makes them of noise."""
    seen = observation(policy)
    if not hasattr(policy, "denoise"):
        return policy.act(seen)
    shape = (1, policy.chunk_size, policy.interface.action_dim)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(policy.device)
    return policy.denoise(noise, policy.condition(seen))


def three_steps(device: torch.device, make: Make) -> dict[str, Any]:
    """Steps in mixed precision, what waits in the third, and in a query; the checkpoint on both devices."""
    policy = make().to(device).train()
    run = Run(policy, TrainConfig(batch_size=SAMPLES, lr=1e-4, grad_clip=1.0), 100)
    batch = batch_of(policy, SAMPLES, pin=device.type == "cuda")
    losses = [run.update([batch])["loss"] for _ in range(2)]
    with counted_waits(device) as step_waits:
        losses.append(run.update([batch])["loss"])
    finite = [math.isfinite(float(loss)) for loss in losses]
    finite += [bool(parameter.isfinite().all()) for parameter in policy.parameters()]
    result = run.result.eval()
    with tempfile.TemporaryDirectory() as folder:
        path = run.save(Path(folder), "last")
        loaded = [able_to_act(load_policy(path, d)) for d in {"cpu", str(device)}]
    able_to_act(result)
    with torch.inference_mode(), exact():
        off = {"file_off": max(relative(chunk(policy), chunk(result)) for policy in loaded)}
    ready = ready_to_act(result)
    with torch.inference_mode(), autocast("auto", device):
        seen = observation(result)
        ready.act(seen)
        with counted_waits(device) as act_waits:
            actions = ready.act(seen)
        finite.append(bool(actions.isfinite().all()))
        if not policy.config.needs_finish:  # another nearest neighbour is another chunk
            off["ready_off"] = relative(chunk(ready), chunk(result))
    values = {} if draws(policy) else off
    waits = {"step_waits": dict(step_waits), "act_waits": dict(act_waits)} if device.type == "cuda" else {}
    return {**values, **waits, "not_finite": finite.count(False)}


# --- resumed runs

STEPS = 6


def resume(session: Session) -> None:
    """Bitwise equality is what a CPU gives; kernels of a GPU may add up in any order."""
    for what in ("presets/small", "ACT", "presets/small_diffusion")[: 1 if session.tiny else None]:
        session.measure(what, resumed, session.device, cases()[what])


def start(device: torch.device | str, make: Make) -> Run:
    """A new run of `STEPS` steps."""
    return Run(make().to(device).train(), TrainConfig(batch_size=SAMPLES, lr=1e-4), STEPS)


def go_on(run: Run, steps: int) -> float:
    """Train on; the last loss."""
    batch = batch_of(run.policy, SAMPLES)
    return float([run.update([batch])["loss"] for _ in range(steps)][-1])


def resumed(device: torch.device, make: Make) -> dict[str, Any]:
    """A run without a stop, one that is stopped and resumed, and one that a CPU takes further."""
    straight, stopped, again, on_cpu = (start(d, make) for d in (device, device, device, "cpu"))
    go_on(straight, STEPS)
    go_on(stopped, STEPS // 2)
    with tempfile.TemporaryDirectory() as folder:
        path = stopped.save(Path(folder), "last")
        again.restore(path)
        on_cpu.restore(path)
    go_on(again, STEPS // 2)
    loss = go_on(on_cpu, STEPS // 2)
    first, with_stop, without = (weights(policy) for policy in (make(), again.policy, straight.policy))
    values = {
        "bitwise": torch.equal(with_stop, without),
        "off": float((with_stop - without).norm() / (without - first).norm()),
        "not_finite": int(not math.isfinite(loss)),
    }
    return judged(values, off=RESUMED, not_finite=0)


def weights(policy: Policy) -> torch.Tensor:
    """All of them in a row, on the CPU."""
    return torch.cat([parameter.detach().double().cpu().flatten() for parameter in policy.parameters()])


# --- compiled runs


def accumulate(session: Session) -> None:
    """Steps of one and of two batches give the losses that they give without --compile: graphs of CUDA keep
    gradients in memory that the next batch could overwrite.
    """
    for batches in (2,) if session.tiny else (2, 1):
        what = f"ACT, {batches} a step"
        if batches == 2 or session.has(COMPILING / 2, what):
            session.measure(what, compiled_losses, session.device, batches)


def compiled_losses(device: torch.device, batches: int) -> dict[str, Any]:
    """Losses of four steps in float32, without anything random, compiled and not."""
    make = partial(build, "ACT", no_encoder=True, dropout=0.0, **FROZEN, **LITTLE)
    losses = {}
    for is_compiled in (False, True):
        policy = make().to(device).train()
        config = TrainConfig(batch_size=SAMPLES, accumulate=batches, amp="no", lr=1e-3, compile=is_compiled)
        parts = [batch_of(policy, SAMPLES, pin=device.type == "cuda") for _ in range(batches)]
        parts[-1]["qpos"] += 1
        with exact(), compiler(device):
            run = Run(policy, config, 100)
            losses[is_compiled] = [float(run.update(parts)["loss"]) for _ in range(4)]
    worst = max(abs(a / b - 1) for a, b in zip(losses[True], losses[False], strict=True))
    return judged({"off": worst, "compiled": losses[True], "eager": losses[False]}, off=COMPILED)
