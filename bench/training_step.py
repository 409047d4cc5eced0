"""One training step of ACT: ours against ACT's network as published, measure by measure.

Batch 8, one camera at 480x640, width 512, 4 encoder layers, chunk 100, ResNet-18. Weights are random: the
arithmetic is that of pretrained ones. The bound is the time that the products of our step alone would take at
the rate of one large bf16 product.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from _harness import (
    Contender,
    Job,
    alternate,
    machine,
    make_parser,
    medians,
    parse,
    ready,
    report,
    serve,
    timed,
)
from _published import PublishedACT
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.flop_counter import FlopCounterMode

from actors import Interface
from common import computes_bf16, keep_freed_memory
from episodes import Stats
from policies import ACTConfig, ACTPolicy, make_policy
from training import Run, TrainConfig
from utils import Batch

STATE_DIM = 14
PUBLISHED = "as published (7 decoder layers, float32)"
BOUND = "bound"


@dataclass(frozen=True)
class StepSize:
    """Size of the step; the defaults are ACT's."""

    batch: int = 8
    cameras: int = 1
    image: tuple[int, int] = (480, 640)
    hidden_dim: int = 512
    dim_feedforward: int = 3200
    nheads: int = 8
    enc_layers: int = 4
    chunk_size: int = 100
    shared: bool = True  # one backbone for all cameras

    @property
    def network(self) -> dict[str, int]:
        """Sizes that ours and the published network take by the same names."""
        names = ("chunk_size", "hidden_dim", "dim_feedforward", "nheads", "enc_layers")
        return {name: getattr(self, name) for name in names}


QUICK = StepSize(
    batch=2, image=(120, 160), hidden_dim=64, dim_feedforward=128, nheads=4, enc_layers=2, chunk_size=20
)


def make_batch(size: StepSize) -> Batch:
    """A batch as `utils.Demonstrations` gives it."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        256, (size.batch, size.cameras, *size.image, 3), dtype=torch.uint8, generator=generator
    )
    return {
        "qpos": torch.randn(size.batch, STATE_DIM, generator=generator),
        "images": images,
        "actions": torch.randn(size.batch, size.chunk_size, STATE_DIM, generator=generator),
        "is_pad": torch.zeros(size.batch, size.chunk_size, dtype=torch.bool),
    }


def plain_adamw(groups: object) -> torch.optim.Optimizer:
    """AdamW as ACT's: a loop over the parameters."""
    return torch.optim.AdamW(groups, lr=1e-5, weight_decay=1e-4, foreach=False, fused=False)


def published(size: StepSize, dec_layers: int) -> Callable[[], object]:
    """A step of the network as published; its images come from the loader as floats, contiguous."""
    network = PublishedACT(STATE_DIM, **size.network, dec_layers=dec_layers).train()
    optimiser = plain_adamw(network.parameters())
    batch = make_batch(size)
    batch["images"] = (batch["images"].movedim(-1, -3) / 255).contiguous()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        network.loss(batch).backward()
        optimiser.step()

    return step


class ContiguousImages(ACTPolicy):
    """Our policy with the images channel after channel in memory, as ACT has them."""

    def normalise_images(self, images: torch.Tensor) -> torch.Tensor:
        return super().normalise_images(images).contiguous()


def contiguous(name: str, *arguments: Any) -> ACTPolicy:
    """In place of `make_policy`: weights and images channel after channel in memory."""
    return ContiguousImages(*arguments)


def make_run(size: StepSize, make: Callable[..., ACTPolicy] = make_policy, amp: str = "auto") -> Run:
    """Our policy with what trains it; frozen batch norm, as with pretrained weights."""
    config = ACTConfig(**size.network, norm="frozen_bn", pretrained=True, share_backbone=size.shared)
    moments = {"mean": torch.zeros(STATE_DIM), "std": torch.ones(STATE_DIM)}
    stats = Stats.completed({f"{of}_{name}": v for of in ("qpos", "action") for name, v in moments.items()})
    interface = Interface(STATE_DIM, STATE_DIM, tuple(map(str, range(size.cameras))), size.image)
    policy = make("ACT", config, interface, stats).train()
    return Run(policy, TrainConfig(batch_size=size.batch, amp=amp), total=1000)


def ours(
    size: StepSize, make: Callable[..., ACTPolicy] = make_policy, amp: str = "auto", fused: bool = True
) -> Callable[[], object]:
    """A step through `training.Run.update`."""
    run, batch = make_run(size, make, amp=amp), make_batch(size)
    if not fused:
        groups = [{"params": group["params"], "lr": group["lr"]} for group in run.optimiser.param_groups]
        run.optimiser = plain_adamw(groups)
        run.schedule = LambdaLR(run.optimiser, lambda step: 1.0)
    return lambda: run.update([batch])


def with_kept_memory(size: StepSize) -> Callable[[], object]:
    """A step as `training.fit` takes it."""
    keep_freed_memory()
    return ours(size)


CONTENDERS: dict[
    str, Callable[[StepSize], Callable[[], object]]
] = {  # each adds one measure to the one before
    PUBLISHED: partial(published, dec_layers=7),
    "1 decoder layer": partial(published, dec_layers=1),
    "+ fused attention (our network)": partial(ours, make=contiguous, amp="no", fused=False),
    "+ channels-last images and weights": partial(ours, amp="no", fused=False),
    "+ bf16 autocast": partial(ours, fused=False),
    "+ fused AdamW": ours,
    "+ freed memory kept = ours": with_kept_memory,
}


@contextmanager
def contend(name: str, size: StepSize) -> Iterator[Job]:
    """Be the contender `name`: one warmed-up step after the other."""
    step = CONTENDERS[name](size)
    step()

    def job(folder: Path) -> dict[str, float]:
        step()
        return {}

    yield job


def count_flops(size: StepSize) -> int:
    """Floating-point operations of forward and backward of our network."""
    run = make_run(size, amp="no")
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # the counter knows no fused attention on CPUs
        run.policy.loss(make_batch(size))["loss"].backward()
    return counter.get_total_flops()


def product_rate(side: int, repeats: int = 5) -> float:
    """Operations a second of a square matrix product, in bf16 where that is native."""
    dtype = torch.bfloat16 if computes_bf16(torch.device("cpu")) else torch.float32
    a, b = torch.randn(2, side, side).to(dtype)
    torch.mm(a, b)
    return 2 * side**3 / median(timed(lambda: torch.mm(a, b)) for _ in range(repeats))


def compare(args: argparse.Namespace, size: StepSize) -> None:
    """Measure all contenders and print the table."""
    facts = machine()
    flops = count_flops(size)
    side = 256 if args.quick else 2048
    with ready({name: Contender(name) for name in CONTENDERS}) as runs:
        bound = {BOUND: lambda: {"seconds": flops / product_rate(side)}}
        results = alternate({**runs, **bound}, args.repeats)
    seconds = {name: medians(result)["seconds"] for name, result in results.items()}
    rate = flops / seconds[BOUND] / 1e9
    seconds[f"{BOUND}: {flops / 1e9:.0f} GFLOP at {rate:.0f} GFLOP/s"] = seconds.pop(BOUND)
    rows = [(name, f"{s:.3f}", f"{seconds[PUBLISHED] / s:.2f}x") for name, s in seconds.items()]
    height, width = size.image
    title = f"One training step of ACT: batch {size.batch}, {height}x{width}, width {size.hidden_dim}"
    report(title, f"{facts}, {torch.get_num_threads()} threads", ("network", "s/step", "faster"), rows)


def profile(size: StepSize) -> None:
    """Print where the time of one of our steps goes."""
    step = with_kept_memory(size)
    step()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True
    ) as result:
        step()
    print(result.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=50))


def main() -> None:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--profile", action="store_true", help="profile our step instead")
    args = parse(parser)
    torch.manual_seed(0)
    size = QUICK if args.quick else StepSize()
    if args.contender:
        serve(contend(args.contender, size))
    elif args.profile:
        profile(size)
    else:
        compare(args, size)


if __name__ == "__main__":
    main()
