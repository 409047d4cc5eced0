"""Pages on which the arm or its twin is at work: its desk is there, and what it made is shown."""

import pytest
from browser import wait_until
from emulated import eventually
from fake_desk import FakeDesk
from synthetic import make_dataset

from cockpit_app.arm.access import ArmDefaults
from cockpit_app.network import keep_token
from cockpit_app.places import Places
from cockpit_app.server import FOLDER, Cockpit


@pytest.fixture
def cockpit(driver, tmp_path):
    for name in ("one", "two"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text('{"task_name": "sim_x", "policy_class": "ACT"}')
        (tmp_path / "runs" / name / "history.csv").write_text("step,val/loss\n5,0.5\n10,0.25\n")
    make_dataset(tmp_path / "data/set", 2)
    places = Places.of("data", "runs", tmp_path)
    cockpit = Cockpit(places, keep_token(places.runs / FOLDER), arm=ArmDefaults("twin"))
    yield cockpit
    driver.get("about:blank")
    cockpit.close()
    driver.get_log("browser")  # a page that leaves while it asks complains


def show(driver, cockpit, page):
    driver.get(cockpit.address)
    driver.execute_script("localStorage.setItem('cockpit language', 'en')")
    driver.get(f"{cockpit.url}/?again#{page}")
    wait_until(driver, "document.querySelector('main > div')")


def press(driver, words):
    """Click the button that begins with these words."""
    find = (
        "[...document.querySelectorAll('main button')].find((one) => one.checkVisibility() && !one.disabled "
        f"&& one.textContent.startsWith('{words}'))"
    )
    wait_until(driver, find)
    driver.execute_script(f"{find}.click()")


@pytest.mark.parametrize(
    ("page", "program"), [("record", "arm_record"), ("run", "arm_run"), ("data", "arm_replay")]
)
def test_what_the_arm_asks_is_answered_on_the_page_of_its_work(driver, cockpit, page, program):
    desk = FakeDesk()
    try:
        desk.job(cockpit, program)
        answers = [{"key": "k", "word": "keep"}, {"key": "r", "word": "again"}]
        desk.state |= {
            "question": {"id": 3, "text": "did it succeed?", "answers": answers, "takes_line": False}
        }
        show(driver, cockpit, page)
        wait_until(driver, "document.querySelector('.seat .asked')?.textContent === 'did it succeed?'")
        desk.state["owner"] = None  # the page that was there first is gone
        press(driver, "Keep")
        wait_until(driver, "document.querySelector('.seat .asked').textContent === ''")
        eventually(lambda: desk.answers)  # the page tells first, the desk hears after
        assert [(one["question"], one["key"]) for one in desk.answers] == [(3, "k")]
        driver.execute_script("location.hash = 'train'")  # a page that is left lets go
        wait_until(driver, "!document.querySelector('.seat')")
        assert eventually(desk.is_left_alone)
    finally:
        desk.close()


def test_a_policy_of_an_own_task_runs_on_the_twin_that_shows_it(driver, cockpit):
    run = cockpit.places.runs / "mine"
    run.mkdir()
    (run / "config.json").write_text('{"task_name": "mycobot320_choose", "policy_class": "ACT"}')
    (run / "policy_last.ckpt").write_bytes(b"")
    show(driver, cockpit, "run")
    command = "[...document.querySelectorAll('.command code')].map((one) => one.textContent).join()"
    wait_until(driver, f"{command}.includes('--task_name sim_mycobot320_choose_scripted')")


def test_recording_on_the_twin_is_a_choice_of_the_form(driver, cockpit):
    show(driver, cockpit, "record")
    wait_until(driver, "document.querySelector('input[value=arm_record]')")
    driver.execute_script("document.querySelector('input[value=arm_record]').click()")
    wait_until(driver, "document.querySelector('.command code')?.textContent.includes('--robot twin')")
    driver.execute_script("document.querySelector('input[value=jog]').click()")
    wait_until(driver, "document.querySelector('.command code')?.textContent.includes('--jog keyboard')")
    assert cockpit.jobs.all() == []


def test_episodes_are_listed_with_a_film_of_the_last(driver, cockpit):
    show(driver, cockpit, "data")
    press(driver, "Episodes")
    wait_until(driver, "document.querySelectorAll('.takes tbody tr').length === 2")
    style = "return document.querySelector('.takes td[data-head=Style]').textContent"
    assert driver.execute_script(style) == "as the script"
    wait_until(driver, "document.querySelector('.take video').readyState > 0")
    wait_until(driver, "document.querySelector('.take figcaption').textContent.startsWith('Episode 1')")


def test_losses_of_runs_are_drawn_side_by_side(driver, cockpit):
    show(driver, cockpit, "train")
    wait_until(driver, "document.querySelectorAll('.beside input').length === 2")
    driver.execute_script("for (const box of document.querySelectorAll('.beside input')) box.click()")
    wait_until(driver, "document.querySelectorAll('.beside polyline').length === 2")
