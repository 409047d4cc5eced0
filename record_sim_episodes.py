"""Record scripted demonstrations of a simulated task, one HDF5 file per episode.

Episode i depends on the seed and on i alone, not on the number of workers or on where an earlier run stopped.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from tqdm import tqdm

import cli
from constants import Stream, Task, choose, data_dir, get_task
from episodes import Episode, JpegFrames, episode_path

MAX_ATTEMPTS = 10  # per episode, before the script is taken to be broken


@dataclass(frozen=True)
class Config:
    """Flags of this script."""

    task_name: str = cli.flag(None, "simulated task, e.g. sim_transfer_cube_scripted")
    dataset_dir: str | None = cli.flag(
        None, "folder for the episodes; $ACT_DATA_DIR/<task> or data/<task> if not given"
    )
    num_episodes: int = cli.flag(50, "episodes to have in the end; those that are there already count")
    onscreen_render: bool = cli.flag(False, "show the first camera in a window while recording (one worker)")
    camera_names: tuple[str, ...] | None = cli.flag(None, "cameras to record; the task's own if not given")
    num_workers: int | None = cli.flag(None, "processes that record side by side; one per core if not given")
    seed: int = cli.flag(0, "seed of the starts")
    render_quality: str = cli.flag(
        "fast", "full adds shadows and smooth edges, at a sixth of the speed", ("fast", "full")
    )
    keep_failures: bool = cli.flag(False, "keep every first attempt, also where the script fails")
    overwrite: bool = cli.flag(False, "record anew what is there already")


@dataclass(frozen=True)
class Recorded:
    """What recording one episode took."""

    attempts: int
    successes: int


_envs: dict = {}  # one per process; building one takes as long as recording 50 steps


def _environment(task: Task, render_quality: str):
    from ee_sim_env import make_ee_sim_env  # opens OpenGL: only in the processes that render

    key = (task.name, render_quality)
    if key not in _envs:
        _envs[key] = make_ee_sim_env(task, render_quality)
    return _envs[key]


def run_script(env, task: Task, rng: np.random.Generator, cameras: tuple[str, ...], view=None) -> Episode:
    """Drive the task's script once from a start drawn from `rng`; returns the episode, successful or not."""
    from scripted_policy import ScriptedPolicy

    step = env.reset(rng)
    script = ScriptedPolicy(task, env.start_xyz(), env.env.env_state)
    images = {name: JpegFrames() for name in cameras}
    qpos, qvel, actions, rewards = [], [], [], []
    for t in range(task.episode_len):
        observation = step.observation
        action = env.joint_action(script(t)).astype(np.float32)  # driven as saved, so that a replay is exact
        for name, frames in images.items():
            frames.append(observation["images"][name])
        if view is not None:
            view.show(observation["images"][cameras[0]])
        qpos.append(observation["qpos"])
        qvel.append(observation["qvel"])
        actions.append(action)
        step = env.env.step(action)
        rewards.append(step.reward)
    return Episode(
        qpos=np.array(qpos, np.float32),
        qvel=np.array(qvel, np.float32),
        action=np.array(actions, np.float32),
        images=images,
        reward=np.array(rewards, np.float32),
        env_state=env.env.env_state,
        task=task.name,
        fps=task.fps,
        success=max(rewards) == task.max_reward,
    )


def record_episode(config: Config, task: Task, index: int, view=None) -> Recorded:
    """Record and save episode `index`; tries new starts until the script succeeds, at most MAX_ATTEMPTS."""
    env = _environment(task, config.render_quality)
    rng = np.random.default_rng([config.seed, Stream.RECORD, index])
    for attempt in range(1, MAX_ATTEMPTS + 1):
        episode = run_script(env, task, rng, config.camera_names, view)
        if episode.success or config.keep_failures:
            episode.seed, episode.render_quality = config.seed, config.render_quality
            episode.save(episode_path(config.dataset_dir, index), overwrite=config.overwrite)
            return Recorded(attempt, int(episode.success))
    raise RuntimeError(
        f"the script of {task.name} failed {MAX_ATTEMPTS} times running at episode {index} (last reward "
        f"{int(episode.reward.max())} of {task.max_reward}); record with --keep_failures and look at it"
    )


def missing_episodes(config: Config, task: Task) -> list[int]:
    """Indices still to record; ValueError if an episode that is there was recorded with other settings."""
    if config.overwrite:
        return list(range(config.num_episodes))
    wanted = (task.name, config.seed, config.render_quality, sorted(config.camera_names), True)
    missing = []
    for index in range(config.num_episodes):
        path = episode_path(config.dataset_dir, index)
        if not path.exists():
            missing.append(index)
            continue
        there = Episode.load(path)
        success = there.success or config.keep_failures
        found = (there.task, there.seed, there.render_quality, sorted(there.images), success)
        if found != wanted:
            raise ValueError(
                f"{path} has (task, seed, render quality, cameras, success) = {found}, not {wanted}; "
                "give another --dataset_dir, or --overwrite to record it anew"
            )
    return missing


def complete(config: Config) -> tuple[Config, Task]:
    """Check the flags before anything is written, and fill in what depends on the task or on the machine."""
    task = get_task(config.task_name)
    if not task.script:
        raise ValueError(f"task {task.name!r} has no script to record from")
    if config.num_episodes < 1:
        raise ValueError(f"--num_episodes is {config.num_episodes}; it must be at least 1")
    if config.num_workers is not None and config.num_workers < 1:
        raise ValueError(f"--num_workers is {config.num_workers}; it must be at least 1")
    values = {
        **vars(config),
        "dataset_dir": str(Path(config.dataset_dir or data_dir(task.name)).resolve()),
        "camera_names": config.camera_names or task.cameras,
        "num_workers": 1 if config.onscreen_render else config.num_workers or joblib.cpu_count(),
    }
    return Config(**values), task


def check_cameras(config: Config, task: Task) -> None:
    """ValueError for a camera that the scene lacks."""
    from sim_env import build_model

    model = build_model(task)
    for name in config.camera_names:
        choose("camera", name, [model.camera(i).name for i in range(model.ncam)])


def record(config: Config, task: Task) -> None:
    """Record what is missing and say what came out."""
    folder = Path(config.dataset_dir)
    missing = missing_episodes(config, task)
    there = config.num_episodes - len(missing)
    if there:
        print(f"{there} of {config.num_episodes} episodes are in {folder} already")
    if not missing:
        return
    view = None
    if config.onscreen_render:
        from plots import LiveView

        view = LiveView()
    folder.mkdir(parents=True, exist_ok=True)
    workers = min(config.num_workers, len(missing))
    # Software rendering starts a thread per core in each process: without this they fight over the cores.
    os.environ.setdefault("LP_NUM_THREADS", str(max(1, joblib.cpu_count() // workers)))
    jobs = (joblib.delayed(record_episode)(config, task, index, view) for index in missing)
    parallel = joblib.Parallel(
        n_jobs=workers, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
    )
    began = time.perf_counter()
    try:
        progress = tqdm(parallel(jobs), total=len(missing), desc=f"recording {task.name}", unit="episode")
        done: list[Recorded] = list(progress)
    except KeyboardInterrupt:
        print(f"\nstopped; the episodes in {folder} are whole. The same command goes on where it stopped.")
        raise
    attempts, successes = sum(one.attempts for one in done), sum(one.successes for one in done)
    megabytes = sum(episode_path(folder, index).stat().st_size for index in missing) / 1e6
    print(
        f"scripted success {successes}/{attempts} ({successes / attempts:.0%}); {len(missing)} episodes, "
        f"{megabytes:.0f} MB, {time.perf_counter() - began:.0f} s, in {folder}"
    )
    print(f"look at one: python3 visualize_episodes.py --dataset_dir {folder} --episode_idx 0")


def main() -> None:
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, Config)
    args = parser.parse_args()
    if args.task_name is None:
        parser.error("--task_name is required, e.g. --task_name sim_transfer_cube_scripted")
    config, task = complete(cli.from_flags(Config, args))
    check_cameras(config, task)
    try:
        record(config, task)
    finally:
        for env in _envs.values():
            env.close()
        _envs.clear()


if __name__ == "__main__":
    cli.run(main)
