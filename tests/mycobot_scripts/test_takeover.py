"""Taking over: whose actions reach the arm when, and what is recorded of it."""

from dataclasses import replace

import numpy as np
import pytest
from arm_rig import Person as Keyboard

from constants import MYCOBOT, get_task
from episodes.episode import Episode
from evaluation.episode_loop import Steps, rollout
from mycobot_scripts.demos.journal import list_journals
from mycobot_scripts.demos.policy_runs.takeover import MIN_STEPS, Corrections, TakeOver, WithCorrections
from mycobot_scripts.kinematics import TOOL_LENGTH
from mycobot_scripts.robot.operator.jog import JOINT_SPEED, Jog, axes_from
from mycobot_scripts.robot.operator.person import Operator
from mycobot_scripts.robot.session import as_recorded
from tasks.timestep import TimeStep
from teleop import Hand, Retarget
from teleop.devices import RATES, Input

TASK = get_task("mycobot320_move_cube")
RECORDS = (TASK.cameras, as_recorded(TASK, is_twin=False, disturb=("noise=mild",)))
POSE = np.array([0.1, 0.2, -0.3, 0.4, -0.5, 0.6, 0.7])


class Execution:
    """Sends the arm a bit further at each call; counts since it was last reset."""

    def __init__(self) -> None:
        self.resets, self.calls, self.count = [], 0, 1

    def reset(self, key=(0,)) -> None:
        self.resets.append(tuple(key))
        self.calls = 0

    look_anew = reset

    def advance(self) -> None:
        self.resets.append("next")

    def __call__(self, observation) -> np.ndarray:
        self.calls += 1
        return POSE + 0.01 * self.calls


class Person:
    """What is pressed at each call, by its number."""

    layouts = ({"w": ("y", 1), "g": "guide"},)
    commands: dict[str, str] = {}

    def __init__(self, commands: dict[int, str], rates: dict[int, np.ndarray] | None = None) -> None:
        self._commands, self._rates, self._call = commands, rates or {}, -1

    def read(self, now: float) -> Input:
        self._call += 1
        commands = frozenset([self._commands[self._call]] if self._call in self._commands else [])
        return Input(self._rates.get(self._call, np.zeros(len(RATES))), commands)


class Robot:
    """Notes in `log` what is asked of it, and of its servo."""

    period = 1 / TASK.fps

    def __init__(self, most: float = np.inf) -> None:
        self.log: list[str] = []
        self.servo, self._most, self._steps = self, most, 0

    def step(self, action: np.ndarray) -> TimeStep:
        """Sends an action, no joint further than to `most`."""
        self._steps += 1
        return TimeStep(observation(self._steps), sent=np.minimum(action, self._most), time=self._steps / 10)

    def release(self) -> None:
        self.log.append("release")

    def focus(self) -> None:
        self.log.append("focus")

    def request_stop(self, reason: str) -> None:
        self.log.append(reason)


def observation(t: int) -> dict:
    picture = np.full((24, 32, 3), t, np.uint8)
    return {"qpos": POSE + t, "qvel": np.zeros(7), "images": dict.fromkeys(TASK.cameras, picture)}


def run(person: Person, steps: int, tmp_path, robot: Robot | None = None, answers: tuple[str, ...] = ()):
    """Actions (steps, 7), and the rest of what took part."""
    execution = Execution()
    corrections = Corrections(tmp_path / "corrections", *RECORDS)
    said: list[str] = []
    operator = Operator(Keyboard(*answers), say=said.append)
    robot, actions = robot or Robot(), []
    takeover = TakeOver(execution, person, Jog("joint"), robot, operator, corrections)
    takeover.reset([3, 1])

    def act(_: int, seen: dict) -> np.ndarray:
        actions.append(takeover(seen))
        return actions[-1]

    start = TimeStep(observation(0), time=0.0)
    rollout(robot, start, act, steps, WithCorrections(Steps(TASK.cameras), corrections))
    return np.array(actions), takeover, execution, corrections, said


def test_the_next_part_is_offered_where_there_is_one(tmp_path):
    _, takeover, execution, *_ = run(Person({}), 1, tmp_path)
    assert "next part" not in takeover.help
    execution.count = 2
    assert "next part" in takeover.help


def test_without_a_key_it_is_the_policy(tmp_path):
    actions, takeover, execution, corrections, said = run(Person({}), 10, tmp_path)
    np.testing.assert_allclose(actions, POSE + 0.01 * np.arange(1, 11)[:, None])
    takeover.finish()
    assert execution.resets == [(3, 1)] and not corrections.paths and not said
    assert not (tmp_path / "corrections").exists()


def test_the_person_drives_from_where_the_arm_was_sent_and_the_policy_looks_anew(tmp_path):
    rates = {t: np.eye(len(RATES))[0] for t in range(6, 9)}  # joint 1
    person = Person({4: "take over", 14: "give back"}, rates)
    actions, takeover, execution, corrections, said = run(person, 20, tmp_path)
    sent = POSE + 0.04
    np.testing.assert_allclose(actions[4:6], [sent, sent])
    np.testing.assert_allclose(actions[13] - sent, 0.3 * JOINT_SPEED * np.eye(7)[0], atol=1e-9)
    np.testing.assert_allclose(actions[14:16], [POSE + 0.01, POSE + 0.02])
    assert execution.resets == [(3, 1), (3, 1, 1)] and takeover.takeovers == 1
    (path,) = corrections.paths
    episode = Episode.load(path)
    assert len(episode) == 10 and (episode.task, episode.fps, episode.sim) == (TASK.name, 10, False)
    np.testing.assert_allclose(episode.action, actions[4:14], atol=1e-6)
    np.testing.assert_allclose(episode.qpos, [POSE + t for t in range(4, 14)], rtol=1e-6)
    assert abs(int(episode.images["top"][9].mean()) - 13) <= 1
    assert said[0].startswith("the arm is yours, in joint space") and said[-1] == "the policy goes on"


def test_jogging_moves_the_target(tmp_path):
    rates = {t: np.eye(len(RATES))[0] for t in range(1, 4)}
    person, corrections = Person({0: "take over"}, rates), Corrections(tmp_path, *RECORDS)
    takeover = TakeOver(Execution(), person, Jog("joint"), Robot(), Operator(say=lambda _: None), corrections)
    takeover.reset()
    still = {**observation(0), "qpos": POSE}
    actions = np.array([takeover(still) for _ in range(6)])
    np.testing.assert_allclose(
        actions[:, 0] - POSE[0], JOINT_SPEED * 0.1 * np.array([0, 1, 2, 3, 3, 3]), atol=1e-9
    )
    np.testing.assert_allclose(actions[:, 1:], np.tile(POSE[1:], (6, 1)))
    takeover.finish()


def test_guiding_by_hand_releases_only_after_a_yes(tmp_path):
    robot = Robot()
    person = Person({1: "take over", 2: "guide", 9: "give back"})
    actions, takeover, execution, corrections, said = run(person, 12, tmp_path, robot, ("enter",))
    assert robot.log == ["release", "focus"]
    np.testing.assert_allclose(actions[3:9], [POSE + t for t in range(3, 9)])  # where the hand brought it
    np.testing.assert_allclose(actions[9], POSE + 0.01)
    (path,) = corrections.paths
    np.testing.assert_allclose(Episode.load(path).action[3:], actions[4:9], rtol=1e-6)

    robot = Robot()
    actions, takeover, *_, said = run(Person({1: "take over", 2: "guide"}), 5, tmp_path, robot, ("n",))
    assert robot.log == [] and said[-1] == "the servos stay on" and takeover.mode == "jog"
    takeover.finish()


class Leading(Person):
    """A hand that is moved by 0.15 m while the person is asked at call 2."""

    def read(self, now: float) -> Input:
        pressed = super().read(now)
        place = 0.0 if self._call <= 2 else 0.15
        return replace(pressed, hand=Hand(1, np.array([place, 0.0, 0.0]), np.eye(3)))


def test_the_arm_does_not_make_up_what_a_hand_did_while_the_person_was_asked(tmp_path):
    start, axes = np.append(MYCOBOT.start, 0.7), axes_from("behind")
    jog, robot = Jog("tool", TOOL_LENGTH, axes, Retarget(1.0, axes)), Robot()
    operator = Operator(Keyboard("n"), say=lambda _: None)
    corrections = Corrections(tmp_path, *RECORDS)
    takeover = TakeOver(Execution(), Leading({0: "take over", 2: "guide"}), jog, robot, operator, corrections)
    takeover.reset()
    sent = np.array([takeover({**observation(0), "qpos": start}) for _ in range(12)])
    assert robot.log == [] and takeover.mode == "jog"
    assert np.abs(np.diff(sent, axis=0)).max() < 1e-3
    takeover.finish()


def test_a_run_that_ends_meanwhile_keeps_the_correction_and_holds_the_arm(tmp_path):
    robot, person = Robot(), Person({0: "take over", 1: "guide"})
    *_, takeover, execution, corrections, said = run(person, 8, tmp_path, robot, ("enter",))
    takeover.finish()
    assert robot.log == ["release", "focus"] and len(corrections.paths) == 1
    assert list_journals(tmp_path / "corrections") == []


def test_a_correction_holds_what_was_sent(tmp_path):
    rates = {t: np.eye(len(RATES))[0] for t in range(1, 9)}  # joint 1
    actions, *_, corrections, _ = run(
        Person({0: "take over", 9: "give back"}, rates), 10, tmp_path, Robot(most=0.65)
    )
    (path,) = corrections.paths
    assert actions[:9].max() > 0.69, "more was asked for"
    np.testing.assert_allclose(Episode.load(path).action, np.minimum(actions[:9], 0.65), rtol=1e-6)


def test_a_touch_of_the_key_is_no_correction(tmp_path):
    person = Person({2: "take over", 2 + MIN_STEPS - 1: "give back"})
    *_, corrections, said = run(person, 10, tmp_path)
    assert corrections.paths == () and list((tmp_path / "corrections").iterdir()) == []


def test_q_stops_whoever_drives(tmp_path):
    robot = Robot()
    run(Person({3: "stop"}), 5, tmp_path, robot)
    assert robot.log == ["q was pressed"]


def test_n_ends_a_part_of_the_run(tmp_path):
    _, _, execution, *_ = run(Person({2: "next"}), 5, tmp_path)
    assert execution.resets == [(3, 1), "next"]


@pytest.mark.parametrize("command", ["give back", "guide"])
def test_keys_of_a_person_who_does_not_drive_do_nothing(tmp_path, command):
    robot = Robot()
    actions, takeover, execution, *_ = run(Person({2: command}), 5, tmp_path, robot)
    assert takeover.mode == "policy" and robot.log == [] and execution.resets == [(3, 1)]


def test_corrections_take_the_next_free_numbers(tmp_path):
    for number in range(2):
        run(Person({0: "take over", 8: "give back"}), 9, tmp_path)
        assert (tmp_path / "corrections" / f"episode_{number}.hdf5").exists()
