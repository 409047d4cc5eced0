"""What can go wrong with the arm, each as a flag of the stand-in arm."""

from __future__ import annotations

from dataclasses import dataclass

import cli


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
        "a motion or gripper command that comes sooner (ms) than this after the reply to the last one, or on "
        "silent firmware after the last one itself, garbles that one and is lost",
    )
    lose_replies: float = cli.flag(0.0, "share of the replies that are lost, 0 to 1")
    late_share: float = cli.flag(0.0, "share of the replies that are late, 0 to 1")
    late_ms: float = cli.flag(600.0, "how late they are (ms)")
    disconnect_after: float | None = cli.flag(
        None, "seconds after the first command until the serial port is gone"
    )
    stuck_joint: int = cli.flag(0, "joint (1 to 6) that no longer moves; 0: none")
    stuck_after: float = cli.flag(0.0, "seconds after the first command until it sticks")
    play: float = cli.flag(
        0.0, "degrees by which joints stop short of where they are sent; about 0.4 on a real arm"
    )
    hot_joint: int = cli.flag(0, "joint (1 to 6) whose servo is at 80 degrees Celsius; 0: none")
    overload_joint: int = cli.flag(0, "joint (1 to 6) whose servo takes 3000 mA; 0: none")
    freeze_camera: dict[str, float] | None = cli.flag(
        None, "cameras that repeat one frame, and seconds from their first frame until they do"
    )
    drop_camera: dict[str, float] | None = cli.flag(
        None, "cameras that are gone, and seconds from their first frame until they are"
    )
    fault_seed: int = cli.flag(0, "seed of which replies are lost or late")

    def check(self) -> None:
        """ValueError for a fault that cannot be."""
        for name in ("lose_replies", "late_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be a share, 0 to 1")
        for name in ("corrupt_ms", "late_ms", "stuck_after", "disconnect_after", "play"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"--{name} is {value}; it must be 0 or more")
        for name in ("stuck_joint", "hot_joint", "overload_joint"):
            if not 0 <= getattr(self, name) <= 6:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be a joint (1 to 6) or 0")
