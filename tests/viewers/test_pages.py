"""What comes from a file is text on every page, whatever it holds; what makes no sense is a noted problem."""

import ast
import dataclasses
import json
import re
import shutil
import types
import typing
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, require_chromium
from repository import ROOT

from common.drawing.logs import write_csv
from common.work.parallel import Workers
from constants import get_task
from dataset_tools.regions.click_page import ClicksFlags, write_click_page
from dataset_tools.regions.region_report import Survey, write_region_page
from dataset_tools.regions.region_search import STILL, Region, Sight
from episodes.episode import Episode
from episodes.folders import episode_path, list_episodes
from episodes.frames import JpegFrames
from evaluation.results.folders import open_evaluation
from evaluation.results.outcomes import Outcome, Summary, write_summary
from evaluation.settings import Settings
from viewers.dataset_page import write_viewer
from viewers.features.page import write_features_page
from viewers.pages import Html, element, joined, script_json, text
from viewers.provenance import NOTED, NotedCommand
from viewers.reports.page import write_report

EVIL = "</script></title><img src=x onerror=\"document.title='out'\">'&{{style}}<!--"


class Tags(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page: Path):
        super().__init__()
        self.found, self.words = [], []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


def check_nothing_came_through(page: Path) -> None:
    tags = Tags(page)
    for tag, attributes in tags.found:
        assert attributes.get("src") != "x" and not any(name.startswith("on") for name in attributes), tag
    assert "<img src=x" not in page.read_text(encoding="utf-8")


def evil(kind: type, **values):
    """A dataclass whose every text is markup; new fields are found by themselves."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        if field.name in values:
            continue
        if str in options:
            values[field.name] = EVIL
        elif typing.get_origin(hint) is tuple and typing.get_args(hint)[0] is str:
            values[field.name] = (EVIL,)
        elif hint == dict[str, str]:
            values[field.name] = {EVIL: EVIL}
    return kind(**values)


@pytest.fixture
def run(tmp_path) -> Path:
    """A run's folder in which every text is markup."""
    folder = tmp_path / EVIL.replace("/", "")
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({EVIL: EVIL, "other": [EVIL, {EVIL: EVIL}]}))
    write_csv(folder / "history.csv", [{"step": 1, f"train/{EVIL.replace(' ', '')}": 0.5, "val/loss": 1.0}])
    (folder / NOTED).write_text(json.dumps([dataclasses.asdict(evil(NotedCommand))]))
    outcomes = tuple(evil(Outcome, index=i, highest_reward=i, total_reward=1.0, filmed=True) for i in (0, 1))
    settings = evil(Settings, checkpoints=("policy_last.ckpt",), version="0", robot="twin")
    for each in (settings, None):
        told = evil(*(Summary,), outcomes=outcomes, seed=0, checkpoint="policy_last.ckpt", settings=each)
        with open_evaluation(folder, dataclasses.replace(settings, render_quality=None)) as place:
            (place / "rollout_0.mp4").touch()
            write_summary(told, place)
            path = place / "result_policy_last.json"
            content = json.loads(path.read_text()) | {"checkpoint": EVIL}
            path.write_text(json.dumps(content))
    (folder / "rollout_1.mp4").touch()
    (folder / "k_select.png").touch()
    (folder / "result_bad.json").write_text(
        json.dumps({"task": EVIL, "choice_counts": {"case": {"B1": EVIL}}})
    )
    (folder / f"result_{EVIL.replace('/', '')}.json").write_text("[")
    return folder


def test_a_report_of_markup(run):
    page = write_report([run])
    check_nothing_came_through(page)
    words = " ".join(Tags(page).words)
    assert words.count("onerror") > 20 and "cannot be read" in words


def test_a_comparison_of_markup(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    check_nothing_came_through(write_report([run, other], tmp_path / "both.html"))


def test_a_page_of_episodes_of_markup(tmp_path):
    folder = tmp_path / EVIL.replace("/", "")
    images = {EVIL.replace("/", ""): JpegFrames()}
    for _ in range(3):
        images[EVIL.replace("/", "")].append(np.zeros((16, 16, 3), np.uint8))
    states = np.zeros((3, 2), np.float32)
    made = Episode(states, states, images, task=EVIL, render_quality=EVIL)
    made.save(episode_path(folder, 0))
    page = write_viewer(list_episodes(folder), tmp_path / "html", Workers(1))
    check_nothing_came_through(page)
    for script in page.parent.glob("*.js"):
        assert "</script" not in script.read_text()


def test_a_page_of_regions_of_markup(tmp_path):
    picture = np.zeros((16, 16, 3), np.uint8)
    page = tmp_path / "region.html"
    write_region_page(page, [evil_survey(picture)])
    check_nothing_came_through(page)


def test_a_page_of_clicks_of_markup(tmp_path):
    flags = ClicksFlags(dataset_dir=str(tmp_path / EVIL.replace("/", "")))
    pictures = {Path(f"{EVIL.replace('/', '')}.hdf5"): np.zeros((16, 16, 3), np.uint8)}
    page = tmp_path / "clicks.html"
    write_click_page(page, flags, get_task("sim_mycobot320_move_cube_scripted"), EVIL, pictures)
    check_nothing_came_through(page)


def evil_survey(picture: np.ndarray) -> Survey:
    """A survey whose camera, kinds and episodes are called as no one should be."""
    sight = Sight(Path(EVIL.replace("/", "")), picture, picture.astype(np.float32), np.zeros((16, 16)), STILL)
    region = Region((0, 0, 4, 4), 1.0, 0.0)
    return Survey(EVIL, (EVIL, "b"), np.array([0, 1]), (sight, sight), (sight,), (region,), (region,))


def test_a_page_of_features_of_markup(tmp_path):
    for end in ("_look.png", ".mp4", ".png"):
        (tmp_path / f"{EVIL.replace('/', '')}{end}").touch()
    check_nothing_came_through(write_features_page(tmp_path))


# --- odd results


ODD = {
    "outcomes are none": {"outcomes": None},
    "rollouts are text": {"rollouts": "six"},
    "more successes than rollouts": {"successes": 99},
    "choices in a list": {"choice_counts": [1, 2]},
    "ragged choices": {"choice_counts": {"a": {"B1": 1}, "b": {}}},
    "stages are a number": {"stages": 3},
    "a huge return": {"mean_return": 1e308, "success_rate": "x"},
    "an outcome of text": {"outcomes": ["x"]},
    "no seed": {"seed": None},
    "settings of text": {"settings": "x"},
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD.keys())
def test_an_odd_result_is_a_noted_problem(tmp_path, change):
    sound = Summary("task", "policy_best.ckpt", "chunks", 0, (Outcome(0, 1, 1.0),), ("touched",))
    write_summary(sound, tmp_path)
    content = json.loads((tmp_path / "result_policy_best.json").read_text())
    (tmp_path / "result_odd.json").write_text(json.dumps({**content, **change}))
    words = " ".join(Tags(write_report([tmp_path])).words)
    assert "1 of 1" in words
    if "mean_return" not in change:
        assert "result_odd.json cannot be read: " in words


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("commands.json", '[{"what": 1, "when": 2, "command": 3, "versions": 4}]'),
        ("commands.json", '[{"what": "a", "when": "b", "command": "c", "versions": ["x"]}]'),
        ("commands.json", '{"what": "a"}'),
        ("commands.json", "[" * 90_000),
        ("config.json", "[1]"),
        ("config.json", "[" * 90_000),
        ("history.csv", "train/loss\n1\n"),
        ("history.csv", "step,train/loss\n1,one\n"),
        ("history.csv", "step,train/loss\n1,2,3\n"),
        ("history.csv", "\x00"),
    ],
)
def test_an_odd_file_is_a_noted_problem(tmp_path, file, content):
    write_summary(Summary("task", "a.ckpt", "chunks", 0, (Outcome(0, 1, 1.0),), ("touched",)), tmp_path)
    (tmp_path / file).write_text(content)
    words = " ".join(Tags(write_report([tmp_path])).words)
    assert "1 of 1" in words and (f"{file} cannot be read" in words or "\x00" in content)


@pytest.mark.parametrize("loss", ["1e308", "1e-308", "5e-324", "-1e308", "inf", "nan", "0"])
def test_odd_losses_are_drawn_or_left_out(tmp_path, loss):
    rows = "".join(f"{step},{loss},{value}\n" for step, value in ((1, 1.0), (2, loss), ("1e308", 0.5)))
    (tmp_path / "history.csv").write_text(f"step,train/loss,val/loss\n{rows}")
    page = write_report([tmp_path]).read_text()
    numbers = re.findall(r'(?:points|cx|cy|x|y)="([^"]*)"', page)
    assert numbers and not [each for each in numbers if "nan" in each or "inf" in each]


# --- the mechanism


def test_only_elements_are_markup():
    assert (
        element("td", "<b>") == "<td>&lt;b&gt;</td>" and element("td", element("b", 1)) == "<td><b>1</b></td>"
    )
    assert element("a", "x", href='"><i>', class_="k", hidden=True, title=None) == (
        '<a href="&quot;&gt;&lt;i&gt;" class="k" hidden>x</a>'
    )
    made = element("b", "x")
    assert text(made) == made and text(made + "<i>") == "&lt;b&gt;x&lt;/b&gt;&lt;i&gt;", "no more than text"
    assert isinstance(joined([made, "<"], ", "), Html) and joined([made, "<"], ", ") == "<b>x</b>, &lt;"
    assert "</" not in script_json({"</script>": "</script>"})


def test_nothing_but_the_mechanism_declares_text_to_be_markup():
    for path in (ROOT / "viewers").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "Html"]
        assert path.name == "pages.py" or not any(call.args for call in calls), path.name


def test_a_browser_runs_nothing_of_it(run):
    require_chromium()
    page = write_report([run])
    with chromium(complaints=True) as driver:  # the videos are none
        driver.get(page.as_uri())
        assert driver.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
        assert driver.title != "out"
