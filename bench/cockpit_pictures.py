"""The pictures of docs/cockpit.md: each page wide and narrow, in light and in dark.

python3 -m bench.cockpit_pictures runs/demo

The pictures show what lies in `data/` and `runs/` of the present folder. Needs Chromium, as the tests of
pages do.
"""

from __future__ import annotations

import argparse
import shutil
import time
import urllib.parse
from pathlib import Path

import cv2
import numpy as np

from cockpit_app import DESK, FOLDER, ArmDefaults, Cockpit, Job, Places, has_desk, keep_token

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ("home", "arm", "record", "data", "train", "run", "results")
SIZES = {"wide": (1400, 900), "narrow": (390, 900)}  # width, height (pixels)
GAP, SCALE, QUALITY = 24, 0.5, 82
SETTLE = 6.0  # s until a page has asked for everything


def picture(driver, address: str, size: tuple[int, int], light: str) -> np.ndarray:
    """A page as it looks (H, W, 3), blue first."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get(address)
    driver.execute_script(f"localStorage.setItem('cockpit light', '{light}')")
    driver.execute_script("localStorage.setItem('cockpit language', 'en')")
    driver.refresh()
    time.sleep(SETTLE)
    return cv2.imdecode(np.frombuffer(driver.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)


def sheet(driver, address: str) -> np.ndarray:
    """A page four times: wide and narrow, light above dark."""
    rows = []
    for light in ("light", "dark"):
        wide, narrow = (picture(driver, address, size, light) for size in SIZES.values())
        rows.append(cv2.hconcat([wide, np.full((wide.shape[0], GAP, 3), 255, np.uint8), narrow]))
    between = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    return cv2.resize(
        cv2.vconcat([rows[0], between, rows[1]]), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA
    )


def connect(driver, cockpit: Cockpit) -> Job:
    """Drive the twin, whose desk the page then shows; without a page it would not begin."""
    driver.get(cockpit.address)
    driver.get(f"{cockpit.url}/?again#arm")
    words, _ = cockpit.programs.command("drive", {})
    job = cockpit.jobs.start("drive", words, "", {}, cockpit.places.here, {"desk": DESK})
    while not has_desk(job):
        time.sleep(0.2)
    time.sleep(2 * SETTLE)  # until the arm is connected
    return job


def main() -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", help="folder of the run whose films are shown, e.g. runs/demo")
    run = parser.parse_args().run
    places = Places.of("data", "runs", Path.cwd())
    cockpit = Cockpit(places, keep_token(places.runs / FOLDER), arm=ArmDefaults(robot="twin"))
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        for program in ("record", "train", "evaluate", "change_delete"):
            cockpit.programs.told(program, {})  # so that no picture waits for it
        for page in PAGES:
            job = connect(driver, cockpit) if page == "arm" else None
            path = DOCS / f"cockpit_{page}.jpg"
            shown = f"?run={urllib.parse.quote(run, safe='')}" if page == "run" and run else ""
            driver.get(cockpit.address)
            address = f"{cockpit.url}/?again#{page}{shown}"
            cv2.imwrite(str(path), sheet(driver, address), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            print(path)
            if job:
                cockpit.jobs.stop(job.number)
    finally:
        driver.quit()
        cockpit.close()


if __name__ == "__main__":
    main()
