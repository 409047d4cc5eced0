"""A person at a page, as scripts see one: keys, answers, rates, STOP; and what the page is shown.

STOP and a lost page act at once, from the server's thread and from one that listens (`_watch`): the servo
loop holds and takes no more targets, whatever the script sends, until the script has ended its run.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mycobot_scripts.desk.control import Control
from mycobot_scripts.desk.pictures import Pictures
from mycobot_scripts.desk.questions import Question
from mycobot_scripts.desk.said import Said
from mycobot_scripts.robot import LOST, STOP, Keys, Look, check_question

if TYPE_CHECKING:
    from mycobot_scripts.robot import MyCobotRobot

FIRST = 10.0  # s within which a page must be heard before the arm moves
LISTEN = 0.02  # s between looks whether the page is still there
MOVING = ("moving", "jog", "episode")  # what a lost page stops

# What scripts show (`Keys.show`), and what holds until they do; the desk adds the rest.
FACTS: dict[str, Any] = {
    "doing": "starting",  # starting, idle, moving, jog, guide, episode, ended
    "keys": (),  # (key, word) pairs: what keys do now
    "progress": None,  # {"episode", "episodes", "step", "steps"}
    "policy": None,  # {"mode", "part", "parts", "remaining", "chunk", "left"}
    "jog": None,  # a `robot.Jog` while rates drive the arm
    "stopped": None,  # why the arm was stopped
    "success": None,  # of the last episode
    "reward": None,  # now, and the highest there is
    "findings": None,  # of check_arm.py so far
    "status": None,  # one line of the present step; the last that was written over, if not shown
}


class Desk(Keys):
    """What pages say to a script, and are told of it; `close` it.

    Args:
        about: task, robot and script, for the state.
        attended: whether the arm stops when the page is lost.
    """

    def __init__(self, about: Mapping[str, str], attended: bool = True) -> None:
        self.about, self.attended = dict(about), attended
        self.control, self.said = Control(), Said()
        self.facts: dict[str, Any] = dict(FACTS)
        self.pictures: dict[str, Pictures] = {}
        self.robot: MyCobotRobot | None = None
        self.question: Question | None = None
        self._asked = 0  # questions so far
        self._answered = threading.Condition()
        self._stop: str | None = None  # why the arm is to stop, until it has
        self._stopping = threading.Lock()  # of `_stop`, and whether the servo loop is halted
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="desk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join()

    # --- what scripts ask

    def poll(self) -> list[str]:
        return self.control.poll()

    @property
    def rates(self) -> np.ndarray:
        return self.control.rates

    def stop_asked(self) -> str | None:
        return self._stop

    def ask(self, question: str, answers: Mapping[str, Any]) -> Any:
        check_question(question, answers)
        return answers[self._ask(question, tuple(answers))]

    def line(self, prompt: str) -> str:
        return self._ask(prompt)

    def _ask(self, text: str, keys: tuple[str, ...] = ()) -> str:
        """Have a page answer by one of the keys, or by a line if there are none."""
        self.poll()  # what was pressed before does not count
        self._asked += 1
        question = Question(self._asked, text.strip(), keys, takes_line=not keys)
        self.question = question
        try:
            while question.answer is None:
                with self._answered:  # in short, so that signals are seen
                    self._answered.wait(LISTEN)
                pressed = [key for key in self.poll() if key in keys]
                if question.answer is None and pressed:
                    question.answer = pressed[0]
        finally:
            self.question = None
        print(f"{text} {question.answer}", flush=True)
        if self.facts["doing"] not in MOVING:  # a consent after STOP; not one in the middle of a run
            self._go_on(self._stop)
        return question.answer

    def meet(self, robot: MyCobotRobot) -> None:
        self.robot = robot
        self.see({name: camera.look for name, camera in robot.cameras.items()})
        self.facts["doing"] = "idle"
        deadline = time.monotonic() + FIRST
        while self.attended and self.control.silence is None:
            if time.monotonic() > deadline:
                why = f"no page was heard for {FIRST:.0f} s; open one, or give --unattended"
                raise RuntimeError(why)
            time.sleep(LISTEN)

    def show(self, **facts: Any) -> None:
        if unknown := facts.keys() - FACTS.keys():
            raise TypeError(f"the desk shows no {', '.join(unknown)}")
        self.facts |= facts
        if facts.get("stopped") is not None:
            self._go_on(facts["stopped"])

    def see(self, looks: Mapping[str, Look]) -> bool:
        self.pictures = {**self.pictures, **{name: Pictures(look) for name, look in looks.items()}}
        return True

    # --- what pages ask

    def answer(self, number: int, answer: str) -> None:
        """Answer the question of a number, by a key or a line; ValueError if it does not take that."""
        with self._answered:
            question = self.question
            if question is None or question.number != number or question.answer is not None:
                raise ValueError(f"question {number!r:.20} is not asked, or not any more")
            if not question.takes_line and answer not in question.keys:
                raise ValueError(f"key is {answer!r:.40}; question {number} takes {', '.join(question.keys)}")
            question.answer = answer
            self._answered.notify_all()

    def stop(self, reason: str = STOP) -> None:
        """The arm holds now, and the run ends; from any thread."""
        robot = self.robot
        with self._stopping:
            reason = self._stop = self._stop or reason
            if robot is not None:
                robot.servo.halted = True
        if robot is not None:
            robot.request_stop(reason)
            with contextlib.suppress(RuntimeError, OSError):  # whoever drives the arm reports the line
                if robot.servo.released:  # guided by hand: it must not drop when the person lets go
                    robot.servo.focus()
                robot.servo.hold()

    def _go_on(self, reason: str | None) -> None:
        """The run has stopped for a reason, or the person wants to go on all the same."""
        with self._stopping:
            if self._stop == reason:
                self._stop = None
                if self.robot is not None:
                    self.robot.servo.halted = False

    def _watch(self) -> None:
        """Stop what moves as soon as the page is lost."""
        while not self._ending.wait(LISTEN):
            is_moving = self.facts["doing"] in MOVING and self.question is None
            if self.attended and is_moving and self.control.is_lost and not self._stop:
                self.stop(LOST)
