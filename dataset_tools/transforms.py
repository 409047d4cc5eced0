"""Episodes made of episodes: shortened, shifted, resampled, mirrored, compressed, masked.

Each function takes an episode, its images in memory, and returns a new one; what it is given stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from constants import TASKS
from episodes import (
    ARM_DIM,
    Episode,
    EpisodeError,
    Images,
    JpegFrames,
    decoded,
    entries,
    jpeg_quality,
)
from tasks import swapped

EVENTS = ("grasp", "release", "success", "reward")
MIN_TRAVEL = 0.05  # share of a gripper's way, in the units of the file, below which it rests
ACT_MIRROR = TASKS["sim_transfer_cube_scripted"].arms[0].mirror  # of ACT++'s arms
MIRROR_BASE = (1, -1)  # of a mobile base: it turns the other way (ACT++: postprocess_episodes.py)
MIRROR_TASK = "_mirror"  # ends the name of a mirrored task that `TASKS` does not know
MIRROR_POSE = (-1, 1, 1, 1, 1, -1, -1)  # of a pose, xyz and quaternion wxyz, at the plane x = 0


def gripper_columns(episode: Episode) -> list[int]:
    """Which entries of the state are grippers."""
    return [i for i, entry in enumerate(entries(episode)) if entry.is_gripper]


def event_step(episode: Episode, event: str, reward: float = 1) -> int:
    """The step at which something happens first.

    Args:
        episode: its grippers' commands, or its rewards, tell.
        event: `grasp`, a gripper has closed by half of its way; `release`, that gripper has opened again by
            half; `reward`, the reward is at least `reward`; `success`, it is the highest of the task.
        reward: see above.

    Raises:
        EpisodeError: it does not happen, or the episode does not tell.
    """
    if event in ("grasp", "release"):
        grippers = _grippers(episode)
        grasp, gripper = min((_closes(way), i) for i, way in enumerate(grippers))
        if grasp == len(episode):
            raise EpisodeError("no gripper closes")
        if event == "grasp":
            return grasp
        opened = _closes(-grippers[gripper][grasp:])
        if grasp + opened == len(episode):
            raise EpisodeError(f"the gripper that closes at step {grasp} does not open again")
        return grasp + opened
    if episode.reward is None:
        others = "; choose --event grasp or release" if gripper_columns(episode) else ""
        raise EpisodeError(f"no /reward, so when it succeeds is unknown{others}")
    task = TASKS.get(episode.task)
    wanted = reward
    if event == "success":
        wanted = task.max_reward if task and task.stages else episode.reward.max()
    reached = np.flatnonzero(episode.reward >= max(wanted, 1))
    if not len(reached):
        raise EpisodeError(f"its highest reward is {episode.reward.max():g}, not {max(wanted, 1):g}")
    return int(reached[0])


def _grippers(episode: Episode) -> list[np.ndarray]:
    """(T,) commands of each gripper, higher is more open; EpisodeError if there is none."""
    width = episode.action.shape[1]
    columns = [i for i in gripper_columns(episode) if i < width]
    if not columns:
        raise EpisodeError(f"an action has no gripper in its {width} entries; choose --event reward")
    return [episode.action[:, i] for i in columns]


def _closes(way: np.ndarray) -> int:
    """First step by which `way` (T,) has come down by half of what it covers at all; T if it rests."""
    travel = way.max() - way.min()
    if travel < MIN_TRAVEL:
        return len(way)
    down = np.maximum.accumulate(way) - way > travel / 2
    return int(down.argmax()) if down.any() else len(way)


def truncated(episode: Episode, steps: int) -> Episode:
    """Its first `steps` steps."""
    return episode.take(range(min(steps, len(episode))))


def part(episode: Episode, start: int, stop: int) -> Episode:
    """Its steps from `start` on, up to but without `stop`."""
    return episode.take(range(len(episode))[start:stop])


def shifted(episode: Episode, shift: int, steps: int) -> Episode:
    """The episode `shift` steps later, `steps` long: its first and last step stand still where it was not.

    What would come before the new first step (`shift` is negative) or after the last is cut off.
    """
    wanted = np.arange(steps) - shift
    there = wanted.clip(0, len(episode) - 1)
    is_added = wanted != there
    moved = replace(episode.take(there.tolist()), hesitate=0)  # how late it begins is no longer by chance
    if not is_added.any():
        return moved
    still = {n: _zeroed(getattr(moved, n), is_added) for n in ("qvel", "base_action")}
    return replace(moved, **still, time=None)


def _zeroed(rows: np.ndarray | None, where: np.ndarray) -> np.ndarray | None:
    return None if rows is None else np.where(where[:, None], 0, rows)


def resampled(episode: Episode, fps: int) -> Episode:
    """The episode at another rate: states in between are interpolated, images and rewards those seen last.

    An action is what the arm is to reach by the end of its step, so that each new step takes the command that
    is in force when it ends: a slower episode does not lag behind, a faster one moves evenly.
    """
    ratio = episode.fps / fps
    steps = max(1, int(np.floor((len(episode) - 1) / ratio + 1e-9)) + 1)
    at = np.arange(steps) * ratio  # in steps of the old episode
    seen = np.floor(at + 1e-9).astype(int)
    new = episode.take(seen.tolist())
    between = {n: _interpolated(getattr(episode, n), at) for n in ("qpos", "qvel")}
    ends = at + ratio - 1
    between |= {n: _interpolated(getattr(episode, n), ends) for n in ("action", "base_action")}
    return replace(new, **between, fps=fps, time=None, hesitate=round(episode.hesitate / ratio))


def _interpolated(rows: np.ndarray | None, at: np.ndarray) -> np.ndarray | None:
    """(n, D) at the steps `at` (n,); the first and last row go on for ever."""
    if rows is None:
        return None
    steps = np.arange(len(rows))
    return np.stack([np.interp(at, steps, column) for column in rows.T], axis=1).astype(np.float32)


def mirrored(episode: Episode, signs: Sequence[int] | None = None) -> Episode:
    """What the episode would have looked like in a mirror (ACT++: postprocess_episodes.py).

    With two arms, they exchange their states and cameras, and the task is its mirrored one (or back); the
    mirror is the plane x = 0. With one arm, all names stay: the mirror is the arm's own plane of symmetry.

    Args:
        episode: of one or two arms.
        signs: of each entry of an arm's state; the task's own (two arms only) if not given, or ACT++'s.

    Raises:
        EpisodeError: no signs are known for its arms, or they do not fit.
    """
    dim = episode.qpos.shape[1]
    signs = _mirror_signs(episode) if signs is None else np.array(signs, np.float32)
    arms = dim / len(signs)
    if arms not in (1, 2) or episode.action.shape[1] != dim:
        raise EpisodeError(
            f"the state has {dim} entries, an action {episode.action.shape[1]}, an arm {len(signs)} signs; "
            "both must be of one or two such arms"
        )

    def turned(rows: np.ndarray | None) -> np.ndarray | None:  # (T, D)
        if rows is None:
            return None
        return (rows.reshape(len(rows), -1, len(signs))[:, ::-1] * signs).reshape(rows.shape)

    images = {camera: changed(frames, _flipped) for camera, frames in episode.images.items()}
    start, task = None, episode.task
    if arms == 2:
        images = {swapped(camera): frames for camera, frames in images.items()}
        if episode.env_state is not None:
            start = (episode.env_state.reshape(-1, 7) * MIRROR_POSE).ravel()
        if task:
            task = mirror_task(task)
    base = episode.base_action
    return replace(
        episode,
        **{name: turned(getattr(episode, name)) for name in ("qpos", "qvel", "action")},
        base_action=None if base is None else base * np.array(MIRROR_BASE, np.float32),
        images=images,
        env_state=start,
        task=task,
    )


def mirror_task(name: str) -> str:
    """Name of the task that an episode of the task of that name is one of in a mirror."""
    task = TASKS.get(name)
    if task and task.mirror:
        return task.mirror
    return name.removesuffix(MIRROR_TASK) if name.endswith(MIRROR_TASK) else name + MIRROR_TASK


def _mirror_signs(episode: Episode) -> np.ndarray:
    dim = episode.qpos.shape[1]
    task = TASKS.get(episode.task) or TASKS.get(mirror_task(episode.task))
    if dim == 2 * ARM_DIM and (not task or all(arm.mirror for arm in task.arms)):
        return np.array(task.arms[0].mirror if task else ACT_MIRROR, np.float32)
    lopsided = [arm.model for arm in (task.arms if task and task.dim == dim else ()) if not arm.mirror]
    if lopsided:
        raise EpisodeError(f"no {lopsided[0]} could do what its mirror image does: it is not symmetric")
    raise EpisodeError(
        "one arm, not two that swap their parts; if every camera looks along its plane of symmetry, say "
        f"which entries of the state change their sign, e.g. --signs {' '.join(map(str, ACT_MIRROR))}"
    )


def _flipped(image: np.ndarray) -> np.ndarray:
    return image[:, ::-1]


def changed(frames: Images, change: Callable[[np.ndarray], np.ndarray]) -> Images:
    """Frames of which each has been changed; JPEGs are encoded again at the quality they had."""
    if isinstance(frames, JpegFrames):
        quality = jpeg_quality(frames.encoded(0), f"{frames.name}: frame 0")
        return encoded((change(frame) for frame in frames), quality, frames.name)
    return np.stack([change(frame) for frame in frames])


def encoded(frames: Sequence[np.ndarray], quality: int, name: str) -> JpegFrames:
    """Frames (H, W, 3) uint8 RGB as JPEGs."""
    jpegs = JpegFrames(quality, name)
    for frame in frames:
        jpegs.append(frame)
    return jpegs


def compressed(episode: Episode, quality: int) -> Episode:
    """With raw images as JPEGs; those that are JPEGs stay as they are."""
    images = {
        camera: frames if isinstance(frames, JpegFrames) else encoded(frames, quality, f"camera {camera!r}")
        for camera, frames in episode.images.items()
    }
    return replace(episode, images=images)


def decompressed(episode: Episode) -> Episode:
    """With raw images, as ACT's own scripts read them."""
    images = {camera: decoded(frames, f"camera {camera!r}") for camera, frames in episode.images.items()}
    return replace(episode, images=images)


def masked(episode: Episode, masks: Mapping[str, Sequence[Callable[[np.ndarray], np.ndarray]]]) -> Episode:
    """With each frame of the cameras in `masks` changed by what is given for it, one after the other."""

    def all_of(changes: Sequence[Callable[[np.ndarray], np.ndarray]], frame: np.ndarray) -> np.ndarray:
        for change in changes:
            frame = change(frame)
        return frame

    seen = {
        camera: changed(frames, partial(all_of, masks[camera])) if camera in masks else frames
        for camera, frames in episode.images.items()
    }
    return replace(episode, images=seen)


def recolored(episode: Episode) -> Episode:
    """With red and blue exchanged in every frame."""
    images = {camera: changed(frames, _swapped_colors) for camera, frames in episode.images.items()}
    return replace(episode, images=images)


def _swapped_colors(image: np.ndarray) -> np.ndarray:
    return image[..., ::-1]


def relabelled(episode: Episode, success: str | None, task: str | None, fps: int | None) -> Episode:
    """With other attributes; None: as they are.

    Args:
        episode: the episode.
        success: `true`, `false`, `unknown` or, as its rewards tell, `reward`.
        task: its name.
        fps: steps a second.

    Raises:
        EpisodeError: the rewards do not tell.
    """
    known = {"true": True, "false": False, "unknown": None}
    renamed = replace(episode, task=episode.task if task is None else task, fps=fps or episode.fps)
    if success is None:
        return renamed
    return replace(renamed, success=known[success] if success in known else judged(renamed))


def judged(episode: Episode) -> bool:
    """Whether its rewards reach the highest of its task; EpisodeError if that cannot be told."""
    task = TASKS.get(episode.task)
    if episode.reward is None or task is None or not task.stages:
        lacks = "no /reward" if episode.reward is None else f"no simulated task (it names {episode.task!r})"
        raise EpisodeError(f"{lacks}, so whether it succeeded is unknown; give --success true or false")
    return bool(episode.reward.max() == task.max_reward)
