"""How fast an arm follows, through pymycobot: steps fitted as they were on a real arm."""

import time

import numpy as np
from scipy.optimize import curve_fit


def first_order(t, delay, time_constant, size):
    t = np.asarray(t)
    return np.where(t < delay, 0, size * (1 - np.exp(-np.maximum(t - delay, 0) / time_constant)))


def fitted_step(arm, joint=2, size=-15.0):
    """Delay and time constant (s) that a step of one joint looks like through pymycobot.

    Measured as on a real arm: the clock starts before the call.
    """
    start = np.array(arm.get_angles())
    target = start.copy()
    target[joint] += size
    began, times, seen = time.perf_counter(), [], []
    arm.send_angles(target.tolist(), 20)
    while time.perf_counter() < began + 1.0:
        asked = time.perf_counter()
        angles = arm.get_angles()
        times.append((asked + time.perf_counter()) / 2 - began)  # the reading lies in the middle
        seen.append(angles[joint] - start[joint])
    (delay, time_constant, _), _ = curve_fit(
        first_order, np.array(times), np.array(seen), p0=(0.2, 0.1, size)
    )
    return delay, time_constant


def fitted_steps(arm):
    """Medians of delay and time constant (s) of five steps: a busy machine spoils one, hardly three."""
    arm.set_fresh_mode(1)
    fits = []
    for size in (-15.0, 15.0, -15.0, 15.0, -15.0):
        fits.append(fitted_step(arm, size=size))
        time.sleep(0.2)
    return np.median(fits, axis=0)
