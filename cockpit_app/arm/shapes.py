"""Surfaces of simple bodies to draw: vertices (V, 3) in m, their normals (V, 3), and faces (F, 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ROUND, RINGS = 28, 8  # corners of a circle; rings of half a sphere
Surface = tuple[np.ndarray, np.ndarray, np.ndarray]


def box(half: Sequence[float]) -> Surface:
    """A box about the origin, from half its lengths."""
    points, normals, faces = [], [], []
    for axis in range(3):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        for side in (-1, 1):
            start = len(points)
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = np.zeros(3)
                corner[[axis, one, other]] = side, a, b
                points.append(corner * half)
                normals.append(side * np.eye(3)[axis])
            quad = [(0, 1, 2), (0, 2, 3)] if side > 0 else [(0, 2, 1), (0, 3, 2)]
            faces += [[start + corner for corner in face] for face in quad]
    return np.array(points), np.array(normals), np.array(faces)


def _turned(profile: Sequence[tuple[float, float, float, float]]) -> Surface:
    """What a line of (radius, height, and the normal along both) makes as it turns about z."""
    angles = np.linspace(0, 2 * np.pi, ROUND + 1)
    c, s = np.cos(angles), np.sin(angles)
    points = np.concatenate([np.column_stack([r * c, r * s, np.full_like(c, z)]) for r, z, _, _ in profile])
    normals = np.concatenate([np.column_stack([n * c, n * s, np.full_like(c, m)]) for _, _, n, m in profile])
    faces = []
    for row in range(len(profile) - 1):
        for place in range(ROUND):
            a = row * (ROUND + 1) + place
            b, c_, d = a + 1, a + ROUND + 1, a + ROUND + 2
            faces += [(a, b, d), (a, d, c_)]
    return points, normals, np.array(faces)


def cylinder(radius: float, half: float) -> Surface:
    """A cylinder along z about the origin."""
    return _turned(
        [
            *((0, -half, 0, -1), (radius, -half, 0, -1)),
            *((radius, -half, 1, 0), (radius, half, 1, 0)),
            *((radius, half, 0, 1), (0, half, 0, 1)),
        ]
    )


def ellipsoid(half: Sequence[float]) -> Surface:
    """An ellipsoid about the origin, from its half axes."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 2 * RINGS + 1)
    points, normals, faces = _turned([(np.cos(a), np.sin(a), np.cos(a), np.sin(a)) for a in angles])
    normals = normals / half
    return points * half, normals / np.linalg.norm(normals, axis=1, keepdims=True), faces


def swept(start: np.ndarray, end: np.ndarray, radius: float, is_round: bool) -> Surface:
    """A cylinder from point to point; if round, with half a sphere at each end."""
    length = float(np.linalg.norm(end - start))
    if is_round:
        half = np.linspace(0, np.pi / 2, RINGS + 1)
        lower = [(radius * np.cos(a), -radius * np.sin(a), np.cos(a), -np.sin(a)) for a in half[::-1]]
        upper = [(radius * np.cos(a), length + radius * np.sin(a), np.cos(a), np.sin(a)) for a in half]
        points, normals, faces = _turned([*lower, *upper])
    else:
        points, normals, faces = cylinder(radius, length / 2)
        points = points + [0, 0, length / 2]
    along = (end - start) / length
    aside = np.eye(3)[np.abs(along).argmin()]
    x = np.cross(aside, along)
    x /= np.linalg.norm(x)
    turn = np.column_stack([x, np.cross(along, x), along])
    return points @ turn.T + start, normals @ turn.T, faces
