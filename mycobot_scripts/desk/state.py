"""What a page is told about the arm and the script that drives it, as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mycobot_scripts.desk.desk import Desk
from mycobot_scripts.robot import MyCobotRobot
from mycobot_scripts.wire import clock


def describe(desk: Desk) -> dict[str, Any]:
    """The state: what scripts show (`desk.FACTS`), and what the desk adds."""
    facts = {name: value() if callable(value) else value for name, value in desk.facts.items()}
    jog, question, silence = facts["jog"], desk.question, desk.control.silence
    return {
        **desk.about,
        **facts,
        "doing": "waiting" if question else facts["doing"],
        "question": question and question.describe(),
        "keys": [{"key": key, "word": word} for key, word in facts["keys"]],
        "jog": jog and {"space": jog.mode, "waits_for": jog.waits_for},
        "stopped": desk.stop_asked() or facts["stopped"],
        "said": desk.said.lines(),
        "status": facts["status"] or desk.said.status,
        "cameras": list(desk.pictures),
        "owner": desk.control.owner,
        "heard": silence and round(silence, 3),
        "attended": desk.attended,
        **(of_robot(desk.robot) if desk.robot else NO_ROBOT),
    }


NO_ROBOT: dict[str, Any] = {
    "qpos": None,
    "sent": None,
    "temperatures": [],
    "currents": [],
    "released": False,
    "rate": None,
    "ages": {},
    "clamps": "",
}


def of_robot(robot: MyCobotRobot) -> dict[str, Any]:
    """Where the arm is, and how it does."""
    servo, now = robot.servo, clock.now()
    ages = {"state": now - servo.latest.time}
    ages |= {name: now - camera.latest.time for name, camera in robot.cameras.items() if camera.count}
    rate = robot.timing.recent_rate()
    return {
        "qpos": [round(float(value), 5) for value in servo.latest.qpos],
        "sent": [round(float(value), 5) for value in servo.sent],
        "temperatures": list(servo.temperatures),
        "currents": list(servo.currents),
        "released": servo.released,
        "rate": round(rate, 2) if math.isfinite(rate) else None,
        "ages": _rounded(ages),
        "clamps": robot.guard.report(),
    }


def _rounded(ages: Mapping[str, float]) -> dict[str, float]:
    return {name: round(age, 3) for name, age in ages.items()}
