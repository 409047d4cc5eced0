"""What to record next: what is read of runs and episodes, what the page shows, numbers in the picture."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, require_chromium, wait_until
from repository import ROOT
from synthetic import make_act, make_episode
from test_report import Page

import report
from constants import TASKS, get_task
from episodes.folders import episode_path
from evaluation.results.folders import content_version, open_evaluation
from evaluation.results.outcomes import Outcome, Summary, write_summary
from evaluation.settings import Settings
from policy import save_policy
from sim_env import make_sim_env
from tasks.projection import camera_matrix, to_pixels
from tasks.scene.cameras import still_cameras
from tasks.starts.files import read_starts
from tasks.starts.sampling import distance_from, pose_of, sample_start
from viewers.coverage.analysis import read_coverage
from viewers.coverage.maps import failure_rates, numbered
from viewers.coverage.page import write_coverage
from viewers.coverage.picture import picture_of, sees
from viewers.reports.page import write_report

TASK = get_task("sim_transfer_cube_scripted")
COUNT = 20  # episodes
FAILED = 3  # of the rollouts
GRID = [(x, y) for x in (0.02, 0.07, 0.12, 0.17) for y in (0.42, 0.46, 0.5, 0.54, 0.58)]


def make_episodes(folder, starts, **facts):
    episode = make_episode(np.random.default_rng(0))
    for i, start in enumerate(starts):
        replace(episode, env_state=start, **facts).save(episode_path(folder, i))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with its episodes, a checkpoint and an evaluation."""
    base = tmp_path_factory.mktemp("made")
    data = make_episodes(base / "data", [pose_of((x, y, 0.05)) for x, y in GRID])
    run = base / "a<b>&run"
    run.mkdir()
    flags = {"task_name": TASK.name, "dataset_dir": [str(data)], "train_ratio": 0.8, "seed": 0}
    (run / "config.json").write_text(
        json.dumps({**flags, "ckpt_name": "policy_last.ckpt", "early_share": 0.4})
    )
    policy = make_act()
    save_policy(run / "policy_last.ckpt", policy, step=1)
    evaluate(run, 30)
    return run


def evaluate(run, count, **values):
    settings = Settings(
        checkpoints=("policy_last.ckpt",),
        count=count,
        version=content_version([run / "policy_last.ckpt"]),
        **values,
    )
    outcomes = [Outcome(i, 2 if i < FAILED else 4, 0.0) for i in range(count)]
    with open_evaluation(run, settings) as folder:
        write_summary(Summary.of(TASK, "policy_last.ckpt", settings, outcomes), folder)


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / made.name))


@pytest.fixture(scope="module")
def coverage(made):
    return read_coverage(made)


def test_a_run_tells_what_was_shown_tried_and_held_out(coverage):
    assert (len(coverage.trained), len(coverage.held_out), len(coverage.attempts)) == (16, 4, 30)
    assert sum(each.share for each in coverage.trained) == pytest.approx(1)
    assert sum(each.failed for each in coverage.attempts) == FAILED
    for each in coverage.attempts:
        apart = {s.path: np.linalg.norm(s.start[:2] - each.tried.start[:2]) for s in coverage.trained}
        assert each.nearest.path == min(apart, key=apart.get)
        assert each.distance == pytest.approx(min(apart.values()))


def test_evaluations_under_other_conditions_and_of_old_checkpoints_do_not_count(run):
    evaluate(run, 5, seed=1, disturb=("noise=middle",))
    evaluate(run, 5, seed=2, randomize=True)
    assert len(read_coverage(run).attempts) == 30
    (run / "policy_last.ckpt").write_bytes(b"another")
    read = read_coverage(run)
    assert read.attempts == () and read.held_out == () and "no error of the policy" in read.notes[0]


def test_shares_add_up_before_and_after(coverage):
    new = coverage.next_starts()
    regions = coverage.regions(new)
    assert sum(region.shown for region in regions) == 16 and sum(region.attempts for region in regions) == 30
    assert sum(region.share for region in regions) == pytest.approx(1)
    assert sum(region.share_after for region in regions) == pytest.approx(1)
    counts = np.zeros(9)
    for _, start in new:
        column, row = int(min(start[0] // (0.2 / 3), 2)), int(min((start[1] - 0.4) // (0.2 / 3), 2))
        counts[3 * row + column] += 1
    after = [(region.shown + counts[region.number]) / 26 for region in regions]
    assert [region.share_after for region in regions] == pytest.approx(after)


def test_a_region_that_would_be_left_thin_is_warned_of(tmp_path):
    left = [pose_of((0.03, y, 0.05)) for y in np.linspace(0.41, 0.59, 12)]
    read = read_coverage(make_episodes(tmp_path, [*left, pose_of((0.19, 0.41, 0.05))]))
    crowd = [(0, pose_of((0.03, 0.5, 0.05)))] * 10
    warned = {region.number: region.warning for region in read.regions(crowd) if region.warning}
    assert warned == {0: "43 % less often", 2: "thin, and thinner with the new ones", 6: "43 % less often"}
    assert not any(region.warning for region in read.regions([]))


def test_failure_rates_are_high_where_attempts_failed(coverage):
    places, rates = failure_rates(coverage, 0, 0)
    assert places.shape == (*rates.shape, 2) and ((rates > 0) & (rates <= 1)).all()
    highest = places.reshape(-1, 2)[rates.argmax()]
    gaps = [np.linalg.norm(each.tried.start[:2] - highest) for each in coverage.attempts if each.failed]
    assert min(gaps) < 0.03


# --- the page


def test_the_page_has_the_map_the_list_and_the_picture(run):
    page = Page(write_coverage(run))
    assert "shown: 16 demonstrations" in page.text and f"failed: {FAILED}" in page.text
    assert "The next 10 places" in page.text and "red_box at x " in page.text
    assert f"{FAILED} of 30 starts failed" in page.text and "got as far as 'lifted'" in page.text
    assert "validation episode from start early middle late" in page.text
    assert "40 % of all samples begin in the first 40 steps" in page.text
    assert "train 1.6 times as many" in page.text
    assert "What to record next: a<b>&run" in page.text
    numbers = page.values("g", "class").count("next")
    assert numbers == 10 + 10 + 1, "on the map, in the picture, in the legend"
    starts = read_starts(run / "next_starts.json", TASK)
    assert len(starts) == 10 and all(distance_from(s.reshape(-1, 7), TASK.props) < 1e-5 for s in starts)


def test_a_runs_report_has_a_section_and_says_so_if_episodes_are_gone(run):
    page = Page(write_report([run]))
    assert "What to record next" in page.text and "The next 10 places" in page.text
    flags = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**flags, "dataset_dir": ["gone"]}))
    page = Page(write_report([run]))
    assert "No map: the episodes of" in page.text and "are not at hand: gone is no folder" in page.text


def test_what_comes_from_files_is_escaped(run):
    (result,) = run.glob("evaluations/*/result_policy_last.json")
    content = json.loads(result.read_text())
    content["stages"] = ["a", "</svg><script>alert()</script>", "c", "d"]
    content["stage_counts"] = dict(zip(content["stages"], (30, 30, 27, 27), strict=True))
    result.write_text(json.dumps(content))
    path = write_coverage(run)
    page = Page(path)
    assert "alert()" in page.text and "<script>alert" not in path.read_text()


def test_a_folder_of_episodes_will_do_and_one_without_a_scene_has_no_picture(tmp_path):
    rng = np.random.default_rng(0)
    starts = [sample_start(TASK, rng) for _ in range(6)]
    page = Page(write_coverage(make_episodes(tmp_path / "known", starts)))
    assert "shown: 6 demonstrations" in page.text and "Nothing was tried yet" in page.text
    own = make_episodes(tmp_path / "own", starts, task="my_task", sim=False)
    make_episodes(tmp_path / "blind", [None], task="my_task")
    shutil.copy(episode_path(tmp_path / "blind", 0), episode_path(own, 6))
    page = Page(write_coverage(own, tmp_path / "page.html"))
    assert "object at x" in page.text and "No picture: only of a task with a scene" in page.text
    assert "1 of 7 episodes are left out" in page.text
    assert (tmp_path / "next_starts.json").is_file() and not (own / "coverage.html").exists()


def test_what_always_starts_at_one_place_has_no_next_ones(tmp_path, monkeypatch, capsys):
    fixed = tuple(replace(prop, low=prop.high, yaw=(0, 0)) for prop in TASK.props)
    monkeypatch.setitem(TASKS, "fixed", replace(TASK, name="fixed", props=fixed))
    start = sample_start(TASKS["fixed"], np.random.default_rng(0))
    folder = make_episodes(tmp_path / "known", [start] * 3, task="fixed")
    monkeypatch.setattr(sys, "argv", ["report.py", "--runs", str(folder), "--coverage"])
    report.main()
    assert "there are no next places: all objects always start at the same" in capsys.readouterr().out
    assert (folder / "coverage.html").is_file() and not (folder / "next_starts.json").exists()


def test_a_real_arms_episodes_have_the_area_of_its_twin_and_a_drawn_picture(tmp_path):
    twin = get_task("sim_mycobot320_move_cube_scripted")
    start = sample_start(twin, np.random.default_rng(0))
    read = read_coverage(make_episodes(tmp_path, [start], task="mycobot320_move_cube", sim=False))
    assert read.task == twin and read.spaces[0].props == twin.props and not read.shown[0].is_plain


def test_what_was_multiplied_from_a_real_arms_episodes_counts_with_them(made, tmp_path):
    twin = get_task("sim_mycobot320_move_cube_scripted")
    starts = [sample_start(twin, np.random.default_rng(i)) for i in range(6)]
    real = make_episodes(tmp_path / "real", starts[:2], task="mycobot320_move_cube")
    many = make_episodes(tmp_path / "many", starts[2:], task=twin.name)
    run = Path(shutil.copytree(made, tmp_path / "run"))
    flags = {"task_name": "mycobot320_move_cube", "dataset_dir": [str(real), str(many)]}
    (run / "config.json").write_text(json.dumps({**flags, "sample_weights": [1, 9], "train_ratio": 0.5}))
    coverage = read_coverage(run, has_policy=False)
    assert coverage.task == twin and len(coverage.shown) == 6 and coverage.notes == ()
    assert sum(each.share for each in coverage.trained) == pytest.approx(1)
    assert sum(each.share for each in coverage.trained if each.path.parent == many) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "is no folder; record some first"),
        (lambda folder: make_episodes(folder, [None]), "none of the 1 episodes of"),
    ],
    ids=["nothing", "without places"],
)
def test_bad_input_ends_in_one_line(make, message, tmp_path):
    make(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    command = [sys.executable, str(ROOT / "report.py"), "--coverage", "--runs", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0 and message in done.stderr.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before


# --- in the picture


def test_cameras_that_stand_still_are_the_renderers():
    env = make_sim_env(TASK, image_size=(48, 64))
    env.reset(0)
    found = still_cameras(TASK, (48, 64))
    assert "top" in found and not any(name.endswith("_wrist") for name in found)
    for name, matrix in found.items():
        assert np.allclose(matrix, camera_matrix(env.physics, name, (48, 64)))
    env.close()


def test_a_number_is_where_the_object_would_be_seen(coverage):
    """The cross of a start is on the red cube that a simulation puts there."""
    (case, start), *_ = coverage.next_starts(3)
    env = make_sim_env(TASK)
    image = env.reset(env_state=start).observation["images"]["top"]
    env.close()
    space, matrix = coverage.spaces[case], still_cameras(TASK, image.shape[:2])["top"]
    assert sees(matrix, space, image.shape[:2])
    ((x, y),) = to_pixels(matrix, start[None, :3])
    red, green, blue = image[round(y), round(x)].astype(int)
    assert red > 2 * max(green, blue)
    drawn = picture_of(image, matrix, space, numbered([(case, start)]), case)
    assert 'class="mark"' in drawn and "data:image/jpeg;base64," in drawn
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', drawn).groups())
    cross = re.search(r'class="mark" d="M([\d.]+) ([\d.]+)', drawn)
    assert 0 <= float(cross[1]) <= width and 0 <= float(cross[2]) <= height


def test_a_browser_shows_it(run, tmp_path):
    require_chromium()
    page = write_coverage(run)
    with chromium() as driver:
        driver.get(page.as_uri())
        wait_until(driver, "document.querySelectorAll('.map .next').length > 10")
        width = driver.execute_script("return document.documentElement.scrollWidth")
        assert width <= driver.execute_script("return innerWidth")
        box = "return document.querySelector('.map image').getBoundingClientRect().width"
        assert driver.execute_script(box) > 200
        assert driver.execute_script("return document.scripts.length") == 0
