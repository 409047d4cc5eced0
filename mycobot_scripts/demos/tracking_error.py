"""How well an arm followed its commands: error and lag of each joint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mycobot_scripts.kinematics import JOINTS

MAX_LAG, LAG_STEP = 1.5, 0.01  # s
MIN_MOTION = 5.0  # degrees; a joint that turns less shows no lag


@dataclass(frozen=True)
class JointTracking:
    """One joint, degrees and seconds."""

    rms: float  # of measured minus commanded
    worst: float
    worst_at: float  # s since the start
    lag: float | None  # s by which the joint is late; None where it hardly moved
    rms_after_lag: float | None  # what is left with the command shifted by the lag


def tracking(command: np.ndarray, measured: np.ndarray, time: np.ndarray) -> list[JointTracking]:
    """How each joint followed.

    Args:
        command: (T, 7) what was sent at each step.
        measured: (T, 7) state at each step, before it was sent.
        time: (T,) s, of each step.
    """
    wanted, got = np.degrees(command[:, :JOINTS]), np.degrees(measured[:, :JOINTS])
    return [_joint(wanted[:, j], got[:, j], time - time[0]) for j in range(JOINTS)]


def _joint(wanted: np.ndarray, got: np.ndarray, time: np.ndarray) -> JointTracking:
    error = got - wanted
    worst = int(np.abs(error).argmax())
    lag = after = None
    if np.ptp(wanted) >= MIN_MOTION:
        lags = np.arange(0.0, min(MAX_LAG, time[-1] / 2), LAG_STEP)
        left = [_rms(got - np.interp(time - lag, time, wanted)) for lag in lags]
        best = int(np.argmin(left))
        lag, after = float(lags[best]), left[best]
    return JointTracking(_rms(error), float(np.abs(error[worst])), float(time[worst]), lag, after)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def table(joints: Sequence[JointTracking]) -> str:
    """A row a joint."""
    lines = ["joint   rms (deg)   max (deg)   at (s)   lag (s)   rms after lag (deg)"]
    for number, joint in enumerate(joints, start=1):
        lag = "-" if joint.lag is None else f"{joint.lag:.2f}"
        after = "-" if joint.rms_after_lag is None else f"{joint.rms_after_lag:.2f}"
        numbers = f"{joint.rms:9.2f}   {joint.worst:9.2f}   {joint.worst_at:6.1f}"
        lines.append(f"{number:>5}   {numbers}   {lag:>7}   {after:>19}")
    return "\n".join(lines)
