"""The flags of all policies, and what they decide before there is a policy.

They are apart from the policies because those import torch: --help would take seconds. `policies.POLICIES`
joins the two.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from common import cli
from detr import BACKBONES, UNET_GROUPS, WEIGHTS, check_backbone

SCHEDULERS = ("ddim", "ddpm")
PREDICTIONS = ("epsilon", "sample")
FLOW_PREDICTIONS = SAMPLE, VELOCITY = ("sample", "velocity")
TIME_DISTRIBUTIONS = ("uniform", "beta")
BYOL, BACKBONE, POLICY = FEATURES = ("byol", "backbone", "policy")
Config = TypeVar("Config", bound="PolicyConfig")


@dataclass(frozen=True)
class PolicyConfig:
    """What every policy's flags tell. A policy overrides an entry by a flag, a constant or a property."""

    chunk_size: ClassVar[int] = 1  # actions that it predicts at once
    observation_horizon: ClassVar[int] = 1  # observations that it looks at, up to the present one
    inpaints: ClassVar[bool] = False  # `Policy.act_given`: it draws a chunk some of which is known
    trains: ClassVar[bool] = True  # False: there is nothing to train, only to finish
    needs_finish: ClassVar[bool] = False  # does not act before `Policy.finish`
    is_rebuilt: ClassVar[bool] = True  # it describes its networks fully: none comes from another file
    augmentations: ClassVar[tuple[str, ...]] = ()  # of the images in training, if --augment is not given
    ema: ClassVar[float | None] = None  # decay of the average of the weights, if --ema is not given
    # flags of training (TrainConfig) that it learns well with: defaults of the command line
    training_defaults: ClassVar[Mapping[str, Any]] = {}
    # flags that count actions of a chunk: if not given, they are cut to its length
    within_chunk: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """ValueError for the first value that does not fit."""
        cli.check(self)

    @property
    def execution_horizon(self) -> int:
        """Actions of a chunk that are executed before the next is asked for, unless a flag says otherwise."""
        return self.chunk_size

    @classmethod
    def chunk_flag(cls) -> str | None:
        """Name of the flag for the length of a chunk; None if it always is a single action."""
        flags = cli.flags_of_type(cls)
        return next((flag.name for flag in flags if "chunk_size" in (flag.name, flag.rule.alias)), None)

    def with_chunk(self: Config, steps: int) -> Config:
        """The same with chunks of `steps` actions."""
        return dataclasses.replace(self, **{self.chunk_flag(): steps})

    def check_sources(self) -> None:
        """FileNotFoundError if a file that training starts from is missing."""


@dataclass(frozen=True)
class VisionConfig(PolicyConfig):
    """Flags of the image backbones."""

    backbone: str = cli.flag("resnet18", f"one of {', '.join(BACKBONES)}")
    backbone_weights: str = cli.flag("auto", "imagenet, none, a file, or auto: imagenet where it exists")
    share_backbone: bool = cli.flag(False, "one backbone for all cameras, as the original ACT; saves memory")
    norm: str | None = None  # of the backbone, as built; set when a policy is rebuilt
    pretrained: bool = False

    @property
    def is_rebuilt(self) -> bool:
        """Whether it describes the backbones fully: they are then built bare, and their weights loaded."""
        return self.norm is not None

    def rebuilt(self: Config, backbone: Any) -> Config:
        """The config from which backbones like this one are built without reading any file."""
        return dataclasses.replace(self, norm=backbone.norm, pretrained=backbone.pretrained)

    def check_sources(self) -> None:
        """ValueError for an unknown backbone, FileNotFoundError for a missing file of weights."""
        check_backbone(self.backbone)
        check_weights_source(self.backbone_weights)


def check_weights_source(weights: str) -> None:
    """FileNotFoundError unless it is one of `WEIGHTS` or a file."""
    if weights not in WEIGHTS and not Path(weights).is_file():
        raise FileNotFoundError(f"backbone weights {weights!r}: no such file; or give {', '.join(WEIGHTS)}")


@dataclass(frozen=True)
class ACTConfig(VisionConfig):
    """Flags of ACT. Defaults as in the paper (Zhao et al. 2023, table III), except for dec_layers."""

    chunk_size: int = cli.flag(100, "actions predicted at once", least=1, most=10_000)
    kl_weight: float = cli.flag(10.0, "weight of the CVAE's divergence", least=0)
    hidden_dim: int = cli.flag(512, "width of the transformer", least=4, most=16_384)
    dim_feedforward: int = cli.flag(3200, "width of its feed-forward layers", least=1, most=65_536)
    nheads: int = cli.flag(8, "attention heads", least=1, most=1024)
    enc_layers: int = cli.flag(4, "encoder layers", least=1, most=100)
    dec_layers: int = cli.flag(1, "decoder layers (ACT computes seven and uses the first)", least=1, most=100)
    dropout: float = cli.flag(0.1, "dropout", least=0, below=1)
    no_encoder: bool = cli.flag(False, "leave the CVAE out: plain regression")
    use_vq: bool = cli.flag(
        False, "codes instead of the Gaussian latent; train_latent_model.py then adds a prior"
    )
    vq_class: int = cli.flag(32, "number of codes", least=1, most=4096)
    vq_dim: int = cli.flag(32, "values that each code can have", least=2, most=4096)

    def __post_init__(self) -> None:
        """ValueError for the first value that does not fit."""
        super().__post_init__()
        if self.hidden_dim % math.lcm(4, self.nheads):
            raise ValueError(
                f"--hidden_dim is {self.hidden_dim}; it must be a multiple of 4 and of {self.nheads} heads"
            )
        if self.no_encoder and self.use_vq:
            raise ValueError(
                "--use_vq gives the CVAE codes, and --no_encoder leaves it out; give one of them"
            )


@dataclass(frozen=True)
class DrawingConfig(VisionConfig):
    """Flags of the policies that make a chunk of actions of noise, with Diffusion Policy's network."""

    observation_horizon: int = cli.flag(
        1, "observations that it looks at, up to the present one", least=1, most=1000
    )
    action_horizon: int = cli.flag(50, "actions of a prediction that are executed", least=1, most=10_000)
    prediction_horizon: int = cli.flag(
        100, "actions predicted at once, from the present one on", least=1, most=10_000, alias="chunk_size"
    )
    down_dims: tuple[int, ...] = cli.flag(
        (64, 128, 256), "channels of the U-Net's levels", least=1, most=65_536
    )
    backbone: str = cli.flag("robomimic_resnet18", f"one of {', '.join(BACKBONES)}")

    inpaints: ClassVar[bool] = True
    ema: ClassVar[float | None] = 0.999
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 1e-3,
        "lr_schedule": "cosine",
        "warmup_steps": 100,
        "grad_clip": 1.0,
    }
    within_chunk: ClassVar[tuple[str, ...]] = ("action_horizon",)

    @property
    def chunk_size(self) -> int:
        return self.prediction_horizon

    @property
    def execution_horizon(self) -> int:
        return self.action_horizon

    def __post_init__(self) -> None:
        """ValueError for the first value that does not fit."""
        super().__post_init__()
        if any(width % UNET_GROUPS for width in self.down_dims):
            raise ValueError(
                f"--down_dims is {' '.join(map(str, self.down_dims))}; each must be a multiple of "
                f"{UNET_GROUPS}"
            )
        self._check_order("action_horizon", "prediction_horizon")

    def _check_order(self, name: str, limit: str) -> None:
        value, most = getattr(self, name), getattr(self, limit)
        if value > most:
            raise ValueError(f"--{name} is {value}; it must not be more than --{limit}, which is {most}")


@dataclass(frozen=True)
class DiffusionConfig(DrawingConfig):
    """Flags of Diffusion Policy.

    With --backbone keypoints --augment none and else the defaults, it learned the transfer of a cube in 1000
    steps of 32 samples. The original code has --observation_horizon 2 --action_horizon 8
    --prediction_horizon 16 --down_dims 256 512 1024 --prediction_type epsilon --lr 1e-4.
    """

    num_train_timesteps: int = cli.flag(
        100, "diffusion steps from actions to noise, in training", least=1, most=100_000
    )
    num_inference_timesteps: int = cli.flag(
        10, "steps from noise back to actions, when it acts", least=1, most=100_000
    )
    scheduler: str = cli.flag(
        "ddim",
        "how noise becomes actions: ddim, which needs few steps; or ddpm, which is made for all of them",
        SCHEDULERS,
    )
    prediction_type: str = cli.flag(
        "sample",
        "what the network predicts: sample, the actions, which is learned sooner; or epsilon, the noise, as "
        "in the original",
        PREDICTIONS,
    )

    def __post_init__(self) -> None:
        """ValueError for the first value that does not fit."""
        super().__post_init__()
        self._check_order("num_inference_timesteps", "num_train_timesteps")


@dataclass(frozen=True)
class FlowConfig(DrawingConfig):
    """Flags of flow matching."""

    num_inference_steps: int = cli.flag(
        4, "Euler steps from noise to actions, when it acts; 1 to 8 are enough", least=1, most=1000
    )
    time_distribution: str = cli.flag(
        "uniform",
        "how the times between noise and actions are drawn in training: uniform; or beta, which has more "
        "noisy ones, as pi0",
        TIME_DISTRIBUTIONS,
    )
    prediction_type: str = cli.flag(
        SAMPLE,
        "what the network predicts: sample, the actions; or velocity, the way from the noise to them",
        FLOW_PREDICTIONS,
    )


@dataclass(frozen=True)
class VINNConfig(VisionConfig):
    """Flags of VINN. Its default backbone, unlike VINN's, learns from scratch within minutes."""

    backbone: str = cli.flag("keypoints", f"one of {', '.join(BACKBONES)}")
    chunk_size: int = cli.flag(100, "actions taken from each neighbour", least=1, most=10_000)
    features: str = cli.flag(
        BYOL,
        "where features come from: byol trains them without labels; backbone takes the weights as they "
        "are (--backbone_weights), policy those of a trained policy (--features_from); both train nothing",
        FEATURES,
    )
    features_from: str | None = cli.flag(
        None, "checkpoint, e.g. runs/act/policy_best.ckpt: --features policy"
    )
    cells: int = cli.flag(
        4,
        "most cells a side that a backbone's map is averaged to; 1: a single one, as VINN",
        least=1,
        most=1000,
    )
    byol_crop: float = cli.flag(
        0.9, "least share of each side that is kept in the views that BYOL compares", above=0, most=1
    )
    k: int | None = cli.flag(
        None, "neighbours that are averaged; chosen on validation episodes if not given", least=1
    )
    state_weight: float | None = cli.flag(
        None, "weight of the state's distance beside the picture's; chosen likewise if not given", least=0
    )

    needs_finish: ClassVar[bool] = True

    @property
    def trains(self) -> bool:
        return self.features == BYOL

    def __post_init__(self) -> None:
        """ValueError for the first value that does not fit."""
        super().__post_init__()
        if (self.features == POLICY) != (self.features_from is not None) and not self.is_rebuilt:
            raise ValueError(
                f"--features is {self.features}, --features_from {self.features_from}; "
                "--features policy needs --features_from CHECKPOINT, the others have no use for it"
            )


@dataclass(frozen=True)
class CNNMLPConfig(VisionConfig):
    """Flags of CNNMLP. Defaults as in ACT (detr_vae.py: build_cnnmlp)."""

    hidden_dim: int = cli.flag(1024, "width of the MLP's hidden layers", least=1, most=65_536)
    hidden_depth: int = cli.flag(2, "how many hidden layers it has", least=1, most=1000)
