"""`--disturb`: its words, and sweeps, which are kept by cell, shown as a table, and go on where they stop."""

import dataclasses
import json

import pytest
from synthetic import make_act

import imitate_episodes
from constants import TASKS
from disturbances import AXES, STRENGTHS, is_sweep, read_set, read_sweep
from evaluation import sweep as sweeps
from evaluation.results.outcomes import Outcome
from evaluation.results.sweeps import Score, Sweep
from evaluation.settings import Settings
from policy import save_policy
from training import imitation

TASK = dataclasses.replace(TASKS["sim_transfer_cube_scripted"], episode_len=6)


def flags(folder, *words):
    places = ["--task_name", TASK.name, "--ckpt_dir", str(folder), "--num_workers", "1"]
    return imitate_episodes.parse_flags([*places, "--eval", *words])[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nois=middle",), "unknown disturbance 'nois'; did you mean 'noise'? choose from noise, blur"),
        (
            ("noise=midle",),
            "unknown strength 'midle'; did you mean 'middle'? choose from mild, middle, strong",
        ),
        (("noise=",), "unknown strength ''; choose from mild, middle, strong"),
        (("noise=mild", "noise=strong"), "--disturb has 'noise' twice; give it once"),
        (("pictures", "noise"), "--disturb has 'noise' twice, by 'noise' too; give it once"),
        (("all", "arm=mild"), "--disturb has 'joint_offset' twice, by 'arm=mild' too; give it once"),
        (("noise=mild", "arm"), "--disturb has 'noise=mild' beside a sweep; give noise without a strength"),
        (
            ("noise=mild", "light=mild", "--randomize"),
            "has light=mild, which --randomize varies too; give one",
        ),
        (("all=mild", "--randomize"), "--disturb has camera=mild, which --randomize varies too; give one of"),
        (("picture",), "unknown disturbance 'picture'; did you mean 'pictures'? choose from all, pictures"),
    ],
)
def test_a_word_that_makes_no_sense_is_one_line(tmp_path, words, message):
    with pytest.raises(ValueError) as error:
        flags(tmp_path / "run", "--disturb", *words)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_words_say_what_is_evaluated():
    assert not is_sweep(None) and not is_sweep(["noise=mild", "mass=strong"])
    assert list(map(str, read_set(["mass=strong", "noise=mild"]))) == ["noise=mild", "mass=strong"]
    assert is_sweep(["noise"]) and is_sweep(["all=middle"])
    assert [[str(each) for each in cell] for cell in read_sweep(["noise"])] == [
        [],
        *([f"noise={level}"] for level in STRENGTHS),
    ]
    assert len(read_sweep(["all"])) == 1 + 3 * len(AXES) and len(read_sweep(["all=mild"])) == 1 + len(AXES)


def test_help_names_every_disturbance(capsys):
    with pytest.raises(SystemExit):
        imitate_episodes.parse_flags(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(f" {name}" in text for name in (*AXES, *STRENGTHS, "pictures"))


def test_training_takes_no_sweep(tmp_path):
    config, training, _ = imitate_episodes.parse_flags(
        ["--task_name", TASK.name, "--ckpt_dir", str(tmp_path), "--eval_every", "1", "--disturb", "all"]
    )
    with pytest.raises(ValueError, match="--disturb is all, a sweep; --eval_every takes NAME=STRENGTH alone"):
        imitation.make_evaluation(config, training, TASK, None)


@pytest.fixture
def run(tmp_path):
    """A run's folder."""
    save_policy(tmp_path / "policy_best.ckpt", make_act())
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """What is run; the stronger the disturbance, the fewer rollouts succeed."""
    calls = []

    def run_one(job, index, view=None):
        calls.append((job.flags.disturb, index))
        level = job.flags.disturb[0].partition("=")[2] if job.flags.disturb else ""
        fails = {"": 0, "mild": 0, "middle": 1, "strong": 3}[level]
        return Outcome(index, TASK.max_reward if index >= fails else 0, 1.0, strict_success=index >= fails)

    monkeypatch.setattr(sweeps, "run_one", run_one)
    return calls


def evaluate(run, capsys, *words) -> str:
    capsys.readouterr()
    imitation.evaluate_run(flags(run, "--num_rollouts", "4", *words), TASK)
    return capsys.readouterr().out


def test_a_sweep_is_a_table_a_picture_and_json(run, calls, capsys):
    printed = evaluate(run, capsys, "--disturb", "noise", "mass")
    assert len(calls) == 4 * 7
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "undisturbed 100 % (51-100)" in lines
    noise = "noise 10: 100 % (51-100) 25: 75 % (30-95) 40: 25 % (5-70) of 255: grain on each pixel"
    assert any(line.startswith(noise) for line in lines)
    assert "at middle strength: mean of 2 axes 75.0 %, worst noise 75.0 %" in lines
    (folder,) = (run / "disturbances").iterdir()
    assert (folder / "disturbances.png").read_bytes()[:4] == b"\x89PNG"
    for copy in (run / "disturbances_policy_best.json", folder / "disturbances.json"):
        content = json.loads(copy.read_text())
        assert content["mean_at_middle"] == 0.75 and content["settings"]["count"] == 4
        middle = next(s for s in content["scores"] if (s["name"], s["level"]) == ("noise", "middle"))
        assert (middle["strength"], middle["unit"], middle["success_rate"]) == (25, "of 255", 0.75)
        assert middle["success_rate_95"] == pytest.approx([0.3006, 0.9544], abs=1e-3)
    page = (run / "report.html").read_text()
    assert "Not evaluated yet" not in page
    assert "Disturbances" in page and "grain on each pixel" in page and "disturbances.png" in page
    assert not (run / "evaluations").exists(), "a sweep is no evaluation among others"


def test_what_is_there_is_not_run_again(run, calls, capsys):
    evaluate(run, capsys, "--disturb", "noise")
    calls.clear()
    printed = evaluate(run, capsys, "--disturb", "noise")
    assert not calls and "75 %" in printed
    (cell,) = run.glob("disturbances/*/noise_middle_25")
    (cell / "result_policy_best.json").unlink()
    printed = evaluate(run, capsys, "--disturb", "noise", "blur")
    assert {disturb for disturb, _ in calls} == {("noise=middle",), *((f"blur={s}",) for s in STRENGTHS)}
    calls.clear()
    evaluate(run, capsys, "--disturb", "blur", "--seed", "1")
    assert len(calls) == 4 * 4, "another seed"


def test_a_checkpoint_that_was_trained_anew_is_evaluated_anew(run, calls, capsys):
    evaluate(run, capsys, "--disturb", "noise")
    calls.clear()
    policy = make_act()
    next(policy.parameters()).data.add_(1.0)
    save_policy(run / "policy_best.ckpt", policy)
    evaluate(run, capsys, "--disturb", "noise")
    assert len(calls) == 4 * 4
    assert "an earlier training" in (run / "report.html").read_text()


def test_a_sweep_that_is_stopped_goes_on(run, calls, capsys, monkeypatch):
    run_one = sweeps.run_one

    def stopped(job, index, view=None):
        if job.flags.disturb == ("noise=strong",):
            raise KeyboardInterrupt
        return run_one(job, index, view)

    monkeypatch.setattr(sweeps, "run_one", stopped)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, capsys, "--disturb", "noise")
    monkeypatch.setattr(sweeps, "run_one", run_one)
    calls.clear()
    printed = evaluate(run, capsys, "--disturb", "noise")
    assert {disturb for disturb, _ in calls} == {("noise=strong",)} and "40: 25 %" in printed


def test_a_file_that_is_no_sweep_is_named_in_the_report(run, calls, capsys):
    evaluate(run, capsys, "--disturb", "noise")
    (path,) = run.glob("disturbances/*/disturbances.json")
    content = json.loads(path.read_text())
    content["scores"][0]["successes"] = 9
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="cannot be"):
        Sweep.read(path)
    from viewers.reports.page import write_report

    assert "disturbances.json cannot be read" in write_report([run]).read_text()


def test_a_table_may_have_holes():
    settings = Settings(checkpoints=("policy_best.ckpt",), count=4)
    score = Score(3, 4, "noise", "strong", 40.0, "of 255", "pictures", "grain")
    sweep = Sweep("t", "policy_best.ckpt", settings, (score,))
    assert sweep.undisturbed is None and sweep.conclusion() == ""
    assert " ".join(sweep.text().splitlines()[-1].split()) == "noise - - 40: 75 % (30-95) of 255: grain"


def test_real_rollouts_of_a_sweep_and_of_a_set(run, capsys):
    evaluate(run, capsys, "--num_rollouts", "1", "--disturb", "frozen_pictures", "--num_videos", "0")
    (folder,) = (run / "disturbances").iterdir()
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {
        "undisturbed",
        *(f"frozen_pictures_{level}" for level in ("mild_0.5", "middle_1", "strong_2")),
    }
    printed = evaluate(
        run,
        capsys,
        "--num_rollouts",
        "1",
        "--num_videos",
        "0",
        "--disturb",
        "mass=strong",
        "camera=mild",
        "noise=middle",
    )
    assert "disturbed by noise=middle, camera=mild, mass=strong" in printed
    (result,) = run.glob("evaluations/*_noise_middle_camera_mild_mass_strong_*/result_policy_best.json")
    words = ["noise=middle", "camera=mild", "mass=strong"]
    assert json.loads(result.read_text())["settings"]["disturb"] == words


def test_results_of_another_task_are_none_of_this_one(run, calls, capsys):
    evaluate(run, capsys, "--disturb", "noise")
    before, own = len(calls), json.loads((run / "disturbances_policy_best.json").read_text())
    other = dataclasses.replace(TASK, name="sim_insertion_scripted")
    imitation.evaluate_run(flags(run, "--num_rollouts", "4", "--disturb", "noise"), other)
    assert len(calls) == 2 * before
    assert len(list((run / "disturbances").iterdir())) == 2, "each has a folder of its own"
    changed = dataclasses.replace(TASK, stages=TASK.stages[:2], strict=None)
    imitation.evaluate_run(flags(run, "--num_rollouts", "4", "--disturb", "noise"), changed)
    assert len(calls) == 3 * before and own["task"] == TASK.name


def test_a_checkpoint_that_is_written_anew_meanwhile_ends_it(run, monkeypatch, capsys):
    """Else one table would mix two policies, under the name of the first."""

    def run_one(job, index, view=None):
        save_policy(run / "new.ckpt", make_act(dropout=0.3))
        (run / "new.ckpt").replace(run / "policy_best.ckpt")
        return Outcome(index, len(str(job.load("cpu"))), 1.0)

    monkeypatch.setattr(sweeps, "run_one", run_one)
    with pytest.raises(ValueError, match="policy_best.ckpt was written anew meanwhile, as by a training"):
        evaluate(run, capsys, "--disturb", "noise")
