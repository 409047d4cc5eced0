"""`edit_episodes.py check` across episodes: its words, its JSON, its limits; and what training says first."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

import edit_episodes
from common import cli
from dataset_tools.inspection import Thresholds, find_problems
from doctor import Survey, examine_episode, jump_limits, training_lines
from doctor.survey import Sampling
from episodes import Episode, episode_path, list_episodes

N, T = 6, 40


def lively(rng, **values):
    """An episode whose commands are the states of the next step."""
    way = np.cumsum(rng.uniform(-0.03, 0.03, (T + 1, 14)), axis=0)
    way[:, [6, 13]] = 0.5
    frames = rng.integers(0, 256, (T, 24, 32, 3), np.uint8)
    return Episode(way[:T], way[1:], {"top": frames}, sim=False, **values)


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(N):
        lively(rng).save(episode_path(tmp_path / "data", i))
    return tmp_path / "data"


@pytest.fixture
def check(monkeypatch, capsys, dataset):
    def run(*flags):
        words = ["check", "--dataset_dir", dataset, "--num_workers", "1", *flags]
        monkeypatch.setattr(sys, "argv", ["edit_episodes.py", *map(str, words)])
        cli.run(edit_episodes.main)
        return capsys.readouterr().out

    return run


def test_findings_come_with_consequence_and_remedy(check, dataset):
    said = check("--only", "set")
    assert f"{N} episodes, a sample of their frames" in said
    line = next(line for line in said.splitlines() if line.startswith("across episodes: "))
    assert "an action is the state of the next step" in line and "lags behind" in line
    assert f"shift_actions --dataset_dir {dataset} --output_dir NEW --steps N" in line
    assert said.splitlines()[-1] == "nothing is wrong with the files; 1 finding across them"
    said = check("--only", "files")
    assert "across episodes" not in said and f"{N * T} frames" in said
    assert said.splitlines()[-1] == "nothing is wrong"


def test_the_remedy_is_carried_out_and_helps(check, dataset, tmp_path, monkeypatch):
    flags = ["--dataset_dir", dataset, "--output_dir", tmp_path / "new", "--steps", "2", "--num_workers", "1"]
    monkeypatch.setattr(sys, "argv", ["edit_episodes.py", "shift_actions", *map(str, flags)])
    cli.run(edit_episodes.main)
    before, after = (Episode.load(list_episodes(folder)[0]) for folder in (dataset, tmp_path / "new"))
    np.testing.assert_array_equal(after.action[:-2], before.action[2:])
    assert "across episodes" not in check("--only", "set", "--dataset_dir", tmp_path / "new")


def test_json_for_scripts(check, tmp_path):
    check("--only", "set", "--json", tmp_path / "checked.json")
    result = json.loads((tmp_path / "checked.json").read_text())
    assert json.loads(check("--only", "set", "--json", "-")) == result
    assert result["episodes"] == N and result["files"] == {} and result["cases"] == {}
    (finding,) = result["findings"]
    assert finding["name"] == "action_is_next_state" and finding["episodes"] == []
    assert finding.keys() == {"name", "what", "consequence", "remedy", "episodes", "camera"}
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="--json is .* is a file, not a folder"):
        check("--json", tmp_path / "file" / "checked.json")


def test_a_jump_is_told_by_the_steps_of_the_set_in_any_unit(dataset):
    paths = list_episodes(dataset)
    episodes = [Episode.load(path) for path in paths]
    ticks = [replace(each, qpos=652 * each.qpos, action=652 * each.action) for each in episodes]
    ticks[2].qpos[20, 3] += 900
    for path, each in zip(paths, ticks, strict=True):
        each.save(path, overwrite=True)
    every = [examine_episode(path, each, Sampling(0)) for path, each in zip(paths, ticks, strict=True)]
    limits = jump_limits(Survey(str(dataset), tuple(every)))
    found = {path.stem: find_problems(path, Thresholds(), limits).problems for path in paths}
    assert re.match(r"qpos: 2 jumps, the first of 9\d\d\.\d\d at step 20, entry 3", found.pop("episode_2")[0])
    assert not any(found.values())
    fixed = find_problems(paths[0], Thresholds(max_speed=8), limits).problems
    assert any("jumps" in problem for problem in fixed)
    assert jump_limits(Survey("few", tuple(every[:3]))) is None


def test_a_training_is_told_of_three_findings_at_most(dataset):
    episodes = {path: Episode.load(path, in_memory=False) for path in list_episodes(dataset)}
    (line,) = training_lines(episodes)
    assert line.startswith("check: an action is the state of the next step: ") and "\n" not in line
    wrong = {}
    for number, (path, each) in enumerate(episodes.items()):
        qpos, action = each.qpos.copy(), each.action.copy()
        qpos[:, 3], qpos[:, 9] = 0.1, 0.1
        action[:, 9] = 0.1
        action[:, 6] = 0.0 if number else 1.0
        action[:5, 6] = 1.0
        wrong[path] = replace(each, qpos=100 * qpos, action=100 * action)
    lines = training_lines(wrong)
    assert len(lines) == 3 and re.fullmatch(
        r"check: \d+ more: python3 edit_episodes.py check --dataset_dir .* --only set", lines[2]
    )


def test_training_sees_dead_cameras_and_nothing_in_a_sound_set(dataset):
    episodes = {}
    for path in list_episodes(dataset):
        each = Episode.load(path)
        episodes[path] = replace(each, action=np.roll(each.action, -4, axis=0))
    assert training_lines(episodes) == []
    path = list_episodes(dataset)[0]
    episodes[path].images["top"][:] = 0
    (line,) = training_lines(episodes)
    assert line.startswith("check: camera 'top': shows nothing (episodes 0): ")
