"""Whether the cameras stand where they stood: a dataset's, a checkpoint's or the arm file's references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cameras import Placement, PlacementLimits, Reference, dataset_references, judge_placement
from episodes import list_episodes
from mycobot_scripts.checks.camera_checks import take_still
from mycobot_scripts.checks.findings import Finding
from mycobot_scripts.robot import ArmFile, Camera, arm_references


def find_references(source: str | Path) -> dict[str, Reference]:
    """References by camera.

    Args:
        source: a folder of episodes, a run's folder, a checkpoint, or an arm's file.

    Raises:
        FileNotFoundError: there is no such thing.
        ValueError: it has no references, or is damaged; one line.
    """
    from evaluation import checkpoint_references
    from policies import run_checkpoint

    path = Path(source)
    if path.suffix == ".json":
        return _some(arm_references(ArmFile.load(path), path), path, "check_arm.py --calibrate takes them")
    checkpoint = run_checkpoint(path) if path.is_dir() else path
    if path.is_dir() and not checkpoint.is_file():
        references, missing = dataset_references(list_episodes(path))
        why = "; ".join(f"camera {name}: {reason}" for name, reason in missing.items())
        return _some(references, path, why or "its episodes have no cameras")
    why = "it was trained before there were any, or on pictures that differ; compare with its dataset"
    return _some(checkpoint_references(checkpoint), checkpoint, why)


def _some(references: dict[str, Reference], path: Path, why: str) -> dict[str, Reference]:
    if not references:
        raise ValueError(f"{path} has no reference pictures: {why}")
    return references


def check_placements(
    cameras: Mapping[str, Camera], references: Mapping[str, Reference], limits: PlacementLimits
) -> Iterator[Finding]:
    """Each camera against its reference, the arm standing where episodes begin."""
    for name, reference in references.items():
        if name not in cameras:
            continue  # connecting it has failed, which is a finding
        picture = take_still(cameras[name])
        try:
            placement = judge_placement(name, reference, picture, limits)
        except ValueError as error:
            yield Finding(f"{name}: place", "bad", str(error), "record and run with pictures of one size")
            continue
        yield _finding(placement)


def _finding(placement: Placement) -> Finding:
    is_good = placement.displacement.is_believed and not placement.is_moved
    advice = placement.advice or "put something with texture, that stays, into the picture"
    level = "ok" if is_good else "bad"
    return Finding(f"{placement.camera}: place", level, placement.text, "" if is_good else advice)
