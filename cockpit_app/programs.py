"""The scripts that pages may start, the flags that each of them has, and the commands that forms become."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cockpit_app.arm import DEVICES, ArmDefaults, check_devices
from cockpit_app.asking import output_of
from cockpit_app.places import Places
from common import ROOT, ToldFlag, choose, told_flags

ASKED = ("config", "policy_class")  # flags on which other flags depend: a script is asked with them


@dataclass(frozen=True)
class Program:
    """Something that pages may start."""

    script: str  # below the repository
    words: tuple[str, ...] = ()  # that come first, whatever the form says
    title: tuple[str, ...] = ()  # the flags that say what it is about; the first one that is given
    hidden: tuple[str, ...] = ()  # flags that need a screen, a keyboard or another machine
    is_arm: bool = False  # whether it drives the cockpit's arm, with a desk
    output: str = ""  # folder below that of runs for what it writes, unless the form says another


CHANGES = (  # sub-commands of edit_episodes.py that make or change a dataset; all have --dry_run
    "delete",
    "merge",
    "split",
    "multiply",
    "mirror",
    "truncate",
    "align",
    "resample",
    "shift_actions",
    "relabel",
    "compress",
    "decompress",
    "import",
)
_SCREEN = ("onscreen_render", "view")
_TRAIN_ALONE = ("resume", "overwrite", "eval")
_ARM = (
    "robot",
    "port",
    "cameras",
    "arm_file",
    "seen_from",
    "confirm",
    "release",
    "take_over",
    "desk",
    "unattended",
)  # of the real one
_DESK = ("robot", "desk", "view", "take_over")
_LED = (
    "teleop_scale",
    "leader_port",
    "leader_file",
    "phone_host",
    "phone_port",
)  # of what is held beside the keys
_FAR = ("server", "token")  # of a policy on another machine
_TIDY, _CHECKS = ("recover", "discard"), ("calibrate", "against")
_CLUSTER = ("cluster_address", "backend")
PROGRAMS = {
    "train": Program(
        "imitate_episodes.py", ("--resume",), ("ckpt_dir",), (*_SCREEN, *_TRAIN_ALONE, *_CLUSTER, "wandb")
    ),
    "evaluate": Program(
        "imitate_episodes.py", ("--eval",), ("ckpt_dir",), (*_SCREEN, *_TRAIN_ALONE, *_CLUSTER, "wandb")
    ),
    "record": Program("record_sim_episodes.py", (), ("dataset_dir",), (*_SCREEN, "teleop", *_LED, *_CLUSTER)),
    "twin": Program("model_runs.py", ("--robot", "twin"), ("ckpt_dir",), (*_SCREEN, *_ARM, *_LED, *_FAR)),
    "check": Program("edit_episodes.py", ("check",), ("dataset_dir",), _CLUSTER),
    "page": Program("visualize_episodes.py", ("--html",), ("dataset_dir",), (*_CLUSTER, "rerun", "html")),
    "report": Program("report.py", (), ("runs",)),
    "drive": Program("mycobot_scripts/drive_arm.py", (), ("task_name",), (*_DESK, "jog", *_LED), is_arm=True),
    "arm_record": Program(
        "mycobot_scripts/record_episodes.py", (), ("dataset_dir", "task_name"), (*_DESK, *_TIDY), is_arm=True
    ),
    "arm_run": Program("model_runs.py", (), ("ckpt_dir",), (*_DESK, *_LED, *_FAR), is_arm=True),
    "arm_check": Program(
        "mycobot_scripts/check_arm.py",
        (),
        ("task_name",),
        (*_DESK, *_CHECKS),
        is_arm=True,
        output="check_arm",
    ),
    "arm_calibrate": Program(
        "mycobot_scripts/check_arm.py", ("--calibrate",), ("task_name",), (*_DESK, *_CHECKS), is_arm=True
    ),
    "arm_against": Program(
        "mycobot_scripts/check_arm.py", ("--view",), (), (*_DESK, "calibrate"), is_arm=True
    ),
    "arm_replay": Program(
        "mycobot_scripts/replay_episode.py", (), ("dataset_path", "dataset_dir"), _DESK, is_arm=True
    ),
    **{
        f"change_{name}": Program("edit_episodes.py", (name,), ("output_dir", "dataset_dir"), _CLUSTER)
        for name in CHANGES
    },
}


class Programs:
    """What scripts told of their flags; each is asked once."""

    def __init__(self, places: Places, arm: ArmDefaults | None = None) -> None:
        self._places, self._arm = places, arm or ArmDefaults()
        self._told: dict[tuple[str, ...], dict[str, Any]] = {}
        self._locks: dict[tuple[str, ...], threading.Lock] = {}
        self._lock = threading.Lock()

    def told(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """What a program tells of its flags, without those that mean nothing in a browser.

        Args:
            name: of `PROGRAMS`.
            values: of a form; `ASKED` ones change what the others may be.

        Raises:
            ValueError: the script refuses the values that it is asked with.
        """
        program = PROGRAMS[choose("program", name, PROGRAMS)]
        told = self._ask(program, self._asked(program, values))
        flags = [flag for flag in told["flags"] if flag["name"] not in program.hidden]
        if program.is_arm:
            given = self._arm.flags()
            flags = [
                {**flag, "default": given[flag["name"]], "shown": given[flag["name"]]}
                if flag["name"] in given
                else flag
                for flag in flags
            ]
        return {"description": told["description"], "flags": flags}

    def _asked(self, program: Program, values: Mapping[str, Any]) -> tuple[str, ...]:
        words = list(program.words) if program.script == "edit_episodes.py" else []
        if program.script == "imitate_episodes.py":
            for flag in ASKED:
                value = values.get(flag)
                if value and isinstance(value, str):
                    if flag == "config":
                        self._places.inside(value, reads=True)
                    words += [f"--{flag}", value]
        return (program.script, *words)

    def _ask(self, program: Program, words: tuple[str, ...]) -> dict[str, Any]:
        key = (*words, *map(str, _changed(words, self._places.here)))
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._told:
                self._told[key] = _run_for_flags(words, self._places.here)
            return self._told[key]

    def command(self, name: str, values: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
        """The command that a form becomes, and what is wrong with its fields, by flag.

        Args:
            name: of `PROGRAMS`.
            values: by flag: true or false for a switch, a text, or a list of texts.

        Returns:
            the script and its words, and problems; where there are any, the command must not run.
        """
        program = PROGRAMS[choose("program", name, PROGRAMS)]
        flags = told_flags(self.told(name, values))
        words, problems = [program.script, *program.words], {}
        given = self._arm.flags() if program.is_arm else {}
        if program.is_arm:
            words += ["--robot", self._arm.robot]
        if program.output and not values.get("output_dir"):
            words += ["--output_dir", self._places.shown(self._places.runs / program.output)]
        for flag in values:
            if flag not in flags:
                problems[str(flag)[:60]] = f"{str(flag)[:60]!r} is no flag of {program.script}"
        for flag, told in flags.items():
            try:
                if flag in given and values.get(flag) in (None, "", given[flag]):
                    words += [f"--{flag}", given[flag]]  # as the cockpit was told, wherever that is
                else:
                    words += self._words(told, values.get(flag))
            except ValueError as error:
                problems[flag] = str(error)
        return words, problems

    def _words(self, told: ToldFlag, value: Any) -> list[str]:
        name = told.flag.name
        if value is None or value == "" or value == []:
            is_missing = told.flag.rule.required and told.default is None
            if is_missing and (problem := told.flag.problem(None)):
                raise ValueError(problem)
            return []
        words = told.words(value)
        if name in DEVICES:
            check_devices(name, words[1:])
        else:
            self._places.check_words(name, words[1:])
        return words


def _changed(words: Sequence[str], here: Path) -> list[int]:
    """When the files among the words were changed: a preset may be edited."""
    files = [here / word for word in words[1:]]
    return [file.stat().st_mtime_ns for file in files if file.is_file()]


def _run_for_flags(words: Sequence[str], here: Path) -> dict[str, Any]:
    environment = {**os.environ, "ACT_HELP": "json", "OMP_NUM_THREADS": "1"}
    return json.loads(output_of([str(ROOT / words[0]), *words[1:], "--help"], here, environment))
