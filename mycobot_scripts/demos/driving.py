"""Driving the arm by hand without an episode: jog, start pose, guiding, and on the twin its props."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mycobot_scripts.robot import COMMON, CTRL_C, TO_GUIDE, Session, keys_for, start_rng
from mycobot_scripts.wire import clock
from teleop import Device, Input, explain

IDLE = 1.0  # s without anything held down after which the arm counts as idle
COMMANDS = {"start pose": "to the start pose", "guide": "guide by hand"} | COMMON
OF_TWIN = {"knock loose": "knock the prop loose", "next": "put the props to another start"}


class Driver:
    """Lets a person drive an arm that is ready.

    Args:
        session: the arm.
        device: what the person holds.
        seed: of the places at which the twin's props are put.
    """

    def __init__(self, session: Session, device: Device, seed: int = 0) -> None:
        self._session, self._device, self._seed = session, device, seed
        self._robot, self._servo, self._operator = session.robot, session.servo, session.operator
        self._operator.listens = False  # the device reads the keys
        self._jog = session.jog()
        of_twin = OF_TWIN if session.is_twin else {}
        self._commands = {**COMMANDS, **of_twin, **device.commands, "stop": "quit"}
        self._moved = -np.inf  # when something was held down last, s
        self._count = 0  # of starts and knocks
        self._is_done = False

    def run(self) -> None:
        """Drive until the person quits; KeyboardInterrupt where that is by Ctrl-C."""
        print(explain(self._device, self._commands), flush=True)
        self._operator.show(jog=self._jog, keys=keys_for(self._commands))
        pressed = Input()
        try:
            while not self._is_done:
                self._drive(pressed)
                if self._robot.stopped == CTRL_C:
                    raise KeyboardInterrupt  # the arm holds its pose: what is pressed there ends a script
                pressed = self._wait()
        finally:
            if self._servo.released:
                self._servo.focus()

    def _drive(self, pressed: Input) -> None:
        """Drive until the arm is stopped, or the person quits; `pressed` comes first."""
        step = self._robot.begin()
        self._jog.begin(self._servo.sent)
        while not (step.last() or self._is_done):
            if self._do(pressed):
                if self._robot.stopped is not None:
                    return
                step = self._robot.begin()
                self._jog.begin(self._servo.sent)
                pressed = Input()  # where the hand was is no place to follow it from
            self._tell(pressed)
            qpos = np.asarray(step.observation["qpos"], dtype=float)
            is_guided = self._servo.released
            period = self._robot.period
            step = self._robot.step(
                qpos if is_guided else self._jog.step(pressed.rates, period, qpos, pressed.hand)
            )
            pressed = self._device.read(clock.now())

    def _wait(self) -> Input:
        """The arm was stopped; wait until the person wants something, and return that.

        What was pressed before counts no more, and what is held down only once it was let go.
        """
        pressed = replace(self._device.read(clock.now()), commands=frozenset())
        is_held = True
        while not (self._is_done or pressed.commands or (pressed.moves and not is_held)):
            is_held = is_held and pressed.moves
            if self._operator.asked_to_stop():
                self._robot.begin()  # it stops once more, and says so
            clock.sleep(self._robot.period)
            pressed = self._device.read(clock.now())
        return pressed

    def _do(self, pressed: Input) -> bool:
        """Do what a key asks for; returns whether time has passed meanwhile."""
        commands = pressed.commands
        self._is_done = "stop" in commands
        if "other arm" in commands:
            self._jog.switch()
            self._operator.say(f"driving in {self._jog.mode} space")
        if "guide" in commands:
            self._guide()
        elif "start pose" in commands and not self._servo.released:
            self._robot.move()
        elif "knock loose" in commands and self._session.is_twin:
            self._count += 1
            self._session.scene.knock_loose(self._seed, self._count)
        elif "next" in commands and self._session.is_twin:
            self._count += 1
            here = self._servo.latest.qpos
            self._session.scene.reset(start_rng(self._seed, self._count), None, here)
            self._operator.say("the props are at another start")
        return bool(commands & {"guide", "start pose", "next"})

    def _guide(self) -> None:
        """Let the arm be guided by hand, or have it hold itself again."""
        if self._servo.released:
            self._servo.focus()
            self._operator.show(doing="idle")
            self._operator.say("the arm holds itself again")
        elif self._operator.holds_it(TO_GUIDE):
            self._servo.release()
            self._operator.show(doing="guide")
            self._operator.say("guide the arm; g: it holds itself again")
        else:
            self._operator.say("the servos stay on")

    def _tell(self, pressed: Input) -> None:
        """Show what the arm does, and in a terminal where it is."""
        now = clock.now()
        self._moved = now if pressed.moves else self._moved
        if self._robot.stopped is None:
            is_moving = now - self._moved < IDLE
            doing = "guide" if self._servo.released else "jog" if is_moving else "idle"
            self._operator.show(doing=doing)
            degrees = " ".join(f"{angle:7.2f}" for angle in np.degrees(self._servo.latest.qpos[:-1]))
            waits = f"   waits for {self._jog.waits_for}" if self._jog.waits_for else ""
            space = "by hand" if self._servo.released else f"{self._jog.mode} space"
            gripper = self._servo.sent[-1]
            line = f"\r{space}   {degrees} deg   gripper {gripper:.2f}{waits}"
            print(f"{line:<100}", end="", flush=True)
