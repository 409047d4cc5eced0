"""Record demonstrations on the arm, or on its twin, as episodes that imitate_episodes.py trains on.

    python3 mycobot_scripts/record_episodes.py --task_name mycobot320_move_cube --sequence pickandmove \
        --cameras top=1,right_wrist=0

plays the user's waypoints and records them; `--guide` has you lead the arm by hand through poses first,
`--jog keyboard` has you drive it. Any other `--task_name` is a task of your own, with the cameras that
`--cameras` names. On the twin (`--robot twin`) a simulated task's own script is recorded:

    python3 mycobot_scripts/record_episodes.py --robot twin --task_name sim_mycobot320_move_cube_scripted

With `--style human` it does so as people do, each time in another way (docs/record.md).

With `--suggest` it says before each episode where to put things, so that it helps most (docs/record.md).

After each episode: k keeps it, f keeps it as a failure, r does it again, q quits. The twin knows by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import check_folder, check_whole, cli, command_line, hold, quoted
from episodes import data_dir, how_to_look, missing_numbers
from mycobot_scripts.demos import (
    FOLDER,
    SECONDS,
    GivenStart,
    Motion,
    RecordArmConfig,
    Recorder,
    check_same_task,
    clear_empty,
    discard,
    find_task,
    is_own,
    like_the_others,
    list_journals,
    own_note,
    recover,
)
from mycobot_scripts.desk import open_person
from mycobot_scripts.robot import Setup, add_robot_flags, open_session, read_setup
from tasks import Task
from teleop import check_device


def complete(config: RecordArmConfig, setup: Setup) -> tuple[RecordArmConfig, Task]:
    """Check the flags before anything moves or is written, and fill in the folder."""
    task = find_task(config.task_name, setup)
    check_ways(config, task)
    folder = Path(config.dataset_dir or data_dir(task.name)).resolve()
    check_folder(folder, "dataset_dir")
    check_same_task(task, folder)
    motion = Motion.load(config.sequence) if config.sequence else None
    if is_own(task):
        print(own_note(task))
        fps = config.fps or (motion.fps if motion else None)
        task = like_the_others(task, folder, fps)
        length = len(motion) if motion else SECONDS * task.fps
        task = replace(task, episode_len=config.episode_len or length)
    elif config.fps not in (None, task.fps):
        raise ValueError(f"--fps is {config.fps}; {task.name} has {task.fps} steps a second")
    if motion is not None:
        if motion.fps != task.fps:
            raise ValueError(
                f"{config.sequence} has {motion.fps} frames a second; {task.name} has {task.fps}"
            )
        motion.check_steps(config.sequence, setup.limits)
    return replace(config, dataset_dir=str(folder)), task


def check_ways(config: RecordArmConfig, task: Task) -> None:
    """ValueError unless the flags name exactly one way to move the arm."""
    ways = [name for name in ("sequence", "guide", "jog") if getattr(config, name)]
    if len(ways) > 1:
        raise ValueError(f"--{ways[0]} does not go with --{ways[1]}; leave one of them out")
    for name in ("sequence", "guide"):
        if config.suggest and getattr(config, name):
            raise ValueError(
                f"--suggest does not go with --{name}, which moves the arm always alike; use --jog"
            )
    if config.style != "script" and (ways or not task.script):
        how = f"--{ways[0]}" if ways else f"{task.name}, which has none"
        raise ValueError(f"--style {config.style} is how a script is followed; it does not go with {how}")
    if not ways and not task.script:
        what = f"{own_note(task)}, and has" if is_own(task) else f"{task.name} has"
        raise ValueError(f"{what} no script; say how to move: --sequence, --guide or --jog")


def missing_episodes(config: RecordArmConfig) -> list[int]:
    """Numbers still to record; ValueError if a recording that holds steps was cut off."""
    check_whole(config.dataset_dir)
    cut_off = clear_empty(config.dataset_dir)
    if cut_off:
        raise ValueError(
            f"{cut_off[0]} was cut off; the same command with --recover makes an episode of it, "
            "with --discard forgets it"
        )
    return missing_numbers(config.dataset_dir, config.num_episodes)


def recover_all(folder: Path) -> None:
    """Make episodes of all recordings in a folder that were cut off; ValueError for those that cannot be."""
    if not folder.is_dir():
        raise FileNotFoundError(f"--dataset_dir is {folder}; there is no such folder")
    journals, problems, is_cut_off = list_journals(folder), [], False
    for journal in journals:
        try:
            result = recover(journal)
        except ValueError as error:
            problems.append(str(error))
            continue
        torn = f"; a step that was torn is lost ({result.lost_bytes} bytes)" if result.lost_bytes else ""
        if result.damaged is not None:
            torn = f"; steps behind a damaged one are not in it, {result.damaged} keeps them"
        if result.path is None:
            print(f"{journal}: cut off before its first step; nothing to keep, removed{torn}")
        elif result.is_kept:
            print(f"{result.path}: {result.steps} steps{torn}; as it was kept")
        else:
            is_cut_off = True
            print(f"{result.path}: {result.steps} steps{torn}; whether it succeeded is not known")
    if is_cut_off:
        look = quoted("visualize_episodes.py", "--dataset_dir", folder / FOLDER)
        merge = quoted(
            "edit_episodes.py", "merge", "--dataset_dir", folder, folder / FOLDER, "--output_dir", "NEW"
        )
        print(
            "what was cut off does not count as a demonstration, and is not trained on. Look at it: "
            f"{command_line(look)}\nTo put what is good among the others: {command_line(merge)}"
        )
    if problems:
        raise ValueError("; ".join(problems))
    if not journals:
        print(f"{folder}: no recording was cut off")


def discard_all(folder: Path) -> None:
    """Delete all recordings in a folder that were cut off."""
    journals = list_journals(folder)
    for journal in journals:
        discard(journal)
        print(f"{journal}: forgotten")
    if not journals:
        print(f"{folder}: no recording was cut off")


def suggested_starts(config: RecordArmConfig, task: Task, is_twin: bool) -> dict[int, GivenStart]:
    """Where things are to be put before each episode (--suggest), by its number; writes a page that shows it.

    Episodes of the run or folder come first; a folder that is recorded into counts those in it. ValueError
    if it is of another scene than the twin's.
    """
    from viewers import COVERAGE, nearest_words, place_words, read_coverage, write_next  # torch

    source, folder = Path(config.suggest), Path(config.dataset_dir)
    coverage = read_coverage(source)
    if is_twin and (coverage.task is None or coverage.task.props != task.props):
        name = coverage.task.name if coverage.task else "a task without a scene"
        raise ValueError(f"--suggest is {source}, of {name}; the twin simulates {task.name}")
    is_own = source.resolve() == folder.resolve()
    numbers = missing_numbers(folder, config.num_episodes) if is_own else range(config.num_episodes)
    new = coverage.next_starts(len(numbers))
    starts = {}
    for place, (number, (case, start)) in enumerate(zip(numbers, new, strict=False), start=1):
        words = f"{place_words(coverage, case, start)}: place {place}; {nearest_words(coverage, case, start)}"
        starts[number] = GivenStart(words, start)
    page = write_next(coverage, new, folder / COVERAGE)
    print(f"the next places, to look at: {page.resolve().as_uri()}")
    return starts


def record(setup: Setup, config: RecordArmConfig, task: Task) -> None:
    """Record the missing episodes, and print the outcome."""
    missing = missing_episodes(config)
    present = config.num_episodes - len(missing)
    if present:
        print(f"{present} of {config.num_episodes} episodes are in {config.dataset_dir} already")
    if not missing:
        return
    done = 0
    is_twin = setup.config.robot == "twin"
    starts = suggested_starts(config, task, is_twin) if config.suggest else None
    with open_person(setup, "record_episodes", task.name) as keys, open_session(setup, task, keys) as session:
        recorder = Recorder(session, config, starts)
        if recorder.prepare():
            for index in missing:
                if not recorder.record(index):
                    break
                done += 1
    print(f"{present + done} of {config.num_episodes} episodes are in {config.dataset_dir}")
    if present + done < config.num_episodes:
        print("the same command goes on from there")
    if present + done:
        print(how_to_look(config.dataset_dir))


def parse_flags(argv: Sequence[str] | None = None) -> tuple[RecordArmConfig, Setup]:
    """This script's flags, and those of the arm."""
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, RecordArmConfig)
    add_robot_flags(parser, is_driven=True)
    setup = read_setup(parser, argv)
    return cli.from_flags(RecordArmConfig, setup.args), setup


def main(argv: Sequence[str] | None = None) -> None:
    config, setup = parse_flags(argv)
    is_tidied = config.recover or config.discard
    if config.task_name is None and not (is_tidied and config.dataset_dir):
        raise ValueError("--task_name is missing; give the task to record, e.g. mycobot320_move_cube")
    if config.recover and config.discard:
        raise ValueError(
            "--recover makes episodes of what was cut off, --discard forgets it; give one of them"
        )
    if is_tidied:
        tidy = recover_all if config.recover else discard_all
        tidy(Path(config.dataset_dir or data_dir(config.task_name)))
        return
    config, task = complete(config, setup)
    check_device(config.jog, setup.teleop)
    with hold(config.dataset_dir):
        record(setup, config, task)


if __name__ == "__main__":
    cli.run(main)
