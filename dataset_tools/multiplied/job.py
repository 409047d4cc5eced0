"""What `multiply` is asked for, and what a process needs to make a new episode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from common import Workers, cli
from constants import IMAGE_SIZE, Stream
from dataset_tools.edits import FolderFlags, episodes_flag
from dataset_tools.multiplied.real_room import RealRoom
from dataset_tools.multiplied.retold import arms_midway, distance
from dataset_tools.multiplied.sources import Source
from evaluation import environment, hold_looks_flag, looks_flag, quality_flag, randomize_flag
from tasks import Task

MOST_MARGIN = 0.03  # m
MOST_ASKEW = 45.0  # degrees; a cube has four sides
MAX_STARTS = 10  # per episode, before the demonstrations count as unfit


@dataclass(frozen=True)
class MultiplyFlags(FolderFlags, Workers):
    """Flags of `multiply`."""

    output_dir: str = cli.flag(None, "folder for the new episodes", required=True)
    num_episodes: int = cli.flag(
        200, "new episodes to have in the end; those that are there already count", least=1, most=100_000
    )
    episodes: tuple[str, ...] | None = episodes_flag()
    task_name: str | None = cli.flag(None, "task to simulate; the one that the files name if not given")
    camera_names: tuple[str, ...] | None = cli.flag(
        None, "cameras to record; those of the first episode if not given", distinct=True
    )
    seed: int = cli.flag(0, "seed of the starts", least=0, most=cli.MOST_SEED)
    attempts: int = cli.flag(
        3,
        "demonstrations that are tried from a new start, the nearest first, before another start is drawn",
        least=1,
        most=1000,
    )
    margin: float = cli.flag(
        0.0,
        "how far (m) beyond where the task starts new starts may lie too, so that a policy learns from both "
        "sides of what is an edge of the task",
        least=0,
        most=MOST_MARGIN,
    )
    begin_midway: float = cli.flag(
        0.0,
        "chance of each new episode to begin with the arms somewhere on the way of another attempt; they go "
        "back and do the task, as after a prop was lost",
        least=0,
        most=1,
    )
    askew: float = cli.flag(
        0.0,
        "with --begin_midway: by how much (degrees) props are turned at most about the vertical, either way, "
        "where a new episode begins midway, as after a grasp that missed",
        least=0,
        most=MOST_ASKEW,
    )
    steady: bool = cli.flag(
        False,
        "repeat the demonstrations as a steady hand gives them: all at one speed, without pauses, tremor and "
        "missed grasps, and at rest in the end",
    )
    ways: int | None = cli.flag(
        None,
        "demonstrations of each case that are repeated: the shortest of those that succeed from all trial "
        "starts, others only where they fail; all if not given",
        least=1,
    )
    trials: int = cli.flag(
        20,
        "with --ways: starts that demonstrations are tried from before any is chosen, until enough succeed "
        "from all of them; 0: the shortest are chosen untried",
        least=0,
        most=1000,
    )
    render_quality: str = quality_flag()
    randomize: str | None = randomize_flag()
    looks: str = looks_flag()
    hold_looks: int = hold_looks_flag()
    clicks: str | None = cli.flag(
        None,
        "file that the page of `edit_episodes.py clicks` saves, with four points of the table: the simulated "
        "camera is put where they say that the real one stands, and looks vary about that; needs --randomize",
    )
    seen_table: float = cli.flag(
        0.75,
        "with --clicks: share of the looks in which the table's top is that of the demonstrations' pictures",
        least=0,
        most=1,
    )
    keep_carried: bool = cli.flag(
        False,
        "with --clicks: leave cameras that an arm carries where the scene has them; otherwise pictures of a "
        "prop that still lies at its start tell where they are",
    )
    dry_run: bool = cli.flag(False, "say where the demonstrations would be cut, and write nothing")


@dataclass(frozen=True)
class Job:
    """All that a process needs to make any of the new episodes."""

    task: Task
    cameras: tuple[str, ...]
    flags: MultiplyFlags
    sources: tuple[Source, ...] = ()
    repeated: frozenset[str] = frozenset()  # names of the sources that are tried before others (`--ways`)
    room: RealRoom | None = None  # what the simulated one is made like
    image_size: tuple[int, int] = IMAGE_SIZE  # of the demonstrations' pictures, and so of the new ones

    @property
    def looks_hold(self) -> int:
        """Steps that a look lasts; 0: the whole episode."""
        return self.flags.hold_looks if self.flags.randomize == "frame" else 0

    def environment(self) -> Any:
        """This process's environment."""
        env = self.own_environment()
        if self.room is not None:
            self.room.put(env)
        return env

    def own_environment(self) -> Any:
        """The same, whose cameras are where the scene has them until `environment` puts them elsewhere."""
        flags = self.flags
        return environment(
            self.task, flags.render_quality, True, flags.randomize is not None, self.image_size
        )

    def case(self, index: int) -> int:
        """Number of a new episode's case: those of the sources take turns."""
        cases = sorted({source.case for source in self.sources})
        return cases[index % len(cases)]

    def nearest(self, start: np.ndarray, case: int) -> list[Source]:
        """The sources to try from a start (P * 7,), in this order."""
        fitting = [source for source in self.sources if source.case == case]
        fitting.sort(key=lambda each: (each.name not in self.repeated, distance(each.start, start)))
        return fitting[: self.flags.attempts]

    def midways(self, index: int) -> Iterator[np.ndarray | None]:
        """Where the arms (D,) may begin a new episode: None for their start poses, or the middle of another
        attempt, each time of a different one.
        """
        rng = np.random.default_rng([self.flags.seed, Stream.MULTIPLY_MIDWAY, index])
        is_midway = rng.random() < self.flags.begin_midway
        while True:
            yield self._midway(rng) if is_midway else None

    def _midway(self, rng: np.random.Generator) -> np.ndarray:
        """The arms (D,) at a moment of an attempt that succeeds."""
        for _ in range(MAX_STARTS):
            source = self.sources[rng.integers(len(self.sources))]
            state = arms_midway(self.environment(), self.task, source, rng)
            if state is not None:
                return state
        raise RuntimeError(f"no demonstration succeeded from {MAX_STARTS} starts running; give more of them")
