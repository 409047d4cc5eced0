"""Driving by hand without hands: key events are fed in, and the clock is made up."""

import sys
import types
from dataclasses import replace

import cv2
import numpy as np
import pytest
from pyquaternion import Quaternion

import constants
import record_sim_episodes as script
import replay_episodes
from common import LiveView, cli
from common.drawing.panels import HEIGHT, panel
from constants import Stream, get_task
from ee_sim_env import make_ee_sim_env
from episodes.episode import Episode
from episodes.folders import episode_path, list_episodes
from evaluation import demonstrations
from sim_env import make_sim_env
from teleop import devices
from teleop import pilot as teleop
from teleop.devices import (
    KEY_COMMANDS,
    KEY_RATES,
    PAD_AXES,
    PAD_COMMANDS,
    PAD_RATES,
    RATES,
    Gamepad,
    Keyboard,
    explain,
)
from teleop.pilot import SPEEDS, Pacer, Teleop

TRANSFER = get_task("sim_transfer_cube_scripted")
LIFT = replace(TRANSFER, name="sim_lift_scripted", human=None, episode_len=330, stages=TRANSFER.stages[:2])
SHORT = replace(TRANSFER, name="sim_short_scripted", human=None, episode_len=4)


class Clock:
    """Time that passes only while somebody sleeps, or when told."""

    def __init__(self):
        self.time, self.slept = 100.0, []

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds


class Events:
    """A window that shows nothing; `held(n)` says which keys are down at the n-th look, the rest follows."""

    def __init__(self, held):
        self.held, self.frames, self.looks, self.down = held, [], 0, set()

    def show(self, frame):
        self.frames.append(frame)

    def poll(self):
        assert self.looks < 20_000, "nobody ends this"
        wanted = set(self.held(self.looks))
        self.looks += 1
        events = [(key, False) for key in self.down - wanted] + [(key, True) for key in wanted - self.down]
        self.down = wanted
        return events


def rates(**named):
    """Rates by name, zero elsewhere; `turn_y` is "turn y"."""
    return np.array([named.get(name.replace(" ", "_"), 0.0) for name in RATES])


# --- devices


def keyboard(*polls):
    """A keyboard whose n-th reading is given the n-th list of events."""
    left = list(polls)
    return Keyboard(lambda: left.pop(0) if left else [])


def test_every_rate_has_both_directions_and_every_key_is_explained():
    for bindings in (KEY_RATES, {**PAD_RATES}):
        assert len(set(bindings.values())) == len(bindings)
    assert set(KEY_RATES.values()) == {(name, sign) for name in RATES for sign in (-1, 1)}
    assert {name for name, _ in PAD_AXES.values()} | {name for name, _ in PAD_RATES.values()} == set(RATES)
    assert set(PAD_COMMANDS.values()) == {"other arm", "keep", "redo", "quit"}
    assert set(KEY_COMMANDS.values()) == {*PAD_COMMANDS.values(), "clutch"}
    assert not KEY_RATES.keys() & {*KEY_COMMANDS, devices.SLOW_KEY}
    everything = {name: name for name in (*KEY_COMMANDS.values(), "slow")}
    for device, keys in (
        (Keyboard, {*KEY_RATES, *KEY_COMMANDS, devices.SLOW_KEY}),
        (Gamepad, {*PAD_AXES, *PAD_RATES, *PAD_COMMANDS}),
    ):
        assert keys <= set(explain(device, everything).replace(":", " ").split())
    by_keys, by_pad = explain(Keyboard, everything), explain(Gamepad, everything)
    assert "a d: left, right   s w: nearer, further   f r: down, up" in by_keys
    assert "LEFTX: left, right   " in by_pad and "DPAD_UP DPAD_DOWN: tip up, tip down" in by_pad
    assert "tab t: other arm" in by_keys and "other arm" not in explain(Keyboard, {"keep": "done"})


def test_keys_held_down():
    keys = keyboard([("d", True), ("s", True)], [], [("x", True)], [("d", False)], [("a", True), ("p", True)])
    assert np.array_equal(keys.read(0.0).rates, rates(x=1, y=-1))
    assert np.array_equal(keys.read(0.1).rates, rates(x=1, y=-1)), "until they are released"
    assert np.array_equal(keys.read(0.2).rates, rates(x=0.25, y=-0.25)), "slowly"
    keys.read(0.3)
    assert np.array_equal(keys.read(0.4).rates, rates(x=-0.25, y=-0.25))


def test_a_repeating_key_is_neither_released_nor_pressed_again():
    repeat = [("w", False), ("w", True), ("tab", False), ("tab", True)]  # X11 repeats held keys so
    keys = keyboard([("w", True), ("tab", True)], repeat, [("w", False)], [("w", True)], [("w", False)])
    assert keys.read(0.0).commands == {"other arm"}
    given = keys.read(0.02)
    assert given.rates.any() and not given.commands
    assert keys.read(0.04).rates.any(), "split between two readings"
    assert keys.read(0.06).rates.any()
    assert keys.read(0.08).rates.any()
    assert not keys.read(0.13).rates.any(), "released in the end"


def test_a_tap_between_two_readings_counts():
    keys = keyboard([("r", True), ("r", False), ("enter", True), ("enter", False)])
    given = keys.read(0.0)
    assert np.array_equal(given.rates, rates(z=1)) and given.commands == {"keep"}
    assert not keys.read(0.1).rates.any()


@pytest.fixture
def pad(monkeypatch):
    """A made-up pygame with one controller, whose sticks and buttons can be set by name."""
    names = [f"AXIS_{name}" for name in PAD_AXES] + [f"BUTTON_{name}" for name in (*PAD_RATES, *PAD_COMMANDS)]
    state = types.SimpleNamespace(count=1, values={})
    codes = {f"CONTROLLER_{name}": i + 5 for i, name in enumerate(names)}
    named = {code: name.split("_", 2)[2] for name, code in codes.items()}

    class Controller:
        def __init__(self, i):
            assert i == 0

        def get_axis(self, code):
            return state.values.get(named[code], 0)

        def get_button(self, code):
            return named[code] in state.values

    def nothing():
        return None

    controller = types.SimpleNamespace(
        init=nothing, get_count=lambda: state.count, is_controller=lambda i: True, Controller=Controller
    )
    pygame = types.SimpleNamespace(
        display=types.SimpleNamespace(init=nothing), event=types.SimpleNamespace(pump=nothing), **codes
    )
    monkeypatch.setitem(sys.modules, "pygame", pygame)
    monkeypatch.setitem(sys.modules, "pygame._sdl2", types.SimpleNamespace(controller=controller))
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    return state


def test_gamepad(pad):
    device = Gamepad()
    pad.values = {"LEFTX": 16384, "LEFTY": -32768, "RIGHTY": 3000, "LEFTSHOULDER": 1}
    assert np.allclose(device.read(0).rates, rates(x=0.5, y=1, gripper=-1)), "small tilts are none"
    pad.values = {"RIGHTSHOULDER": 1, "DPAD_DOWN": 1, "A": 1, "Y": 1}
    given = device.read(0)
    assert np.array_equal(given.rates, rates(turn_x=-1, gripper=1)) and given.commands == {
        "keep",
        "other arm",
    }
    assert device.read(0).commands == set(), "once for each press"


def test_gamepad_that_is_not_there(pad, monkeypatch):
    pad.count = 0
    with pytest.raises(RuntimeError, match="no gamepad is connected"):
        Gamepad()
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(ImportError, match="a gamepad needs the package pygame .*; pip install pygame"):
        Gamepad()


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_key_window(monkeypatch):
    import matplotlib.pyplot as plt
    from matplotlib.backend_bases import KeyEvent
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    plt.switch_backend("agg")
    with pytest.raises(RuntimeError, match="driving by hand needs a screen"):
        devices.KeyWindow()
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "pretended")
    window = devices.KeyWindow("by hand")
    canvas = plt.gcf().canvas
    assert canvas.manager.toolbar is None
    for name, key in (("press", "W"), ("release", "ctrl+w"), ("press", "q"), ("press", None)):
        canvas.callbacks.process(f"key_{name}_event", KeyEvent(f"key_{name}_event", canvas, key))
    assert window.poll() == [("w", True), ("w", False), ("q", True)] and window.poll() == []
    assert plt.get_fignums(), "q does not close it, as it does in matplotlib"
    window.show(np.full((120, 400, 3), 200, np.uint8))
    assert canvas.get_width_height() == (400, 120)
    canvas.callbacks.process("close_event", None)
    assert window.poll() == [("escape", True)]
    window.close()


# --- Teleop


START = np.array([[-0.2, 0.5, 0.3, 1, 0, 0, 0, 0.1], [0.2, 0.5, 0.3, 1, 0, 0, 0, 0.1]])


@pytest.mark.parametrize("fps", [10, 50])
def test_speeds_are_per_second(fps):
    state, present = Teleop(("left", "right"), START), START
    for _ in range(fps // 2):  # half a second; the arm follows at once
        present = state.step(rates(x=1, z=-0.5, turn_y=-1), 1 / fps, present).reshape(2, 8)
    assert np.allclose(present[1, :3], [0.2 + 0.1, 0.5, 0.3 - 0.05])
    assert np.allclose(
        Quaternion(present[1, 3:7]).rotation_matrix, Quaternion(axis=[0, 1, 0], angle=-0.5).rotation_matrix
    )
    assert np.array_equal(present[0], START[0]) and state.arm == "right", "the other arm stands still"


def test_turns_add_up_about_the_worlds_axes():
    state, present = Teleop(("one",), START[1]), START[1]
    for turn in ({"turn_y": 1.0}, {"turn_z": 1.0}):
        for _ in range(20):
            present = state.step(rates(**turn), 0.05, present)
    wanted = Quaternion(axis=[0, 0, 1], angle=1.0) * Quaternion(axis=[0, 1, 0], angle=1.0)
    assert Quaternion.absolute_distance(Quaternion(present[3:7]), wanted) < 1e-9


def test_gripper_stays_between_closed_and_open():
    state = Teleop(("one",), START[1])
    assert state.step(rates(gripper=1), 0.1, START[1])[7] == pytest.approx(0.1 + 0.1 * SPEEDS[-1])
    assert state.step(rates(gripper=1), 9.0, START[1])[7] == 1.0 == state.gripper
    assert state.step(rates(gripper=-1), 9.0, START[1])[7] == 0.0


def test_a_target_waits_for_an_arm_that_is_blocked():
    state = Teleop(("one",), START[1])
    for _ in range(200):
        action = state.step(rates(z=-1, turn_x=1), 0.02, START[1])
    assert np.allclose(action[:3], START[1, :3] - [0, 0, teleop.MAX_LEAD])
    turned = Quaternion(action[3:7])
    assert abs(turned.angle) == pytest.approx(teleop.MAX_TURN_LEAD)
    action = state.step(rates(z=1), 0.02, START[1])
    assert action[2] > START[1, 2] - teleop.MAX_LEAD, "and turns back at once"


def test_switching_arms_keeps_the_others_where_they_are():
    state, present = Teleop(("left", "right"), START), START
    present = state.step(rates(x=1, gripper=1), 0.1, present).reshape(2, 8)
    state.switch()
    assert state.arm == "left"
    after = state.step(rates(x=1), 0.1, present).reshape(2, 8)
    assert np.array_equal(after[1], present[1]) and after[0, 0] == pytest.approx(-0.2 + 0.02)
    state.switch()
    assert state.arm == "right"


# --- real time


def test_steps_keep_to_the_clock_without_drift():
    clock, work = Clock(), np.random.default_rng(0).uniform(0, 0.03, 100)
    pacer = Pacer(50, clock.now, clock.sleep)
    for seconds in work:  # now and then longer than a step
        clock.time += seconds
        pacer.wait()
    assert clock.time == pytest.approx(100 + 100 / 50, abs=0.03) and 0 < len(clock.slept) < 100
    clock.time += 5.0  # somebody moves the window
    pacer.wait()
    assert pacer.lag == 0, "that is not made up for"
    pacer.wait()
    assert clock.slept[-1] == pytest.approx(0.02)


# --- a person at the script


@pytest.fixture
def record(monkeypatch, tmp_path):
    """Runs the script with a typist `held(look, env)`; returns the folder, the window and the clock."""

    def run(held, *flags, task=SHORT, episodes=1):
        human, varied = script.human_task(task), "--randomize" in flags
        env = make_ee_sim_env(human, image_size=(48, 64), randomize=varied)
        window, clock = Events(lambda look: held(look, env)), Clock()
        monkeypatch.setattr(demonstrations, "_envs", {human.name: env})  # `main` closes them
        monkeypatch.setattr(script, "_environment", lambda config, task: env)
        monkeypatch.setattr(teleop, "KeyWindow", lambda title: window)
        monkeypatch.setattr(teleop, "Pacer", lambda fps: Pacer(fps, clock.now, clock.sleep))
        argv = f"--task_name {task.name} --num_episodes {episodes} --teleop keyboard".split()
        argv += ["--dataset_dir", str(tmp_path / "data"), *flags]
        monkeypatch.setattr(sys, "argv", ["record_sim_episodes.py", *argv])
        cli.run(script.main)
        return tmp_path / "data", window, clock

    for task in (LIFT, SHORT):
        monkeypatch.setitem(constants.TASKS, task.name, task)
    return run


def typist(*looks):
    """Holds the n-th keys at the n-th look, and the last ones from then on."""
    return lambda look, env: looks[min(look, len(looks) - 1)]


def towards(there, wanted, near=0.004):
    """The keys that move a grip point, slowly when it is close."""
    error = wanted - there
    pairs = zip(error, ("ad", "sw", "fr"), strict=True)
    keys = {pair[int(gap > 0)] for gap, pair in pairs if abs(gap) > near}
    return keys | ({"x"} if np.abs(error).max() < 0.04 else set())


class Lifter:
    """Sees where the cube is, and presses keys until the right gripper holds it in the air."""

    def __init__(self):
        self.phase, self.closing = "above", 0

    def __call__(self, look, env):
        if self.phase == "done":
            return {"enter"}
        cube = env.env.physics.named.data.qpos["red_box_joint"][:3].copy()
        hand = env.present()[8:]
        pitch = 2 * np.arctan2(hand[5], hand[3])  # about y; the right arm looks down at -60 degrees
        height = {"above": 0.1, "down": 0.015}.get(self.phase)
        if height is None:
            self.closing += 1
            if look and env.env.physics.time() >= LIFT.episode_len / LIFT.fps - 0.03:
                self.phase = "done"
            return {"c"} if self.closing < 40 else {"r"}
        keys = towards(hand[:3], cube + [0, 0, height]) | ({"v"} if hand[7] < 0.9 else set())
        if self.phase == "above" and pitch > -1.0:
            keys = (keys - {"x"}) | {"u"}
        elif not keys - {"x"}:
            self.phase = {"above": "down", "down": "grasp"}[self.phase]
        return keys


def test_keys_lift_the_cube_and_the_episode_replays(record, capsys):
    folder, window, clock = record(Lifter(), task=LIFT)
    assert "1 episodes by hand, 1 successful" in capsys.readouterr().out
    path = episode_path(folder, 0)
    episode = Episode.load(path)
    assert episode.success and episode.reward.max() == episode.reward[-1] == 2
    assert (episode.task, episode.seed, episode.fps, len(episode)) == (LIFT.name, 0, 50, 330)
    assert episode.render_quality == "fast" and episode.images["top"][329].shape == (48, 64, 3)
    start = np.random.default_rng([0, Stream.RECORD, 0]).uniform(
        TRANSFER.props[0].low, TRANSFER.props[0].high
    )
    assert np.array_equal(episode.env_state[:3], start)
    env = make_sim_env(LIFT, image_size=(48, 64))
    outcome, again = replay_episodes.replay(path, env, LIFT, None, ("top",))
    env.close()
    assert outcome.reward == outcome.recorded_reward == 2 and outcome.joint_error.max() == 0
    assert again.images["top"].encoded(200).tobytes() == episode.images["top"].encoded(200).tobytes()
    assert clock.time - 100 == pytest.approx(330 / 50, abs=0.1), "in real time"
    assert 0.5 < len(window.frames) / (330 / 50 * teleop.VIEW_FPS) < 1.2, "the view is refreshed less often"


def test_the_window_shows_cameras_and_text(record):
    _, window, _ = record(typist({"d"}, {"d"}, {"d"}, {"d"}, {"d"}, {"enter"}))
    (height, width, _), cameras = window.frames[0].shape, teleop.VIEW_CAMERAS
    assert width == cameras * 480 and height > HEIGHT
    views = [window.frames[0][:HEIGHT, i * 480 : (i + 1) * 480] for i in range(cameras)]
    assert all(view.std() > 5 for view in views) and not np.array_equal(views[0], views[1])
    text = window.frames[0][HEIGHT:]
    assert 0.01 < (text > 128).mean() < 0.3
    narrow = panel([np.zeros((360, 480, 3), np.uint8)], [explain(Keyboard, teleop.COMMANDS)])
    assert narrow.shape[0] > height and narrow[:, -8:].max() == 0, "long lines are broken, not cut"


def test_time_begins_with_the_first_move(record):
    folder, _, clock = record(typist(*[set()] * 50, *[{"r"}] * 6, set(), {"enter"}))
    assert len(Episode.load(episode_path(folder, 0))) == SHORT.episode_len
    assert clock.time - 100 > 50 / 50


def test_redo_takes_a_new_start_and_quit_keeps_what_is_there(record, capsys):
    one_episode = [{"r"}, *[{"r"}] * 4]
    abandoned = [*[{"r"}] * 4, {"backspace"}]  # at its last step
    looks = [
        *one_episode,
        set(),
        {"backspace"},
        *abandoned,
        *one_episode,
        set(),
        {"enter"},
        set(),
        {"escape"},
    ]
    folder, _, _ = record(typist(*looks), episodes=3)
    said = capsys.readouterr().out
    assert "stopped at saved 1 of 3" in said and "The same command goes on" in said
    assert [path.name for path in list_episodes(folder)] == ["episode_0.hdf5"]
    rng = np.random.default_rng([0, Stream.RECORD, 0])
    starts = [rng.uniform(TRANSFER.props[0].low, TRANSFER.props[0].high) for _ in range(3)]
    first = Episode.load(episode_path(folder, 0))
    assert np.array_equal(first.env_state[:3], starts[2]) and not first.success
    before = episode_path(folder, 0).read_bytes()
    record(typist(*one_episode, set(), {"enter"}), episodes=2)
    assert "1 of 2 episodes are in" in capsys.readouterr().out
    assert len(list_episodes(folder)) == 2 and episode_path(folder, 0).read_bytes() == before


def test_each_episode_has_a_look_that_the_person_saw(record):
    one_episode = [*[{"r"}] * 5, set(), {"enter"}]
    folder, window, _ = record(typist(*one_episode, *one_episode), "--randomize", episodes=2)
    episodes = [Episode.load(path) for path in list_episodes(folder)]
    assert all(episode.randomized for episode in episodes)
    env = make_sim_env(SHORT, image_size=(48, 64), randomize=True)
    for i, episode in enumerate(episodes):
        env.set_looks([0, Stream.RECORD_LOOKS, i])
        image = env.reset(env_state=episode.env_state).observation["images"]["top"]
        assert np.abs(episode.images["top"][0].astype(int) - image).mean() < 3
    env.close()
    view = np.s_[:HEIGHT, :480]
    scaled = cv2.resize(episodes[0].images["top"][0], (480, HEIGHT)).astype(int)
    assert np.median(np.abs(window.frames[0][view] - scaled)) < 3, "but for what is written on it"
    other = cv2.resize(episodes[1].images["top"][0], (480, HEIGHT)).astype(int)
    assert np.abs(other - scaled).mean() > 6


def test_quitting_at_once_writes_nothing(record, tmp_path, capsys):
    record(typist({"escape"}))
    assert list(tmp_path.iterdir()) == [] and "look at one" not in capsys.readouterr().out


def test_tab_drives_the_other_arm(record):
    folder, _, _ = record(typist({"tab"}, set(), *[{"v"}] * 20, {"enter"}), task=replace_len(SHORT, 12))
    episode = Episode.load(episode_path(folder, 0))
    left, right = (TRANSFER.state_names.index(f"{arm}_gripper") for arm in ("left", "right"))
    assert episode.action[-1, left] > 0.4 and np.ptp(episode.action[:, right]) < 1e-6


def replace_len(task, steps):
    longer = replace(task, episode_len=steps)
    constants.TASKS[task.name] = longer  # `record` sets it back
    return longer


def test_what_is_driven_by_hand_belongs_to_the_human_task(record, monkeypatch, tmp_path):
    assert script.human_task(SHORT) is SHORT
    scripted = replace(SHORT, human="sim_short_human")
    human = replace(scripted, name=scripted.human, episode_len=6, script=())
    monkeypatch.setitem(constants.TASKS, human.name, human)
    monkeypatch.setitem(constants.TASKS, SHORT.name, scripted)
    assert script.human_task(scripted) is human is script.human_task(human)
    folder, _, _ = record(typist(*[{"r"}] * 8, {"enter"}), task=scripted)
    episode = Episode.load(episode_path(folder, 0))
    assert episode.task == "sim_short_human" and len(episode) == 6
    monkeypatch.delenv("ACT_DATA_DIR", raising=False)
    config, _ = script.complete(script.RecordConfig(task_name=SHORT.name, teleop="keyboard"))
    assert config.dataset_dir.endswith("data/sim_short_human")


def refusal(record, *args):
    with pytest.raises(SystemExit) as caught:
        record(typist(set()), *args)
    assert isinstance(caught.value.code, str) and "\n" not in caught.value.code
    return caught.value.code


def test_overwriting_by_hand_is_refused(record, tmp_path):
    refused = (
        ("--overwrite",),
        ("--noise", "0.01"),
        ("--hesitate", "5"),
        ("--style", "human"),
        ("--begin_midway", "1"),
        ("--no_props",),
    )
    for flags in refused:
        assert f"{flags[0]} does not go with --teleop" in refusal(record, *flags)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_gamepad_is_one_line(record, pad, tmp_path):
    pad.count = 0
    assert "error: no gamepad is connected" in refusal(record, "--teleop", "gamepad")
    assert list(tmp_path.iterdir()) == []


def test_live_view_keeps_its_own_advice():
    assert "--onscreen_render" in LiveView.advice and "DISPLAY" in devices.KeyWindow.advice


def test_keys_are_relative_to_the_first_picture():
    axes = np.column_stack([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # as seen from the world's right
    start = np.array([0.1, 0.2, 0.3, 1, 0, 0, 0, 1.0])
    target = Teleop(["arm"], start, axes.astype(float)).step(rates(x=1), 0.1, start)
    assert np.allclose(target[:3] - start[:3], [0, SPEEDS[0] * 0.1, 0]), (
        "right in the picture is the world's y"
    )
    turned = Teleop(["arm"], start, axes.astype(float)).step(rates(turn_x=1), 0.1, start)
    assert np.allclose(turned[4:7] / np.linalg.norm(turned[4:7]), [0, 1, 0])


def test_enter_ends_an_episode_early_and_a_flag_makes_it_longer(record):
    folder, _, _ = record(
        typist(*[{"r"}] * 4, {"enter"}, *[set()] * 5, {"enter"}), "--episode_len", "900", task=LIFT
    )
    episode = Episode.load(episode_path(folder, 0))
    assert 0 < len(episode) < 10 and len(episode.images["top"]) == len(episode)


def test_an_arm_alone_has_no_other_arm_and_cameras_are_named(monkeypatch):
    task = get_task("sim_mycobot320_move_cube_scripted")
    env = make_ee_sim_env(task, image_size=(48, 64))
    try:
        env.reset(np.random.default_rng(0))
        window = Events(lambda n: {"r"} if n else ())
        pilot = teleop.Pilot(
            env, [Keyboard(window.poll)], window, task.cameras, Pacer(50, Clock().now, Clock().sleep)
        )
        written = []
        monkeypatch.setattr("common.drawing.panels.write", lambda image, text, place: written.append(text))
        monkeypatch.setattr(teleop, "panel", lambda images, lines: lines)
        pilot.begin("")
        pilot.act(0, None)
        assert written[: len(task.cameras)] == list(task.cameras)
        assert not any("other arm" in line for line in window.frames[0])
    finally:
        env.close()
