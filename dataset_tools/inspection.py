"""What is in episode files (from the headers), and what is wrong with them (from every frame)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cameras import find_bump
from common import cli
from constants import TASKS
from dataset_tools.transforms import gripper_columns
from episodes import Episode, EpisodeError, Images, JpegFrames, OpenError, frame_size
from tasks import case_of

KINDS = ("success", "case", "task")  # by what episodes can be sorted
DARK = 1.0  # grey levels: the standard deviation of a picture that shows nothing
MOVED = 0.05  # rad; if the arm moves by more while the picture stands still, the camera is frozen
LARGEST_ANGLE = 10.0  # rad; states beyond it are in degrees (myCobot files of a fork of ACT++)
MAX_SPEED = 8.0  # rad/s, for sets too small to tell what is usual


@dataclass
class Facts:
    """What the header of an episode file tells."""

    name: str
    megabytes: float
    problems: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()  # on what reading left out or changed
    steps: int = 0
    fps: int = 0
    dims: tuple[int, int] = (0, 0)  # of the state and of an action, base included
    cameras: dict[str, tuple[int, int]] = field(default_factory=dict)  # height, width (pixels)
    storage: str = "none"  # of its images: jpeg, raw or none
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
    """Facts of one file; if it cannot be read, `problems` says why."""
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
        facts.storage = "jpeg" if isinstance(next(iter(episode.images.values())), JpegFrames) else "raw"
    facts.task, facts.success, facts.notes = episode.task, episode.success, episode.notes
    return facts


def _without_path(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def compare(many: Sequence[Facts]) -> None:
    """Add to each file's problems where it differs from most of the others."""
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
    """Flags: how far an episode may go before `check` reports it."""

    max_speed: float | None = cli.flag(
        None,
        "speed (rad/s, or as much in degrees) above which a joint's step from state to state is a jump; if "
        "not given, what is far beyond the set's own steps, whatever its unit; 8 with fewer than 4 episodes",
        above=0,
    )
    frozen_steps: int = cli.flag(
        5,
        "steps in a row with the same frame, while the arm moves, from which on a camera is frozen",
        least=2,
    )
    max_bump: float = cli.flag(
        3.0,
        "pixels (of 640) by which the picture of a camera that stands may be off at the end of an episode; "
        "beyond it, the camera was bumped",
        above=0,
    )
    max_gap: float = cli.flag(2.0, "longest time between steps, as a multiple of 1 / fps", above=0)
    min_rate: float = cli.flag(0.95, "slowest mean rate, as a share of fps", above=0, most=1)


@dataclass(frozen=True)
class Findings:
    """The result of checking a file."""

    path: Path
    problems: list[str]
    frames: int = 0  # number of decoded frames
    is_timed: bool = True  # whether it has the time of each step
    is_open: bool = True  # whether it could be opened; if not, its content may be sound


def find_problems(
    path: Path, thresholds: Thresholds, limits: Mapping[str, np.ndarray] | None = None
) -> Findings:
    """Everything that is wrong with a file; every frame is decoded.

    Args:
        path: the file.
        thresholds: how far an episode may go.
        limits: of `qpos` and `action`, the largest step of each entry (D,) that is no jump, if the set tells
            (`doctor.jump_limits`).
    """
    try:
        episode = Episode.load(path)
    except (EpisodeError, FileNotFoundError) as error:
        is_open = not isinstance(error, OpenError | FileNotFoundError)
        return Findings(path, [_without_path(error, path)], is_open=is_open)
    problems = [*_jumps(episode, thresholds.max_speed, limits), *_rates(episode, thresholds)]
    repeats = {}
    for camera, frames in episode.images.items():
        try:
            repeats[camera], wrong = _check_frames(frames)
        except EpisodeError as error:
            problems.append(_without_path(error, path))
            continue
        bump = None if wrong else find_bump(frames, episode.fps, thresholds.max_bump)
        problems += [f"camera {camera!r}: {what}" for what in [*wrong, *([bump.text] if bump else [])]]
    problems += _frozen(episode, repeats, thresholds.frozen_steps)
    return Findings(path, problems, len(episode) * len(episode.images), episode.time is not None)


def _check_frames(frames: Images) -> tuple[np.ndarray, list[str]]:
    """Which frames repeat the one before, (T - 1,) bool; and what is wrong with the frames."""
    is_jpeg = isinstance(frames, JpegFrames)
    repeats, dark, resized = np.zeros(max(len(frames) - 1, 0), bool), [], []
    size, before = None, None
    for t in range(len(frames)):
        # decoding at an eighth of the size still reads every byte
        picture = frames.reduced(t, (1, 1)) if is_jpeg else frames[t]
        size = size or picture.shape
        if picture.shape != size:
            resized.append(t)
        if (picture if is_jpeg else picture[::4, ::4]).std() < DARK:
            dark.append(t)
        now = frames.encoded(t) if is_jpeg else picture
        if t:
            repeats[t - 1] = np.array_equal(now, before)
        before = now
    wrong = []
    if dark:
        wrong.append(f"{len(dark)} frames show nothing, the first at step {dark[0]}")
    if resized:
        wrong.append(f"{len(resized)} frames are not as large as the first, from step {resized[0]}")
    return repeats, wrong


def _frozen(episode: Episode, repeats: dict[str, np.ndarray], steps: int) -> list[str]:
    """Where a camera stands still though the arm moves.

    A real camera's noise never repeats. A simulated camera may see nothing of the arm: then pictures are
    missing only if all cameras stand still at once.
    """
    if episode.sim and repeats:
        repeats = {"all cameras": np.all(list(repeats.values()), axis=0)}
    moved = MOVED * _unit(episode)
    joints = _joints(episode, episode.qpos)
    problems = []
    for camera, is_repeat in repeats.items():
        edges = np.flatnonzero(np.diff(np.concatenate([[False], is_repeat, [False]]).astype(int)))
        for start, stop in edges.reshape(-1, 2):  # frames start to stop, both included, are alike
            travel = np.ptp(joints[start : stop + 1], axis=0).max()
            if stop - start + 1 >= steps and travel > moved:
                problems.append(f"{camera}: frozen at steps {start} to {stop}, while the arm moves")
    return problems


def _unit(episode: Episode) -> float:
    """One radian in the file's own unit."""
    largest = np.abs(_joints(episode, episode.qpos)).max(initial=0)
    return 180 / np.pi if largest > LARGEST_ANGLE else 1.0


def _joints(episode: Episode, rows: np.ndarray) -> np.ndarray:
    """A state or action (T, D) with its grippers at 0."""
    joints = rows.copy()
    joints[:, [i for i in gripper_columns(episode) if i < rows.shape[1]]] = 0
    return joints


def _jumps(episode: Episode, max_speed: float | None, usual: Mapping[str, np.ndarray] | None) -> list[str]:
    """Where a joint or its command moves further in a step than any arm can, or than is usual."""
    problems = []
    fastest = (max_speed or MAX_SPEED) * _unit(episode) / episode.fps
    for name in ("qpos", "action"):
        steps = np.abs(np.diff(_joints(episode, getattr(episode, name)), axis=0))
        limits = np.full(steps.shape[1], fastest)
        if usual is not None and max_speed is None and usual[name].shape == limits.shape:
            limits = usual[name]
        if (steps > limits).any():
            first, joint = np.argwhere(steps > limits)[0]
            count = int((steps > limits).any(axis=1).sum())
            problems.append(
                f"{name}: {count} jumps, the first of {steps[first, joint]:.2f} at step {first + 1}, entry "
                f"{joint} (limit {limits[joint]:.2f} a step)"
            )
    return problems


def _rates(episode: Episode, thresholds: Thresholds) -> list[str]:
    """Where a real arm fell behind its rate; empty for files without /time."""
    if episode.time is None or len(episode) < 2:
        return []
    problems, gaps = [], np.diff(episode.time) * episode.fps  # in steps
    if not gaps.any():
        return ["time: stands still; it is the same at all steps"]
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
    """Name and files of each kind of episodes; `by` is one of KINDS."""
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
            f"{path}: its case is unknown; only files of simulated tasks with cases, such as "
            "sim_mycobot320_choose_scripted, have one; put the episodes of each kind into a folder of its own"
        )
    case = case_of(task, episode.env_state)
    if case is None:
        raise EpisodeError(f"{path}: its props start where no case of {task.name} has them")
    return case
