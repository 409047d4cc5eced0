"""Tensors that stand on a GPU and hold no numbers: what a GPU would be asked to do, seen without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch import Tensor, fx, nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from detr.act import position_encoding
from policies.augmentation.camera import jpeg_matrices, noise_bank
from utils import Batch

TABLES = (
    position_encoding._sine_position_2d,
    position_encoding._sinusoid_table,
    jpeg_matrices,
    noise_bank,
)


@contextmanager
def fake_cuda() -> Iterator[None]:
    """New tensors are fake in here, and may be on `cuda`; asking one for its numbers, which would wait for
    the GPU, raises.
    """
    gpu = {"amp.common.amp_definitely_not_available": False, "is_bf16_supported": True}
    with ExitStack() as stack:
        for name, answer in gpu.items():  # what autocast asks for
            stack.enter_context(mock.patch(f"torch.cuda.{name}", return_value=answer))
        for table in TABLES:
            stack.callback(table.cache_clear)  # of fake ones, which nobody may meet later
        stack.enter_context(FakeTensorMode())
        yield


def on_cuda(tensor: Tensor) -> Tensor:
    """A fake tensor of the same form."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")


def batch_on_cuda(batch: Batch) -> Batch:
    return {name: on_cuda(tensor) for name, tensor in batch.items()}


def module_on_cuda(module: nn.Module) -> nn.Module:
    """The module itself, its tensors replaced by fake ones."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(on_cuda(parameter), parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = on_cuda(buffer)
    return module


class Watch(TorchDispatchMode):
    """Notes the operators that compute, and those that bring numbers from the CPU to the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[str] = []
        self.copies: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # noqa: ANN001
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            self.operators.append(str(function))
        given, made = (
            [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
            for tree in ((args, kwargs), result)
        )
        is_on_gpu = any(tensor.is_cuda for tensor in made)
        if is_on_gpu and any(not tensor.is_cuda and tensor.ndim for tensor in given):
            self.copies.append(str(function))
        return result


def whole_graph(function: Callable, *args: object) -> list[fx.Node]:
    """The operators of a function, compiled as one graph; an error where that is not possible."""
    graphs: list[fx.GraphModule] = []

    def keep(module: fx.GraphModule, inputs: list[Tensor]) -> Callable:
        graphs.append(module)
        return module.forward

    torch.compile(function, backend=keep, fullgraph=True, dynamic=False)(*args)
    torch.compiler.reset()
    return [node for graph in graphs for node in graph.graph.nodes]


def nodes_off_gpu(nodes: list[fx.Node]) -> list[str]:
    """Those that make or take something on the CPU."""
    values = {node.name: tree_leaves(node.meta.get("example_value")) for node in nodes}
    return [n for n, v in values.items() if any(isinstance(t, Tensor) and not t.is_cuda for t in v)]
