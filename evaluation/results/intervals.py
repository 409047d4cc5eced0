"""Intervals of success rates."""

import math

NORMAL_95 = 1.959964  # two-sided 95 % quantile of the normal distribution


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a success rate (Wilson 1927): sound for few rollouts and for rates near 0 and 1."""
    if n == 0:
        return 0.0, 1.0
    z2, rate = NORMAL_95**2, successes / n
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    margin = NORMAL_95 / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return max(0.0, centre - margin), min(1.0, centre + margin)


def difference_interval(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
    """95 % interval of the success rate of `one` minus that of `other`, (successes, n) each, of rollouts that
    are independent (Newcombe 1998, method 10: from both Wilson intervals).
    """
    (low, high), (other_low, other_high) = wilson_interval(*one), wilson_interval(*other)
    rate, other_rate = (successes / n if n else 0.5 for successes, n in (one, other))
    difference = rate - other_rate
    below = math.hypot(rate - low, other_high - other_rate)
    above = math.hypot(high - rate, other_rate - other_low)
    return max(-1.0, difference - below), min(1.0, difference + above)
