"""Transforms of an episode: shortened, shifted, led, resampled, mirrored, compressed, masked.

Each function takes an episode with its images in memory and returns a new one; it never changes the old one.
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
MIN_TRAVEL = 0.05  # a gripper whose command varies by less rests (1 is from closed to open)
ACT_MIRROR = TASKS["sim_transfer_cube_scripted"].arms[0].mirror  # of ACT++'s arms
MIRROR_BASE = (1, -1)  # of a mobile base: it turns the other way (ACT++: postprocess_episodes.py)
MIRROR_TASK = "_mirror"  # ends the name of a mirrored task that is not in `TASKS`
MIRROR_POSE = (-1, 1, 1, 1, 1, -1, -1)  # of a pose (xyz, quaternion wxyz) mirrored at the plane x = 0


def gripper_columns(episode: Episode) -> list[int]:
    """Indices of the state's entries that are grippers."""
    return [i for i, entry in enumerate(entries(episode)) if entry.is_gripper]


def event_step(episode: Episode, event: str, reward: float = 1) -> int:
    """The first step at which an event happens.

    Args:
        episode: the episode; its grippers' commands or its rewards show the event.
        event: `grasp`, a gripper has closed by half of its travel; `release`, that gripper has opened by half
            again; `reward`, the reward is at least `reward`; `success`, it is the task's highest.
        reward: see above.

    Raises:
        EpisodeError: the event does not happen, or the episode does not show it.
    """
    if event in ("grasp", "release"):
        grippers = _grippers(episode)
        grasp, gripper = min((_closes(commands), i) for i, commands in enumerate(grippers))
        if grasp == len(episode):
            raise EpisodeError("no gripper closes")
        if event == "grasp":
            return grasp
        opened = _closes(-grippers[gripper][grasp:])
        if grasp + opened == len(episode):
            raise EpisodeError(f"the gripper that closes at step {grasp} does not open again")
        return grasp + opened
    if episode.reward is None:
        hint = "; choose --event grasp or release" if gripper_columns(episode) else ""
        raise EpisodeError(f"no /reward, so when it succeeds is unknown{hint}")
    task = TASKS.get(episode.task)
    if event == "success":
        reward = task.max_reward if task and task.stages else episode.reward.max()
    least = max(reward, 1)
    reached = np.flatnonzero(episode.reward >= least)
    if not len(reached):
        raise EpisodeError(f"its highest reward is {episode.reward.max():g}, not {least:g}")
    return int(reached[0])


def _grippers(episode: Episode) -> list[np.ndarray]:
    """Commands (T,) of each gripper, higher is more open; EpisodeError if there is no gripper."""
    width = episode.action.shape[1]
    columns = [i for i in gripper_columns(episode) if i < width]
    if not columns:
        raise EpisodeError(f"an action has no gripper in its {width} entries; choose --event reward")
    return [episode.action[:, i] for i in columns]


def _closes(commands: np.ndarray) -> int:
    """First step at which `commands` (T,) have dropped by half of their range; T if the gripper rests."""
    travel = commands.max() - commands.min()
    if travel < MIN_TRAVEL:
        return len(commands)
    down = np.maximum.accumulate(commands) - commands > travel / 2
    return int(down.argmax()) if down.any() else len(commands)


def truncated(episode: Episode, steps: int) -> Episode:
    """The episode's first `steps` steps."""
    return episode.take(range(min(steps, len(episode))))


def part(episode: Episode, start: int, stop: int) -> Episode:
    """The episode's steps from `start` up to, but without, `stop`."""
    return episode.take(range(len(episode))[start:stop])


def shifted(episode: Episode, shift: int, steps: int) -> Episode:
    """The episode `shift` steps later, cut or filled to `steps` steps.

    Added steps repeat its first or last step, standing still. A negative `shift` cuts steps off at the start.
    """
    wanted = np.arange(steps) - shift
    taken = wanted.clip(0, len(episode) - 1)
    is_added = wanted != taken
    moved = replace(episode.take(taken.tolist()), hesitate=0)  # its late begin is no longer by chance
    if not is_added.any():
        return moved
    still = {n: _zeroed(getattr(moved, n), is_added) for n in ("qvel", "base_action")}
    return replace(moved, **still, time=None)


def _zeroed(rows: np.ndarray | None, where: np.ndarray) -> np.ndarray | None:
    return None if rows is None else np.where(where[:, None], 0, rows)


def led(episode: Episode, steps: int, by_states: bool = False) -> Episode:
    """The episode with each action taken from `steps` steps later; the last (or first) one is repeated.

    Args:
        episode: the episode.
        steps: how much earlier a command comes; later if negative.
        by_states: take the state of the next step in place of the recorded action.

    Raises:
        EpisodeError: it has no more steps than that, or a state has not the entries of an action.
    """
    if abs(steps) >= len(episode):
        raise EpisodeError(f"--steps is {steps}; it has {len(episode)} steps, and no command would be left")
    if by_states and episode.qpos.shape != episode.action.shape:
        raise EpisodeError(
            f"a state has {episode.qpos.shape[1]} entries, an action {episode.action.shape[1]}; "
            "--action next_state needs the same"
        )
    last = len(episode) - 1
    taken = (np.arange(len(episode)) + steps).clip(0, last)
    base = None if episode.base_action is None else episode.base_action[taken]
    if by_states:
        return replace(episode, action=episode.qpos[(taken + 1).clip(0, last)], base_action=base)
    return replace(episode, action=episode.action[taken], base_action=base)


def resampled(episode: Episode, fps: int) -> Episode:
    """The episode at another rate: states are interpolated, images and rewards are the latest.

    An action is what the arm should reach by the end of its step. So each new step takes the command that
    holds at its end: a slower episode does not lag behind, a faster one moves evenly.
    """
    ratio = episode.fps / fps
    steps = max(1, int(np.floor((len(episode) - 1) / ratio + 1e-9)) + 1)
    at = np.arange(steps) * ratio  # in steps of the old episode
    latest = np.floor(at + 1e-9).astype(int)
    new = episode.take(latest.tolist())
    between = {n: _interpolated(getattr(episode, n), at) for n in ("qpos", "qvel")}
    ends = at + ratio - 1
    between |= {n: _interpolated(getattr(episode, n), ends) for n in ("action", "base_action")}
    return replace(new, **between, fps=fps, time=None, hesitate=round(episode.hesitate / ratio))


def _interpolated(rows: np.ndarray | None, at: np.ndarray) -> np.ndarray | None:
    """Rows (n, D) at the steps `at` (n,); beyond the ends, the first and last row."""
    if rows is None:
        return None
    steps = np.arange(len(rows))
    return np.stack([np.interp(at, steps, column) for column in rows.T], axis=1).astype(np.float32)


def mirrored(episode: Episode, signs: Sequence[int] | None = None) -> Episode:
    """The episode's mirror image (ACT++: postprocess_episodes.py).

    The mirror of two arms is the plane x = 0: they exchange their states and cameras, and the task becomes
    its mirrored one (or back). The mirror of one arm is its own plane of symmetry, and all names stay.

    Args:
        episode: of one or two arms.
        signs: of each entry of an arm's state; if not given (two arms only), the task's own, or ACT++'s.

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

    def reflected(rows: np.ndarray | None) -> np.ndarray | None:  # (T, D)
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
        **{name: reflected(getattr(episode, name)) for name in ("qpos", "qvel", "action")},
        base_action=None if base is None else base * np.array(MIRROR_BASE, np.float32),
        images=images,
        env_state=start,
        task=task,
    )


def mirror_task(name: str) -> str:
    """Name of the task that an episode of the task `name` belongs to when it is mirrored."""
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
    """The frames, each changed; JPEGs are encoded again at the quality they had."""
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
    """The episode with its raw images as JPEGs; JPEGs stay as they are."""
    images = {
        camera: frames if isinstance(frames, JpegFrames) else encoded(frames, quality, f"camera {camera!r}")
        for camera, frames in episode.images.items()
    }
    return replace(episode, images=images)


def decompressed(episode: Episode) -> Episode:
    """The episode with raw images, as ACT's own scripts read them."""
    images = {camera: decoded(frames, f"camera {camera!r}") for camera, frames in episode.images.items()}
    return replace(episode, images=images)


def masked(episode: Episode, masks: Mapping[str, Sequence[Callable[[np.ndarray], np.ndarray]]]) -> Episode:
    """The episode; each camera's masks change its frames one after the other."""

    def apply(changes: Sequence[Callable[[np.ndarray], np.ndarray]], frame: np.ndarray) -> np.ndarray:
        for change in changes:
            frame = change(frame)
        return frame

    images = {
        camera: changed(frames, partial(apply, masks[camera])) if camera in masks else frames
        for camera, frames in episode.images.items()
    }
    return replace(episode, images=images)


def recolored(episode: Episode) -> Episode:
    """The episode with red and blue exchanged in every frame."""
    images = {camera: changed(frames, _swapped_colors) for camera, frames in episode.images.items()}
    return replace(episode, images=images)


def _swapped_colors(image: np.ndarray) -> np.ndarray:
    return image[..., ::-1]


def relabelled(episode: Episode, success: str | None, task: str | None, fps: int | None) -> Episode:
    """The episode with other attributes; None leaves one as it is.

    Args:
        episode: the episode.
        success: `true`, `false`, `unknown`, or `reward`: whether its rewards reach the highest.
        task: its name.
        fps: steps a second.

    Raises:
        EpisodeError: success cannot be read from the rewards.
    """
    verdicts = {"true": True, "false": False, "unknown": None}
    renamed = replace(episode, task=episode.task if task is None else task, fps=fps or episode.fps)
    if success is None:
        return renamed
    return replace(renamed, success=verdicts[success] if success in verdicts else judged(renamed))


def judged(episode: Episode) -> bool:
    """Whether the rewards reach the task's highest; EpisodeError if that is unknown."""
    task = TASKS.get(episode.task)
    if episode.reward is None or task is None or not task.stages:
        lacks = "no /reward" if episode.reward is None else f"no simulated task (it names {episode.task!r})"
        if episode.reward is not None and task is not None:
            lacks = f"{task.name} has no stages"
        raise EpisodeError(f"{lacks}, so whether it succeeded is unknown; give --success true or false")
    return bool(episode.reward.max() == task.max_reward)
