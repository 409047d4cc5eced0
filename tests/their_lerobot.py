"""LeRobot itself, in an environment of its own.

LEROBOT_PYTHON names its interpreter, or several, separated as in PATH: one with lerobot 0.3.3 for format
v2.1, one with the newest lerobot for v3.0 and for the plugins. Each needs lerobot's packages for datasets and
training, and PyAV; for the plugins also those that docs/lerobot.md names:

    LEROBOT_PYTHON=/path/to/lerobot33/bin/python:/path/to/lerobot/bin/python make test-slow
"""

import functools
import os
import subprocess
from pathlib import Path


@functools.cache
def interpreters() -> dict[str, str]:
    """By version of the format: the interpreter of the LeRobot that reads it."""
    ask = "from importlib.metadata import version; print(version('lerobot'))"
    pythons = {}
    for python in filter(None, os.environ.get("LEROBOT_PYTHON", "").split(os.pathsep)):
        answer = subprocess.run([python, "-c", ask], capture_output=True, text=True)
        assert answer.returncode == 0, f"LEROBOT_PYTHON: {python} has no lerobot: {answer.stderr}"
        number = tuple(map(int, answer.stdout.split(".")[:2]))
        pythons["3.0" if number >= (0, 4) else "2.1"] = python
    return pythons


def run_theirs(version: str, home: Path, *words: object, fails: bool = False, **options) -> str:
    """What LeRobot's interpreter prints; it reaches no hub, and keeps its caches in `home`.

    `env` of the `options` of subprocess.run is added to the environment.
    """
    offline = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled", "HF_HOME": str(home)}
    done = subprocess.run(
        [interpreters()[version], *map(str, words)],
        env=os.environ | offline | options.pop("env", {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    assert (done.returncode != 0) == fails, done.stdout[-5000:]
    print(done.stdout)
    return done.stdout
