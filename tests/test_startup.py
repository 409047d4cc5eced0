"""Every script tells its flags before it loads what takes seconds."""

import subprocess
import sys

import pytest
from repository import ROOT

HEAVY = {"torch", "torchvision", "matplotlib", "mujoco", "dm_control", "diffusers", "robomimic"}
SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.py"), *ROOT.glob("mycobot_scripts/*.py")]
    if "cli.run(" in path.read_text(encoding="utf-8")
)
RUN = f"""
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit:
    pass
print("loaded", sorted({HEAVY!r} & set(sys.modules)))
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_loads_nothing_that_takes_seconds(script):
    command = [sys.executable, "-c", RUN, script, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("usage: ") and done.stdout.endswith("loaded []\n"), done.stderr


OPTIMISERS = """
import sys, torch
from torch.optim import SGD, Adam, AdamW
from training.optimisation import uncompiled
for kind, options in ((SGD, {}), (Adam, {}), (AdamW, {"fused": True})):
    weights = torch.nn.Parameter(torch.ones(3))
    optimiser = uncompiled(kind)([weights], lr=0.1, **options)
    for _ in range(2):
        optimiser.zero_grad()
        weights.square().sum().backward()
        optimiser.step()
        optimiser.load_state_dict(optimiser.state_dict())
    assert "torch._dynamo" not in sys.modules
print("done")
"""


def test_no_optimiser_loads_the_compiler():
    done = subprocess.run([sys.executable, "-c", OPTIMISERS], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr


ROOMS = """
import sys, torch
from torch import nn
from detr.fused import fused
from evaluation import evaluate
from training import fit
network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
fused(network, torch.zeros(1, 3, 8, 8), torch.bfloat16)
print(sorted({"torch._dynamo", "torchvision"} & set(sys.modules)))
"""


def test_neither_training_nor_evaluation_loads_the_compiler():
    done = subprocess.run([sys.executable, "-c", ROOMS], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
