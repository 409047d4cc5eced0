"""An arm that is ready: the robot as an environment, cameras, keys, a session from flags."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "arm_file": ("ArmFile", "DEFAULT_PATH", "GRIPPER_MODES", "arm_references", "keep_references"),
        "camera_names": ("same_sources",),
        "cameras": (
            "Camera",
            "cameras_text",
            "close_cameras",
            "find_cameras",
            "open_cameras",
            "same_pictures",
            "size_text",
        ),
        "jog": ("COMMON", "Jog", "keys_for"),
        "keys": ("Keys", "Look", "check_question", "legend", "open_keys"),
        "ending": ("ends_in_order",),
        "outer_loop": ("FEATURES", "Nobody", "OuterLoop", "as_named"),
        "person": ("BY_HAND", "LOST", "Operator", "PRESSED_Q", "STOP", "STOP_KEY", "TO_GUIDE", "YES_NO"),
        "robot": ("MyCobotRobot",),
        "session": (
            "BUSY",
            "Session",
            "Setup",
            "add_robot_flags",
            "as_recorded",
            "camera_sources",
            "check_task",
            "close_servo",
            "open_session",
            "parse_cameras",
            "read_setup",
            "start_rng",
            "tasks_of",
            "twin_flags",
        ),
        "twin_client": ("drift_flag", "room_flag", "start_twin"),
        "twin_scene": ("axes_in_picture",),
    },
)
