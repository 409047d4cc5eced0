"""What to do with new episodes: the command that trains on them."""

from __future__ import annotations

from common import command_line, quoted
from constants import TASKS
from dataset_tools.multiplied.job import Job
from episodes import Episode


def training_command(job: Job, shown: Episode, count: int, is_whole: bool) -> str:
    """The command that trains on the new episodes of a job, and on what was shown where that helps; `shown`
    is one of `count` demonstrations, which are all of their folder if it `is_whole`. On an arm, people act in
    one room alone, which a policy would know by its look: there they teach where things are, and nothing
    else. One alone leaves none to validate.
    """
    flags, name = job.flags, shown.task or job.task.name
    old, data = quoted(flags.dataset_dir), quoted(flags.output_dir)
    how = "presets/robust.json" if flags.randomize or shown.robot else "presets/small.json --num_steps 3000"
    if count > 1 and shown.robot:
        data = f"{old} {data} --sample_weights 1 9 --places_only {old}"
    elif count > 1 and is_whole and not flags.steady:
        data = f"{old} {data}"
    words = ["imitate_episodes.py", "--task_name", name, "--dataset_dir", data]
    if name in TASKS and set(job.cameras) != set(TASKS[name].cameras):
        words += ["--camera_names", *job.cameras]
    return command_line(" ".join((*words, "--config", how, "--ckpt_dir", "NEW")))
