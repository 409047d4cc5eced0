"""The stand-ins: of the arm, emulated firmware on a serial port and a body behind it; of a leader arm."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "body": ("ALL_JOINTS", "BodyState"),
        "faults": ("Faults",),
        "firmware": ("Firmware", "serve_port"),
        "leader": ("Motion", "StandInLeader"),
        "motion": ("SPEED_AT_20",),
        "served_port": ("READ_TIME", "WRITE_TIME"),
        "twin": ("SimulatedArm", "TwinServer", "TwinWorld"),
        "wires": ("PtyWire", "TcpWire"),
    },
)
