"""Policies: what they learn (`loss`), what they do (`act`), how chunks are executed, and their files.

To add one: a `Policy` subclass with its config here, registered in `POLICIES`; its networks go to detr/.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cli
from constants import choose
from detr.act import ACT, kl_divergence
from detr.backbone import BACKBONES, build_backbone, init_backbone
from episodes import complete_file
from upstream import read_upstream
from utils import Batch, Stats, resize_image

FORMAT_VERSION = 1
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Observation = Mapping[str, Any]  # qpos (D,) and images {camera: (H, W, 3) uint8 RGB}


@dataclass(frozen=True)
class Interface:
    """What a policy is connected to: stored with it, so that one file is enough to run it."""

    state_dim: int
    action_dim: int
    cameras: tuple[str, ...]
    image_size: tuple[int, int]  # height, width (pixels) that it sees; larger frames are scaled down
    task: str = ""
    render_quality: str = ""  # of the simulated images it was trained on


class Policy(nn.Module):
    """Maps an observation to a chunk of actions. Takes and gives robot units; normalises inside.

    A subclass names its `Config`, builds its networks in `__init__`, and defines `loss` and `act`.
    """

    Config: ClassVar[type]

    def __init__(self, config: Any, interface: Interface, stats: Stats) -> None:
        super().__init__()
        self.config, self.interface = config, interface
        for field in dataclasses.fields(stats):
            self.register_buffer(field.name, getattr(stats, field.name).clone())
        self.register_buffer("image_mean", 255 * torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("image_std", 255 * torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def loss(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Losses of a batch (`utils.Demonstrations.batch`): `loss` is minimised, every entry is logged."""
        raise NotImplementedError

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        """Actions (B, chunk, A) for `qpos` (B, D) and `images` (B, cameras, H, W, 3) uint8."""
        raise NotImplementedError

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Parameters that start from pretrained weights; trained at `--lr_backbone`."""
        return []

    def rebuild_config(self) -> Any:
        """The config from which `load_policy` builds the same networks, without reading any other file."""
        return self.config

    def normalise_qpos(self, qpos: Tensor) -> Tensor:
        return (qpos - self.qpos_mean) / self.qpos_std

    def normalise_actions(self, actions: Tensor) -> Tensor:
        return (actions - self.action_mean) / self.action_std

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        return actions * self.action_std + self.action_mean

    def normalise_images(self, images: Tensor) -> Tensor:
        """(B, cameras, H, W, 3) uint8 -> (B, cameras, 3, H, W), normalised; channels stay last in memory."""
        return (images.movedim(-1, -3).float() - self.image_mean) / self.image_std

    def observe(self, observations: Sequence[Observation]) -> Batch:
        """Batch B observations of an environment; scales images to the size the policy sees."""
        size = self.interface.image_size
        images = [[resize_image(o["images"][c], size) for c in self.interface.cameras] for o in observations]
        qpos = np.stack([o["qpos"] for o in observations]).astype(np.float32)
        device = self.qpos_mean.device
        return {
            "qpos": torch.from_numpy(qpos).to(device),
            "images": torch.from_numpy(np.array(images)).to(device),
        }


@dataclass(frozen=True)
class ACTConfig:
    """Flags of ACT. Defaults as in the paper (Zhao et al. 2023, table III) but for dec_layers."""

    chunk_size: int = cli.flag(100, "actions predicted at once")
    kl_weight: float = cli.flag(10.0, "weight of the CVAE's divergence")
    hidden_dim: int = cli.flag(512, "width of the transformer")
    dim_feedforward: int = cli.flag(3200, "width of its feed-forward layers")
    nheads: int = cli.flag(8, "attention heads")
    enc_layers: int = cli.flag(4, "encoder layers")
    dec_layers: int = cli.flag(1, "decoder layers (ACT computes seven and uses the first)")
    dropout: float = cli.flag(0.1, "dropout")
    no_encoder: bool = cli.flag(False, "leave the CVAE out: plain regression")
    backbone: str = cli.flag("resnet18", f"one of {', '.join(BACKBONES)}")
    backbone_weights: str = cli.flag("auto", "imagenet, none, a file, or auto: imagenet where it exists")
    norm: str | None = None  # of the backbone, as built; set when a policy is rebuilt
    num_backbones: int | None = None  # one per camera; 1 with several cameras is shared (original ACT)
    pretrained: bool = False


class ACTPolicy(Policy):
    """Action chunking with transformers (Zhao et al. 2023, arXiv:2304.13705; ACT: policy.py).

    Differs from ACT in that the loss is averaged over the steps that exist; ACT divides by the padding too.
    """

    Config = ACTConfig

    def __init__(self, config: ACTConfig, interface: Interface, stats: Stats) -> None:
        super().__init__(config, interface, stats)
        if config.hidden_dim % config.nheads:
            raise ValueError(
                f"--hidden_dim is {config.hidden_dim}; it must be a multiple of {config.nheads} heads"
            )
        self.network = ACT(
            backbones=self._build_backbones(),
            state_dim=interface.state_dim,
            action_dim=interface.action_dim,
            chunk_size=config.chunk_size,
            hidden_dim=config.hidden_dim,
            dim_feedforward=config.dim_feedforward,
            nheads=config.nheads,
            enc_layers=config.enc_layers,
            dec_layers=config.dec_layers,
            dropout=config.dropout,
            use_encoder=not config.no_encoder,
        )

    def _build_backbones(self) -> list[nn.Module]:
        count = self.config.num_backbones or len(self.interface.cameras)
        if self.config.norm is None:
            return [init_backbone(self.config.backbone, self.config.backbone_weights) for _ in range(count)]
        name, norm, pretrained = self.config.backbone, self.config.norm, self.config.pretrained
        return [build_backbone(name, norm, pretrained) for _ in range(count)]

    def rebuild_config(self) -> ACTConfig:
        built = self.network.backbones[0]
        return dataclasses.replace(
            self.config,
            norm=built.norm,
            pretrained=built.pretrained,
            num_backbones=len(self.network.backbones),
        )

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return [
            p for backbone in self.network.backbones if backbone.pretrained for p in backbone.parameters()
        ]

    def loss(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        is_pad = batch["is_pad"]
        actions = self.normalise_actions(batch["actions"])
        predicted, mu, logvar = self.network(
            self.normalise_qpos(batch["qpos"]),
            self.normalise_images(batch["images"]),
            actions,
            is_pad,
            generator,
        )
        errors = F.l1_loss(predicted.float(), actions, reduction="none").mean(dim=-1)  # (B, chunk)
        l1 = errors.masked_fill(is_pad, 0).sum() / (~is_pad).sum()
        if mu is None:
            return {"loss": l1, "l1": l1}
        kl = kl_divergence(mu, logvar)
        return {"loss": l1 + self.config.kl_weight * kl, "l1": l1, "kl": kl}

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        images = self.normalise_images(obs["images"])
        actions, _, _ = self.network(self.normalise_qpos(obs["qpos"]), images)
        return self.denormalise_actions(actions.float())


POLICIES: dict[str, type[Policy]] = {"ACT": ACTPolicy}


class ChunkedExecution:
    """Open loop: asks for a chunk of actions, executes all of it, asks again."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.reset()

    def reset(self) -> None:
        """Forget the last episode."""
        self._queue: list[np.ndarray] = []

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,); looks at the observation, and so has images rendered, only once a chunk."""
        if not self._queue:
            self._queue = list(self._policy.act(self._policy.observe([observation]))[0].cpu().numpy())
        return self._queue.pop(0)


class TemporalEnsemble:
    """Asks for a chunk at every step; averages all predictions for the present one (Zhao et al. 2023, IV-A).

    The oldest prediction weighs most: weight exp(-decay * i), i counting from the oldest (ACT:
    imitate_episodes.py).
    """

    def __init__(self, policy: Policy, decay: float = 0.01) -> None:
        self._policy, self._decay = policy, decay
        self.reset()

    def reset(self) -> None:
        """Forget the last episode."""
        self._chunks: list[np.ndarray] = []  # what is left of each, oldest first

    @torch.inference_mode()
    def __call__(self, observation: Observation) -> np.ndarray:
        """The next action (A,)."""
        self._chunks.append(self._policy.act(self._policy.observe([observation]))[0].cpu().numpy())
        candidates = np.stack([chunk[0] for chunk in self._chunks])  # (n, A)
        self._chunks = [chunk[1:] for chunk in self._chunks if len(chunk) > 1]
        weights = np.exp(-self._decay * np.arange(len(candidates)))
        return weights @ candidates / weights.sum()


def make_policy(policy_class: str, config: Any, interface: Interface, stats: Stats) -> Policy:
    """Build a policy to be trained; `config` is its class's `Config`."""
    return POLICIES[choose("policy class", policy_class, POLICIES)](config, interface, stats)


def save_policy(path: str | Path, policy: Policy, **extra: Any) -> None:
    """Write a checkpoint of plain values and tensors, completely or not at all; `extra` is stored beside."""
    name = next(name for name, kind in POLICIES.items() if type(policy) is kind)
    content = {
        "format_version": FORMAT_VERSION,
        "policy_class": name,
        "config": dataclasses.asdict(policy.rebuild_config()),
        "interface": dataclasses.asdict(policy.interface),
        "weights": policy.state_dict(),
        **extra,
    }
    with complete_file(path) as part:
        torch.save(content, part)


def read_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Content of a checkpoint; FileNotFoundError, or ValueError if it is no torch file of plain values."""
    path = Path(path)
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.ckpt"))
        raise FileNotFoundError(f"no checkpoint {path}; in that folder: {', '.join(there) or 'none'}")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a whole checkpoint: {str(error).splitlines()[0]}") from error


def load_policy(
    path: str | Path, device: str | torch.device = "cpu", cameras: Sequence[str] | None = None
) -> Policy:
    """Load a policy, ready to act. Files of ACT and ACT++ load too, with the dataset_stats.pkl beside them.

    Args:
        path: the checkpoint.
        device: where its weights go.
        cameras: names for those of an ACT or ACT++ file, which names none itself; ours know theirs.
    """
    content = read_checkpoint(path, device)
    if "policy_class" not in content:
        config, interface, stats, weights = read_upstream(content, Path(path), cameras)
        policy = ACTPolicy(ACTConfig(**config), Interface(**interface), stats)
        policy.network.load_state_dict(weights)
        return policy.to(device).eval()
    if content["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format {content['format_version']}, newer than {FORMAT_VERSION}: update this code"
        )
    kind = POLICIES[choose("policy class", content["policy_class"], POLICIES)]
    interface = Interface(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in content["interface"].items()}
    )
    stats = Stats(**{field.name: content["weights"][field.name] for field in dataclasses.fields(Stats)})
    policy = kind(kind.Config(**content["config"]), interface, stats)
    policy.load_state_dict(content["weights"])
    return policy.to(device).eval()
