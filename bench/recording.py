"""Recording one transfer episode, camera `top`, 480x640: ours against ACT's way.

ACT drives the arms in end-effector space and renders every step, then replays the joints and renders every
step again, with shadows and multisampling, and saves raw images. Its end-effector scenes do not work with
this MuJoCo; here both of its passes run in this project's environment, which costs the same to render. Set-up
is not counted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from _harness import (
    TASK,
    Contender,
    Job,
    alternate,
    machine,
    make_parser,
    medians,
    parse,
    ready,
    report,
    serve,
    use_one_core,
)

from constants import IMAGE_SIZE, Stream, get_task
from tasks import Task

CAMERA = "top"
CORES = os.cpu_count() or 1
ACTS_WAY = "ACT's way: two passes, full quality, raw"
# name: workers, render quality
OURS = {
    "ours, but full quality, all cores": (CORES, "full"),
    "ours, one core": (1, "fast"),
    "ours, all cores": (CORES, "fast"),
}


@contextmanager
def acts_way(task: Task, episodes: int) -> Iterator[Job]:
    """An end-effector pass, a joint pass, both rendered, raw HDF5 (ACT: record_sim_episodes.py)."""
    from ee_sim_env import make_ee_sim_env
    from scripted_policy import ScriptedPolicy

    env = make_ee_sim_env(task, "full")

    def record_one(path: Path, index: int) -> None:
        step = env.reset(np.random.default_rng([0, Stream.RECORD, index]))
        env_state = env.env_state
        script = ScriptedPolicy(task, env.start_xyz(), env_state)
        first_pass, actions = [step.observation["images"][CAMERA]], []
        for t in range(task.episode_len):
            actions.append(env.joint_action(script(t)))
            step = env.env.step(actions[-1])
            first_pass.append(step.observation["images"][CAMERA])
        del first_pass
        step = env.env.reset(env_state=env_state)
        replayed = [(step.observation, step.observation["images"][CAMERA])]
        for action in actions:
            step = env.env.step(action)
            replayed.append((step.observation, step.observation["images"][CAMERA]))
        _save_raw(path, replayed[:-1], actions)

    def record(folder: Path) -> dict[str, float]:
        paths = [folder / f"episode_{index}.hdf5" for index in range(episodes)]
        for index, path in enumerate(paths):
            record_one(path, index)
        return {"episodes": episodes, "bytes": sum(path.stat().st_size for path in paths)}

    try:
        yield record
    finally:
        env.close()


def _save_raw(path: Path, steps: list[tuple[dict, np.ndarray]], actions: list[np.ndarray]) -> None:
    """Write the file as ACT does (record_sim_episodes.py), chunk and cache sizes included."""
    with h5py.File(path, "w", rdcc_nbytes=2 * 1024**2) as root:
        root.attrs["sim"] = True
        shape = (len(steps), *IMAGE_SIZE, 3)
        frames = root.create_dataset(
            f"/observations/images/{CAMERA}", shape, np.uint8, chunks=(1, *shape[1:])
        )
        frames[...] = [image for _, image in steps]
        for name in ("qpos", "qvel"):
            root[f"/observations/{name}"] = np.array(
                [observation[name] for observation, _ in steps], np.float32
            )
        root["/action"] = np.array(actions, np.float32)


@contextmanager
def ours(
    task: Task,
    workers: int,
    render_quality: str,
    episodes: int,
    cameras: tuple[str, ...] = (CAMERA,),
    flags: Mapping[str, str] | None = None,
) -> Iterator[Job]:
    """So many episodes a worker, through record_sim_episodes.record, with further flags of it."""
    import record_sim_episodes
    from evaluation import close_environments

    def record(folder: Path, task: Task = task, episodes: int = episodes * workers) -> dict[str, float]:
        config = record_sim_episodes.RecordConfig(
            task_name=task.name,
            dataset_dir=str(folder),
            num_episodes=episodes,
            camera_names=cameras,
            num_workers=workers,
            render_quality=render_quality,
            keep_failures=task.episode_len < 400,  # cut short, the script cannot succeed
            **(flags or {}),
        )
        record_sim_episodes.record(config, task)
        return {"episodes": episodes, "bytes": sum(path.stat().st_size for path in folder.glob("*.hdf5"))}

    try:
        with tempfile.TemporaryDirectory(prefix="bench_") as folder:  # starts the processes, opens OpenGL
            record(Path(folder), replace(task, episode_len=2), 2 * workers)
        yield record
    finally:
        close_environments()


def contend(name: str, task: Task, episodes: int) -> None:
    """Be the contender `name`."""
    if name == ACTS_WAY:
        serve(acts_way(task, episodes))
        return
    workers, render_quality = OURS[name]
    if workers == 1:
        use_one_core()
    serve(ours(task, workers, render_quality, episodes))


def compare(args: argparse.Namespace, task: Task) -> None:
    """Measure all contenders and print the table."""
    facts = machine()
    # Unset, ACT's way renders with as many threads as there are cores.
    contenders = {ACTS_WAY: Contender(ACTS_WAY)}
    contenders |= {name: Contender(name, {"LP_NUM_THREADS": "0"}) for name in OURS}
    with ready(contenders) as runs:
        results = alternate(runs, args.repeats)
    rows, slowest = [], None
    for name, measured in results.items():
        one = medians(measured)
        seconds = one["seconds"] / one["episodes"]
        slowest = slowest or seconds
        megabytes = one["bytes"] / one["episodes"] / 1e6
        speed = task.episode_len / seconds
        rows.append((name, f"{seconds:.2f}", f"{speed:.1f}", f"{megabytes:.1f}", f"{slowest / seconds:.1f}x"))
    title = f"Recording one episode of {task.name}: {task.episode_len} steps, camera {CAMERA}, 480x640"
    header = ("way", "s/episode", "recorded frames/s", "MB/episode", "faster")
    report(title, facts, header, rows)


def main() -> None:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--episodes", type=int, default=1, help="a round; of ours, for each worker")
    args = parse(parser)
    task = get_task(TASK)
    if args.quick:
        args.episodes, task = 1, replace(task, episode_len=20)
    if args.contender:
        contend(args.contender, task, args.episodes)
    else:
        compare(args, task)


if __name__ == "__main__":
    main()
