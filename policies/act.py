"""ACT."""

from __future__ import annotations

from dataclasses import fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actors import Interface
from detr import ACT, ACTSizes, CodeLatent, GaussianLatent, LatentPrior
from episodes import Stats
from policies.base import Policy
from policies.configs import ACTConfig
from policies.vision import make_backbones
from utils import Batch


class ACTPolicy(Policy):
    """Action chunking with transformers (Zhao et al. 2023, arXiv:2304.13705; ACT: policy.py).

    Differs from ACT in that the loss is averaged over the action steps that exist, in all batches of an
    optimiser step alike (`valid_steps`); ACT divides by the padding too.

    With `use_vq` it acts with codes that its prior draws, once that is trained (train_latent_model.py), and
    until then with each code's most frequent value.
    """

    Config = ACTConfig

    def __init__(self, config: ACTConfig, interface: Interface, stats: Stats) -> None:
        super().__init__(config, interface, stats)
        flags = {field.name: getattr(config, field.name, None) for field in fields(ACTSizes)}
        dims = {"state_dim": interface.state_dim, "action_dim": interface.action_dim}
        backbones = make_backbones(config, interface.cameras)
        self.network = ACT(backbones, ACTSizes(**{**flags, **dims}), self._make_latent())
        if config.use_vq:
            self.prior = LatentPrior(config.vq_class, config.vq_dim).requires_grad_(False)
            self.register_buffer("has_prior", torch.tensor(False))
            self.register_load_state_dict_post_hook(_note_prior)
        self._acts_by_prior = False  # `has_prior`, known without asking the device

    def _make_latent(self) -> GaussianLatent | CodeLatent | None:
        if self.config.no_encoder:
            return None
        return (
            CodeLatent(self.config.vq_class, self.config.vq_dim) if self.config.use_vq else GaussianLatent()
        )

    def backbones(self) -> list[nn.Module]:
        return list(self.network.backbones)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        is_pad = batch["is_pad"]
        actions = self.normalise_actions(batch["actions"])
        predicted, info = self.network(
            self.normalise_qpos(batch["qpos"]),
            self.normalise_images(batch["images"]),
            actions,
            is_pad,
            batch.get("noise"),
        )
        errors = F.l1_loss(predicted.float(), actions, reduction="none").mean(dim=-1)  # (B, chunk)
        l1 = errors.masked_fill(is_pad, 0).sum() / batch.get("valid_steps", (~is_pad).sum())
        measures = {} if info is None else self.network.latent.measures(info)
        return {"loss": l1 + self.config.kl_weight * measures.get("kl", 0), "l1": l1, **measures}

    def draw_noise(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        if self.network.latent is None:
            return {}
        return {"noise": self.network.latent.draw_noise(samples, generator, self.device)}

    def trust_prior(self, is_trained: bool) -> None:
        """Say whether its prior was trained on its codes; if so, it draws codes from it when it acts."""
        self.has_prior.fill_(is_trained)
        self._acts_by_prior = is_trained

    def after_step(self) -> None:
        if self._acts_by_prior:
            self.trust_prior(False)  # it was trained on codes that mean something else now

    def draw_to_act(self, samples: int, generator: torch.Generator | None = None) -> Batch:
        return {"uniform": self.prior.draw_noise(samples, generator)} if self._acts_by_prior else {}

    def act(self, obs: Batch, generator: torch.Generator | None = None) -> Tensor:
        return self.act_on(obs, self.draw_to_act(len(obs["qpos"]), generator))

    def act_on(self, obs: Batch, drawn: Batch) -> Tensor:
        latent = None
        if self._acts_by_prior:
            latent = self.network.latent.one_hot(self.prior.generate(drawn["uniform"]))
        images = self.normalise_images(obs["images"])
        actions, _ = self.network(self.normalise_qpos(obs["qpos"]), images, latent=latent)
        return self.denormalise_actions(actions.float())


def _note_prior(policy: ACTPolicy, _: object) -> None:
    policy._acts_by_prior = bool(policy.has_prior)
