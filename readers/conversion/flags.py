"""The flags of `edit_episodes.py import`: the same for all readers."""

from __future__ import annotations

from dataclasses import dataclass

from common import Workers, cli
from readers.conversion.units import radians_in
from readers.registry import READERS

ACTIONS = ("recorded", "next_state")


@dataclass(frozen=True)
class ImportFlags(Workers):
    """What to bring in, from where, and how it is understood."""

    source: str = cli.flag(None, "folder or file of the recordings", required=True, name="from")
    output_dir: str | None = cli.flag(None, "folder of the episodes, which must not exist", required=True)
    format: str | None = cli.flag(
        None,
        "its format, which is found out if not given: "
        + "; ".join(f"{name}: {reader.title}" for name, reader in READERS.items()),
        tuple(READERS),
    )
    task_name: str | None = cli.flag(
        None, "which of our tasks it is; if not given, taken from the recordings or their folder's name"
    )
    episodes: tuple[str, ...] | None = cli.flag(
        None,
        "which recordings: numbers, ranges, names, or the name of a choice that the file has, e.g. 0 3-7 "
        "demo_12 train; all if not given",
        distinct=True,
    )
    skip_damaged: bool = cli.flag(
        False, "bring in the recordings that are whole, and leave out those that are damaged or differ"
    )
    no_images: bool = cli.flag(False, "bring in states and actions alone")
    rename: dict[str, str] | None = cli.flag(
        None,
        "other names: of an array, which is then the state or the action, or of a camera, e.g. "
        "observation.positions=state cam_0=top",
    )
    state_columns: tuple[str, ...] | None = cli.flag(
        None, "arrays, or columns of arrays, that make the state, in this order, e.g. joints gripper.0"
    )
    action_columns: tuple[str, ...] | None = cli.flag(None, "the same for the action")
    action: str = cli.flag(
        "recorded",
        "recorded, or next_state: the state of the next step, where nobody recorded actions",
        ACTIONS,
    )
    joint_unit: str | None = cli.flag(
        None,
        "unit of its joints: rad, deg, mdeg (thousandths of a degree) or ticks:N (N a turn); the format's if "
        "not given",
    )
    gripper_range: tuple[float, float] | None = cli.flag(
        None, "values of its grippers when closed and when open; the format's if not given"
    )
    fps: int | None = cli.flag(
        None, "steps a second of the episodes; the recordings' if not given", least=1, most=1000
    )
    dry_run: bool = cli.flag(False, "say what would be done, and write nothing")

    def check(self) -> None:
        """ValueError for values that make no sense, before anything is looked at."""
        if self.joint_unit is not None:
            radians_in(self.joint_unit)
        if self.gripper_range and self.gripper_range[0] == self.gripper_range[1]:
            raise ValueError(f"--gripper_range is {self.gripper_range}; closed and open must differ")
