"""Layers that only act: their weights are held in the type and the layout that they are computed in, and an
addition or a ReLU behind them is done in the same pass over memory.

On a CPU they are oneDNN's, by the operators that PyTorch's own compiler calls (`torch.ops.mkldnn`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def packs(weight: Tensor) -> bool:
    """Whether oneDNN has a layout of its own for a weight."""
    is_there = hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.mkldnn.is_available()
    return is_there and weight.device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class PackedLinear(nn.Module):
    """`nn.Linear`, then an addition or a ReLU if there is one.

    Args:
        weight: (out, in) float32.
        bias: (out,) float32.
        dtype: it is computed in this type.
        relu: whether a ReLU follows.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype, relu: bool = False) -> None:
        super().__init__()
        self._weight, self._bias, self._relu = weight.to(dtype), bias.to(dtype), relu
        self._is_packed = packs(weight)
        if self._is_packed:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight)

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """(..., in) to (..., out); `plus` is added, but not to what has a ReLU."""
        x = x.to(self._bias.dtype)
        if plus is not None:
            plus = plus.expand(*x.shape[:-1], -1)
        if not self._is_packed:
            y = F.linear(x, self._weight, self._bias)
            return F.relu(y) if self._relu else y if plus is None else y + plus
        if plus is None:
            after = "relu" if self._relu else "none"
            return torch.ops.mkldnn._linear_pointwise.default(x, self._weight, self._bias, after, [], "")
        return torch.ops.mkldnn._linear_pointwise.binary(x, plus, self._weight, self._bias, "add")


class PackedConv(nn.Module):
    """A convolution with a norm that was measured before (`detr.acting.fused`), then an addition, then a
    ReLU, as far as there are any.

    Args:
        conv: the convolution; its padding is in numbers, with zeros.
        dtype: it is computed in this type.
        shape: of its input, for which its weights are laid out; others are computed too.
        norm: scale and shift (C,) of its channels.
        relu: whether a ReLU follows.
        in_place: whether what is added may be written over with the result.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        dtype: torch.dtype,
        shape: Sequence[int],
        norm: tuple[Tensor, Tensor] | None = None,
        relu: bool = False,
        in_place: bool = False,
    ) -> None:
        super().__init__()
        weight = conv.weight.detach()
        bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach()
        if norm is not None:
            scale, shift = norm
            weight, bias = weight * scale[:, None, None, None], bias * scale + shift
        self._weight = weight.to(dtype, memory_format=torch.channels_last)
        self._bias, self._relu, self._in_place = bias.to(dtype), relu, in_place
        self._form = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self._is_packed = packs(weight)
        if self._is_packed:
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(self._weight, *self._form, shape)

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """(B, C, H, W), and what is added, to (B, out, h, w)."""
        x, mkldnn = x.to(self._bias.dtype), torch.ops.mkldnn
        if not self._is_packed:
            padding, stride, dilation, groups = self._form
            y = F.conv2d(x, self._weight, self._bias, stride, padding, dilation, groups)
            y = y if plus is None else y + plus
            return F.relu(y) if self._relu else y
        rest = (self._weight, self._bias, *self._form)
        if plus is None:
            after = "relu" if self._relu else "none"
            return mkldnn._convolution_pointwise.default(x, *rest, after, [], "")
        plus, after = plus.to(x.dtype), "relu" if self._relu else None
        if self._in_place:
            return mkldnn._convolution_pointwise_.binary(plus, x, *rest, "add", None, after, [], "")
        return mkldnn._convolution_pointwise.binary(x, plus, *rest, "add", None, after, [], "")
