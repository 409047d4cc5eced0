"""What to do with new episodes: the command that trains on them."""

from __future__ import annotations

import shlex

from common import command_line
from dataset_tools.multiplied.job import Job
from episodes import Episode


def training_command(job: Job, shown: Episode) -> str:
    """The command that trains on the new episodes of a job, and on what was shown where that helps; `shown`
    is one of these demonstrations. On an arm, people act in one room alone, which a policy would know by its
    look: there they teach where things are, and nothing else.
    """
    flags = job.flags
    old, new = (shlex.quote(str(folder)) for folder in (flags.dataset_dir, flags.output_dir))
    if shown.robot:
        data, how = f"{old} {new} --sample_weights 1 9 --places_only {old}", "presets/robust.json"
    else:
        data = new if flags.steady else f"{old} {new}"
        how = "presets/robust.json" if flags.randomize else "presets/small.json --num_steps 3000"
    words = ("imitate_episodes.py", "--task_name", shown.task or job.task.name, "--dataset_dir", data)
    return command_line(" ".join((*words, "--config", how, "--ckpt_dir", "NEW")))
