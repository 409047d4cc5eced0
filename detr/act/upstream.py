"""Read the weights of ACT (tonyzhaozh/act) and ACT++ (MarkFzp/act-plus-plus) into our `ACT`."""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from detr.act.latent import CodeLatent, GaussianLatent

# What upstream stores and we do not need. It computes seven decoder layers and takes `hs[0]`, the output of
# the first (after decoder.norm), as the answer (detr_vae.py, forward); the others and is_pad_head learned
# nothing.
DROPPED = re.compile(r"is_pad_head\.|pos_table$|.*num_batches_tracked$|transformer\.decoder\.layers\.(?!0\.)")
CVAE_ONLY = (
    "cls_embed.",
    "encoder_action_proj.",
    "encoder_joint_proj.",
    "latent_proj.",
    "latent_out_proj.weight",
)
REQUIRED = (
    "action_head.weight",
    "query_embed.weight",
    "input_proj.weight",
    "input_proj_robot_state.weight",
    "latent_proj.weight",
    "latent_out_proj.weight",
    "transformer.encoder.layers.0.linear1.weight",
)
RESNETS = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
    (True, (3, 8, 36, 3)): "resnet152",
}


def convert_upstream(
    state_dict: Mapping[str, Tensor], codes: tuple[int, int] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Translate a state dict of ACT or ACT++, with or without the prefix `model.` of its policy.

    Args:
        state_dict: the weights.
        codes: of the VQ variant, number of codes and values of each; the weights tell only their product.

    Returns:
        the state dict of our `ACT`, and the sizes to build it with: `backbone`, `norm` and `num_backbones`
        for `build_backbone` (original ACT has one for all cameras, ACT++ one per camera), all others
        arguments of `ACT`. The number of heads leaves no trace in the weights; upstream always has 8.

    Raises:
        ValueError: these are no weights of ACT, or of its VQ variant and `codes` do not fit.
    """
    weights = {k.removeprefix("model."): v for k, v in state_dict.items()}
    _refuse_others(weights)
    latent = _read_latent(weights, codes)
    weights = {
        re.sub(r"^(backbones\.\d+)\.0\.body\.", r"\1.", k): v
        for k, v in weights.items()
        if not DROPPED.match(k)
    }
    _fold_first_self_attention(weights)
    config = {**_read_sizes(weights), "latent": latent}
    if isinstance(latent, CodeLatent):  # upstream does not count its codes
        weights["latent.frequencies"] = latent.frequencies
    if latent is None:  # upstream keeps the CVAE's projections even then, untrained
        weights["latent_token"] = weights.pop("latent_out_proj.bias")
        weights = {k: v for k, v in weights.items() if not k.startswith(CVAE_ONLY)}
    return weights, config


def _refuse_others(weights: Mapping[str, Tensor]) -> None:
    missing = [k for k in REQUIRED if k not in weights]
    if missing:
        raise ValueError(f"not a state dict of ACT or ACT++: {', '.join(missing)} missing")


def _read_latent(
    weights: Mapping[str, Tensor], codes: tuple[int, int] | None
) -> GaussianLatent | CodeLatent | None:
    if not any(k.startswith("encoder.layers.") for k in weights):
        return None
    dim, info_dim = weights["latent_out_proj.weight"].shape[1], weights["latent_proj.weight"].shape[0]
    if info_dim == 2 * dim:  # a Gaussian has a mean and a variance per number, a code has neither
        return GaussianLatent(dim)
    if codes is None or math.prod(codes) != dim:
        shown = "not given" if codes is None else f"{codes[0]} and {codes[1]}"
        raise ValueError(
            f"a VQ checkpoint whose codes take {dim} numbers: vq_class times vq_dim must be as many, but "
            f"they are {shown}"
        )
    return CodeLatent(*codes)


def _fold_first_self_attention(weights: dict[str, Tensor]) -> None:
    """Replace the first decoder layer's self-attention, over zeros, by the one vector it always gives."""
    prefix = "transformer.decoder.layers.0."
    attention = {k: weights.pop(k) for k in list(weights) if k.startswith(f"{prefix}self_attn.")}
    weight, bias = (attention[f"{prefix}self_attn.out_proj.{name}"] for name in ("weight", "bias"))
    value_bias = attention[f"{prefix}self_attn.in_proj_bias"].chunk(3)[2]  # (d,)
    weights[f"{prefix}start"] = weight @ value_bias + bias


def _read_sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    hidden_dim, state_dim = weights["input_proj_robot_state.weight"].shape
    return {
        "state_dim": state_dim,
        "action_dim": weights["action_head.weight"].shape[0],
        "chunk_size": weights["query_embed.weight"].shape[0],
        "hidden_dim": hidden_dim,
        "dim_feedforward": weights["transformer.encoder.layers.0.linear1.weight"].shape[0],
        "nheads": 8,
        "enc_layers": _count(weights, r"transformer\.encoder\.layers\.(\d+)\."),
        "dec_layers": 1,
        "backbone": _resnet_name(weights),
        "norm": "frozen_bn" if "backbones.0.bn1.running_mean" in weights else "group_norm",
        "num_backbones": _count(weights, r"backbones\.(\d+)\."),
    }


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for k in weights if (match := re.match(pattern, k))})


def _resnet_name(weights: Mapping[str, Tensor]) -> str:
    blocks = tuple(_count(weights, rf"backbones\.0\.layer{i}\.(\d+)\.") for i in (1, 2, 3, 4))
    bottleneck = "backbones.0.layer1.0.conv3.weight" in weights
    if (bottleneck, blocks) not in RESNETS:
        raise ValueError(
            f"unknown backbone with {blocks} {'bottleneck' if bottleneck else 'basic'} blocks; "
            f"choose a checkpoint with one of {', '.join(RESNETS.values())}"
        )
    return RESNETS[bottleneck, blocks]
