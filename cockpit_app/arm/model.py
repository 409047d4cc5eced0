"""What the page of the arm needs to know of it: its shapes, its joints, what keys and gamepads do."""

from __future__ import annotations

import base64
import functools
import math
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np

from cockpit_app.arm.shapes import box, cylinder, ellipsoid, swept
from common import ROOT

ASSET = ROOT / "assets/mycobot320.xml"
SEEN = ("shell", "cap", "dark", "pad")  # classes of the geoms that are drawn


def controls() -> dict[str, Any]:
    """How the arm is driven by hand, as in a terminal: what keys, sticks and buttons do."""
    from teleop import DEAD_ZONE, KEY_RATES, PAD_AXES, PAD_RATES, RATES, SLOW_KEY  # only when somebody asks

    return {
        "rates": RATES,
        "keys": KEY_RATES,
        "axes": PAD_AXES,
        "buttons": PAD_RATES,
        "dead_zone": DEAD_ZONE,
        "slow_key": SLOW_KEY,
    }


@functools.cache
def arm_model() -> dict[str, Any]:
    """The arm to draw, parents first.

    links: name, parent (number of a link, -1: the foot's place), pos (m) and quat (w x y z) in the parent,
        joint (entry of qpos, or None), axis, scale (of the entry), and parts: color, and as base64 vertices
        (V, 3) and normals (V, 3) float32 in m, faces (F, 3) uint16.
    limits: (7, 2): least and most of each entry of qpos; rad, the gripper's 0 to 1.
    opening: angles (rad) of the gripper's joint at the entries 0 and 1.
    """
    from constants import MYCOBOT
    from mycobot_scripts.safety import HARD_LIMITS

    root = ElementTree.parse(ASSET).getroot()
    colors = _colors(root)
    entries = {joint: (number, 1.0) for number, joint in enumerate(MYCOBOT.actuators)}
    for joint in root.findall("./equality/joint"):
        number, scale = entries[joint.get("joint2", "")]
        entries[joint.get("joint1", "")] = number, scale * _numbers(joint.get("polycoef", "0 1"))[1]
    links: list[dict[str, Any]] = []
    for body in root.findall("./worldbody/body"):
        _add(body, -1, links, entries, colors)
    reach = np.radians(HARD_LIMITS)
    limits = [*np.column_stack([-reach, reach]).tolist(), [0.0, 1.0]]
    return {"links": links, "limits": limits, "opening": MYCOBOT.opening}


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


def _colors(root: ElementTree.Element) -> dict[str, list[float]]:
    """Red, green, blue of each class that is seen."""
    told = {
        one.get("class"): one.find("geom") for one in root.iter("default") if one.find("geom") is not None
    }
    return {name: _numbers(told[name].get("rgba", ""))[:3] for name in SEEN}


def _add(body: ElementTree.Element, parent: int, links: list, entries: dict, colors: dict) -> None:
    """A body and those on it."""
    joint = body.find("joint")
    entry, scale = entries[joint.get("name")] if joint is not None else (None, 1.0)
    parts: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for geom in body.findall("geom"):
        if geom.get("class") in SEEN:
            parts.setdefault(geom.get("class", ""), []).append(_shape(geom))
    links.append(
        {
            "name": body.get("name"),
            "parent": parent,
            "pos": _numbers(body.get("pos", "0 0 0")),
            "quat": _quat(_turn(body)),
            "joint": entry,
            "axis": [0, 0, 1],
            "scale": scale,
            "parts": [{"color": colors[name], **_packed(shapes)} for name, shapes in parts.items()],
        }
    )
    number = len(links) - 1
    for child in body.findall("body"):
        _add(child, number, links, entries, colors)


def _shape(geom: ElementTree.Element) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, normals and faces in the body's frame."""
    form = geom.get("type", "box" if geom.get("class") == "pad" else "cylinder")
    size = _numbers(geom.get("size", ""))
    if ends := geom.get("fromto"):
        start, end = np.array(_numbers(ends)).reshape(2, 3)
        return swept(start, end, size[0], is_round=form == "capsule")
    if form == "box":
        points, normals, faces = box(size)
    else:
        points, normals, faces = ellipsoid(size) if form == "ellipsoid" else cylinder(*size)
    turn = _turn(geom)
    return points @ turn.T + _numbers(geom.get("pos", "0 0 0")), normals @ turn.T, faces


def _turn(element: ElementTree.Element) -> np.ndarray:
    """Rotation (3, 3) of `euler`: about the x, y and z of the parent, one after the other."""
    turn = np.eye(3)
    for axis, angle in enumerate(_numbers(element.get("euler", "0 0 0"))):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        about = np.eye(3)
        about[one, one] = about[other, other] = math.cos(angle)
        about[other, one], about[one, other] = math.sin(angle), -math.sin(angle)
        turn = about @ turn
    return turn


def _quat(turn: np.ndarray) -> list[float]:
    """w, x, y, z of a rotation (3, 3)."""
    diagonal = np.diag(turn)
    squares = np.array([1 + diagonal.sum(), *(1 + 2 * diagonal - diagonal.sum())]) / 4
    best = int(squares.argmax())
    # products of the quaternion's entries, by their place
    skew = [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
    products = np.diag(squares)
    products[0, 1:] = products[1:, 0] = np.array(skew) / 4
    for one, other in ((0, 1), (0, 2), (1, 2)):
        both = (turn[one, other] + turn[other, one]) / 4
        products[one + 1, other + 1] = products[other + 1, one + 1] = both
    return (products[best] / math.sqrt(squares[best])).tolist()


def _packed(shapes: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, str]:
    """Several shapes as one."""
    starts = np.cumsum([0, *(len(points) for points, _, _ in shapes)])
    faces = [faces + start for (_, _, faces), start in zip(shapes, starts, strict=False)]
    arrays = {
        "vertices": np.concatenate([points for points, _, _ in shapes]).astype("<f4"),
        "normals": np.concatenate([normals for _, normals, _ in shapes]).astype("<f4"),
        "faces": np.concatenate(faces).astype("<u2"),
    }
    return {name: base64.b64encode(array.tobytes()).decode() for name, array in arrays.items()}
