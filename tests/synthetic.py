"""Made-up demonstrations and policies, small enough for tests."""

from __future__ import annotations

import sys
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import torch

from actors import Interface
from common import cli
from episodes.episode import Episode
from episodes.folders import episode_path
from episodes.frames import JpegFrames
from episodes.stats import Stats
from policies.base import Policy
from policies.registry import POLICIES
from policy import make_policy
from utils import Batch

SMALL_FLAGS = [
    *("--backbone", "keypoints", "--hidden_dim", "32", "--dim_feedforward", "64", "--enc_layers", "1"),
    *("--nheads", "4", "--chunk_size", "10", "--batch_size", "4", "--image_size", "48", "64", "--lr", "1e-3"),
]


def make_episode(
    rng: np.random.Generator,
    steps: int = 30,
    cameras: tuple[str, ...] = ("top",),
    dim: int = 14,
    env_state: np.ndarray | None = None,
):
    """An episode of a bright square that stands where the arm is to go; the state follows the command."""
    goal = rng.uniform(-1, 1, dim).astype(np.float32)
    ramp = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    images = {}
    for camera in cameras:
        images[camera] = frames = JpegFrames()
        x, y = (40 + 20 * goal[:2]).astype(int)
        picture = np.zeros((96, 128, 3), np.uint8)
        picture[y : y + 16, x : x + 16] = (255, 40, 40)
        for _ in range(steps):
            frames.append(picture)
    return Episode(
        qpos=np.vstack([np.zeros((1, dim), np.float32), (ramp * goal)[:-1]]),
        qvel=np.zeros((steps, dim), np.float32),
        action=ramp * goal,
        images=images,
        task="sim_transfer_cube_scripted",
        render_quality="fast",
        success=True,
        env_state=env_state,
    )


def train_own(monkeypatch, data: Path, run_dir: Path, steps: int) -> None:
    """Train a small ACT on episodes of a robot that no task knows, by the script, in this process."""
    import imitate_episodes  # here, as most tests do without

    places = ("--task_name", "my_own_robot", "--dataset_dir", data, "--ckpt_dir", run_dir)
    flags = ("--policy_class", "ACT", *SMALL_FLAGS, "--num_steps", steps, "--train_ratio", 0.5)
    monkeypatch.setattr(sys, "argv", ["imitate_episodes.py", *map(str, (*places, *flags))])
    imitate_episodes.main()


def make_dataset(folder: Path, n: int = 4, **kwargs) -> Path:
    """A folder of `n` episodes."""
    rng = np.random.default_rng(0)
    for i in range(n):
        make_episode(rng, **kwargs).save(episode_path(folder, i))
    return folder


def make_stats(state_dim: int = 14, action_dim: int = 14) -> Stats:
    """Statistics that are neither zero nor one."""
    generator = torch.Generator().manual_seed(0)
    dims = {"qpos": state_dim, "action": action_dim}
    names = [(f"{of}_{moment}", dim) for of, dim in dims.items() for moment in ("mean", "std")]
    return Stats.completed({name: torch.rand(dim, generator=generator) + 0.5 for name, dim in names})


DRAWING = {"down_dims": (16, 32), "observation_horizon": 1, "action_horizon": 10, "prediction_horizon": 10}
SMALL = {
    "ACT": {"hidden_dim": 32, "dim_feedforward": 64, "nheads": 4, "enc_layers": 1, "chunk_size": 10},
    "Diffusion": DRAWING,
    "Flow": DRAWING,
    "VINN": {"chunk_size": 10, "k": 3, "state_weight": 0.5},
    "CNNMLP": {"hidden_dim": 32},
}


def can_look_back(name: str) -> bool:
    """Whether a policy has a flag for how many observations it looks at."""
    return any(flag.name == "observation_horizon" for flag in cli.flags_of_type(POLICIES.config(name)))


def make_small(
    name: str, cameras: tuple[str, ...] = ("top",), dim: int = 14, frames: int = 60, **config
) -> Policy:
    """A small policy with random weights; one that acts from memory remembers as many made-up frames."""
    torch.manual_seed(0)
    config = {"backbone": "keypoints", **SMALL[name], **config}
    interface = Interface(dim, dim, cameras, (48, 64), "sim_transfer_cube_scripted", "fast")
    policy = make_policy(name, POLICIES[name].Config(**config), interface, make_stats(dim, dim))
    if policy.config.needs_finish and frames:
        _remember(policy.eval(), frames)
    return policy


@torch.no_grad()
def _remember(policy: Policy, frames: int) -> None:
    """Fill VINN's memory with made-up frames of two episodes."""
    dim, cameras = policy.interface.state_dim, len(policy.interface.cameras)
    images = torch.randint(0, 256, (frames, cameras, 48, 64, 3), dtype=torch.uint8)
    lengths = torch.tensor([frames // 3, frames - frames // 3])
    policy.memory.fill(policy.features(images), torch.randn(frames, dim), torch.randn(frames, dim), lengths)


make_act, make_diffusion, make_flow, make_vinn, make_cnnmlp = (partial(make_small, name) for name in SMALL)


def make_batch(batch_size: int = 3, cameras: int = 1, chunk: int = 10, padded: int = 4) -> Batch:
    """A batch whose first sample ends `padded` steps early."""
    generator = torch.Generator().manual_seed(1)
    is_pad = torch.zeros(batch_size, chunk, dtype=torch.bool)
    is_pad[0, chunk - padded :] = True
    shape = (batch_size, cameras, 48, 64, 3)
    return {
        "qpos": torch.rand(batch_size, 14, generator=generator),
        "images": torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        "actions": torch.rand(batch_size, chunk, 14, generator=generator),
        "is_pad": is_pad,
    }


def reference_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The rule by which the reference network's weights were set."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) > 1 and np.prod(shape[1:]):
        return (rng.standard_normal(shape) * np.sqrt(1.0 / np.prod(shape[1:]))).astype(np.float32)
    return (float(name.endswith("weight")) + 0.1 * rng.standard_normal(shape)).astype(np.float32)
