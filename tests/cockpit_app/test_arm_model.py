"""The arm that the page draws stands where the simulator's and the kinematics' does."""

import base64

import numpy as np
import pytest

from cockpit_app.arm.model import arm_model, controls
from constants import MYCOBOT
from mycobot_scripts.kinematics import forward
from teleop import KEY_RATES, RATES


def turn(quat):
    w, x, y, z = quat
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def poses(qpos):
    """Position and rotation of each link, as the page finds them."""
    model, found = arm_model(), []
    for link in model["links"]:
        at, way = (np.zeros(3), np.eye(3)) if link["parent"] < 0 else found[link["parent"]]
        at, way = at + way @ link["pos"], way @ turn(link["quat"])
        if link["joint"] is not None:
            low, high = model["opening"]
            angle = low + (high - low) * qpos[6] if link["joint"] == 6 else qpos[link["joint"]]
            half = angle * link["scale"] / 2
            way = way @ turn([np.cos(half), 0, 0, np.sin(half)])
        found.append((at, way))
    return {link["name"]: pose for link, pose in zip(model["links"], found, strict=True)}


@pytest.mark.parametrize("seed", range(3))
def test_its_flange_is_where_the_kinematics_say(seed):
    qpos = np.append(np.random.default_rng(seed).uniform(-2, 2, 6), 0.5)
    position, rotation = forward(qpos[:6])
    at, way = poses(qpos)["link6"]
    np.testing.assert_allclose(at, position, atol=1e-4)
    np.testing.assert_allclose(way, rotation, atol=1e-4)


def test_its_fingers_open_to_both_sides_alike():
    gaps = []
    for opening in (0.0, 0.5, 1.0):
        placed = poses([*MYCOBOT.start, opening])
        left, right = (placed[name][0] for name in ("left1", "right1"))
        gaps.append(np.linalg.norm(left - right))
        np.testing.assert_allclose(placed["left1"][1], placed["gripper_base"][1], atol=1e-6)
        np.testing.assert_allclose(placed["right1"][1], placed["gripper_base"][1], atol=1e-6)
    assert gaps[0] < gaps[1] < gaps[2]


def test_its_shapes_are_whole():
    count = 0
    for part in (part for link in arm_model()["links"] for part in link["parts"]):
        vertices, normals = (
            np.frombuffer(base64.b64decode(part[name]), "<f4").reshape(-1, 3)
            for name in ("vertices", "normals")
        )
        faces = np.frombuffer(base64.b64decode(part["faces"]), "<u2").reshape(-1, 3)
        assert faces.max() < len(vertices) == len(normals) and len(part["color"]) == 3
        assert np.abs(vertices).max() < 0.5
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
        corners = vertices[faces]
        outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (np.einsum("ij,ij->i", outward, normals[faces].mean(1)) > -1e-9).all()
        count += len(faces)
    assert 5_000 < count < 60_000


def test_its_controls_are_the_terminals():
    told = controls()
    assert tuple(told["rates"]) == RATES and told["keys"] == KEY_RATES
