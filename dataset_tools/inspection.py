"""What is in episode files, and what is wrong with them: a look at the headers, and a look at every frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common import cli
from constants import TASKS
from dataset_tools.transforms import gripper_columns
from episodes import Episode, EpisodeError, Images, JpegFrames, OpenError, frame_size
from tasks import case_of

KINDS = ("success", "case", "task")  # what sorts episodes
DARK = 1.0  # grey levels: the standard deviation of a picture that shows nothing
MOVED = 0.05  # rad: what the arm must have moved while a camera stood still
LARGEST_ANGLE = 10.0  # rad; states beyond it are in degrees (myCobot files of a fork of ACT++)


@dataclass
class Facts:
    """What the header of an episode file tells."""

    name: str
    megabytes: float
    problems: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()  # of what was left out, or taken otherwise
    steps: int = 0
    fps: int = 0
    dims: tuple[int, int] = (0, 0)  # of the state and of an action, base included
    cameras: dict[str, tuple[int, int]] = field(default_factory=dict)  # height, width (pixels)
    kind: str = "none"  # of its images: jpeg, raw or none
    task: str = ""
    success: bool | None = None

    @property
    def seconds(self) -> float:
        return self.steps / self.fps if self.fps else 0.0

    @property
    def camera_text(self) -> str:
        return ", ".join(f"{name} {h}x{w}" for name, (h, w) in self.cameras.items()) or "none"

    @property
    def success_text(self) -> str:
        return {True: "yes", False: "no", None: "?"}[self.success]


def read_facts(path: Path) -> Facts:
    """Facts of one file; of one that cannot be read, why."""
    facts = Facts(path.name, 0.0)
    try:
        facts.megabytes = path.stat().st_size / 1e6
    except OSError as error:
        facts.problems.append(str(error))
    try:
        episode = Episode.load(path, in_memory=False)
    except (EpisodeError, FileNotFoundError) as error:
        facts.problems = [_without_path(error, path)]
        return facts
    base = 0 if episode.base_action is None else episode.base_action.shape[1]
    facts.steps, facts.fps = len(episode), episode.fps
    facts.dims = (episode.qpos.shape[1], episode.action.shape[1] + base)
    facts.cameras = {camera: frame_size(frames) for camera, frames in sorted(episode.images.items())}
    if episode.images:
        facts.kind = "jpeg" if isinstance(next(iter(episode.images.values())), JpegFrames) else "raw"
    facts.task, facts.success, facts.notes = episode.task, episode.success, episode.notes
    return facts


def _without_path(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def compare(many: Sequence[Facts]) -> None:
    """Add to each one's problems in what it differs from most of the others."""
    readable = [facts for facts in many if facts.steps]
    traits: dict[str, Callable[[Facts], Any]] = {
        "dims of state and action": lambda facts: facts.dims,
        "cameras": lambda facts: facts.camera_text,
        "fps": lambda facts: facts.fps,
        "task": lambda facts: facts.task,
    }
    for what, trait in traits.items():
        counts = Counter(map(trait, readable))
        usual = max(counts, key=lambda value: counts[value], default=None)
        for facts in readable:
            if trait(facts) != usual:
                facts.problems.append(f"{what}: {trait(facts)}, but most have {usual}")


@dataclass(frozen=True)
class Thresholds:
    """Flags of what is still right with an episode."""

    max_speed: float = cli.flag(
        8.0,
        "rad/s (or as many radians in degrees) above which a joint's step from state to state is a jump",
        above=0,
    )
    frozen_steps: int = cli.flag(
        5,
        "steps running of one and the same frame, while the arm moves, at which a camera is frozen",
        least=2,
    )
    max_gap: float = cli.flag(2.0, "longest time between steps, as a multiple of 1 / fps", above=0)
    min_rate: float = cli.flag(0.95, "slowest mean rate, as a share of fps", above=0, most=1)


@dataclass(frozen=True)
class Findings:
    """What came of checking a file."""

    path: Path
    problems: list[str]
    frames: int = 0  # that were decoded
    is_timed: bool = True  # whether it tells when each step was seen
    is_open: bool = True  # whether it could be opened; if not, what it holds may be sound


def find_problems(path: Path, thresholds: Thresholds) -> Findings:
    """Everything that is wrong with a file, every frame of which is decoded."""
    try:
        episode = Episode.load(path)
    except (EpisodeError, FileNotFoundError) as error:
        is_open = not isinstance(error, OpenError | FileNotFoundError)
        return Findings(path, [_without_path(error, path)], is_open=is_open)
    problems = [*_jumps(episode, thresholds.max_speed), *_rates(episode, thresholds)]
    same = {}
    for camera, frames in episode.images.items():
        try:
            same[camera], wrong = _look(frames)
        except EpisodeError as error:
            problems.append(_without_path(error, path))
            continue
        problems += [f"camera {camera!r}: {what}" for what in wrong]
    problems += _frozen(episode, same, thresholds.frozen_steps)
    return Findings(path, problems, len(episode) * len(episode.images), episode.time is not None)


def _look(frames: Images) -> tuple[np.ndarray, list[str]]:
    """Where a frame is the one before once more, (T - 1,) bool; and what is wrong with them."""
    is_jpeg = isinstance(frames, JpegFrames)
    same, dark, other = np.zeros(max(len(frames) - 1, 0), bool), [], []
    size, before = None, None
    for t in range(len(frames)):
        # at an eighth of its size every byte is read all the same
        picture = frames.reduced(t, (1, 1)) if is_jpeg else frames[t]
        size = size or picture.shape
        if picture.shape != size:
            other.append(t)
        if (picture if is_jpeg else picture[::4, ::4]).std() < DARK:
            dark.append(t)
        now = frames.encoded(t) if is_jpeg else picture
        if t:
            same[t - 1] = np.array_equal(now, before)
        before = now
    wrong = []
    if dark:
        wrong.append(f"{len(dark)} frames show nothing, the first at step {dark[0]}")
    if other:
        wrong.append(f"{len(other)} frames are not as large as the first, from step {other[0]}")
    return same, wrong


def _frozen(episode: Episode, same: dict[str, np.ndarray], steps: int) -> list[str]:
    """Where a camera stands still though the arm moves.

    A real camera's noise never repeats. A simulated one may see nothing of the arm: there, only all cameras
    at once tell that pictures are missing.
    """
    if episode.sim and same:
        same = {"all cameras": np.all(list(same.values()), axis=0)}
    moved = MOVED * _unit(episode)
    joints = _joints(episode, episode.qpos)
    problems = []
    for camera, repeats in same.items():
        edges = np.flatnonzero(np.diff(np.concatenate([[False], repeats, [False]]).astype(int)))
        for start, stop in edges.reshape(-1, 2):  # frames start to stop, both included, are alike
            travel = np.ptp(joints[start : stop + 1], axis=0).max()
            if stop - start + 1 >= steps and travel > moved:
                problems.append(f"{camera}: frozen at steps {start} to {stop}, while the arm moves")
    return problems


def _unit(episode: Episode) -> float:
    """What a radian is in the file's own unit."""
    largest = np.abs(_joints(episode, episode.qpos)).max(initial=0)
    return 180 / np.pi if largest > LARGEST_ANGLE else 1.0


def _joints(episode: Episode, rows: np.ndarray) -> np.ndarray:
    """(T, D): a state or action whose grippers are taken for still."""
    joints = rows.copy()
    joints[:, [i for i in gripper_columns(episode) if i < rows.shape[1]]] = 0
    return joints


def _jumps(episode: Episode, max_speed: float) -> list[str]:
    """Where a joint, or its command, goes further in a step than any arm can."""
    problems = []
    limit = max_speed * _unit(episode) / episode.fps
    for name in ("qpos", "action"):
        steps = np.abs(np.diff(_joints(episode, getattr(episode, name)), axis=0))
        if (steps > limit).any():
            first, joint = np.argwhere(steps > limit)[0]
            count = int((steps > limit).any(axis=1).sum())
            problems.append(
                f"{name}: {count} jumps, the first of {steps[first, joint]:.2f} at step {first + 1}, entry "
                f"{joint} (limit {limit:.2f} a step)"
            )
    return problems


def _rates(episode: Episode, thresholds: Thresholds) -> list[str]:
    """Where the clock of a real arm did not keep its pace; files without /time cannot tell."""
    if episode.time is None or len(episode) < 2:
        return []
    problems, gaps = [], np.diff(episode.time) * episode.fps  # in steps
    if not gaps.any():
        return ["time: stands still; all steps have the same"]
    if (gaps < 0).any():
        problems.append(f"time: goes back at step {int((gaps < 0).argmax()) + 1}")
    if (gaps == 0).any():
        problems.append(f"time: stands still at step {int((gaps == 0).argmax()) + 1}")
    if gaps.max() > thresholds.max_gap:
        late = int((gaps > thresholds.max_gap).sum())
        problems.append(
            f"time: {late} steps late, the worst by {gaps.max() - 1:.1f} steps at step {gaps.argmax() + 1}"
        )
    if gaps.mean() * thresholds.min_rate > 1:
        problems.append(f"time: {episode.fps / gaps.mean():.1f} steps a second, not {episode.fps}")
    return problems


def sort_by_kind(paths: Sequence[Path], by: str) -> list[tuple[str, list[Path]]]:
    """Name of each kind of episodes, and its files; `by` is one of KINDS."""
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        kinds.setdefault(_kind(path, by), []).append(path)
    return sorted(kinds.items())


def _kind(path: Path, by: str) -> str:
    episode = Episode.load(path, cameras=())
    if by == "success":
        return {True: "success", False: "failure", None: "unknown"}[episode.success]
    if by == "task":
        return episode.task or "unknown"
    task = TASKS.get(episode.task)
    if task is None or not task.cases or episode.env_state is None:
        raise EpisodeError(
            f"{path}: of which case it is, only files of simulated tasks that have cases tell, such as "
            "sim_mycobot320_choose_scripted; put the episodes of each kind into a folder of its own"
        )
    case = case_of(task, episode.env_state)
    if case is None:
        raise EpisodeError(f"{path}: its props start where no case of {task.name} has them")
    return case
