"""The twin that stands for the real arm: in one room, with its camera elsewhere than in the scene, always.

Its recordings say as little as those of a real arm: not where the objects were. What workers of
`real_chain.py` do is here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from moved_cameras import moved_matrix

from common import complete_file
from constants import IMAGE_SIZE, Stream, get_task
from disturbances import room_look
from episodes import Episode, episode_path, list_episodes, missing_numbers
from evaluation import (
    EvalJob,
    Execution,
    Steps,
    close_environments,
    environment,
    rollout,
    rollout_steps,
    run_script,
)
from tasks import Task, to_pixels

TWIN, REAL = "sim_mycobot320_move_cube_scripted", "mycobot320_move_cube"
CAMERA = "top"
CORNERS = np.array(
    [[-0.45, -0.25, 0], [-0.45, 0.05, 0], [-0.2, 0.05, 0], [-0.2, -0.25, 0]]
)  # m, of the table
PICKED = 0.012  # m from the cube's middle, where its colours are picked
DARKER, LIGHTER = 0.7, 1.3  # times the colours that were picked


def room_camera(task: Task, room: int) -> np.ndarray:
    """Matrix (3, 4) of the camera where it stands in a room, for pictures as they are recorded."""
    from sim_env import make_sim_env  # opens OpenGL

    env = make_sim_env(task, randomize=True)
    try:
        env.set_looks(room_look(room))
        env.reset(0)
        return moved_matrix(env.physics, CAMERA, IMAGE_SIZE, env.task.looks.camera_moves[CAMERA])
    finally:
        env.close()


def record(folder: Path, room: int, count: int) -> None:
    """Record so many demonstrations by script; beside them lies what a person sees (`answers`)."""
    missing, task = missing_numbers(folder, count), get_task(TWIN)
    if not missing:
        return
    env = environment(task, "fast", True, True)
    env.set_looks(room_look(room))
    _write(folder.with_name("camera.json"), room_camera(task, room).tolist())
    for number in missing:
        rng = np.random.default_rng([room, Stream.RECORD, number])
        episode = run_script(env, task, rng, task.cameras)
        while not episode.success:
            episode = run_script(env, task, rng, task.cameras)
        true = np.asarray(episode.env_state)
        _write(folder.with_name("true") / f"episode_{number}.json", true.tolist())
        bare = replace(episode, env_state=None, reward=None, seed=None, task=REAL, sim=False, success=True)
        bare.save(episode_path(folder, number))
    close_environments()


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as part:
        part.write_text(json.dumps(content), encoding="utf-8")


@dataclass(frozen=True)
class Answers:
    """What a person answers who looks at the recordings in a folder: by the pictures, no better."""

    folder: Path

    @property
    def _matrix(self) -> np.ndarray:
        return np.array(json.loads(self.folder.with_name("camera.json").read_text()))

    def _start(self, path: Path) -> np.ndarray:
        return np.array(json.loads((self.folder.with_name("true") / f"{path.stem}.json").read_text()))

    def clicks(self, has_props: bool) -> dict[str, Any]:
        """As a file of clicks holds them, to the pixel: the table's points, and the cube if it has props."""
        pixels = np.round(to_pixels(self._matrix, CORNERS)).tolist()
        points = [
            {"pixel": pixel, "place": corner[:2].tolist()}
            for pixel, corner in zip(pixels, CORNERS, strict=True)
        ]
        cubes = {path.stem: {"cube": self._cube(path)} for path in list_episodes(self.folder)}
        content = {"camera": CAMERA, "size": IMAGE_SIZE, "points": points}
        return {**content, "props": cubes if has_props else {}}

    def _cube(self, path: Path) -> list[float]:
        return np.round(to_pixels(self._matrix, self._start(path)[None, :3]))[0].tolist()

    def colour(self) -> tuple[int, ...]:
        """Least and greatest red, green and blue, picked from the cube's sides in the first picture."""
        path = list_episodes(self.folder)[0]
        picture = np.asarray(Episode.load(path, (CAMERA,)).images[CAMERA][0])
        middle = self._start(path)[:3]
        spots = middle + PICKED * np.vstack([np.eye(3), -np.eye(3), np.zeros(3)])
        columns, rows = np.round(to_pixels(self._matrix, spots)).astype(int).T
        colours = picture[rows, columns]
        bounds = [*DARKER * colours.min(axis=0), *LIGHTER * colours.max(axis=0)]
        return tuple(np.clip(bounds, 0, 255).astype(int).tolist())

    def off(self, placed: Path) -> list[float]:
        """How far (mm) the cube is from where the episodes in a folder say."""
        return [
            1000 * float(np.linalg.norm((Episode.load(path, ()).env_state - self._start(path))[:2]))
            for path in list_episodes(placed)
        ]


@dataclass
class Player:
    """A policy in the room."""

    execute: Execution
    env: Any
    steps: int

    @classmethod
    def of(cls, checkpoint: Path, room: int) -> Player:
        """The policy of a checkpoint."""
        from sim_env import make_sim_env  # opens OpenGL: only in the processes that render

        task = get_task(TWIN)
        job = EvalJob(checkpoint, task)
        actor = job.load("cpu")
        env = make_sim_env(task, randomize=True)
        env.set_looks(room_look(room))
        return cls(job.execute(actor), env, rollout_steps(task, actor))

    def succeeds(self, index: int) -> bool:
        """Whether a rollout does; its start depends on `index` alone."""
        task = self.env.spec
        self.execute.reset([0, Stream.ACT, index])
        start = self.env.reset(np.random.default_rng([0, Stream.EVALUATE, index]))
        steps = Steps()
        rollout(self.env, start, lambda _, seen: self.execute(seen)[: task.dim], self.steps, steps)
        return steps.highest_reward == task.max_reward


_players: dict[tuple[Path, int], Player] = {}


def run_one(checkpoint: Path, room: int, index: int) -> bool:
    """One rollout of a policy in a room."""
    if (checkpoint, room) not in _players:
        while _players:
            _players.popitem()[1].env.close()
        _players[checkpoint, room] = Player.of(checkpoint, room)
    return _players[checkpoint, room].succeeds(index)
