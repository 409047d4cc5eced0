"""Make a policy ready to act: the same actions, in less time."""

from __future__ import annotations

import copy

import torch
from torch import nn

from common import autocast, computes_bf16
from detr import ACT, ActingACT, ActingKeypoints, acting_backbone
from policies.base import Policy

DTYPE = torch.bfloat16
# layers whose weights autocast casts
CAST = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
# modules that see to the type of their layers' weights themselves, or take them without calling the layers
THEIR_OWN = (ActingACT, ActingKeypoints, nn.MultiheadAttention, nn.TransformerEncoderLayer)


@torch.inference_mode()
def ready_to_act(policy: Policy, amp: str = "auto") -> Policy:
    """A policy that only acts, in mixed precision, as `policy` does: norms are part of the convolutions,
    weights are held in bf16, and what does not depend on an observation is computed already.

    `policy` itself stays as it is, to be saved or trained. Where it would not act in bf16, or bf16 is not
    native, it is returned.

    Args:
        policy: with its weights, in eval mode.
        amp: mixed precision, as for `common.autocast`; it must act in the same.
    """
    if amp == "no" or not computes_bf16(policy.device):
        return policy
    tensors = (*policy.parameters(), *policy.buffers())  # shared: they are replaced, never changed
    ready = copy.deepcopy(policy, {id(tensor): tensor for tensor in tensors})
    image = torch.zeros(1, 3, *policy.interface.image_size, device=policy.device)
    image = image.to(memory_format=torch.channels_last)
    _replace(ready, {backbone: acting_backbone(backbone, image, DTYPE) for backbone in ready.backbones()})
    images = image.expand(len(policy.interface.cameras), -1, -1, -1)[None]
    networks = [module for module in ready.modules() if type(module) is ACT]
    _replace(ready, {network: ActingACT(network, images, DTYPE) for network in networks})
    _cast(ready, amp)
    return ready


def _replace(root: nn.Module, others: dict[nn.Module, nn.Module]) -> None:
    """Put other modules in the places of those in `root` that are keys."""
    for module in list(root.modules()):
        for name, child in module.named_children():
            if child in others:
                setattr(module, name, others[child])


def _cast(policy: Policy, amp: str) -> None:
    """Hold in bf16 the weights that autocast would cast each time: those of layers called under it."""
    is_cast: dict[nn.Module, bool] = {}

    def note(layer: nn.Module, inputs: object) -> None:
        is_cast[layer] = is_cast.get(layer, True) and torch.is_autocast_enabled(policy.device.type)

    others = {layer for m in policy.modules() if isinstance(m, THEIR_OWN) for layer in m.modules()}
    layers = [m for m in policy.modules() if isinstance(m, CAST) and m not in others]
    if not layers:
        return
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    black = policy.interface.black_observation(policy.qpos_mean.cpu().numpy())
    batch, horizon = policy.observe([black]), policy.observation_horizon
    if horizon > 1:
        batch = {name: torch.stack([tensor] * horizon, dim=1) for name, tensor in batch.items()}
    with autocast(amp, policy.device):
        policy.act(batch, torch.Generator(policy.device).manual_seed(0))
    for hook in hooks:
        hook.remove()
    for layer, casts in is_cast.items():
        if casts:
            for name, weight in layer.named_parameters(recurse=False):
                setattr(layer, name, nn.Parameter(weight.to(DTYPE), requires_grad=False))
