"""Ranges that numbers are drawn from, uniformly. Standard library only."""

Range = tuple[float, float]  # lowest, highest
NONE: Range = (0.0, 0.0)  # of what is added
SAME: Range = (1.0, 1.0)  # of what is multiplied by
