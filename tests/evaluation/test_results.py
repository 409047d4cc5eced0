"""Where evaluations are kept: none erases another, and what a file says is checked before it is believed."""

import dataclasses
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from evaluation.results.folders import content_version, list_results, open_evaluation, read_result
from evaluation.results.outcomes import Outcome, Summary, write_summary
from evaluation.settings import Settings
from viewers.provenance import note_command, read_commands

STAGES = ("touched", "lifted")


def summary(rewards=(2, 0, 1), takeovers=(0, 0, 0), settings=None, checkpoint="policy_last.ckpt", **values):
    outcomes = tuple(
        Outcome(i, reward, float(reward or 0), takeovers=n)
        for i, (reward, n) in enumerate(zip(rewards, takeovers, strict=True))
    )
    how = (settings or Settings()).execution
    return Summary("t", checkpoint, how, 0, outcomes, STAGES, settings=settings, **values)


def keep(run: Path, settings: Settings, **values) -> Path:
    with open_evaluation(run, settings) as folder:
        (folder / "rollout_0.mp4").write_text(f"video of {settings.name()}")
        write_summary(summary(settings=settings, **values), folder)
    return folder


PLAIN = Settings(checkpoints=("policy_last.ckpt",), version="0123abcd", count=3)


@pytest.mark.parametrize(
    "change",
    [
        {"temporal_agg": True},
        {"query_every": 5},
        {"temporal_agg": True, "query_every": 5},
        {"join": "fade"},
        {"join": "fade", "join_seconds": 0.3},
        {"temporal_agg": True, "ensemble_decay": -0.1},
        {"temporal_agg": True, "ensemble_drop": 1.0},
        {"seed": 1},
        {"first": 100},
        {"count": 7},
        {"randomize": True},
        {"randomize": True, "looks": "real"},
        {"randomize": True, "drift": True},
        {"room": 5},
        {"knock_loose": 32},
        {"disturb": ("noise=middle",)},
        {"render_quality": "full"},
        {"robot": "twin", "sync": False},
        {"robot": "twin", "sync": True},
        {"checkpoints": ("policy_best.ckpt",)},
        {"version": "99999999"},
        {"cameras": ("top",)},
        {"fps": 5.0},
        {},
    ],
    ids=str,
)
def test_no_evaluation_erases_another(tmp_path, change):
    """Whatever differs, and where nothing does."""
    first = keep(tmp_path, PLAIN)
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    second = keep(tmp_path, dataclasses.replace(PLAIN, **change), rewards=(0, 0, 0))
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before and second != first
    assert {path.parent for path in list_results(tmp_path)} == {first, second}
    newest = json.loads((tmp_path / "result_policy_last.json").read_text())
    assert newest["successes"] == 0 and (tmp_path / newest["kept_in"]) == second
    assert "0 of 3" in (tmp_path / "result_policy_last.txt").read_text()


def test_folders_tell_how_it_was_done():
    made = dataclasses.replace(PLAIN, first=1000, seed=3, query_every=20, knock_loose=32, randomize=True)
    assert made.name() == "policy_last_1000_to_1002_seed_3_looks_query_every_20_knock_loose_32_0123abcd"
    assert made.execution == "20 actions of each chunk; randomized looks; knocked loose after 32 steps"
    made = dataclasses.replace(PLAIN, temporal_agg=True, join="fade", ensemble_decay=-0.1, ensemble_drop=0.5)
    assert made.name() == "policy_last_0_to_2_seed_0_ensembling_decay_-0.1_drop_0.5_fade_0.2_0123abcd"
    assert made.execution == "temporal ensembling with decay -0.1, dropping beyond 0.5, joined over 0.2 s"
    arm = dataclasses.replace(PLAIN, join="fade", fps=10.0, sync=True)  # fades over 5 steps at least
    assert arm.execution == "one chunk after another, joined over 0.5 s, waited for"
    made = dataclasses.replace(PLAIN, randomize=True, looks="real", drift=True)
    assert made.name() == "policy_last_0_to_2_seed_0_looks_real_drift_0123abcd"


def _keep_one(run: str, number: int, barrier) -> None:
    with open_evaluation(Path(run), PLAIN) as folder:
        barrier.wait()  # all are going on at the same time
        note_command(Path(run), f"evaluation {number}", ("x.py",))
        (folder / "rollout_0.mp4").write_text(str(number))
        write_summary(summary(rewards=(number, 0, 0), settings=PLAIN), folder)


def test_evaluations_at_the_same_time_keep_apart(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    old = json.dumps(summary(rewards=(1, 1, 1)).as_dict() | {"settings": None})
    (tmp_path / "result_policy_last.json").write_text(old)
    made = [context.Process(target=_keep_one, args=(str(tmp_path), i, barrier)) for i in range(3)]
    for process in made:
        process.start()
    for process in made:
        process.join()
    assert [process.exitcode for process in made] == [0, 0, 0]
    results = {path: read_result(path) for path in list_results(tmp_path)}
    found = {told.outcomes[0].highest_reward: path for path, told in results.items() if told.settings}
    assert set(found) == {0, 1, 2} and len(results) == 4, "and the earlier one"
    assert {each["what"][-1] for each in read_commands(tmp_path)} == {"0", "1", "2"}
    assert all((path.parent / "rollout_0.mp4").read_text() == str(i) for i, path in found.items())
    assert not list(tmp_path.rglob("*.part"))


def test_what_ends_without_a_result_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_evaluation(tmp_path, PLAIN) as folder:
        (folder / "rollout_0.mp4").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), open_evaluation(tmp_path, PLAIN) as folder:
        write_summary(summary(settings=PLAIN), folder)  # of the runs up to then
        raise KeyboardInterrupt
    assert (tmp_path / "result_policy_last.json").is_file() and len(list_results(tmp_path)) == 1


def test_results_of_earlier_versions_are_kept_and_read(tmp_path):
    """They lay in the run's folder, under the name that the newest has now."""
    old = json.loads(json.dumps(summary(rewards=(2, 2, 2)).as_dict()))
    for name in ("settings", "made", "counted", "helped", "unknown"):
        del old[name]
    for outcome in old["outcomes"]:
        for name in ("takeovers", "episode", "filmed"):
            del outcome[name]
    (tmp_path / "result_policy_last.json").write_text(json.dumps(old))
    (tmp_path / "result_policy_last.txt").write_text("3 of 3")
    (path,) = list_results(tmp_path)
    assert read_result(path).successes == 3 and read_result(path).helped == 0
    kept = keep(tmp_path, PLAIN)
    earlier = tmp_path / "evaluations" / "earlier_result_policy_last"
    assert {path.parent for path in list_results(tmp_path)} == {kept, earlier}
    assert json.loads((earlier / "result_policy_last.json").read_text()) == old
    assert (earlier / "result_policy_last.txt").read_text() == "3 of 3"
    keep(tmp_path, PLAIN)
    assert len(list_results(tmp_path)) == 3


def test_a_copy_whose_own_is_gone_counts(tmp_path):
    folder = keep(tmp_path, PLAIN)
    for path in folder.iterdir():
        path.unlink()
    assert [path.parent for path in list_results(tmp_path)] == [tmp_path]


def test_a_checkpoint_that_is_trained_anew_has_another_version(tmp_path):
    one, other = tmp_path / "a.ckpt", tmp_path / "b.ckpt"
    one.write_bytes(b"weights")
    other.write_bytes(b"others")
    before = content_version([one])
    os.utime(one, ns=(1, 1))
    assert content_version([one]) == before != content_version([other])
    assert content_version([one, other]) not in (before, content_version([other]))


# --- what counts


def test_only_runs_without_help_and_of_known_outcome_count():
    told = summary(rewards=(2, 2, 0, None, 2), takeovers=(0, 1, 0, 0, 3))
    assert (told.n, told.successes, told.helped, told.unknown) == (2, 1, 2, 1)
    assert [told.reached(1), told.reached(2)] == [1, 1] and told.mean_return == 1.0
    lines = told.text().splitlines()
    assert lines[0].startswith("t: 1 of 2 rollouts succeeded: 50.0%")
    assert lines[2:4] == [
        "  2 of 5 runs were helped: not counted",
        "  1 of 5 runs was of unknown outcome: not counted",
    ]
    again = Summary.from_dict(json.loads(json.dumps(told.as_dict())))
    assert again == told


def test_where_nothing_counts_there_is_no_rate():
    told = summary(rewards=(2, None), takeovers=(1, 0))
    written = json.loads(json.dumps(told.as_dict(), allow_nan=False))
    rates = ("success_rate", "success_rate_95", "strict_success_rate", "mean_return")
    assert [written[name] for name in rates] == [None] * 4
    assert "0 of 0 rollouts succeeded: unknown, as none counts" in told.text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcomes": None}, "outcomes is None; it must be a list"),
        ({"outcomes": [3]}, r"outcomes\[0\] is 3; it must be an object"),
        ({"outcomes": [{"index": 0, "total_reward": 1.0}]}, r"outcomes\[0\].highest_reward is missing"),
        ({"outcomes": [{"index": -1, "highest_reward": 0, "total_reward": 0}]}, "cannot be"),
        ({"outcomes": [{"index": 0, "highest_reward": 9, "total_reward": 0}]}, "cannot be"),
        ({"outcomes": [{"index": 0, "highest_reward": "2", "total_reward": 0}]}, "must be a whole number"),
        ({"outcomes": [{"index": 0, "highest_reward": True, "total_reward": 0}]}, "must be a whole number"),
        ({"outcomes": [{"index": 0, "highest_reward": 1, "total_reward": float("nan")}]}, "finite"),
        ({"outcomes": [{"index": 1e308, "highest_reward": 1, "total_reward": 0}]}, "whole number"),
        ({"stages": "touched"}, "stages is 'touched'; it must be a list"),
        ({"rollouts": "3"}, "rollouts is '3'; its outcomes make it 3"),
        ({"rollouts": 2}, "rollouts is 2; its outcomes make it 3"),
        ({"successes": 4}, "successes is 4; its outcomes make it 1"),
        ({"choice_counts": [1]}, "choice_counts is"),
        ({"choice_counts": {"case": {"B1": "<b>"}}}, "choice_counts is"),
        ({"stage_counts": {"touched": 9}}, "stage_counts is"),
        ({"cases": {"a": 1}}, "cases is"),
        ({"settings": {"cameras": "top"}}, "settings.cameras is 'top'"),
        ({"seed": 10**400}, "seed is 1000"),
        ({"task": None}, "task is None; it must be text"),
    ],
    ids=str,
)
def test_a_file_that_contradicts_itself_is_no_result(tmp_path, change, message):
    path = tmp_path / "result_policy_last.json"
    path.write_text(json.dumps({**summary().as_dict(), **change}))
    with pytest.raises(ValueError, match=message) as error:
        read_result(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize("content", ["", "[1]", "null", "3", "{", "[" * 90_000, '{"task": "x"}', "\x00"])
def test_what_is_no_result_is_one_line(tmp_path, content):
    path = tmp_path / "result_x.json"
    path.write_text(content)
    with pytest.raises(ValueError) as error:
        read_result(path)
    assert "\n" not in str(error.value)
    assert list_results(tmp_path) == [path]
