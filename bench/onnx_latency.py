"""How long a policy thinks on a CPU, by what computes it: torch, onnxruntime or OpenVINO.

From the camera's frame to actions in robot units, batch 1, one camera of 480 x 640, untrained weights; ACT as
in presets/small.json, and at the paper's size. "ready to act" is what scripts run with a checkpoint: in bf16
where the machine computes in it. The others compute in float32, but OpenVINO, which chooses itself; it is
no part of the environment, and measured where it is installed.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch
from _harness import ROOT, alternate, installed, machine, make_parser, parse, report, timed
from latency import FROZEN, build, observation

from actors import Actor, open_onnx
from policies import POLICIES, Policy, TorchActor, export_policy, ready_to_act

EAGER, COMPILED, READY, ONNX, INT8, OPENVINO = WAYS = (
    "torch",
    "torch, compiled",
    "ready to act",
    "onnxruntime",
    "onnxruntime, int8",
    "OpenVINO",
)
THREADS = (1, 2)
FULL_SIZE, QUICK_SIZE = (480, 640), (48, 64)  # height, width (pixels)
Ask = Callable[[], object]


def policies(is_quick: bool) -> dict[str, Policy]:
    """Untrained policies by size."""
    flags = json.loads((ROOT / "presets" / "small.json").read_text(encoding="utf-8"))
    size = tuple(flags["image_size"])
    known = POLICIES.config("ACT").__dataclass_fields__
    small = build("ACT", size, **{name: value for name, value in flags.items() if name in known})
    return {"small preset": small, "full size": build("ACT", QUICK_SIZE if is_quick else FULL_SIZE, **FROZEN)}


def asks(actor: Actor) -> Ask:
    """Frame in, actions out."""
    seen = observation()
    return lambda: actor.act(actor.observe(seen))


def openvino(path: Path, threads: int) -> Ask:
    """The graph of an ONNX file, by OpenVINO."""
    from openvino import Core

    graph = Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads})
    seen, actor = observation(), open_onnx(path)
    return lambda: np.array(next(iter(graph(dict(actor.observe(seen))).values())))


def in_int8(policy: Policy, threads: int, files: Mapping[str, Path]) -> dict[str, Ask]:
    """The graph in 8 bits, beside torch. To be measured before anything is computed in bf16: what torch's
    kernels leave in the registers of AMX, onnxruntime's kernels of 8 bits do not survive.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # which `open_onnx` reads
    calls = {EAGER: asks(TorchActor(policy, "no")), INT8: asks(open_onnx(files[INT8]))}
    return {way: _with_threads(call, threads) for way, call in calls.items()}


def contenders(policy: Policy, threads: int, files: Mapping[str, Path]) -> dict[str, Ask]:
    """By way; torch's are to be called with that many threads."""
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    compiled = copy.deepcopy(policy)
    compiled.network.compile(dynamic=False)  # its positions are constants
    calls = {
        EAGER: asks(TorchActor(policy, "no")),
        COMPILED: asks(TorchActor(compiled, "no")),
        READY: asks(TorchActor(ready_to_act(policy))),
        ONNX: asks(open_onnx(files[ONNX])),
    }
    if find_spec("openvino"):
        calls[OPENVINO] = openvino(files[ONNX], threads)
    return {way: _with_threads(call, threads) for way, call in calls.items()}


def _with_threads(call: Ask, threads: int) -> Ask:
    def ask() -> float:
        torch.set_num_threads(threads)
        call()  # wakes what the others put to sleep
        return timed(call)

    return ask


def compare(args: argparse.Namespace) -> None:
    """Measure all and print the table."""
    facts = f"{machine()}, {installed('onnxruntime')}, {installed('openvino')}"
    made, megabytes, milliseconds = policies(args.quick), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        files = {size: {way: Path(folder) / f"{size}, {way}.onnx" for way in (ONNX, INT8)} for size in made}
        for size, policy in made.items():
            for way, path in files[size].items():
                export_policy(policy, path, int8=way == INT8)
                megabytes[size, way] = path.stat().st_size / 1e6
        cases = [(size, threads) for size in made for threads in THREADS]
        for make in (in_int8, contenders):
            calls = {}
            for size, threads in cases:
                found = make(made[size], threads, files[size])
                calls |= {f"{size}, {threads}, {way}": call for way, call in found.items()}
            for call in calls.values():  # to warm up, and to compile
                call()
            times = alternate(calls, args.repeats)
            for size, threads in cases:
                base = median(times[f"{size}, {threads}, {EAGER}"])
                for way in WAYS:
                    if measured := times.get(f"{size}, {threads}, {way}"):
                        ms = 1000 * median(measured)
                        milliseconds[size, threads, way] = f"{ms:.1f} ({median(measured) / base:.2f}x)"
    rows = []
    for way in WAYS:
        row = [way]
        for size in made:
            row.append(f"{megabytes[size, way]:.1f}" if (size, way) in megabytes else "-")
            row += [milliseconds.get((size, threads, way), "-") for threads in THREADS]
        rows.append(row)
    header = [
        "",
        *(f"{size}, {what}" for size in made for what in ("MB", *(f"{n} threads, ms" for n in THREADS))),
    ]
    report("Time to think by what computes it, and relative to torch, in float32", facts, header, rows)


def main() -> None:
    compare(parse(make_parser(__doc__, repeats=15)))


if __name__ == "__main__":
    main()
