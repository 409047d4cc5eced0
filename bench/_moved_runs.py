"""Rollouts of the twin's tasks in its scene, with a camera moved: what workers of `moved_success.py` do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from moved_cameras import draw

from constants import Stream, get_task
from evaluation import ChunkedExecution, Execution, Steps, open_actor, rollout, rollout_steps
from mycobot_scripts.demos import PlacedCameras, PlacementConfig
from policies import checkpoint_references
from sim_env import SimEnv, make_sim_env

CAMERA = "top"
DEGREES_PER_MILLIMETRE = 0.2
WAYS = ("displaced", "rectified")


class Undone(Mapping):
    """Images of one step; that of the moved camera is warped when it is asked for."""

    def __init__(self, images: Mapping[str, np.ndarray], placed: PlacedCameras) -> None:
        self._images, self._placed = images, placed

    def __getitem__(self, camera: str) -> np.ndarray:
        images = {camera: self._images[camera]}
        return (self._placed.rectified({"images": images})["images"] if camera == CAMERA else images)[camera]

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


@dataclass
class Player:
    """A policy in its scene."""

    execute: Execution
    env: SimEnv
    placed: PlacedCameras
    steps: int

    @classmethod
    def of(cls, checkpoint: Path, known_by: Path) -> Player:
        """A checkpoint's policy, with the reference of the camera that another knows (ValueError if not)."""
        actor = open_actor(checkpoint, "cpu")
        reference = checkpoint_references(known_by).get(CAMERA)
        if reference is None:
            raise ValueError(
                f"{known_by} has no reference picture of the camera {CAMERA}, as those have whose "
                "demonstrations look and begin alike; --reference names another checkpoint"
            )
        task = get_task(actor.interface.task)
        config = PlacementConfig(rectify=True, ignore_moved=True)
        placed = PlacedCameras({CAMERA: reference}, config, say=lambda line: None)
        steps = rollout_steps(task, actor)
        return cls(ChunkedExecution(actor), make_sim_env(task, randomize=True), placed, steps)

    def succeeds(self, index: int, millimetres: float, way: str) -> bool:
        """Whether a rollout does; its start and the direction of the move depend on `index` alone."""
        env, task = self.env, self.env.spec
        env.set_looks(None)
        rng = np.random.default_rng([Stream.EVALUATE_LOOKS, index])
        env.task.looks.camera_moves[CAMERA] = draw(rng, millimetres, DEGREES_PER_MILLIMETRE * millimetres)
        self.execute.reset([0, Stream.ACT, index])
        case = task.case_number(index) if task.cases else None
        start = env.reset(np.random.default_rng([0, Stream.EVALUATE, index]), case=case)
        if way == "rectified":
            self.placed.check({CAMERA: start.observation["images"][CAMERA]})

        def act(_: int, observation: Mapping[str, Any]) -> np.ndarray:
            if way == "rectified":
                observation = {**observation, "images": Undone(observation["images"], self.placed)}
            return self.execute(observation)[: task.dim]

        steps = Steps()
        rollout(env, start, act, self.steps, steps)
        return steps.highest_reward == task.max_reward


_players: dict[Path, Player] = {}


def run_one(
    cell: tuple[Path, float, str], index: int, reference: Path | None
) -> tuple[tuple[Path, float, str], bool]:
    """One rollout of a cell of the table; the checkpoint's own reference counts if None is given."""
    checkpoint, millimetres, way = cell
    if checkpoint not in _players:
        _players[checkpoint] = Player.of(checkpoint, reference or checkpoint)
    return cell, _players[checkpoint].succeeds(index, millimetres, way)
