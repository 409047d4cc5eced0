"""Run a policy: `rollout` is one episode in any environment, `evaluate` many in simulation, side by side."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from tqdm import tqdm

from constants import Stream, Task
from episodes import Episode, JpegFrames, complete_file
from plots import joint_plot, tile, write_video
from policy import ChunkedExecution, Observation, TemporalEnsemble, load_policy

NORMAL_95 = 1.959964  # two-sided 95 % quantile of the normal distribution


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a success rate (Wilson 1927): sound for few rollouts and for rates near 0 and 1."""
    if n == 0:
        return 0.0, 1.0
    z2, rate = NORMAL_95**2, successes / n
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    margin = NORMAL_95 / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return max(0.0, centre - margin), min(1.0, centre + margin)


@dataclass(frozen=True)
class Outcome:
    """What one rollout came to."""

    index: int
    highest_reward: int
    total_reward: float


@dataclass(frozen=True)
class Summary:
    """What an evaluation came to."""

    task: str
    checkpoint: str
    execution: str
    seed: int
    outcomes: tuple[Outcome, ...]
    stages: tuple[str, ...]

    @property
    def n(self) -> int:
        return len(self.outcomes)

    def reached(self, stage: int) -> int:
        """Rollouts whose reward was at least `stage` once."""
        return sum(outcome.highest_reward >= stage for outcome in self.outcomes)

    @property
    def successes(self) -> int:
        return self.reached(len(self.stages))

    @property
    def mean_return(self) -> float:
        return float(np.mean([outcome.total_reward for outcome in self.outcomes]))

    def text(self) -> str:
        """The report that is printed and saved."""
        low, high = wilson_interval(self.successes, self.n)
        lines = [
            f"{self.task}: {self.successes} of {self.n} rollouts succeeded: {self.successes / self.n:.1%} "
            f"(95 % interval {low:.1%} to {high:.1%})",
            f"mean return {self.mean_return:.1f}; {self.execution}; {self.checkpoint}; seed {self.seed}",
        ]
        for number, label in enumerate(self.stages, start=1):
            count = self.reached(number)
            lines.append(f"  reward >= {number} ({label}): {count}/{self.n} = {count / self.n:.0%}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        low, high = wilson_interval(self.successes, self.n)
        return {
            **asdict(self),
            "rollouts": self.n,
            "successes": self.successes,
            "success_rate": self.successes / self.n,
            "success_rate_95": [low, high],
            "stage_counts": {label: self.reached(i) for i, label in enumerate(self.stages, start=1)},
            "mean_return": self.mean_return,
        }


def rollout(
    execute: Callable[[Observation], np.ndarray],
    env: Any,
    task: Task,
    rng: np.random.Generator,
    cameras: Sequence[str] = (),
    view: Any = None,
) -> Episode:
    """Run a policy for one episode.

    Args:
        execute: gives the next action (A,) for an observation; extra entries (a mobile base's) are dropped.
        env: `reset(rng)` and `step(action)`, each returning a dm_env.TimeStep.
        task: length of the episode, and what success is.
        rng: where the start comes from.
        cameras: whose images to keep; none is fastest, as images are rendered only when somebody asks.
        view: shows the first camera as it goes (`plots.LiveView`).
    """
    step = env.reset(rng)
    kept = {name: JpegFrames() for name in cameras}
    rows: dict[str, list] = {"qpos": [], "qvel": [], "action": [], "reward": []}
    for _ in range(task.episode_len):
        observation = step.observation
        for name, frames in kept.items():
            frames.append(observation["images"][name])
        if view is not None:
            view.show(observation["images"][task.cameras[0]])
        action = execute(observation)[: task.dim]
        step = env.step(action)
        values = (observation["qpos"], observation["qvel"], action, step.reward)
        for name, value in zip(rows, values, strict=True):
            rows[name].append(value)
    arrays = {name: np.array(values, np.float32) for name, values in rows.items()}
    return Episode(
        **arrays, images=kept, task=task.name, fps=task.fps, success=arrays["reward"].max() == task.max_reward
    )


@dataclass(frozen=True)
class EvalJob:
    """All that a process needs to run any rollout of an evaluation."""

    checkpoint: Path
    task: Task
    seed: int = 0
    temporal_agg: bool = False
    num_videos: int = 0
    output_dir: Path = Path(".")
    device: str = "cpu"
    render_quality: str | None = None  # as in training if not given


_players: dict[EvalJob, tuple[Callable, Any]] = {}  # policy and environment of this process


def _player(job: EvalJob) -> tuple[Callable, Any]:
    if job not in _players:
        from sim_env import make_sim_env  # opens OpenGL: only in the processes that render

        policy = load_policy(job.checkpoint, job.device, job.task.cameras)
        execute = TemporalEnsemble(policy) if job.temporal_agg else ChunkedExecution(policy)
        quality = job.render_quality or policy.interface.render_quality or "fast"
        _players[job] = execute, make_sim_env(job.task, quality)
    return _players[job]


def run_one(job: EvalJob, index: int, view: Any = None) -> Outcome:
    """Rollout `index` of an evaluation; its start depends on the seed and the index alone."""
    execute, env = _player(job)
    execute.reset()
    rng = np.random.default_rng([job.seed, Stream.EVALUATE, index])
    is_filmed = index < job.num_videos
    episode = rollout(execute, env, job.task, rng, job.task.cameras if is_filmed else (), view)
    if is_filmed:
        stem = job.output_dir / f"rollout_{index}"
        frames = (tile([images[t] for images in episode.images.values()]) for t in range(len(episode)))
        write_video(f"{stem}.mp4", frames, job.task.fps)
        title = f"rollout {index}: {'success' if episode.success else 'failure'}"
        joint_plot(
            f"{stem}_qpos.png", episode.qpos, episode.action, job.task.state_names, job.task.fps, title
        )
    return Outcome(index, int(episode.reward.max()), float(episode.reward.sum()))


def evaluate(job: EvalJob, num_rollouts: int, num_workers: int | None = None, view: Any = None) -> Summary:
    """Run an evaluation, several rollouts at a time; writes `result_<checkpoint>.json` and `.txt`."""
    workers = 1 if view is not None else min(num_workers or joblib.cpu_count(), num_rollouts)
    threads = max(1, joblib.cpu_count() // workers)
    os.environ.setdefault("LP_NUM_THREADS", str(threads))  # of software rendering, in each process
    jobs = (joblib.delayed(_run_with_threads)(threads, job, i, view) for i in range(num_rollouts))
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    progress = tqdm(parallel(jobs), total=num_rollouts, desc="evaluating", unit="rollout")
    outcomes = []
    try:
        for outcome in progress:
            outcomes.append(outcome)
            successes = sum(o.highest_reward == job.task.max_reward for o in outcomes)
            progress.set_postfix_str(f"success {successes}/{len(outcomes)}")
    finally:
        for _, env in _players.values():
            env.close()
        _players.clear()
    summary = Summary(
        task=job.task.name,
        checkpoint=job.checkpoint.name,
        execution="temporal ensembling" if job.temporal_agg else "chunks executed whole",
        seed=job.seed,
        outcomes=tuple(sorted(outcomes, key=lambda o: o.index)),
        stages=tuple(stage.label for stage in job.task.stages),
    )
    write_summary(summary, job.output_dir)
    return summary


def _run_with_threads(threads: int, job: EvalJob, index: int, view: Any) -> Outcome:
    torch.set_num_threads(threads)
    return run_one(job, index, view)


def write_summary(summary: Summary, folder: Path) -> None:
    """Write the report as JSON and as text."""
    stem = f"result_{Path(summary.checkpoint).stem}"
    contents: Mapping[str, str] = {
        "json": json.dumps(summary.as_dict(), indent=2) + "\n",
        "txt": summary.text() + "\n",
    }
    for ending, content in contents.items():
        with complete_file(folder / f"{stem}.{ending}") as part:
            part.write_text(content, encoding="utf-8")
