"""The arm that the cockpit's jobs drive: which one it is, and that one job at a time does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cockpit_app.jobs import Job, Jobs
from cockpit_app.relay import has_desk

DRIVE = "drive"  # ends by itself for any other of these
ARM_PROGRAMS = (DRIVE, "arm_record", "arm_run", "arm_check", "arm_calibrate", "arm_against", "arm_replay")
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
