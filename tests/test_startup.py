"""Every script tells its flags before it loads what takes seconds."""

import os
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
# A process for each script, forked from one that has loaded what is light: so all of them take seconds.
RUN = f"""
import os, runpy, sys
import cv2, h5py, joblib, numpy, psutil, tqdm
scripts, sys.argv = sys.argv[1:], ["", "--help"]
for script in scripts:
    sys.argv[0] = script
    print("\\f", script, flush=True)
    if os.fork() == 0:
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit:
            pass
        print("loaded", sorted({HEAVY!r} & set(sys.modules)), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_help_loads_nothing_that_takes_seconds():
    command = [sys.executable, "-c", RUN, *SCRIPTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = dict(part.split("\n", 1) for part in done.stdout.split("\f ")[1:])
    assert sorted(said) == SCRIPTS, done.stderr
    for script, text in said.items():
        assert text.startswith("usage: ") and text.endswith("loaded []\n"), (script, text[-300:], done.stderr)


ROOMS = """
import sys, torch
from torch import nn
from torch.optim import SGD, Adam, AdamW
from detr.acting.fused import fused
from evaluation import evaluate
from training import fit
from training.optimisation import uncompiled
network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
fused(network, torch.zeros(1, 3, 8, 8), torch.bfloat16)
print(sorted({"torch._dynamo", "torchvision"} & set(sys.modules)))
for kind, options in ((SGD, {}), (Adam, {}), (AdamW, {"fused": True})):
    weights = torch.nn.Parameter(torch.ones(3))
    optimiser = uncompiled(kind)([weights], lr=0.1, **options)
    for _ in range(2):
        optimiser.zero_grad()
        weights.square().sum().backward()
        optimiser.step()
        optimiser.load_state_dict(optimiser.state_dict())
    print(kind.__name__, "torch._dynamo" in sys.modules)
"""


def test_neither_training_nor_evaluation_nor_an_optimiser_loads_the_compiler():
    done = subprocess.run([sys.executable, "-c", ROOMS], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\nSGD False\nAdam False\nAdamW False\n", done.stdout + done.stderr
