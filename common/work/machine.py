"""The machine that trains: device, arithmetic, memory, and the processes of a distributed run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psutil
import torch
import torch.distributed as dist
from torch import Tensor, nn

GIGABYTE = 1e9


def keep_freed_memory() -> None:
    """Make glibc keep large buffers that are freed, for the next step to reuse.

    By default it gives each back to the system and has it mapped and zeroed anew: hundreds of thousands of
    page faults a step, a third of the time of ACT at its published size on a CPU. Peak memory hardly changes.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # malloc.h
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
        mallopt(m_top_pad, 2**28)


DEVICES = ("cpu", "cuda", "mps", "xpu")  # types of device that compute


def pick_device(name: str) -> torch.device:
    """`auto`: CUDA where there is one. CUDA without a number: the device of this process, under torchrun.

    ValueError if CUDA is asked for and missing.
    """
    has_cuda = torch.cuda.is_available()
    try:
        device = torch.device(("cuda" if has_cuda else "cpu") if name == "auto" else name)
    except RuntimeError:
        device = None
    if device is None or device.type not in DEVICES:
        raise ValueError(f"device is {name!r}; choose auto, cpu or cuda")
    if device.type != "cuda":
        return device
    if not has_cuda:
        raise ValueError(f"device is {name!r}, but PyTorch sees no CUDA device; use cpu")
    device = torch.device("cuda", _local_rank()) if device.index is None else device
    if device.index >= (count := torch.cuda.device_count()):
        of_process = "" if str(device) == name else f", {device} in this process"
        raise ValueError(f"device is {name!r}{of_process}; there are cuda:0 to cuda:{count - 1}")
    return device


def choose_kernels(device: torch.device, is_deterministic: bool) -> None:
    """Before anything is computed on a GPU: try which convolutions are fastest there, or, if it
    `is_deterministic`, take kernels that give the same numbers each time. Torch has none for a few operators,
    and warns when it meets one. A CPU does so anyway.
    """
    if device.type != "cuda":
        return
    torch.backends.cudnn.benchmark = not is_deterministic
    if is_deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which cuBLAS reads when it starts
        torch.use_deterministic_algorithms(True, warn_only=True)


def computes_bf16(device: torch.device) -> bool:
    """Whether bf16 arithmetic is native, and so faster, on the device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not public, so they may vanish
    return any(getattr(torch.cpu, test, lambda: False)() for test in tests)


def autocast(amp: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Mixed precision for a forward pass: `bf16`, `no`, or `auto`, bf16 where the device computes in it."""
    enabled = amp == "bf16" or (amp == "auto" and computes_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


# --- being stopped


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects Ctrl-C and termination, so that the step is finished and saved before the run ends."""
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, before[number])  # the second one kills

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, note)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- memory


def saved_bytes(forward: Callable[[], Tensor]) -> int:
    """Bytes that `forward` keeps for its backward pass, parameters apart: what grows with the batch."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward()
    return sum(sizes.values())


def training_bytes(module: nn.Module, forward: Callable[[], Tensor], share: float) -> int:
    """Bytes that training takes: weights, gradients, AdamW's two moments, and a batch's `saved_bytes`.

    Args:
        module: what is trained.
        forward: its loss on a part of a batch.
        share: the size of that part, relative to the whole batch.
    """
    weights = sum(p.numel() * p.element_size() for p in module.parameters())
    trained = sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    return weights + 3 * trained + int(saved_bytes(forward) / share)


def free_bytes(device: torch.device) -> int:
    """Free memory on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


# --- several processes


@dataclass(frozen=True)
class World:
    """The processes that train one policy together, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of a tensor over all processes; each of them must call this."""
        if self.size > 1:
            dist.all_reduce(tensor)
            tensor /= self.size
        return tensor

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether `flag` is set in any process; each of them must call this."""
        return bool(self.mean(torch.tensor(float(flag), device=device)))

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, with gradients averaged over all processes if there are several."""
        if self.size == 1:
            return module
        on_cpu = next(module.parameters()).device.type == "cpu"
        return nn.parallel.DistributedDataParallel(
            module,
            gradient_as_bucket_view=True,
            broadcast_buffers=False,  # constants, and statistics that training does not read
            bucket_cap_mb=1 if on_cpu else None,  # sent while the rest is computed; None: torch's 25
        )


# the other processes wait while the first validates, saves and evaluates; NCCL's own patience is 10 minutes
FIRST_ALONE = timedelta(hours=2)


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", 0))


@contextlib.contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """Join the other processes that `torchrun` started; alone without `torchrun`."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield World()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=FIRST_ALONE, device_id=device)
    else:
        dist.init_process_group("gloo", timeout=FIRST_ALONE)
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
