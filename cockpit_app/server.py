"""The cockpit's server: its pages, what they ask, and what they start.

GET /?token=...              the page; its cookie then lets this browser in
GET /web/<file>              scripts, styles, texts
GET /view/<key>/<file>       a file, `data/...` or `runs/...`; film/<file>: a film of an episode file
GET /desk/<job>/<camera>     MJPEG of the desk of a job that drives an arm; <camera>.jpg: one picture
GET /api/<question>          JSON: `_QUESTIONS`
POST /api/<action>           JSON: `_ACTIONS`; brings the token, as all POSTs (common/web/serving.py)

Unlike other local servers, reading needs the token too: other accounts of this machine, and with `--host` the
network, could look otherwise.
"""

from __future__ import annotations

import contextlib
import hmac
import threading
import urllib.parse
from html import escape
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from cockpit_app.arm import ArmDefaults, access, model, relay
from cockpit_app.data import Films, found, send_file, takes, view_key
from cockpit_app.jobs import Jobs, shown
from cockpit_app.places import Places
from cockpit_app.programs import CHANGES, PROGRAMS, Programs
from common import PAGE_STYLE, LocalHandler, LocalServer, Refused, addresses_of, choose, outer_address

WEB = Path(__file__).parent / "web"
FOLDER = ".cockpit"  # in the folder of runs: jobs and token
TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".svg": "image/svg+xml"}
_PAGE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; media-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}
MONTH = 30 * 24 * 3600  # s for which a browser stays let in


class Cockpit(LocalServer):
    """Serves the pages, until `close`; ValueError if the port cannot be had.

    Args:
        places: where datasets and runs are.
        token: lets a browser in.
        port: 0 takes any that is free.
        host: to listen at; 127.0.0.1 is this machine alone.
        arm: which arm its jobs drive.
    """

    def __init__(
        self,
        places: Places,
        token: str,
        port: int = 0,
        host: str = "127.0.0.1",
        arm: ArmDefaults | None = None,
    ) -> None:
        self.places, self.arm, self.starting = places, arm or ArmDefaults(), threading.Lock()
        self.jobs = Jobs(places.runs / FOLDER / "jobs")
        self.programs = Programs(places, self.arm)
        self.films = Films(places.runs / FOLDER / "films")
        self.view_key = view_key(token)
        try:
            super().__init__(_Handler, port, host, token, addresses_of(host))
        except OSError as error:
            why = f"--port {port} at --host {host} cannot be had ({error.strerror}); give another --port"
            raise ValueError(why) from None
        self.url = f"http://{outer_address(host)}:{self.server_address[1]}"
        self.cookie = f"cockpit_{self.server_address[1]}"


class _Handler(LocalHandler):
    server: Cockpit

    # --- who may look

    def _has_token(self) -> bool:
        given = self.query.get("token", "")
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie)
        except CookieError:
            cookie = None
        words = [given, cookie.value if cookie else ""]
        return any(hmac.compare_digest(word.encode(), self.server.token.encode()) for word in words)

    def is_welcome(self, origin: str) -> bool:
        """Also a page among the files, whose origin is null, may show what lies beside it."""
        is_file = self.command == "GET" and self.path.startswith(f"/view/{self.server.view_key}/")
        return super().is_welcome(origin) or (is_file and origin == "null")

    def get(self, name: str) -> None:
        if name.startswith("view/"):
            self._view(*name.split("/", 2)[1:])
        elif name in ("web/page.css", "web/cockpit.css", "web/door.js", "web/en.json", "web/ko.json"):
            self._web(name.removeprefix("web/"))  # of the closed door too
        elif not self._has_token():
            self._closed_door(name)
        elif name == "":
            self._page()
        elif name.startswith("web/"):
            self._web(name.removeprefix("web/"))
        elif name.startswith("api/"):
            question = choose("question", name.removeprefix("api/"), _QUESTIONS)
            self.send_json(_QUESTIONS[question](self.server, self.query))
        elif name.startswith("desk/"):
            number, _, camera = name.removeprefix("desk/").partition("/")
            relay.pass_on(self.server.jobs.get(number), urllib.parse.unquote(camera), self)
        else:
            super().get(name)

    def post(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        action = choose("action", name.removeprefix("api/"), _ACTIONS)
        return _ACTIONS[action](self.server, body)

    def _closed_door(self, name: str) -> None:
        if name:
            raise Refused(HTTPStatus.FORBIDDEN, "open the address that cockpit.py printed")
        content = (WEB / "door.html").read_bytes()
        self.send(content, "text/html; charset=utf-8", HTTPStatus.FORBIDDEN)

    # --- what there is

    def _page(self) -> None:
        page = (WEB / "index.html").read_text(encoding="utf-8")
        values = {"token": self.server.token, "key": self.server.view_key}
        for key, value in values.items():
            page = page.replace("{{" + key + "}}", escape(value))
        cookie = (
            f"{self.server.cookie}={self.server.token}; Max-Age={MONTH}; Path=/; HttpOnly; SameSite=Strict"
        )
        self.send(page.encode(), "text/html; charset=utf-8", headers={**_PAGE, "Set-Cookie": cookie})

    def _web(self, name: str) -> None:
        path = PAGE_STYLE if name == "page.css" else WEB / name
        if Path(name).name != name or path.suffix not in TYPES or not path.is_file():
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no {name!r} here")
        self.send(path.read_bytes(), f"{TYPES[path.suffix]}; charset=utf-8", headers=_PAGE)

    def _view(self, key: str = "", name: str = "") -> None:
        if not hmac.compare_digest(key.encode(), self.server.view_key.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "the address of a file needs its key")
        root, _, inner = name.partition("/")
        files = f"http://{self.headers['Host']}/view/{key}/"
        is_film = root == "film"
        path = self.server.places.file(*(inner.split("/", 1) if is_film and "/" in inner else (root, inner)))
        send_file(self, self.server.films.get(path) if is_film else path, files)


# --- questions: of the server, with what stands behind `?`


def _overview(cockpit: Cockpit, query: dict[str, str]) -> dict[str, Any]:
    """All that lists are made of."""
    places = cockpit.places
    return {
        "tasks": found.tasks(),
        "presets": found.presets(places),
        "changes": list(CHANGES),
        "datasets": found.datasets(places),
        "runs": found.runs(places),
        "jobs": [job.describe() for job in cockpit.jobs.listed()],
        "arm": access.describe(cockpit.jobs, cockpit.arm),
        "places": {"data": places.shown(places.data), "runs": places.shown(places.runs)},
    }


def _jobs(cockpit: Cockpit, query: dict[str, str]) -> list[dict[str, Any]]:
    return [job.describe() for job in cockpit.jobs.listed()]


def _output(cockpit: Cockpit, query: dict[str, str]) -> dict[str, Any]:
    job = cockpit.jobs.get(query.get("job"))
    start = int(query.get("from", "0"))
    text, end = job.output(start)
    return {"text": text, "next": end, "job": job.describe()}


def _run(cockpit: Cockpit, query: dict[str, str]) -> dict[str, Any]:
    places = cockpit.places
    folder = places.inside(query["path"])
    return {
        **found.run_in_short(places, folder),
        "history": found.read_history(folder / "history.csv"),
        "evaluations": found.evaluations(places, folder),
        "arm": found.arm_runs(places, folder),
    }


def _takes(cockpit: Cockpit, query: dict[str, str]) -> dict[str, Any]:
    return takes(cockpit.places, cockpit.places.inside(query["path"]))


def _importable(cockpit: Cockpit, query: dict[str, str]) -> list[dict[str, Any]]:
    return found.importable(cockpit.places)


def _flags(cockpit: Cockpit, query: dict[str, str]) -> dict[str, Any]:
    return cockpit.programs.told(query["program"], query)


def _controls(cockpit: Cockpit, query: dict[str, str]) -> dict[str, Any]:
    return model.controls()


def _arm_model(cockpit: Cockpit, query: dict[str, str]) -> dict[str, Any]:
    return model.arm_model()


_QUESTIONS = {
    "overview": _overview,
    "jobs": _jobs,
    "output": _output,
    "run": _run,
    "flags": _flags,
    "controls": _controls,
    "takes": _takes,
    "importable": _importable,
    "arm_model": _arm_model,
}


# --- actions: of the server, with the JSON of a POST


def _form(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    program, values = body.get("program"), body.get("values")
    if not isinstance(program, str) or not isinstance(values, dict):
        raise ValueError("a form has a program and values")
    return program, values


def _command(cockpit: Cockpit, body: dict[str, Any]) -> dict[str, Any]:
    """The command of a form, to look at, and what is wrong with it."""
    words, problems = cockpit.programs.command(*_form(body))
    return {"command": shown(words, cockpit.places.here), "problems": problems}


def _start(cockpit: Cockpit, body: dict[str, Any]) -> dict[str, Any]:
    program, values = _form(body)
    words, problems = cockpit.programs.command(program, values)
    if problems:
        return {"problems": problems}
    about = next((values[flag] for flag in PROGRAMS[program].title if values.get(flag)), "")
    title = about if isinstance(about, str) else ", ".join(about)
    inner = {"desk": relay.DESK} if PROGRAMS[program].is_arm else None
    with cockpit.starting:
        access.make_free(cockpit.jobs, program)
        job = cockpit.jobs.start(program, words, title, values, cockpit.places.here, inner)
    return {"problems": {}, "job": job.describe()}


def _again(cockpit: Cockpit, body: dict[str, Any]) -> dict[str, Any]:
    """Start the command of an ended job once more."""
    about = cockpit.jobs.get(body.get("job")).about
    return _start(cockpit, {"program": about["program"], "values": about["values"]})


def _stop(cockpit: Cockpit, body: dict[str, Any]) -> dict[str, Any]:
    job = cockpit.jobs.get(body.get("job"))
    if relay.has_desk(job):  # the arm first: the script takes a moment to see Ctrl-C
        with contextlib.suppress(Refused):
            relay.ask_desk(job, "stop", {"client": "cockpit"})
    return {"job": cockpit.jobs.stop(job.number, body.get("at_once") is True).describe()}


def _desk(cockpit: Cockpit, body: dict[str, Any]) -> dict[str, Any]:
    """What a page says to the desk of a job."""
    name, inner = body.get("name"), body.get("body")
    if not isinstance(inner, dict):
        raise ValueError(f"body is {inner!r:.60}; it must be a JSON object")
    job = cockpit.jobs.get(body.get("job"))
    return relay.ask_desk(job, choose("name", name, relay.NAMES), inner)


def _forget(cockpit: Cockpit, body: dict[str, Any]) -> dict[str, Any]:
    cockpit.jobs.forget(body.get("job"))
    return {}


_ACTIONS = {
    "command": _command,
    "start": _start,
    "again": _again,
    "stop": _stop,
    "forget": _forget,
    "desk": _desk,
}
