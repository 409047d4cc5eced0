"""The arm as an environment: to the start pose, deadlines, and everything that ends a run in order."""

import contextlib
import itertools
import os
import re
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from arm_rig import Person
from emulated import START, emulated, eventually, fake_cameras, make_guard, our_threads

from constants import get_task
from evaluation.episode_loop import Steps, follow, rollout
from mycobot_scripts.kinematics.units import on_the_wire
from mycobot_scripts.robot.cameras.camera import open_cameras
from mycobot_scripts.robot.operator.person import Operator
from mycobot_scripts.robot.robot import MyCobotRobot
from mycobot_scripts.robot.timing import Timing
from mycobot_scripts.robot.twin_client import start_twin
from mycobot_scripts.robot.twin_scene import TwinScene
from mycobot_scripts.stand_in.faults import Faults
from mycobot_scripts.wire import clock
from mycobot_scripts.wire.arm import ServoConfig
from mycobot_scripts.wire.protocol import Command, decode_angles, encode_angles, int16s
from mycobot_scripts.wire.servo import Servo
from tasks.starts.sampling import sample_start

TASK = get_task("mycobot320_move_cube")
CALM = {
    "stale": 30.0,
    "frozen": 60.0,
    "start_speed": 60.0,
    "max_deviation": 90.0,
}  # on a machine however busy
FAST = {"command_gap": 0.0, "gripper_period": 0.0, "state_period": 5.0, "health_period": 0.05, "speed": 60}


@contextlib.contextmanager
def a_robot(
    faults=None,
    acks=True,
    delays=False,
    offset=None,
    limits=None,
    fps=20,
    servo=None,
    operator=None,
    action_range=None,
):
    """A robot on the emulated arm, with noise for cameras; `.firmware`, `.said`."""
    guard, said = make_guard(action_range, **{**CALM, **(limits or {})}), []
    operator = operator or Operator()
    operator.say = said.append
    with (
        emulated(faults, acks, delays, offset) as firmware,
        fake_cameras(TASK.cameras) as cameras,
        Servo(firmware.port, guard, ServoConfig(**{**FAST, **(servo or {})})) as servo_loop,
        MyCobotRobot(replace(TASK, fps=fps), servo_loop, cameras, START, operator) as robot,
    ):
        robot.firmware, robot.said = firmware, said
        yield robot


def until_stopped(robot, action=None, steps=400):
    """The last step of a run that goes to and fro; AssertionError if it goes on for ever."""
    for n in range(steps):
        target = START.copy()
        target[0] += 0.4 * np.sin(n / 10)
        step = robot.step(target if action is None else action(n, target))
        if step.last():
            return step
    raise AssertionError("it was not stopped")


# --- an episode


def test_reset_goes_slowly_to_the_start_pose():
    offset = np.radians([20, -10, 5, 0, 0, 30])
    with a_robot(offset=offset, limits={"start_speed": 30.0}) as robot:
        began = time.monotonic()
        step = robot.reset()
        assert not step.last() and robot.stopped is None
        assert time.monotonic() - began > 0.9, "30 degrees at 30 degrees a second"
        assert np.degrees(np.abs(step.observation["qpos"] - START)[:6].max()) <= 3
        steps = np.abs(np.diff(robot.firmware.told_angles(), axis=0)).max(axis=1)
        assert np.median(steps[steps > 0]) <= 30 / 20 + 0.02, "degrees from one command to the next"
        assert steps.max() <= 30 / 20 + 0.02, "none is left out, however busy the machine is"
        times = [at for at, frame in robot.firmware.frames if frame.command == Command.SEND_ANGLES]
        ways = np.abs(robot.firmware.told_angles() - np.degrees(START + np.append(offset, 0))[:6]).max(axis=1)
        due = 30 * (np.array(times) - began + 2 / 20)  # degrees by now: at most two commands
        assert (ways <= due + 0.02).all(), "no command is ahead of its time"
        assert np.allclose(robot.firmware.told_angles()[-1], np.degrees(START[:6]))
        assert robot.firmware.told_grippers()[-1] == 70


def test_what_is_seen():
    with a_robot() as robot:
        observation = robot.reset().observation
        assert observation["qpos"].shape == observation["qvel"].shape == (7,)
        assert set(observation["images"]) == {"top", "right_wrist"}
        assert observation["images"]["top"].shape == (480, 640, 3)
        again = robot.step(START)
        assert again.reward is None, "nobody tells"
        assert not np.array_equal(again.observation["images"]["top"], observation["images"]["top"])


def test_an_action_is_sent_at_once_and_seen_at_the_next_deadline():
    with a_robot(fps=2) as robot:
        robot.reset()
        count, began = robot.servo.stats.arm_commands, time.monotonic()
        thread = threading.Thread(target=robot.step, args=(START + 0.02,))
        thread.start()
        assert eventually(lambda: robot.servo.stats.arm_commands > count)
        sent = time.monotonic() - began
        thread.join()
        assert sent < time.monotonic() - began and time.monotonic() - began >= 0.49


def test_deadlines_do_not_drift():
    """However long each step takes, the n-th deadline is n periods after the first."""
    with a_robot(fps=20) as robot:
        robot.reset()
        rng = np.random.default_rng(0)
        for _ in range(20):
            time.sleep(rng.uniform(0, 0.03))
            robot.step(START)
        columns = robot.timing.arrays()
        deadlines = (columns["time"] - columns["late"])[1:]
        periods = np.diff(deadlines) / 0.05
        assert np.allclose(periods, np.round(periods), atol=1e-6) and periods.min() > 0.99
        assert (columns["late"][1:] > -1e-3).all() and len(robot.timing) == 21


def test_deadlines_that_were_missed_are_left_out():
    with a_robot(fps=20) as robot:
        robot.reset()
        robot.step(START)
        time.sleep(0.4)
        robot.step(START)
        assert robot.timing.missed >= 6
        robot.step(START)
        columns = robot.timing.arrays()
        assert (columns["time"] - columns["late"])[-1] - (columns["time"] - columns["late"])[-2] >= 0.049


def test_time_begins_with_the_first_action():
    with a_robot(fps=20) as robot:
        robot.reset()
        time.sleep(0.3)  # a policy that thinks about the first
        robot.step(START)
        assert robot.timing.missed == 0 or robot.timing.arrays()["late"][1] > 0.05


@pytest.mark.parametrize("acks", [True, False])
def test_an_episode_in_real_time(acks):
    """As `model_runs` runs it, on an arm that takes its time: every step has its command."""
    with a_robot(
        acks=acks, delays=True, fps=10, servo={"command_gap": 20.0, "gripper_period": 150.0}
    ) as robot:
        actions = np.linspace(START, START + np.radians([15, 0, 0, 0, 0, 0, 0]), 12)
        steps = Steps(TASK.cameras)
        rollout(robot, robot.reset(), follow(actions), 12, steps)
        assert len(steps) == 12 and {len(images) for images in steps.images.values()} == {12}
        assert np.ptp(steps.rows("qpos")[[0, -1], 0]) > 0.05 and robot.stopped is None
        assert (np.diff(steps.rows("time")) > 0).all() and set(steps.rows("reward")) == {None}
        assert robot.servo.stats.acknowledged == acks
        assert robot.servo.stats.lost <= (4 if acks else 12)
        report = robot.report()
    for word in ("steps a second of 10", "ages when seen", "commands, clamped"):
        assert word in report


# --- what was sent


def recorded_actions(robot, act, length) -> np.ndarray:
    """(T, 7) actions as an episode has them."""
    steps = Steps()
    rollout(robot, robot.reset(), act, length, steps)
    return steps.rows("action")


def busy_from_now_on(robot) -> threading.Event:
    """Make the servo's thread wait before a command, until the event is set."""
    command, gate = robot.servo._arm.command, threading.Event()

    def waiting(target):
        gate.wait(30)
        command(target)

    robot.servo._arm.command = waiting
    return gate


def calm_again(robot, gate) -> None:
    gate.set()
    assert eventually(lambda: robot.servo.is_up_to_date)


def test_a_command_that_came_late_or_was_replaced_is_recorded_as_what_was_sent():
    """A thread that is busy holds the last command; of those that came meanwhile it sends the newest."""
    actions = START + np.outer([1, 2, 3, 3], np.append(np.radians([1.0, 0, 0, 0, 0, 0]), 0))
    gates = []

    def act(t, _):
        if t == 0:
            gates.append(busy_from_now_on(robot))
        if t == 3:
            calm_again(robot, *gates)
        return actions[t]

    with a_robot() as robot:
        recorded = recorded_actions(robot, act, 4)
        told = np.radians(robot.firmware.told_angles())
    assert np.array_equal(recorded[:3], [START] * 3), "nothing had been sent yet"
    assert np.array_equal(recorded[3], on_the_wire(actions[2]))
    assert not np.isclose(told[:, 0], actions[1, 0], atol=1e-5).any(), "it was replaced"
    assert np.allclose(told[-1], recorded[3, :6], atol=1e-6)


def test_a_command_that_is_clamped_late_is_recorded_as_what_was_sent():
    far = START + np.append(np.radians([60.0, 0, 0, 0, 0, 0]), 0)
    gates = []

    def act(t, _):
        if t == 0:
            gates.append(busy_from_now_on(robot))
            return far
        calm_again(robot, *gates)
        return robot.servo.sent

    with a_robot(limits={"max_step": 5.0}) as robot:
        recorded = recorded_actions(robot, act, 2)
        told = np.radians(robot.firmware.told_angles())
        assert robot.guard.clamped["step"] == 1
    assert np.array_equal(recorded[0], START), "not the command that was asked for"
    assert recorded[1, 0] == pytest.approx(START[0] + np.radians(5), abs=1e-3)
    assert np.allclose(told[-1], recorded[1, :6], atol=1e-6)


def test_a_step_says_what_was_sent_as_the_wire_can_say_it():
    action = START + 0.0123456
    with a_robot(fps=5) as robot:
        assert robot.reset().sent is None
        step = robot.step(action)
        while not np.array_equal(robot.servo.latest.target, on_the_wire(action)):
            step = robot.step(action)
        assert np.array_equal(step.sent, on_the_wire(action)) and not np.array_equal(step.sent, action)
        robot.request_stop("enough")
        stopped = robot.step(action)
        assert stopped.last() and np.array_equal(stopped.sent, robot.servo.latest.target), "where it holds"


# --- what ends it


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.full(7, np.nan), "the policy gave"),
        (START + np.append(np.zeros(5), [2.0, 0.0]), "the policy sends joint 6 to .* in training it was"),
    ],
)
def test_policies_out_of_their_mind(bad, reason):
    with a_robot(action_range=(START - 0.5, START + 0.5)) as robot:
        robot.reset()
        commands = len(robot.firmware.told_angles())
        step = until_stopped(robot, lambda n, target: bad if n == 3 else START)
        assert robot.stopped and re.search(reason, robot.stopped)
        assert set(step.observation) == {"qpos", "qvel", "images"}, "the episode has its last picture"
        assert (
            eventually(lambda: robot.firmware.sent(Command.STOP))
            and "the arm holds its pose" in robot.said[-1]
        )
        assert len(robot.firmware.told_angles()) <= commands + 3
        sent = len(robot.firmware.told_angles())
        assert robot.step(START).last() and robot.step(START).last(), "it stays stopped"
        assert len(robot.firmware.told_angles()) == sent
        assert not robot.reset().last() and robot.stopped is None, "until the next reset"


FAULTS = {
    "stuck joint": (
        Faults(stuck_joint=1, stuck_after=0.0),
        {"max_deviation": 12.0},
        "joint 1 went 0.0 degrees in",
    ),
    "hot servo": (Faults(hot_joint=2), {}, "servo 2 is at 80 degrees Celsius"),
    "overloaded servo": (Faults(overload_joint=4), {}, "servo 4 is at 3000 mA"),
    "pulled cable": (Faults(disconnect_after=1.5), {}, "the line to the arm has failed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_arm(fault):
    faults, limits, reason = FAULTS[fault]
    with a_robot(faults, limits=limits) as robot:
        step = robot.reset()
        if not step.last():
            step = until_stopped(robot)
        assert reason in robot.stopped and len(robot.said) == 1
    assert our_threads() == []


def test_the_way_to_the_start_waits_for_a_line_that_is_slow():
    """Each command is sent before the next is due: a late one does not double the step."""
    offset = np.radians([20, -10, 5, 0, 0, 30])
    with a_robot(offset=offset, limits={"start_speed": 60.0}) as robot:
        command, late = robot.servo._arm.command, itertools.cycle([0.0, 0.0, 0.0, 0.2])

        def slow(target):
            time.sleep(next(late))
            command(target)

        robot.servo._arm.command = slow
        assert not robot.reset().last()
        steps = np.abs(np.diff(robot.firmware.told_angles(), axis=0)).max(axis=1)
        assert steps.max() <= 60 / 20 + 0.02


def test_a_current_that_is_too_large_once_is_told_and_no_reason_to_stop():
    much = int16s(100, 100, 3000, 100, 100, 100)
    with a_robot() as robot:
        robot.reset()
        replies = iter([much])
        robot.firmware.alter[Command.GET_SERVO_CURRENTS] = lambda payload: next(replies, payload)
        for _ in range(200):
            assert not robot.step(START).last()
            if robot.said:
                break
        assert robot.said == [
            "look: servo 3 is at 3000 mA (--max_current 2500) for a moment; twice in a row stops the arm"
        ]


def test_an_arm_that_is_seen_outside_is_stopped():
    with a_robot(limits={"max_outside": 0.03}) as robot:
        robot.reset()
        began = time.monotonic()

        def sinks(payload):
            sunk = decode_angles(payload)
            sunk[1] += min(60.0, 30 * (time.monotonic() - began))
            return encode_angles(sunk)

        robot.firmware.alter[Command.GET_ANGLES] = sinks
        until_stopped(robot, lambda n, target: START)
        assert "--max_outside 0.03" in robot.stopped and robot.firmware.sent(Command.STOP)


@pytest.mark.parametrize("limits", [{"box_x": (-0.25, 0.25)}, {"table_height": 0.2}])
def test_a_start_pose_outside_is_refused_before_the_arm_moves(limits):
    with a_robot(limits=limits) as robot:
        assert robot.reset().last()
        assert "the limits keep the arm from its start pose" in robot.stopped and " mm " in robot.stopped
        assert not len(robot.firmware.told_angles())


def test_a_line_that_falls_silent_makes_the_state_stale():
    with a_robot(limits={"stale": 1.0}) as robot:
        robot.reset()
        robot.firmware.alter = {command: lambda payload: None for command in Command}
        until_stopped(robot)
        assert "the arm's state is" in robot.stopped


@pytest.mark.parametrize(
    ("faults", "acks"),
    [
        (Faults(lose_replies=0.01), True),
        (Faults(lose_replies=0.01), False),
        (Faults(late_share=0.05, late_ms=60), True),
        (Faults(gripper_255=True, corrupt_ms=15), True),
        (Faults(gripper_255=True, corrupt_ms=15), False),
    ],
)
def test_faults_that_are_survived(faults, acks):
    config = {"command_gap": 20.0, "gripper_period": 150.0}
    with a_robot(faults, acks, delays=True, fps=10, servo=config) as robot:
        robot.reset()
        for n in range(15):
            target = START + np.append(np.radians([n, 0, 0, 0, 0, 0]), -0.02 * n)
            assert not robot.step(target).last(), robot.stopped
        told = robot.firmware.told_angles()
        assert np.abs(told - np.degrees(START[:6]))[:, 1:].max() < 0.006, "nothing was garbled"


def test_a_camera_that_drops_out():
    with a_robot(limits={"stale": 1.0}) as robot:
        robot.reset()
        robot.cameras["top"].noise.gone.set()
        until_stopped(robot)
        assert "camera 'top' gave no picture for" in robot.stopped


def test_a_camera_that_freezes_while_the_arm_moves():
    with a_robot(limits={"frozen": 0.5, "max_deviation": 10.0, "deviation_time": 60.0}) as robot:
        robot.reset()
        for camera in robot.cameras.values():
            camera.noise.frozen = True
        for _ in range(20):
            assert not robot.step(START).last(), "a scene that does not move may look the same"
        until_stopped(robot)
        assert "has shown the same picture" in robot.stopped


def test_a_key_or_another_thread():
    pressed: list[str] = []
    with a_robot(operator=Operator(Person(press=lambda: [pressed.pop()] if pressed else []))) as robot:
        robot.reset()
        pressed.append("q")
        assert robot.step(START).last() and robot.stopped == "q was pressed"
        robot.reset()
        threading.Timer(0.1, robot.request_stop, ["enough"]).start()
        until_stopped(robot)
        assert robot.stopped == "enough" and robot.firmware.sent(Command.STOP)


def test_a_stop_does_not_wait_for_the_next_deadline():
    with a_robot(fps=0.05) as robot:
        robot._deadline, robot._has_begun = time.monotonic(), True
        threading.Timer(0.2, robot.request_stop, ["enough"]).start()
        began = time.monotonic()
        assert robot.step(START).last() and time.monotonic() - began < 15


def test_ctrl_c_ends_the_episode_in_order():
    with a_robot() as robot, robot.interrupts_stop():
        robot.reset()
        os.kill(os.getpid(), signal.SIGINT)
        assert until_stopped(robot).last() and robot.stopped == "Ctrl-C"
        with pytest.raises(KeyboardInterrupt):  # the second is as ever
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)


def test_ctrl_c_without_more_ado():
    with a_robot(fps=0.2) as robot:
        robot._deadline, robot._has_begun = time.monotonic(), True
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        assert robot.step(START).last() and robot.stopped == "Ctrl-C"
        assert robot.firmware.sent(Command.STOP)


def test_an_exception_in_between_leaves_the_arm_holding():
    with pytest.raises(ZeroDivisionError), a_robot() as robot:
        robot.reset()
        port = robot.servo._arm.link._serial
        raise ZeroDivisionError
    assert not port.is_open and our_threads() == []
    assert robot.firmware.sent(Command.STOP) and not robot.firmware.sent(Command.RELEASE_ALL_SERVOS)


# --- the start


def test_an_episode_may_start_elsewhere_and_the_next_starts_as_usual():
    elsewhere = START + np.append(np.radians([12.0, 0, 0, 0, 0, 0]), 0)
    with a_robot(limits={"start_speed": 60.0}) as robot:
        for start, pose in ((elsewhere, elsewhere), (None, START)):
            assert not robot.reset(start=start).last()
            assert np.array_equal(robot.servo.latest.target, on_the_wire(pose))
        assert robot.reset(start=np.full(7, np.nan)).last() and "7 finite numbers" in robot.stopped


def test_the_first_motion_is_confirmed_once():
    person = Person("y")
    with a_robot(offset=np.radians([10, 0, 0, 0, 0, 0]), operator=Operator(person, asks_first=True)) as robot:
        assert not robot.reset().last() and not robot.reset().last()
    (question,) = person.questions
    assert question.startswith("The arm moves to its start pose: 10 degrees in 0.")


def test_a_motion_that_is_not_confirmed_does_not_happen():
    operator = Operator(Person("n", "y"), asks_first=True)
    with a_robot(offset=np.radians([10, 0, 0, 0, 0, 0]), operator=operator) as robot:
        assert robot.reset().last() and robot.stopped == "the motion was not confirmed"
        assert not len(robot.firmware.told_angles())
        assert not robot.reset().last(), "asked again, and confirmed"


def test_a_start_pose_that_the_limits_forbid_is_told(monkeypatch):
    monkeypatch.setattr("mycobot_scripts.robot.start_pose.ARRIVAL", 0.5)
    with a_robot(limits={"box_x": (-0.3, 0.3)}, offset=np.radians([90, 0, 0, 0, 0, 0])) as robot:
        assert robot.reset().last()
        assert "the limits keep the arm from its start pose" in robot.stopped and "box" in robot.stopped


def test_a_start_pose_that_is_not_sent_in_time_is_told(monkeypatch):
    monkeypatch.setattr("mycobot_scripts.robot.start_pose.ARRIVAL", 0.2)
    with a_robot(offset=np.radians([10, 0, 0, 0, 0, 0])) as robot:
        monkeypatch.setattr(robot.servo, "send", lambda target: None)
        assert robot.reset().last() and "was not sent within 0 s: this computer is too busy" in robot.stopped


def test_an_arm_that_does_not_arrive_is_told(monkeypatch):
    monkeypatch.setattr("mycobot_scripts.robot.start_pose.ARRIVAL", 0.5)
    with a_robot(Faults(stuck_joint=1), offset=np.radians([10, 0, 0, 0, 0, 0])) as robot:
        assert robot.reset().last()
        assert "joint 1 is 10" in robot.stopped or "joint 1 is 9" in robot.stopped


def test_an_arm_guided_by_hand_is_told_nothing():
    with a_robot(limits={"max_deviation": 5.0, "deviation_time": 0.1}) as robot:
        robot.reset()
        robot.servo.release()
        sent = len(robot.firmware.told_angles())
        robot.firmware.body.place(START[:6] + 0.3, robot.firmware.body.now())
        for _ in range(10):
            step = robot.step(START)
            assert not step.last()
        assert np.allclose(step.observation["qpos"][:6], START[:6] + 0.3, atol=0.01)
        assert len(robot.firmware.told_angles()) == sent
        robot.servo.focus()
        assert not robot.step(robot.servo.latest.target).last()


def test_cameras_that_the_task_sees_with_must_be_there():
    with pytest.raises(
        ValueError, match="mycobot320_move_cube sees with top, right_wrist; --cameras lacks top"
    ):
        MyCobotRobot(TASK, None, {"right_wrist": None}, START)


def test_timing_of_nothing():
    timing = Timing(["top"])
    assert timing.text(10) == "no steps" and np.isnan(timing.rate) and timing.longest == 0
    timing.add(5.0, 0.0, 0.04, {"top": 0.03})
    for n in range(1, 11):
        timing.add(5.5 + n / 10 + 0.02 * (n == 7), 0.02 * (n == 7), 0.04, {"top": 0.03 + 0.1 * (n == 3)})
    assert timing.rate == pytest.approx(10) and timing.late_steps == 1
    assert timing.longest == pytest.approx(0.12) and "state 40, 40 ms; top 30, 120 ms" in timing.text(10)


# --- the twin


def test_a_rollout_on_the_twin():
    """The arm that is moved is the one the cameras see, and its props start where a simulated one's do."""
    task = replace(get_task("sim_mycobot320_move_cube_scripted"), episode_len=15)
    guard = make_guard(**CALM)
    with contextlib.ExitStack() as stack:
        stack.enter_context(clock.slowed(0.3))  # for a busy machine
        twin = stack.enter_context(start_twin(task.name, camera_fps=10, pace=0.3))
        scene = TwinScene(twin, task)
        stack.callback(scene.close)
        servo = stack.enter_context(Servo(twin.port, guard, ServoConfig(speed=60, reply_window=1000.0)))
        cameras = open_cameras(twin.cameras)
        robot = stack.enter_context(MyCobotRobot(task, servo, cameras, START, scene=scene))
        targets, steps = (
            np.linspace(START, START + np.radians([40, 0, 0, 0, 0, 0, 0]), 15),
            Steps(task.cameras),
        )
        rollout(robot, robot.reset(np.random.default_rng(5)), follow(targets), 15, steps)
        episode = steps.episode(task)
        assert robot.stopped is None and len(episode) == 15 and episode.reward.max() == 0
        assert scene.state["strict_success"] is False
        assert np.allclose(scene.state["env_state"], sample_start(task, np.random.default_rng(5)))
        assert episode.qpos[-1, 0] > episode.qpos[0, 0] + 0.1
        assert np.allclose(scene.state["qpos"][:6], servo.latest.qpos[:6], atol=0.3)
        first, last = (episode.images["right_wrist"][t].astype(int) for t in (0, 14))
        assert np.abs(first - last).mean() > 2, "the wrist camera went along"
    assert our_threads() == []
