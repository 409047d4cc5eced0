"""Faults of the stand-in arm, each a flag."""

from __future__ import annotations

from dataclasses import dataclass

from common import cli


@dataclass(frozen=True)
class Faults:
    """Nothing is wrong by default."""

    gripper_255: bool = cli.flag(False, "the gripper cannot be read: it reports 255 wherever it is")
    gripper_deaf: bool = cli.flag(
        False,
        "the gripper starts in port mode: it obeys after set_gripper_mode(0) only",
    )
    corrupt_ms: float = cli.flag(
        0.0,
        "a motion or gripper command that comes sooner than this (ms) after the reply to the last one (on "
        "silent firmware, after the last one itself) garbles the last one and is lost",
        least=0,
    )
    lose_replies: float = cli.flag(0.0, "share of the replies that are lost, 0 to 1", least=0, most=1)
    late_share: float = cli.flag(0.0, "share of the replies that are late, 0 to 1", least=0, most=1)
    late_ms: float = cli.flag(600.0, "how late they are (ms)", least=0, most=60_000)
    disconnect_after: float | None = cli.flag(
        None, "seconds after the first command until the serial port is gone", least=0
    )
    stuck_joint: int = cli.flag(0, "joint (1 to 6) that no longer moves; 0: none", least=0, most=6)
    stuck_after: float = cli.flag(0.0, "seconds after the first command until it sticks", least=0)
    play: float = cli.flag(
        0.0,
        "degrees by which joints stop short of where they are sent; about 0.4 on a real arm",
        least=0,
        most=90,
    )
    hot_joint: int = cli.flag(
        0, "joint (1 to 6) whose servo is at 80 degrees Celsius; 0: none", least=0, most=6
    )
    overload_joint: int = cli.flag(0, "joint (1 to 6) whose servo takes 3000 mA; 0: none", least=0, most=6)
    freeze_camera: dict[str, float] | None = cli.flag(
        None, "cameras that repeat one frame, and seconds from their first frame until they do", least=0
    )
    drop_camera: dict[str, float] | None = cli.flag(
        None, "cameras that are gone, and seconds from their first frame until they are", least=0
    )
    move_camera: dict[str, tuple[float, float, float, float, float, float]] | None = cli.flag(
        None,
        "cameras that stand elsewhere, each by mm to the right, up and back, and degrees about these axes, "
        "e.g. top=5,0,0,0,0,1",
        least=-500,
        most=500,
    )
    move_after: float = cli.flag(
        0.0, "seconds from a camera's first frame until it is moved, as if somebody bumped into it", least=0
    )
    fault_seed: int = cli.flag(0, "seed of which replies are lost or late", least=0, most=cli.MOST_SEED)

    def __post_init__(self) -> None:
        cli.check(self)
