"""From a leader's hand to a tool: its motion since the clutch was closed, scaled, in a box. numpy only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from teleop.devices import Hand

CATCH = 0.08  # of its travel that the leader's gripper may be off the arm's when it takes that over


@dataclass(frozen=True, eq=False)
class Tool:
    """Where a tool is, or is to go."""

    position: np.ndarray  # (3,) m
    orientation: np.ndarray  # (3, 3), base from tool
    gripper: float  # 0 closed to 1 open


class Retarget:
    """Goals for a tool from a hand.

    The tool goes as the hand has gone since both were joined: when the clutch was closed, or at `begin`. So
    nothing jumps, and the hand may be put to a better place in between. The gripper follows as soon as the
    leader's has been where the arm's is, so that nothing is dropped either.

    Args:
        scale: how far the tool goes for the hand.
        axes: (3, 3) whose columns are the hand's right, away and up in the tool's base; the base's x, y and z
            if not given.
        box: lowest and highest position (3,) in m that a goal may have; a tool that is outside may stay.
    """

    def __init__(
        self,
        scale: float = 1.0,
        axes: np.ndarray | None = None,
        box: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self._scale, self._box = scale, box
        self._axes = np.eye(3) if axes is None else axes
        self.begin()

    def begin(self) -> None:
        """Join hand and tool anew at the next goal."""
        self._hand: Hand | None = None
        self._tool: Tool | None = None
        self._above: bool | None = None  # whether the leader's gripper was wider open; None: it is followed

    def goal(self, hand: Hand, tool: Tool) -> Tool:
        """Where the tool is to go; `tool` is its last target."""
        if self._hand is None or hand.grip != self._hand.grip:
            self._hand = hand
            self._tool = replace(tool, position=tool.position.copy(), orientation=tool.orientation.copy())
            self._above = hand.gripper is not None and hand.gripper > tool.gripper
        shift = self._axes @ (hand.position - self._hand.position)
        position = self._tool.position + self._scale * shift
        if self._box is not None:
            low, high = (
                np.minimum(self._box[0], self._tool.position),
                np.maximum(self._box[1], self._tool.position),
            )
            position = np.clip(position, low, high)
        turn = self._axes @ hand.orientation @ self._hand.orientation.T @ self._axes.T
        return replace(
            tool,
            position=position,
            orientation=turn @ self._tool.orientation,
            gripper=self._opening(hand, tool),
        )

    def _opening(self, hand: Hand, tool: Tool) -> float:
        if hand.gripper is None:
            return tool.gripper
        if self._above is not None:
            is_near = abs(hand.gripper - tool.gripper) <= CATCH
            if not is_near and (hand.gripper > tool.gripper) == self._above:
                return tool.gripper
            self._above = None
        return hand.gripper
