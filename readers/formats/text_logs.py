"""Text logs of act-plus-plus_one: action and state of each step, as its model_runs.py prints them.

    3 action : [34.29, -19.85, -69.60, 81.19, -15.32, 8.44, 0.0003]
    3 qpos : [82.88, 53.17, -146.07, 84.72, 5.97, 3.69] 99 55

Source: sinyeong10/act-plus-plus_one, aloha_scripts/real_env.py. `qpos` are six angles in degrees, the gripper
as it was read, and as it was last commanded; a gripper that reads 255 could not be read. A state comes after
the action of its number, so the action of step t + 1 was chosen in the state of step t. Windows writes these
files in UTF-16. A log has no pictures: it tells what was done, not what was seen.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from episodes import EpisodeError
from readers.base import Reader, Recorded, Recording, Survey

FPS = 10  # of that project
UNREADABLE = 255  # what the arm replies for a gripper that it cannot read
MOST_BYTES = 64 << 20  # of a log
LOOKED_AT = 1 << 20  # bytes in which the first state must be
_NUMBERS = r"\[([^\[\]]{3,2000})\]"
_LINE = re.compile(rf"^\s*(\d{{1,9}}) +(action|qpos) *:? *{_NUMBERS}(.*)$")
_LATE = re.compile(r"step duration: ([\d.]+) s at step (\d+)")
_STATES_ONLY = re.compile(rf"^\s*{_NUMBERS}\s*$")


@dataclass
class Rollout:
    """The steps of one rollout in a log."""

    first: int  # number of its first state
    states: dict[int, list[float]] = field(default_factory=dict)
    actions: dict[int, list[float]] = field(default_factory=dict)
    late: dict[int, float] = field(default_factory=dict)  # duration (s) by step, from 0 on
    unread_grippers: int = 0

    def whole(self) -> list[int]:
        """Steps with an action and the state before it, as far as none is missing."""
        steps, step = [], self.first + 1
        while step in self.actions and step - 1 in self.states:
            steps.append(step)
            step += 1
        return steps


class TextLogs(Reader):
    """See the file."""

    name = "log"
    title = "text logs of act-plus-plus_one (action and qpos a step), or one state a line; no pictures"
    joint_unit = "deg"
    gripper_range = (0.0, 100.0)
    default_fps = FPS
    roles = {"state": (("qpos",),), "action": (("action",),), "time": (("time",),)}

    def recognises(self, path: Path) -> bool:
        return any(_is_log(file) for file in _files(path))

    def survey(self, path: Path, fps: int | None) -> Survey:
        recordings = [one for file in _files(path) if _is_log(file) for one in _looked_at(file)]
        if not recordings:
            raise ValueError(f"{path} has no text with a line such as: 0 qpos : [1.0, 2.0, ...] 70 70")
        notes = (f"{FPS} steps a second, as that project's",) if fps is None else ()
        return Survey(recordings, notes=notes)

    def read(self, recording: Recording, cameras: Sequence[str], fps: int) -> Recorded:
        text = _text(recording.path)
        if recording.key is None:
            rows = np.array(_states_alone(text))
            return Recorded({"qpos": rows}, facts={"sim": False})
        rollout = _rollouts(text)[recording.key]
        steps = rollout.whole()
        states = _table([rollout.states[step - 1] for step in steps], f"{recording.name}: qpos")
        actions = _table([rollout.actions[step] for step in steps], f"{recording.name}: action")
        durations = [max(rollout.late.get(step, 0.0), 1 / fps) for step in range(len(steps))]
        times = np.concatenate([[0.0], np.cumsum(durations)[:-1]])
        recorded = Recorded({"qpos": states, "action": actions, "time": times[:, None]}, facts={"sim": False})
        if rollout.late:
            recorded.notes.append("steps were late, as the log says; check tells by how much")
        if rollout.unread_grippers:
            recorded.notes.append("a gripper that could not be read (255) is at its last command")
        return recorded


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() in (".txt", ".log") else []
    return sorted(
        file for file in path.rglob("*") if file.suffix.lower() in (".txt", ".log") and file.is_file()
    )


def _text(file: Path, size: int = MOST_BYTES) -> str:
    """A text in UTF-16 (Windows), UTF-8, or, where bytes are neither, whatever they are."""
    with open(file, "rb") as stream:
        content = stream.read(size)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")


def _is_log(file: Path) -> bool:
    try:
        text = _text(file, LOOKED_AT)
    except OSError:
        return False
    lines = text.splitlines()
    kinds = {match[2] for line in lines if (match := _LINE.match(line))}
    return "qpos" in kinds or (
        len(lines) > 1 and all(_STATES_ONLY.match(line) for line in lines[:20] if line)
    )


def _rollouts(text: str) -> list[Rollout]:
    """The rollouts of a log: each begins with a state that no action led to. Some logs number on."""
    rollouts: list[Rollout] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            late = _LATE.search(line)
            if late and rollouts:
                rollouts[-1].late[int(late[2])] = float(late[1].rstrip(".") or 0)
            continue
        step, values = int(match[1]), _floats(match[3])
        is_state = match[2] == "qpos"
        if values is None or not (rollouts or is_state):
            continue
        if is_state and not (rollouts and step in rollouts[-1].actions and step not in rollouts[-1].states):
            rollouts.append(Rollout(step))
        if is_state:
            grippers = _floats(match[4].replace(" ", ","))
            rollouts[-1].unread_grippers += bool(grippers) and grippers[0] == UNREADABLE
            rollouts[-1].states[step] = [*values, *_gripper(grippers)]
        else:
            rollouts[-1].actions[step] = values
    return [rollout for rollout in rollouts if rollout.actions]


def _floats(text: str) -> list[float] | None:
    """Numbers between commas or spaces; None if one of them is none."""
    try:
        return [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        return None


def _gripper(values: list[float] | None) -> list[float]:
    """The gripper, of what was read and what was commanded; nothing if the line does not have it."""
    if not values:
        return []
    return values[-1:] if values[0] == UNREADABLE else values[:1]


def _table(rows: Sequence[Sequence[float]], what: str) -> np.ndarray:
    widths = {len(row) for row in rows}
    if len(widths) != 1:
        raise EpisodeError(f"{what} has rows of {sorted(widths)} numbers; all must have as many")
    return np.array(rows)


def _states_alone(text: str) -> list[list[float]]:
    matches = (_STATES_ONLY.match(line) for line in text.splitlines())
    rows = [_floats(match[1]) for match in matches if match]
    return [row for row in rows if row]


def _looked_at(file: Path) -> list[Recording]:
    """The rollouts of a log, and states alone."""
    text = _text(file)
    rollouts = _rollouts(text)
    if not rollouts:
        rows = _states_alone(text)
        columns = tuple(map(str, range(len(rows[0])))) if rows else ()
        return [Recording(file.name, file, None, len(rows), {"qpos": columns})]
    recordings = []
    for i, rollout in enumerate(rollouts):
        name = file.name if len(rollouts) == 1 else f"{file.name}:{i}"
        recordings.append(_of_rollout(name, file, i, rollout))
    return recordings


def _of_rollout(name: str, file: Path, i: int, rollout: Rollout) -> Recording:
    steps = rollout.whole()
    if not steps:
        return Recording(
            name, file, i, problem=EpisodeError(f"{name} has no step with a state and an action")
        )
    width = len(rollout.states[steps[0] - 1])
    state = (*(f"joint_{j}" for j in range(1, min(width, 6) + 1)), *(["gripper"] if width == 7 else []))
    if len(state) != width:
        state = tuple(map(str, range(width)))
    action = state if len(rollout.actions[steps[0]]) == width else None
    if action is None:
        action = tuple(map(str, range(len(rollout.actions[steps[0]]))))
    lost = max(len(rollout.actions), len(rollout.states) - 1) - len(steps)
    left_out = (f"{lost} steps behind the first that is missing",) if lost else ()
    numbers = {"qpos": state, "action": action, "time": ("0",)}
    return Recording(name, file, i, len(steps), numbers, (), left_out)
