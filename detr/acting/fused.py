"""Convolutions with what stands behind them in a network, a norm, an addition, a ReLU, made one."""

from __future__ import annotations

import operator

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from detr.acting.packed import PackedConv
from detr.backbones import is_frozen_batch_norm

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
RELUS = (nn.functional.relu, torch.relu, torch.relu_, "relu", "relu_")
MAKE_NEW = (PackedConv, nn.BatchNorm2d, nn.MaxPool2d)  # modules that return a new tensor, as frozen norms do


class _Tracer(fx.Tracer):
    """Looks into no norm."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_frozen_batch_norm(m) or super().is_leaf_module(m, module_qualified_name)


def fused(network: nn.Module, image: Tensor, dtype: torch.dtype) -> nn.Module:
    """A network that computes what `network` does when it acts, with `PackedConv`s; the given one stays as it
    is. A network whose forward depends on what it computes cannot be read: it is returned itself.

    Args:
        network: (B, C, H, W) to maps; in eval mode.
        image: (1, C, H, W) float32, any values; of the size that it will see.
        dtype: convolutions are computed in this type.
    """
    try:
        traced = fx.GraphModule(network, _Tracer().trace(network))
    except (fx.proxy.TraceError, TypeError, AttributeError, NotImplementedError):
        return network
    ShapeProp(traced).propagate(image)
    for number, node in enumerate(list(traced.graph.nodes)):
        if _is_plain_conv(_module(traced, node)):
            _fuse(traced, node, f"packed_{number}", dtype)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


def _module(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(node.target) if node.op == "call_module" else None


def _is_plain_conv(module: nn.Module | None) -> bool:
    return (
        type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    )


def _fuse(traced: fx.GraphModule, conv: fx.Node, name: str, dtype: torch.dtype) -> None:
    """Put one `PackedConv` in the place of a convolution and of what follows it."""
    last, norm, plus, relu = conv, None, None, False
    after = _only_user(last)
    if after is not None and (norm := scale_and_shift(_module(traced, after))) is not None:
        last, after = after, _only_user(after)
    if after is not None and after.target in ADDITIONS and (plus := _other(after, last)) is not None:
        last, after = after, _only_user(after)
    if after is not None and (after.target in RELUS or isinstance(_module(traced, after), nn.ReLU)):
        last, relu = after, True
    in_place = plus is not None and _is_free_after(traced, plus, last)
    shape = conv.args[0].meta["tensor_meta"].shape
    traced.add_submodule(name, PackedConv(_module(traced, conv), dtype, shape, norm, relu, in_place))
    with traced.graph.inserting_before(last):
        inputs = (conv.args[0],) if plus is None else (conv.args[0], plus)
        packed = traced.graph.call_module(name, inputs)
        packed.meta = last.meta
    last.replace_all_uses_with(packed)
    while last is not conv:
        before = next(node for node in last.all_input_nodes if node is not plus)
        traced.graph.erase_node(last)
        last = before
    traced.graph.erase_node(conv)


def _is_free_after(traced: fx.GraphModule, node: fx.Node, last: fx.Node) -> bool:
    """Whether the map of `node` is a tensor of its own, which nobody needs after `last`."""
    module = _module(traced, node)
    if not (isinstance(module, MAKE_NEW) or is_frozen_batch_norm(module)):
        return False
    order = list(traced.graph.nodes)
    return all(order.index(user) <= order.index(last) for user in node.users)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _other(addition: fx.Node, node: fx.Node) -> fx.Node | None:
    """What is added to `node`, if it is another map of that shape, and nothing else is done to it."""
    others = [other for other in addition.args if other is not node]
    if len(addition.args) != 2 or len(others) != 1 or addition.kwargs or not isinstance(others[0], fx.Node):
        return None
    shapes = [getattr(each.meta.get("tensor_meta"), "shape", None) for each in (node, others[0])]
    return others[0] if shapes[0] is not None and shapes[0] == shapes[1] else None


def scale_and_shift(norm: nn.Module | None) -> tuple[Tensor, Tensor] | None:
    """What a norm that was measured before does to each channel, (C,) each; None if it is no such norm."""
    is_measured = is_frozen_batch_norm(norm) or (type(norm) is nn.BatchNorm2d and norm.affine)
    if not is_measured or norm.running_var is None:
        return None
    scale = norm.weight.detach() * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias.detach() - norm.running_mean * scale
