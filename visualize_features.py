"""Show what a trained policy looks at in an episode, and why it does one thing rather than another.

    python3 visualize_features.py --ckpt runs/demo/policy_last.ckpt --dataset_dir DIR --episode_idx 0
    python3 visualize_features.py --ckpt runs/demo/policy_last.ckpt --dataset_dir DIR --compare_episode 1

The first writes, for the first step of the episode (or those of `--step`), pictures of what the network sees
and what its actions depend on, the maps of its stages, its attention, its chunk of actions, and a video of
the episode. `--compare_episode 1` (or `--compare_step 60`) compares a second moment with the first: their
difference, both chunks, and which patches of one picture turn one chunk into the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from common import DeviceConfig, cli, write_video
from episodes import Episode, action_entries, find_episode, list_episodes, whole_action
from viewers import (
    attention_plot,
    chunks_plot,
    comparison_plot,
    look_plot,
    maps_plot,
    percent,
    video_frame,
    write_features_page,
)

if TYPE_CHECKING:  # they import torch
    from viewers import Comparison, Inspector

VIDEO_FRAMES = 120  # approximate, without --every
VIDEO_COPIES = 2  # noisy copies over which a video frame's gradients are averaged


@dataclass(frozen=True)
class FeaturesConfig(DeviceConfig):
    """Flags of this script."""

    ckpt: str = cli.flag(None, "checkpoint of the policy, e.g. runs/demo/policy_best.ckpt", required=True)
    dataset_dir: str = cli.flag(None, "folder of the episodes", required=True)
    episode_idx: int = cli.flag(0, "number of the episode", least=0)
    camera_names: tuple[str, ...] | None = cli.flag(
        None, "cameras of a checkpoint of ACT, which names none, in the order of its training", distinct=True
    )
    step: tuple[int, ...] = cli.flag((0,), "steps of the episode that pictures are made of", least=0)
    compare_episode: int | None = cli.flag(
        None, "episode to compare with; the same one if not given", least=0
    )
    compare_step: int | None = cli.flag(
        None, "step to compare the first of --step with; the same if not given", least=0
    )
    chunk_steps: tuple[int, ...] | None = cli.flag(
        None, "actions of the chunk whose attention is shown; five, evenly spread, if not given", least=0
    )
    stages: tuple[str, ...] | None = cli.flag(
        None,
        "modules of the backbone whose maps are shown, e.g. layer1.0.conv1 layer4; the last of each size "
        "if not given",
        distinct=True,
    )
    patches: int = cli.flag(
        12, "rows of patches that are hidden, or exchanged, one after the other; 0: none", least=0, most=1000
    )
    every: int | None = cli.flag(
        None,
        f"the video shows every so many steps; if not given, about {VIDEO_FRAMES} frames in all",
        least=1,
    )
    no_video: bool = cli.flag(False, "leave the video out")
    output_dir: str | None = cli.flag(None, "where to write; features/ beside the checkpoint if not given")


@dataclass(frozen=True)
class Moment:
    """One step of an episode."""

    episode: Episode
    number: int
    step: int

    @property
    def name(self) -> str:
        return f"episode {self.number}, step {self.step}"

    @property
    def stem(self) -> str:
        return f"episode_{self.number}_step_{self.step}"

    def demonstrated(self, chunk_size: int) -> np.ndarray:
        """(n, A): the actions from here on, at most a chunk."""
        return whole_action(self.episode)[self.step : self.step + chunk_size]


def parse_flags(argv: Sequence[str] | None = None) -> FeaturesConfig:
    return cli.parse(FeaturesConfig, __doc__, argv)


def load_episode(dataset_dir: str, number: int, cameras: tuple[str, ...]) -> Episode:
    """An episode with the policy's cameras; FileNotFoundError lists the existing ones."""
    return Episode.load(find_episode(list_episodes(dataset_dir), number), cameras)


def moments(config: FeaturesConfig, cameras: tuple[str, ...]) -> tuple[list[Moment], Moment | None]:
    """The moments to show, and the one to compare the first with."""
    episode, number = load_episode(config.dataset_dir, config.episode_idx, cameras), config.episode_idx
    shown = [Moment(episode, number, step) for step in config.step]
    other = None
    if config.compare_episode is not None or config.compare_step is not None:
        if config.compare_episode not in (None, number):
            number = config.compare_episode
            episode = load_episode(config.dataset_dir, number, cameras)
        step = config.step[0] if config.compare_step is None else config.compare_step
        other = Moment(episode, number, step)
    for moment in [*shown, *([other] if other else [])]:
        if not 0 <= moment.step < len(moment.episode):
            raise ValueError(
                f"step {moment.step} is not in episode {moment.number}, which has steps 0 to "
                f"{len(moment.episode) - 1}"
            )
    return shown, other


def check_fit(inspector: Inspector, episode: Episode) -> None:
    """ValueError unless the policy was made for episodes of this width."""
    wanted, width = inspector.policy.interface.state_dim, episode.qpos.shape[1]
    if wanted != width:
        raise ValueError(
            f"the policy's states have {wanted} entries, the episode's {width}: it was trained on another "
            f"robot (task {inspector.policy.interface.task or 'not known'}); give that robot's episodes with "
            "--dataset_dir"
        )


def chunk_steps(config: FeaturesConfig, chunk_size: int) -> list[int]:
    """Actions of the chunk whose attention to show; ValueError if the chunk lacks one."""
    if config.chunk_steps is None:
        return list(dict.fromkeys(np.linspace(0, chunk_size - 1, 5).round().astype(int).tolist()))
    for step in config.chunk_steps:
        if not 0 <= step < chunk_size:
            raise ValueError(
                f"--chunk_steps has {step}; the policy's chunks have actions 0 to {chunk_size - 1}"
            )
    return list(config.chunk_steps)


def show(
    moment: Moment, inspector: Inspector, config: FeaturesConfig, steps: list[int], folder: Path
) -> list[Path]:
    """Write the pictures of one moment."""
    obs = inspector.observe(moment.episode, moment.step)
    look, saliency = inspector.look(obs), inspector.saliency(obs)
    occlusion = inspector.occlusion(obs, config.patches) if config.patches else {}
    stem = folder / moment.stem
    written = [Path(f"{stem}_look.png")]
    look_plot(written[0], look, saliency, occlusion, moment.name)
    for camera, seen in look.cameras.items():
        written.append(Path(f"{stem}_maps_{camera}.png"))
        maps_plot(written[-1], seen, f"{moment.name}, {camera}: maps of the backbone")
    if look.shares:
        written.append(Path(f"{stem}_attention.png"))
        title = f"{moment.name}: attention of the decoder, for actions of the chunk"
        attention_plot(written[-1], look, steps, title)
    written.append(Path(f"{stem}_actions.png"))
    _plot_chunks(written[-1], {"chunk": (moment, look.chunk)}, moment.name)
    return written


def _plot_chunks(path: Path, chunks: dict[str, tuple[Moment, np.ndarray]], title: str) -> None:
    first, chunk = next(iter(chunks.values()))
    chunks_plot(
        path,
        {name: chunk for name, (_, chunk) in chunks.items()},
        {name: moment.demonstrated(len(chunk)) for name, (moment, chunk) in chunks.items()},
        action_entries(first.episode),
        first.episode.fps,
        title,
    )


def compare(
    one: Moment, other: Moment, inspector: Inspector, config: FeaturesConfig, folder: Path
) -> tuple[list[Path], str]:
    """Write the pictures of two moments side by side, and describe them in words."""
    pair = (one, other)
    observed = [inspector.observe(moment.episode, moment.step) for moment in pair]
    looks = [inspector.look(obs) for obs in observed]
    comparison = inspector.compare(*observed, config.patches)
    stem = folder / f"{one.stem}_vs_{other.stem}"
    title = f"A: {one.name}; B: {other.name}"
    written = [Path(f"{stem}.png"), Path(f"{stem}_actions.png")]
    names = [moment.name for moment in pair]
    comparison_plot(written[0], names, looks, comparison, title)
    chunks = {letter: (moment, look.chunk) for letter, moment, look in zip("AB", pair, looks, strict=True)}
    _plot_chunks(written[1], chunks, title)
    return written, describe(comparison)


def describe(comparison: Comparison) -> str:
    """Which part of the observation makes the chunks differ."""
    if not comparison.forward:
        return "A and B get the same chunk of actions"
    parts = sorted(comparison.forward.items(), key=lambda part: -part[1])
    causes = ", ".join(
        f"{'state' if n == 'state' else f'image of {n}'} {percent(share)}" for n, share in parts
    )
    return (
        f"the chunks of A and B differ by {comparison.distance:.2f} standard deviations of an action; of the "
        f"way from A's to B's, B's {causes} (each put into A by itself)"
    )


def film(moment: Moment, inspector: Inspector, every: int | None, folder: Path) -> Path:
    """Write a video of the episode."""
    length = len(moment.episode)
    every = every or max(1, round(length / VIDEO_FRAMES))
    path = folder / f"episode_{moment.number}_features.mp4"
    steps = tqdm(range(0, length, every), desc="video", unit="frame")

    def frames() -> Iterator[np.ndarray]:
        for step in steps:
            obs = inspector.observe(moment.episode, step)
            saliency = inspector.saliency(obs, copies=VIDEO_COPIES)
            yield video_frame(inspector.look(obs), saliency, f"step {step}")

    write_video(path, frames(), moment.episode.fps / every)
    return path


def main() -> None:
    config = parse_flags()
    from common import pick_device  # torch, as those below
    from policy import choose_cameras, load_policy
    from viewers import Inspector

    path = list_episodes(config.dataset_dir)[0]
    cameras = tuple(sorted(Episode.load(path, config.camera_names, in_memory=False).images))
    cameras = choose_cameras(Path(config.ckpt), config.camera_names, cameras)
    policy = load_policy(config.ckpt, pick_device(config.device), cameras)
    shown, other = moments(config, policy.interface.cameras)
    inspector = Inspector(policy, config.stages or ())
    check_fit(inspector, shown[0].episode)
    steps = chunk_steps(config, policy.chunk_size)
    folder = Path(config.output_dir) if config.output_dir else Path(config.ckpt).parent / "features"
    folder.mkdir(parents=True, exist_ok=True)
    for note in inspector.notes:
        print(note)
    for moment in tqdm(shown, unit="step", disable=len(shown) == 1):
        for path in show(moment, inspector, config, steps, folder):
            tqdm.write(f"  {path}")
    if other:
        written, words = compare(shown[0], other, inspector, config, folder)
        print(words)
        print("\n".join(f"  {path}" for path in written))
    if not config.no_video:
        print(f"  {film(shown[0], inspector, config.every, folder)}")
    print(f"all on one page: {write_features_page(folder).resolve().as_uri()}")


if __name__ == "__main__":
    cli.run(main)
