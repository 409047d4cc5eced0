"""The losses of a run, and their columns in files."""

import pytest

from common.drawing.losses import Losses

ROWS = [
    {"step": 5, "train/loss": 1.0, "train/l1": 0.5, "val/loss": 2.0, "val/l1": 1.5, "val/loss start": 3.0},
    {"step": 6, "eval/success": 0.0},
]


def test_rows_are_read_and_written_as_they_are_on_disk():
    both = [Losses.from_row(row) for row in ROWS]
    assert both[0] == Losses(5, {"loss": 1.0, "l1": 0.5}, {"loss": 2.0, "l1": 1.5}, {"start": 3.0})
    assert both[1] == Losses(6, success=0.0)
    assert [list(losses.row().items()) for losses in both] == [list(row.items()) for row in ROWS]


def test_columns_of_others_are_passed_over_and_a_step_is_needed():
    assert (
        Losses.from_row({**ROWS[0], "hours": 3.0, "val/l1 start": 1.0, "lr": 1e-5}).row().keys()
        >= ROWS[0].keys()
    )
    with pytest.raises(ValueError, match="no step"):
        Losses.from_row({"train/loss": 1.0})
