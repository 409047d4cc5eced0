"""Evaluate a policy in simulation: many rollouts, side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from actors import Actor, is_onnx
from common import Workers, captioned, joint_plot, spread, tile, write_video
from constants import Stream
from disturbances import KnockedLoose, changes_look, disturbed_simulation, read_set, room_look
from episodes import Episode, JpegFrames
from evaluation.episode_loop import Step, Steps, by_policy, rollout, rollout_steps, watched
from evaluation.execution import Execution, waiting_execution
from evaluation.flags import EvalConfig
from evaluation.opening import open_actor
from evaluation.results import Outcome, Summary, content_version, write_summary
from evaluation.settings import Settings
from policy import load_policy
from tasks import LEVELS, LookPlan, Task

FILM_FPS = 25  # frames a second of a video, at most about so many
GPU_WORKERS = 4  # that share a GPU: each takes half a gigabyte there, and seconds to begin
SMALL = 10e6  # parameters of a policy that thinks on a CPU as fast as a rollout needs


@dataclass(frozen=True)
class EvalJob:
    """All that a process needs to run any rollout of an evaluation."""

    checkpoint: Path
    task: Task
    flags: EvalConfig = EvalConfig()
    output_dir: Path | None = None  # folder for the result and the videos; nothing is written if not given
    render_quality: str | None = None  # as in training if not given
    stream: Stream = Stream.EVALUATE  # where the starts come from
    cameras: tuple[str, ...] | None = None  # for `load_policy`
    version: str = ""  # of the checkpoint (`content_version`); `evaluate` sets it if it is not given

    def settings(self, indices: Sequence[int], actor: Actor | None = None) -> Settings:
        """How the rollouts of these indices are made, with what only the actor tells, if it is given."""
        return Settings.of(
            self.flags,
            () if actor is None else (actor,),
            checkpoints=(self.checkpoint.name,),
            version="" if actor is None else self.version or content_version([self.checkpoint]),
            first=min(indices, default=0),
            count=len(indices),
            render_quality=self.quality(actor),
            randomize=self.flags.randomize is not None,
            drift=self.flags.randomize == "drift",
        )

    def load(self, device: str = "auto") -> Actor:
        """What acts; ValueError if the checkpoint is not of the `version` any more."""
        actor = open_actor(self.checkpoint, device, self.flags.amp, self.cameras)
        if self.version and self.version != content_version([self.checkpoint]):
            raise ValueError(
                f"{self.checkpoint} was written anew meanwhile, as by a training that goes on; give the same "
                "command again, or wait until the training is over"
            )
        return actor

    def check(self, actor: Actor) -> None:
        """ValueError if it cannot act in the task as flagged, or would be done before its prop is taken.

        What actions have beyond the arms', a base's speeds, is not executed.
        """
        takes, gives = actor.interface.state_dim, actor.interface.action_dim
        if takes != self.task.dim or gives < self.task.dim:
            raise ValueError(
                f"{self.checkpoint} takes states of {takes} numbers and gives actions of {gives}; "
                f"{self.task.name} has {self.task.dim}: give the --task_name that it was trained for"
            )
        steps = rollout_steps(self.task, actor)
        if self.flags.knock_loose is not None and self.flags.knock_loose >= steps:
            raise ValueError(f"--knock_loose is {self.flags.knock_loose}; a rollout has {steps} steps")
        self.execute(actor)

    def execute(self, actor: Actor) -> Execution:
        """How its chunks are executed; ValueError if they are too short for that."""
        return waiting_execution(actor, self.flags, self.task.fps)

    def quality(self, actor: Actor | None) -> str:
        """How the simulation is rendered: as it was for training, if not given."""
        return self.render_quality or (actor and actor.interface.render_quality) or "fast"


class Film:
    """Keeps an episode's steps, and of some of them the images: a video needs no more than `FILM_FPS`.

    Attributes:
        images: by camera.
        fps: frames a second.
    """

    def __init__(self, steps: Steps, cameras: Sequence[str], fps: float) -> None:
        self.images = {name: JpegFrames() for name in cameras}
        self._steps, self._every = steps, max(1, round(fps / FILM_FPS))
        self.fps = fps / self._every

    @property
    def cameras(self) -> tuple[str, ...]:
        """Those whose images the next step is asked for."""
        return () if len(self._steps) % self._every else tuple(self.images)

    def append(self, step: Step) -> None:
        for name, image in step.images.items():
            self.images[name].append(image)
        self._steps.append(step)

    def write(self, path: str | Path) -> None:
        """Write the video, all cameras side by side."""
        moments = zip(*self.images.values(), strict=True)
        names = tuple(self.images)
        frames = (tile([captioned(*each) for each in zip(moment, names, strict=True)]) for moment in moments)
        write_video(path, frames, self.fps)


@dataclass(frozen=True)
class _Player:
    """Policy and environment of this process, and how long a rollout may take."""

    execute: Execution
    env: Any
    task: Task


_players: dict[EvalJob, _Player] = {}


def _player(job: EvalJob) -> _Player:
    is_scene_disturbed = changes_look(read_set(job.flags.disturb))
    # rollouts under other disturbances share one, but for those that need a scene whose looks vary
    shared = replace(job.flags, disturb=("looks",) if is_scene_disturbed else None)
    job = replace(job, flags=shared)
    if job not in _players:
        close_players()  # a worker outlives an evaluation
        from sim_env import make_sim_env  # opens OpenGL: only in the processes that render

        actor = job.load(job.flags.device)
        execute = job.execute(actor)
        # until the prop is gone, and until the policy looks again
        lost = job.flags.knock_loose + execute.query_every if job.flags.knock_loose else 0
        task = replace(job.task, episode_len=rollout_steps(job.task, actor, lost))
        randomize = is_scene_disturbed or job.flags.randomize is not None or job.flags.room is not None
        env = make_sim_env(task, job.quality(actor), randomize=randomize)
        _players[job] = _Player(execute, env, task)
    return _players[job]


def close_players() -> None:
    """Free the environments of this process."""
    for player in _players.values():
        player.env.close()
    _players.clear()


def run_one(job: EvalJob, index: int, view: Any = None, is_filmed: bool = False) -> Outcome:
    """Rollout `index` of an evaluation; its start depends on the seed and the index alone.

    A task's cases take turns, so that each has its exact share of the rollouts.
    """
    player, flags, seed = _player(job), job.flags, job.flags.seed
    task, env = player.task, player.env
    player.execute.reset([seed, Stream.ACT, index])
    rng = np.random.default_rng([seed, job.stream, index])
    look = _look(flags, task, index)
    if look is not None:
        env.set_looks(look)
    cases = task.cases
    case = task.case_number(index) if cases else None
    environment = env
    if flags.knock_loose is not None:
        environment = KnockedLoose(env, flags.knock_loose, np.random.default_rng([seed, Stream.KNOCK, index]))
    steps = Steps()
    film = Film(steps, task.cameras if is_filmed else (), task.fps)
    act = by_policy(player.execute, task.dim)
    if view is not None:
        act = watched(act, view, task.cameras[0], task, steps)
    applied = read_set(flags.disturb)
    room = look if flags.room is not None else None
    with disturbed_simulation(env, environment, task, applied, (seed, index), room) as environment:
        start = environment.reset(rng, case=case)
        rollout(environment, start, act, task.episode_len, film)
    success = steps.highest_reward == task.max_reward if task.stages else None
    episode = steps.episode(task, success=success)
    if is_filmed:
        film.write(job.output_dir / f"rollout_{index}.mp4")
        _plot(episode, task, job.output_dir / f"rollout_{index}_qpos.png", index)
    starts = player.execute.chunk_starts
    changes, bends = (action_changes(episode.action, starts, task, order) for order in (1, 2))
    return Outcome(
        index,
        highest_reward=int(episode.reward.max()),
        total_reward=float(episode.reward.sum()),
        strict_success=getattr(env, "strict_success", None),
        case=cases[case].label if cases else None,
        choice=getattr(env, "choice", None),
        filmed=is_filmed,
        unstable_at=len(episode.reward) if len(episode.reward) < task.episode_len else None,
        border_change=changes[0],
        change=changes[1],
        border_bend=bends[0],
        bend=bends[1],
        steps=len(episode.reward),
    )


def _look(flags: EvalConfig, task: Task, index: int) -> LookPlan | None:
    """How the scene looks in rollout `index`, but for disturbances; None: as usual."""
    if flags.room is not None:
        return room_look(flags.room)
    if not flags.randomize:
        return None
    drift_fps = task.fps if flags.randomize == "drift" else 0.0
    return LookPlan((flags.seed, Stream.EVALUATE_LOOKS, index), LEVELS[flags.looks], drift_fps=drift_fps)


def _plot(episode: Episode, task: Task, path: Path, index: int) -> None:
    """Write a rollout's joints as a plot."""
    title = f"rollout {index}: {'success' if episode.success else 'failure'}"
    joint_plot(path, episode.qpos, episode.action, task.entries, task.fps, title)


def action_changes(
    actions: np.ndarray, chunk_starts: Sequence[int], task: Task, order: int = 1
) -> tuple[float | None, float | None]:
    """How far (rad) the joint that moves most goes from one action (T, D) to the next, on average: where one
    chunk follows another, and elsewhere. None where there is no such step.

    With `order` 2 how far that itself changes from one step to the next: an acceleration, in rad a step each
    step. The two accelerations that a jump at a border is part of are the border's.
    """
    joints = [not entry.is_gripper for entry in task.entries]
    changes = np.abs(np.diff(actions[:, joints], n=order, axis=0)).max(axis=1, initial=0.0)
    ends = np.arange(order, len(actions))  # step of the last action in each
    is_border = np.isin(ends, np.add.outer(list(chunk_starts), range(order)))
    parts = changes[is_border], changes[~is_border]
    return tuple(float(part.mean()) if len(part) else None for part in parts)


def evaluate(
    job: EvalJob,
    indices: Sequence[int],
    workers: Workers | None = None,
    view: Any = None,
    settings: Settings | None = None,
) -> Summary:
    """Run the rollouts of these indices, several at a time.

    Writes to the job's `output_dir`, if it has one, `result_<checkpoint>.json` and `.txt`, and as many videos
    as its flags say: of the first rollouts, and of as many that failed. `settings` are kept with the result
    (`EvalJob.settings`, without the policy's if not given).
    """
    job, workers = prepared(job, workers, view)
    folder = job.output_dir
    try:
        outcomes = _run_all("evaluating", job, indices, job.flags.videos if folder else 0, workers, view)
        summary = Summary.of(job.task, job.checkpoint.name, settings or job.settings(indices), outcomes)
        if folder is None:
            return summary
        write_summary(summary, folder)
        summary = replace(summary, outcomes=tuple(_film_failures(job, outcomes, workers)))
        write_summary(summary, folder)
    finally:
        close_players()
    return summary


def prepared(job: EvalJob, workers: Workers | None, view: Any) -> tuple[EvalJob, Workers]:
    """The job as processes need it, which may run in other folders, and how many work: one if there is a
    `view`.
    """
    job, workers = placed(job, Workers(num_workers=1) if view is not None else workers or Workers())
    folder = job.output_dir and job.output_dir.resolve()
    version = job.version or content_version([job.checkpoint])
    return replace(job, checkpoint=job.checkpoint.resolve(), output_dir=folder, version=version), workers


def placed(job: EvalJob, workers: Workers) -> tuple[EvalJob, Workers]:
    """The same with `--device auto` decided for all workers, where there is a GPU: a small policy thinks on
    the CPU; of others, few share the GPU, unless --num_workers is given.
    """
    if job.flags.device != "auto" or not torch.cuda.is_available():
        return job, workers
    is_small = is_onnx(job.checkpoint) or (
        sum(parameter.numel() for parameter in load_policy(job.checkpoint, "cpu", job.cameras).parameters())
        < SMALL
    )
    if not is_small and workers.num_workers is None and workers.cluster_address is None:
        workers = Workers(min(GPU_WORKERS, os.cpu_count() or 1), workers.backend)
    return replace(job, flags=replace(job.flags, device="cpu" if is_small else "cuda")), workers


def _run_all(
    title: str, job: EvalJob, indices: Sequence[int], num_videos: int, workers: Workers, view: Any = None
) -> list[Outcome]:
    """The rollouts of these indices, in their order; the first ones filmed."""
    calls = [(job, index, view, i < num_videos) for i, index in enumerate(indices)]
    progress = tqdm(total=len(calls), desc=title, unit="rollout")
    outcomes: list[Outcome] = []
    with progress, spread(run_one, calls, workers, progress) as results:
        for outcome in results:
            outcomes.append(outcome)
            successes = sum(o.highest_reward == job.task.max_reward for o in outcomes)
            progress.set_postfix_str(f"success {successes}/{len(outcomes)}")
    return sorted(outcomes, key=lambda o: o.index)


def _film_failures(job: EvalJob, outcomes: list[Outcome], workers: Workers) -> list[Outcome]:
    """Repeat failures that were not filmed, until as many failures are filmed as the flags say."""
    failed = [o for o in outcomes if o.highest_reward < job.task.max_reward]
    missing = [o.index for o in failed if not o.filmed]
    missing = missing[: max(0, job.flags.videos - (len(failed) - len(missing)))]
    if not missing:
        return outcomes
    repeated = {o.index: o for o in _run_all("filming failures", job, missing, len(missing), workers)}
    return [
        # the first outcome counts; on a GPU, whose sums vary with their order, the repeat may differ
        replace(o, filmed=repeated[o.index].highest_reward == o.highest_reward) if o.index in repeated else o
        for o in outcomes
    ]
