"""docs/disturbances.md from the registry, and a picture under each of the disturbances that it shows.

python3 -m bench.disturbances
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from common import captioned, tile
from constants import TASKS
from disturbances import AXES, GROUPS, STRENGTHS, Applied, Disturbance, Pictures

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, PICTURE = DOCS / "disturbances.md", DOCS / "disturbances.jpg"
TASK = TASKS["sim_transfer_cube_scripted"]
SIZE = (240, 320)  # height, width (pixels) of each picture
PER_ROW = 5
SEED, ROLLOUT, STEP = 1, 3, 175  # of the start; of what is drawn; of the script
JPEG_QUALITY = 80
WIDTH = 119  # columns
UNBROKEN = {"break_long_words": False, "break_on_hyphens": False}
INTRODUCTION = """\
# Disturbances

What `--disturb` takes: see [evaluate](evaluate.md#disturbances). `python3 -m bench.disturbances` makes this
page from the registry, and a test compares it.

![one picture under each disturbance of pictures, at middle strength](disturbances.jpg)

Where a disturbance goes to either side, each rollout draws which. Lengths in pixels are those of a picture of
480 lines. "Theirs" is [act-vision-dynamic](https://github.com/z1050297972-spec/act-vision-dynamic), which
evaluates ACT on the cube transfer under five disturbances of pictures and four of dynamics.
"""


def _note(each: Disturbance) -> str:
    return " ".join((inspect.getdoc(each.apply) or "").split())


def _lines() -> Iterator[str]:
    yield INTRODUCTION
    for group, words in GROUPS.items():
        yield f"## {group[0].upper()}{group[1:]}: {words}\n"
        yield f"| name | {' | '.join(STRENGTHS)} | unit | |"
        yield f"|---|{'--:|' * len(STRENGTHS)}---|---|"
        axes = {name: each for name, each in AXES.items() if each.group == group}
        for name, each in axes.items():
            values = " | ".join(f"{strength:g}" for strength in each.strengths)
            yield f"| `{name}` | {values} | {each.unit} | {each.what} |"
        yield ""
        for name, each in axes.items():
            yield textwrap.fill(f"- `{name}`: {_note(each)}", WIDTH, subsequent_indent="  ", **UNBROKEN)
        yield ""


def page() -> str:
    """The page, as the registry says."""
    return "\n".join(_lines()).rstrip() + "\n"


def frame() -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB of the task's first camera, in the middle of its script."""
    from ee_sim_env import make_ee_sim_env
    from scripted_policy import ScriptedPolicy

    env = make_ee_sim_env(TASK, render_quality="full", image_size=SIZE)
    step = env.reset(SEED)
    script = ScriptedPolicy(TASK, env.start_xyz(), env.env_state)
    for t in range(STEP):
        step = env.step(script(t))
    image = step.observation["images"][TASK.cameras[0]]
    env.close()
    return image


def sheet(image: np.ndarray) -> np.ndarray:
    """A picture as it is, and under each disturbance that shows in a single picture."""
    tiles = [captioned(image, "undisturbed")]
    for name, each in AXES.items():
        pictures = Pictures([Applied(each, STRENGTHS[1])], TASK.fps, SEED, ROLLOUT)
        changed = pictures.changed(image, TASK.cameras[0], 0)
        if changed is not image:
            tiles.append(captioned(changed, f"{name}: {each.value(STRENGTHS[1])}"))
    tiles += [np.full_like(image, 255)] * (-len(tiles) % PER_ROW)
    return np.concatenate([tile(tiles[i : i + PER_ROW]) for i in range(0, len(tiles), PER_ROW)])


def main() -> None:
    """Write the page and the picture."""
    PAGE.write_text(page(), encoding="utf-8")
    picture = cv2.cvtColor(sheet(frame()), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(PICTURE), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


if __name__ == "__main__":
    main()
