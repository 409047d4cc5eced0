"""What a training run begins with: its flags, as they are kept in its folder, and a policy for its data."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path

import numpy as np

from actors import Interface
from common import cli, complete_file
from episodes import ViewConfig, frame_size
from policies import Policy, PolicyConfig
from policy import make_policy
from tasks import Task
from training.feeding import Data
from training.flags import RunConfig

FLAGS = "config.json"
TOP = 99.9  # percentile of the demonstrations' speeds that counts as the highest


def write_config(ckpt_dir: Path, *configs: object) -> None:
    """Write all flags of the run, for the reader and for --config."""
    flags = {name: value for config in configs for name, value in cli.flags_of(config).items()}
    with complete_file(ckpt_dir / FLAGS) as part:
        part.write_text(json.dumps(flags, indent=2) + "\n", encoding="utf-8")


def read_run(ckpt_dir: str | Path) -> RunConfig:
    """The flags that a run's folder holds; FileNotFoundError, or ValueError with the file if a flag in it has
    a bad value.
    """
    path = Path(ckpt_dir) / FLAGS
    if not path.is_file():
        raise FileNotFoundError(f"{ckpt_dir} holds no run: it has no {FLAGS}")
    return cli.read_config(RunConfig, path, ckpt_dir=str(ckpt_dir))


def unheeded(
    ckpt_dir: Path, given: Collection[str], config: RunConfig, policy_config: PolicyConfig
) -> list[str]:
    """A line for each flag, of those `given` for an evaluation, that differs from the training's: the policy
    acts as it was trained.
    """
    if not (ckpt_dir / FLAGS).is_file():
        return []
    trained = cli.read_flags(str(ckpt_dir / FLAGS))
    asked = json.loads(json.dumps(cli.flags_of(config) | cli.flags_of(policy_config)))
    names = ["policy_class", "image_size", *(field.name for field in fields(ViewConfig))]
    if trained.get("policy_class") == config.policy_class:
        names += cli.flags_of(policy_config)
    return [
        f"note: --{name} is {asked[name]}; the policy stays as it was trained, "
        f"{'without' if trained[name] is None else f'with {trained[name]}'}"
        for name in names
        if name in given and name in trained and asked[name] != trained[name]
    ]


def top_rate(data: Data, order: int) -> tuple[float, ...]:
    """How fast each action changes at most in the demonstrations whose actions teach, a second: the 99.9th
    percentile over all steps, so that a jump of a sensor does not count. With `order` 2, how fast that
    changes.
    """
    train = data.train
    rates = [
        np.abs(np.diff(actions[:end].astype(float), n=order, axis=0)) * episode.fps**order
        for actions, end, episode in zip(train.actions, train.ends, train.episodes, strict=True)
    ]
    rows = np.concatenate(rates)
    return tuple(np.percentile(rows, TOP, axis=0).tolist()) if len(rows) else ()


def build_policy(config: RunConfig, policy_config: PolicyConfig, data: Data, task: Task) -> Policy:
    """A policy to be trained on `data`."""
    episodes, cameras = data.train.episodes, tuple(config.camera_names or task.cameras)
    interface = Interface(
        state_dim=data.train.qpos[0].shape[1],
        action_dim=data.train.actions[0].shape[1],
        cameras=cameras,
        image_size=tuple(config.image_size),
        task=task.name,
        render_quality=episodes[0].render_quality,
        views=data.views,
        augmentations=config.augmentations(policy_config.augmentations),
        fps=float(episodes[0].fps),
        episode_len=int(max(data.train.lengths)),
        recovers=any(episode.recovers for episode in episodes),
        velocity=top_rate(data, 1),
        acceleration=top_rate(data, 2),
        frame_sizes={camera: tuple(frame_size(episodes[0].images[camera])) for camera in cameras},
    )
    return make_policy(config.policy_class, policy_config, interface, data.stats)
