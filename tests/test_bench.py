"""The benchmarks run and print their tables. Their times are for the closing note, not for tests."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from repository import ROOT
from synthetic import make_small

from cameras.reference import make_reference
from constants import TASKS, get_task
from detr.backbones.backbone import BACKBONES
from policies.registry import POLICIES
from policy import save_policy
from sim_env import make_sim_env

TASK, TRANSFER, CHUNK = "sim_transfer_cube_scripted", "transfer", "choose, chunk 20"
GUARD_ROWS = ["up and down across the table's edge", "the deepest point nearby"]
GROWTH = ["loading, to the first batch, by chunk", "info, by episodes"]
FLAGS = {
    "guard.py": ["--attacks", *GUARD_ROWS],
    "results.py": ["--rows", TRANSFER, "--seed", "0", "1"],
    "growth.py": ["--rows", *GROWTH],
    "chunk_sizes.py": ["--rows", CHUNK],
}  # a row each, for time
BENCH = ROOT / "bench"
HOSTILE = [
    "jumps from corner to corner",
    "swings",
    "presses down, scale 3",
    "shakes",
    "swings, and grips anew",
]
ROWS = {
    "recording.py": [
        "ACT's way: two passes, full quality, raw",
        "ours, but full quality, all cores",
        "ours, one core",
        "ours, all cores",
    ],
    "growth.py": GROWTH,
    "cockpit_stop.py": ["STOP, from its POST", "page gone, from its last beat"],
    "cockpit_cameras.py": ["two pages, nobody looks at the cameras", "two pages, two cameras each"],
    "imports.py": ["ACT, raw pictures", "ACT++, JPEG", "CSV and H.264", "LeRobot, H.264"],
    "looks.py": [
        "plain",
        "mild, a look per episode",
        "mild, a look per frame",
        "real, a look per episode",
        "real, a look per frame",
    ],
    "startup.py": [
        "import torch",
        "training, --help",
        "training, first line",
        "training, first step",
        "training, --resume when it is finished",
        "evaluation, to its first rollout",
        "recording, first line",
        "page of a dataset, first line",
        "info",
    ],
    "training_step.py": [
        "as published (7 decoder layers, float32)",
        "1 decoder layer",
        "+ fused attention (our network)",
        "+ channels-last images and weights",
        "+ bf16 autocast",
        "+ fused AdamW",
        "+ freed memory kept = ours",
        "bound",
    ],
    "step_sizes.py": [
        "1 camera",
        "2 cameras, a backbone each",
        "2 cameras, one backbone",
        "3 cameras, a backbone each",
        "3 cameras, one backbone",
        "1 camera once more",
    ],
    "peers.py": ["a training step, 48x64", "a chunk, 48x64"],
    "onnx_latency.py": [
        "torch",
        "torch, compiled",
        "ready to act",
        "onnxruntime",
        "onnxruntime, int8",
        "OpenVINO",
    ],
    "latency.py": [
        "ACT++'s network",
        *POLICIES,
        *(f"ACT, resnet{n}" for n in (34, 50, 101, 152)),
        "ACT, residual_attention_18",
        "ACT, keypoints",
    ],
    "drawing.py": ["Diffusion, ddim", *(f"Flow, {n} steps" for n in (1, 2, 3, 4, 8))],
    "whole_step.py": [
        "ACT's way",
        "ours, frames read and decoded each time",
        "ours, frames decoded once",
    ],
    "loader.py": ["--cache none", "--cache jpeg", "--cache decoded"],
    "physics.py": [task.name for task in TASKS.values() if task.script],
    "guard.py": GUARD_ROWS,
    "leader.py": [
        *(f"hostile hand, 0.0 min: {name}" for name in HOSTILE),
        "lag, leader to wire",
        "pick and place, led",
    ],
    "rollouts.py": [
        "ACT's way: full network, every step rendered",
        "ours: small network, one frame a chunk",
    ],
    "vinn_query.py": [
        "brute force: every frame, camera by camera",
        "ours: one product with the memory",
    ],
    "moved_cameras.py": [
        "not moved",
        *(f"{n} mm" for n in (2, 5, 10, 20)),
        *(f"{n} degrees" for n in (0.5, 1, 2, 4)),
    ],
    "backbones.py": [name for name in BACKBONES if ":" not in name],
    "doctor.py": [
        "every frame of every file",
        "across episodes, one process",
        "across episodes, all processes",
        "before a training, with reading the headers",
    ],
    "places.py": [
        "50 pictures, without a channel for blue",
        "50 pictures, with a channel for blue",
        "200 pictures, with a channel for blue",
    ],
    "multiplied.py": [TASK],
    "real_chain.py": ["3 alone", "3 and 4 multiplied, plain"],
    "suggested.py": [f"twin move, {way}" for way in ("2 alone", "2 + 2 uniform", "2 + 2 suggested")],
    "joins.py": ["10", "100"],
    "twin_joins.py": ["the motion itself", "0.1 s", "0.4 s", "0.8 s"],
    "results.py": [TRANSFER],
    "chunk_sizes.py": [CHUNK],
    "shortcut.py": [
        "uniform start steps",
        "early: 0.75 of them in the first 8",
        "early: 0.5 of them in the first 40",
        "uniform, state dropout 0.5",
        "uniform, state noise 0.1",
        "early (0.75, 8), state dropout 0.5",
    ],
}


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


# the others start many processes, or take long
SLOW = set(ROWS) - {"physics.py", "vinn_query.py", "twin_joins.py"}


@pytest.mark.parametrize(
    ("commands", "attacks"), [(160, GUARD_ROWS), pytest.param(4000, None, marks=pytest.mark.slow)]
)
def test_the_guard_holds_against_attacks(commands, attacks, tmp_path):
    """On the body, at every physics step, and directly: no part of the arm is outside by more than 5 mm."""
    flags = [
        "--commands",
        str(commands),
        "--direct",
        str(commands),
        *(["--attacks", *attacks] if attacks else []),
    ]
    command = [sys.executable, str(BENCH / "guard.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    header, _, *rows = [cells(line) for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) >= 2 and all(float(row[1]) > 0 for row in rows)
    outside = [i for i, name in enumerate(header) if name.endswith("mm")]
    assert len(outside) == 4 and max(float(row[i]) for row in rows for i in outside) <= 5


@pytest.mark.parametrize(
    "script", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in ROWS]
)
def test_prints_its_table(script, tmp_path):
    command = [sys.executable, str(BENCH / script), "--quick", *FLAGS.get(script, [])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    title, machine, blank, header, rule, *rows = done.stdout.splitlines()
    assert title and not blank
    assert f"{os.cpu_count()} cores" in machine and "torch" in machine and "mujoco" in machine
    assert len({line.count("|") for line in (header, rule, *rows)}) == 1
    assert len({len(line) for line in (header, rule, *rows)}) == 1
    assert len(rows) == len(ROWS[script])
    for row, name in zip(rows, ROWS[script], strict=True):
        assert cells(row)[0].partition(":" if name == "bound" else "\n")[0] == name
        measured = [cell for cell in cells(row)[1:] if cell != "-"]  # not what is not installed here
        assert all(cell.removeprefix("-")[:1].isdigit() for cell in measured)
        assert measured or name == "OpenVINO"
    assert not list(tmp_path.iterdir())


def test_several_seeds_of_a_row_are_one_line_with_the_worst(tmp_path):
    """Rows that are finished are read from the disk, so a table of made-up results is a table."""
    for seed, successes in enumerate((500, 490, 498)):
        folder = tmp_path / f"seed_{seed}" / TRANSFER
        folder.mkdir(parents=True)
        save_policy(folder / "policy_last.ckpt", make_small("ACT"), step=1500)
        (folder / "trained").touch()
        rates = {"success_rate": successes / 500, "strict_success_rate": (successes - 2) / 500}
        result = {"rollouts": 500, "successes": successes, **rates}
        (folder / f"{TRANSFER}_500_starts_from_1000.json").write_text(json.dumps(result))
        (folder / "seconds").write_text(str(60 * (seed + 5)))
    flags = ["--out", str(tmp_path), "--rows", TRANSFER, "--seed"]
    command = [sys.executable, str(BENCH / "results.py"), *flags]
    rows = {}
    for seeds in ("1", "0 1 2"):
        done = subprocess.run([*command, *seeds.split()], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        rows[seeds] = cells(done.stdout.splitlines()[-1])
    assert rows["1"][1:6] == ["98.0%", "-", "96.4% to 98.9%", "97.6%", "500"]
    assert rows["0 1 2"][1:6] == ["99.2%", "98.0%", "98.6% to 99.5%", "98.8%", "1500"]
    assert rows["1"][-1] == rows["0 1 2"][-1] == "6.0"


@pytest.mark.slow  # it is a real-time loop for 4 s a row, and simulates rollouts of the twin's task
def test_a_policy_far_away_is_tried_by_line(tmp_path):
    task = get_task("sim_mycobot320_move_cube_scripted")
    policy = make_small("ACT", dim=task.dim, cameras=task.cameras, chunk_size=30)
    policy.interface = replace(policy.interface, task=task.name)
    save_policy(tmp_path / "policy_best.ckpt", policy, step=1)
    command = [sys.executable, str(BENCH / "far.py"), "--quick", "--ckpt_dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    names = [cells(line)[0] for line in done.stdout.splitlines() if line.startswith("| ")]
    lines = ["this machine", *(f"{ms} ms, 1 % lost" for ms in (50, 150, 400))]
    dead = [f"50 ms, 1 % lost, dead for {seconds} s" for seconds in ("0.5", "2")]
    rows = [name for name in names if not name.startswith(("the policy", "---"))]
    assert rows == [*lines, *dead, *lines]


@pytest.mark.slow  # it simulates rollouts of the twin's task
def test_moved_cameras_cost_success_by_policy_size_and_way(tmp_path):
    task = get_task("sim_mycobot320_move_cube_scripted")
    env = make_sim_env(task)
    reference = make_reference([env.reset(i).observation["images"]["top"] for i in range(3)])
    env.close()
    policy = make_small("ACT", dim=task.dim, cameras=task.cameras)
    policy.interface = replace(policy.interface, task=task.name)
    checkpoint = tmp_path / "small" / "policy_last.ckpt"
    checkpoint.parent.mkdir()
    save_policy(checkpoint, policy, step=1, references={"top": reference.plain()})
    command = [sys.executable, str(BENCH / "moved_success.py"), "--quick", str(checkpoint)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    (row,) = (cells(line) for line in done.stdout.splitlines() if line.startswith("| small"))
    assert row == ["small", "20 mm, 4 degrees", "0% (0%-79%)", "0% (0%-79%)"]


@pytest.mark.slow  # it plays a whole evening on the twin, of three demonstrations and one run a block
@pytest.mark.parametrize("ways", [[], ["--plain"]], ids=["helped", "plain"])
def test_an_evening_goes_from_a_demonstration_to_runs_and_goes_on(ways, tmp_path):
    out, film = tmp_path / "evening", tmp_path / "evening.mp4"
    flags = ["--quick", "--pace", "0.5", "--out", str(out), "--film", str(film), *ways]
    command = [sys.executable, str(BENCH / "evening.py"), *flags]
    for _ in range(2):  # the second time, all is done
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=1500)
        assert done.returncode == 0, done.stderr
        table = [cells(line) for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    rows = {name: rest for name, *rest in table}
    blocks = ["as it was", "lamp moved, exposure drifts", "camera bumped", "cube knocked out of the gripper"]
    assert [name for name in rows if " of 1 (" in rows[name][2] and name != "record demonstrations"] == blocks
    assert rows["in all"][2].split(" (")[0] in {f"{n} of 4" for n in range(5)}
    assert ("multiply" in rows) == (not ways) and float(rows["in all"][0]) > 0
    assert all(rows[name][-1].startswith("model_runs.py --robot twin") for name in blocks)
    assert 10_000 < film.stat().st_size < 3_000_000
    another = subprocess.run(
        [*command, "--room", "6"], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert another.returncode == 1 and "has an evening whose --room is 5, not 6; go on" in another.stderr
