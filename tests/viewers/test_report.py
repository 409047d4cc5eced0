"""Reports of runs: what they tell, what they link to, and that a browser shows them."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, require_chromium, wait_until
from repository import ROOT

from common.drawing import curves, plots
from common.drawing.curves import Line
from common.drawing.logs import write_csv
from common.drawing.losses import Losses
from common.drawing.videos import write_video
from constants import TASKS
from evaluation.results.folders import content_version, open_evaluation
from evaluation.results.intervals import wilson_interval
from evaluation.results.outcomes import Outcome, Summary, write_summary
from evaluation.settings import Settings
from utils import PHASES
from viewers.provenance import note_command, read_commands
from viewers.reports.page import refresh_report, write_report
from viewers.run_folder import read_run
from viewers.svg import line_chart

TASK = TASKS["sim_mycobot320_choose_scripted"]
STAGES = tuple(stage.label for stage in TASK.stages)
REWARDS = (3, 0, 3, 2, 3, 3)


def summary(rewards=REWARDS, filmed=(0, 1, 3), checkpoint="policy_best.ckpt"):
    outcomes = tuple(
        Outcome(
            i,
            reward,
            10.0 * reward,
            strict_success=reward == 3,
            case=TASK.cases[i % 2].label,
            choice="B1" if reward == 3 else None,
            filmed=i in filmed,
        )
        for i, reward in enumerate(rewards)
    )
    cases = tuple(case.label for case in TASK.cases)
    how = ("one chunk after another", 0)
    return Summary(
        TASK.name, checkpoint, *how, outcomes, STAGES, TASK.strict_label, cases=cases, choices=("B1", "B2")
    )


def make_run(folder, flags, losses=(1.0, 0.5, 0.2), argv=("imitate_episodes.py", "--lr", "1e-3"), **values):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(flags))
    rows = [{"step": 10 * (i + 1), "train/loss": x, "val/loss": 1.2 * x} for i, x in enumerate(losses)]
    rows[-1]["eval/success"] = 0.5
    write_csv(folder / "history.csv", rows)
    note_command(folder, "training", argv)
    evaluated = summary(**values)
    for outcome in evaluated.outcomes:
        if outcome.filmed:
            write_video(folder / f"rollout_{outcome.index}.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3, 10)
            (folder / f"rollout_{outcome.index}_qpos.png").touch()
    write_summary(evaluated, folder)
    return folder


class Page(HTMLParser):
    """What a page is made of."""

    VOID = {"meta", "img"}

    def __init__(self, path):
        super().__init__()
        self.words, self.found, self._open = [], [], []
        self.feed(Path(path).read_text(encoding="utf-8"))
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def values(self, tag, name):
        return [attributes.get(name) for found, attributes in self.found if found == tag]


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "runs" / "act", {"lr": 0.001, "seed": 0})


def test_a_run_tells_its_success_stages_and_choices(run):
    page = Page(write_report([run]))
    low, high = wilson_interval(4, 6)
    assert f"66.7% 4 of 6 {low:.1%} to {high:.1%} 66.7%" in page.text
    assert "1 touched 5 of 6, 83%" in page.text and f"3 {STAGES[2]} 4 of 6, 67%" in page.text
    assert "case \\ chosen B1 B2 neither B1 free 3 0 0 B1 occupied 1 0 2" in page.text
    assert "python3 imitate_episodes.py --lr 1e-3" in page.text
    assert f"numpy {np.__version__}" in page.text and "machine" in page.text
    widths = [style.split(";")[0] for style in page.values("div", "style") if style]
    assert widths == ["width:83.3%", "width:83.3%", "width:66.7%"]


def test_videos_of_failures_come_first_and_are_there(run):
    page = Page(write_report([run]))
    videos = page.values("video", "src")
    assert videos == ["rollout_1.mp4", "rollout_3.mp4", "rollout_0.mp4"]
    assert all((run / video).is_file() for video in videos)
    assert page.text.index("rollout 1: reward 0 of 3") < page.text.index("rollout 0: reward 3 of 3")
    anchors = {href[1:] for href in page.values("a", "href") if href.startswith("#")}
    assert anchors and anchors <= set(page.values("figure", "id"))


def test_a_video_belongs_to_the_newest_evaluation_that_filmed_it(run):
    os.utime(run / "result_policy_best.json", ns=(1, 1))
    write_summary(summary(filmed=(0,), checkpoint="policy_last.ckpt"), run)
    found = read_run(run, "act")
    videos = {each.summary.checkpoint: list(each.videos) for each in found.evaluations}
    assert videos == {"policy_last.ckpt": [0], "policy_best.ckpt": [1, 3]}


def test_runs_are_compared(run, tmp_path):
    other = make_run(
        tmp_path / "elsewhere" / "vinn",
        {"lr": 0.01, "seed": 0},
        rewards=(3,) * 6,
        filmed=(2,),
        argv=("x.py",),
    )
    output = tmp_path / "both" / "report.html"
    page = Page(write_report([run, other], output))
    assert "1 touched act 5 of 6, 83% vinn 6 of 6, 100% 2 lifted act" in page.text
    assert "act 66.7%" in page.text and "vinn 100.0%" in page.text
    assert all((output.parent / video).is_file() for video in page.values("video", "src"))
    assert page.values("video", "src")[-1] == "../elsewhere/vinn/rollout_2.mp4"
    assert "act vinn lr 0.001 0.01 1 that agree" in page.text
    assert {"act, validation", "vinn, validation"} <= set(page.words)
    assert "python3 x.py" in page.text


def evaluate_into(folder, **values):
    """An evaluation as it is kept today, with these settings."""
    settings = Settings(checkpoints=("policy_best.ckpt",), count=6, **values)
    with open_evaluation(folder, settings) as kept:
        write_summary(
            dataclasses.replace(summary(filmed=()), settings=settings, execution=settings.execution), kept
        )
    return kept


def test_each_evaluation_has_a_row_named_by_what_tells_it_from_the_others(run):
    (run / "result_policy_best.json").unlink()
    evaluate_into(run, seed=3)
    evaluate_into(run, seed=3, query_every=20)
    evaluate_into(run, seed=3, query_every=20, knock_loose=32)
    page = Page(write_report([run]))
    for how in ("one chunk after another", "20 actions of each chunk", "20 actions of each chunk; knocked"):
        assert f"policy_best.ckpt, {how}" in page.text
    assert "policy_best.ckpt, seed 3" not in page.text, "they all have it"
    assert page.text.count("4 of 6 ") >= 3 and "framed ones" not in page.text, "nothing was filmed"


def test_an_evaluation_of_a_checkpoint_that_was_trained_anew_says_so(run):
    (run / "policy_best.ckpt").write_bytes(b"as it was")
    evaluate_into(run, version=content_version([run / "policy_best.ckpt"]))
    assert "an earlier training" not in Page(write_report([run])).text
    (run / "policy_best.ckpt").write_bytes(b"another")
    assert "an earlier training" in Page(write_report([run])).text


def test_pages_of_training_and_of_the_arm_link_to_each_other(run):
    write_report([run])
    (run / "arm").mkdir()
    evaluate_into(run / "arm", robot="mycobot320", sync=False)
    page = Page(refresh_report(run / "arm"))
    assert "act, on the arm" in page.text and "../report.html" in page.values("a", "href")
    training = Page(run / "report.html")
    assert "arm/report.html" in training.values("a", "href") and "in the background" in page.text


def test_help_is_told_on_the_page(run):
    told = summary(filmed=(1,))
    outcomes = [dataclasses.replace(o, takeovers=2 if o.index in (0, 1) else 0) for o in told.outcomes]
    outcomes[5] = dataclasses.replace(outcomes[5], highest_reward=None, strict_success=None)
    write_summary(dataclasses.replace(told, outcomes=tuple(outcomes)), run)
    page = Page(write_report([run]))
    assert "2 of 3" in page.text and "2 of 6 runs were helped: not counted" in page.text
    assert "1 of 6 runs was of unknown outcome: not counted" in page.text
    titles = [title for title in page.values("span", "title") + page.values("a", "title") if title]
    assert sum("a person took over 2 times: not counted" in title for title in titles) == 2
    assert "helped rollout 1:" in page.text and "3h" in page.words and "?" in page.words


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [make_run(tmp_path / side / "act", {}) for side in ("left", "right")]
    page = Page(write_report(folders, tmp_path / "report.html"))
    assert "left/act" in page.text and "right/act" in page.text


def test_a_report_of_several_runs_replaces_none_of_one(run, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="--runs names .* twice; name each run once"):
        write_report([run, run / ".." / run.name])
    monkeypatch.chdir(run)
    with pytest.raises(
        ValueError, match="report.html here is the report of the run .*; give another --output"
    ):
        write_report([run, tmp_path / "other"])


def test_a_run_that_was_only_trained(run):
    for path in run.glob("result_*"):
        path.unlink()
    page = Page(write_report([run]))
    assert "Not evaluated yet" in page.text and "loss" in page.text and page.values("video", "src") == []


def test_what_cannot_be_read_is_said_and_the_rest_shown(run):
    (run / "result_policy_last.json").write_text('{"task": "x"}')
    (run / "history.csv").write_text("step,train/loss\n1,oops\n")
    page = Page(write_report([run]))
    assert "result_policy_last.json cannot be read" in page.text and "history.csv cannot be read" in page.text
    assert "4 of 6" in page.text


def test_names_cannot_break_the_page(tmp_path):
    run = make_run(tmp_path / "a<b>&'c", {"<i>": "</pre><script>"}, argv=("x.py", "</pre><script>alert()"))
    page = Page(write_report([run]))
    assert page.values("script", "src") == [] and "a<b>&'c" in page.text
    assert "alert()" in page.text and "</pre><script>" in page.text


def test_evaluations_of_old_are_read(run):
    path = run / "result_policy_best.json"
    result = json.loads(path.read_text())
    for name in ("strict_successes", "choice_counts", "strict_label"):
        del result[name]
    for outcome in result["outcomes"]:
        for name in ("filmed", "case", "choice", "strict_success"):
            del outcome[name]
    path.write_text(json.dumps(result))
    page = Page(write_report([run]))
    assert "4 of 6" in page.text and len(page.values("video", "src")) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--runs", "nowhere"], "nowhere holds no run"), ([], "--runs is missing; give the folders of runs")],
)
def test_bad_input_ends_in_one_line(tmp_path, words, message):
    command = [sys.executable, str(ROOT / "report.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0 and message in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_commands_are_added_one_by_one(tmp_path):
    for what in ("training", "evaluation"):
        note_command(tmp_path, what, ("x.py", "--name", "two words"))
    entries = read_commands(tmp_path)
    assert [entry["what"] for entry in entries] == ["training", "evaluation"]
    assert entries[0]["command"] == "python3 x.py --name 'two words'"
    note_command(
        tmp_path, "arm", ("x.py", "--cameras", "top=http://me:hush@cam/v?pwd=hush,wrist=http://me:hush@b/")
    )
    assert "hush" not in (tmp_path / "commands.json").read_text()
    (tmp_path / "commands.json").write_text("[1]")
    with pytest.raises(ValueError, match="no list of commands"):
        note_command(tmp_path, "training")
    assert (tmp_path / "commands.json").read_text() == "[1]"


# --- charts


def places(chart):
    """Corners of the first line of a chart."""
    points = re.search(r'polyline points="([^"]*)"', chart)[1]
    return np.array([[float(n) for n in point.split(",")] for point in points.split()])


def test_losses_are_drawn_on_a_log_axis():
    chart = line_chart("loss", [Line("a", "#000", [(0, 1.0), (50, 0.1), (100, 0.01)])])
    (x0, y0), (x1, y1), (x2, y2) = places(chart)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and x1 - x0 > 100
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.2) and y1 - y0 > 50
    assert {"0.01", "0.1", "1"} <= set(re.findall(r">([\d.e-]+)</text>", chart))


def test_what_is_not_finite_is_left_out_and_negative_values_are_drawn():
    points = [(0, float("nan")), (1, -1.0), (2, float("inf")), (3, 1.0)]
    chart = line_chart("x", [Line("a", "#000", points)])
    assert len(places(chart)) == 2 and "nan" not in chart and "inf" not in chart
    assert line_chart("x", [Line("a", "#000", points[:1]), Line("b", "#000", [])]) == ""


def test_no_label_of_the_axis_is_cut():
    for last in (1500, 20000, 1000000, 7):
        chart = line_chart("x", [Line("a", "#000", [(0, 1.0), (last, 2.0)])])
        labels = re.findall(r'<text x="([\d.]+)" y="\d+" text-anchor="middle">([^<]*)</text>', chart)
        assert len(labels) > 3
        assert all(float(x) + 3 * len(label) <= 460 for x, label in labels), labels


def test_a_loss_that_is_another_by_its_name_is_drawn_once(run):
    rows = [
        {"step": i, "train/loss": 1 / i, "train/l1": 1 / i, "val/loss": 2 / i, "val/l1": 2 / i}
        for i in (1, 2)
    ]
    rows[0] |= {"train/kl": 3.0}
    write_csv(run / "history.csv", rows)
    page = Page(write_report([run]))
    captions = [word for word in page.words if word in ("loss", "l1", "loss = l1", "kl")]
    assert captions == ["loss = l1", "kl"] and "what training minimises" in page.text


def test_pictures_and_pages_draw_the_same(run, tmp_path, monkeypatch):
    """Labels, order and colours of losses.png are those of the page."""
    row = {"step": 5, "train/loss": 1.0, "val/loss": 1.0, **{f"val/loss {name}": 1.0 for name in PHASES}}
    write_csv(run / "history.csv", [row])
    drawn = []
    monkeypatch.setattr(plots, "write_png", lambda figure, path: drawn.extend(figure.axes[0].get_lines()))
    plots.loss_plot(tmp_path / "losses.png", [Losses.from_row(row)])
    page = Page(write_report([run]))
    legend = [style for style in page.values("i", "style") if style]
    lines = [(line.get_label(), line.get_color()) for line in drawn]
    assert [label for label, _ in lines] == ["training", "validation", *PHASES]
    assert all(color in style for (_, color), style in zip(lines, legend, strict=False))
    assert all(label in page.words for label, _ in lines) and all(name in curves.PHASES for name in PHASES)


def test_long_histories_stay_small():
    points = [(step, 1 + np.sin(step / 1000) ** 2) for step in range(100_000)]
    chart = line_chart("x", [Line("a", "#000", points)])
    assert len(chart) < 20_000 and places(chart)[-1][0] == pytest.approx(450, abs=0.1)


# --- in a browser


def test_a_browser_shows_it(run, tmp_path):
    require_chromium()
    page = write_report([run])
    moved = tmp_path / "moved"
    shutil.move(run, moved)  # with its videos, it can be given away
    with chromium() as driver:
        driver.get((moved / page.name).as_uri())
        wait_until(driver, "[...document.querySelectorAll('video')].every((v) => v.readyState > 0)")
        width = driver.execute_script("return document.documentElement.scrollWidth")
        assert width <= driver.execute_script("return innerWidth")
