"""How the rollouts of an evaluation are made: kept with its result, in words, and as the name of a folder."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disturbances import read_set
from evaluation.flags import ACT_DECAY, JOIN_SECONDS, LEAST_JOIN

if TYPE_CHECKING:
    from actors import Actor

LONGEST = 120  # characters of a folder's name; Windows takes 260 of a whole path
SIMULATION = "simulation"  # the robot of rollouts without an arm


def moved_words(moves: Mapping[str, Sequence[float]] | None) -> tuple[str, ...]:
    """Cameras that were moved, and how, in words."""
    return tuple(f"{name}={','.join(f'{each:g}' for each in move)}" for name, move in (moves or {}).items())


@dataclass(frozen=True)
class Settings:
    """How the rollouts of an evaluation were made; with its checkpoint, what sets it apart from others."""

    checkpoints: tuple[str, ...] = ()  # names; several follow one another
    version: str = ""  # of what they hold (`results.content_version`)
    robot: str = SIMULATION  # or: twin, mycobot320
    seed: int = 0
    first: int = 0  # number of the first rollout
    count: int = 0  # rollouts that were asked for
    temporal_agg: bool = False
    query_every: int | None = None  # actions of a chunk that are executed; the policy's own if None
    join: str = "none"  # of chunks (JOINS); none in earlier versions
    join_seconds: float = JOIN_SECONDS  # in which an offset fades
    ensemble_decay: float = ACT_DECAY
    ensemble_drop: float | None = None
    sync: bool | None = None  # whether the arm waits for each chunk; None: it always does, as in simulation
    randomize: bool = False  # looks of its own for each rollout
    looks: str = "mild"  # how far they go
    drift: bool = False  # light changes within a rollout
    room: int | None = None  # that all rollouts were in
    moved: tuple[str, ...] = ()  # cameras of the twin that were moved, each as NAME=x,y,z,a,b,c (m, degrees)
    knock_loose: int | None = None  # step after which a prop is taken away
    disturb: tuple[str, ...] = ()  # what disturbs it, each as NAME=STRENGTH
    render_quality: str | None = None
    cameras: tuple[str, ...] = ()  # of the policy
    fps: float | None = None  # of an arm
    speed_margin: float | None = None  # an arm's speeds over the demonstrations'; None: not limited
    pace: float = 1.0  # of the twin: below 1 it moved in slow motion
    steps: int | None = None  # of a run, on an arm

    @classmethod
    def of(cls, flags: Any, actors: Sequence[Actor] = (), **further: Any) -> Settings:
        """From the flags of the same names, what only the actors tell, and further fields."""
        names = {field.name for field in fields(cls)} & {field.name for field in fields(flags)}
        values = {name: getattr(flags, name) for name in names} | further
        values["cameras"] = tuple(dict.fromkeys(c for actor in actors for c in actor.interface.cameras))
        if actors and actors[-1].interface.recovers and not flags.temporal_agg:
            values["query_every"] = flags.query_every or actors[-1].execution_horizon
        return cls(**values | {"disturb": tuple(map(str, read_set(values.get("disturb"))))})

    @property
    def execution(self) -> str:
        """How chunks are executed and what is in their way, for the reader."""
        way = f"{self.query_every} actions of each chunk" if self.query_every else "one chunk after another"
        if self.temporal_agg:
            every = f" of chunks {self.query_every} steps apart" if self.query_every else ""
            way = f"temporal ensembling{every}"
        way += f" with decay {self.ensemble_decay:g}" if self.ensemble_decay != ACT_DECAY else ""
        way += f", dropping beyond {self.ensemble_drop:g}" if self.ensemble_drop is not None else ""
        way += ", drawn given the rest of the last" if self.join == "inpaint" else ""
        way += f", joined over {self._fade_seconds:g} s" if self.join != "none" else ""
        if self.sync is not None:
            way += ", waited for" if self.sync else ", in the background"
        parts = [way]
        level = "" if self.looks == "mild" else f"{self.looks} "
        parts += [f"randomized {level}looks{' that drift' * self.drift}"] if self.randomize else []
        parts += ["light that drifts"] if self.drift and not self.randomize else []
        parts += [f"in room {self.room}"] if self.room is not None else []
        parts += [f"moved {' and '.join(self.moved)}"] if self.moved else []
        parts += [f"knocked loose after {self.knock_loose} steps"] if self.knock_loose else []
        parts += [f"disturbed by {', '.join(self.disturb)}"] if self.disturb else []
        return "; ".join(parts)

    @property
    def _fade_seconds(self) -> float:
        """How long an offset fades: on an arm, its least number of steps may take longer than asked for."""
        return max(self.join_seconds, LEAST_JOIN / self.fps) if self.fps else self.join_seconds

    def facts(self) -> dict[str, str]:
        """All settings in words, by topic."""
        last = self.first + max(self.count, 1) - 1
        facts = {
            "robot": "" if self.robot == SIMULATION else self.robot,
            "execution": self.execution,
            "seed": f"seed {self.seed}",
            "starts": f"starts {self.first} to {last}" if last > self.first else f"start {self.first}",
            "render_quality": f"rendered {self.render_quality}" if self.render_quality else "",
            "cameras": f"cameras {', '.join(self.cameras)}" if self.cameras else "",
            "fps": f"{self.fps:g} steps a second" if self.fps else "",
            "steps": f"{self.steps} steps" if self.steps else "",
            "speed_margin": f"speeds up to {self.speed_margin:g} times those shown"
            if self.speed_margin
            else "",
            "pace": "" if self.pace == 1 else f"slow motion (pace {self.pace:g})",
        }
        return {name: words for name, words in facts.items() if words}

    def name(self) -> str:
        """A short name for a folder, without what is as usual."""
        parts = [*(Path(name).stem for name in self.checkpoints)]
        parts += [f"{self.first}_to_{self.first + max(self.count, 1) - 1}", f"seed_{self.seed}"]
        parts += [] if self.robot == SIMULATION else [self.robot]
        parts += ["ensembling"] if self.temporal_agg else []
        parts += [f"decay_{self.ensemble_decay:g}"] if self.ensemble_decay != ACT_DECAY else []
        parts += [f"drop_{self.ensemble_drop:g}"] if self.ensemble_drop is not None else []
        parts += ["sync"] if self.sync else []
        words = ["looks", *([] if self.looks == "mild" else [self.looks]), *["drift"] * self.drift]
        joined = [f"{self.join}_{self.join_seconds:g}"] if self.join != "none" else []
        words = [*joined, *(words if self.randomize else ["drift"] * self.drift), *self.disturb]
        words += [f"moved_{word.partition('=')[0]}_{zlib.crc32(word.encode()):x}" for word in self.moved]
        parts += [re.sub(r"[^\w.-]", "_", word) for word in words]
        for name in ("room", "query_every", "knock_loose", "render_quality", "speed_margin"):
            value = getattr(self, name)
            parts += [] if value in (None, "fast") else [f"{name}_{value}"]
        name = "_".join(parts)
        if len(name) > LONGEST:
            name = f"{name[:LONGEST]}_{zlib.crc32(name.encode()):x}"
        return f"{name}_{self.version}"
