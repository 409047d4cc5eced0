"""Read a LeRobot dataset as episodes: `import` for this format, which ends at the first damaged file."""

from __future__ import annotations

from dataclasses import dataclass

from common import Workers, cli
from dataset_tools.edits import FolderFlags
from readers import ImportFlags, bring_in


@dataclass(frozen=True)
class ImportLeRobotFlags(FolderFlags, Workers):
    """Flags of `import_lerobot`."""

    output_dir: str | None = cli.flag(None, "folder of the episodes, which must not exist", required=True)
    task_name: str | None = cli.flag(
        None, "which of our tasks it is; if not given, taken from the dataset or its folder's name"
    )
    rename: dict[str, str] | None = cli.flag(
        None, "other names: of a feature that is the state or the action, or of a camera, e.g. actions=action"
    )
    no_images: bool = cli.flag(False, "bring in states and actions alone")
    joint_unit: str = cli.flag("rad", "unit of its joints: rad, deg, mdeg or ticks:N (N a turn)")
    gripper_range: tuple[float, float] = cli.flag(
        (0.0, 1.0), "values of its grippers when closed and when open"
    )
    fps: int | None = cli.flag(
        None, "steps a second of the episodes; the dataset's if not given, if that is a whole number"
    )
    dry_run: bool = cli.flag(False, "say what would be done, and write nothing")


def import_lerobot(flags: ImportLeRobotFlags) -> None:
    """Read a LeRobot dataset (v2.0, v2.1, v3.0), e.g. the published ALOHA sets, as episodes."""
    values = cli.flags_of(flags)
    wishes = ImportFlags(source=values.pop("dataset_dir"), format="lerobot", **values)
    bring_in(wishes, "import_lerobot", is_strict=True)
