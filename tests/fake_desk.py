"""A desk that tests write the state of, and a job that it belongs to, for tests of pages without an arm."""

import json
import os
import threading
import time

import cv2
import numpy as np

from cockpit_app.runner import JOB, STARTED, write_json
from common import LocalHandler, LocalServer, began

STATE = {
    "task": "sim_mycobot320_choose_scripted", "robot": "twin", "script": "drive_arm", "doing": "idle",
    "question": None,
    "keys": [{"key": "h", "word": "to the start pose"}, {"key": "q", "word": "quit"}],
    "said": [{"n": 1, "text": "connected to the twin"}], "status": "waits for you",
    "progress": None, "policy": None,
    "qpos": [0.0, -0.4, -0.9, -0.3, 0.0, 0.0, 0.5], "sent": [0.0, -0.4, -0.9, -0.3, 0.0, 0.0, 0.5],
    "temperatures": [31, 33, 32, 35, 36, 34], "currents": [80, 410, 260, 90, 40, 20], "released": False,
    "rate": 10.0, "ages": {"state": 0.03, "top": 0.05, "right_wrist": 0.06}, "clamps": "", "stopped": None,
    "jog": {"space": "tool", "waits_for": ""}, "cameras": ["top", "right_wrist"],
    "success": None, "reward": None,
    "owner": None, "heard": 0.0, "attended": True,
}  # fmt: skip


def picture(shade):
    """A JPEG."""
    frame = np.full((48, 64, 3), shade, np.uint8)
    return cv2.imencode(".jpg", frame)[1].tobytes()


class FakeDesk(LocalServer):
    """Says `state`, and keeps what it was told: `beats`, `keys`, `answers`, and how often it was stopped."""

    def __init__(self):
        self.state = json.loads(json.dumps(STATE))
        self.beats, self.keys, self.answers, self.stops = [], [], [], 0
        self.lock = threading.Lock()
        super().__init__(_Handler)

    def job(self, cockpit, program="drive"):
        """A job that runs for as long as this process, whose desk this is; its number."""
        folder = cockpit.jobs._new_folder()
        about = {
            "program": program,
            "command": [],
            "shown": "python3 drive_arm.py",
            "title": "",
            "values": {},
        }
        write_json(folder / JOB, {**about, "folder": str(cockpit.places.here), "at": 0.0})
        write_json(folder / STARTED, {"runner": {"pid": os.getpid(), "began": began(os.getpid())}})
        write_json(folder / "desk.json", {"url": self.url, "token": self.token, "pid": os.getpid()})
        return folder.name

    def is_left_alone(self, seconds=0.5):
        """Whether no page says that it is there, over a while; beats that were on their way do not count."""
        count = len(self.beats)
        time.sleep(seconds)
        return len(self.beats) == count

    def told(self, name, body):
        """What the real one does with a POST."""
        with self.lock:
            if name == "beat":
                self.state["owner"] = self.state["owner"] or body["client"]
                self.beats.append(body)
                self.keys += body["keys"]
            elif name == "answer":
                self.answers.append(body)
                self.state["question"] = None
            elif name == "own":
                self.state["owner"] = body["client"]
            elif name == "leave":
                self.state["owner"] = None if self.state["owner"] == body["client"] else self.state["owner"]
            elif name == "stop":
                self.stops += 1
                self.state.update(stopped="you stopped it", jog=None)
            return self.state


class _Handler(LocalHandler):
    server: FakeDesk

    def get(self, name):
        if name.endswith(".jpg"):
            self.send(picture(90 if name.startswith("top") else 160), "image/jpeg")
        elif name == "state":
            self.send_json(self.server.state)
        else:
            super().get(name)

    def post(self, name, body):
        return self.server.told(name, body)
