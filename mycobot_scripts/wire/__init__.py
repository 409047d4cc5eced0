"""From numbers to the arm's serial port: protocol, line, arm, servo loop."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "arm": ("LinkedArm", "ServoConfig"),
        "clock": ("SLOWEST", "clock"),
        "link": ("Link",),
        "protocol": (
            "Command",
            "ENCODER_ZERO",
            "Frame",
            "FrameParser",
            "GRIPPER_UNREADABLE",
            "as_measured",
            "decode_angles",
            "decode_coords",
            "encode",
            "encode_angles",
            "encode_coords",
            "encode_limit",
            "encoder_steps",
            "int16s",
            "to_int16s",
        ),
        "replies": ("FIRMWARE", "Reply", "ask", "beyond_limits"),
        "servo": ("Servo",),
        "watchdog": ("ALONE",),
    },
)
