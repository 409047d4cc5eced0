"""Applies disturbances: an environment under them, and the frames of an episode under them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from disturbances.dynamics import changed
from disturbances.registry import LINK, MOMENT, PICTURE, Applied
from disturbances.scene import look_of
from tasks import LookPlan, Task, TimeStep


class Pictures:
    """What becomes of a rollout's pictures.

    Args:
        applied: disturbances; others than those of pictures do nothing here.
        fps: steps a second.
        seed, rollout: what is drawn depends on them.
    """

    def __init__(self, applied: Sequence[Applied], fps: float, seed: int, rollout: int) -> None:
        self._changes = [each for each in applied if each.kind == PICTURE]
        self._moments = [each for each in applied if each.kind == MOMENT]
        self._fps, self._key = fps, (seed, rollout)

    @property
    def looks_back(self) -> bool:
        """Whether earlier pictures are seen."""
        return bool(self._moments)

    def source(self, moment: int) -> int:
        """The step whose pictures are seen at a step."""
        for each in self._moments:
            rng = each.disturbance.rng(*self._key)
            moment = each.disturbance.apply(moment, each.strength, rng, self._fps)
        return moment

    def changed(self, image: np.ndarray, camera: str, moment: int) -> np.ndarray:
        """An image (H, W, 3) uint8 RGB that a camera took at a step, as it is seen."""
        number = zlib.crc32(camera.encode())
        for each in self._changes:
            further = (number,) if each.disturbance.holds else (number, moment)
            rng = each.disturbance.rng(*self._key, *further)
            image = each.disturbance.apply(image, each.strength, rng)
        return image


class DisturbedImages(Mapping):
    """Images of one step by camera; each is rendered and changed when it is first asked for."""

    def __init__(self, images: Mapping[str, np.ndarray], pictures: Pictures, moment: int) -> None:
        self._images, self._pictures, self._moment = images, pictures, moment
        self._frames: dict[str, np.ndarray] = {}

    def __getitem__(self, camera: str) -> np.ndarray:
        """Image (H, W, 3) uint8 RGB."""
        if camera not in self._frames:
            self._frames[camera] = self._pictures.changed(self._images[camera], camera, self._moment)
        return self._frames[camera]

    def __contains__(self, camera: object) -> bool:
        return camera in self._images

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)


class Disturbed:
    """An environment whose pictures, actions and states are disturbed on their way; its physics is not
    (`changed` in dynamics.py).

    Args:
        env: a simulation or an arm. Where it `looks_back`, images of earlier steps must be there to look at:
            a simulation has to `remember`.
        task: of the environment; its `fps` says how long a step is.
        applied: the disturbances.
        seed, rollout: what is drawn depends on them.
    """

    def __init__(self, env: Any, task: Task, applied: Sequence[Applied], seed: int, rollout: int) -> None:
        self._env = env
        self._pictures = Pictures(applied, task.fps, seed, rollout)
        joints = np.array([not entry.is_gripper for entry in task.entries])
        self._links = [
            each.disturbance.apply(each.strength, each.disturbance.rng(seed, rollout), joints, task.fps)
            for each in applied
            if each.kind == LINK
        ]
        self._past: dict[int, DisturbedImages] = {}  # by step; those that may still be seen

    @property
    def looks_back(self) -> bool:
        """Whether pictures of earlier steps are seen."""
        return self._pictures.looks_back

    def reset(self, *args: Any, **options: Any) -> TimeStep:
        """As the environment's."""
        step = self._env.reset(*args, **options)
        for link in self._links:
            link.begin(step.observation["qpos"])
        self._moment = -1
        self._past.clear()
        return self._seen(step)

    def step(self, action: np.ndarray) -> TimeStep:
        """As the environment's; `sent` is what would have been sent without the disturbance."""
        if not self._links:
            return self._seen(self._env.step(action))
        changed = action
        for link in self._links:
            changed = link.act(changed)
        changed = np.asarray(changed, np.float32)
        step = self._env.step(changed)
        sent = step.sent
        if sent is not None:
            sent = action + (sent - changed)  # what an arm refused of it is missing here too
        return self._seen(replace(step, sent=sent))

    def _seen(self, step: TimeStep) -> TimeStep:
        self._moment += 1
        observation, qpos = step.observation, step.observation["qpos"]
        for link in reversed(self._links):
            qpos = link.sense(qpos)
        self._past[self._moment] = DisturbedImages(observation["images"], self._pictures, self._moment)
        source = self._pictures.source(self._moment)
        for moment in [moment for moment in self._past if moment < source]:
            del self._past[moment]
        return replace(step, observation={**observation, "qpos": qpos, "images": self._past[source]})


class KnockedLoose:
    """An environment whose first prop is knocked loose after `after` steps; `rng` gives its new place.

    Rewards before that do not count.
    """

    def __init__(self, env: Any, after: int, rng: np.random.Generator) -> None:
        self._env, self._left, self._rng = env, after, rng

    def reset(self, *args: Any, **options: Any) -> TimeStep:
        return self._env.reset(*args, **options)

    def step(self, action: np.ndarray) -> TimeStep:
        step = self._env.step(action)
        self._left -= 1
        if self._left == 0 and not step.last():
            return replace(step, observation=self._env.knock_loose(self._rng), reward=0.0)
        return step if self._left < 0 else replace(step, reward=0.0)


@contextmanager
def disturbed_simulation(
    env: Any,
    environment: Any,
    task: Task,
    applied: Sequence[Applied],
    key: tuple[int, int],
    room: LookPlan | None = None,
) -> Iterator[Any]:
    """What a rollout in simulation runs in: `environment`, whose simulation is `env`, under disturbances.

    `key` is the seed and the number of the rollout; `room` has a look of its own, if it is given. In the end,
    all but the look is as before.
    """
    if not applied:
        yield environment
        return
    environment, look = Disturbed(environment, task, applied, *key), look_of(applied, *key, room)
    env.remember(environment.looks_back)
    if look is not None:
        env.set_looks(look)
    try:
        with changed(env.physics.model.ptr, task, applied, *key):
            yield environment
    finally:
        env.remember(False)


def check_recorded(applied: Sequence[Applied]) -> None:
    """ValueError for a disturbance of physics or of the arm: what was recorded cannot change."""
    for each in applied:
        if each.kind not in (PICTURE, MOMENT):
            raise ValueError(
                f"{each} changes {each.disturbance.group}; of a recorded episode only pictures can"
            )


def disturb_frames(
    frames: Sequence[np.ndarray], applied: Sequence[Applied], fps: float, camera: str, seed: int, episode: int
) -> Iterator[np.ndarray]:
    """The frames of one camera in a recorded episode as they would have been seen under disturbances of
    pictures.

    Args:
        frames: T images (H, W, 3) uint8 RGB.
        applied: disturbances.
        fps: steps a second.
        camera: whose frames they are.
        seed, episode: what is drawn depends on them.

    Raises:
        ValueError: as `check_recorded`.
    """
    check_recorded(applied)
    pictures = Pictures(applied, fps, seed, episode)
    return (
        pictures.changed(frames[source], camera, source)
        for source in map(pictures.source, range(len(frames)))
    )
