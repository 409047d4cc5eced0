"""What stands beside the step: reading episodes, random changes of images, saving."""

from __future__ import annotations

import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_step import STATE_DIM

from _gpu.building import FROZEN, Make, Preset, batch_of, full_size
from _gpu.session import Session
from _gpu.timing import counted_waits, milliseconds, seconds_of
from common import Background
from constants import IMAGE_SIZE
from episodes import Episode, JpegFrames, Shares, StartSampler, episode_path, list_episodes
from policies import AUGMENTATIONS, Augmentation
from training import Run, TrainConfig
from utils import Demonstrations, Loader

EPISODES = 3


def feed(session: Session) -> None:
    """A step alone and beside the loader's threads, which share Python's lock with it."""
    preset = Preset.read("small", session.tiny)
    rows = {
        "presets/small": (preset.build, preset.training["batch_size"]),
        "ACT": (partial(full_size, session.tiny, **FROZEN), 2 if session.tiny else 8),
    }
    with tempfile.TemporaryDirectory() as folder:
        make_episodes(Path(folder), 20 if session.tiny else 60)
        for what, (make, samples) in rows.items():
            session.measure(f"{what}, batch {samples}", fed, session, Path(folder), make, samples)


def make_episodes(folder: Path, steps: int) -> None:
    """A square that moves over a textured ground."""
    rng, (height, width) = np.random.default_rng(0), IMAGE_SIZE
    ground = rng.integers(60, 120, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    frames = JpegFrames()
    for step in range(steps):
        shown = ground.copy()
        shown[20:36, 2 * step : 2 * step + 16] = (255, 40, 40)
        frames.append(shown)
    for number in range(EPISODES):
        values = rng.normal(size=(steps, STATE_DIM)).astype(np.float32)
        episode = Episode(qpos=values, action=values, images={"camera0": frames})
        episode.save(episode_path(folder, number))


def fed(session: Session, folder: Path, make: Make, samples: int) -> dict[str, Any]:
    """Milliseconds of a step alone, with its loader, and of the loader alone."""
    policy = make().to(session.device).train()
    run = Run(policy, TrainConfig(batch_size=samples, compile=False), 100_000)
    face, seconds = policy.interface, 0 if session.tiny else 1.0
    data = Demonstrations(list_episodes(folder), face.cameras, face.image_size, "decoded")
    sampler = StartSampler(data.lengths, [0, 0])
    fixed = data.batch(sampler.draw(0, samples), policy.chunk_size, pin=session.is_cuda)
    alone = milliseconds(lambda: run.update([fixed]), session.device, seconds)
    loader = Loader(data, sampler, Shares(samples), policy.chunk_size, pin=session.is_cuda)
    with closing(loader.batches(range(10**9))) as source:
        for _ in range(1 if session.tiny else 12):  # until all frames are decoded
            run.update([next(source)])
        with_loader = milliseconds(lambda: run.update([next(source)]), session.device, seconds)
        only = milliseconds(lambda: next(source), session.device, seconds)
    return {"ms": with_loader, "alone_ms": alone, "loader_alone_ms": only}


def extras(session: Session) -> None:
    """Random changes of images on the device, and checkpoints of ACT at its published size."""
    for samples in (2,) if session.tiny else (8, 64):
        for names in (AUGMENTATIONS, *((name,) for name in AUGMENTATIONS)):
            session.measure(f"--augment {' '.join(names)}, batch {samples}", changed, session, names, samples)
    session.measure("saving", saved, session)


def changed(session: Session, names: tuple[str, ...], samples: int) -> dict[str, Any]:
    """A change of one camera's images."""
    device, image = session.device, (96, 128) if session.tiny else IMAGE_SIZE
    images = torch.randint(256, (samples, 1, *image, 3), dtype=torch.uint8).to(device)
    change = Augmentation(names, torch.zeros(STATE_DIM, device=device), torch.ones(STATE_DIM, device=device))
    change.images(images)
    with counted_waits(device) as waits:
        change.images(images)
    ms = milliseconds(lambda: change.images(images), device, 0 if session.tiny else 0.2, warm=0)
    return {"ms": ms, "waits": sum(waits.values())}


def saved(session: Session) -> dict[str, Any]:
    """Seconds and MB of a checkpoint to resume from, and of one to use; seconds that the step after waits."""
    policy = full_size(session.tiny, **FROZEN).to(session.device).train()
    run = Run(policy, TrainConfig(batch_size=2, compile=False), 10)
    run.update([batch_of(policy, 2)])
    values: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("last", "best"):
            values[f"{kind}_s"] = seconds_of(lambda kind=kind: run.save(Path(folder), kind), session.device)
            values[f"{kind}_MB"] = (Path(folder) / f"policy_{kind}.ckpt").stat().st_size / 1e6
        with Background() as background:
            values["waits_s"] = seconds_of(lambda: run.save(Path(folder), "last", background), session.device)
    return values
