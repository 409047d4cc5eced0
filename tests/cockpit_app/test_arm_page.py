"""The page of the arm: beside a desk that tests write, and on the twin from a click to a motion."""

import json
import time

import pytest
from browser import wait_until
from emulated import eventually
from fake_desk import FakeDesk

from cockpit_app.arm.access import ArmDefaults
from cockpit_app.network import keep_token
from cockpit_app.places import Places
from cockpit_app.server import Cockpit

NUMBERS = "[...document.querySelectorAll('.meters .row b')].map((one) => one.textContent)"


@pytest.fixture
def cockpit(driver, tmp_path):
    (tmp_path / "runs").mkdir()
    token = keep_token(tmp_path / "runs/.cockpit")
    cockpit = Cockpit(Places.of("data", "runs", tmp_path), token, arm=ArmDefaults(robot="twin"))
    yield cockpit
    driver.get("about:blank")
    for job in cockpit.jobs.all():
        if job.about["command"] and job.ended() is None:
            cockpit.jobs.stop(job.number)
    cockpit.close()
    driver.get_log("browser")  # desks that are gone, and no WebGL


def open_page(driver, cockpit):
    driver.get(cockpit.address)
    driver.execute_script("localStorage.setItem('cockpit language', 'en')")
    driver.get(f"{cockpit.url}/?again#arm")
    wait_until(driver, "document.querySelector('h1')?.textContent === 'Arm'")


def press(driver, kind, key):
    event = json.dumps({"key": key, "code": f"Key{key.upper()}", "bubbles": True, "cancelable": True})
    driver.execute_script(f"document.body.dispatchEvent(new KeyboardEvent('{kind}', {event}))")


def click(driver, words):
    find = (
        "[...document.querySelectorAll('main button')].find((one) => !one.disabled && one.checkVisibility() "
        f"&& one.textContent.startsWith({json.dumps(words)}))"
    )
    wait_until(driver, find)
    driver.execute_script(f"{find}.click()")


def test_it_shows_a_desk_its_numbers_and_its_findings(driver, cockpit):
    desk = FakeDesk()
    finding = {"what": "line", "level": "bad", "text": "no answer", "advice": "plug it in"}
    desk.state.update(findings=[finding], qpos=[0.5, 0, 0, 0, 0, 0, 0.25])
    try:
        number = desk.job(cockpit)
        open_page(driver, cockpit)
        wait_until(driver, f"{NUMBERS}[0] === '28.6°'")
        wait_until(driver, f"{NUMBERS}[6] === '25 %'")
        wait_until(driver, "document.querySelectorAll('.camera.live').length === 2")
        wait_until(driver, "!document.querySelector('.connect').checkVisibility()")
        wait_until(driver, "document.querySelector('.findings li')?.textContent.includes('plug it in')")
        assert driver.execute_script("return document.querySelector('.findings li').dataset.level") == "bad"
        shown = "['.solid', '.drawn p'].filter((one) => document.querySelector(one).checkVisibility()).length"
        wait_until(driver, f"{shown} === 1")  # the solid, or a word where none can be drawn
        driver.execute_script("location.hash = 'data'")
        wait_until(driver, "!document.getElementById('stop').hidden && !document.querySelector('.desk')")
        driver.execute_script("document.querySelector('#stop button').click()")
        assert eventually(lambda: desk.stops)
        driver.execute_script("location.hash = 'arm'")
        wait_until(driver, "document.querySelector('.status')?.textContent === 'Stopped: you stopped it'")
        (cockpit.jobs.get(number).folder / "ended.json").write_text('{"status": 0, "at": 1.0}')
        wait_until(driver, "!document.querySelector('.desk')")
        wait_until(driver, "document.querySelector('.connect').checkVisibility()")
    finally:
        desk.close()


@pytest.mark.slow
def test_on_the_twin_a_held_key_moves_the_arm_and_stop_holds_it(driver, cockpit):
    open_page(driver, cockpit)
    click(driver, "Connect")
    wait_until(driver, "document.querySelector('.desk')")
    deadline = time.monotonic() + 120
    while not driver.execute_script("return document.querySelector('.doing')?.textContent === 'Ready'"):
        assert time.monotonic() < deadline, driver.execute_script("return document.body.textContent")
        time.sleep(0.2)
    wait_until(driver, "!document.querySelector('.hold')?.disabled")
    begun = driver.execute_script(f"return {NUMBERS}")
    click(driver, "Tool or joints")
    wait_until(driver, "document.querySelector('.jog b').textContent === 'The joints move'")
    press(driver, "keydown", "d")
    wait_until(driver, f"Math.abs(parseFloat({NUMBERS}[0]) - {float(begun[0][:-1])}) > 2")
    press(driver, "keyup", "d")
    driver.execute_script("document.querySelector('#stop button').click()")
    wait_until(driver, "document.querySelector('.status').textContent.startsWith('Stopped')")
    time.sleep(1)
    held = driver.execute_script(f"return {NUMBERS}[0]")
    time.sleep(1)
    assert abs(float(driver.execute_script(f"return {NUMBERS}[0]")[:-1]) - float(held[:-1])) < 0.3
    click(driver, "Quit")
    wait_until(driver, "!document.querySelector('.desk')")
