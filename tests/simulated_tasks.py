"""Tasks that contracts are tested on."""

from dataclasses import replace

import pytest

from constants import TASKS


def _apart_from_data(task):
    return replace(task, name="", script=(), episode_len=1)


# Data sets of one scene differ in length and script alone: the first of them stands for all.
SIMULATED = list({_apart_from_data(task): task for task in reversed(TASKS.values()) if task.scene}.values())[
    ::-1
]
# The first task of each scene; those of its other tasks are slow, where only the scene counts.
_FIRST = {task.scene: task for task in reversed(SIMULATED)}
SCENES = [
    pytest.param(task, id=task.name, marks=[] if _FIRST[task.scene] is task else [pytest.mark.slow])
    for task in SIMULATED
]
