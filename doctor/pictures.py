"""Symptoms of what cameras showed, by a few small pictures of each episode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import cv2
import numpy as np

from cameras import PlacementLimits, Reference, judge_placement
from common import command_line
from doctor.survey import OVER_EXPOSED, WHITE, Examined, Survey, Usual
from doctor.symptoms import LEAVE_OUT, PICTURES, WITHOUT_THEM, Sign, symptom

BETTER = 0.5  # of two correlations: by so much another place must fit better, for cameras that were swapped
FLIPPED = 0.3  # of one
VARIES = 25.0  # grey levels between the pictures of an episode
STANDS = 0.5  # share of the picture that varies less, of a camera that stands
FOCUS = 0.65  # of the usual sharpness: an edge of a pixel of 640 is some 4 wide
SMOOTH, STRONGEST = 0.8, 99  # pixels; percentile of a picture's edges
MORE_EXPOSED = 0.2  # share of it by which one is whiter than usual
COARSE, FEW_COLORS, DRAWN = 32, 5, 0.75  # grey levels; so many colours are that share of what is not white
ALIKE = 0.5  # correlation with the usual picture, below which one shows another place
STEP = 3  # pixels (of 320) beside its place at which a picture is tried
FAR_BETTER = 0.5  # of the difference there: it is in its place
LIKE_MOST = 0.8  # the same, of most episodes, if there is a usual picture at all


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures of any shape; 0 if one of them is even."""
    first, second = (picture.astype(float).ravel() - picture.mean() for picture in (one, other))
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / size) if size > 0 else 0.0


def _better(changed: np.ndarray, picture: np.ndarray, usual: np.ndarray) -> float:
    """How much more a changed picture is like the usual one."""
    return _likeness(changed, usual) - _likeness(picture, usual)


@symptom(
    "dead_camera",
    PICTURES,
    "the policy learns not to look at it",
    "look at its cable and its lens; " + WITHOUT_THEM,
)
def dead_camera(survey: Survey) -> Iterator[Sign]:
    """A camera shows nothing, or the same picture throughout an episode."""
    for camera in sorted({camera for one in survey.every for camera in one.cameras}):
        seen = [one for one in survey.every if camera in one.cameras]
        dark = [one for one in seen if one.cameras[camera].is_dead]
        frozen = [one for one in seen if one not in dark and _is_frozen(one, camera)]
        for found, words in ((dark, "shows nothing"), (frozen, "shows the same picture all the time")):
            if found:
                yield Sign(words, found, camera)


def _is_frozen(one: Examined, camera: str) -> bool:
    """A real camera's noise never repeats; a simulated one may see nothing that moves."""
    pictures = one.cameras[camera].pictures
    is_moving = bool(np.ptp(one.states, axis=0).max(initial=0) > 0)
    return not one.episode.sim and is_moving and len(pictures) > 1 and bool((pictures == pictures[0]).all())


@symptom(
    "swapped_cameras",
    PICTURES,
    "the policy sees one camera's view as the other's",
    LEAVE_OUT,
)
def swapped_cameras(survey: Survey) -> Iterator[Sign]:
    """Two cameras have each other's view in some episodes."""
    for pair in combinations(survey.usual, 2):
        places = [each.picture for each in pair]
        found = []
        for one in pair[0].seen:
            if one not in pair[1].seen:
                continue
            views = [each.sample(one).first for each in pair]
            own = sum(_likeness(view, place) for view, place in zip(views, places, strict=True))
            exchanged = sum(_likeness(view, place) for view, place in zip(views, places[::-1], strict=True))
            if exchanged > own + BETTER:
                found.append(one)
        if found:
            said = f"has the view of {pair[1].camera!r}, and the other way round"
            yield Sign(said, found, pair[0].camera)


@symptom(
    "mirrored_picture",
    PICTURES,
    "left and right are exchanged, so the policy reaches to the wrong side",
    "set the camera's own mirroring off; " + WITHOUT_THEM,
)
def mirrored_picture(survey: Survey) -> Iterator[Sign]:
    """A camera's picture is mirrored in some episodes."""
    for usual in survey.usual:
        firsts = {one: usual.sample(one).first for one in usual.seen}
        found = [
            one
            for one, picture in firsts.items()
            if _better(picture[:, ::-1], picture, usual.picture) > FLIPPED
        ]
        if found:
            yield Sign("is mirrored", found, usual.camera)


def _tints(picture: np.ndarray) -> np.ndarray:
    """How colours differ from grey."""
    return picture - picture.mean(axis=2, keepdims=True)


@symptom(
    "exchanged_colors",
    PICTURES,
    "the policy does not know objects by their colour again",
    command_line("edit_episodes.py recolor --dataset_dir {folder} --output_dir NEW --episodes {episodes}"),
)
def exchanged_colors(survey: Survey) -> Iterator[Sign]:
    """Red and blue are exchanged in some episodes."""
    for usual in survey.usual:
        tints = {one: _tints(usual.sample(one).first) for one in usual.seen}
        usual_tints = _tints(usual.picture)
        found = [one for one, each in tints.items() if _better(each[..., ::-1], each, usual_tints) > BETTER]
        if found:
            yield Sign("has red and blue exchanged", found, usual.camera)


@symptom(
    "moved_camera",
    PICTURES,
    "the policy takes what is at one place for another, by as much as the camera moved",
    command_line("edit_episodes.py split")
    + f" puts the episodes from before and after it apart; or {LEAVE_OUT}",
)
def moved_camera(survey: Survey) -> Iterator[Sign]:
    """A camera that stands still within episodes stood elsewhere in some of them."""
    for usual in filter(_stands, survey.usual):
        alike = {one: _likeness(usual.sample(one).first, usual.picture) for one in usual.seen}
        best = usual.sample(max(alike, key=lambda one: alike[one])).fine
        reference = Reference(_grey3(best), np.ones(best.shape, bool))
        is_usual = float(np.median(list(alike.values()))) > LIKE_MOST
        found, shifts = [], []
        for one in usual.seen:
            picture = usual.sample(one).fine
            if _is_in_place(picture, best):
                continue
            there = judge_placement(usual.camera, reference, _grey3(picture), PlacementLimits())
            is_elsewhere = is_usual and alike[one] < ALIKE and not _is_explained(one, usual, survey)
            if there.is_moved and (there.displacement.is_believed or is_elsewhere):
                found.append(one)
                shifts += [there.displacement.distance] if there.displacement.is_believed else []
        if found:
            width = reference.picture.shape[1]
            far = f", by {np.median(shifts) * 640 / width:.0f} px of 640" if shifts else ""
            said = f"stands elsewhere in {len(found)} of {len(usual.seen)} episodes{far}"
            yield Sign(said, found, usual.camera)


def _is_in_place(picture: np.ndarray, reference: np.ndarray) -> bool:
    """Whether a picture (h, w) fits the reference far better as it is than a little beside: then it stands.

    It is quicker than looking how far it is off, and true of nearly all.
    """
    inner = picture[STEP:-STEP, STEP:-STEP]
    height, width = inner.shape
    misfits = {
        (y, x): float(cv2.absdiff(inner, reference[y : y + height, x : x + width]).mean())
        for y, x in ((STEP, STEP), (0, STEP), (2 * STEP, STEP), (STEP, 0), (STEP, 2 * STEP))
    }
    there = misfits.pop((STEP, STEP))
    return there < FAR_BETTER * min(misfits.values())


def _is_explained(one: Examined, usual: Usual, survey: Survey) -> bool:
    """Whether a picture is another camera's, or a mirror image."""
    picture = usual.sample(one).first
    fits = [_likeness(picture, other.picture) for other in survey.usual if other is not usual]
    fits.append(_likeness(picture[:, ::-1], usual.picture))
    return max(fits) > _likeness(picture, usual.picture) + FLIPPED


def _stands(usual: Usual) -> bool:
    """Whether most of the picture stays as it is within episodes."""
    shares = [(np.ptp(usual.sample(one).grey, axis=0) < VARIES).mean() for one in usual.seen]
    return float(np.median(shares)) > STANDS


def _grey3(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) of a grey picture (h, w)."""
    return np.repeat(picture[:, :, None], 3, axis=2)


@symptom(
    "out_of_focus",
    PICTURES,
    "the policy does not see edges where it learned them",
    "fix the focus (autofocus off), wipe the lens; " + WITHOUT_THEM,
)
def out_of_focus(survey: Survey) -> Iterator[Sign]:
    """A camera is less sharp in some episodes than in the rest."""
    for usual in survey.usual:
        sharpness = {one: _sharpness(usual.sample(one).fine) for one in usual.seen}
        least = FOCUS * float(np.median(list(sharpness.values())))
        found = [one for one, value in sharpness.items() if value < least]
        if found:
            yield Sign("is out of focus", found, usual.camera)


def _sharpness(picture: np.ndarray) -> float:
    """How steep the strongest edges are, of the picture's contrast; smoothed, as noise is no edge."""
    grey = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), SMOOTH)
    contrast = float(grey.std())
    slopes = cv2.magnitude(*(cv2.Sobel(grey, cv2.CV_32F, x, 1 - x) for x in (1, 0)))
    return float(np.percentile(slopes, STRONGEST)) / contrast if contrast > 0 else 0.0


@symptom(
    "over_exposed",
    PICTURES,
    "nothing is seen where the picture is white",
    "lower the camera's exposure (and fix it) or the light; " + WITHOUT_THEM,
)
def over_exposed(survey: Survey) -> Iterator[Sign]:
    """Much of a camera's picture is white: always, or more than in the rest."""
    for camera in survey.cameras:
        seen = survey.seen_by(camera)
        white = {one: one.cameras[camera].white for one in seen}
        usual = float(np.median(list(white.values()) or [0.0]))
        if usual > OVER_EXPOSED and _are_drawn([one.cameras[camera].pictures[0] for one in seen]):
            continue
        found = [one for one, share in white.items() if share > min(OVER_EXPOSED, usual + MORE_EXPOSED)]
        if found:
            most = max(white[one] for one in found)
            yield Sign(f"is over-exposed, up to {most:.0%} of its picture", found, camera)


def _are_drawn(pictures: Sequence[np.ndarray]) -> bool:
    """Whether most pictures (h, w, 3) uint8 are drawings on white ground, not a camera's: of few colours."""
    shares = []
    for picture in pictures:
        colors = picture[picture.min(axis=2) < WHITE] // COARSE @ np.array([1, 256, 65536])
        counts = np.sort(np.unique(colors, return_counts=True)[1])
        shares.append(counts[-FEW_COLORS:].sum() / max(1, len(colors)))
    return float(np.median(shares)) > DRAWN
