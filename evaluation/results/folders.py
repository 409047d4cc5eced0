"""The folders of evaluations: each has one of its own, so that none erases another.

    <run>/evaluations/<checkpoint>_<settings>/result_<checkpoint>.json, .txt, rollout_0.mp4, ...
    <run>/result_<checkpoint>.json, .txt          a copy of the newest

Earlier versions wrote only the latter, and the next evaluation over it. Such a file is read, and moved to the
others before a copy takes its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from common import complete_file, hold_briefly, replace_file
from evaluation.results.outcomes import Summary
from evaluation.settings import Settings

FOLDER = "evaluations"
ARM = "arm"  # in the folder of a policy's training: the folder of its runs on an arm
KEPT_IN = "kept_in"  # in a copy: the folder of the original, relative to the copy's
DIGITS = 8  # of a version
BLOCK = 2**20  # bytes


def content_version(checkpoints: Sequence[Path]) -> str:
    """A short hash of what checkpoints hold; it changes when one is trained anew."""
    digest = hashlib.blake2b(digest_size=DIGITS // 2)
    for path in checkpoints:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def open_evaluation(run: Path, settings: Settings) -> Iterator[Path]:
    """A new folder for an evaluation, for this process alone; removed if no result is written to it.

    In the end, what `outcomes.write_summary` wrote to it is copied to the run's folder.
    """
    folder = _new_folder(run / FOLDER, settings.name())
    try:
        yield folder
    finally:
        results = list(folder.glob("result_*.json"))
        if not results:
            shutil.rmtree(folder)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()  # where this was the first
        for result in results:
            _copy_to_run(result, run)


def _new_folder(parent: Path, name: str) -> Path:
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1


def _copy_to_run(result: Path, run: Path) -> None:
    """Copy JSON and text of a result to the run's folder; what an earlier version left there is kept."""
    copy = run / result.name
    with hold_briefly(copy):
        _write_copy(result, copy, run)


def _write_copy(result: Path, copy: Path, run: Path) -> None:
    if copy.is_file() and not _is_copy(copy):
        folder = _new_folder(run / FOLDER, f"earlier_{copy.stem}")
        for path in (copy.with_suffix(".txt"), copy):
            if path.is_file():
                replace_file(path, folder / path.name)
    content = json.loads(result.read_text(encoding="utf-8"))
    content[KEPT_IN] = result.parent.relative_to(run).as_posix()
    with complete_file(copy.with_suffix(".txt")) as part:
        shutil.copyfile(result.with_suffix(".txt"), part)
    with complete_file(copy) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _is_copy(path: Path) -> bool:
    """Whether a result's own folder holds it too."""
    try:
        kept_in = json.loads(path.read_text(encoding="utf-8")).get(KEPT_IN)
    except (ValueError, AttributeError, RecursionError):
        return False
    return isinstance(kept_in, str) and (path.parent / kept_in / path.name).is_file()


def list_results(run: Path) -> list[Path]:
    """JSON files of all evaluations of a run, the newest first."""
    kept = (run / FOLDER).glob("*/result_*.json")
    earlier = (path for path in run.glob("result_*.json") if path.is_file() and not _is_copy(path))
    return sorted([*kept, *earlier], key=lambda path: path.stat().st_mtime_ns, reverse=True)


def read_result(path: Path) -> Summary:
    """The summary of an evaluation; ValueError if the file holds none."""
    try:
        return Summary.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
