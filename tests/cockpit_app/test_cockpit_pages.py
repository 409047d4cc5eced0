"""The cockpit in a browser, driven as a person would: by its buttons and its keyboard."""

import json
import shutil
import time

import pytest
from browser import wait_until
from synthetic import make_dataset

from cockpit_app.arm.access import ArmDefaults
from cockpit_app.network import keep_token
from cockpit_app.places import Places
from cockpit_app.server import FOLDER, WEB, Cockpit
from episodes import Episode

PAGES = ("home", "arm", "record", "data", "train", "run", "results")
NASTY = "<img src=x onerror=document.title='broken'>"
NAMELESS = """
const controls = "a, button, input, select, textarea, summary, iframe, video, [tabindex]";
return [...document.querySelectorAll(controls)]
  .filter((one) => one.id !== "main" && one.checkVisibility())
  .filter((one) => !(one.labels?.length || one.textContent.trim() || one.getAttribute("aria-label")
    || one.title || one.placeholder))
  .map((one) => one.outerHTML.slice(0, 200));
"""


@pytest.fixture
def cockpit(driver, tmp_path, request):
    (tmp_path / "runs").mkdir()
    arm = ArmDefaults(getattr(request, "param", "mycobot320"))
    cockpit = Cockpit(Places.of("data", "runs", tmp_path), keep_token(tmp_path / "runs" / FOLDER), arm=arm)
    yield cockpit
    driver.get("about:blank")  # a page that finds nobody complains
    cockpit.close()


def open_page(driver, cockpit, name="home", language="en"):
    driver.get(cockpit.address)
    driver.execute_script(f"localStorage.setItem('cockpit language', '{language}')")
    driver.get(f"{cockpit.url}/?again#{name}")
    words = json.loads((WEB / f"{language}.json").read_text(encoding="utf-8"))
    wait_until(driver, f"document.querySelector('h1')?.textContent === {json.dumps(words[f'page {name}'])}")


def press(driver, words, within="main"):
    """Click the visible button or link that says these words."""
    find = (
        f"[...document.querySelectorAll('{within} button, {within} a')].find((one) => !one.disabled "
        f"&& one.checkVisibility() && one.textContent === {json.dumps(words)})"
    )
    wait_until(driver, find)
    driver.execute_script(f"{find}.click()")


def write(driver, label, text):
    """Type into the field with a label."""
    begins = f"one.textContent.startsWith({json.dumps(label)})"
    find = f"[...document.querySelectorAll('label')].find((one) => {begins})"
    wait_until(driver, find)
    field = driver.execute_script(f"return document.getElementById({find}.htmlFor)")
    field.clear()
    field.send_keys(text)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_an_empty_folder_has_pages_whose_controls_have_names(driver, cockpit, language):
    words = json.loads((WEB / f"{language}.json").read_text(encoding="utf-8"))
    open_page(driver, cockpit, "home", language)
    for name in PAGES:
        driver.execute_script(f"location.hash = '{name}'")
        wait_until(
            driver, f"document.querySelector('h1').textContent === {json.dumps(words[f'page {name}'])}"
        )
        assert driver.execute_script(NAMELESS) == [], name
        assert driver.execute_script("return document.documentElement.lang") == language
    for name in ("data", "train", "run", "results"):  # an empty page leads to the one that fills it
        driver.execute_script(f"location.hash = '{name}'")
        wait_until(
            driver, "[...document.querySelectorAll('.nothing a')].some((one) => one.checkVisibility())"
        )


def test_it_is_used_by_keyboard_alone(driver, cockpit):
    from selenium.webdriver.common.keys import Keys

    open_page(driver, cockpit)
    body = driver.find_element("tag name", "body")
    body.send_keys("5")
    wait_until(driver, "location.hash === '#train' && document.querySelector('h1').textContent === 'Train'")
    wait_until(driver, "[...document.querySelectorAll('.nothing a')].some((one) => one.checkVisibility())")
    driver.execute_script("document.getElementById('skip').focus()")
    seen = set()
    for _ in range(14):
        active = driver.switch_to.active_element
        seen.add(driver.execute_script("return arguments[0].textContent.trim() || arguments[0].id", active))
        active.send_keys(Keys.TAB)
    assert {"Cockpit", "Start", "Arm", "Record", "Data", "Train", "Run", "Results", "Record some"} <= seen


def test_a_language_is_chosen_and_kept(driver, cockpit):
    open_page(driver, cockpit)
    switch = "document.querySelector('#switches select')"
    driver.execute_script(f"{switch}.value = 'ko'; {switch}.dispatchEvent(new Event('change'))")
    wait_until(driver, "document.querySelector('h1').textContent === '시작'")
    driver.refresh()
    wait_until(driver, "document.querySelector('h1')?.textContent === '시작'")


def test_a_narrow_screen_needs_no_scrolling_aside(driver, cockpit):
    make_dataset(cockpit.places.data / "a_rather_long_name_of_a_dataset_of_demonstrations", 2)
    open_page(driver, cockpit)
    try:
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        for name in PAGES:
            driver.execute_script(f"location.hash = '{name}'")
            wait_until(driver, f"location.hash === '#{name}' && document.querySelector('main > div')")
            wait_until(driver, "document.documentElement.scrollWidth === 390")
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_names_are_texts_wherever_they_come_from(driver, cockpit):
    folder = cockpit.places.data / "set"
    make_dataset(folder, 1)
    shutil.move(folder, cockpit.places.data / NASTY)
    run = cockpit.places.runs / NASTY
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"task_name": NASTY, "policy_class": NASTY}))
    (run / "policy_last.ckpt").write_bytes(b"")
    open_page(driver, cockpit)
    for name in PAGES:
        driver.execute_script(f"location.hash = '{name}'")
        wait_until(driver, f"location.hash === '#{name}' && document.querySelector('main > div')")
        time.sleep(0.2)
        assert driver.execute_script("return document.querySelectorAll('main img').length") == 0
        assert "broken" not in driver.title
    driver.execute_script("location.hash = 'results'")
    wait_until(driver, f"document.querySelector('main').textContent.includes({json.dumps(NASTY)})")


def test_a_check_runs_by_one_button_and_a_cockpit_that_dies_loses_nothing(driver, cockpit):
    make_dataset(cockpit.places.data / "set", 2)
    open_page(driver, cockpit, "data")
    press(driver, "Check it")
    wait_until(driver, "document.querySelector('.job')")
    cockpit.close()
    wait_until(driver, "!document.getElementById('lost').hidden")
    again = Cockpit(cockpit.places, cockpit.token, cockpit.server_address[1])
    try:
        wait_until(driver, "document.getElementById('lost').hidden")
        wait_until(driver, "['done', 'failed'].includes(document.querySelector('.job').dataset.state)")
        driver.execute_script("document.querySelector('.job details').open = true")
        wait_until(driver, "document.querySelector('.job pre').textContent.includes('episode')")
    finally:
        again.close()
    driver.get_log("browser")  # the refused connections are no complaint


def test_a_mistake_in_a_form_is_said_where_it_is(driver, cockpit):
    make_dataset(cockpit.places.data / "set", 2)
    open_page(driver, cockpit, "train")
    wait_until(driver, "document.querySelector('.command code')?.textContent.startsWith('python3')")
    write(driver, "Steps", "many")
    press(driver, "Start training")
    wait_until(
        driver, "document.querySelector('form > .problem').textContent.includes('must be a whole number')"
    )
    write(driver, "Steps", "7")
    wait_until(driver, "document.querySelector('.command code').textContent.includes('--num_steps 7')")
    driver.execute_script("document.querySelector('.all').open = true")
    write(driver, "lr", "0")
    wait_until(driver, "document.querySelector('[aria-invalid=true]')")
    assert cockpit.jobs.all() == []


def test_a_change_is_shown_before_it_can_be_done(driver, cockpit):
    make_dataset(cockpit.places.data / "set", 2)
    open_page(driver, cockpit, "data")
    wait_until(driver, "document.querySelector('.command code')?.textContent.startsWith('python3')")
    choose = "[...document.querySelectorAll('label')].find((one) => one.textContent === 'What to do')"
    select = driver.execute_script(f"return document.getElementById({choose}.htmlFor)")
    driver.execute_script(
        "arguments[0].value = 'compress'; arguments[0].dispatchEvent(new Event('change'))", select
    )
    wait_until(driver, "document.querySelector('.command code')?.textContent.includes(' compress ')")
    real = "[...document.querySelectorAll('button')].find((one) => one.textContent === 'Do it')"
    assert driver.execute_script(f"return {real}.disabled")
    press(driver, "Show what it would do")
    wait_until(driver, f"!{real}.disabled")
    assert not (cockpit.places.data / "set_compress").exists()
    press(driver, "Do it")
    wait_until(driver, "document.querySelectorAll('.job[data-state=done]').length === 2")
    assert len(list((cockpit.places.data / "set_compress").glob("*.hdf5"))) == 2


PAGE = """<!doctype html><title>x</title><p id="own">no</p><p id="beside">no</p><p id="cockpit">no</p>
<script>document.getElementById("own").textContent = "yes"</script><script src="beside.js"></script>
<script>
fetch("/api/overview").then((answer) => { document.getElementById("cockpit").textContent = answer.status; },
  () => { document.getElementById("cockpit").textContent = "refused"; });
try { parent.document.title = "taken"; } catch { document.title = "kept out"; }
</script>"""


def test_a_report_shows_itself_and_reaches_nothing_else(driver, cockpit):
    run = cockpit.places.runs / "demo"
    run.mkdir()
    (run / "config.json").write_text("{}")
    (run / "report.html").write_text(PAGE)
    (run / "beside.js").write_text("document.getElementById('beside').textContent = 'yes'")
    open_page(driver, cockpit, "results")
    press(driver, "Report")
    wait_until(driver, "document.querySelector('iframe').checkVisibility()")
    driver.switch_to.frame(driver.find_element("tag name", "iframe"))
    wait_until(driver, "document.getElementById('cockpit')?.textContent === 'refused'")
    shown = "return ['own', 'beside'].map((id) => document.getElementById(id).textContent)"
    assert driver.execute_script(shown) == ["yes", "yes"]
    assert driver.execute_script("return document.title") == "kept out"
    driver.switch_to.default_content()
    assert driver.title.startswith("Results")
    driver.get_log("browser")  # it complains of what was refused


@pytest.mark.slow
def test_from_an_empty_folder_to_a_policy_that_runs_by_clicks_alone(driver, cockpit):
    open_page(driver, cockpit, "record")
    write(driver, "Name of the dataset", "few")
    write(driver, "Episodes", "2")
    press(driver, "Start recording")
    done = "document.querySelector('.job').dataset.state === 'done'"
    wait_long(driver, f"document.querySelector('.job') && {done}")
    episode = Episode.load(cockpit.places.data / "few/episode_0.hdf5", in_memory=False)
    assert episode.success
    press(driver, "Train on it")
    write(driver, "Steps", "20")
    write(driver, "Name of the run", "few")
    press(driver, "Start training")
    wait_long(driver, f"document.querySelector('.job') && {done}")
    wait_until(driver, "document.querySelector('.chart .line')")
    press(driver, "Run it")
    write(driver, "Attempts", "1")
    press(driver, "Start")
    wait_long(driver, f"document.querySelector('.job') && {done}")
    wait_until(driver, "document.querySelector('.films video')?.readyState > 0")
    assert (cockpit.places.runs / "few/policy_last.ckpt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("cockpit", ["twin"], indirect=True)
def test_from_an_empty_folder_to_a_policy_on_the_twin_by_clicks_alone(driver, cockpit):
    done = "document.querySelector('.job')?.dataset.state === 'done'"
    open_page(driver, cockpit, "record")
    choose(driver, "arm_record")
    write(driver, "Name of the dataset", "few")
    write(driver, "Episodes", "2")
    press(driver, "Start recording")
    wait_until(driver, "document.querySelector('.seat .camera.live')")
    wait_long(driver, f"!document.querySelector('.seat .desk') && {done}")
    assert all(Episode.load(cockpit.places.data / f"few/episode_{i}.hdf5").success for i in range(2))
    driver.execute_script("location.hash = 'train'")
    write(driver, "Steps", "20")
    write(driver, "Name of the run", "few")
    press(driver, "Memory and time it takes")
    wait_long(driver, f"{done} && document.querySelector('.job pre').textContent.includes('dry run: memory')")
    press(driver, "Start training")
    wait_long(driver, f"document.querySelectorAll('.job').length === 2 && {done}")
    driver.execute_script("location.hash = 'run'")
    choose(driver, "arm_run")
    write(driver, "Attempts", "1")
    press(driver, "Start")
    wait_until(driver, "document.querySelector('.seat .camera.live')")
    wait_long(driver, f"!document.querySelector('.seat .desk') && {done}")
    assert Episode.load(cockpit.places.runs / "few/arm/episode_0.hdf5").success is False, (
        "20 steps teach nothing"
    )
    driver.get_log("browser")  # pages ask a moment longer than a desk is there


def choose(driver, value):
    """Choose the card of a value."""
    find = f"document.querySelector('input[type=radio][value={value}]')"
    wait_until(driver, f"{find} && !{find}.disabled")
    driver.execute_script(f"{find}.click()")


def wait_long(driver, condition):
    deadline = time.monotonic() + 1200
    while not driver.execute_script(f"return Boolean({condition})"):
        failed = driver.execute_script(
            "return document.querySelector('.job[data-state=failed]')?.textContent"
        )
        assert failed is None and time.monotonic() < deadline, failed or condition
        time.sleep(0.5)
