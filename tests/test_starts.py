"""Where props start: today's tasks as ever, to the last bit; turned props."""

import json
from pathlib import Path

import numpy as np
import pytest

from constants import Stream, get_task
from scripted_policy import ScriptedPolicy
from starts import sample_start

REFERENCE = json.loads((Path(__file__).parent / "reference" / "starts.json").read_text(encoding="utf-8"))
every_reference = pytest.mark.parametrize("name", REFERENCE)


@every_reference
def test_starts_are_what_they_were_when_the_published_numbers_were_made(name):
    task = get_task(name)
    for i, row in enumerate(REFERENCE[name]["starts"]):
        rng = np.random.default_rng([0, Stream.RECORD, i])
        start = sample_start(task, rng, task.case_number(i) if i < 2 else None)
        assert start.tolist() == row["start"]
        assert rng.random() == row["next"], "and no more is drawn"


@every_reference
def test_scripts_are_what_they_were(name):
    task, wanted = get_task(name), REFERENCE[name].get("actions")
    assert bool(task.script) == (wanted is not None)
    if wanted is None:
        return
    start = {arm.label: np.array([0.1, 0.2, 0.3]) for arm in task.arms}
    env_state = sample_start(task, np.random.default_rng(7), 0)
    script = ScriptedPolicy(task.variants[0], start, env_state, 0.01, np.random.default_rng(3), hesitate=5)
    steps = (0, task.episode_len // 3, task.episode_len // 2, task.episode_len - 10)
    np.testing.assert_allclose([script(step) for step in steps], wanted, rtol=0, atol=1e-11)
