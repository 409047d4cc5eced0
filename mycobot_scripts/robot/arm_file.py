"""The values of one arm and its desk: a JSON file that `check_arm.py --calibrate` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cameras import Reference, make_reference
from common import complete_file, masked
from constants import MYCOBOT
from mycobot_scripts.kinematics import JOINTS, TOOL_LENGTH, to_state
from mycobot_scripts.safety import HARD_LIMITS

DEFAULT_PATH = "mycobot320.json"  # in the folder that scripts are run in
GRIPPER_MODES = {0: "over RS-485 (transparent)", 1: "by the port's IO pins"}


@dataclass(frozen=True)
class ArmFile:
    """An arm's own values; units are in the names."""

    port: str = "auto"  # serial port
    home_degrees: tuple[float, ...] = tuple(round(float(a), 2) for a in np.degrees(MYCOBOT.start))
    home_gripper: float = round(MYCOBOT.start_state[-1], 4)  # 0 closed, 1 open
    gripper_mode: int | None = None  # of GRIPPER_MODES, set whenever a script begins; None: left as it is
    table_height_m: float = 0.0  # above the arm's foot
    tool_length_m: float = TOOL_LENGTH  # from the flange to the point between the finger tips
    cameras: dict[str, str] = field(default_factory=dict)  # name: number, device path or URL
    references: dict[str, str] = field(default_factory=dict)  # name: picture, beside the file

    def __post_init__(self) -> None:
        home = np.asarray(self.home_degrees, dtype=float)
        _require(home.shape == (JOINTS,) and np.isfinite(home).all(), "home_degrees", home, "6 angles")
        within = bool((np.abs(home) <= HARD_LIMITS).all())
        _require(within, "home_degrees", home.tolist(), f"within {HARD_LIMITS.tolist()} either way")
        _require(0 <= self.home_gripper <= 1, "home_gripper", self.home_gripper, "0 (closed) to 1 (open)")
        known = (None, *GRIPPER_MODES)
        _require(self.gripper_mode in known, "gripper_mode", self.gripper_mode, f"one of {GRIPPER_MODES}")
        _require(abs(self.table_height_m) < 0.5, "table_height_m", self.table_height_m, "metres, -0.5 to 0.5")
        _require(0 < self.tool_length_m < 0.5, "tool_length_m", self.tool_length_m, "metres, up to 0.5")

    @property
    def home(self) -> np.ndarray:
        """Start pose (7,): rad, and gripper."""
        return to_state(self.home_degrees, 100 * self.home_gripper)

    @property
    def is_calibrated(self) -> bool:
        """Whether the table and the tip have been measured."""
        return (self.table_height_m, self.tool_length_m) != (ArmFile.table_height_m, ArmFile.tool_length_m)

    def flags(self) -> dict[str, Any]:
        """Defaults of scripts' flags, by name."""
        return {
            "port": self.port,
            "cameras": ",".join(f"{name}={source}" for name, source in self.cameras.items()) or None,
            "gripper_mode": self.gripper_mode,
            "table_height": self.table_height_m,
            "tool_length": self.tool_length_m,
        }

    @classmethod
    def load(cls, path: str | Path | None = None) -> ArmFile:
        """Read a file; without a path the one in this folder, or the defaults if there is none.

        ValueError names the file, and what is wrong in it.
        """
        if path is None and not Path(DEFAULT_PATH).exists():
            return cls()
        path = Path(path or DEFAULT_PATH)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such arm file; check_arm.py --calibrate writes one")
        try:
            values = json.loads(path.read_text(encoding="utf-8-sig"))  # Notepad may write its mark
            if not isinstance(values, dict):
                raise ValueError("it must hold an object, name to value; check_arm.py --calibrate writes one")
            known = [f.name for f in fields(cls)]
            unknown = sorted(set(values) - set(known))
            if unknown:
                raise ValueError(f"unknown entry {unknown[0]!r}; it may have {', '.join(known)}")
            for entry in ("cameras", "references"):
                named = values.get(entry, {})
                _require(isinstance(named, dict), entry, named, 'an object, e.g. {"top": "1"}')
                values[entry] = {name: str(source) for name, source in named.items()}
            if "home_degrees" in values:
                values["home_degrees"] = tuple(values["home_degrees"])
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: {error}") from None

    def save(self, path: str | Path | None = None) -> Path:
        """Write the file, whole or not at all; returns its path."""
        path = Path(path or DEFAULT_PATH)
        path.parent.mkdir(parents=True, exist_ok=True)
        with complete_file(path) as part:
            part.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
            if any(masked(source) != source for source in self.cameras.values()):
                part.chmod(0o600)  # it holds a password
        return path


def keep_references(arm: ArmFile, path: Path, pictures: Mapping[str, np.ndarray]) -> ArmFile:
    """Write the cameras' pictures (H, W, 3) uint8 RGB at the start pose beside the arm's file at `path`.

    Returns the arm with their names.
    """
    names = {camera: f"{path.stem}_{camera}.png" for camera in pictures}
    path.parent.mkdir(parents=True, exist_ok=True)
    for camera, picture in pictures.items():
        with complete_file(path.with_name(names[camera])) as part:
            part.write_bytes(cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())
    return replace(arm, references={**arm.references, **names})


def arm_references(arm: ArmFile, path: str | Path | None = None) -> dict[str, Reference]:
    """The reference pictures of an arm's file at `path`; ValueError, with its name, for one that is gone."""
    references = {}
    for camera, name in arm.references.items():
        file = Path(path or DEFAULT_PATH).parent / name
        data = file.read_bytes() if file.is_file() else b""
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if picture is None:
            problem = "is no picture" if data else "is gone"
            raise ValueError(f"{file}, the reference of camera {camera}, {problem}: check_arm.py --calibrate")
        references[camera] = make_reference([picture[:, :, ::-1]])
    return references


def _require(holds: bool, name: str, value: Any, right: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}; it must be {right}")
