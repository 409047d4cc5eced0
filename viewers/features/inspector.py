"""What a policy looks at: maps in its backbones, attention, keypoints, and what its actions depend on.

Hooks read everything from the running network, so this works for every policy and every backbone. It answers
three questions, each in its own way:

- what does it see? maps of the backbone's stages, keypoints of a spatial softmax;
- where does it look? the decoder's attention over the image (ACT);
- what do its actions depend on? gradients, averaged over noisy copies of the image (Smilkov et al. 2017,
  "SmoothGrad", arXiv:1706.03825), and occlusion: hide a patch, see how far the actions move (Zeiler and
  Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2). Between two frames: put
  a patch of one into the other, and see how far the actions go from one chunk to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from common import choose
from detr import AttentionModule, Decoder, hooks
from episodes import Episode
from policies import Policy
from utils import Batch

SEED = 0  # of the policy's random numbers: always the same, so that only what it sees makes a difference
COPIES = 8  # noisy copies of the image; a gradient is the average over them
NOISE = 12.0  # standard deviation of their noise (of 255)
AT_ONCE = 32  # images in a batch
NO_DIFFERENCE = 1e-4  # chunks that differ by less (standard deviations of an action) count as the same


@dataclass
class CameraLook:
    """What the policy makes of one camera's image."""

    image: np.ndarray  # (H, W, 3) uint8, as the policy sees it
    stages: dict[str, np.ndarray] = field(default_factory=dict)  # by the module's name: (C, h, w) float32
    attention: np.ndarray | None = None  # (chunk, h, w): the decoder's, for each action of the chunk
    keypoints: np.ndarray | None = None  # (K, 2): x, y (pixels of `image`)
    spread: np.ndarray | None = None  # (K,): standard deviation of the place (pixels); large: it saw nothing


@dataclass
class Look:
    """What the policy makes of one observation."""

    chunk: np.ndarray  # (n, A), robot units
    cameras: dict[str, CameraLook]
    shares: dict[str, np.ndarray]  # (n,): attention to `latent`, `state` and each camera; they add up to 1


@dataclass
class Saliency:
    """How much the chunk changes with each pixel, and each keypoint; only ratios mean something."""

    pixels: dict[str, np.ndarray]  # by camera: (H, W)
    keypoints: dict[str, np.ndarray]  # by camera: (K,); empty without a spatial softmax


@dataclass
class Comparison:
    """What makes two observations' chunks differ: 0 is the first's chunk, 1 the second's."""

    chunks: tuple[np.ndarray, np.ndarray]  # (n, A) each, robot units
    distance: float  # root mean square of their difference (standard deviations of an action)
    # how far the first's chunk goes when a part of the second (`state`, or a camera's image) is put into it
    forward: dict[str, float]
    backward: dict[str, float]  # how far the second's goes when a part of the first is put into it
    patches: dict[str, tuple[np.ndarray, np.ndarray]]  # by camera: (rows, columns), as `forward`, `backward`


class Inspector:
    """Looks into a policy. The policy is put into evaluation mode, and its weights are frozen.

    Args:
        policy: any policy.
        stages: modules of the backbone whose maps are shown; the last of each size if not given.

    Raises:
        ValueError: the backbone has no such module, or it gives no map.
        RuntimeError: the policy cannot act yet.
    """

    def __init__(self, policy: Policy, stages: Sequence[str] = ()) -> None:
        self.policy = policy.eval().requires_grad_(False)
        self.cameras = policy.interface.cameras
        self._backbones, self._softmaxes, self._draws = self._probe()
        blank = torch.zeros(1, 3, *policy.interface.image_size, device=policy.device)
        # sides that halve evenly: rounding then cannot blur which maps are of one size
        even = [64 * -(-side // 64) for side in policy.interface.image_size]
        maps = hooks.find_maps(self._backbones[0], blank.new_zeros(1, 3, *even))
        known = list(dict.fromkeys(m.name for m in maps if m.name))
        names = [choose("stage", name, known) for name in stages] or hooks.last_of_each_size(maps)
        self._hooks = self._make_hooks(names)
        with torch.no_grad():
            self._gives_places = self._backbones[0](blank).shape[2] > 1
        self.notes = self._missing(has_one_size=not stages and len(names) < 2)

    @torch.no_grad()
    def _probe(self) -> tuple[list[nn.Module], list[nn.Module], bool]:
        """Backbones and spatial softmaxes in the order of their calls, and whether the policy draws random
        numbers as it acts: then two equal rows get different chunks.
        """
        interface, horizon = self.policy.interface, self.policy.observation_horizon
        past = (horizon,) if horizon > 1 else ()
        obs = {
            "qpos": torch.zeros(2, *past, interface.state_dim),
            "images": torch.zeros(2, *past, len(self.cameras), *interface.image_size, 3, dtype=torch.uint8),
        }
        parts = [m for m in self.policy.modules() if hasattr(m, "pretrained") or hooks.is_spatial_softmax(m)]
        called: list[nn.Module] = []
        keep = {i: (part, lambda module, *_: called.append(module)) for i, part in enumerate(parts)}
        with hooks.recording(keep):
            rows = self.policy.act({k: v.to(self.policy.device) for k, v in obs.items()}, self._generator())
        once = list(dict.fromkeys(called))
        backbones = [module for module in once if not hooks.is_spatial_softmax(module)]
        softmaxes = [module for module in once if hooks.is_spatial_softmax(module)]
        return backbones, softmaxes, not torch.allclose(rows[0], rows[1], atol=1e-5)

    def _make_hooks(self, stages: Sequence[str]) -> hooks.Hooks:
        takes: dict[tuple, tuple[nn.Module, hooks.Take]] = {}
        for i, backbone in enumerate(self._backbones):
            takes["size", i] = backbone, lambda _module, _inputs, out: torch.tensor(out.shape[-2:])
            for name in stages:
                takes["stage", i, name or "output"] = backbone.get_submodule(name), hooks.output
            for name, module in backbone.named_modules():
                if isinstance(module, AttentionModule):
                    takes["stage", i, f"{name} mask"] = module.to_mask, hooks.sigmoid
        for i, softmax in enumerate(self._softmaxes):
            takes["places", i] = softmax, lambda module, inputs, _out: hooks.places(module, inputs[0])
        decoders = [module for module in self.policy.modules() if isinstance(module, Decoder)]
        if decoders:
            takes[("attention",)] = decoders[0].layers[-1].multihead_attn, hooks.attention
        return takes

    def _missing(self, has_one_size: bool) -> list[str]:
        """A line for each thing that cannot be shown."""
        name, notes = type(self.policy).__name__.removesuffix("Policy"), []
        if has_one_size:
            notes.append("stages: this backbone has maps of one size only; the last one is shown")
        if not self._softmaxes:
            notes.append(f"keypoints: none; this {name} has no spatial softmax")
        if ("attention",) not in self._hooks:
            notes.append(f"attention: none; {name} has no decoder that looks at the image, as ACT has")
        elif not self._gives_places:
            notes.append("attention over the image: none; this backbone's tokens stand for no places in it")
        return notes

    def observe(self, episode: Episode, step: int) -> Batch:
        """A step of an episode, with the earlier steps that the policy looks back on, as a batch of one."""
        horizon = self.policy.observation_horizon
        past = [max(0, step - back) for back in reversed(range(horizon))]
        obs = self.policy.observe(
            [
                {"qpos": episode.qpos[t], "images": {c: episode.images[c][t] for c in self.cameras}}
                for t in past
            ]
        )
        return {name: rows[None] for name, rows in obs.items()} if horizon > 1 else obs

    def predict(self, obs: Batch) -> Tensor:
        """Chunks (B, n, A) in robot units. Every row gets the same random numbers, each time."""
        rows = [{k: v[i : i + 1] for k, v in obs.items()} for i in range(len(obs["qpos"]))]
        batches = rows if self._draws else [obs]
        return torch.cat([self.policy.act(batch, self._generator()).float() for batch in batches])

    def _generator(self) -> torch.Generator:
        return torch.Generator(self.policy.device).manual_seed(SEED)

    def _newest(self, calls: Sequence[Tensor], camera: int, batch: int) -> Tensor:
        """The recorded rows (B, ...) that belong to a camera's newest images.

        A backbone takes one camera (and its past) at a time; a shared one may take all cameras at once.
        """
        count = batch if self._draws else 1  # calls of a backbone that takes all cameras at once
        if len(self._backbones) == 1 and len(self.cameras) > 1 and len(calls) == count:
            return torch.cat(list(calls)).unflatten(0, (batch, -1))[:, camera]
        mine = calls if len(self._backbones) > 1 else calls[camera :: len(self.cameras)]
        return torch.cat([rows.unflatten(0, (-1, self.policy.observation_horizon))[:, -1] for rows in mine])

    # --- what it sees

    @torch.no_grad()
    def look(self, obs: Batch) -> Look:
        """Everything that one pass through the network shows; `obs` is a batch of one."""
        with hooks.recording(self._hooks) as calls:
            chunk = self.predict(obs)[0]
        cameras: dict[str, CameraLook] = {}
        for i, camera in enumerate(self.cameras):
            backbone = i if len(self._backbones) > 1 else 0
            look = cameras[camera] = CameraLook(_pictures(obs)[i].cpu().numpy())
            for key in (key for key in calls if key[:2] == ("stage", backbone)):
                look.stages[key[2]] = self._newest(calls[key], i, 1)[0].float().cpu().numpy()
            if ("places", backbone) in calls:
                places = self._newest(calls["places", backbone], i, 1)[0]  # (K, h, w)
                means, spread = hooks.in_pixels(places, look.image.shape)
                look.keypoints, look.spread = means.cpu().numpy(), spread.cpu().numpy()
        sizes = [calls["size", i if len(self._backbones) > 1 else 0][0].tolist() for i in range(len(cameras))]
        attention = calls[("attention",)][0][0] if ("attention",) in calls else None  # (n, N)
        return Look(chunk.cpu().numpy(), cameras, self._share_attention(attention, sizes, cameras))

    def _share_attention(
        self, attention: Tensor | None, sizes: Sequence[list[int]], cameras: dict[str, CameraLook]
    ) -> dict[str, np.ndarray]:
        """Shares of attention (n, N) that go to the latent, the state and each camera; N are ACT's tokens.

        Each camera's cells are kept as its `attention`. Without a CVAE the first token is a learned constant.
        """
        if attention is None:
            return {}
        rows = attention.float().cpu().numpy()
        latent = "latent" if self.policy.network.latent is not None else "constant (no CVAE)"
        shares, first = {latent: rows[:, 0], "state": rows[:, 1]}, 2
        for (camera, look), (h, w) in zip(cameras.items(), sizes, strict=True):
            cells = rows[:, first : first + h * w]
            shares[camera] = cells.sum(axis=1)
            first += h * w
            if self._gives_places:
                look.attention = cells.reshape(-1, h, w)
        return shares

    # --- what its actions depend on

    def saliency(self, obs: Batch, direction: np.ndarray | None = None, copies: int = COPIES) -> Saliency:
        """Gradients of the chunk by the pixels; `obs` is a batch of one.

        Args:
            obs: the observation.
            direction: (n, A), along which a change of the chunk counts; if not given, any change counts:
                the norm of the Jacobian, estimated along a random direction for each copy.
            copies: noisy copies of the images; the squared gradients are averaged over them.
        """
        random = torch.Generator().manual_seed(SEED)
        images = obs["images"].float()
        noise = torch.randn(copies, *images.shape[1:], generator=random).to(images.device)
        noisy = (images + NOISE * noise).requires_grad_()
        batch = {"qpos": _repeat(obs["qpos"], copies), "images": noisy}
        keep = {("points", i): (softmax, hooks.with_gradient) for i, softmax in enumerate(self._softmaxes)}
        with hooks.recording(keep) as calls, torch.enable_grad():
            chunks = self.predict(batch) / self.policy.action_std  # (copies, n, A)
            if direction is None:
                along = (2 * torch.randint(0, 2, chunks.shape, generator=random) - 1).to(chunks)
            else:
                along = torch.as_tensor(direction).to(chunks).expand_as(chunks)
            (chunks * along).sum().backward()
        newest = noisy.grad if self.policy.observation_horizon == 1 else noisy.grad[:, -1]
        strength = newest.square().sum(dim=-1).mean(dim=0).sqrt().cpu().numpy()  # (cameras, H, W)
        points = {}
        for i, camera in enumerate(self.cameras if self._softmaxes else ()):
            recorded = calls["points", i if len(self._softmaxes) > 1 else 0]
            gradients = self._newest([tensor.grad for tensor in recorded], i, copies)  # (copies, K, 2)
            points[camera] = gradients.square().sum(dim=-1).mean(dim=0).sqrt().cpu().numpy()
        return Saliency(dict(zip(self.cameras, strength, strict=True)), points)

    @torch.no_grad()
    def occlusion(self, obs: Batch, rows: int) -> dict[str, np.ndarray]:
        """How far the chunk moves (root mean square, standard deviations of an action) when the image's mean
        colour hides a patch: by camera (rows, columns); `obs` is a batch of one.
        """
        hidden = obs["images"].float().mean(dim=(-3, -2), keepdim=True).round().to(torch.uint8)
        chunk = self.predict(obs)
        distances = {}
        for i, camera in enumerate(self.cameras):
            moved = (
                self._patched(obs, hidden.expand_as(obs["images"]), i, rows) - chunk
            ) / self.policy.action_std
            distances[camera] = _grid(moved.square().mean(dim=(1, 2)).sqrt(), rows)
        return distances

    def _patched(self, obs: Batch, others: Tensor, camera: int, rows: int) -> Tensor:
        """Chunks (rows * columns, n, A), one for each patch of a camera's images that is taken from `others`
        (1, ..., H, W, 3). Patches overlap: each is twice as high and wide as a cell of the grid.
        """
        height, width = others.shape[-3:-1]
        columns = max(1, round(rows * width / height))
        images = []
        for row in range(rows):
            for column in range(columns):
                y0, y1 = _around(row, rows, height)
                x0, x1 = _around(column, columns, width)
                image = obs["images"].clone()
                image[..., camera, y0:y1, x0:x1, :] = others[..., camera, y0:y1, x0:x1, :]
                images.append(image)
        chunks = []
        title = f"patches of {self.cameras[camera]}"
        for first in tqdm(range(0, len(images), AT_ONCE), desc=title, unit="batch", leave=False):
            some = torch.cat(images[first : first + AT_ONCE])
            chunks.append(self.predict({"qpos": _repeat(obs["qpos"], len(some)), "images": some}))
        return torch.cat(chunks)

    @torch.no_grad()
    def compare(self, one: Batch, other: Batch, rows: int) -> Comparison:
        """Why two observations, batches of one, make the policy do different things."""
        both = (one, other)
        chunks = [self.predict(obs)[0] for obs in both]
        way = (chunks[1] - chunks[0]) / self.policy.action_std  # (n, A)
        distance = way.square().mean().sqrt().item()
        parts: tuple[dict[str, float], ...] = ({}, {})
        patches: dict[str, list[np.ndarray]] = {camera: [] for camera in self.cameras}
        if distance > NO_DIFFERENCE:
            for here in (0, 1):
                obs, others, start = both[here], both[1 - here], chunks[here]
                along = (way if here == 0 else -way) / way.square().sum()

                def progress(chunk: Tensor, start: Tensor = start, along: Tensor = along) -> Tensor:
                    """(B, n, A) to (B,): 0 at this observation's own chunk, 1 at the other's."""
                    return ((chunk - start) / self.policy.action_std * along).sum(dim=(1, 2))

                parts[here]["state"] = progress(self.predict({**obs, "qpos": others["qpos"]})).item()
                for i, camera in enumerate(self.cameras):
                    images = obs["images"].clone()
                    images[..., i, :, :, :] = others["images"][..., i, :, :, :]
                    parts[here][camera] = progress(self.predict({**obs, "images": images})).item()
                    moved = progress(self._patched(obs, others["images"], i, rows)) if rows else None
                    if moved is not None:
                        patches[camera].append(_grid(moved, rows))
        shown = {camera: tuple(maps) for camera, maps in patches.items() if maps}
        return Comparison(tuple(c.cpu().numpy() for c in chunks), distance, *parts, shown)


def _pictures(obs: Batch) -> Tensor:
    """The newest images (cameras, H, W, 3) of a batch of one."""
    return obs["images"].flatten(0, -5)[-1]


def _around(cell: int, cells: int, length: int) -> tuple[int, int]:
    """Where a patch begins and ends; it is centred on a cell and twice as long."""
    return max(0, round((cell - 0.5) * length / cells)), min(length, round((cell + 1.5) * length / cells))


def _grid(values: Tensor, rows: int) -> np.ndarray:
    return values.reshape(rows, -1).cpu().numpy()


def _repeat(row: Tensor, times: int) -> Tensor:
    """A batch of one, repeated."""
    return row.expand(times, *row.shape[1:])
