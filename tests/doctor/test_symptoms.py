"""Each symptom shows in a set that has just that fault, and none in healthy sets."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import edit_episodes
from constants import TASKS
from doctor import SYMPTOMS, Sampling, Survey, diagnose, examine_episode
from episodes import Episode
from tasks import sample_start

N, T, FPS = 12, 80, 15
SIZE = (60, 80)  # height and width of pictures
LEAD = 3  # steps by which a command leads the state
CAMERAS = ("top", "side")
FOLDER = Path("data/mine")
WITH_PICTURES, WITHOUT = Sampling(is_timed=True), Sampling(0)
CHOOSE = "sim_mycobot320_choose_scripted"


def scenery(seed):
    """(H, W, 3) float, a table with things on it, the same in all episodes."""
    rng = np.random.default_rng(seed)
    coarse, things = (rng.uniform(0, 1, size).astype(np.float32) for size in ((9, 12), (20, 27)))
    coarse = cv2.resize(coarse, SIZE[::-1])
    things = cv2.resize(things, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    tint = cv2.resize(rng.uniform(-25, 25, (6, 8, 3)).astype(np.float32), SIZE[::-1])
    return (40 + 80 * coarse + 70 * things)[..., None] + tint - tint.mean(axis=2, keepdims=True)


SCENES = {camera: scenery(seed) for seed, camera in enumerate(CAMERAS)}


def movement(rng, steps, pace):
    """(steps, 6) joints that start, stop and turn at moments of their own."""
    speed = np.repeat(rng.uniform(0, 1, (steps // 4 + 1, 6)), 4, axis=0)[:steps] ** 2
    way = np.sign(rng.uniform(-1, 1, (steps // 20 + 1, 6)))
    joints = np.cumsum(0.05 * pace * speed * np.repeat(way, 20, axis=0)[:steps], axis=0)
    return joints + rng.uniform(-0.2, 0.2, 6)


def shots(rng, joints, camera):
    """(T, H, W, 3) uint8: an arm before the scenery, with a camera's noise."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    noise = rng.normal(0, 1.5, (4, *SIZE, 3))
    frames = []
    for t, row in enumerate(joints):
        at = 30 + 8 * (row[0] + row[2]), 40 + 8 * (row[1] + row[4])
        arm = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 120)[..., None]
        frames.append((SCENES[camera] * (1 - arm) + 220 * arm + noise[t % 4]).clip(0, 249))
    return np.stack(frames).astype(np.uint8)


def healthy_episode(rng, steps=T, pace=1.0, cameras=CAMERAS, **values):
    joints = movement(rng, steps + LEAD, pace)
    close, numbers = int(rng.integers(steps // 3, steps // 2)), np.arange(steps + LEAD)
    gripper = np.where((numbers > close) & (numbers < steps - 12), 0.1, 0.9)
    rows = np.column_stack([joints, gripper])
    qpos = rows[:steps] + rng.normal(0, 1e-4, (steps, 7))
    images = {camera: shots(rng, joints[:steps], camera) for camera in cameras}
    place = [*rng.uniform(-0.2, 0.2, 2), 0.02, 1, 0, 0, 0]
    time = np.arange(steps) / FPS + rng.uniform(0, 0.004, steps)
    values = {"env_state": np.array(place), "time": time, "sim": False, "fps": FPS, **values}
    return Episode(qpos, rows[LEAD:], images, **values)


@pytest.fixture(scope="module")
def sound():
    """A healthy set, which no test changes in place."""
    rng = np.random.default_rng(0)
    return [healthy_episode(rng) for _ in range(N)]


def examined(episodes, sampling=WITH_PICTURES, name="episode_{}.hdf5"):
    return [examine_episode(FOLDER / name.format(i), one, sampling) for i, one in enumerate(episodes)]


def found(episodes, sampling=WITH_PICTURES):
    return diagnose(Survey(str(FOLDER), tuple(examined(episodes, sampling))))


# --- faults


def in_one(change):
    """The fault in the fifth episode alone."""
    return lambda sound: [change(each) if i == 4 else each for i, each in enumerate(sound)]


def in_all(change):
    return lambda sound: list(map(change, sound))


def seen(change, camera="top"):
    """Each frame of a camera is changed."""

    def changed(episode):
        frames = np.stack([change(frame) for frame in episode.images[camera]])
        return replace(episode, images={**episode.images, camera: frames})

    return changed


def with_rows(change):
    """The joints are changed by `change(rows (T, 7))`, in state and command."""
    return lambda one: replace(one, qpos=change(one.qpos.copy()), action=change(one.action.copy()))


def put(column, value):
    def change(rows):
        rows[:, column] = value
        return rows

    return change


def led_by(later):
    """Commands are the states of so many steps later; grippers as recorded."""

    def change(episode):
        action = episode.action.copy()
        rows = np.arange(len(episode))
        action[:, :6] = episode.qpos[(rows + later).clip(0, len(episode) - 1), :6]
        return replace(episode, action=action)

    return in_all(change)


def delayed(frames_late):
    """The picture of step t is that of an earlier one, by `frames_late(t)`."""

    def change(episode):
        rows = [max(0, t - frames_late(t)) for t in range(len(episode))]
        return replace(episode, images={c: frames[rows] for c, frames in episode.images.items()})

    return in_all(change)


def spiked(episode):
    qpos = episode.qpos.copy()
    qpos[40, 2] += 2
    return replace(episode, qpos=qpos)


def stuck(episode):
    return replace(episode, qpos=put(3, 0.4)(episode.qpos.copy()))


def in_degrees(rows):
    rows[:, :6] = np.degrees(rows[:, :6]) + 40
    return rows


def mirrored_rows(rows):
    return rows * np.array([-1, 1, 1, -1, 1, -1, 1])


def to_and_fro(episode):
    steps = [*range(T), *range(T - 1, -1, -1), *range(T)]
    return replace(episode.take(steps), time=None)


def slowed(rows):
    rows[:, :6] = rows[0, :6] + 0.25 * (rows[:, :6] - rows[0, :6])
    return rows


def clustered(sound):
    corners = np.array([[-0.2, -0.2], [0.2, 0.2], [-0.2, 0.19]])
    places = [[*corners[i % 3] + 0.002 * (i // 3), 0.02, 1, 0, 0, 0] for i in range(N)]
    return [replace(each, env_state=np.array(place)) for each, place in zip(sound, places, strict=True)]


def of_cases(sound, counts):
    """The set as one of a task with two cases, so many episodes of each."""
    rng, task = np.random.default_rng(5), TASKS[CHOOSE]
    cases = [case for case, count in enumerate(counts) for _ in range(count)]
    starts = [sample_start(task, rng, case) for case in cases]
    pairs = zip(sound[: len(cases)], starts, strict=True)
    return [replace(each, task=CHOOSE, env_state=start) for each, start in pairs]


def blurred(picture):
    return cv2.GaussianBlur(picture, (0, 0), 1.5)


def whitened(picture):
    picture = picture.copy()
    picture[:, :56] = 255
    return picture


def exchanged(episode):
    top, side = CAMERAS
    return replace(episode, images={top: episode.images[side], side: episode.images[top]})


FAULTS = {
    "action_is_state": led_by(0),
    "action_is_next_state": led_by(1),
    "gripper_stays_open": in_one(with_rows(put(6, 0.9))),
    "jumps": in_one(spiked),
    "stuck_joint": in_all(stuck),
    "joint_never_moves": in_all(with_rows(put(3, 0.4))),
    "units": in_all(with_rows(in_degrees)),
    "length": in_one(to_and_fro),
    "pace": in_one(with_rows(slowed)),
    "near_duplicates": lambda sound: [*sound, sound[3]],
    "clustered_starts": clustered,
    "few_of_a_case": lambda sound: of_cases(sound, (9, 2)),
    "clock_drift": in_all(lambda one: replace(one, time=1.04 * one.time)),
    "dead_camera": in_one(seen(np.zeros_like)),
    "swapped_cameras": in_one(exchanged),
    "mirrored_picture": in_one(seen(np.fliplr)),
    "exchanged_colors": in_one(seen(lambda shot: shot[..., ::-1])),
    "moved_camera": in_one(seen(lambda shot: np.roll(shot, 6, axis=1))),
    "out_of_focus": in_one(seen(blurred)),
    "over_exposed": in_one(seen(whitened)),
    "late_pictures": delayed(lambda t: 4),
    "pictures_drift": delayed(lambda t: 0 if t < T // 2 else 5),
}
ALL = {"action_is_state", "action_is_next_state", "stuck_joint", "joint_never_moves", "units", "clock_drift"}
NO_EPISODES = {*ALL, "clustered_starts", "few_of_a_case", "late_pictures", "pictures_drift"}


@pytest.mark.parametrize("name", SYMPTOMS)
def test_just_that_fault_is_found(sound, name):
    """Faults of joints without pictures, which are those of the healthy set."""
    is_joint = SYMPTOMS[name].looks_at == "joints"
    findings = found(FAULTS[name](sound), WITHOUT if is_joint else WITH_PICTURES)
    assert {finding.name for finding in findings} == {name}, [finding.line for finding in findings]
    one = findings[0]
    assert one.consequence and one.remedy and "{" not in one.line and "\n" not in one.line
    named = {"near_duplicates": ("episode_12",)}.get(name, () if name in NO_EPISODES else ("episode_4",))
    assert one.episodes == named


def test_every_fault_has_a_symptom():
    assert FAULTS.keys() == SYMPTOMS.keys()


def test_a_healthy_set(sound):
    assert found(sound) == []


def test_a_healthy_set_of_two_cases(sound):
    assert found(of_cases(sound, (6, 6)), WITHOUT) == []


def test_people_are_of_different_paces_and_begin_anew():
    rng = np.random.default_rng(1)
    paces = rng.uniform(0.65, 1.3, N)
    human = [healthy_episode(rng, int(T / pace), pace, (), style="human") for pace in paces]
    begun = [replace(each.take(range(50, len(each))), recovers=True) for each in human[:4]]
    assert found([*human, *begun]) == []


def test_looks_at_random_and_mirror_images_are_no_faults(sound):
    gains = np.random.default_rng(2).uniform(0.3, 1.5, N)
    looks = [
        seen(lambda shot, gain=gain: (shot * gain).clip(0, 255).astype(np.uint8))(one)
        for one, gain in zip(sound, gains, strict=True)
    ]
    assert found([replace(one, randomized=True) for one in looks], Sampling()) == []
    mirror = [with_rows(mirrored_rows)(seen(np.fliplr)(seen(np.fliplr, "side")(one))) for one in sound[:4]]
    every = [*examined(sound, Sampling()), *examined(mirror, Sampling(), "mirror_episode_{}.hdf5")]
    assert diagnose(Survey(str(FOLDER), tuple(every))) == []


def test_joints_alone_are_looked_at_without_pictures(sound):
    dead = FAULTS["dead_camera"](sound)
    assert found(dead, WITHOUT) == []
    assert diagnose(Survey(str(FOLDER), tuple(examined(dead, Sampling()))), ("joints",)) == []


def drawn(shot):
    """A plot of the arm's place on white ground, as PushT shows it: edges are smooth."""
    is_arm = (shot.mean(axis=2) > 190).astype(np.float32)
    canvas = np.where(is_arm[..., None] > 0, (65, 105, 225), 255).astype(np.float32)
    canvas[10:22, 50:70] = (119, 136, 153)
    canvas[40:50, 10:30] = (144, 238, 144)
    return cv2.GaussianBlur(canvas, (0, 0), 0.6).astype(np.uint8)


def test_a_drawing_on_white_ground_is_not_over_exposed(sound):
    assert found(in_all(seen(drawn))(sound), Sampling()) == []


def test_a_camera_that_is_always_over_exposed(sound):
    (finding,) = found(in_all(seen(whitened))(sound), Sampling())
    assert finding.name == "over_exposed" and len(finding.episodes) == N
    assert finding.remedy.endswith("record anew, or train without this camera (--camera_names)")


@pytest.mark.parametrize("name", SYMPTOMS)
def test_no_remedy_leaves_all_episodes_out(sound, name):
    """What is wrong in every episode is not mended by deleting all of them."""
    one = FAULTS[name](sound)[4]
    every = found([one] * N, Sampling() if SYMPTOMS[name].looks_at == "pictures" else WITHOUT)
    assert not [each.line for each in every if len(each.episodes) == N and "delete" in each.remedy]


def test_only_states_of_whole_arms_have_a_gripper_in_the_seventh_place(sound):
    """Nine joints, as of an arm of seven and two fingers: the seventh turns as it likes."""
    turns = np.random.default_rng(3).uniform(-2.5, 2.5, N)
    nine = [
        replace(one, qpos=np.hstack([one.qpos[:, :6], one.qpos[:, :1] + turn, one.qpos[:, :2]]))
        for one, turn in zip(sound, turns, strict=True)
    ]
    assert found(nine, WITHOUT) == []


def test_a_finger_that_snaps_in_most_episodes_does_not_jump():
    rng = np.random.default_rng(4)
    every = []
    for _ in range(N):
        one, at = healthy_episode(rng, 200, cameras=()), int(rng.integers(60, 140))
        every.append(
            with_rows(lambda rows, at=at: rows + 2 * np.eye(7)[2] * (np.arange(200) >= at)[:, None])(one)
        )
    assert found(every, WITHOUT) == []


def test_joints_that_never_move_are_told_in_one_line(sound):
    still = with_rows(lambda rows: np.where([0, 1, 0, 1, 0, 0, 0], 0.5, rows))
    (finding,) = found(in_all(still)(sound), WITHOUT)
    assert finding.name == "joint_never_moves" and finding.what == "joint_1, joint_3 never move"


def test_a_set_too_small_to_compare(sound):
    assert found(sound[:1]) == [] and found([]) == [] and found(sound[:2]) == []


def test_the_delay_of_pictures_is_told_in_frames(sound):
    (top, side) = found(delayed(lambda t: 3)(sound))
    assert {top.camera, side.camera} == set(CAMERAS)
    assert float(re.search(r"is ([\d.]+) frames", top.what)[1]) == pytest.approx(3, abs=0.5)


def test_clocks_that_are_fast_and_slow_are_told_apart(sound):
    clocks = [replace(one, time=(1.04 if i % 2 else 0.95) * one.time) for i, one in enumerate(sound)]
    slow, fast = found(clocks, WITHOUT)
    assert "take 104.0% of the time" in slow.what and slow.episodes[0] == "episode_1"
    assert "take 95.0% of the time" in fast.what and len(fast.episodes) == N // 2


def test_units_of_an_encoder_and_of_commands(sound):
    ticks = [with_rows(lambda rows: rows * np.array([*[2048 / np.pi] * 6, 1]))(one) for one in sound]
    (finding,) = found(ticks, WITHOUT)
    assert finding.name == "units" and "steps of an encoder" in finding.what
    assert finding.remedy.endswith("--joint_unit ticks:4096 --gripper_range CLOSED OPEN")
    wide = [with_rows(lambda rows: rows * np.array([*[1] * 6, 100]))(one) for one in sound]
    closed, opened = found(wide, WITHOUT)[0].remedy.split("--joint_unit rad --gripper_range ")[1].split()
    assert [float(closed), float(opened)] == pytest.approx([10, 90], abs=0.2)
    mixed = [replace(one, action=one.action * np.array([*[57.3] * 6, 1])) for one in sound]
    bare = [with_rows(lambda rows: rows[:, :6])(one) for one in ticks]
    assert found(bare, WITHOUT)[0].remedy.endswith("--joint_unit ticks:4096")
    assert "as in another unit" in " ".join(each.what for each in found(mixed, WITHOUT))


@pytest.mark.parametrize("name", ["jumps", "action_is_state", "action_is_next_state"])
def test_remedies_are_whole_commands(sound, name):
    (finding,) = found(FAULTS[name](sound), WITHOUT)
    words = re.search(r"edit_episodes\.py (.*)", finding.remedy)[1].split()
    words = ["3" if word == "N" else word for word in words]
    assert edit_episodes.parse_flags(words)[0] == words[0]


def test_episodes_are_named_as_commands_take_them(sound):
    named = examined(FAULTS["jumps"](sound), WITHOUT, "episode_take_{}.hdf5")
    (finding,) = diagnose(Survey(str(FOLDER), tuple(named)))
    assert "(episodes episode_take_4)" in finding.line and "--episodes episode_take_4" in finding.remedy
    assert "(episodes 4)" in found(FAULTS["jumps"](sound), WITHOUT)[0].line


def test_remedies_name_commands_that_there_are():
    text = " ".join(symptom.remedy for symptom in SYMPTOMS.values())
    assert set(re.findall(r"edit_episodes\.py (\w+)", text)) <= set(edit_episodes.COMMANDS)
