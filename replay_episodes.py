"""Replay recorded episodes in their simulated task, from their recorded starts.

    python3 replay_episodes.py --dataset_dir data/sim_transfer_cube_scripted --episode_idx 0
    python3 replay_episodes.py --dataset_path data/mine/episode_3.hdf5 --video replay.mp4

sends the recorded actions again. It compares the rewards with the recorded ones, and says how far the joints
are from the recorded ones. Without `--episode_idx` it replays the whole folder. (ACT++'s replay_episodes.py
replays on the real arm.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common import check_file, cli, tile, write_video
from constants import Stream, get_task
from episodes import Episode, EpisodeError, find_episodes
from evaluation import follow, run_episode
from tasks import Task


@dataclass(frozen=True)
class ReplayConfig:
    """Flags of this script."""

    dataset_dir: Path | None = cli.flag(None, "folder of the episodes")
    episode_idx: int | None = cli.flag(None, "number of the episode; all of them if not given", least=0)
    ismirror: bool = cli.flag(False, "take mirror_episode_<number>.hdf5")
    dataset_path: Path | None = cli.flag(None, "one episode file, instead of a folder")
    task_name: str | None = cli.flag(None, "task to replay in; the one that the file names if not given")
    seed: int | None = cli.flag(
        None, "draw the start of episodes whose file has none", least=0, most=cli.MOST_SEED
    )
    onscreen_render: bool = cli.flag(False, "show the first camera in a window")
    video: Path | None = cli.flag(None, "write what the task's cameras see of one episode (MP4)")


def parse_flags(argv: Sequence[str] | None = None) -> ReplayConfig:
    """This script's flags."""
    config = cli.parse(ReplayConfig, __doc__, argv)
    if (config.dataset_dir is None) == (config.dataset_path is None):
        raise ValueError("give one of --dataset_dir and --dataset_path")
    return config


EXACT = 1e-5  # rad; less is the file's rounding
ON_ARM = "on the arm it is replayed by mycobot_scripts/replay_episode.py"


@dataclass(frozen=True)
class Replay:
    """The outcome of replaying one episode."""

    name: str
    reward: int  # the highest
    recorded_reward: int | None  # None where the file has none
    max_reward: int
    joint_error: np.ndarray  # (T, J) rad, replayed minus recorded, of the joints `joints`
    joints: tuple[str, ...]

    def text(self) -> str:
        """One line."""
        recorded = "not recorded" if self.recorded_reward is None else f"recorded {self.recorded_reward}"
        step, worst = np.unravel_index(np.abs(self.joint_error).argmax(), self.joint_error.shape)
        where = f" ({self.joints[worst]}, step {step})" if np.abs(self.joint_error).max() > EXACT else ""
        reward = f"highest reward {self.reward} of {self.max_reward} ({recorded})"
        return f"{self.name}: {reward}; {error_text(self.joint_error)}{where}"


def error_text(errors: np.ndarray) -> str:
    """Root mean square and maximum of joint errors (rad)."""
    if np.abs(errors).max() <= EXACT:
        return "joints as recorded"
    return f"joint error rms {np.sqrt(np.mean(errors**2)):.5f} rad, max {np.abs(errors).max():.5f} rad"


def task_of(path: Path, episode: Episode, task_name: str | None) -> Task:
    """The simulated task of an episode, as long as the episode; EpisodeError if they do not fit."""
    if not (task_name or episode.task):
        raise EpisodeError(f"{path}: the file names no task; add --task_name")
    try:
        task = get_task(task_name or episode.task)
    except ValueError as error:
        hint = "" if task_name else " (--task_name replaces the name in the file)"
        hint += f"; {ON_ARM}" if episode.robot else ""
        raise EpisodeError(f"{path}: {error}{hint}") from None
    if task.scene is None:
        raise EpisodeError(
            f"{path}: task {task.name!r} belongs to a real arm; --task_name a simulated one; {ON_ARM}"
        )
    for name in ("qpos", "action"):
        width = getattr(episode, name).shape[1]
        if width != task.dim:
            raise EpisodeError(f"{path}: {name} has {width} entries a step; {task.name} has {task.dim}")
    if episode.fps != task.fps:
        raise EpisodeError(
            f"{path} has {episode.fps} steps a second, {task.name} has {task.fps}; edit_episodes.py resample "
            "helps"
        )
    return replace(task, episode_len=len(episode))


def check(path: Path, args: ReplayConfig) -> Task:
    """The task to replay an episode in; EpisodeError if it cannot be replayed."""
    episode = Episode.load(path, cameras=())
    task = task_of(path, episode, args.task_name)
    if episode.env_state is None and args.seed is None and task.props:
        raise EpisodeError(
            f"{path}: no /env_state, so it is unknown where the props started (ACT's files do not say); "
            "--seed 0 draws a start, from which the actions may well miss"
        )
    return task


def replay(
    path: Path, env, task: Task, rng: np.random.Generator | None, cameras: tuple[str, ...] = (), view=None
) -> tuple[Replay, Episode]:
    """Replay one file in `env`, a `sim_env.SimEnv` of `task`; `rng` draws the start where the file has none.

    Returns the outcome, and the replayed episode with the images of `cameras`.
    """
    recorded = Episode.load(path, cameras=())
    state = recorded.qpos[0] if recorded.recovers else None
    step = env.reset(rng, recorded.env_state, state=state)
    episode = run_episode(env, task, step, follow(recorded.action), cameras, view)
    joints = [i for i, entry in enumerate(task.entries) if not entry.is_gripper]
    outcome = Replay(
        name=path.stem,
        reward=int(episode.reward.max()),
        recorded_reward=None if recorded.reward is None else int(recorded.reward.max()),
        max_reward=task.max_reward,
        joint_error=(episode.qpos - recorded.qpos)[:, joints],
        joints=tuple(task.entries[i].name for i in joints),
    )
    return outcome, episode


def summary(done: Sequence[Replay], seconds: float) -> str:
    """One line about all replays."""
    n = len(done)
    comparable = [one for one in done if one.recorded_reward is not None]
    same = sum(one.reward == one.recorded_reward for one in comparable)
    successes = sum(one.reward == one.max_reward for one in done)
    errors = np.concatenate([one.joint_error.ravel() for one in done])
    return (
        f"{n} episodes in {seconds:.0f} s: success {successes}/{n}; highest reward as recorded in "
        f"{same}/{len(comparable)}; {error_text(errors)}"
    )


def replay_all(paths: Sequence[Path], tasks: Sequence[Task], args: ReplayConfig) -> None:
    """Replay each file in its task, print a line for each and one for all, and write the video."""
    from sim_env import make_sim_env  # opens OpenGL

    view = None
    if args.onscreen_render:
        from common import LiveView

        view = LiveView()
    began, done, envs = time.perf_counter(), [], {}
    try:
        for i, path in enumerate(tqdm(paths, desc="replaying", unit="episode", disable=len(paths) == 1)):
            task = tasks[i]
            if task.name not in envs:
                envs[task.name] = make_sim_env(task)
            rng = None if args.seed is None else np.random.default_rng([args.seed, Stream.RECORD, i])
            cameras = task.cameras if args.video or view else ()
            outcome, episode = replay(path, envs[task.name], task, rng, cameras, view)
            done.append(outcome)
            tqdm.write(outcome.text())
    finally:
        for env in envs.values():
            env.close()
    if len(done) > 1:
        print(summary(done, time.perf_counter() - began))
    if args.video:
        args.video.parent.mkdir(parents=True, exist_ok=True)
        frames = (tile([images[t] for images in episode.images.values()]) for t in range(len(episode)))
        write_video(args.video, frames, episode.fps)
        print(f"video {args.video}")


def main() -> None:
    args = parse_flags()
    if args.dataset_path:
        paths = [args.dataset_path]
    else:
        paths = find_episodes(args.dataset_dir, args.episode_idx, args.ismirror)
    if args.video:
        check_file(args.video, "video", ".mp4")
    if args.video and len(paths) > 1:
        raise ValueError(f"--video takes one episode, not {len(paths)}; add --episode_idx")
    with tqdm(paths, desc="checking", disable=len(paths) == 1) as progress:  # closed before an error
        tasks = [check(path, args) for path in progress]
    replay_all(paths, tasks, args)


if __name__ == "__main__":
    cli.run(main)
