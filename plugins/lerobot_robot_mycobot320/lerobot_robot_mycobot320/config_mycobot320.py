"""What LeRobot's commands take as `--robot.NAME=` and `--teleop.NAME=`."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.robots import RobotConfig
from lerobot.teleoperators import TeleoperatorConfig


@RobotConfig.register_subclass("mycobot320")
@dataclass(kw_only=True)
class MyCobot320Config(RobotConfig):
    """The real arm.

    Args:
        port: serial port, or socket://HOST:PORT; auto looks for it. The arm's own file says it if None.
        cameras: by name, as our scripts take them: top=1,right_wrist=0. The arm's own file says them if None.
        options: further flags of drive_arm.py, such as "--max_step 10 --table_height 0.01".
        image_height, image_width: of the pictures that LeRobot gets (pixels).
    """

    port: str | None = None
    cameras: str | None = None
    options: str = ""
    image_height: int = 480
    image_width: int = 640

    def __post_init__(self) -> None:
        """LeRobot's own check is for its own cameras."""


@RobotConfig.register_subclass("mycobot320_twin")
@dataclass(kw_only=True)
class MyCobot320TwinConfig(RobotConfig):
    """The stand-in, firmware on a port, a body in MuJoCo and cameras; it starts and ends with the robot.

    Args:
        task_name: the simulated task that it plays; moving the cube if None.
        seed, episode: its props start as those of this episode that our scripts record with this seed.
        options, image_height, image_width: as for the real arm.
    """

    task_name: str | None = None
    seed: int = 0
    episode: int = 0
    options: str = ""
    image_height: int = 480
    image_width: int = 640


@TeleoperatorConfig.register_subclass("mycobot320_jog")
@dataclass(kw_only=True)
class MyCobot320JogConfig(TeleoperatorConfig):
    """A person drives the arm or its twin.

    Args:
        device: keyboard (of the terminal), gamepad, or so101, a leader whose flags are the robot's `options`.
    """

    device: str = "keyboard"


@TeleoperatorConfig.register_subclass("mycobot320_script")
@dataclass(kw_only=True)
class MyCobot320ScriptConfig(TeleoperatorConfig):
    """The task's script drives the twin, once; then the arm stays."""
