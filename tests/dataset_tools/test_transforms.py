"""Episodes made of episodes: what each change does to states, images and attributes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from constants import TASKS, get_task
from dataset_tools.transforms import (
    changed,
    compressed,
    decompressed,
    event_step,
    gripper_columns,
    led,
    masked,
    mirrored,
    part,
    relabelled,
    resampled,
    shifted,
    truncated,
)
from ee_sim_env import make_ee_sim_env
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.frames import JpegFrames
from episodes.jpegs import jpeg_quality, jpeg_size
from evaluation.demonstrations import run_episode, run_script
from evaluation.episode_loop import follow
from sim_env import make_sim_env

T, D = 12, 14
H, W = 48, 64
TRANSFER = "sim_transfer_cube_scripted"
TOLERANCE = 12  # grey levels, of a JPEG


def picture(t, camera=0):
    """A picture that tells its step and camera, is not symmetric, and is smooth, so that JPEG keeps it."""
    y, x = np.mgrid[:H, :W]
    return np.stack([3 * x, 4 * y, np.full_like(x, 20 * t + camera)], axis=2).astype(np.uint8)


def make_episode(steps=T, dim=D, cameras=("left_wrist", "right_wrist", "top"), jpeg=True, **values):
    rng = np.random.default_rng(0)
    images = {}
    for i, camera in enumerate(cameras):
        frames = np.stack([picture(t, 3 * i) for t in range(steps)])
        images[camera] = frames
        if jpeg:
            images[camera] = JpegFrames(95)
            for frame in frames:
                images[camera].append(frame)
    rows = rng.normal(size=(3, steps, dim)).astype(np.float32)
    given = {
        "reward": np.minimum(np.arange(steps), 4).astype(np.float32),
        "env_state": np.array([0.1, 0.5, 0.05, 0.6, 0.0, 0.8, 0.0]),
        "task": TRANSFER,
        "success": True,
    }
    return Episode(rows[0], rows[1], images, qvel=rows[2], **{**given, **values})


def assert_same(one, other, but=()):
    for name in vars(one):
        if name in but:
            continue
        a, b = getattr(one, name), getattr(other, name)
        if name == "images":
            assert sorted(a) == sorted(b)
            for camera in a:
                for left, right in zip(a[camera], b[camera], strict=True):
                    assert np.abs(left.astype(int) - right).max() <= TOLERANCE, camera
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=name)
        else:
            assert a == b, name


def step_of(frame):
    return round((int(frame[..., 2].mean()) - 3) / 20)


def test_parts_take_everything_along():
    episode = make_episode(time=np.arange(T) / 50 + 7, base_action=np.ones((T, 2)))
    first, rest = truncated(episode, 5), part(episode, 5, 40)
    assert len(first) == 5 and len(rest) == T - 5 and truncated(episode, 99).action.shape == (T, D)
    for name in ("qpos", "qvel", "action", "reward", "base_action"):
        whole = np.concatenate([getattr(first, name), getattr(rest, name)])
        np.testing.assert_array_equal(whole, getattr(episode, name))
    assert first.time[0] == rest.time[0] == 0 and np.isclose(rest.time[1], 1 / 50, atol=1e-5)
    assert [step_of(frame) for frame in rest.images["top"]] == list(range(5, T))
    assert all(
        np.array_equal(rest.images["top"].encoded(t), episode.images["top"].encoded(t + 5)) for t in range(3)
    )
    assert first.env_state is episode.env_state and rest.env_state is None, "where props are then is unknown"
    assert len(episode) == T
    raw = part(decompressed(episode), 2, 4)
    assert raw.images["top"].shape == (2, H, W, 3)
    raw.check()


@pytest.mark.parametrize("raw", [False, True])
def test_mirror_twice_is_nothing(raw):
    episode = make_episode(jpeg=not raw, base_action=np.arange(2 * T).reshape(T, 2) / 7)
    mirror = mirrored(episode)
    assert mirror.task == f"{TRANSFER}_mirror" and mirror.task in TASKS
    assert isinstance(mirror.images["top"], np.ndarray) == raw
    back = mirrored(mirror)
    assert_same(back, episode)
    mirror.check()


def test_a_mirror_image_is_as_in_act_plus_plus():
    """postprocess_episodes.py, restated."""
    episode = make_episode(jpeg=False, base_action=np.ones((T, 2)))
    mirror = mirrored(episode)
    signs = np.array([-1, 1, 1, -1, 1, -1, 1], np.float32)
    for name in ("qpos", "qvel", "action"):
        old = getattr(episode, name)
        swapped = np.concatenate([old[:, 7:] * signs, old[:, :7] * signs], axis=1)
        np.testing.assert_array_equal(getattr(mirror, name), swapped)
    np.testing.assert_array_equal(mirror.base_action, episode.base_action * [1, -1])
    flipped = {camera: frames[:, :, ::-1] for camera, frames in episode.images.items()}
    np.testing.assert_array_equal(mirror.images["top"], flipped["top"])
    np.testing.assert_array_equal(mirror.images["left_wrist"], flipped["right_wrist"])
    np.testing.assert_array_equal(mirror.images["right_wrist"], flipped["left_wrist"])


def test_a_mirrored_pose():
    pose = mirrored(make_episode()).env_state
    # turned by 106 degrees about y; in the mirror, the other way
    np.testing.assert_allclose(pose, [-0.1, 0.5, 0.05, 0.6, 0, -0.8, 0])


@pytest.mark.parametrize("name", [TRANSFER, "sim_insertion_scripted"])
def test_a_mirrored_episode_replays_to_the_same_reward(name):
    driven = make_ee_sim_env(get_task(name))
    episode = run_script(driven, get_task(name), np.random.default_rng(3))
    driven.close()
    mirror = mirrored(episode)
    task = get_task(mirror.task)
    env = make_sim_env(task)
    replayed = run_episode(env, task, env.reset(env_state=mirror.env_state), follow(mirror.action))
    env.close()
    assert task.name.endswith("_mirror") and episode.reward.max() == 4
    assert replayed.reward.max() == 4 and replayed.success
    # not to the step: what is symmetric to a person is not to the solver of contacts
    assert abs(event_step(replayed, "success") - event_step(mirror, "success")) <= 3
    joints = np.abs(replayed.qpos - mirror.qpos)[:100, :6].max()
    assert joints < 0.02, "rad, as long as nothing is touched"


def test_one_arm_has_a_mirror_image_only_if_told():
    one = make_episode(dim=7, task="", cameras=("right_wrist", "top"))
    for task in ("", "sim_move_cube_scripted"):
        with pytest.raises(EpisodeError, match="one arm, .*--signs -1 1 1 -1 1 -1 1"):
            mirrored(replace(one, task=task))
    with pytest.raises(EpisodeError, match="no mycobot320 could do what its mirror image does"):
        mirrored(replace(one, task="sim_mycobot320_choose_scripted"))
    signs = (-1, 1, 1, -1, 1, -1, 1)
    mirror = mirrored(one, signs)
    np.testing.assert_array_equal(mirror.qpos, one.qpos * np.array(signs, np.float32))
    assert sorted(mirror.images) == ["right_wrist", "top"] and mirror.env_state is None and mirror.task == ""
    with pytest.raises(EpisodeError, match="the state has 7 entries, .* an arm 6 signs"):
        mirrored(one, signs[:6])


def gripper_way(*points):
    """An action of 14 entries whose right gripper goes through the points (step, opening)."""
    action = np.zeros((60, 14), np.float32)
    steps, openings = zip(*points, strict=True)
    action[:, 13] = np.interp(np.arange(60), steps, openings)
    return action


def test_events():
    way = gripper_way((0, 0.1), (10, 1), (20, 1), (30, 0), (40, 0), (50, 0.8))
    reward = np.zeros(60)
    reward[25:], reward[33:] = 1, 4
    episode = Episode(way, way, reward=reward, task=TRANSFER)
    assert event_step(episode, "grasp") == 26, "half of its way is down"
    assert event_step(episode, "release") == 46
    assert event_step(episode, "reward") == 25 and event_step(episode, "reward", 2) == 33
    assert event_step(episode, "success") == 33
    two = way.copy()
    two[:, 6] = np.interp(np.arange(60), (0, 5, 9), (1, 1, 0))
    other = replace(episode, action=two)
    assert event_step(other, "grasp") == 8, "the first of both"
    with pytest.raises(EpisodeError, match="the gripper that closes at step 8 does not open again"):
        event_step(other, "release")
    degrees = replace(episode, action=100 * way, qpos=100 * way, task="")
    assert event_step(degrees, "grasp") == 26


def test_events_that_do_not_happen():
    still = Episode(np.zeros((9, 14)), np.zeros((9, 14)), task=TRANSFER)
    with pytest.raises(EpisodeError, match="no gripper closes"):
        event_step(still, "grasp")
    with pytest.raises(EpisodeError, match="no /reward"):
        event_step(still, "success")
    for event, needed in (("success", 4), ("reward", 1)):
        with pytest.raises(EpisodeError, match=f"its highest reward is 0, not {needed}"):
            event_step(replace(still, reward=np.zeros(9)), event)


def test_grippers_are_known_by_task_or_by_order():
    assert gripper_columns(make_episode()) == [6, 13]
    assert gripper_columns(make_episode(dim=7, task="")) == [6]


def test_commands_from_later_steps():
    episode = make_episode(base_action=np.arange(2.0 * T, dtype=np.float32).reshape(T, 2))
    early = led(episode, 3)
    early.check()
    np.testing.assert_array_equal(early.action, episode.action[[*range(3, T), T - 1, T - 1, T - 1]])
    np.testing.assert_array_equal(early.base_action[:-3], episode.base_action[3:])
    np.testing.assert_array_equal(early.qpos, episode.qpos)
    np.testing.assert_array_equal(led(episode, -2).action, episode.action[[0, 0, *range(T - 2)]])
    copied = led(episode, 0, by_states=True)
    np.testing.assert_array_equal(copied.action, episode.qpos[[*range(1, T), T - 1]])
    np.testing.assert_array_equal(copied.base_action, episode.base_action)
    wider = replace(episode, action=np.hstack([episode.action, episode.action]))
    with pytest.raises(EpisodeError, match="a state has 14 entries, an action 28"):
        led(wider, 1, by_states=True)


@pytest.mark.parametrize(("shift", "steps"), [(4, 20), (-4, 5), (0, T), (3, 8)])
def test_shifting(shift, steps):
    episode = make_episode(base_action=np.ones((T, 2)), time=np.arange(T) / 50, hesitate=6)
    moved = shifted(episode, shift, steps)
    moved.check()
    assert len(moved) == steps and moved.hesitate == 0
    for t in range(steps):
        old = t - shift
        there = min(max(old, 0), T - 1)
        np.testing.assert_array_equal(moved.qpos[t], episode.qpos[there])
        np.testing.assert_array_equal(moved.action[t], episode.action[there])
        assert step_of(moved.images["top"][t]) == there
        is_still = old != there
        assert (moved.qvel[t] == 0).all() == (moved.base_action[t] == 0).all() == is_still
    is_padded = shift > 0 or steps - shift > T
    assert (moved.time is None) == is_padded
    assert (moved.env_state is None) == (shift < 0), "props are where they started only from the first step"


def test_resampling_keeps_the_motion():
    t = np.arange(101) / 50  # 2 s
    way = np.stack([np.sin(t), t, t**2], axis=1)
    episode = Episode(way, way, qvel=np.ones_like(way), reward=np.floor(t), fps=50, hesitate=60)
    slow = resampled(episode, 10)
    assert slow.fps == 10 and len(slow) == 21 and slow.hesitate == 12
    np.testing.assert_allclose(slow.qpos, way[::5], atol=1e-6)
    np.testing.assert_allclose(slow.action[:-1], way[4::5], atol=1e-6)  # in force as each step ends
    np.testing.assert_array_equal(slow.reward, np.floor(t)[::5])
    fast = resampled(episode, 100)
    assert fast.fps == 100 and len(fast) == 201
    np.testing.assert_allclose(fast.qpos[::2], way, atol=1e-6)
    np.testing.assert_allclose(fast.qpos[1::2], (way[1:] + way[:-1]) / 2, atol=1e-6)
    np.testing.assert_allclose(fast.action[1::2], way[:-1], atol=1e-6)
    odd = resampled(episode, 30)
    assert np.isclose(len(odd) / 30, 2, atol=0.05) and np.allclose(odd.qpos[:, 1], np.arange(len(odd)) / 30)
    assert_same(resampled(episode, 50), episode)


def test_resampling_shows_the_last_picture_seen():
    frames = resampled(make_episode(fps=50), 20).images["top"]
    assert [step_of(frame) for frame in frames] == [0, 2, 5, 7, 10]


def test_compression_and_back():
    raw = make_episode(jpeg=False)
    small = compressed(raw, 80)
    assert isinstance(small.images["top"], JpegFrames)
    assert_same(decompressed(small), raw, but=())
    again = compressed(small, 10)
    assert all(again.images[c] is small.images[c] for c in small.images), "JPEGs stay as they are"


def test_changed_jpegs_keep_their_quality():
    for quality in (30, 75, 95):
        frames = JpegFrames(quality)
        frames.append(picture(3))
        made = changed(frames, lambda frame: frame[:, ::-1])
        assert abs(jpeg_quality(made.encoded(0), "it") - quality) <= 1
        assert jpeg_size(made.encoded(0), "it") == (H, W)


def test_masks_are_applied_in_turn():
    def dim(frame):
        return frame // 2

    episode = make_episode(jpeg=False)
    new = masked(episode, {"top": [dim, dim]})
    np.testing.assert_array_equal(new.images["top"], episode.images["top"] // 2 // 2)
    np.testing.assert_array_equal(new.images["left_wrist"], episode.images["left_wrist"])


def test_relabelling():
    episode = make_episode()
    new = relabelled(episode, "false", "sim_insertion_scripted", 25)
    assert (new.success, new.task, new.fps) == (False, "sim_insertion_scripted", 25)
    assert_same(new, episode, but=("success", "task", "fps"))
    assert relabelled(episode, "unknown", None, None).success is None
    assert relabelled(episode, "reward", None, None).success is True
    assert relabelled(replace(episode, reward=np.ones(T)), "reward", None, None).success is False
    for changes, what in (({"reward": None}, "no /reward"), ({"task": "mine"}, "no simulated task")):
        with pytest.raises(EpisodeError, match=what):
            relabelled(replace(episode, **changes), "reward", None, None)


@pytest.mark.parametrize("quality", [5, 50, 90])
def test_size_and_quality_of_a_jpeg_are_read_from_its_header(quality):
    noise = np.random.default_rng(0).integers(0, 256, (33, 50, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].ravel()
    assert jpeg_size(jpeg, "it") == (33, 50)
    assert abs(jpeg_quality(jpeg, "it") - quality) <= (8 if quality < 10 else 1)
    for read in (jpeg_size, jpeg_quality):
        with pytest.raises(EpisodeError, match="it has no"):
            read(jpeg[:2], "it")
