"""The twin's HTTP: cameras as any IP camera gives them (MJPEG), its state, resets, and a page that shows all.

GET /              a page with all cameras and the state
GET /<camera>      the stream, multipart/x-mixed-replace; every part tells its length and its time
GET /<camera>.jpg  one picture
GET /state         JSON: reward, success, case, qpos and so on (`TwinState`)
POST /reset        JSON {"env_state": [...]}, or {"seed", "index", "stream"} as evaluations draw starts, and
                   {"case"}; {"arm": false} leaves the arm where it is; {"disturb": {"words": ["mass=strong"],
                   "seed", "rollout"}} changes physics and look of this episode. Answers the state.
POST /guide        JSON {"qpos": [6 or 7 numbers, rad]}: a hand brings released joints there; {} lets go;
                   {"along": [right, away, up]} (m) moves the tool as the first picture shows it
POST /knock_loose  JSON {}, or {"seed", "index"} as evaluations draw the place: a hand takes the first prop
                   away, and puts it where an episode of this case could start

A POST is `application/json` and brings the token of the printed address, as `X-Token` or `?token=`: see
`serving`.
"""

from __future__ import annotations

from functools import cached_property
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np

from common import PAGE_STYLE, LocalHandler, LocalServer, Refused, choose
from constants import Stream
from disturbances import LOOK, MODEL, read_set
from mycobot_scripts.kinematics import JOINTS, forward, solve
from mycobot_scripts.robot import axes_in_picture
from mycobot_scripts.safety import HARD_LIMITS
from mycobot_scripts.stand_in.firmware import Firmware
from mycobot_scripts.stand_in.twin.feeds import CameraFeed
from mycobot_scripts.stand_in.twin.state import Changes, as_json
from mycobot_scripts.stand_in.twin.world import TwinWorld
from mycobot_scripts.wire import clock
from tasks import Task

BOUNDARY = "frame"
MAX_AWAY = 2.0  # m from the arm's foot, along each axis: where a prop may be put
MAX_TURN = HARD_LIMITS + 1.0  # degrees to which a hand can bring the joints: as far as they go, and rounding
MAX_STRIDE = 0.05  # m; a hand moves the tool by no more at once
_WEB = Path(__file__).parent / "web"
_FILES = {  # by name in an address: the file and its type
    "page.css": (PAGE_STYLE, "text/css; charset=utf-8"),
    "twin.js": (_WEB / "twin.js", "text/javascript; charset=utf-8"),
    "twin.css": (_WEB / "twin.css", "text/css; charset=utf-8"),
}


class TwinServer(LocalServer):
    """Serves a world on 127.0.0.1, in threads, until `close`; ValueError if the port cannot be had."""

    def __init__(self, world: TwinWorld, firmware: Firmware, port: int = 0) -> None:
        self.world, self.firmware = world, firmware
        try:
            super().__init__(_Handler, port)
        except OSError as error:
            raise ValueError(
                f"--http_port {port} cannot be had ({error.strerror}); 0 takes any free"
            ) from None

    @cached_property
    def axes(self) -> np.ndarray:
        """Right, away and up in the first picture, as columns (3, 3) in the base's frame."""
        return axes_in_picture(self.world.task)


class _Handler(LocalHandler):
    server: TwinServer

    def get(self, name: str) -> None:
        feeds = self.server.world.feeds
        if name == "":
            self.send(_page(self.server.world).encode(), "text/html; charset=utf-8")
        elif name in _FILES:
            path, content_type = _FILES[name]
            self.send(path.read_bytes(), content_type)
        elif name == "state":
            self.send_json(as_json(self.server.world.tell()))
        elif name.removesuffix(".jpg") in feeds:
            feed = feeds[name.removesuffix(".jpg")]
            with feed:
                self._picture(feed) if name.endswith(".jpg") else self._stream(feed)
        else:
            raise Refused(HTTPStatus.NOT_FOUND, f"no {name!r} here; there is state, and {', '.join(feeds)}")

    def post(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        actions = {"reset": self._reset, "guide": self._guide, "knock_loose": self._knock_loose}
        return actions[choose("request", name, actions)](body)

    def _reset(self, body: dict[str, Any]) -> dict[str, Any]:
        world = self.server.world
        start, case, rng = read_reset(world, body)
        with_arm = body.get("arm", True)
        state = world.reset(start, case, rng, with_arm, read_changes(world, body.get("disturb")))
        if with_arm:
            self.server.firmware.placed(world.now())
        return as_json(state)

    def _knock_loose(self, body: dict[str, Any]) -> dict[str, Any]:
        _known(body, ("seed", "index"))
        key = None
        if body.get("seed") is not None:
            key = [_whole("seed", body["seed"]), Stream.KNOCK, _whole("index", body.get("index", 0))]
        return as_json(self.server.world.knock_loose(np.random.default_rng(key)))

    def _guide(self, body: dict[str, Any]) -> dict[str, Any]:
        _known(body, ("qpos", "along"))
        if body.get("along") is not None:
            return as_json(self.server.world.guide(self._moved(_numbers("along", body["along"]))))
        joints = body.get("qpos")
        if joints is None:
            return as_json(self.server.world.guide(None))
        joints = _numbers("qpos", joints)
        if joints.size not in (JOINTS, JOINTS + 1):
            raise ValueError(f"qpos has {joints.size} entries; it must be 6 angles in rad")
        too_far = np.flatnonzero(np.abs(np.degrees(joints[:JOINTS])) > MAX_TURN)
        if too_far.size:
            joint = too_far[0]
            raise ValueError(
                f"qpos brings joint {joint + 1} to {np.degrees(joints[joint]):.4g} degrees; it turns "
                f"{HARD_LIMITS[joint]:g} either way"
            )
        return as_json(self.server.world.guide(joints[:JOINTS]))

    def _moved(self, along: np.ndarray) -> np.ndarray:
        """Joints (6,) whose tool is further along (3,) in m; ValueError where the arm cannot go."""
        if along.size != 3 or np.abs(along).max() > MAX_STRIDE:
            raise ValueError(f"along is {along.tolist()}; it must be 3 lengths of {MAX_STRIDE} m at most")
        joints, reach = np.array(self.server.world.tell().qpos[:JOINTS]), np.radians(HARD_LIMITS)
        flange, orientation = forward(joints)
        there = solve(flange + self.server.axes @ along, orientation, joints, (-reach, reach))
        if there is None:
            raise ValueError("the arm cannot go further that way")
        return there

    def _stream(self, feed: CameraFeed) -> None:
        picture = feed.next(0)
        if picture is None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"camera {feed.name} is gone")
        self.begin(f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        while picture is not None:
            jpeg = picture.jpeg()
            head = (
                f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n"
                f"X-Timestamp: {clock.real(picture.time):.6f}\r\n\r\n"
            )
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            picture = feed.next(picture.number)

    def _picture(self, feed: CameraFeed) -> None:
        latest = feed.next(0)
        picture = latest and (feed.next(latest.number) or latest)  # the latest may be of long ago
        if picture is None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"camera {feed.name} is gone")
        self.send(picture.jpeg(), "image/jpeg")


def _page(world: TwinWorld) -> str:
    images = "".join(
        f'<figure><img src="/{name}" alt="{name}"><figcaption>{name}</figcaption></figure>'
        for name in map(escape, world.feeds)
    )
    page = (_WEB / "twin.html").read_text(encoding="utf-8")
    return page.replace("{{title}}", escape(world.task.name)).replace("{{images}}", images)


def _known(body: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in body:
        choose("entry", name, names)


def _numbers(name: str, value: Any) -> np.ndarray:
    """(n,) finite numbers of a request's entry; ValueError if it is anything else."""
    is_list = isinstance(value, list) and all(type(entry) in (int, float) for entry in value)
    numbers = np.array(value, float) if is_list else np.empty(0)
    if not numbers.size or not np.isfinite(numbers).all():
        raise ValueError(f"{name} is {value!r:.100}; it must be a list of numbers")
    return numbers


def _whole(name: str, value: Any) -> int:
    """A request's entry that is a whole number, 0 or more."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {value!r:.100}; it must be a whole number, 0 or more")
    return value


def read_reset(
    world: TwinWorld, body: dict[str, Any]
) -> tuple[np.ndarray | None, int | None, np.random.Generator]:
    """Start, case and random numbers that a reset asks for; ValueError for what it cannot ask."""
    _known(body, ("env_state", "seed", "index", "stream", "case", "arm", "disturb"))
    task, case = world.task, body.get("case")
    if not isinstance(body.get("arm", True), bool):
        raise ValueError(f"arm is {body['arm']!r:.100}; it must be true or false")
    if case is not None and _whole("case", case) >= max(1, len(task.cases)):
        raise ValueError(f"case is {case!r:.100}; {task.name} has {len(task.cases)} cases, from 0")
    if body.get("env_state") is not None:
        return _start(task, body["env_state"]), None, np.random.default_rng()
    if body.get("seed") is None:
        return None, case, np.random.default_rng()
    seed, index = _whole("seed", body["seed"]), _whole("index", body.get("index", 0))
    stream = body.get("stream", Stream.EVALUATE.name)
    stream = (
        Stream[choose("stream", stream, Stream.__members__)] if isinstance(stream, str) else Stream(stream)
    )
    if case is None and task.cases:
        case = task.case_number(index)  # as evaluations take turns
    return None, case, np.random.default_rng([seed, stream, index])


def read_changes(world: TwinWorld, disturb: Any) -> Changes:
    """What a reset changes of physics and look; ValueError for what it cannot change."""
    if disturb is None:
        return Changes()
    words = disturb.get("words") if isinstance(disturb, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"disturb is {disturb!r:.100}; it must have words, e.g. ['mass=strong']")
    _known(disturb, ("words", "seed", "rollout"))
    applied = read_set([word[:100] for word in words[:100]])
    for each in applied:
        if each.kind not in (MODEL, LOOK):
            raise ValueError(f"disturb has {str(each)!r}, which changes neither physics nor look")
        if each.kind == LOOK and not world.has_looks:
            raise ValueError(f"disturb has {str(each)!r}; a twin that was started with --randomize takes it")
    return Changes(applied, *(_whole(name, disturb.get(name, 0)) for name in ("seed", "rollout")))


def _start(task: Task, env_state: Any) -> np.ndarray:
    """Where the props begin, (P * 7,): three metres and a quaternion each, as a request gives it."""
    start = _numbers("env_state", env_state)
    if start.size != 7 * len(task.props):
        raise ValueError(
            f"env_state has {start.size} numbers; {task.name} takes {7 * len(task.props)} numbers"
        )
    places, turns = start.reshape(-1, 7)[:, :3], start.reshape(-1, 7)[:, 3:]
    if np.abs(places).max(initial=0) > MAX_AWAY:
        far = places[np.abs(places) > MAX_AWAY][0]
        raise ValueError(f"env_state puts a prop {far:.4g} m away; it must be {MAX_AWAY:g} m at most")
    lengths = np.abs(turns).max(axis=1, initial=0)
    if not ((lengths > 0.1) & (lengths < 1.1)).all():
        raise ValueError(
            f"env_state has the turn {turns[(lengths <= 0.1) | (lengths >= 1.1)][0].tolist()}; "
            "it must be a unit quaternion"
        )
    return start
