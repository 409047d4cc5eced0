"""The arm that the cockpit's jobs drive: which one it is, and that one job at a time does."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cockpit_app.arm.relay import has_desk
from cockpit_app.jobs import Job, Jobs

DEVICES = {  # what the arm's forms may name beside files of the cockpit's folders
    "port": re.compile(r"auto|COM\d{1,3}|/dev/(tty|cu\.|serial/by-id/)[\w.:-]+|socket://[\w.:-]+", re.ASCII),
    "cameras": re.compile(r"\w+=(\d{1,3}|/dev/video\d{1,3}|/dev/v4l/by-(id|path)/[\w.:-]+|https?://[^\s,]+)"),
}
DRIVE = "drive"  # ends by itself for any other of these
ARM_PROGRAMS = (DRIVE, "arm_record", "arm_run", "arm_check", "arm_calibrate", "arm_against", "arm_replay")
EXAMPLES = {
    "port": "it takes auto, /dev/ttyUSB0 or COM3",
    "cameras": "it takes name=source: a number, /dev/video0 or an http address, e.g. top=1,right_wrist=0",
}
PATIENCE = 30.0  # s for a job that drives to end
LOOK = 0.1  # s


@dataclass(frozen=True)
class ArmDefaults:
    """What the cockpit's own flags say about the arm."""

    robot: str = "mycobot320"
    port: str | None = None
    cameras: str | None = None
    arm_file: str | None = None

    def flags(self) -> dict[str, str]:
        """By name, those of the arm's scripts that are given; of the real arm alone but for its file."""
        names = ("port", "cameras", "arm_file") if self.robot == "mycobot320" else ("arm_file",)
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def check_devices(flag: str, words: list[str]) -> None:
    """ValueError if one of a flag's words names neither a port nor a camera."""
    parts = [part for word in words for part in (word.split(",") if flag == "cameras" else [word])]
    for part in parts:
        if not DEVICES[flag].fullmatch(part):
            raise ValueError(f"--{flag} has {part[:60]!r}; {EXAMPLES[flag]}")


def running(jobs: Jobs) -> list[Job]:
    """The jobs that drive an arm just now."""
    return [job for job in jobs.all() if job.about["program"] in ARM_PROGRAMS and job.ended() is None]


def make_free(jobs: Jobs, program: str) -> None:
    """See to it that no job drives the arm: one that only lets a person drive is ended first.

    Raises:
        ValueError: another job drives it, or does not end.
    """
    if program not in ARM_PROGRAMS:
        return
    others = running(jobs)
    for job in others:
        if job.about["program"] != DRIVE:
            raise ValueError(f"job {job.number} ({job.about['program']}) drives the arm; stop it first")
    for job in others:
        if job.state() == "running":  # a second call would end it at once
            jobs.stop(job.number)
    deadline = time.monotonic() + PATIENCE
    while any(job.ended() is None for job in others):
        if time.monotonic() > deadline:
            raise ValueError(
                f"job {others[0].number} ({DRIVE}) does not end; end it at once, then start anew"
            )
        time.sleep(LOOK)


def describe(jobs: Jobs, arm: ArmDefaults) -> dict[str, Any]:
    """For pages: the arm, the job whose desk is open, and the defaults of its forms."""
    desks: Mapping[str, Job] = {job.number: job for job in running(jobs) if has_desk(job)}
    return {"robot": arm.robot, "job": next(iter(desks), None), "defaults": arm.flags()}
