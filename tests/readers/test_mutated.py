"""Recordings with a few bytes changed: each comes in, or is refused in one line that leaves nothing."""

import contextlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_import import EXAMPLES, make
from wild_lerobot import WILD, table_of, write_table

from episodes.errors import EpisodeError
from readers import ImportFlags, bring_in

KINDS = ("flip", "cut", "zeros", "twice")
VALUES = (None, -1, 0, 1e30, 10**12, "x", "../../x", [], {}, [[1]], True, "{a}", "9" * 400, "é\n")
SETS = [*EXAMPLES, *WILD]


def mutate(source: Path, seed: str) -> None:
    """Change a file of a set."""
    rng = random.Random(seed)
    below = [] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    files = [path for path in below if path.stat().st_size] or [source]
    path = rng.choice(files)
    content = bytearray(path.read_bytes())
    place, length = rng.randrange(len(content)), rng.randrange(1, len(content) // 10 + 2)
    kind = rng.choice(KINDS)
    if kind == "flip":
        for _ in range(rng.choice((1, 5, 50))):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del content[place:]
    elif kind == "zeros":
        content[place : place + length] = bytes(len(content[place : place + length]))
    else:
        content[place:place] = content[place : place + length]
    path.write_bytes(content)


def mutate_values(source: Path, seed: str) -> None:
    """Change a value in the meta data of a LeRobot set, or a column of a table."""
    rng = random.Random(seed)
    files = sorted(path for path in source.rglob("*") if path.suffix in (".json", ".jsonl", ".parquet"))
    path = rng.choice([path for path in files if path.stat().st_size])
    if path.suffix == ".parquet":
        columns = table_of(path)
        name, value = rng.choice(list(columns)), rng.choice(VALUES)
        kept = columns.pop(name)
        if rng.random() < 0.6:
            t = rng.randrange(len(kept))
            several = [value] * len(kept) if rng.random() < 0.5 else [*kept[:t], value, *kept[t + 1 :]]
            with contextlib.suppress(ValueError, TypeError, OverflowError, NotImplementedError):
                return write_table(path, {**columns, name: several})  # a table may hold it
        return write_table(path, columns)
    texts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    line = rng.randrange(len(texts))
    content = json.loads(texts[line])
    place = content
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key, owner = rng.choice(keys), place
        place = owner[key]
        if rng.random() < 0.4:
            break
    owner[key] = rng.choice(VALUES)
    texts[line] = json.dumps(content)
    path.write_text("\n".join(texts))


def check(name: str, seeds: range, folder: Path, mutate: Callable[[Path, str], None] = mutate) -> None:
    if name in WILD:
        original, flags = folder / "original/set", {**WILD[name].flags, "skip_damaged": True}
        WILD[name].make(original)
    else:
        original, _ = make(name, folder / "original")
        flags = {"skip_damaged": True, "fps": 10 if name == "zarr" else None}
    for seed in seeds:
        room = folder / str(seed)
        room.mkdir()
        source = room / original.name
        (shutil.copytree if original.is_dir() else shutil.copy)(original, source)
        mutate(source, f"{name} {seed}")
        try:
            bring_in(ImportFlags(source=str(source), output_dir=str(room / "out"), num_workers=1, **flags))
        except (ValueError, OSError) as error:
            assert isinstance(error, EpisodeError | ValueError | FileNotFoundError)
            assert len(str(error)) < 1000 and "\n" not in str(error)
            assert [path.name for path in room.iterdir()] == [source.name]
        else:
            assert sorted(path.name for path in room.iterdir()) == sorted([source.name, "out"])


@pytest.mark.parametrize("name", [name for name in WILD if name != "bare"])
def test_ten_values(tmp_path, name):
    check(name, range(10), tmp_path, mutate_values)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WILD if name != "bare"])
def test_thirty_values(tmp_path, name):
    check(name, range(10, 40), tmp_path, mutate_values)


@pytest.mark.parametrize("name", SETS)
def test_ten_mutations(tmp_path, name):
    check(name, range(10), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_thirty_mutations(tmp_path, name):
    check(name, range(10, 40), tmp_path)
