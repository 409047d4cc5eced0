"""What a policy's ONNX file says of itself: one entry of plain values beside the graph."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.actor import Traits
from actors.interface import Interface
from actors.stored import stored_interface, stored_traits

SUFFIX = ".onnx"
ENTRY = "policy"  # of the file's metadata: JSON
VERSION = 1


def is_onnx(path: str | Path) -> bool:
    """Whether a path is that of a policy's ONNX file, as its name says."""
    return Path(path).suffix.lower() == SUFFIX


def picture_name(camera: str) -> str:
    """The graph's input for a camera's raw pictures."""
    return f"image_{camera}"


@dataclass(frozen=True)
class About:
    """What a runner has to know beside the graph."""

    interface: Interface  # its views tell the size of each camera's raw pictures
    traits: Traits
    references: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)  # `cameras.Reference.plain`

    def text(self) -> str:
        """As the file holds it."""
        pictures = {
            camera: {name: base64.b64encode(data).decode() for name, data in parts.items()}
            for camera, parts in self.references.items()
        }
        values = {name: dataclasses.asdict(getattr(self, name)) for name in ("interface", "traits")}
        return json.dumps({"format_version": VERSION, **values, "references": pictures})

    @classmethod
    def of(cls, text: str | None, path: Path) -> About:
        """From what a file holds; ValueError, in one line that begins with the file, if it is unsound."""
        if text is None:
            raise ValueError(
                f"{path} is no policy of this program; export_policy.py makes one of a checkpoint"
            )
        try:
            content = json.loads(text)
            version = content["format_version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(f"{path}: what it says of its policy is damaged") from None
        if type(version) is not int or version < 1:
            raise ValueError(
                f"{path} has format_version {version!r}; it should be a whole number, {VERSION} today"
            )
        if version > VERSION:
            raise ValueError(f"{path} has format {version}, newer than {VERSION}: update this code")
        interface = stored_interface(content.get("interface"), f"{path}: its interface")
        traits = stored_traits(content.get("traits"), interface, f"{path}: its traits")
        return cls(interface, traits, _decoded(content.get("references"), path))


def _decoded(pictures: Any, path: Path) -> dict[str, dict[str, bytes]]:
    """References, their parts as bytes."""
    try:
        return {
            camera: {name: base64.b64decode(data) for name, data in parts.items()}
            for camera, parts in (pictures or {}).items()
        }
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"{path}: its references are damaged") from None
