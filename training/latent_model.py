"""Training of the prior over the codes of a finished ACT policy with `use_vq`, and where it goes."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from tqdm import tqdm, trange

from common import Losses, autocast, keep_freed_memory, loss_plot, pick_device
from detr import LatentPrior, draw_codes
from policies import Policy, run_checkpoint
from policy import change_policy, load_policy
from training.feeding import load_data
from training.flags import LatentModelConfig
from training.optimisation import uncompiled
from training.setup import read_run
from utils import Demonstrations

VALIDATIONS = 20  # of a run


def load_episodes(config: LatentModelConfig, policy: Policy) -> tuple[Demonstrations, Demonstrations]:
    """The episodes that the policy was trained and validated on, or those of other folders."""
    run = read_run(config.ckpt_dir)
    silent = () if config.dataset_dir else run.places_only or ()
    run = dataclasses.replace(run, cache="none", dataset_dir=config.dataset_dir or run.dataset_dir)
    data = load_data(run, run.task_name, policy.interface.cameras, run.seed, silent)
    return data.train, data.validation


@torch.inference_mode()
def encode(policy: Policy, data: Demonstrations, batch_size: int) -> Tensor:
    """Probabilities (N, vq_class, vq_dim) of the codes of all chunks, one for each step whose actions
    teach.
    """
    network, parts = policy.network, []
    samples = [(index, step) for index, end in enumerate(data.ends) for step in range(end)]
    for first in trange(0, len(samples), batch_size, desc="codes of all chunks", leave=False):
        chosen = samples[first : first + batch_size]
        actions, is_pad = data.chunks(chosen, policy.chunk_size)
        qpos = torch.stack([torch.from_numpy(data.qpos[index][step]) for index, step in chosen])
        info = network.encode(
            policy.normalise_qpos(qpos.to(policy.device)),
            policy.normalise_actions(actions.to(policy.device)),
            is_pad.to(policy.device),
        )
        parts.append(network.latent.probabilities(info))
    return torch.cat(parts).clone()


def fit_prior(
    prior: LatentPrior, train: Tensor, validation: Tensor, config: LatentModelConfig
) -> list[Losses]:
    """Train on codes drawn from probabilities (N, vq_class, vq_dim), and keep what validates best.

    Returns:
        losses (nats per code) at each validation.
    """
    generator = torch.Generator(train.device).manual_seed(config.seed)

    def draw(probs: Tensor) -> Tensor:
        return draw_codes(probs, torch.rand(probs.shape[:2], generator=generator, device=probs.device))

    torch.manual_seed(config.seed)  # dropout
    optimiser = uncompiled(torch.optim.AdamW)(prior.parameters(), lr=config.lr, fused=True)
    held_out, every = draw(validation), max(1, config.num_steps // VALIDATIONS)
    history, losses, best = [], [], {}
    for step in (progress := trange(1, config.num_steps + 1, desc="training the prior", unit="step")):
        rows = torch.randint(len(train), (config.batch_size,), generator=generator, device=train.device)
        with autocast("auto", train.device):
            loss = prior.train().loss(draw(train[rows]))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
        if step % every and step < config.num_steps:
            continue
        with torch.no_grad():
            value = prior.eval().loss(held_out).item()
        history.append(Losses(step, {"loss": torch.stack(losses).mean().item()}, {"loss": value}))
        losses = []
        progress.set_postfix_str(f"validation {value:.3f} nats per code")
        if value == min(row.validation["loss"] for row in history):
            best = {name: tensor.clone() for name, tensor in prior.state_dict().items()}
    prior.load_state_dict(best)
    return history


def frequencies_loss(train: Tensor, validation: Tensor) -> float:
    """Nats per code of what knows only how often each value occurs: what the prior must beat."""
    logs = train.mean(dim=0).clamp(min=1e-6).log()
    return -(validation * logs).sum(dim=-1).mean().item()


def train_latent_model(config: LatentModelConfig) -> None:
    """Train the prior and put it into the checkpoint."""
    keep_freed_memory()
    checkpoint = run_checkpoint(config.ckpt_dir, config.ckpt_name)
    device = pick_device(config.device)
    policy = load_policy(checkpoint, device)
    if not getattr(policy.config, "use_vq", False):
        raise ValueError(f"{checkpoint} has no codes; train an ACT policy with --use_vq")
    episodes = load_episodes(config, policy)
    train_probs, val_probs = (encode(policy, data, config.batch_size) for data in episodes)
    prior = LatentPrior(policy.config.vq_class, policy.config.vq_dim).to(device)
    history = fit_prior(prior, train_probs, val_probs, config)
    picture = checkpoint.with_name("latent_prior.png")
    loss_plot(picture, history)

    def give_prior(kept: Policy) -> None:
        kept.prior.load_state_dict(prior.state_dict())
        kept.trust_prior(True)

    change_policy(checkpoint, give_prior, device)
    best, without = min(row.validation["loss"] for row in history), frequencies_loss(train_probs, val_probs)
    tqdm.write(f"validation {best:.3f} nats per code; by the frequencies of the values alone {without:.3f}")
    tqdm.write(f"{checkpoint} has the prior now, and evaluation uses it; losses: {picture}")
