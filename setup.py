"""The wheel: all that runs in one package, `act_toolkit`, so that no `utils` or `policy` meets another's."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import COMMANDS  # noqa: E402

TREE = "act_toolkit.tree"
rooms = find_packages(exclude=["act_toolkit", "build*"])
setup(
    script_name="setup.py",  # so that this file is left out
    include_package_data=False,
    packages=["act_toolkit", TREE, *(f"{TREE}.{room}" for room in rooms)],
    package_dir={"act_toolkit": "act_toolkit", TREE: "."},
    package_data={
        TREE: ["assets/*", "presets/*"],
        f"{TREE}.mycobot_scripts": ["sequences/*"],
        f"{TREE}.mycobot_scripts.stand_in": ["*.json"],
        "": ["web/*"],
    },
    entry_points={"console_scripts": [f"{command} = act_toolkit:run" for command in COMMANDS]},
)
