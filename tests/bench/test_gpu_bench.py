"""bench/gpu.py: a dry run without a GPU, sections that break, and what is said of the figures."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from repository import ROOT
from synthetic import make_dataset

import imitate_episodes

BENCH = ROOT / "bench"
TINY_ACT = (
    "--image_size 48 64 --num_steps 3 --hidden_dim 32 --dim_feedforward 64 --enc_layers 1 --nheads 4 "
    "--chunk_size 10 --backbone keypoints --batch_size 2 --num_rollouts 2 --compile false"
)


@pytest.fixture
def gpu(monkeypatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(BENCH))
    import gpu

    return gpu


def run(folder, *flags):
    """The command; its status, its JSON lines, and the lines of its table."""
    command = [sys.executable, str(BENCH / "gpu.py"), "--device", "cpu", "--budget", "3000", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=1000)
    lines = done.stdout.splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    return done, rows, [line for line in lines if line.startswith("|")]


@pytest.mark.slow  # a minute
def test_a_dry_run_goes_through_every_section(tmp_path, gpu):
    done, rows, table = run(tmp_path, "--tiny", "--out", "rows.jsonl")
    assert [row for row in rows if "error" in row] == [], done.stderr
    assert done.returncode == 0, done.stderr
    assert list(dict.fromkeys(row["section"] for row in rows)) == [*gpu.SECTIONS, "wanted"]
    assert (tmp_path / "rows.jsonl").read_text() == "".join(f"{json.dumps(row)}\n" for row in rows)
    assert len(table) == 2 + len(rows) and len({len(line) for line in table}) == 1
    skipped = {row["section"] for row in rows if "skipped" in row}
    assert skipped == {"machine", "top", "train", "wanted"}  # copies to a GPU, its kernels, no episodes
    by_name = {(row["section"], row["what"]): row for row in rows}
    assert by_name["right", "ACT with codes"]["act_off"] == 0
    assert by_name["resume", "presets/small"]["bitwise"]
    assert by_name["accumulate", "ACT, 2 a step"]["off"] < 1e-3
    assert by_name["compiled", "ACT, batch 1, 1 camera"]["graphs"] >= 1


def test_each_folder_of_episodes_is_trained_on(tmp_path, gpu, monkeypatch):
    """As imitate_episodes.py understands the flags, at ACT's published size but for what is given."""
    from _gpu import full_size, session

    asked, rows = [], []

    def imitate(flags, log, seconds, site):
        config, training, policy = imitate_episodes.parse_flags(flags)
        asked.append((config.dataset_dir, training.num_steps, policy.hidden_dim, config.image_size))
        folder = Path(config.ckpt_dir)
        folder.mkdir(parents=True)
        (folder / "history.csv").write_text("step,train/l1,val/l1\n7,0.5,0.75\n")
        return full_size.STOPPED

    monkeypatch.setattr(full_size, "imitate", imitate)
    folders = tuple(make_dataset(tmp_path / name, n=1) for name in ("one", "two"))
    flags = ("--num_steps", "9")
    full_size.train(
        session.Session(torch.device("cpu"), True, rows.append, folders, flags, tmp_path / "kept")
    )
    assert asked == [((str(folder),), 9, 512, (480, 640)) for folder in folders]
    assert [row["what"] for row in rows] == ["ACT from scratch on one", "ACT from scratch on two"]
    assert all((row["steps"], row["val/l1"]) == (7, 0.75) and "stopped" in row for row in rows)


@pytest.mark.slow
def test_what_is_trained_is_evaluated_and_kept(tmp_path):
    make_dataset(tmp_path / "episodes")
    flags = ["--only", "train", "--episodes", "episodes", "--train_flags", TINY_ACT, "--keep", "kept"]
    done, rows, _ = run(tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    assert rows[0]["success"] == "0 of 2" and (tmp_path / "kept/gpu_episodes/policy_last.ckpt").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--device", "cuda:77"], "cuda"),
        (["--episodes", "nowhere"], "--episodes is 'nowhere'"),
        (["--site", "nowhere"], "--site is 'nowhere'"),
        (["--budget", "0"], "--budget is 0"),
        (["--out", "nowhere/rows"], "--out is 'nowhere/rows'"),
        (["--only", "nothing"], "nothing"),
    ],
)
def test_a_bad_flag_is_refused_in_a_line(flags, message, tmp_path):
    done, rows, table = run(tmp_path, *flags)
    assert done.returncode and message in done.stderr.splitlines()[-1] and not rows and not table
    assert not list(tmp_path.iterdir())


WORKER = """
import json, os, sys, time
def send(**message):
    print(json.dumps(message), flush=True)
send(done="ready")
for line in sys.stdin:
    name = json.loads(line)["section"]
    send(what="begun", process=os.getpid())
    if name == "right":
        os.kill(os.getpid(), 11)
    elif name == "eager":
        time.sleep(1000)
    elif name == "small":
        send(broken="the GPU is lost")
        sys.exit(3)
    send(done=name)
"""


def test_a_section_that_breaks_costs_itself_alone(gpu, monkeypatch, capsys):
    sections = dict.fromkeys(("machine", "right", "eager", "small", "top"), gpu.SECTIONS["machine"])
    short = {name: type(section)(section.place, 1.0, "") for name, section in sections.items()}
    monkeypatch.setattr(gpu, "SECTIONS", short)
    rows = gpu.Rows(None)
    gpu.run_sections([*short], [sys.executable, "-c", WORKER], gpu.Clock(6.0), rows)
    failed = {row["section"]: row["error"] for row in rows.failures()}
    assert failed.keys() == {"right", "eager", "small"} and failed["small"] == "the GPU is lost"
    assert "status -11" in failed["right"] and "longer than" in failed["eager"]
    processes = {row["section"]: row["process"] for row in rows if "process" in row}
    assert processes["machine"] == processes["right"] != processes["eager"]
    assert len(set(processes.values())) == 4 and len(rows) == 8
    assert "FAILED" in gpu.cells(rows.failures()[0])[-1]
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows


def test_a_section_for_which_no_time_or_package_is_there_is_skipped(gpu, monkeypatch):
    section = type(gpu.SECTIONS["machine"])
    monkeypatch.setattr(
        gpu,
        "SECTIONS",
        {"long": section("a.b", 100.0, ""), "odd": section("a.b", 1.0, "", ("no_such_package",))},
    )
    rows = gpu.Rows(None)
    gpu.run_sections(["long", "odd"], ["no such command"], gpu.Clock(10.0), rows)
    assert [row["skipped"] for row in rows] == ["no time left", "this machine lacks no_such_package"]


def test_figures_are_held_against_what_is_wanted(gpu):
    rows = [
        {"section": "compiled", "what": "ACT, batch 8, 1 camera", "ms": 4.0},
        {"section": "compiled", "what": "ACT, batch 64, 1 camera", "ms": 30.0, "of peak": 0.3},
        {"section": "eager", "what": "ACT, batch 8, 1 camera", "ms": 9.0},
    ]
    step, share, training = (values for _, values in gpu.verdicts(rows))
    assert step == {"ms": 4.0, "reached": "yes", "against_LeRobot": "3.3x"}
    assert share == {"of peak": 0.3, "reached": "NO"}
    assert training["compiled_minutes"] == pytest.approx(12_500 * 4.0 / 60_000)
    assert all("skipped" in values for _, values in gpu.verdicts([]))


def test_packages_that_are_only_imported_have_stand_ins(gpu, monkeypatch):
    from _gpu import packages

    monkeypatch.setitem(sys.modules, "no_such_package", None)
    monkeypatch.delitem(sys.modules, "no_such_package")
    packages.stand_in(("no_such_package", "json"))
    import no_such_package

    assert no_such_package.anything(1)
    assert packages.lacking(("no_such_package", "json", "not_there")) == ["no_such_package", "not_there"]
