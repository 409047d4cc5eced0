"""Record demonstrations of a simulated task, scripted or by hand (--teleop), one HDF5 file per episode.

Scripted episode i depends only on the seed and on i, not on the number of workers or where an earlier run
stopped.

    python3 record_sim_episodes.py --task_name sim_transfer_cube_scripted --num_episodes 50
    python3 record_sim_episodes.py --task_name sim_transfer_cube_scripted --style human
    python3 record_sim_episodes.py --task_name sim_transfer_cube_human --teleop keyboard
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common import Workers, check_folder, check_whole, cli, command_line, hold, remove_unfinished, spread
from constants import STYLES, Stream, get_task
from episodes import Episode, data_dir, episode_path, how_to_look, missing_numbers, read_header, read_start
from evaluation import (
    Demonstration,
    Recorded,
    check_looks,
    check_scene,
    close_environments,
    drive,
    environment,
    hold_looks_flag,
    looks_flag,
    quality_flag,
    randomize_flag,
    recorded_words,
    run_script,
)
from tasks import LEVELS, LookPlan, StylePlan, Task, beside, is_beside, read_starts
from teleop import DEVICES, TeleopConfig, check_device

MAX_ATTEMPTS = 10  # per episode, before the script counts as broken


@dataclass(frozen=True)
class RecordConfig(TeleopConfig, Workers):
    """Flags of this script."""

    task_name: str = cli.flag(None, "simulated task, e.g. sim_transfer_cube_scripted", required=True)
    dataset_dir: str | None = cli.flag(
        None, "folder for the episodes; $ACT_DATA_DIR/<task> or data/<task> if not given"
    )
    num_episodes: int = cli.flag(
        50, "episodes to have in the end; those that are there already count", least=1, most=100_000
    )
    onscreen_render: bool = cli.flag(False, "show the first camera in a window while recording (one worker)")
    camera_names: tuple[str, ...] | None = cli.flag(
        None, "cameras to record; the task's own if not given", distinct=True
    )
    teleop: str | None = cli.flag(
        None, "drive by hand instead of by script, with the keyboard or what is held beside it", DEVICES
    )
    seed: int = cli.flag(0, "seed of the starts", least=0, most=cli.MOST_SEED)
    render_quality: str = quality_flag()
    noise: float = cli.flag(
        0.0,
        "metres by which every waypoint is moved at most, along each axis, anew for each episode",
        least=0,
        most=1,
    )
    hesitate: int = cli.flag(
        0,
        "steps that the arms wait before they begin, at most, drawn anew for each episode, as people do",
        least=0,
        most=10_000,
    )
    style: str = cli.flag(
        "script",
        "how the script is followed: to the letter, or each time in another way, as people do (grip, ways, "
        "order of the arms, tempo, pauses, tremor, grasps that miss, late releases)",
        tuple(STYLES),
    )
    begin_midway: float = cli.flag(
        0.0,
        "chance of each episode to begin with the arms somewhere on the way of another attempt; they go back "
        "and do the task, as after a prop was lost",
        least=0,
        most=1,
    )
    at: str | None = cli.flag(
        None,
        "file of starts, as report.py --coverage writes it: episode 0 begins at its first, and so on; there "
        "are no more episodes than starts",
    )
    no_props: bool = cli.flag(False, "record the arms without any objects, so without success either")
    randomize: str | None = randomize_flag()
    looks: str = looks_flag()
    hold_looks: int = hold_looks_flag()
    episode_len: int | None = cli.flag(
        None,
        "steps of an episode by hand (--teleop), at most; enter ends it earlier; the task's if not given",
        least=1,
        most=100_000,
    )
    keep_failures: bool = cli.flag(False, "keep every first attempt, also where the script fails")
    overwrite: bool = cli.flag(False, "record anew what is there already")


def _environment(config: RecordConfig, task: Task):
    return environment(task, config.render_quality, not config.no_props, config.randomize is not None)


def _looks_hold(config: RecordConfig) -> int:
    """Steps that a look lasts; 0: the whole episode."""
    return config.hold_looks if config.randomize == "frame" else 0


def _set_looks(env, config: RecordConfig, index: int) -> None:
    """Give the scene the looks of episode `index`, the same for all its attempts."""
    if config.randomize:
        seeds = (config.seed, Stream.RECORD_LOOKS, index)
        env.set_looks(LookPlan(seeds, LEVELS[config.looks], _looks_hold(config)))


def is_recovery(config: RecordConfig, index: int) -> bool:
    """Whether episode `index` begins in the middle of another attempt."""
    return bool(np.random.default_rng([config.seed, Stream.RECOVER, index]).random() < config.begin_midway)


def settings(config: RecordConfig, task: Task, index: int) -> dict[str, Any]:
    """How episode `index` is recorded, by names of `episodes.FACTS`."""
    return {
        "task": task.name,
        "seed": config.seed,
        "render_quality": config.render_quality,
        "randomized": config.randomize is not None,
        "looks": config.looks,
        "looks_hold": _looks_hold(config),
        "noise": config.noise,
        "hesitate": config.hesitate,
        "style": config.style,
        "recovers": is_recovery(config, index),
    }


def save(episode: Episode, config: RecordConfig, task: Task, index: int) -> None:
    """Save episode `index` with its settings; keep another run's if these agree."""
    path = episode_path(config.dataset_dir, index)
    if path.exists() and not config.overwrite:
        check_recorded(config, task, index)
        return
    replace(episode, **settings(config, task, index)).save(path, overwrite=config.overwrite)


def given_start(
    config: RecordConfig, task: Task, index: int, attempt: int, rng: np.random.Generator
) -> np.ndarray | None:
    """Where --at puts the props (P * 7,) of an attempt, the later ones a little beside; None: as drawn."""
    if config.at is None:
        return None
    start = read_starts(config.at, task)[index]
    return start if attempt == 1 else beside(task, start, rng)


def record_episode(config: RecordConfig, task: Task, index: int, view=None) -> Recorded:
    """Record and save episode `index`; tries new starts until the script succeeds, at most MAX_ATTEMPTS."""
    env = _environment(config, task)
    _set_looks(env, config, index)
    rng = np.random.default_rng([config.seed, Stream.RECORD, index])
    recovers = is_recovery(config, index)
    demonstration = Demonstration(task.case_number(index), config.noise, config.hesitate, recovers)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        start = given_start(config, task, index, attempt, rng)
        take = StylePlan(STYLES[config.style], (config.seed, Stream.STYLE, index, attempt))
        how = replace(demonstration, start=start, style=take)
        episode = run_script(env, task, rng, config.camera_names, view, how)
        if episode.success is not False or config.keep_failures:
            save(episode, config, task, index)
            return Recorded(attempt, bool(episode.success), bool(env.strict_success))
    raise RuntimeError(
        f"the script of {task.name} failed {MAX_ATTEMPTS} times running at episode {index} (last reward "
        f"{int(episode.reward.max())} of {task.max_reward}); record with --keep_failures and look at it"
    )


def human_task(task: Task) -> Task:
    """The task's counterpart for demonstrations by hand, or the task itself if it has none."""
    return get_task(task.human) if task.human else task


def record_by_hand(config: RecordConfig, task: Task, missing: Sequence[int]) -> None:
    """Record the missing episodes by hand, and print the outcome."""
    from teleop import make_pilot

    env = _environment(config, task)
    pilot = make_pilot(config.teleop, env, config.camera_names, config)
    recorded, successes = config.num_episodes - len(missing), 0
    for done, index in enumerate(missing):
        rng = np.random.default_rng([config.seed, Stream.RECORD, index])
        progress = f"saved {recorded + done} of {config.num_episodes}"
        _set_looks(env, config, index)
        episode = drive(env, pilot, rng, task.case_number(index), config.camera_names, progress)
        if episode is None:
            print(f"stopped at {progress}, in {config.dataset_dir}. The same command goes on from there.")
            return
        save(episode, config, task, index)
        successes += episode.success
    print(f"{len(missing)} episodes by hand, {successes} successful, in {config.dataset_dir}")


def check_recorded(config: RecordConfig, task: Task, index: int) -> None:
    """ValueError if the recorded episode `index` has other settings."""
    path = episode_path(config.dataset_dir, index)
    facts, cameras = read_header(path)
    keeps_failures = config.keep_failures or config.teleop  # a person decides what to keep
    success = True if facts["success"] is False and keeps_failures else facts["success"]
    recorded = {**facts, "cameras": cameras, "success": success}
    wanted = {
        **settings(config, task, index),
        "cameras": sorted(config.camera_names),
        "success": None if config.no_props else True,
    }
    differences = [
        f"{name} {recorded[name]!r}, not {value!r}"
        for name, value in wanted.items()
        if recorded[name] != value
    ]
    if differences:
        raise ValueError(
            f"{path} has {'; '.join(differences)}; give another --dataset_dir, or --overwrite to record it "
            "anew"
        )
    if config.at is not None and not is_beside(read_starts(config.at, task)[index], read_start(path)[1]):
        raise ValueError(
            f"{path} does not begin at start {index + 1} of {config.at}; give another --dataset_dir, or "
            "--overwrite to record it anew"
        )


def missing_episodes(config: RecordConfig, task: Task) -> list[int]:
    """Indices still to record; ValueError if a recorded episode has other settings."""
    if config.overwrite:
        return list(range(config.num_episodes))
    missing = missing_numbers(config.dataset_dir, config.num_episodes)
    for index in sorted(set(range(config.num_episodes)) - set(missing)):
        check_recorded(config, task, index)
    return missing


def complete(config: RecordConfig) -> tuple[RecordConfig, Task]:
    """Check the flags before anything is written, and fill in what depends on the task."""
    task = get_task(config.task_name)
    if task.scene is None:
        raise ValueError(
            f"task {task.name!r} belongs to a real arm, and has no scene to simulate; record it with: "
            f"{command_line('mycobot_scripts/record_episodes.py')} --task_name {task.name}"
        )
    if config.teleop:
        task = human_task(task)
        for name in ("overwrite", "noise", "hesitate", "style", "begin_midway", "at", "no_props"):
            if getattr(config, name) != getattr(RecordConfig, name):
                raise ValueError(f"--{name} does not go with --teleop; leave one of them out")
        task = replace(task, episode_len=config.episode_len or task.episode_len)
    elif config.episode_len:
        raise ValueError("--episode_len is for episodes by hand; add --teleop, or leave it out")
    elif not task.script:
        raise ValueError(f"task {task.name!r} has no script to record from; record by hand with --teleop")
    check_looks(config.looks, config.randomize, config.hold_looks)
    config.check_workers(config.onscreen_render)
    count, at = config.num_episodes, config.at and str(Path(config.at).resolve())
    values = {
        **vars(config),
        "at": at,  # workers run in other folders
        "num_episodes": count if at is None else min(count, len(read_starts(at, task))),
        "dataset_dir": str(Path(config.dataset_dir or data_dir(task.name)).resolve()),
        "camera_names": config.camera_names or task.cameras,
        "num_workers": 1 if config.onscreen_render else config.num_workers,
    }
    check_folder(values["dataset_dir"], "dataset_dir")
    return RecordConfig(**values), task


def record(config: RecordConfig, task: Task) -> None:
    """Record the missing episodes and print the outcome."""
    folder = Path(config.dataset_dir)
    check_whole(folder)
    missing = missing_episodes(config, task)
    recorded = config.num_episodes - len(missing)
    if recorded:
        print(f"{recorded} of {config.num_episodes} episodes are in {folder} already")
    if not missing:
        return
    if config.teleop:
        record_by_hand(config, task, missing)
    else:
        record_scripted(config, task, missing)
    if episode_path(folder, 0).exists():
        print(how_to_look(folder))


def record_scripted(config: RecordConfig, task: Task, missing: Sequence[int]) -> None:
    """Record the missing episodes by script, several at a time, and print the outcome."""
    folder = Path(config.dataset_dir)
    view = None
    if config.onscreen_render:
        from common import LiveView

        view = LiveView()
    calls = [(config, task, index, view) for index in missing]
    progress = tqdm(total=len(missing), desc=f"recording {task.name}", unit="episode")
    began = time.perf_counter()
    try:
        with progress, spread(record_episode, calls, config, progress) as results:
            done: list[Recorded] = list(results)
    except KeyboardInterrupt:
        remove_unfinished(folder)
        print(f"\nstopped; the episodes in {folder} are whole. The same command goes on where it stopped.")
        raise
    megabytes = sum(episode_path(folder, index).stat().st_size for index in missing) / 1e6
    seconds = time.perf_counter() - began
    words = "recorded without props" if config.no_props else recorded_words(task, config.style, done)
    print(f"{words}; {len(missing)} episodes, {megabytes:.0f} MB, {seconds:.0f} s, in {folder}")


def parse_flags(argv: Sequence[str] | None = None) -> RecordConfig:
    """This script's flags."""
    return cli.parse(RecordConfig, __doc__, argv)


def main() -> None:
    config, task = complete(parse_flags())
    check_scene(task, config.camera_names)
    check_device(config.teleop, config)
    try:
        with hold(config.dataset_dir):
            record(config, task)
    finally:
        close_environments()


if __name__ == "__main__":
    import record_sim_episodes  # by its name: workers then import it, and keep its environments

    cli.run(record_sim_episodes.main)
