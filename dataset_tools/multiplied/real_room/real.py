"""All that demonstrations tell about their room: where its cameras are, and how its table looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common import choose
from dataset_tools.multiplied.real_room.carried import Carried
from dataset_tools.multiplied.real_room.standing import Standing
from dataset_tools.multiplied.real_room.tabletop import Tabletop
from episodes import read_header

if TYPE_CHECKING:  # it opens OpenGL
    from ee_sim_env import EndEffectorEnv


@dataclass(frozen=True)
class RealRoom:
    """Where cameras are put, and how the table looks in some of the looks."""

    standing: Standing
    seen_table: float = 0.0  # share of the looks
    tabletop: Tabletop | None = None
    carried: tuple[Carried, ...] = ()  # cameras on arms

    def put(self, env: EndEffectorEnv) -> None:
        """Make the simulated room so, until the environment is closed. It must have looks."""
        self.standing.put(env.env)
        if self.tabletop is not None:
            self.tabletop.put(env.env, self.seen_table)
        for camera in self.carried:
            camera.put(env.env)

    def seen(
        self, env: EndEffectorEnv, paths: Sequence[Path], seen_table: float, cameras: Sequence[str]
    ) -> RealRoom:
        """With all that pictures of demonstrations tell; says so.

        Args:
            env: the task's, with looks, and with this room in it.
            paths: the demonstrations.
            seen_table: in this share of the looks, the table's top is as the pictures show it.
            cameras: of these, those that arms carry are put where they really sit.
        """
        standing = self.standing
        fit = [path for path in paths if _shows_a_room(path, standing.camera)]
        top = Tabletop.of(env.env, standing, fit) if fit and seen_table else None
        if top is not None:
            share = f"{seen_table:.0%}"
            print(
                f"the pictures show {top.seen:.0%} of the table; in {share} of the looks it is as it is there"
            )
        return RealRoom(standing, seen_table, top, tuple(_carried(env, paths, cameras)))


def clicked_room(clicks: str, cameras: Sequence[str]) -> RealRoom:
    """A room in which one of the cameras stands where clicks say; ValueError if that cannot be shown."""
    standing = Standing.clicked(clicks)
    choose(f"camera of {clicks}", standing.camera, cameras)
    return RealRoom(standing)


def _shows_a_room(path: Path, camera: str) -> bool:
    """Whether an episode has pictures of a camera, all of one look."""
    facts, cameras = read_header(path)
    return camera in cameras and not facts.get("randomized")


def _carried(env: EndEffectorEnv, paths: Sequence[Path], cameras: Sequence[str]) -> Iterator[Carried]:
    """Where cameras on arms are, as far as the demonstrations tell; says so."""
    for camera in (name for name in env.env.task.looks.carried if name in cameras):
        fit = [path for path in paths if _shows_a_room(path, camera)]
        carried = Carried.found(env, camera, fit) if fit else None
        if carried is None:
            print(f"{camera} stays where the scene has it: no prop, told by its colour, shows where it sits")
        else:
            print(carried.told())
            yield carried
