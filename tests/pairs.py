"""Parameters that are tested in pairs, where each pair takes long."""

import pytest


def pairs(ones: list, others: list) -> list:
    """Every pair; all are slow but those in which one of the two is the first of its kind."""
    return [
        pytest.param(one, other, marks=() if one == ones[0] or other == others[0] else pytest.mark.slow)
        for one in ones
        for other in others
    ]
