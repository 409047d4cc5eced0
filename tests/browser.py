"""A headless Chromium for tests of pages, where there is one."""

import shutil
import time
from contextlib import contextmanager

import pytest

WAIT = 120  # s; far more than is needed, also where a page starts a script on a busy machine


def require_chromium():
    """Skip the test, saying why, unless a browser can be driven."""
    pytest.importorskip("selenium", reason="selenium is not installed: pip install selenium")
    for program, package in (("chromium", "chromium"), ("chromedriver", "chromium-driver")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: on Debian apt-get install {package}")


@contextmanager
def chromium(width=1400, height=900, complaints=False):
    """A driver; a page's complaints, such as errors of its script, fail the test unless they are expected."""
    require_chromium()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
    for flag in (*flags, f"--window-size={width},{height}", "--force-device-scale-factor=1"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(WAIT)
    try:
        yield driver
        severe = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert bool(severe) == complaints, severe
    finally:
        driver.quit()


def wait_until(driver, condition):
    """Wait until a JavaScript expression is true; one that fails, as of what is not there yet, is not."""
    deadline = time.monotonic() + WAIT
    while not driver.execute_script(f"try {{ return Boolean({condition}) }} catch {{ return false }}"):
        assert time.monotonic() < deadline, f"{condition} did not come true in {WAIT} s"
        time.sleep(0.05)
