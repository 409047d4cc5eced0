"""Write a policy as an ONNX graph that needs nothing but the state and the cameras' raw pictures."""

from __future__ import annotations

import copy
import dataclasses
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actors import ENTRY, About, OnnxActor, open_onnx, picture_name
from cameras import Reference, stored_references
from common import complete_file
from constants import IMAGE_SIZE
from episodes import View
from policies.acting.actor import TorchActor
from policies.acting.sight import Size, sight
from policies.base import Policy

CHECKED = 5  # observations on which the graph is compared with the policy
INSTALL = "pip install -r requirements.txt"
CLOSE = 1e-3  # of an action's spread in the demonstrations: more is an error


class _Graph(nn.Module):
    """From an observation as it comes to a chunk of actions.

    Args:
        policy: in eval mode.
        frame_sizes: of the pictures, by camera.
    """

    def __init__(self, policy: Policy, frame_sizes: Mapping[str, Size]) -> None:
        super().__init__()
        self._policy = policy
        interface = policy.interface
        is_cropped = "crop" in interface.augmentations
        self.sights = nn.ModuleList(
            sight(interface.views.get(name, View()), frame_sizes[name], interface.image_size, is_cropped)
            for name in interface.cameras
        )

    def forward(self, qpos: Tensor, pictures: list[Tensor], drawn: dict[str, Tensor]) -> Tensor:
        """qpos (D,) and pictures (H, W, 3) uint8, or (h, D) and (h, H, W, 3) of a policy that looks back, to
        (chunk, A).
        """
        looks_back = self._policy.observation_horizon > 1
        pictures = pictures if looks_back else [picture[None] for picture in pictures]
        seen = [sight(picture) for sight, picture in zip(self.sights, pictures, strict=True)]
        images = torch.stack(seen, dim=1)  # (h, cameras, H, W, 3)
        obs = {"qpos": qpos[None], "images": images[None] if looks_back else images}
        return self._policy.act_on(obs, drawn)[0]


def export_policy(
    policy: Policy,
    output: str | Path,
    references: Mapping[str, Mapping[str, bytes]] | None = None,
    int8: bool = False,
) -> str:
    """Write a policy to `output`, completely or not at all, and compare both.

    Args:
        policy: in eval mode; it stays as it is.
        output: a file, *.onnx.
        references: of its cameras, as a checkpoint has them; their size is that of the pictures.
        int8: hold the weights of matrix products in 8 bits.

    Returns:
        how far the actions of the graph are from the policy's, in words.

    Raises:
        ImportError: onnx or onnxscript is missing.
        ValueError: a graph cannot hold it, or computes something else.
    """
    _check_packages()
    policy, references = _plain(policy), references or {}
    shown = stored_references(references, "the references")
    sizes = {name: _frame_size(policy, name, shown) for name in policy.interface.cameras}
    about = _about(policy, sizes, references)
    with complete_file(output) as part:
        _write(policy, sizes, about, part)
        if int8:
            _quantise(part)
        return _compared(policy, open_onnx(part), sizes, is_exact=not int8)


def _check_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"to export a policy, onnx and onnxscript are needed: {INSTALL} ({error})"
        ) from error


def _plain(policy: Policy) -> Policy:
    """A copy on the CPU in float32; its whole numbers are plain ones, on which shapes may depend."""
    policy = copy.deepcopy(policy).cpu().float().eval()
    for name, value in list(policy.named_buffers(recurse=False)):
        if value.ndim == 0 and not value.is_floating_point():
            delattr(policy, name)
            setattr(policy, name, value.item())
    return policy


def _frame_size(policy: Policy, camera: str, references: Mapping[str, Reference]) -> Size:
    """Height and width of a camera's raw pictures."""
    view = policy.interface.views.get(camera)
    if view is not None and view.frame_size:
        return tuple(view.frame_size)
    if camera in references:
        return references[camera].picture.shape[:2]
    return policy.interface.frame_sizes.get(camera, IMAGE_SIZE)


def _about(policy: Policy, sizes: Mapping[str, Size], references: Mapping[str, Mapping[str, bytes]]) -> About:
    interface = policy.interface
    views = {
        name: dataclasses.replace(interface.views.get(name, View()), frame_size=size)
        for name, size in sizes.items()
    }
    traits = dataclasses.replace(TorchActor(policy).traits, inpaints=False)
    return About(dataclasses.replace(interface, views=views), traits, references)


def _observation(policy: Policy, sizes: Mapping[str, Size], rng: np.random.Generator) -> dict[str, Any]:
    """What an environment might give: noise."""
    images = {name: rng.integers(0, 256, (*size, 3), np.uint8) for name, size in sizes.items()}
    mean, std = policy.qpos_mean.numpy(), policy.qpos_std.numpy()
    return {"qpos": (mean + std * rng.standard_normal(len(mean))).astype(np.float32), "images": images}


def _inputs(policy: Policy, observation: Mapping[str, Any]) -> dict[str, Any]:
    """What the graph takes."""
    arrays = [observation["qpos"], *(observation["images"][name] for name in policy.interface.cameras)]
    h = policy.observation_horizon
    qpos, *pictures = (torch.from_numpy(np.stack([a] * h) if h > 1 else a) for a in arrays)
    drawn = policy.draw_to_act(1, torch.Generator().manual_seed(0))
    return {"qpos": qpos, "pictures": pictures, "drawn": drawn}


@torch.no_grad()
def _write(policy: Policy, sizes: Mapping[str, Size], about: About, path: Path) -> None:
    """Write the graph."""
    graph = _Graph(policy, sizes).eval()
    inputs = _inputs(policy, _observation(policy, sizes, np.random.default_rng(0)))
    graph(**inputs)  # what is computed once and kept must not be made of the exporter's stand-ins for tensors
    names = ["qpos", *map(picture_name, policy.interface.cameras), *inputs["drawn"]]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph, kwargs=inputs, dynamo=True, input_names=names, output_names=["actions"], verbose=False
        )
    program.model.metadata_props[ENTRY] = about.text()
    program.save(path, external_data=False)


def _quantise(path: Path) -> None:
    """Hold the weights of matrix products in 8 bits: a quarter of their size."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # its advice is for graphs that were not simplified yet
    try:
        quantize_dynamic(path, path, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
    finally:
        logging.disable(logging.NOTSET)


@torch.no_grad()
def _compared(policy: Policy, actor: OnnxActor, sizes: Mapping[str, Size], is_exact: bool) -> str:
    """How far the graph's actions are from the policy's, in words; ValueError if they should not be."""
    rng, worst = np.random.default_rng(1), 0.0
    for _ in range(CHECKED):
        observation = _observation(policy, sizes, rng)
        drawn = policy.draw_to_act(1, torch.Generator().manual_seed(0))
        h = policy.observation_horizon
        seen = policy.observe([observation] * h)
        if h > 1:
            seen = {name: tensor[None] for name, tensor in seen.items()}
        chunk = policy.act_on(seen, drawn)[0].numpy()
        seen = actor.observe(observation)
        seen = {name: np.stack([array] * h) for name, array in seen.items()} if h > 1 else seen
        given = actor.act_on(seen, {name: tensor.numpy() for name, tensor in drawn.items()})
        worst = max(worst, float(np.abs((given - chunk) / policy.action_std.numpy()).max()))
    if is_exact and not worst < CLOSE:
        raise ValueError(f"the graph's actions differ from the policy's by up to {worst:g} of their spread")
    return f"its actions are within {worst:.1e} of their standard deviations from the checkpoint's"
