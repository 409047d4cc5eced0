"""The desk on a page: what is held down, asked and stopped there reaches the program of the arm."""

import json

import pytest
from browser import WAIT, wait_until
from fake_desk import FakeDesk

from cockpit_app.network import keep_token
from cockpit_app.places import Places
from cockpit_app.server import Cockpit

RATES = ["x", "y", "z", "turn x", "turn y", "turn z", "gripper"]
SHOW = """
const done = arguments[2];
import("/web/desk.js").then(({ Desk }) => {
  window.desk = new Desk({ job: arguments[0], jog: arguments[1], onended: () => { window.ended = true; } });
  document.getElementById("main").replaceChildren(window.desk.element);
  window.desk.update({ jobs: [], arm: { job: arguments[0] } });
  done();
});
"""


@pytest.fixture
def desk(driver, tmp_path):
    """A desk that is shown, of a job that runs."""
    (tmp_path / "runs").mkdir()
    cockpit = Cockpit(Places.of("data", "runs", tmp_path), keep_token(tmp_path / "runs/.cockpit"))
    desk = FakeDesk()
    number = desk.job(cockpit)
    driver.get(cockpit.address)
    driver.execute_script("localStorage.setItem('cockpit language', 'en')")
    driver.get(f"{cockpit.url}/?again#results")
    wait_until(driver, "!document.getElementById('stop').hidden")
    driver.execute_async_script(SHOW, number, True)
    wait_until(driver, "document.querySelector('.desk .doing').textContent === 'Ready'")
    wait_until(driver, "!document.querySelector('.hold')?.disabled")
    yield desk
    driver.get("about:blank")
    cockpit.close()
    desk.close()
    driver.get_log("browser")  # a page that leaves while it asks complains


def until(driver, condition):
    """Wait for something that the desk was told."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, WAIT, 0.02).until(lambda _: condition())


def rates(desk):
    """What is held down, as the last beat says."""
    last = desk.beats[-1]["rates"]
    return last and {name: share for name, share in zip(RATES, last, strict=True) if share}


def press(driver, kind, key, code, on="document.body"):
    event = json.dumps({"key": key, "code": code, "bubbles": True, "cancelable": True})
    driver.execute_script(f"{on}.dispatchEvent(new KeyboardEvent('{kind}', {event}))")


def test_keys_are_rates_while_they_are_held(driver, desk):
    press(driver, "keydown", "d", "KeyD")
    press(driver, "keydown", "ㄱ", "KeyR")
    until(driver, lambda: rates(desk) == {"x": 1, "z": 1})
    wait_until(driver, "document.querySelector('.hold.held')")
    press(driver, "keyup", "D", "KeyD")
    until(driver, lambda: rates(desk) == {"z": 1})
    driver.execute_script("window.dispatchEvent(new Event('blur'))")
    until(driver, lambda: rates(desk) == {})
    press(driver, "keydown", "x", "KeyX")
    until(driver, lambda: desk.beats[-1]["slow"])
    assert desk.keys == []
    numbers = [beat["number"] for beat in desk.beats]
    assert len(set(numbers)) == len(numbers)


def test_a_button_counts_until_it_is_released_wherever_that_is(driver, desk):
    from selenium.webdriver.common.action_chains import ActionChains

    button = driver.execute_script(
        "return [...document.querySelectorAll('.hold')].find((one) => one.textContent.startsWith('further'))"
    )
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    ActionChains(driver).click_and_hold(button).perform()
    until(driver, lambda: rates(desk) == {"y": 1})
    ActionChains(driver).move_by_offset(-500, 40).perform()
    assert rates(desk) == {"y": 1}
    ActionChains(driver).release().perform()
    until(driver, lambda: rates(desk) == {})


def test_a_stick_is_pushed_by_a_finger_and_lets_go(driver, desk):
    from selenium.webdriver.common.actions import interaction
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    stick = driver.find_element("css selector", ".stick")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", stick)
    finger = PointerInput(interaction.POINTER_TOUCH, "finger")
    actions = ActionBuilder(driver, mouse=finger)
    actions.pointer_action.move_to(stick).pointer_down().move_to(stick, 40, -30)
    actions.perform()
    until(driver, lambda: set(rates(desk)) == {"x", "y"})
    held = rates(desk)
    assert 0.3 < held["x"] < 1 and 0.3 < held["y"] < 1
    driver.execute_script("window.dispatchEvent(new Event('blur'))")
    until(driver, lambda: rates(desk) == {})
    actions = ActionBuilder(driver, mouse=finger)
    actions.pointer_action.pointer_up()
    actions.perform()


def test_a_gamepad_drives_while_the_page_has_the_focus(driver, desk):
    driver.execute_script(
        "window.pad = {id: 'Test pad', mapping: 'standard', axes: [0.5, 0.01, 0, -1],"
        " buttons: Array.from({length: 17}, (_, n) => ({pressed: n === 5}))};"
        "navigator.getGamepads = () => [null, window.pad];"
        "document.hasFocus = () => !window.isAway;"
    )
    until(driver, lambda: rates(desk) == {"x": 0.5, "z": 1, "gripper": 1})
    wait_until(driver, "document.querySelector('.jog > .help').textContent.includes('Test pad')")
    driver.execute_script("window.isAway = true")
    until(driver, lambda: rates(desk) == {})
    driver.execute_script("window.isAway = false; window.pad.mapping = ''")
    before = len(desk.beats)
    until(driver, lambda: len(desk.beats) > before + 3)
    assert rates(desk) == {}, "a pad whose buttons nobody knows"


@pytest.mark.parametrize("key", [" ", "Escape"])
def test_space_and_escape_stop_even_on_a_button(driver, desk, key):
    quits = "[...document.querySelectorAll('.now button')].find((one) => one.textContent.startsWith('Quit'))"
    driver.execute_script(f"{quits}.focus()")
    driver.switch_to.active_element.send_keys(key if key == " " else "\ue00c")
    until(driver, lambda: desk.stops == 1)
    wait_until(driver, "document.querySelector('.now .status').textContent === 'Stopped: you stopped it'")
    assert desk.keys == []
    until(driver, lambda: rates(desk) is None)


def test_a_question_is_answered_by_button_or_key(driver, desk):
    answers = [{"key": "k", "word": "keep"}, {"key": "f", "word": "keep as a failure"}]
    desk.state["question"] = {"id": 3, "text": "keep it?", "answers": answers, "takes_line": False}
    wait_until(driver, "document.querySelector('.asked').textContent === 'keep it?'")
    press(driver, "keydown", "z", "KeyZ")
    press(driver, "keydown", "f", "KeyF")
    until(driver, lambda: desk.answers)
    assert desk.answers[-1]["key"] == "f" and desk.answers[-1]["question"] == 3
    assert not any(any(beat["rates"] or []) for beat in desk.beats)  # `f` drove nothing meanwhile
    desk.state["question"] = {"id": 4, "text": "its name?", "answers": [], "takes_line": True}
    wait_until(driver, "document.activeElement === document.querySelector('.typed input')")
    driver.switch_to.active_element.send_keys("a b\n")
    until(driver, lambda: len(desk.answers) == 2)
    assert desk.answers[-1]["line"] == "a b" and desk.stops == 0


def test_only_the_twins_own_page_is_a_link(driver, desk):
    address = "http://127.0.0.1:4000/?token=Ab-9_x"
    lines = [
        f"look at it: {address} in a browser",
        "http://127.0.0.1.evil.org:1/?token=a",
        "javascript:1 <a>",
    ]
    desk.state["said"] = [{"n": n, "text": text} for n, text in enumerate(lines, start=2)]
    wait_until(driver, "document.querySelectorAll('.said li').length === 3")
    said = "[...document.querySelectorAll('.said li')].map((one) => one.textContent)"
    assert driver.execute_script(f"return {said}") == lines
    links = "[...document.querySelectorAll('.said a')].map((one) => [one.href, one.target, one.rel])"
    assert driver.execute_script(f"return {links}") == [[address, "_blank", "noopener noreferrer"]]


def test_who_has_no_control_watches_until_it_is_taken(driver, desk):
    desk.state["owner"] = "somebody"
    wait_until(driver, "document.querySelector('.others').checkVisibility()")
    press(driver, "keydown", "d", "KeyD")
    press(driver, "keydown", "h", "KeyH")
    until(driver, lambda: rates(desk) is None)
    assert desk.keys == []
    driver.execute_script("document.querySelector('.others button').click()")
    wait_until(driver, "!document.querySelector('.others').checkVisibility()")
    press(driver, "keydown", "h", "KeyH")
    until(driver, lambda: desk.keys == ["h"])


def test_a_page_that_goes_gives_the_control_up(driver, desk):
    until(driver, lambda: desk.state["owner"])
    driver.get("about:blank")
    until(driver, lambda: desk.state["owner"] is None)


def test_the_stop_bar_is_in_view_and_a_closed_desk_is_silent(driver, desk):
    try:
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.execute_script("window.scrollTo(0, document.body.scrollHeight)")
        box = driver.execute_script(
            "const box = document.querySelector('#stop button').getBoundingClientRect();"
            "return [box.top, box.bottom, box.width]"
        )
        assert box[0] >= 0 and box[1] < 120 and box[2] > 300
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        driver.execute_script("document.querySelector('#stop button').click()")
        until(driver, lambda: desk.stops == 1)
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_script("desk.close()")
    until(driver, desk.is_left_alone)
