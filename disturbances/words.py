"""The words of `--disturb`: one set of disturbances, or a sweep over axes and strengths."""

from __future__ import annotations

from collections.abc import Sequence

from common import choose
from disturbances import dynamics, links, pictures, scene, timing  # noqa: F401  (each registers its own)
from disturbances.registry import DISTURBANCES, GROUPS, LOOK, STRENGTHS, Applied

ALL = "all"
AXES = {  # by name; the groups in their order
    each.name: each for group in GROUPS for each in DISTURBANCES.values() if each.group == group
}
HELP = (
    "what disturbs the rollouts, each as NAME=STRENGTH, several together: "
    f"{', '.join(AXES)}; the strengths are {', '.join(STRENGTHS)}"
)
SWEEP_HELP = (
    f"; or a sweep, one after the other, with a table and a heat map: {ALL}, {', '.join(GROUPS)} or a NAME, "
    f"and =STRENGTH for that strength alone, e.g. {ALL}={STRENGTHS[1]}"
)
Cell = tuple[Applied, ...]  # what disturbs the rollouts of one evaluation


def is_sweep(words: Sequence[str] | None) -> bool:
    """Whether `--disturb` asks for several evaluations."""
    return bool(words) and any("=" not in word or _names(word)[0] in (ALL, *GROUPS) for word in words)


def read_set(words: Sequence[str] | None) -> Cell:
    """One set of disturbances, in the order of `AXES`; ValueError for the first that makes no sense."""
    pairs: dict[str, str] = {}
    for word in words or ():
        name, level = _names(word)
        choose("disturbance", name, AXES)
        if not level:
            raise ValueError(f"--disturb has {word!r}; it takes a strength too, e.g. {word}={STRENGTHS[1]}")
        if name in pairs:
            raise ValueError(f"--disturb has {name!r} twice; give it once")
        pairs[name] = level
    return tuple(Applied(each, pairs[name]) for name, each in AXES.items() if name in pairs)


def read_sweep(words: Sequence[str]) -> list[Cell]:
    """What a sweep evaluates: nothing first, then axes at their strengths; ValueError as for `read_set`."""
    levels: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, level = _names(word)
        choose("disturbance", name, (ALL, *GROUPS, *AXES))
        if level and name in AXES and len(words) > 1:
            raise ValueError(
                f"--disturb has {word!r} beside a sweep; give {name} without a strength, or single ones only"
            )
        for axis, each in AXES.items():
            if name not in (ALL, each.group, axis):
                continue
            if axis in levels:
                raise ValueError(f"--disturb has {axis!r} twice, by {word!r} too; give it once")
            levels[axis] = (level,) if level else STRENGTHS
    cells = [(Applied(each, level),) for axis, each in AXES.items() for level in levels.get(axis, ())]
    return [(), *cells]


def check_words(words: Sequence[str] | None, randomize: bool = False) -> None:
    """ValueError for the first word of `--disturb` that makes no sense, or, with `randomize`, that is part of
    what varies already.
    """
    cells = read_sweep(words) if is_sweep(words) else [read_set(words)]
    for each in (each for cell in cells for each in cell if each.kind == LOOK):
        if randomize:
            raise ValueError(f"--disturb has {each}, which --randomize varies too; give one of them")


def _names(word: str) -> tuple[str, str]:
    """Name and strength of a word; "" without a strength."""
    name, equals, level = word.partition("=")
    if equals:
        choose("strength", level, STRENGTHS)
    return name, level
