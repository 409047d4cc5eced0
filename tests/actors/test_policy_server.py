"""A policy on another machine: the same chunks as here, whatever the line does; and nothing for strangers."""

import contextlib
import dataclasses
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
from arm_rig import Person, make_rig
from repository import ROOT
from synthetic import make_act, make_diffusion, make_flow, make_small

import model_runs
import policy_server
from actors import Actor, Interface, OnnxActor, Rest, Traits, messages, open_onnx, remote, serving
from actors.messages import CONTENT_TYPE, pack, unpack
from actors.remote import RemoteActor, split_address
from actors.serving import PolicyServer, Served, needs_token
from bench._far_link import FarLink
from cameras import Reference, stored_references
from common.commands import shown_command
from episodes import Episode, View, encode_jpeg, list_episodes
from evaluation.execution.background import BackgroundExecution
from mycobot_scripts.demos import ModelRunsConfig, Runner, make_execution
from policies import TorchActor
from policies.acting.onnx_export import export_policy
from policy import save_policy

ABOUT = Served("policy_best.ckpt", "0123abcd")
TOKEN = "a-token-of-the-tests"


class Counts(Actor):
    """Its actions say how often it was asked since the reset, and with which key."""

    interface = Interface(7, 7, ("top",), (48, 64), "mycobot320_move_cube")
    traits = Traits(20, 5, 1, False, (0.0,) * 7, (1.0,) * 7, (-9.0,) * 7, (9.0,) * 7)
    takes = 0.0  # s

    def reset(self, key):
        self.key, self.asked = key, 0

    def observe(self, observation):
        raise AssertionError("a server is sent what was observed")

    def act(self, seen, rest=None):
        time.sleep(self.takes)
        self.asked += 1
        chunk = np.zeros((20, 7))
        chunk[:, 0], chunk[:, 1], chunk[:, 2] = self.asked, self.key[-1], seen["qpos"][0]
        return chunk


@pytest.fixture
def serve():
    """Makes servers and what asks them; all are closed in the end."""
    made = []

    def make(actor=None, **options):
        server = PolicyServer(actor or Counts(), ABOUT, **options)
        made.append(server)
        return server

    yield make
    for each in made:
        each.close()


def port_of(server):
    return server.server_address[1]


def place(server):
    return f"127.0.0.1:{port_of(server)}"


def picture(seed=0):
    """(48, 64, 3) uint8: smooth, as a camera's are."""
    rough = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(rough, (64, 48), interpolation=cv2.INTER_CUBIC)


def observation(seed=0, cameras=("top",), dim=7):
    rng = np.random.default_rng(seed)
    return {"qpos": rng.normal(size=dim), "images": {c: picture(seed + i) for i, c in enumerate(cameras)}}


def as_sent(seen):
    """What was observed, with pictures as their JPEGs show them."""
    flat = seen["images"].reshape(-1, *seen["images"].shape[-3:])
    decoded = [cv2.imdecode(encode_jpeg(each), cv2.IMREAD_COLOR) for each in flat]
    return {**seen, "images": np.array(decoded).reshape(seen["images"].shape)}


# --- messages


def test_a_message_holds_values_and_arrays():
    arrays = {
        "chunk": np.arange(6.0).reshape(2, 3),
        "qpos": np.float32([1.5]),
        "jpeg": np.arange(4, dtype=np.uint8)[::2],
        "none": np.zeros((0, 7)),
    }
    values, back = unpack(pack({"key": [1, 2], "text": "é"}, arrays))
    assert values == {"key": [1, 2], "text": "é"} and list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and np.array_equal(back[name], array)
    with pytest.raises(ValueError, match="no array of object"):
        pack({}, {"x": np.array([{}])})


def head(arrays, rest=b"", values=None):
    text = json.dumps({"values": {} if values is None else values, "arrays": arrays}).encode()
    return len(text).to_bytes(4, "big") + text + rest


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff\xff\xff\xff",
        b"\0\0\0\2{}",
        b"\0\0\0\4null",
        b"\0\0\0\3abc",
        head([], b"x"),
        head([], values=[]),
        head(None),
        head([["a", "<f8", [2]]], b"12345678"),
        head([["a", "|O", [1]]], b"12345678"),
        head([["a", "<f8", [-1]]]),
        head([["a", "<f8", [1.5]]]),
        head([["a", "<f8", "x"]]),
        head([["a", "<f8", [1] * 9]], b"12345678"),
        head([["a", "<f8", [2**60, 2**60]]]),
        head([[1, "<f8", []]], b"12345678"),
        head([["a"]]),
        head([["a", "|u1", [0]]] * 2000),
    ],
)
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ValueError):
        unpack(message)


# --- the same chunks as here


def test_what_is_served_is_told(serve):
    interface = Interface(
        14,
        14,
        ("top", "angle"),
        (48, 64),
        views={"top": View((96, 128), roi=(1, 2, 60, 70), roi_weight=0.5, crop=(0, 0, 80, 90))},
        velocity=(0.25,) * 14,
        augmentations=("crop",),
        fps=10.0,
    )
    policy = make_act(cameras=("top", "angle"))
    policy.interface = interface
    steady = np.zeros((48, 64), bool)
    steady[:10] = True
    reference = Reference(picture(), steady)
    server = serve(TorchActor(policy), references={"top": reference.plain()})
    asking = RemoteActor(place(server))
    assert asking.interface == interface and asking.about == ABOUT
    assert asking.traits == TorchActor(policy).traits
    there = stored_references(asking.references, "those of the server")["top"]
    assert np.array_equal(there.steady, steady)
    assert np.abs(there.picture.astype(int) - picture()).mean() < 4


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (make_act, {}),
        (make_act, {"augmentations": ("crop",)}),
        (make_act, {"views": {"top": View((48, 64), crop=(0, 0, 32, 32))}}),
        (make_diffusion, {}),
        (make_flow, {}),
    ],
    ids=["ACT", "cropped", "viewed", "Diffusion", "Flow"],
)
def test_chunks_are_those_of_the_actor_here_bit_for_bit(serve, make, changes):
    """Of the same pictures: the JPEGs', which are sent."""
    cameras = ("top", "angle")
    policy = make(cameras=cameras).eval()
    policy.interface = dataclasses.replace(policy.interface, **changes)
    here, asking = TorchActor(policy, "no"), RemoteActor(place(serve(TorchActor(policy, "no"))))
    for key in ((3, 1), (3, 2)):
        here.reset(key), asking.reset(key)
        for step in range(3):
            seen = asking.observe(observation(step, cameras, 14))
            expected = here.act(here.finish(as_sent(seen)))
            chunk = asking.act(seen)
            assert chunk.dtype == expected.dtype and np.array_equal(chunk, expected)
    whole = here.observe(observation(0, cameras, 14))
    finished = here.finish(asking.observe(observation(0, cameras, 14)))
    assert all(np.array_equal(whole[name], finished[name]) for name in whole)


def test_several_observations_and_the_rest_of_a_chunk_are_sent(serve):
    policy = make_flow(observation_horizon=2).eval()
    here, asking = TorchActor(policy, "no"), RemoteActor(place(serve(TorchActor(policy, "no"))))
    steps = [asking.observe(observation(step, dim=14)) for step in range(2)]
    sent = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
    here.reset((5,)), asking.reset((5,))
    first = asking.act(sent)
    assert np.array_equal(first, here.act(as_sent(sent)))
    for settled in (0, 2):
        rest = Rest(first[4:], settled)
        assert np.array_equal(asking.act(sent, rest), here.act(as_sent(sent), rest))


def test_two_arms_get_what_each_would_get_alone(serve):
    policy = make_diffusion().eval()
    server = serve(TorchActor(policy, "no"))
    seen = [TorchActor(policy).observe(observation(arm, dim=14)) for arm in range(2)]

    def alone(arm):
        actor = TorchActor(policy, "no")
        actor.reset((arm,))
        return [actor.act(as_sent(seen[arm])) for _ in range(4)]

    expected, got = [alone(arm) for arm in range(2)], [[], []]

    def ask(arm):
        asking = RemoteActor(place(server))
        asking.reset((arm,))
        got[arm] += [asking.act(seen[arm]) for _ in range(4)]

    threads = [threading.Thread(target=ask, args=(arm,)) for arm in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert np.array_equal(got, expected)


# --- the line


@pytest.fixture
def far(serve, monkeypatch):
    """A server, the link to it, and what asks; a busy machine does not make an answer too late."""
    monkeypatch.setattr(remote, "AGAIN", 0.1)
    server = serve()
    link = FarLink(port_of(server))
    asking = RemoteActor(f"127.0.0.1:{link.port}", late=60.0)
    yield server, link, asking
    link.close()


SEEN = {"qpos": np.zeros(7, np.float32), "images": picture()[None]}


def test_a_line_that_breaks_is_opened_again_and_draws_go_on(far):
    _, link, asking = far
    asking.reset((4,))
    for expected in range(1, 5):
        assert asking.act(SEEN)[0, :2].tolist() == [expected, 4]
        link.cut()


def test_an_answer_that_was_lost_is_given_again(far):
    """The server had computed it: to compute it anew would draw other numbers."""
    server, link, asking = far
    asking.act(SEEN)
    act = server.act
    link_cut = []

    def act_and_cut(message):
        answer = act(message)
        if not link_cut:
            link_cut.append(link.cut())
        return answer

    server.act = act_and_cut
    assert asking.act(SEEN)[0, 0] == 2 and link_cut
    assert asking.act(SEEN)[0, 0] == 3


def test_a_server_that_was_started_anew_is_asked_on(serve, far):
    """What was drawn before is not known there: it draws from the key, and the number of the chunk."""
    server, _, asking = far
    asking.reset((4,))
    asking.act(SEEN), asking.act(SEEN)
    server._sessions.clear()
    assert asking.act(SEEN)[0, :2].tolist() == [1, 2]
    assert asking.act(SEEN)[0, :2].tolist() == [2, 2]


def test_a_dead_line_fails_after_a_while_and_serves_again_later(far):
    _, link, asking = far
    for _ in range(3):
        asking.act(SEEN)
    link.is_dead = True
    asking._late = 1.5
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"no answer from the policy server at 127.*\(--stale\)"):
        asking.act(SEEN)
    assert time.monotonic() - began >= 1.5
    link.is_dead = False
    link.cut()
    asking.reset((8,))
    assert asking.act(SEEN)[0, :2].tolist() == [1, 8]


def drive(execute, link, steps, dead=(), period=0.05):
    """Actions of so many steps; the link is dead from one step to another."""
    actions = []
    for step in range(steps):
        link.is_dead = step in dead
        actions.append(execute({"qpos": np.full(7, float(step)), "images": {"top": picture()}}))
        time.sleep(period)
    return actions


def test_an_arm_holds_while_the_line_is_dead_and_goes_on(far):
    _, link, asking = far
    execute = BackgroundExecution(asking, fps=20, query_every=5)
    try:
        actions = drive(execute, link, 50, dead=range(12, 26))
    finally:
        execute.close()
    assert execute.held > 0
    starts = [action[2] for action in actions]
    assert starts[-1] > 30, "chunks from after the line came back"
    held = [a for a, b in zip(actions, actions[1:], strict=False) if np.array_equal(a, b)]
    assert len(held) >= execute.held


def test_an_arm_holds_and_then_stops_if_the_line_stays_dead(far):
    _, link, asking = far
    execute = BackgroundExecution(asking, fps=20, query_every=5)
    execute.warm_up()
    asking._late = 1.5
    try:
        with pytest.raises(ConnectionError, match="more than usual"):
            drive(execute, link, 200, dead=range(12, 200))
        assert execute.held > 0
    finally:
        execute.close()


def test_the_run_then_ends_and_its_episode_is_kept(tmp_path, serve, capsys):
    with make_rig(Person("enter", "n"), episode_len=400) as rig:
        start, began = rig.session.robot.start, []

        class Stays(Counts):
            def act(self, seen, rest=None):
                return np.tile(start, (20, 1))

        link = FarLink(port_of(serve(Stays())))
        asking = RemoteActor(f"127.0.0.1:{link.port}")

        def press():
            began.append(time.monotonic())
            link.is_dead = began[-1] - began[0] > 1.5
            return []

        rig.person.press = press
        config = ModelRunsConfig(server=asking.place, output_dir=str(tmp_path), task_name="t", query_every=5)
        execution = make_execution(asking, config, rig.session.task.fps)
        execution.warm_up()
        runner = Runner(rig.session, config, [execution], (400,))
        try:
            outcome = runner.run(0)
        finally:
            runner.close()
            link.close()
    assert "the policy failed: ConnectionError: no answer from the policy server at" in outcome.stopped
    (path,) = list_episodes(tmp_path)
    assert 5 < len(Episode.load(path)) < 400 and "the arm holds its pose" in capsys.readouterr().out


# --- who may ask, and what


def post(server, name="act", body=b"", **headers):
    """Status and error of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=20)
    sent = {"Content-Type": CONTENT_TYPE, "X-Token": TOKEN}
    sent |= {key.replace("_", "-"): value for key, value in headers.items()}
    connection.request("POST", f"/{name}", body, sent)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    is_error = answer.headers.get_content_type() == "application/json"
    return answer.status, json.loads(content)["error"] if is_error else ""


def test_a_token_is_needed_where_others_can_ask(serve):
    server = serve(token=TOKEN)
    assert RemoteActor(place(server), TOKEN).act(SEEN).shape == (20, 7)
    for wrong in ("", "another-token"):
        with pytest.raises(RuntimeError, match=r"refuses: it needs the token .*--token"):
            RemoteActor(place(server), wrong)
    assert post(server, "greet", X_Token="")[0] == 403 and post(server, "greet")[0] == 200
    with pytest.raises(ValueError, match="--token has 3 characters; it must have 8"):
        RemoteActor(place(server), "abc")
    with pytest.raises(ValueError, match="--token has"):
        serve(token="with spaces in it")
    with pytest.raises(ValueError, match="--host is '203.0.113.9'; it must be an IPv4 address of"):
        policy_server.parse_flags(["--ckpt_dir", "runs/x", "--host", "203.0.113.9"])
    assert needs_token("0.0.0.0") and not needs_token("localhost") and not needs_token("127.0.0.1")


def ask(actor=Counts, **changes):
    """A request, as it should be but for changes; None leaves one out."""
    values = {"session": "s", "serial": 0, "version": ABOUT.version, "key": [1], "number": 0, "settled": 0}
    arrays = {"qpos": np.zeros((1, 7), np.float32), "picture.0.top": encode_jpeg(picture())}
    for name, value in changes.items():
        name = name.replace("__", ".")
        (arrays if name in arrays or name == "rest" else values)[name] = value
    return pack(values, {name: array for name, array in arrays.items() if array is not None})


BIG = encode_jpeg(np.zeros((64, 48, 3), np.uint8))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "breaks off in its head"),
        (b"\0\0\0\2{}", "no values"),
        (pack({}), "session is missing"),
        (ask(session="x" * 1000), "a session's name has"),
        (ask(serial="x"), "serial is 'x'"),
        (ask(key=[-1]), "-1|non-negative"),
        (ask(key=[2.5]), r"key\[0\] is 2.5"),
        (ask(qpos=np.zeros((1, 6), np.float32)), r"qpos must be \(1, 7\) finite numbers"),
        (ask(qpos=np.full((1, 7), np.nan, np.float32)), "finite numbers"),
        (ask(qpos=None), "qpos must be"),
        (ask(picture__0__top=None), "picture.0.top must be a JPEG of 48x64"),
        (ask(picture__0__top=BIG), "must be a JPEG of 48x64"),
        (ask(picture__0__top=encode_jpeg(picture())[:200]), "cannot be decoded|JPEG|header"),
        (ask(picture__0__top=np.zeros(9, np.uint8)), "header|JPEG"),
        (ask(rest=np.zeros((2, 7))), "fit no chunk"),
    ],
)
def test_a_malformed_request_is_answered_and_the_next_one_too(serve, body, said):
    class Draws(Counts):
        def reset(self, key):
            np.random.SeedSequence(list(key))
            super().reset(key)

    server = serve(Draws(), token=TOKEN)
    status, error = post(server, body=body)
    assert status == 400 and re.search(said, error) and "\n" not in error, error
    assert RemoteActor(place(server), TOKEN).act(SEEN)[0, 0] == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (lambda server: post(server, "no_such", ask()), 400),
        (lambda server: post(server, body=b"x" * 100, Content_Length=str(10**9)), 413),
        (lambda server: post(server, body=ask(), Content_Type="application/json"), 415),
        (lambda server: post(server, body=ask(), Origin="http://evil.example"), 403),
        (lambda server: post(server, body=ask(version="another")), 409),
    ],
    ids=["name", "size", "type", "page", "policy"],
)
def test_what_may_not_be_asked(serve, request_, status):
    server = serve(token=TOKEN)
    assert request_(server)[0] == status
    assert RemoteActor(place(server), TOKEN).act(SEEN)[0, 0] == 1


def test_noise_on_the_port_does_no_harm(serve):
    server = serve(token=TOKEN)
    for noise in (b"", b"\0\1\2\3\r\n\r\n", b"POST /act HTTP/1.1\r\nContent-Le"):
        with socket.create_connection(("127.0.0.1", port_of(server))) as connection:
            connection.sendall(noise)
    assert RemoteActor(place(server), TOKEN).act(SEEN)[0, 0] == 1


def test_a_policy_that_fails_says_so_and_serves_on(serve):
    class Fails(Counts):
        def act(self, seen, rest=None):
            if seen["qpos"][0] > 0:
                raise ZeroDivisionError("no such thing")
            return super().act(seen)

    asking = RemoteActor(place(serve(Fails())))
    with pytest.raises(RuntimeError, match="refuses: no such thing"):
        asking.act({**SEEN, "qpos": np.ones(7, np.float32)})
    assert asking.act(SEEN).shape == (20, 7)


def test_few_arms_are_remembered(serve, monkeypatch):
    monkeypatch.setattr(serving, "MOST_SESSIONS", 2)
    server = serve()
    arms = [RemoteActor(place(server)) for _ in range(4)]
    for each in arms:
        each.act(SEEN)
    assert len(server._sessions) == 2 and arms[-1].act(SEEN)[0, 0] == 2
    assert arms[0].act(SEEN)[0, :2].tolist() == [1, 1], "begun anew, from the number of its chunk"


# --- bad input


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_servers_of_other_versions_are_refused(serve, monkeypatch):
    server = serve()
    monkeypatch.setattr(remote, "PROTOCOL", messages.PROTOCOL + 1)
    with pytest.raises(RuntimeError, match="of another version: it speaks protocol 1, this program 2;"):
        RemoteActor(place(server))
    monkeypatch.undo()
    server.greeting = pack({"about": dataclasses.asdict(ABOUT), "interface": {"state_dim": 7}})
    with pytest.raises(RuntimeError, match="tells nothing usable: interface.action_dim is missing;"):
        RemoteActor(place(server))


@pytest.mark.parametrize("address", ["", "host:", "host:x", "host:99999", "http://host", "me@host", "h/x"])
def test_addresses_are_checked(address):
    with pytest.raises(ValueError, match="it must be HOST or HOST:PORT, as gpu-box:8020"):
        split_address(address)


def test_addresses_are_understood():
    assert split_address("gpu-box") == ("gpu-box", 8020)
    assert split_address("192.168.1.7:9000") == ("192.168.1.7", 9000)
    assert split_address("[::1]:9000") == ("::1", 9000)


FLAGS = ["--task_name", "mycobot320_move_cube", "--cameras", "top=1,right_wrist=0"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--server", "x:1", "--ckpt_dir", "x"], "both say where the policy is"),
        (["--server", "x:1"], "--server needs --output_dir"),
        (["--server", "x:y", "--output_dir", "o"], "it must be HOST or HOST:PORT"),
        (["--server", "x:1", "--output_dir", "o", "--ckpt_name", "a"], "--ckpt_name is for --ckpt_dir"),
        (["--ckpt_dir", "x", "--token", TOKEN], "--token is for --server"),
        (["--server", "CLOSED", "--output_dir", "o"], "no policy server answers at 127.0.0.1:.*refused"),
        (
            ["--server", "OTHER", "--output_dir", "o"],
            "has states of 14 numbers and actions of 14",
        ),
    ],
)
def test_bad_flags_end_in_one_line_and_nothing_is_written(tmp_path, monkeypatch, serve, flags, said):
    monkeypatch.chdir(tmp_path)
    if "OTHER" in flags:
        flags = [place(serve(TorchActor(make_act()))) if flag == "OTHER" else flag for flag in flags]
    flags = [f"127.0.0.1:{closed_port()}" if flag == "CLOSED" else flag for flag in flags]
    with pytest.raises((ValueError, OSError, RuntimeError), match=said) as error:
        model_runs.main([*FLAGS, *flags])
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--ckpt_dir is missing"),
        (["--ckpt_dir", "x"], "no checkpoint x"),
        (["--ckpt_dir", "x", "--host", "no.such.host.invalid"], "--host is 'no.such.host.invalid'"),
        (["--ckpt_dir", "x", "--port", "70000"], "--port is 70000"),
        (["--ckpt_dir", "x", "--token", "short"], "--token has 5 characters"),
    ],
)
def test_a_server_that_cannot_be_ends_in_one_line(tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=said) as error:
        policy_server.main(flags)
    assert "\n" not in str(error.value)


def test_an_onnx_file_is_served(tmp_path, serve):
    path = tmp_path / "policy.onnx"
    export_policy(make_small("CNNMLP").eval(), path)
    config = policy_server.PolicyServerConfig(ckpt_dir=str(path), port=0)
    with contextlib.closing(policy_server.open_server(config)) as server:
        far, near = RemoteActor(place(server)), open_onnx(path)
        height, width = far.interface.image_size
        for seed in (1, 2):
            whole = cv2.resize(picture(seed), (width, height))
            sent = cv2.imdecode(encode_jpeg(whole), cv2.IMREAD_COLOR)  # as the server reads it
            qpos = np.random.default_rng(seed).random(near.interface.state_dim)
            chunks = [
                actor.act(actor.observe({"qpos": qpos, "images": {"top": image}}))
                for actor, image in ((far, whole), (near, sent))
            ]
            np.testing.assert_allclose(*chunks, atol=1e-6)
        with pytest.raises(ValueError, match="a frame is 10x10"):
            far.observe({"qpos": qpos, "images": {"top": np.zeros((10, 10, 3), np.uint8)}})
        far.close()


def test_an_onnx_file_whose_cameras_differ_in_size_is_not_served():
    actor = object.__new__(OnnxActor)
    actor._sizes = {"top": (480, 640), "wrist": (240, 320)}
    with pytest.raises(ValueError, match="differ in size .top 480x640, wrist 240x320.; serve the checkpoint"):
        actor.served()


def test_a_port_that_is_taken_is_named(tmp_path, serve):
    save_policy(tmp_path / "policy_best.ckpt", make_act(), step=0)
    port = port_of(serve())
    with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port}: .*; choose --port"):
        policy_server.main(["--ckpt_dir", str(tmp_path), "--device", "cpu", "--port", str(port)])


def test_tokens_are_not_written_down():
    command = shown_command(["model_runs.py", "--token", TOKEN, "--server", "gpu-box", f"--token={TOKEN}"])
    assert TOKEN not in command and "--server gpu-box" in command


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # cannot be imported
import model_runs
from common import check_folder
from mycobot_scripts.demos import Runner, make_execution, open_policies, trained_fps
config, setup = model_runs.parse_flags(sys.argv[1:])
task = model_runs.find_task(config.task_name, setup)
policies = open_policies(config, setup, task)
execution = make_execution(policies.actors[0], config, 10)
execution.warm_up()
print(model_runs.part_lengths(config, policies.actors, task, 10), policies.title, policies.version)
execution.close()
"""


def test_the_arms_machine_needs_no_torch(serve):
    place_ = place(serve())
    flags = [*FLAGS, "--server", place_, "--output_dir", "o"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *flags], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"[115] {place_}/policy_best.ckpt {ABOUT.version}"
