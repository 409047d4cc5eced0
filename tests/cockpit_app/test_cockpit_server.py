"""The cockpit's server: who is let in, what it tells, and that no request leads out of its folders."""

import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus

import pytest

from cockpit_app import jobs as jobs_module
from cockpit_app.data import found
from cockpit_app.data.episodes import takes
from cockpit_app.data.files import byte_range
from cockpit_app.network import keep_token
from cockpit_app.places import Places
from cockpit_app.server import FOLDER, Cockpit
from common import addresses_of, cli
from common.web.serving import Refused
from edit_episodes import COMMANDS

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def cockpit(tmp_path_factory):
    here = tmp_path_factory.mktemp("here")
    (here / "runs/demo/evaluations/one").mkdir(parents=True)
    (here / f"data/{NASTY}").mkdir(parents=True)
    (here / f"data/{NASTY}/episode_0.hdf5").write_bytes(b"no episode")
    (here / "runs/demo/config.json").write_text(json.dumps({"task_name": NASTY, "policy_class": "ACT"}))
    (here / "runs/demo/history.csv").write_text("step,val/loss,train/loss\n5,0.5,\n10,nan,0.25\nx,1,1\n")
    (here / "runs/demo/policy_last.ckpt").write_bytes(b"weights")
    (here / "runs/demo/report.html").write_text("<script>1</script>")
    (here / "runs/demo/evaluations/one/rollout_0.mp4").write_bytes(bytes(range(256)) * 8)
    result = {"stages": ["a"], "outcomes": [{"index": 0, "highest_reward": 1}], "successes": 1, "counted": 1}
    (here / "runs/demo/evaluations/one/result_x.json").write_text(json.dumps(result))
    (here / "secret.txt").write_text("secret")
    cockpit = Cockpit(Places.of("data", "runs", here), keep_token(here / "runs" / FOLDER))
    yield cockpit
    cockpit.close()


def ask(cockpit, path, body=None, **headers):
    """(status, headers, body) of a GET, or of a POST with a body."""
    headers = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(cockpit.url + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.status, error.headers, error.read()


def look(cockpit, path, **headers):
    """As the page asks, with its cookie."""
    return ask(cockpit, path, Cookie=f"{cockpit.cookie}={cockpit.token}", **headers)


def tell(cockpit, question, **query):
    status, _, body = look(cockpit, f"/api/{question}?{urllib.parse.urlencode(query)}")
    return status, json.loads(body)


def do(cockpit, action, body, **headers):
    given = {"Content_Type": "application/json", "X_Token": cockpit.token, **headers}
    status, _, answer = ask(cockpit, f"/api/{action}", body, **given)
    return status, json.loads(answer)


# --- who is let in


@pytest.mark.parametrize(
    "path", ["/", "/?token=x", "/api/overview", "/api/jobs?token=", "/web/app.js", "/web/index.html"]
)
@pytest.mark.parametrize("cookie", [None, "cockpit_1=x", "{name}=", "{name}=wrong", '"', "{name}=é"])
def test_nobody_looks_without_the_token(cockpit, path, cookie):
    cookie = cookie and cookie.replace("{name}", cockpit.cookie).encode().decode("latin-1")
    status, _, body = ask(cockpit, path, Cookie=cookie)
    assert status == HTTPStatus.FORBIDDEN and cockpit.token.encode() not in body
    assert b"cockpit.py" in body  # where the address is


def test_the_address_lets_a_browser_in_from_then_on(cockpit):
    status, headers, body = ask(cockpit, f"/?token={cockpit.token}")
    assert status == HTTPStatus.OK and cockpit.token.encode() in body
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert look(cockpit, "/api/overview")[0] == HTTPStatus.OK
    assert headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'"
    )
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_other_sites_are_refused(cockpit, headers):
    for path in (
        f"/?token={cockpit.token}",
        "/api/overview",
        "/web/cockpit.css",
        "/view/x/runs/demo/report.html",
    ):
        assert look(cockpit, path, **headers)[0] == HTTPStatus.FORBIDDEN
    assert do(cockpit, "stop", {"job": "1"}, **headers)[0] == HTTPStatus.FORBIDDEN
    status = view(cockpit, "runs/demo/report.html", **headers)[0]
    assert (status == HTTPStatus.OK) == (headers == {"Origin": "null"})  # of a page among the files


@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_an_action_needs_the_token_and_a_cookie_is_none(cockpit, token):
    given = {"X_Token": token, "Cookie": f"{cockpit.cookie}={cockpit.token}"}
    assert do(cockpit, "start", {"program": "check", "values": {}}, **given)[0] == HTTPStatus.FORBIDDEN
    assert cockpit.jobs.all() == []


def test_the_token_is_kept_for_its_user_alone(tmp_path):
    token = keep_token(tmp_path / "x")
    assert keep_token(tmp_path / "x") == token and len(token) >= 30
    assert (tmp_path / "x/token").stat().st_mode & 0o077 == 0
    (tmp_path / "x/token").write_text("short")
    assert keep_token(tmp_path / "x") not in ("short", token)


def test_a_network_reaches_it_by_its_own_names_alone():
    assert addresses_of("127.0.0.1") == []
    assert "127.0.0.1" in addresses_of("0.0.0.0") and socket.gethostname().lower() in addresses_of("0.0.0.0")


def test_a_port_that_is_taken_is_said(cockpit, tmp_path):
    with pytest.raises(ValueError, match="--port .* cannot be had"):
        Cockpit(Places.of("data", "runs", tmp_path), "t", cockpit.server_address[1])


# --- files


def view(cockpit, path, key=None, **headers):
    return ask(cockpit, f"/view/{cockpit.view_key if key is None else key}/{path}", **headers)


def test_files_are_shown_by_their_key(cockpit):
    status, headers, body = view(cockpit, "runs/demo/report.html")
    assert (status, body) == (HTTPStatus.OK, b"<script>1</script>")
    policy = headers.get_all("Content-Security-Policy")
    assert len(policy) == 1 and policy[0].startswith("sandbox allow-scripts ")
    assert "allow-same-origin" not in policy[0]  # its scripts reach nothing of the cockpit
    assert view(cockpit, "runs/demo/report.html", key="x")[0] == HTTPStatus.FORBIDDEN
    assert view(cockpit, "runs/demo/report.html", key=cockpit.token)[0] == HTTPStatus.FORBIDDEN


def test_files_may_have_any_name(cockpit):
    """As the page asks: percent-encoded."""
    folder = cockpit.places.runs / "demo" / "한 글 ü%41"
    folder.mkdir()
    (folder / "a b.html").write_text("seen")
    path = urllib.parse.quote("runs/demo/한 글 ü%41/a b.html")
    assert view(cockpit, path)[::2] == (HTTPStatus.OK, b"seen")


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "data/../../secret.txt",
        "data/%2e%2e/%2e%2e/secret.txt",
        "runs/.cockpit/token",
        "/etc/passwd",
        "runs//etc/passwd",
        "runs/demo/policy_last.ckpt",
        "runs/demo",
        "runs",
        "",
        "secret.txt",
        "runs/demo/report.html/x",
        "data/..%2f..%2fsecret.txt",
        "runs/demo/%00.html",
    ],
)
def test_no_path_leads_out(cockpit, path):
    status, _, body = view(cockpit, path)
    assert status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN) and b"error" in body
    assert b"secret" not in body.replace(path.encode(), b"").replace(b"secret.txt", b"")


def test_a_video_is_sent_in_parts(cockpit):
    path, whole = "runs/demo/evaluations/one/rollout_0.mp4", bytes(range(256)) * 8
    status, headers, body = view(cockpit, path, Range="bytes=10-19")
    assert (status, body) == (HTTPStatus.PARTIAL_CONTENT, whole[10:20])
    assert headers["Content-Range"] == "bytes 10-19/2048"
    assert view(cockpit, path, Range="bytes=-5")[2] == whole[-5:]
    assert view(cockpit, path, Range="bytes=2000-")[2] == whole[2000:]
    assert view(cockpit, path)[2] == whole
    assert view(cockpit, path, Range="bytes=4000-")[0] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


@pytest.mark.parametrize("wanted", ["bytes=-", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b", "", None])
def test_ranges_that_are_not_understood_give_the_whole(wanted):
    assert byte_range(wanted, 10) == (0, 9, False)


def test_an_empty_file_has_no_part():
    with pytest.raises(Refused):
        byte_range("bytes=0-", 0)


@pytest.mark.parametrize(
    "name", ["nothing.js", "../server.py", "..%2fserver.py", "x/../index.html", "index.html"]
)
def test_only_our_own_scripts_and_styles_are_served(cockpit, name):
    assert look(cockpit, f"/web/{name}")[0] == HTTPStatus.NOT_FOUND


# --- questions


def test_the_overview_lists_what_is_there(cockpit):
    _, all_ = tell(cockpit, "overview")
    (run,) = all_["runs"]
    assert (run["path"], run["task"], run["step"], run["loss"]) == ("runs/demo", NASTY, 10, 0.5)
    assert run["checkpoints"] == ["policy_last.ckpt"] and run["report"] == "runs/demo/report.html"
    (dataset,) = all_["datasets"]
    assert dataset["name"] == NASTY and dataset["episodes"] == 1 and dataset["problem"]
    assert [one["name"] for one in all_["presets"]][0] == "small"
    assert any(task["twin"] and task["scripted"] for task in all_["tasks"])


def test_a_run_tells_its_losses_and_films(cockpit):
    _, run = tell(cockpit, "run", path="runs/demo")
    assert run["history"] == [{"step": 5, "val/loss": 0.5}, {"step": 10, "train/loss": 0.25}]
    (evaluation,) = run["evaluations"]
    assert evaluation["result"] == {"successes": 1, "n": 1}
    assert evaluation["videos"] == [
        {"name": "rollout_0", "link": "runs/demo/evaluations/one/rollout_0.mp4", "success": True}
    ]


@pytest.mark.parametrize(("robot", "on_twin"), [("twin", True), ("mycobot320", False)])
def test_runs_on_the_twin_are_not_called_runs_on_the_arm(robot, on_twin, tmp_path):
    arm = tmp_path / "runs" / "a" / "arm"
    arm.mkdir(parents=True)
    (arm.parent / "config.json").write_text("{}")
    result = {"successes": 3, "counted": 4, "settings": {"robot": robot}}
    (arm / "result_policy_last.json").write_text(json.dumps(result))
    (run,) = found.runs(Places.of("data", "runs", tmp_path))
    assert run["arm_result"] == {"successes": 3, "n": 4, "on_twin": on_twin} and run["result"] is None


def test_a_file_that_is_gone_or_odd_does_not_hide_the_others(tmp_path):
    """A link to a disk that is not there; results that hold something else."""
    places, gone = Places.of("data", "runs", tmp_path), tmp_path / "nowhere"
    evaluation = tmp_path / "runs" / "demo" / "evaluations" / "one"
    evaluation.mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "config.json").write_text("{}")
    (tmp_path / "runs" / "demo" / "result_b.json").symlink_to(gone)
    (evaluation.parent / "two").symlink_to(gone)
    (evaluation / "result_x.json").write_text(
        '{"stages": 5, "outcomes": [{"index": 0, "highest_reward": "x"}]}'
    )
    (evaluation / "result_x.txt").write_bytes(b"\xff")
    (evaluation / "rollout_0.mp4").write_bytes(b"")
    for name, links in {"whole": 0, "one_gone": 1, "all_gone": 2}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(2):
            episode = tmp_path / "data" / name / f"episode_{number}.hdf5"
            episode.symlink_to(gone) if number < links else episode.write_bytes(b"no episode")
    found_sets = {one["name"]: one["episodes"] for one in found.datasets(places)}
    assert found_sets == {"whole": 2, "one_gone": 1}
    assert [take["number"] for take in takes(places, tmp_path / "data" / "one_gone")["takes"]] == [1]
    (run,) = found.runs(places)
    assert run["result"] is None
    (shown,) = found.evaluations(places, tmp_path / "runs" / "demo")
    assert shown["videos"][0]["success"] is False and shown["text"] == "\ufffd"


@pytest.mark.parametrize("path", ["", "..", "/etc", "data/../..", "secret.txt"])
def test_questions_about_other_folders_are_refused(cockpit, path):
    status, answer = tell(cockpit, "run", path=path)
    assert status == HTTPStatus.BAD_REQUEST and answer["error"]


def test_unknown_questions_and_actions_are_refused(cockpit):
    assert tell(cockpit, "nothing")[0] == HTTPStatus.BAD_REQUEST
    assert do(cockpit, "nothing", {})[0] == HTTPStatus.BAD_REQUEST
    assert do(cockpit, "start", {"program": "rm", "values": {}})[0] == HTTPStatus.BAD_REQUEST
    assert do(cockpit, "start", {"program": "check", "values": ["x"]})[0] == HTTPStatus.BAD_REQUEST
    assert do(cockpit, "stop", {"job": "../1"})[0] == HTTPStatus.BAD_REQUEST


# --- commands


def test_a_form_becomes_a_command_that_runs_and_is_listed(cockpit):
    values = {"dataset_dir": f"data/{NASTY}"}
    _, answer = do(cockpit, "command", {"program": "check", "values": values})
    assert (
        answer["problems"] == {}
        and "check --dataset_dir 'data/<img src=x onerror=alert(1)>'" in answer["command"]
    )
    _, started = do(cockpit, "start", {"program": "check", "values": values})
    number = started["job"]["number"]
    deadline = time.monotonic() + 120
    while (job := tell(cockpit, "output", job=number)[1])["job"]["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert job["job"]["state"] == "failed" and "episode_0.hdf5" in job["text"]
    assert tell(cockpit, "jobs")[1][0]["title"] == f"data/{NASTY}"
    assert tell(cockpit, "output", job=number, **{"from": job["next"]})[1]["text"] == ""
    assert do(cockpit, "forget", {"job": number})[0] == HTTPStatus.OK and tell(cockpit, "jobs")[1] == []


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"dataset_dir": "/etc"},
        {"dataset_dir": "data/../.."},
        {"dataset_dir": "--in_place"},
        {"dataset_dir": 1},
        {"dataset_dir": ["data/a", "data/b"]},
        {"dataset_dir": "data/a", "command": "delete"},
        {"dataset_dir": "data/a", "max_gap": "wide"},
        {"dataset_dir": "data/a", "num_workers": "$(ls)"},
    ],
)
def test_a_form_with_a_mistake_starts_nothing(cockpit, values):
    status, answer = do(cockpit, "start", {"program": "check", "values": values})
    assert status == HTTPStatus.OK and answer["problems"] and "job" not in answer
    assert cockpit.jobs.all() == []


def test_a_preset_changes_what_a_form_begins_with(cockpit):
    _, plain = tell(cockpit, "flags", program="train")
    preset = next(one["path"] for one in tell(cockpit, "overview")[1]["presets"] if one["name"] == "small")
    _, small = tell(cockpit, "flags", program="train", config=preset)
    shown = [{flag["name"]: flag["shown"] for flag in told["flags"]} for told in (plain, small)]
    assert (shown[0]["hidden_dim"], shown[1]["hidden_dim"]) == ("512", "192")
    assert not {"resume", "eval", "onscreen_render"} & shown[0].keys()
    status, answer = tell(cockpit, "flags", program="train", config="/etc/passwd")
    assert status == HTTPStatus.BAD_REQUEST and "outside" in answer["error"]
    status, answer = tell(cockpit, "flags", program="train", policy_class="ACTT")
    assert status == HTTPStatus.BAD_REQUEST and "ACTT" in answer["error"]


def test_every_change_of_a_dataset_can_be_looked_at_first(cockpit):
    changes = tell(cockpit, "overview")[1]["changes"]
    assert {"delete", "merge", "split", "multiply", "import"} <= set(changes)
    for name in changes[:3]:
        _, told = tell(cockpit, "flags", program=f"change_{name}")
        assert {"dry_run", "output_dir"} <= {flag["name"] for flag in told["flags"]}, name
    assert all("dry_run" in cli_names(COMMANDS[name].flags) for name in changes)


def cli_names(config):
    return {flag.name for flag in cli.flags_of_type(config)}


def test_many_jobs_are_forgotten(cockpit, monkeypatch, tmp_path):
    monkeypatch.setattr(jobs_module, "KEPT", 1)
    script = tmp_path / "script.py"
    script.write_text("")
    kept = jobs_module.Jobs(tmp_path / "jobs")
    for _ in range(3):
        job = kept.start("train", [str(script)], "x", {}, tmp_path)
        while job.ended() is None:
            time.sleep(0.05)
    kept.start("train", [str(script)], "x", {}, tmp_path)
    assert [job.number for job in kept.all()] == ["4"]
