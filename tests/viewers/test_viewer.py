"""The page of a dataset: its files, and what a person can do with it in a browser (headless Chromium)."""

import json
import os
import shlex
import struct
import sys
import time

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from browser import WAIT, chromium, require_chromium, wait_until

import edit_episodes
from common.work.parallel import Workers
from constants import TASKS
from episodes.episode import Episode
from episodes.folders import episode_path, list_episodes
from episodes.frames import JpegFrames
from tasks.starts.sampling import sample_start
from viewers import dataset_page as viewer
from viewers.dataset_page import write_viewer

TASK = TASKS["sim_transfer_cube_scripted"]
HEIGHT, STRIPE, BITS = 96, 16, 8
SETTLED = "panes.length && panes.every((p) => p.videos.every((v) => !v.seeking && v.readyState > 1))"


def frame(step, camera):
    """A picture that tells its step: stripes, bright for the ones of its binary number."""
    bits = np.array([step >> i & 1 for i in range(BITS)], np.uint8)
    image = np.repeat(60 + 160 * bits, STRIPE)[None, :, None] * np.ones((HEIGHT, 1, 3))
    image[:, :, camera] *= 0.8
    return image.astype(np.uint8)


def step_in(png):
    """The step that a picture of a video shows."""
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    height, width = image.shape
    centres = (np.arange(BITS) + 0.5) * width / BITS
    return int(sum((image[int(0.8 * height), int(x)] > 130) << i for i, x in enumerate(centres)))


def make_episode(steps, cameras=("top", "wrist"), dim=14, **values):
    images = {name: JpegFrames() for name in cameras}
    for step in range(steps):
        for i, frames in enumerate(images.values()):
            frames.append(frame(step, i))
    qpos = np.cumsum(np.random.default_rng(steps).normal(scale=0.1, size=(steps, dim)), axis=0)
    return Episode(qpos, qpos + 0.1, images, **values)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rising = np.minimum(np.arange(40) // 8, 4.0)
    ours = {"task": TASK.name, "fps": 10, "seed": 7}
    make_episode(40, reward=rising, success=True, **ours).save(episode_path(folder, 0))
    make_episode(25, reward=np.zeros(25), success=False, **ours).save(episode_path(folder, 1))
    base = np.ones((20, 2))
    foreign = make_episode(20, ("high cam",), dim=3, base_action=base, fps=5, task="</script><b>&")
    foreign.save(episode_path(folder, 10))
    return folder


@pytest.fixture(scope="module")
def page(dataset):
    return write_viewer(list_episodes(dataset), dataset / "html", Workers(1))


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.mp4")}


def test_a_video_per_episode_and_camera(dataset, page):
    steps = {"episode_0_top": 40, "episode_0_wrist": 40, "episode_1_top": 25, "episode_1_wrist": 25}
    steps["episode_10_high%20cam"] = 20
    stems = {"episode_0", "episode_1", "episode_10"}
    wanted = {*(f"{name}.mp4" for name in steps), *(f"{name}.js" for name in stems), "index.html"}
    assert set(os.listdir(page.parent)) == wanted
    for name, number in steps.items():
        assert imageio_ffmpeg.count_frames_and_secs(str(page.parent / f"{name}.mp4"))[0] == number


def test_videos_are_made_for_jumping(page):
    content = (page.parent / "episode_0_top.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "the index is not at the start"
    assert b"ctts" not in content, "frames are shown in another order than they are stored"
    at = content.index(b"stss") + 8  # ISO 14496-12: version and flags, then how many, then which
    (count,) = struct.unpack(">I", content[at : at + 4])
    keys = struct.unpack(f">{count}I", content[at + 4 : at + 4 + 4 * count])
    assert keys[0] == 1 and max(np.diff([*keys, 41])) <= viewer.KEY_EVERY


def test_numbers_are_those_of_the_episode(dataset, page):
    episode = Episode.load(episode_path(dataset, 0))
    name, data = read_numbers(page, "episode_0")
    assert name == "episode_0" and data["reward"] == episode.reward.tolist()
    drawn = data["series"]
    assert [(s["group"], s["name"]) for s in drawn[:2]] == [("left arm", "waist"), ("left arm", "shoulder")]
    assert drawn[13]["unit"] == "0 closed, 1 open" and len(drawn) == TASK.dim
    np.testing.assert_allclose([s["state"] for s in drawn], episode.qpos.T, atol=1e-4)
    np.testing.assert_allclose([s["command"] for s in drawn], episode.action.T, atol=1e-4)


def test_a_foreign_episode_is_drawn_too(page):
    _, data = read_numbers(page, "episode_10")
    assert data["reward"] is None
    speeds = ["linear speed", "angular speed"]
    assert [s["name"] for s in data["series"]] == [*(f"joint {i}" for i in range(3)), *speeds]
    assert data["series"][-1]["state"] is None and data["series"][-1]["command"] == [1.0] * 20


def read_numbers(page, stem):
    _, _, content = (page.parent / f"{stem}.js").read_text().partition("\n")  # of which file it is
    return json.loads("[" + content.removeprefix("loaded(").removesuffix(");\n") + "]")


def test_videos_of_another_dataset_are_not_shown(tmp_path):
    """Whichever is older: files that were copied keep their dates."""
    pages, lengths = tmp_path / "pages", []
    for name, steps in {"old": 12, "new": 25}.items():
        make_episode(steps).save(episode_path(tmp_path / name, 0))
    os.utime(episode_path(tmp_path / "old", 0), (1e9, 1e9))
    for name in ("new", "old", "new"):
        write_viewer(list_episodes(tmp_path / name), pages, Workers(1))
        with av.open(str(pages / "episode_0_top.mp4")) as video:
            lengths.append(sum(1 for _ in video.decode(video=0)))
    assert lengths == [25, 12, 25]


def test_what_is_there_and_of_the_same_file_is_kept(dataset, page, monkeypatch):
    before = times(page.parent)
    (page.parent / "episode_1_top.mp4").unlink()
    os.utime(episode_path(dataset, 10))
    monkeypatch.setattr(viewer, "write_video", noting := Noting(viewer.write_video))
    write_viewer(list_episodes(dataset), page.parent, Workers(1))
    assert {path.name for path in noting.paths} == {"episode_1_top.mp4", "episode_10_high%20cam.mp4"}
    after = times(page.parent)
    kept = before.keys() - {path.name for path in noting.paths}
    assert before.keys() == after.keys() and all(before[name] == after[name] for name in kept)


class Noting:
    """Calls a function, and keeps its first arguments."""

    def __init__(self, function):
        self.function, self.paths = function, []

    def __call__(self, path, *args, **values):
        self.paths.append(path)
        self.function(path, *args, **values)


def test_an_interrupted_run_leaves_whole_files(dataset, tmp_path, monkeypatch, capsys):
    def interrupted(path, *args, **values):
        path.with_name(f".{path.name}.999999999.part").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(viewer, "write_video", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_viewer(list_episodes(dataset), tmp_path / "html", Workers(1))
    assert os.listdir(tmp_path / "html") == []
    assert "goes on where it stopped" in capsys.readouterr().out


# --- in a browser


@pytest.fixture(scope="module")
def driver():
    require_chromium()
    with chromium() as opened:
        yield opened


@pytest.fixture
def opened(driver, page):
    """The page, opened from disk at its first episode."""
    open_at(driver, page)
    return driver


def open_at(driver, page, address=""):
    driver.get("about:blank")
    driver.get(page.as_uri() + address)
    wait_until(driver, SETTLED)


def press(driver, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(driver).send_keys(*keys).perform()


def select(driver, css):
    return driver.find_elements("css selector", css)


def shown_steps(driver):
    """The step that each video shows, looked at."""
    return [step_in(video.screenshot_as_png) for video in select(driver, "video")]


def check_shown(driver, *steps):
    """The videos come to show these steps, and stay there."""
    deadline = time.monotonic() + WAIT
    while (shown := shown_steps(driver)) != list(steps) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shown == list(steps)
    wait_until(driver, SETTLED)
    assert shown_steps(driver) == list(steps)


def step(driver):
    return driver.execute_script("return panes[0].step")


def test_the_list_tells_length_outcome_and_task(opened):
    rows = [row.text.split("\n") for row in select(opened, "#episodes .row")]
    assert [row[0] for row in rows] == ["episode_0", "episode_1", "episode_10"]
    assert rows[0][1:] == ["40 · 4.0 s", TASK.name] and rows[2][2] == "</script><b>&"
    dots = [dot.get_attribute("class") for dot in select(opened, "#episodes .dot")]
    assert dots == ["dot success", "dot failure", "dot unknown"]
    assert "3 episodes" in select(opened, "#summary")[0].text


def test_videos_show_the_very_step(opened):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    check_shown(opened, 0, 0)
    for wanted in (1, 2, 3, 4):
        press(opened, Keys.ARROW_RIGHT)
        assert step(opened) == wanted
        check_shown(opened, wanted, wanted)
    press(opened, *[Keys.ARROW_LEFT] * 3)
    assert step(opened) == 1
    check_shown(opened, 1, 1)
    for key, wanted in ((Keys.END, 39), (Keys.ARROW_RIGHT, 39), (Keys.HOME, 0), (Keys.ARROW_LEFT, 0)):
        press(opened, key)
        assert step(opened) == wanted
        check_shown(opened, wanted, wanted)
    ActionChains(opened).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    check_shown(opened, 10, 10)


def test_a_click_in_a_plot_jumps(opened):
    from selenium.webdriver import ActionChains

    for css in (".timeline", ".plot .area"):
        area = select(opened, css)[0]
        gutter = opened.execute_script("return arguments[0].gutter", area)
        middle = gutter + (area.size["width"] - gutter) / 2
        ActionChains(opened).move_to_element_with_offset(
            area, round(middle - area.size["width"] / 2) + 2, 0
        ).click().perform()
        assert step(opened) == 20
        check_shown(opened, 20, 20)
        cursor = select(opened, f"{css} .cursor")[0]
        assert cursor.rect["x"] - area.rect["x"] == pytest.approx(middle, abs=3)
        press(opened, "\ue011")  # Home
    assert select(opened, ".stage")[0].text == "reward 0"


def test_numbers_stand_beside_the_plots(opened, dataset):
    opened.execute_script("seek(1.7)")
    episode = Episode.load(episode_path(dataset, 0), cameras=())
    state, command = (float(select(opened, f".plot span.{kind}")[0].text) for kind in ("state", "command"))
    assert state == pytest.approx(episode.qpos[17, 0], abs=1e-3)
    assert command == pytest.approx(episode.action[17, 0], abs=1e-3)
    assert select(opened, ".stage")[0].text == f"reward 2: {TASK.stages[1].label}"
    assert select(opened, "#clock")[0].text == "step 17 / 39, 1.70 s"


def test_plots_are_drawn(opened):
    counts = opened.execute_script(
        "return [...document.querySelectorAll('.area canvas')].map((c) => new Set(new Uint32Array("
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size)"
    )
    assert len(counts) == 1 + TASK.dim and min(counts) > 5  # colours, of lines and of their edges


def test_cameras_and_cursor_play_in_step(opened):
    opened.execute_script("setSpeed(0.25); seek(1)")
    press(opened, " ")
    near = "panes[0].videos.every((v) => Math.abs(v.currentTime - view.time) < 0.05)"
    wait_until(opened, f"view.playing && view.time > 1.5 && {near}")
    assert select(opened, "#play")[0].text == "Pause"
    press(opened, " ")
    stopped = step(opened)
    assert 15 <= stopped < 39
    check_shown(opened, stopped, stopped)
    opened.execute_script("setSpeed(4)")
    press(opened, " ")
    wait_until(opened, "!view.playing")
    assert step(opened) == 39
    check_shown(opened, 39, 39)  # it stops at the end


def test_two_episodes_side_by_side(opened):
    press(opened, "c")
    wait_until(opened, f"panes.length === 2 && {SETTLED}")
    assert [title.text for title in select(opened, ".pane h2")] == ["episode_0", "episode_1"]
    opened.execute_script("seek(1.2)")
    check_shown(opened, *[12] * 4)
    opened.execute_script("seek(3.5)")
    check_shown(opened, 35, 35, 24, 24)  # the shorter one stays at its last step
    opened.execute_script("setSpeed(0.25); seek(2.4)")
    press(opened, " ")
    wait_until(opened, "view.time > 2.8")
    press(opened, " ")
    assert step(opened) >= 28
    check_shown(opened, step(opened), step(opened), 24, 24)
    select(opened, "#compare")[0].click()
    wait_until(opened, "panes.length === 1")


def test_the_address_holds_what_is_shown(opened, page):
    opened.execute_script("choose('episode_1', true)")
    wait_until(opened, f"panes.length === 2 && {SETTLED}")
    opened.execute_script("seek(0.9)")
    address = opened.execute_script("return location.hash")
    assert address == "#episode_0&episode_1@0.9"
    open_at(opened, page, address)
    check_shown(opened, *[9] * 4)


def test_episodes_are_chosen_and_filtered(opened):
    select(opened, "#episodes .row")[2].click()
    wait_until(opened, f"view.names[0] === 'episode_10' && panes[0].entry.name === 'episode_10' && {SETTLED}")
    assert [plot.text for plot in select(opened, ".plots h3")] == ["joints", "base"]
    opened.execute_script("seek(3)")
    check_shown(opened, 15)
    select(opened, "#outcomes button")[2].click()
    assert [row.text.split("\n")[0] for row in select(opened, "#episodes .row")] == ["episode_1"]
    select(opened, "#outcomes button")[0].click()
    press(opened, "/", "transfer 0")
    assert [row.text.split("\n")[0] for row in select(opened, "#episodes .row")] == ["episode_0"]


def test_marked_episodes_give_the_command_that_changes_them(opened, dataset, monkeypatch):
    command = "return $('command').textContent"
    assert not select(opened, "#edit")[0].is_displayed()
    press(opened, "m")
    opened.execute_script("choose('episode_10')")
    wait_until(opened, f"view.names[0] === 'episode_10' && {SETTLED}")
    select(opened, "#mark")[0].click()
    assert select(opened, "#edit")[0].is_displayed()
    wanted = f"--dataset_dir {dataset} --episodes 0 10 --in_place"
    assert opened.execute_script(command) == f"python3 edit_episodes.py delete {wanted}"
    opened.execute_script("$('change').selectedIndex = 1; $('change').dispatchEvent(new Event('change'))")
    said = opened.execute_script(command)
    assert said == f"python3 edit_episodes.py relabel --success false {wanted}"
    monkeypatch.setattr(sys, "argv", [*shlex.split(said)[1:], "--dry_run"])
    edit_episodes.main()  # it is a command that can be given
    assert len(select(opened, "#episodes li.marked")) == 2
    press(opened, "m")
    assert "--episodes 0 --in_place" in opened.execute_script(command)
    select(opened, "#unmark")[0].click()
    assert not select(opened, "#edit")[0].is_displayed()


def test_episodes_are_filtered_by_case(tmp_path):
    task = TASKS["sim_mycobot320_choose_scripted"]
    for i in (0, 1, 2):
        start = sample_start(task, np.random.default_rng(i), i % 2)
        values = {"task": task.name, "fps": 10, "env_state": start}
        make_episode(12, cameras=("top",), dim=7, **values).save(episode_path(tmp_path, i))
    page = write_viewer(list_episodes(tmp_path), tmp_path / "html", Workers(1))
    with chromium(width=1366) as driver:
        open_at(driver, page)
        rows = [row.text.split("\n")[-1] for row in select(driver, "#episodes .row")]
        assert rows == ["B1 free", "B1 occupied", "B1 free"]
        driver.execute_script("$('cases').value = 'B1 free'; $('cases').dispatchEvent(new Event('change'))")
        assert len(select(driver, "#episodes .row")) == 2
        driver.execute_script("choose('episode_2', true)")
        wait_until(driver, f"panes.length === 2 && {SETTLED}")
        assert driver.execute_script("return $('keys').offsetTop === $('play').offsetTop"), (
            "one row of buttons"
        )


def test_what_is_missing_is_said(dataset, tmp_path):
    require_chromium()
    folder = tmp_path / "moved"
    page = write_viewer(list_episodes(dataset), folder, Workers(1))
    (folder / "episode_0_top.mp4").unlink()
    (folder / "episode_1.js").unlink()
    with chromium(complaints=True) as driver:
        driver.get(page.as_uri())
        wait_until(driver, "document.querySelector('.missing')")
        assert "episode_0_top.mp4 is missing" in select(driver, ".missing")[0].text
        driver.execute_script("choose('episode_1')")
        wait_until(driver, "document.querySelector('.problem')")
        assert "episode_1.js is missing" in select(driver, ".problem")[0].text
