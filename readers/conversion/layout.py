"""Which arrays of a recording become the state, the action and so on, and what its cameras are called."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common import did_you_mean
from episodes import is_plain, listed
from readers.base import ROLES, Reader, Recording
from readers.conversion.flags import ImportFlags

USUAL = {  # names that people give to states and actions, for a proposal
    "state": ("state", "states", "qpos", "joint_positions", "positions", "joints"),
    "action": ("action", "actions", "command", "commands", "target", "targets", "goal_positions"),
}
NEAR = 0.6  # likeness of names, from 0 to 1, from which one is proposed
Part = tuple[str, tuple[int, ...]]  # an array, and which of its columns


@dataclass(frozen=True)
class Layout:
    """What becomes of the arrays and cameras of a recording."""

    roles: Mapping[str, tuple[Part, ...]]
    cameras: Mapping[str, str]  # our name by theirs
    unused: tuple[str, ...]  # arrays that nothing is made of

    def rows(self, role: str, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        """(T, D): the columns of a role, side by side."""
        return np.concatenate([numbers[name][:, columns] for name, columns in self.roles[role]], axis=1)

    def names(self, role: str, recording: Recording) -> list[str]:
        """Names of a role's columns."""
        parts = self.roles[role]
        return [_column_name(recording, name, i, len(parts)) for name, columns in parts for i in columns]

    def entries(self, recording: Recording) -> dict[str, list[str]]:
        """Names of the entries of state and action: where one has mere numbers, as many as the other has
        names, these are its names, too.
        """
        names = {role: self.names(role, recording) for role in ("state", "action") if role in self.roles}
        bare = {role: all(one.rpartition(".")[2].isdecimal() for one in each) for role, each in names.items()}
        for role, other in (("state", "action"), ("action", "state")):
            if len(names) == 2 and bare[role] and not bare[other] and len(names[role]) == len(names[other]):
                names[role] = names[other]
        return names

    def text(self, recording: Recording) -> str:
        """State and action in words."""
        parts = []
        for role in ("state", "action"):
            arrays = [
                name if len(columns) == len(recording.numbers[name]) else f"{name} (some columns)"
                for name, columns in self.roles.get(role, ())
            ]
            width = sum(len(columns) for _, columns in self.roles.get(role, ()))
            parts.append(f"{role}: {' + '.join(arrays)} ({width})" if arrays else f"{role}: the next state")
        return ", ".join(parts)


def _column_name(recording: Recording, name: str, column: int, parts: int) -> str:
    label = recording.numbers[name][column]
    return f"{name}.{label}" if label.isdecimal() and parts > 1 else label


def lay_out(recording: Recording, reader: Reader, flags: ImportFlags) -> Layout:
    """The layout of a recording, by the reader's rules and the user's flags.

    Raises:
        ValueError: it has no state or no action, or a name of the user's is not there.
    """
    renamed = dict(flags.rename or {})
    for name in renamed:
        if name not in recording.numbers and name not in recording.cameras:
            there = [*recording.numbers, *recording.cameras]
            raise ValueError(
                f"--rename has {name!r}; {did_you_mean(name, there)}{recording.name} has {listed(there)}"
            )
    roles: dict[str, tuple[Part, ...]] = {}
    for role in ROLES:
        columns = {"state": flags.state_columns, "action": flags.action_columns}.get(role)
        parts = _asked(recording, role, columns) if columns else _usual(recording, reader, role, renamed)
        if parts:
            roles[role] = parts
    needed = ["state"] if flags.action == "next_state" else ["state", "action"]
    if missing := [role for role in needed if role not in roles]:
        taken = {name for parts in roles.values() for name, _ in parts}
        why = f"; left out: {'; '.join(recording.left_out)}" if recording.left_out else ""
        raise ValueError(_missing(recording, missing, taken) + why)
    used = {name for parts in roles.values() for name, _ in parts}
    unused = tuple(
        f"{name} ({len(columns)})" for name, columns in recording.numbers.items() if name not in used
    )
    return Layout(roles, _cameras(recording, renamed, flags.no_images), unused)


def _asked(recording: Recording, role: str, words: Sequence[str]) -> tuple[Part, ...]:
    """The columns that the user named: whole arrays, or `array.column`."""
    parts = []
    for word in words:
        if word in recording.numbers:
            parts.append((word, tuple(range(len(recording.numbers[word])))))
            continue
        owner = next(
            (
                name
                for name, columns in recording.numbers.items()
                if word.startswith(f"{name}.") and word.removeprefix(f"{name}.") in columns
            ),
            None,
        )
        if owner is None:
            there = [f"{name} ({len(columns)})" for name, columns in recording.numbers.items()]
            raise ValueError(
                f"--{role}_columns has {word!r}; {did_you_mean(word, recording.numbers)}{recording.name} has "
                f"{listed(there) or 'no numbers'}; a column of one is ARRAY.NAME or ARRAY.NUMBER"
            )
        parts.append((owner, (recording.numbers[owner].index(word.removeprefix(f"{owner}.")),)))
    return tuple(parts)


def _usual(recording: Recording, reader: Reader, role: str, renamed: Mapping[str, str]) -> tuple[Part, ...]:
    """The arrays that the user or the reader gives a role; none if they are not there."""
    own = tuple(name for name, ours in renamed.items() if ours == role and name in recording.numbers)
    for names in (own,) if own else reader.roles.get(role, ()):
        if all(name in recording.numbers for name in names):
            return tuple((name, tuple(range(len(recording.numbers[name])))) for name in names)
    return ()


def _missing(recording: Recording, roles: Sequence[str], taken: Collection[str]) -> str:
    """What to say of a recording without a state or an action: which arrays they could be."""
    there = {name: len(columns) for name, columns in recording.numbers.items()}
    text = listed(f"{name} ({width})" for name, width in there.items()) or "no numbers"
    start = f"{recording.name} has no {' and no '.join(roles)}, but {text}"
    proposals: dict[str, str] = {}
    for role in roles:
        likeness = {n: _likeness(n, role) for n in there if n not in taken and n not in proposals}
        near = max(likeness, key=likeness.__getitem__, default=None)
        if near is not None and likeness[near] >= NEAR:
            proposals[near] = role
    if len(proposals) == len(roles):
        flags = " ".join(f"{name}={role}" for name, role in proposals.items())
        are = "is it" if len(roles) == 1 else "are they"
        return f"{start}; if {' and '.join(proposals)} {are}: --rename {flags}"
    if roles[0] == "action":
        return (
            f"{start}; --action_columns says which it is, and --action next_state takes the next state for it"
        )
    return f"{start}; {' and '.join(f'--{role}_columns' for role in roles)} can say which it is"


def _likeness(name: str, role: str) -> float:
    """How much an array's name is like those that people give to a role, 0 to 1."""
    last = re.split(r"[/.]", name.lower())[-1]
    return max(difflib.SequenceMatcher(None, last, usual).ratio() for usual in USUAL[role])


def _cameras(recording: Recording, renamed: Mapping[str, str], no_images: bool) -> dict[str, str]:
    cameras = {} if no_images else {name: renamed.get(name, name) for name in recording.cameras}
    if len(set(cameras.values())) < len(cameras):
        names = ", ".join(f"{theirs} -> {ours}" for theirs, ours in cameras.items())
        raise ValueError(f"two cameras would have one name: {names}; --rename gives each its own")
    for name, ours in renamed.items():
        if name in cameras and not is_plain(ours):
            raise ValueError(f"--rename gives a camera the name {ours!r}; it must be plain, without '/'")
    return cameras
