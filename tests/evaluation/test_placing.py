"""Where the workers of an evaluation compute, on a machine with a GPU."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from common.work.parallel import Workers
from evaluation.flags import EvalConfig
from evaluation.rollouts import EvalJob, placed

JOB = EvalJob(Path("policy.ckpt"), None)
SMALL, LARGE = nn.Linear(100, 100), nn.Linear(4000, 4000)


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("evaluation.rollouts.os.cpu_count", lambda: 16)


@pytest.mark.parametrize(
    ("policy", "asked", "device", "workers"),
    [(SMALL, None, "cpu", None), (LARGE, None, "cuda", 4), (LARGE, 9, "cuda", 9)],
)
def test_small_policies_think_on_the_cpu_and_few_large_ones_share_the_gpu(
    monkeypatch, policy, asked, device, workers
):
    monkeypatch.setattr("evaluation.rollouts.load_policy", lambda path, device, cameras: policy)
    job, chosen = placed(JOB, Workers(asked))
    assert (job.flags.device, chosen.num_workers) == (device, workers)


def test_a_device_that_is_given_stays():
    given = replace(JOB, flags=EvalConfig(device="cuda:1"))
    assert placed(given, Workers()) == (given, Workers())
