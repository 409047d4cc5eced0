"""Read what modules compute while a network runs: maps of the image, attention, places of keypoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from detr.act import Attention
from detr.backbones import keypoints

Take = Callable[[nn.Module, tuple, Any], Any]  # of a module, its inputs and its output: what is kept
Hooks = Mapping[Any, tuple[nn.Module, Take]]


@contextmanager
def recording(hooks: Hooks) -> Iterator[dict[Any, list]]:
    """By key, what is kept of each call of its module inside the block."""
    calls: dict[Any, list] = {}

    def keep(key: Any, take: Take) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple, output: Any) -> None:
            calls.setdefault(key, []).append(take(module, inputs, output))

        return hook

    handles = [module.register_forward_hook(keep(key, take)) for key, (module, take) in hooks.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def output(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
    return output.detach().clone()  # later modules may change it in place


def sigmoid(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
    return torch.sigmoid(output.detach())


def attention(module: Attention, inputs: tuple, _out: Tensor) -> Tensor:
    """(B, Q, N), the mean over the heads."""
    return module.weights(*inputs[:2]).mean(dim=1)


def with_gradient(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
    output.retain_grad()
    return output


def is_spatial_softmax(module: nn.Module) -> bool:
    """Ours, or robomimic's, which is not imported for this."""
    return type(module).__name__ == "SpatialSoftmax"


def places(module: nn.Module, features: Tensor) -> Tensor:
    """(B, K, h, w): the distributions whose means a spatial softmax gives."""
    if isinstance(module, keypoints.SpatialSoftmax):
        return module.places(features).transpose(1, 2).unflatten(2, features.shape[-2:])
    logits = features if module.nets is None else module.nets(features)
    return torch.softmax(logits.flatten(2) / module.temperature, dim=2).unflatten(2, logits.shape[-2:])


def in_pixels(places: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mean (K, 2) and standard deviation (K,) of distributions (K, h, w), in pixels of an image."""
    h, w = places.shape[-2:]
    y = (torch.arange(h, device=places.device) + 0.5) * shape[0] / h - 0.5
    x = (torch.arange(w, device=places.device) + 0.5) * shape[1] / w - 0.5
    rows, columns = places.sum(dim=2), places.sum(dim=1)  # (K, h), (K, w)
    means = torch.stack([columns @ x, rows @ y], dim=1)
    squares = torch.stack([columns @ x.square(), rows @ y.square()], dim=1)
    spread = (squares - means.square()).clamp_min(0).sum(dim=1).sqrt()
    return means, spread


@dataclass(frozen=True)
class Map:
    """A map of the image that a module of a backbone gave."""

    name: str  # of the module
    size: tuple[int, int]  # height, width
    input_size: tuple[int, ...]  # height, width of what the module was given
    output: Tensor
    version: int  # of the output, which later modules may change in place


@torch.no_grad()
def find_maps(backbone: nn.Module, image: Tensor) -> list[Map]:
    """The maps of an image (1, 3, H, W), in the order in which they are made."""
    maps: list[Map] = []
    names = {module: name for name, module in backbone.named_modules()}

    def keep(module: nn.Module, inputs: tuple, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and _fits(output.shape[-2:], image.shape[-2:]):
            input_size = tuple(inputs[0].shape[-2:]) if isinstance(inputs[0], Tensor) else ()
            size = tuple(output.shape[-2:])
            maps.append(Map(names[module], size, input_size, output, output._version))

    with recording({name: (module, keep) for module, name in names.items()}):
        backbone(image)
    return maps


def _fits(size: Sequence[int], image: Sequence[int]) -> bool:
    """Whether a map has the image's shape, up to rounding; tokens in a row, and channels last, have not."""
    return size[0] > 1 and abs(size[0] * image[1] - size[1] * image[0]) <= max(image)


def last_of_each_size(maps: Sequence[Map]) -> list[str]:
    """Names of the modules that give the last map of each size, the largest first.

    Maps inside a block that halves them belong to the block, not to the size that it starts from. Of modules
    that give the same map the outermost is named, unless it holds one of another size.
    """
    sizes = sorted({m.size for m in maps}, reverse=True)
    half = dict(zip(sizes, sizes[1:], strict=False))
    blocks = {m.name: (m.input_size, m.size) for m in maps}

    def is_inside_halving(m: Map) -> bool:
        parts = m.name.split(".")
        around = (".".join(parts[:i]) for i in range(1, len(parts)))
        return any(blocks.get(name) == (m.size, half.get(m.size)) for name in around)

    last = {m.size: m for m in maps if m.size >= maps[-1].size and not is_inside_halving(m)}
    names = []
    for size in (size for size in sizes if size in last):
        same = [m.name for m in maps if m.output is last[size].output and m.version == last[size].version]
        others = [m.name for m in last.values() if m.size != size]
        apart = [name for name in same if name and not any(o.startswith(f"{name}.") for o in others)]
        names.append(min(apart or same, key=lambda name: name.count(".")))
    return names
