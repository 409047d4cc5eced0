"""The steps of an evening (`evening.py`): which commands a user types, and what the user sees in pictures.

Only what a person does by eye is done here: clicking things in pictures, to the pixel (`look`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from _harness import ROOT
from _real_arm import CAMERA, CORNERS, room_camera
from _runs import CHOOSE, TWIN_MOVE

from common import complete_file
from constants import IMAGE_SIZE, get_task
from episodes import Episode, list_episodes
from tasks import in_sight, nearest_case, to_pixels

TASKS = {"move": (TWIN_MOVE, "mycobot320_move_cube"), "choose": (CHOOSE, "mycobot320_choose")}
FIRST = 1000  # of the starts that are tried
STEPS = 3200  # of training: 13 to 20 minutes on two cores of an Intel Xeon
SECONDS = 25  # of a run: time to try again after a grasp that missed
KNOCKED = 45  # step at which the cube is in the air
BUMP = 10.0, 2.0  # mm and degrees by which somebody bumps into the tripod
WEIGHTS = (1, 9)  # samples from what was shown, and from what was made of it
HUMAN = ("--style", "human")
STEADY = ("--steady", "--ways", 1, "--margin", 0.01)
LOOKS = ("--randomize", "frame", "--looks", "real")


@dataclass(frozen=True)
class Size:
    """How much an evening has of everything."""

    shown: int = 10  # demonstrations
    more: int = 5  # of them where they are suggested
    multiplied: int = 150
    recovering: float = 0.4  # share of these that begin midway
    steps: int | None = None  # of training; STEPS, or of a plain evening the preset's, if not given
    runs: int = 10  # of each block
    workers: int | None = None  # processes; one per core if not given


@dataclass(frozen=True)
class Step:
    """One thing that a user does."""

    name: str
    script: str  # path in this repository
    flags: tuple[object, ...]
    prepare: Callable[[], None] | None = None  # what a person does by eye before it
    finds: str = ""  # a pattern: what of the output the table tells, its last match
    may_fail: bool = False  # a status that is not 0 is a result too
    folder: str = ""  # that a second try begins without
    is_training: bool = False
    runs: int = 0  # of a policy, that are counted


@dataclass(frozen=True)
class Evening:
    """One task's evening in one room; all its files are in a folder, in which the commands run."""

    task: str  # key of TASKS
    folder: Path
    room: int
    seed: int
    size: Size = field(default_factory=Size)
    pace: float = 1.0
    is_plain: bool = False  # without what the toolkit has learned since

    @property
    def twin(self) -> tuple[object, ...]:
        """Flags of all that moves the arm."""
        slow = () if self.pace == 1 else ("--pace", self.pace)
        return ("--robot", "twin", "--task_name", TASKS[self.task][0], "--room", self.room, *slow)

    def steps(self) -> Iterator[Step]:
        """All steps, in order."""
        yield Step(
            "check the arm",
            "mycobot_scripts/check_arm.py",
            (*self.twin, "--yes", "--output_dir", "check"),
            finds=r"^(.*);",
            may_fail=True,
        )
        yield self.record("shown", self.size.shown, self.seed)
        yield from self.plain_training() if self.is_plain else self.training()
        yield from self.blocks()

    def record(self, folder: str, count: int, seed: int, *flags: object) -> Step:
        """Demonstrations on the twin."""
        where = ("--dataset_dir", folder, "--num_episodes", count, "--seed", seed)
        name = "record more where it helps most" if flags else "record demonstrations"
        return Step(
            name,
            "mycobot_scripts/record_episodes.py",
            (*self.twin, *where, *HUMAN, *flags),
            finds=r"^(\d+ of \d+ episodes)",
        )

    def plain_training(self) -> Iterator[Step]:
        """Today's way: train on what was shown."""
        yield self.train("small.json", "shown")

    def training(self) -> Iterator[Step]:
        """From the demonstrations to a policy, with all that helps."""
        yield from self.examine("shown")
        yield Step("what to record next", "report.py", ("--coverage", "--runs", "shown"))
        yield self.record("more", self.size.more, self.seed + 1, "--suggest", "shown")
        yield from self.examine("more")
        yield self.edit(
            "put them together", "merge", "--dataset_dir", "shown", "more", "--output_dir", "real"
        )
        yield self.multiply()
        yield self.train("robust.json", "real", "many")

    def multiply(self) -> Step:
        """Many of the few, in rooms that change."""
        midway = ("--begin_midway", self.size.recovering, "--askew", 45)
        flags = ("--num_episodes", self.size.multiplied, *STEADY, *midway, *LOOKS)
        stands = ("--clicks", "shown_clicks.json")  # the same four points of the table, in all pictures
        where = ("--dataset_dir", "real", "--output_dir", "many", *flags, *stands)
        return self.edit("multiply", "multiply", *where, finds=r"^in all: (.*)")

    def examine(self, folder: str) -> Iterator[Step]:
        """The doctor, and where things lay."""
        yield self.edit(
            f"the doctor: {folder}",
            "check",
            "--dataset_dir",
            folder,
            finds=r"^(\w.*)$",
            may_fail=True,
        )
        yield self.edit(f"a page to click on: {folder}", "clicks", "--dataset_dir", folder, "--step", 0)
        for number, case in enumerate(get_task(TASKS[self.task][0]).cases or (None,)):
            yield self.places(folder, number, None if case is None else case.label)

    def places(self, folder: str, number: int, case: str | None) -> Step:
        """Find where things lay, in the episodes of a case."""
        seen = self.folder / f"{folder}_cases.json"
        shown = () if case is None else ("--case", case, "--episodes", Listed(seen, number))
        how = ("--clicks", f"{folder}_clicks.json", "--step", 0, "--anew", "--in_place")
        name = f"places: {folder}{'' if case is None else f', {case}'}"
        return self.edit(
            name,
            "places",
            "--dataset_dir",
            folder,
            *(*how, *shown),
            prepare=lambda: self.look(folder),
            finds=r"([\d.]+ mm) from where",
        )

    def edit(self, name: str, command: str, *flags: object, **facts: Any) -> Step:
        """A command of edit_episodes.py."""
        counted = self.size.workers if command in ("check", "multiply", "places", "merge") else None
        workers = () if counted is None else ("--num_workers", counted)
        return Step(name, "edit_episodes.py", (command, *flags, *workers), **facts)

    def train(self, preset: str, *folders: str) -> Step:
        """Train a policy; it goes on where it was stopped."""
        count = self.size.steps or (None if self.is_plain else STEPS)
        steps = () if count is None else ("--num_steps", count)
        what = ("--task_name", TASKS[self.task][1], "--ckpt_dir", "run", "--dataset_dir", *folders)
        weights = ("--sample_weights", *WEIGHTS, "--places_only", folders[0]) if len(folders) > 1 else ()
        flags = ("--config", ROOT / "presets" / preset, *steps, *weights, "--seed", self.seed, "--resume")
        return Step("train", "imitate_episodes.py", (*what, *flags), is_training=True)

    def blocks(self) -> Iterator[Step]:
        """The runs."""
        lamp = ("--drift", "--disturb", "light=middle")
        bump = ("--move_camera", self.bump())
        helped = ("--ignore_moved",) if self.is_plain else ("--rectify", "--query_every", 10)
        blocks = {
            "as it was": (),
            "lamp moved, exposure drifts": lamp,
            "camera bumped": bump,
            "cube knocked out of the gripper": ("--knock_loose", KNOCKED),
        }
        long = ("--seconds", SECONDS)
        for number, (name, flags) in enumerate(blocks.items()):
            starts = ("--num_rollouts", self.size.runs, "--first_rollout", FIRST + number * self.size.runs)
            folder = f"runs_{number}"
            where = ("--ckpt_dir", "run", "--output_dir", folder, "--seed", self.seed)
            yield Step(
                name,
                "model_runs.py",
                (*self.twin, *where, *starts, *long, *flags, *helped),
                may_fail=True,
                folder=folder,
                runs=self.size.runs,
            )

    def bump(self) -> str:
        """A push of the tripod, in a direction of the room's own, as --move_camera takes it."""
        rng = np.random.default_rng(self.room)
        ways = [way / np.linalg.norm(way) for way in rng.normal(size=(2, 3))]
        shift, turn = (length * way for length, way in zip(BUMP, ways, strict=True))
        return f"{CAMERA}={','.join(f'{value:.2f}' for value in (*shift, *turn))}"

    # --- what a person sees

    @cached_property
    def _matrix(self) -> np.ndarray:
        return room_camera(get_task(TASKS[self.task][0]), self.room)

    def look(self, folder: str) -> None:
        """Click things and four points of the table, and tell which case each episode shows; once."""
        clicks, cases = (self.folder / f"{folder}_{what}.json" for what in ("clicks", "cases"))
        if clicks.is_file() and cases.is_file():
            return
        task = get_task(TASKS[self.task][0])
        props: dict[str, dict[str, list[float]]] = {}
        numbers: list[list[str]] = [[] for _ in task.cases or (None,)]
        for path in list_episodes(self.folder / folder):
            start = Episode.load(path, ()).env_state.reshape(-1, 7)
            case = nearest_case(task, start.ravel())[0]
            numbers[case].append(path.stem.removeprefix("episode_"))
            pixels = np.round(to_pixels(self._matrix, start[:, :3])).tolist()
            pairs = zip(task.variants[case].props, pixels, strict=True)
            props[path.stem] = {prop.name: pixel for prop, pixel in pairs if in_sight(prop)}
        _write(cases, numbers)
        _write(clicks, {"camera": CAMERA, "size": IMAGE_SIZE, "points": self._points(), "props": props})

    def _points(self) -> list[dict[str, list[float]]]:
        """Four points of the table, as far from each other as the picture shows."""
        middle, (height, width) = CORNERS.mean(axis=0), IMAGE_SIZE
        for share in np.linspace(1, 0.5, 11):
            corners = middle + share * (CORNERS - middle)
            pixels = np.round(to_pixels(self._matrix, corners))
            if (pixels >= 0).all() and (pixels < (width, height)).all():
                pairs = zip(pixels.tolist(), corners[:, :2].tolist(), strict=True)
                return [{"pixel": pixel, "place": place} for pixel, place in pairs]
        raise RuntimeError(f"in room {self.room}, {CAMERA} shows too little of the table")


@dataclass(frozen=True)
class Listed:
    """Numbers of the episodes of a case, which are known once somebody has looked."""

    path: Path
    case: int

    def words(self) -> list[str]:
        return json.loads(self.path.read_text())[self.case]


def _write(path: Path, content: Any) -> None:
    with complete_file(path) as part:
        part.write_text(json.dumps(content), encoding="utf-8")
