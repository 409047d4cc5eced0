"""A policy in an ONNX file runs on an arm with the packages of requirements-arm.txt alone."""

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from arm_rig import SIZE
from repository import ROOT
from synthetic import SMALL

from actors import Interface
from cameras import Reference
from constants import MYCOBOT, TASKS
from episodes.stats import Stats
from episodes.views import View
from policies.acting.onnx_export import export_policy
from policies.registry import POLICIES
from policy import make_policy

TASK = TASKS["mycobot320_move_cube"]
# packages that are installed, but not in the list, cannot be imported
MASK = f"""
import re, sys
from importlib.metadata import packages_distributions
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
lines = open({str(ROOT / "requirements-arm.txt")!r}, encoding="utf-8").read()
listed = {{name.lower() for name in re.findall(r"^([\\w.-]+)==", lines, re.MULTILINE)}}
masked = {{
    module for module, owners in packages_distributions().items()
    if not {{owner.lower().replace("_", "-") for owner in owners}} & listed
}}
class Mask:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in masked:
            raise ModuleNotFoundError(f"masked: {{name}}", name=name)
sys.meta_path.insert(0, Mask())
"""
RUN = """
import io
from contextlib import redirect_stdout
from arm_rig import Person, make_rig
import model_runs
from evaluation import Summary, open_evaluation, write_summary
from mycobot_scripts.demos import Runner, make_execution, open_policies
from viewers import note_command

for package in ("torch", "mujoco", "matplotlib", "tqdm"):
    try:
        __import__(package)
    except ModuleNotFoundError:
        print("no", package)
flags = ["--ckpt_dir", sys.argv[1], "--task_name", "mycobot320_move_cube", "--cameras", "top=1,right_wrist=0"]
config, setup = model_runs.parse_flags([*flags, "--ignore_moved"])
with make_rig(Person("enter", "y"), episode_len=12) as rig:
    task = rig.session.task
    policies = open_policies(config, setup, task)
    assert set(model_runs.reference_pictures(policies, task)) == {"top"}
    execution = make_execution(policies.actors[0], config, task.fps)
    assert model_runs.part_lengths(config, policies.actors, task, task.fps) == [12]
    execution.warm_up()
    settings = policies.settings(config, setup, task)
    config.folder.mkdir()
    note_command(config.folder, "runs on the arm")
    with open_evaluation(config.folder, settings) as folder:
        runner = Runner(rig.session, config, [execution], [12])
        outcome = runner.run(0)
        runner.close()
        summary = Summary.of(task, policies.title, settings, [outcome])
        write_summary(summary, folder)
model_runs.tell(summary, config.folder)
print("stopped:", outcome.stopped, "chunks:", len(execution.latencies) > 0)
"""


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory):
    """An ONNX file of a policy that stays near the start pose."""
    torch.manual_seed(0)
    start = torch.tensor([*MYCOBOT.start, 0.7])
    moments = {f"{of}_mean": start for of in ("qpos", "action")}
    moments |= {f"{of}_std": torch.full((7,), 0.01) for of in ("qpos", "action")}
    interface = Interface(7, 7, TASK.cameras, (24, 32), TASK.name)
    config = POLICIES.config("ACT")(**{"backbone": "keypoints", **SMALL["ACT"]})
    policy = make_policy("ACT", config, interface, Stats.completed(moments)).eval()
    picture = Reference(np.full((*SIZE, 3), 110, np.uint8), np.ones(SIZE, bool))
    policy.interface = dataclasses.replace(interface, views={"right_wrist": View(frame_size=SIZE)})
    path = tmp_path_factory.mktemp("policy") / "policy.onnx"
    export_policy(policy, path, {"top": picture.plain()})
    return path


def masked(folder, code: str, *words) -> subprocess.CompletedProcess:
    """Run code where only the packages for the arm can be imported."""
    command = [sys.executable, "-c", MASK + code, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_a_run_on_an_arm(policy_file, tmp_path):
    done = masked(tmp_path, RUN, policy_file)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert re.findall(r"^no (\w+)$", said, re.MULTILINE) == ["torch", "mujoco", "matplotlib", "tqdm"]
    assert "stopped: None chunks: True" in said and "1 of 1 rollouts succeeded" in said
    assert (policy_file.parent / "arm" / "episode_0.hdf5").is_file()
    assert (policy_file.parent / "arm" / "report.html").is_file()


def test_what_needs_more_says_so(policy_file, tmp_path):
    code = f"""
import runpy
sys.argv = ["model_runs.py", *sys.argv[1:]]
runpy.run_path({str(ROOT / "model_runs.py")!r}, run_name="__main__")
"""
    flags = ("--task_name", TASK.name, "--cameras", "top=1,right_wrist=0", "--ckpt_dir")
    done = masked(tmp_path, code, *flags, tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "PyTorch" in done.stderr and list(tmp_path.iterdir()) == []


SERVE = """
import policy_server
server = policy_server.open_server(policy_server.parse_flags(["--ckpt_dir", sys.argv[1], "--port", "0"]))
print("serves", server.about.name, server.actor.interface.image_size)
server.close()
"""


def test_a_policy_server(policy_file, tmp_path):
    done = masked(tmp_path, SERVE, policy_file)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"serves policy.onnx {SIZE}\n"
