"""What to record next, as a part of a report and as a page of its own: map, list, picture, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from episodes import Episode, EpisodeError, frame_size
from tasks import write_starts
from viewers.coverage.analysis import (
    START,
    Attempt,
    Coverage,
    Region,
    ShownStart,
    read_coverage,
    run_coverage,
)
from viewers.coverage.maps import Starts, legend, mapped_props, numbered, start_map
from viewers.coverage.picture import picture_of, sees
from viewers.pages import Html, element, joined, write_page
from viewers.report_layout import section, soft, table
from viewers.run_folder import RunFolder

COVERAGE, STARTS = "coverage.html", "next_starts.json"
MOST_FAILURES = 12  # that are listed
TITLE = "What to record next"
NOTE = (
    "Where objects stood when episodes began, seen from above. The numbers are the places to put them next: "
    "far from what was shown, first where the policy fails or is off."
)


def write_coverage(folder: Path, output: Path | None = None) -> Path:
    """Write the page of a run or a folder of episodes, and the next starts as a file beside it
    (`tasks.write_starts`); returns the page's path.

    Errors are those of `read_coverage`.
    """
    coverage = read_coverage(folder)
    return write_next(coverage, coverage.next_starts(), output or folder / COVERAGE)


def write_next(coverage: Coverage, new: Sequence[tuple[int, np.ndarray]], output: Path) -> Path:
    """As `write_coverage`, of what was read, with these cases and starts to record next."""
    output.parent.mkdir(parents=True, exist_ok=True)
    names = [prop.name for prop in coverage.spaces[0].props]
    if new:  # else all always start at the same place
        write_starts(output.with_name(STARTS), coverage.task, names, [start for _, start in new])
    title = f"{TITLE}: {coverage.source.resolve().name}"
    write_page(output, "report", title=title, body=coverage_body(coverage, numbered(new)))
    return output


def next_places(run: RunFolder) -> Html:
    """The part of a run's report; a line if it cannot be made, nothing for what was not trained here."""
    if "task_name" not in run.flags:
        return Html()
    try:
        coverage = run_coverage(run)
        new = coverage.next_starts()
    except (ValueError, OSError, RuntimeError, KeyError, TypeError) as error:
        return section(TITLE, soft(f"No map: {str(error).splitlines()[0]}."))
    return section(TITLE, coverage_body(coverage, numbered(new)))


def coverage_body(coverage: Coverage, new: Starts) -> Html:
    """Maps with their legends, pictures, the list of starts, failures, held-out errors, shares."""
    parts: list[Html] = [soft(NOTE), *(soft(f"Note: {note}.") for note in coverage.notes)]
    for case, space in enumerate(coverage.spaces):
        props = mapped_props(space)
        if not props:
            parts.append(soft(f"{space.label or 'All objects'}: always at the same place, or nearly so."))
            continue
        if space.label:
            parts.append(element("h3", space.label))
        maps = [
            element(
                "figure",
                element("figcaption", space.props[prop].name),
                start_map(coverage, case, prop, new),
                legend(coverage, case, new) if prop == props[0] else None,
                class_="chart",
            )
            for prop in props
        ]
        parts.append(element("div", *maps, _picture(coverage, case, new), class_="charts maps"))
    parts += [_list(coverage, new), _failures(coverage), _errors(coverage), _shares(coverage, new)]
    return joined(parts)


def place_words(coverage: Coverage, case: int, start: np.ndarray) -> str:
    """Where each object of a start is to be put, for people."""
    space = coverage.spaces[case]
    words = []
    for prop, pose in zip(space.props, start.reshape(-1, 7), strict=True):
        axes = [axis for axis in space.axes if space.props[axis.prop] is prop]
        if not axes:
            continue
        turn = np.degrees(2 * np.arctan2(pose[6], pose[3]))
        turned = f", turned by {turn:.0f} degrees" if any(axis.entry == 3 for axis in axes) else ""
        words.append(f"{prop.name} at x {pose[0]:.3f}, y {pose[1]:.3f} m{turned}")
    label = f" ({space.label})" if space.label else ""
    return f"{'; '.join(words)}{label}"


def nearest_words(coverage: Coverage, case: int, start: np.ndarray) -> str:
    """Which episode began most alike, and which way it is from there, for people."""
    space, same = coverage.spaces[case], [each for each in coverage.shown if each.case == case]
    if not same:
        return "nothing like it was shown"
    starts = np.array([each.start for each in same])
    distances = space.distances(space.coordinates(start[None]), space.coordinates(starts))[0]
    nearest = int(distances.argmin())
    first = 7 * (space.ground or 0)
    dx, dy = 1000 * (start - starts[nearest])[first : first + 2]
    return f"{same[nearest].path.stem} is nearest: from there {dx:+.0f} mm along x, {dy:+.0f} mm along y"


def _list(coverage: Coverage, new: Starts) -> Html:
    rows = [
        [number, place_words(coverage, case, start), nearest_words(coverage, case, start)]
        for number, case, start in new
    ]
    title = f"The next {len(rows)} places"
    return joined([element("h3", title), table(["", "put", "as in"], rows)]) if rows else Html()


# --- the picture


def _picture(coverage: Coverage, case: int, new: Starts) -> Html:
    """Where the numbers are in a camera's picture, or a line that says why there is none."""
    if coverage.task is None or coverage.task.scene is None:
        return soft("No picture: only of a task with a scene it is known where the camera stands.")
    shown = sorted((each for each in coverage.shown if each.case == case), key=lambda each: not each.is_plain)
    if not shown:
        return soft("No picture: no episode of this case was recorded.")
    try:
        episode = Episode.load(shown[0].path, in_memory=False)
        found = _seen(coverage, case, episode)
        if found is None:
            return soft("No picture: no camera that stands still sees all places.")
        camera, matrix = found
        image = episode.images[camera][0] if shown[0].is_plain else _drawn(coverage, shown[0], camera)
        picture = picture_of(image, matrix, coverage.spaces[case], new, case)
    except (EpisodeError, OSError, ImportError, RuntimeError) as error:
        return soft(f"No picture: {str(error).splitlines()[0]}.")
    own = "" if shown[0].is_plain else ", drawn as the scene looks by itself"
    caption = element("figcaption", f"{camera}, as {shown[0].path.stem} begins{own}")
    note = "A cross: the middle of the object. Arrows: 50 mm along x and y."
    return element("figure", caption, picture, soft(note), class_="chart")


def _seen(coverage: Coverage, case: int, episode: Episode) -> tuple[str, np.ndarray] | None:
    """The first camera that stands still and sees all places, and its matrix (3, 4)."""
    from tasks import still_cameras  # needs MuJoCo, which a machine that only trains may lack

    names = [name for name in coverage.task.cameras if name in episode.images]
    for camera in [*names, *(name for name in episode.images if name not in names)]:
        height, width = frame_size(episode.images[camera])
        matrix = still_cameras(coverage.task, (height, width)).get(camera)
        if matrix is not None and sees(matrix, coverage.spaces[case], (height, width)):
            return camera, matrix
    return None


def _drawn(coverage: Coverage, shown: ShownStart, camera: str) -> np.ndarray:
    """What a camera sees of a start in the scene's own look, in which it stands where the task says."""
    from sim_env import make_sim_env  # opens OpenGL

    size = frame_size(Episode.load(shown.path, (camera,), in_memory=False).images[camera])
    env = make_sim_env(coverage.task, image_size=size)
    try:
        return env.reset(env_state=shown.start).observation["images"][camera]
    finally:
        env.close()


# --- failures, errors, shares


def _failures(coverage: Coverage) -> Html:
    """How far failures were from what was shown."""
    failed = sorted((each for each in coverage.attempts if each.failed), key=lambda each: -each.distance)
    if not coverage.attempts:
        return soft("Nothing was tried yet: after an evaluation, the places where it failed count more.")
    words = f"{len(failed)} of {len(coverage.attempts)} starts failed at least once"
    good = [each for each in coverage.attempts if not each.failed]
    if failed and good:
        medians = [1000 * np.median([each.distance for each in some]) for some in (failed, good)]
        words += "; from there to the nearest demonstration it is {:.0f} mm (median), from others {:.0f} mm"
        words = words.format(*medians)
    rows = [
        [each.tried.name, place_words(coverage, each.case, each.tried.start), *_nearest(each)]
        for each in failed[:MOST_FAILURES]
    ]
    more = f" The {MOST_FAILURES} furthest ones:" if len(failed) > MOST_FAILURES else ""
    listed = table(["attempt", "from", "nearest demonstration", "distance"], rows) if rows else Html()
    return joined([element("h3", "Failures"), element("p", f"{words}.{more}"), listed])


def _nearest(attempt: Attempt) -> list[str]:
    if attempt.nearest is None:
        return ["none of its case", ""]
    return [attempt.nearest.path.stem, f"{1000 * attempt.distance:.0f} mm"]


def _errors(coverage: Coverage) -> Html:
    """The policy's error by place and phase."""
    held_out = sorted(coverage.held_out, key=lambda each: -each.errors[START])
    if not held_out:
        return Html()
    rows = [
        [
            each.path.stem,
            place_words(coverage, each.case, each.start),
            *(f"{e:.2f}" for e in each.errors.values()),
        ]
        for each in held_out
    ]
    phases = list(held_out[0].errors)
    means = [np.mean([each.errors[phase] for each in held_out]) for phase in phases]
    rows.append(["mean", "", *(f"{mean:.2f}" for mean in means)])
    note = soft(
        "How far the joints of the first chunk are from the demonstration's, in degrees, where it begins in "
        "each phase. A large error at the start says that the policy does not see where the object is."
    )
    head = ["validation episode", "from", *phases]
    return joined([element("h3", "Held-out error"), note, table(head, rows)])


def _shares(coverage: Coverage, new: Starts) -> Html:
    """What the new episodes do to the others' share of the training samples."""
    regions = coverage.regions([(case, start) for _, case, start in new])
    if not coverage.trained or len(regions) < 2:
        return Html()
    n = len(coverage.trained)
    words = (
        "Regions of the first object's area, and their share of the samples from the beginning of an episode"
    )
    words += f" ({coverage.early})" if coverage.early else ""
    less = f"{100 * len(new) / (n + len(new)):.0f} %"
    remedy = (
        f"With as many steps as before, every other place is trained on {less} less often: train "
        f"{1 + len(new) / n:.2g} times as many."
    )
    rows = [_region_row(coverage, region) for region in regions]
    thin = [region for region in regions if region.warning]
    warning = f"{len(thin)} of {len(rows)} regions would be left thin. {remedy}" if thin else remedy
    head = ["region, x and y (m)", "shown", "share", "with the new ones", "even", "failed", ""]
    return joined(
        [
            element("h3", "Shares"),
            soft(f"{words}."),
            element("p", warning, class_="problem" if thin else None),
            table(head, rows),
        ]
    )


def _region_row(coverage: Coverage, region: Region) -> Sequence[object]:
    space = coverage.spaces[region.case]
    bounds = ", ".join(f"{low:.3f} to {high:.3f}" for low, high in space.region_bounds(region.number))
    label = f"{space.label}: " if space.label else ""
    failed = f"{region.failed} of {region.attempts}" if region.attempts else "-"
    shares = [f"{100 * share:.1f} %" for share in (region.share, region.share_after, region.even)]
    warning = element("span", region.warning, class_="problem") if region.warning else ""
    return [f"{label}{bounds}", region.shown, *shares, failed, warning]
