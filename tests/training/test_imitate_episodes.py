"""The training and evaluation script, run as users run it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from repository import ROOT
from synthetic import SMALL_FLAGS, make_act, make_dataset, make_episode

import imitate_episodes
from common.drawing import logs
from common.storage import files
from common.storage.locks import Held, hold
from constants import TASKS
from episodes.episode import Episode
from episodes.folders import episode_path, list_episodes
from episodes.views import View
from evaluation.rollouts import EvalJob
from policies.act import ACTPolicy
from policies.acting.actor import TorchActor
from policies.checkpoints.run_files import run_checkpoint
from policies.configs import ACTConfig
from policy import load_policy, read_checkpoint, save_policy
from training import imitation
from training.setup import write_config

SCRIPT = ROOT / "imitate_episodes.py"
TASK = "sim_transfer_cube_scripted"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data"))


def command(dataset: Path, run: Path, *flags: str) -> list[str]:
    places = ("--task_name", TASK, "--dataset_dir", str(dataset), "--ckpt_dir", str(run))
    return [sys.executable, str(SCRIPT), *places, "--policy_class", "ACT", *SMALL_FLAGS, *flags]


def call(dataset: Path, run: Path, *flags: str, monkeypatch) -> None:
    """In this process, which is faster."""
    monkeypatch.setattr(sys, "argv", command(dataset, run, *flags)[1:])
    imitate_episodes.main()


def test_train_then_evaluate(dataset, tmp_path):
    run = tmp_path / "run"
    trained = subprocess.run(
        command(dataset, run, "--num_steps", "6"), capture_output=True, text=True, cwd=tmp_path
    )
    assert trained.returncode == 0, trained.stderr
    assert "evaluate: the same command with --eval" in trained.stdout
    assert {p.name for p in run.iterdir()} == {
        "commands.json",
        "config.json",
        "history.csv",
        "losses.png",
        "policy_best.ckpt",
        "policy_last.ckpt",
        "report.html",
        "tensorboard",
    }
    assert json.loads((run / "config.json").read_text())["num_steps"] == 6
    starts = ["--num_rollouts", "2", "--first_rollout", "1000"]
    flags = ["--eval", *starts, "--num_videos", "1", "--temporal_agg"]
    evaluated = subprocess.run(command(dataset, run, *flags), capture_output=True, text=True, cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "of 2 rollouts succeeded" in evaluated.stdout and "95 % interval" in evaluated.stdout
    (kept,) = (run / "evaluations").iterdir()
    for name in ("rollout_1000.mp4", "rollout_1000_qpos.png", "result_policy_best.json"):
        assert (kept / name).is_file()
    assert kept.name.startswith("policy_best_1000_to_1001_seed_0_ensembling_")
    for line in evaluated.stdout.splitlines():
        if line.startswith(("videos:", "plots:", "losses:", "checkpoint:", "results:")):
            assert (tmp_path / line.split()[1]).is_file(), line
    assert (
        json.loads((run / "result_policy_best.json").read_text())["execution"]
        == "temporal ensembling, joined over 0.2 s"
    )
    commands = json.loads((run / "commands.json").read_text())
    assert [entry["what"] for entry in commands] == ["training", "evaluation of policy_best.ckpt"]
    assert commands[1]["command"].endswith(" ".join(flags)) and commands[0]["versions"]["torch"]
    report = (run / "report.html").read_text()
    assert "0 of 2" in report and f'src="evaluations/{kept.name}/rollout_1000.mp4"' in report
    assert "polyline" in report
    assert "rollout_1000.mp4" in evaluated.stdout
    assert (run / "report.html").resolve().as_uri() in evaluated.stdout


def files_in(folder: Path) -> dict[str, bytes]:
    """All files below a folder, but the page, which tells of the others."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "report.html"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture
def evaluated(dataset, tmp_path, monkeypatch):
    """A policy of some steps, and a way to evaluate it for one short rollout."""
    run = tmp_path / "run"
    save_policy(run_folder(run) / "policy_best.ckpt", make_act(cameras=("top",)))
    monkeypatch.setitem(TASKS, TASK, replace(TASKS[TASK], episode_len=12))
    starts = ("--eval", "--num_rollouts", "1", "--num_workers", "1")
    return run, lambda *flags: call(dataset, run, *starts, *flags, monkeypatch=monkeypatch)


def run_folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_an_evaluation_with_other_settings_leaves_the_first_as_it_is(evaluated, capsys):
    run, evaluate = evaluated
    evaluate("--num_videos", "1")
    (first,) = (run / "evaluations").iterdir()
    before = files_in(first)
    capsys.readouterr()
    evaluate("--num_videos", "0", "--temporal_agg")
    assert files_in(first) == before and len(before) == 4  # JSON, text, a video and its plot
    (second,) = set((run / "evaluations").iterdir()) - {first}
    said = capsys.readouterr().out
    assert str(second) in said and str(first) not in said and "plots:" not in said
    assert (
        json.loads((run / "result_policy_best.json").read_text())["execution"]
        == "temporal ensembling, joined over 0.2 s"
    )
    page = (run / "report.html").read_text()
    assert "policy_best.ckpt, temporal ensembling" in page
    assert "policy_best.ckpt, one chunk after another" in page
    assert f'src="evaluations/{first.name}/rollout_0.mp4"' in page and "framed ones were filmed" in page
    evaluate("--num_videos", "0", "--temporal_agg")  # the same again is one more
    assert len(list((run / "evaluations").iterdir())) == 3


def test_an_evaluation_says_which_flags_the_trained_policy_does_not_follow(evaluated, capsys):
    run, evaluate = evaluated
    trained = {"policy_class": "ACT", "chunk_size": 20, "image_size": [48, 64], "crop": None, "lr": 1.0}
    (run / "config.json").write_text(json.dumps(trained))
    evaluate("--num_videos", "0", "--crop", "top=0,0,9,9")
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: --")]
    assert notes == [
        "note: --crop is {'top': [0, 0, 9, 9]}; the policy stays as it was trained, without",
        "note: --chunk_size is 10; the policy stays as it was trained, with 20",
    ]
    (run / "config.json").write_text(json.dumps(trained | {"policy_class": "VINN"}))
    evaluate("--num_videos", "0")
    said = capsys.readouterr().out
    assert "--policy_class is ACT; the policy stays as it was trained, with VINN" in said
    assert "--chunk_size is" not in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--camera_names", "angle"), "--camera_names is angle; .*policy_best.ckpt sees with top"),
        (("--query_every", "11"), "query_every is 11; the policy's chunks have 1 to 10"),
        (("--ckpt_name", "policy_last.ckpt"), "no checkpoint .*policy_last.ckpt"),
        (("--task_name", "sim_move_cube_scripted"), "states of 14 numbers .* has 7: give the --task_name"),
        (("--knock_loose", "9999"), "--knock_loose is 9999; a rollout has [0-9]+ steps"),
        (("--task_name", "mycobot320_move_cube"), "has no scene; .*model_runs.py --ckpt_dir .* --task_name"),
    ],
)
def test_an_evaluation_that_cannot_be_is_refused_before_anything_is_written(evaluated, flags, message):
    run, evaluate = evaluated
    before = files_in(run)
    with pytest.raises((ValueError, OSError), match=message):
        evaluate(*flags)
    assert files_in(run) == before and not (run / "evaluations").exists()


def test_evaluations_while_training_leave_only_their_rate(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, TASK, replace(TASKS[TASK], episode_len=12))
    flags = ("--num_steps", "4", "--eval_every", "2", "--eval_rollouts", "1", "--num_workers", "1")
    call(dataset, tmp_path / "run", *flags, monkeypatch=monkeypatch)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "evaluations" not in names and not any(name.startswith(("result", "rollout")) for name in names)
    assert "eval/success" in (tmp_path / "run" / "history.csv").read_text()


def test_chunks_may_be_given_in_seconds(dataset, tmp_path, monkeypatch):
    flags = [
        flag for flag in command(dataset, tmp_path / "run", "--num_steps", "1") if flag != "--chunk_size"
    ]
    flags.remove("10")  # steps
    for seconds, message in (("0", "above 0"), ("0.001", "at least 0.02"), ("nan", "a finite number")):
        monkeypatch.setattr(sys, "argv", [*flags[1:], "--chunk_seconds", seconds])
        with pytest.raises(ValueError, match=message):
            imitate_episodes.main()
    monkeypatch.setattr(sys, "argv", [*flags[1:], "--chunk_seconds", "0.3", "--chunk_size=4"])
    with pytest.raises(ValueError, match="--chunk_seconds and --chunk_size are two ways"):
        imitate_episodes.main()
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(sys, "argv", [*flags[1:], "--chunk_seconds", "0.3"])
    imitate_episodes.main()
    assert load_policy(tmp_path / "run" / "policy_last.ckpt").config.chunk_size == 15  # at 50 steps a second
    assert json.loads((tmp_path / "run" / "config.json").read_text())["chunk_size"] == 15
    again = tmp_path / "again"
    flags = ("--config", str(tmp_path / "run" / "config.json"), "--ckpt_dir", str(again))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *flags])
    imitate_episodes.main()
    assert load_policy(again / "policy_last.ckpt").config.chunk_size == 15


def test_a_policy_is_finished_when_its_training_is_over(dataset, tmp_path, monkeypatch):
    """And when the run was killed before that."""

    def finish(self, train, validation):
        self.action_max.fill_(len(train.paths) + 10 * len(validation.paths))

    monkeypatch.setattr(ACTConfig, "needs_finish", True)
    monkeypatch.setattr(ACTPolicy, "finish", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        call(dataset, tmp_path / "run", "--num_steps", "2", monkeypatch=monkeypatch)
    monkeypatch.setattr(ACTPolicy, "finish", finish)
    call(dataset, tmp_path / "run", "--num_steps", "2", "--resume", monkeypatch=monkeypatch)
    for name in ("policy_best.ckpt", "policy_last.ckpt"):
        assert (load_policy(tmp_path / "run" / name).action_max == 3 + 10).all()
    call(dataset, tmp_path / "run", "--num_steps", "4", "--resume", monkeypatch=monkeypatch)
    assert read_checkpoint(tmp_path / "run" / "policy_last.ckpt")["step"] == 4
    with pytest.raises(ValueError, match="--eval_every is 2; ACT acts only after its training"):
        call(dataset, tmp_path / "other", "--num_steps", "4", "--eval_every", "2", monkeypatch=monkeypatch)
    assert not (tmp_path / "other").exists()


def test_ctrl_c_saves_and_resume_goes_on(dataset, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with subprocess.Popen(
        command(dataset, run, "--num_steps", "100000", "--validate_every", "5"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 120
        while not (run / "policy_last.ckpt").is_file() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume goes on from there" in output
    step = read_checkpoint(run / "policy_last.ckpt")["step"]
    assert step >= 5
    call(dataset, run, "--num_steps", str(step + 3), "--resume", monkeypatch=monkeypatch)
    assert read_checkpoint(run / "policy_last.ckpt")["step"] == step + 3


def test_a_dry_run_tells_what_it_takes_and_writes_nothing(dataset, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    call(dataset, run, "--num_steps", "6", "--dry_run", monkeypatch=monkeypatch)
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("dry run: memory: about ") and ": 6 steps take about 0 min" in said
    assert not run.exists()
    call(dataset, run, "--num_steps", "6", monkeypatch=monkeypatch)
    before = files_in(run)
    call(dataset, run, "--num_steps", "9", "--dry_run", "--resume", monkeypatch=monkeypatch)
    assert ": 3 steps take about 0 min" in capsys.readouterr().out and files_in(run) == before


def test_a_run_is_not_overwritten_unasked(dataset, tmp_path, monkeypatch):
    call(dataset, tmp_path / "run", "--num_steps", "2", monkeypatch=monkeypatch)
    with pytest.raises(ValueError, match="--resume to go on with it, or --overwrite to begin anew"):
        call(dataset, tmp_path / "run", "--num_steps", "2", monkeypatch=monkeypatch)
    call(dataset, tmp_path / "run", "--num_steps", "3", "--overwrite", monkeypatch=monkeypatch)
    assert read_checkpoint(tmp_path / "run" / "policy_last.ckpt")["step"] == 3


def test_nothing_of_an_earlier_run_is_taken_for_the_next_ones(dataset, tmp_path, monkeypatch):
    """However soon that is ended: neither --resume nor --eval finds what was there before."""
    run = tmp_path / "run"
    flags = ("--num_steps", "4", "--save_every", "1", "--keep_last", "2")
    call(dataset, run, *flags, monkeypatch=monkeypatch)
    (run / "notes.txt").write_text("mine")

    def dies(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(imitation, "fit", dies)
        with pytest.raises(RuntimeError, match="killed"):
            call(dataset, run, "--num_steps", "2", "--overwrite", monkeypatch=monkeypatch)
    left = {path.name for path in run.iterdir() if path.is_file()}
    assert left == {"commands.json", "config.json", "notes.txt", "report.html"}
    call(dataset, run, *flags, monkeypatch=monkeypatch)
    call(dataset, run, "--overwrite", "--num_steps", "2", *flags[2:], monkeypatch=monkeypatch)
    assert {path.name for path in run.glob("policy_step*")} == {
        "policy_step_1_seed_0.ckpt",
        "policy_step_2_seed_0.ckpt",
    }


def test_a_run_goes_on_with_flags_that_are_heeded(dataset, tmp_path, monkeypatch):
    run = tmp_path / "run"
    call(dataset, run, "--num_steps", "2", monkeypatch=monkeypatch)
    for flag, value in (("lr", "0.5"), ("weight_decay", "0.5"), ("seed", "7")):
        with pytest.raises(
            ValueError, match=f"begun with --{flag} .*, this command has {value}; give the same"
        ):
            call(dataset, run, "--num_steps", "3", "--resume", f"--{flag}", value, monkeypatch=monkeypatch)
    call(dataset, run, "--num_steps", "3", "--resume", "--batch_size", "3", monkeypatch=monkeypatch)
    flags = json.loads((run / "config.json").read_text())
    assert (flags["num_steps"], flags["batch_size"]) == (3, 3)


def test_two_runs_of_a_command_give_the_same_policy(dataset, tmp_path, monkeypatch):
    for name in ("a", "b"):
        call(dataset, tmp_path / name, "--num_steps", "4", monkeypatch=monkeypatch)
    one, other = (read_checkpoint(tmp_path / name / "policy_best.ckpt")["weights"] for name in ("a", "b"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_views_and_augmentation_reach_training_and_the_checkpoint(dataset, tmp_path, monkeypatch):
    flags = ("--crop", "top=8,4,120,92", "--augment", "color", "crop", "--state_dropout", "0.5")
    flags += ("--roi", "top=9,9,60,60", "--roi_weight", "top=0.3", "--state_noise", "0.1")
    flags += ("--zero_camera", "top=0.2", "--num_steps", "3")
    call(dataset, tmp_path / "run", *flags, monkeypatch=monkeypatch)
    policy = load_policy(tmp_path / "run" / "policy_last.ckpt")
    view = View((96, 128), roi=(9, 9, 60, 60), roi_weight=0.3, crop=(8, 4, 120, 92))
    assert policy.interface.views == {"top": view}
    assert policy.interface.augmentations == ("crop", "color")
    call(dataset, tmp_path / "run", *flags[:-1], "5", "--resume", monkeypatch=monkeypatch)
    assert read_checkpoint(tmp_path / "run" / "policy_last.ckpt")["step"] == 5
    with pytest.raises(ValueError, match="the run to resume has views"):
        call(dataset, tmp_path / "run", *flags[2:-1], "7", "--resume", monkeypatch=monkeypatch)


def test_any_other_dataset_is_trained_on_as_its_files_say(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for i in range(3):
        episode = make_episode(rng, steps=20 + i, cameras=("wrist", "front"), dim=6)
        episode.base_action = rng.normal(size=(20 + i, 2))
        episode.task = ""
        episode.save(episode_path(tmp_path / "mine", i))
    call(
        tmp_path / "mine",
        tmp_path / "run",
        "--num_steps",
        "2",
        "--task_name",
        "mine",
        monkeypatch=monkeypatch,
    )
    printed = capsys.readouterr().out
    assert "'mine' is none of the tasks" in printed and "--eval" not in printed
    assert "check: an action is the state of the next step: " in printed
    interface = read_checkpoint(tmp_path / "run" / "policy_last.ckpt")["interface"]
    assert interface["state_dim"] == 6 and interface["action_dim"] == 8
    assert list(interface["cameras"]) == ["front", "wrist"] and not interface["recovers"]
    episode.base_action = None
    episode.save(episode_path(tmp_path / "mine", 3))
    with pytest.raises(ValueError, match="has [68] entries a step, but .* has [68]"):
        call(tmp_path / "mine", tmp_path / "other", "--task_name", "mine", monkeypatch=monkeypatch)


def test_several_datasets_are_trained_on_together(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for name, n in (("a", 5), ("b", 2), ("c_mirror", 1)):
        for i in range(n):
            episode = replace(make_episode(rng, steps=12), recovers=name == "b")
            episode.save(episode_path(tmp_path / name, i))
    far = make_episode(rng, steps=12)
    far.qpos += 5
    far.save(episode_path(tmp_path / "far", 0))
    folders = [str(tmp_path / name) for name in ("a", "b", "c_mirror")]
    flags = (
        "--num_steps",
        "2",
        "--dataset_dir",
        *folders,
        "--sample_weights",
        "7",
        "2",
        "1",
        "--cache",
        "jpeg",
        "--no_check",
    )
    call(tmp_path, tmp_path / "run", *flags, monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    assert "check:" not in printed
    assert "7 episodes to train on and 1 to validate" in printed and "frames (cache jpeg)" in printed
    checkpoint = read_checkpoint(tmp_path / "run" / "policy_last.ckpt")
    stats, interface = checkpoint["weights"], checkpoint["interface"]
    assert interface["recovers"]
    loaded = [Episode.load(path).qpos for folder in folders for path in list_episodes(folder)]
    np.testing.assert_allclose(stats["qpos_mean"], np.concatenate(loaded).mean(axis=0), atol=1e-5)
    assert (tmp_path / "b" / "dataset_stats.json").is_file()
    flags = (*flags, "--skip_mirrored_data", "--stats_dir", str(tmp_path / "far"))
    call(tmp_path, tmp_path / "other", *flags, monkeypatch=monkeypatch)
    assert "6 episodes to train on and 1 to validate" in capsys.readouterr().out
    stats = read_checkpoint(tmp_path / "other" / "policy_last.ckpt")["weights"]
    np.testing.assert_allclose(stats["qpos_mean"], far.qpos.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("flag", "kind", "message"),
    [
        ("--dataset_dir", "dim", "has 7 entries a step, but"),
        ("--dataset_dir", "camera", ", unlike "),
        ("--stats_dir", "dim", "has 7 entries a step, but"),
    ],
)
def test_datasets_that_do_not_go_together_are_refused(dataset, tmp_path, monkeypatch, flag, kind, message):
    changes = {"dim": {"dim": 7}, "camera": {"cameras": ("front",)}}[kind]
    make_episode(np.random.default_rng(0), **changes).save(episode_path(tmp_path / "b", 0))
    folders = [str(dataset), str(tmp_path / "b")] if flag == "--dataset_dir" else [str(tmp_path / "b")]
    with pytest.raises(ValueError, match=message) as caught:
        call(dataset, tmp_path / "run", "--num_steps", "2", flag, *folders, monkeypatch=monkeypatch)
    assert str(tmp_path / "b") in str(caught.value) and str(dataset) in str(caught.value)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--task_name", "sim_transfer_cube_script", "--eval"), "did you mean 'sim_transfer_cube_scripted'?"),
        (("--camera_names", "left"), "no camera 'left'"),
        (("--policy_class", "ATC"), "unknown policy class 'ATC'; did you mean 'ACT'?"),
        (("--batch_size", "0"), "--batch_size is 0"),
        (("--nheads", "5"), "a multiple of 4 and of 5 heads"),
        (("--backbone", "resnet81"), "unknown backbone 'resnet81'"),
        (("--dataset_dir", "nowhere"), "record some first: python3 record_sim_episodes.py"),
        (("--sample_weights", "1", "2"), "--sample_weights is 1.0 2.0; give one number"),
        (("--skip_mirrored_data", "--stats_dir", "nowhere"), "record some first"),
        (("--eval",), "no checkpoint"),
        (("--eval", "--num_videos", "many"), "--num_videos is 'many'"),
        (("--eval", "--first_rollout", "-1"), "--first_rollout is -1; it must be at least 0"),
        (("--eval", "--knock_loose", "0"), "--knock_loose is 0; it must be 1 to 100000"),
        (("--image_size", "0", "64"), "--image_size has 0; it must be 8 to 8192"),
        (("--early_share", "2"), "--early_share is 2.0"),
        (("--eval_every", "1", "--query_every", "999"), "query_every is 999; the policy's chunks have 1 to"),
        (("--eval_every", "1", "--task_name", "sim_move_cube_scripted"), "has 7: give the --task_name"),
        (("--crop", "top=0,0,129,96"), "--crop top=0,0,129,96: x0,y0,x1,y1 must satisfy 0 <= x0 < x1 <= 128"),
        (("--mask_outside", "angle=0,0,9,9"), "unknown camera of --mask_outside 'angle'; choose from top"),
        (("--zero_camera", "top=2"), "--zero_camera top is 2.0; it must be 0 to 1"),
        (("--augment", "none", "crop"), "--augment is none crop; none must stand alone"),
        (("--state_dropout", "2"), "--state_dropout is 2.0"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(dataset, tmp_path, monkeypatch, flags, message):
    with pytest.raises((ValueError, OSError)) as caught:
        call(dataset, tmp_path / "run", "--num_steps", "2", *flags, monkeypatch=monkeypatch)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_lie_among_its_episodes(dataset, monkeypatch):
    before = files_in(dataset)
    with pytest.raises(ValueError, match="holds the episodes; give the run a folder of its own"):
        call(dataset, dataset, "--num_steps", "2", monkeypatch=monkeypatch)
    assert files_in(dataset) == before


def test_what_actions_have_beyond_the_arms_is_no_reason_to_refuse():
    """As in ACT++'s checkpoints: speeds of a base."""
    job = EvalJob(Path("a.ckpt"), TASKS[TASK])
    for takes, gives in ((14, 14), (14, 16), (14, 7), (16, 16)):
        policy = make_act()
        policy.interface = replace(policy.interface, state_dim=takes, action_dim=gives)
        actor = TorchActor(policy)
        if takes == 14 <= gives:
            job.check(actor)
        else:
            with pytest.raises(ValueError, match=f"of {takes} numbers and gives actions of {gives}; "):
                job.check(actor)


def test_help_shows_defaults():
    shown = subprocess.run([sys.executable, str(SCRIPT), "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    for flag in ("--kl_weight", "--chunk_size", "--temporal_agg", "--onscreen_render", "--num_epochs"):
        assert flag in shown.stdout
    assert "(default: 2000)" in shown.stdout


# --- --config


def test_config_json_repeats_a_run(tmp_path):
    flags = ["--task_name", "sim_transfer_cube_scripted", "--ckpt_dir", "a", "--image_size", "48", "64"]
    first = imitate_episodes.parse_flags([*flags, "--no_encoder", "--lr", "0.1", "--resume", "--seed", "4"])
    write_config(tmp_path, *first)
    path = str(tmp_path / "config.json")
    again = imitate_episodes.parse_flags(["--config", path])
    assert again == (replace(first[0], resume=False, config=path), *first[1:])
    other = imitate_episodes.parse_flags(["--config", path, "--ckpt_dir", "b", "--lr", "0.2"])
    assert other[0].ckpt_dir == "b" and other[1] == replace(first[1], lr=0.2) and other[2] == first[2]


def test_a_run_tells_which_checkpoint_to_use(tmp_path):
    """As it was trained with; a name that is given counts more; without a run's flags, the best."""
    assert run_checkpoint(tmp_path) == tmp_path / "policy_best.ckpt"
    flags = ["--task_name", "sim_transfer_cube_scripted", "--ckpt_dir", "a"]
    preset = str(ROOT / "presets/small.json")
    for given, wanted in (([], "policy_best.ckpt"), (["--config", preset], "policy_last.ckpt")):
        write_config(tmp_path, *imitate_episodes.parse_flags([*flags, *given]))
        assert run_checkpoint(tmp_path) == tmp_path / wanted
    assert run_checkpoint(tmp_path, "policy_step_5_seed_0.ckpt") == tmp_path / "policy_step_5_seed_0.ckpt"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not a JSON file of flags"),
        ("[1]", "must hold an object"),
        (None, "config.json is a folder, not a JSON file of flags"),
        ('{"learning_rate": 1}', "has the flag 'learning_rate'; this script has .*lr"),
    ],
)
def test_a_config_that_is_none_is_refused(tmp_path, content, said):
    path = tmp_path / "config.json"
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(ValueError, match=said):
        imitate_episodes.parse_flags(["--config", str(tmp_path / "config.json")])


def test_wandb_is_asked_for_before_training(monkeypatch):
    monkeypatch.setattr(logs.importlib.util, "find_spec", lambda name: None if name == "wandb" else name)
    with pytest.raises(ImportError, match="a log at Weights & Biases needs the package wandb"):
        imitate_episodes.parse_flags(["--task_name", "t", "--ckpt_dir", "c", "--wandb", "mine"])


def test_two_trainings_in_one_folder(dataset, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with hold(run), pytest.raises(Held, match=f"at work in {run}: process {os.getpid()}, "):
        call(dataset, run, "--num_steps", "1", monkeypatch=monkeypatch)
    assert list(tmp_path.iterdir()) == [], "the second has written nothing"
    call(dataset, run, "--num_steps", "1", monkeypatch=monkeypatch)
    (run / ".policy_last.ckpt.99999999.part").touch()  # of a process that was killed
    monkeypatch.setattr(files, "_swept", set())
    call(dataset, run, "--num_steps", "1", "--resume", monkeypatch=monkeypatch)
    assert not list(run.glob(".*.part"))


def test_a_run_that_cannot_go_on_is_left_as_it_was(dataset, tmp_path, monkeypatch):
    run = tmp_path / "run"
    call(dataset, run, "--num_steps", "2", monkeypatch=monkeypatch)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    with pytest.raises(ValueError, match="the run to resume has kl_weight"):
        call(dataset, run, "--num_steps", "2", "--resume", "--kl_weight", "3", monkeypatch=monkeypatch)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("flags", [("--backbone", "tny"), ("--backbone_weights", "nowhere.pth")])
def test_a_backbone_is_looked_for_before_the_data(tmp_path, monkeypatch, flags):
    with pytest.raises((ValueError, FileNotFoundError), match="tny|nowhere.pth"):
        call(tmp_path / "no data", tmp_path / "run", *flags, monkeypatch=monkeypatch)
    assert not (tmp_path / "run").exists()
