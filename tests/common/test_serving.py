"""The server for this machine alone: who may use it, what they may send, and that each gets an answer."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus

import pytest

from common.web.serving import MAX_BODY, LocalHandler, LocalServer, Refused


class Handler(LocalHandler):
    """A number that can be set, a page, and some ways to fail."""

    def get(self, name):
        if name == "":
            self.send(b"<!doctype html><title>x</title>", "text/html; charset=utf-8")
        elif name == "number":
            self.send_json({"number": self.server.number})
        elif name == "gone":
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "two\nlines")
        elif name == "late":
            raise TimeoutError("the arm did not answer")
        elif name == "bug":
            raise AttributeError("nobody thought of it")
        else:
            super().get(name)

    def post(self, name, body):
        if name != "number":
            return super().post(name, body)
        self.server.number = 1 / body["inverse"]
        return {"number": self.server.number}


@pytest.fixture(scope="module")
def server():
    server = LocalServer(Handler)
    server.number = 0.0
    yield server
    server.close()


@pytest.fixture
def quick(monkeypatch):
    """Clients must be quick."""
    monkeypatch.setattr(Handler, "request_time", 0.3)


def talk(server, raw, timeout=20.0):
    """Send bytes, or several pieces of them; (status, headers by small name, body) of the answer."""
    with socket.create_connection(server.server_address, timeout) as connection:
        for piece in [raw] if isinstance(raw, bytes) else raw:
            try:
                connection.sendall(piece)
            except OSError:
                break
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {name.lower(): value for name, value in headers.items()}, body


def head(server, first="GET /number HTTP/1.1", host=None, **headers):
    lines = [first, f"Host: {host or server.url.removeprefix('http://')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(server, body=b"{}", **headers):
    """A POST as our own pages send it, but for headers that are given; None leaves one out."""
    own = {"X_Token": server.token, "Content_Type": "application/json", "Content_Length": len(body)}
    given = {name: value for name, value in {**own, **headers}.items() if value is not None}
    return talk(server, [head(server, "POST /number HTTP/1.1", **given), body])


def error_of(body):
    why = json.loads(body)["error"]
    assert why and "\n" not in why and len(why) <= 300
    return why


def test_a_page_gets_and_posts(server):
    assert post(server, b'{"inverse": 4}')[::2] == (200, b'{"number": 0.25}')
    status, headers, body = talk(server, head(server))
    assert (status, json.loads(body)) == (200, {"number": 0.25})
    assert headers["content-type"] == "application/json"


def test_the_printed_address_holds_a_token_of_this_start(server):
    with urllib.request.urlopen(server.address) as reply:
        assert b"<title>" in reply.read()
    url, token = server.address.split("?token=")
    request = urllib.request.Request(
        f"{url}number?token={token}", b'{"inverse": 2}', {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as reply:
        assert json.load(reply) == {"number": 0.5}
    other = LocalServer(Handler)
    other.close()
    assert other.token != server.token and len(server.token) > 15


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_it_answers_to_the_names_of_this_machine(server, name):
    assert talk(server, head(server, host=f"{name}:{server.server_address[1]}"))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:{port}",
        "[::]",
    ],
)
def test_another_host_is_refused(server, host):
    status, _, body = talk(server, head(server, host=host.format(port=server.server_address[1])))
    assert status == 403 and "host" in error_of(body)


def test_no_host_and_two_hosts_are_refused(server):
    assert talk(server, b"GET /number HTTP/1.0\r\n\r\n")[0] == 403
    port = server.server_address[1]
    assert talk(server, f"GET / HTTP/1.1\r\nHost: localhost:{port}\r\nHost: x\r\n\r\n".encode())[0] == 403


def test_a_host_that_it_was_told_to_serve(server):
    other = LocalServer(Handler, host="127.0.0.2")
    try:
        other.number = 1
        port = other.server_address[1]
        assert talk(other, head(other, host=f"127.0.0.2:{port}"))[0] == 200
        assert talk(other, head(other, host=f"127.0.0.3:{port}"))[0] == 403
    finally:
        other.close()


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"])
@pytest.mark.parametrize("send", [post, lambda server, **headers: talk(server, head(server, **headers))])
def test_another_origin_is_refused(server, origin, send):
    status, _, body = send(server, Origin=origin)
    assert status == 403 and "origin" in error_of(body)


def test_its_own_origin_is_not(server):
    origin = f"http://localhost:{server.server_address[1]}"
    assert post(server, b'{"inverse": 1}', Origin=origin)[0] == 200


@pytest.mark.parametrize("token", [None, "", "x", "\xe9"])
def test_a_post_without_the_token_is_refused(server, token):
    before = server.number
    status, _, body = post(server, b'{"inverse": 7}', X_Token=token)
    assert status == 403 and "token" in error_of(body) and server.number == before


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_a_post_of_another_type_is_refused(server, kind):
    status, _, body = post(server, Content_Type=kind)
    assert status == 415 and "application/json" in error_of(body)
    assert post(server, b'{"inverse": 1}', Content_Type="Application/JSON; charset=utf-8")[0] == 200


@pytest.mark.parametrize(
    "length", ["-1", "+5", "1e3", "0x10", "٣".encode().decode("latin-1"), "", "5, 5", "2_0"]
)
def test_a_length_that_is_none_is_refused(server, length):
    status, _, body = post(server, Content_Length=length)
    assert status == 400 and "Content-Length" in error_of(body)


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10**12, "9" * 5000])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(server, length):
    pieces = [head(server, "POST /number HTTP/1.1", X_Token=server.token, Content_Type="application/json",
                   Content_Length=length)] + [b"x" * 100_000] * 50  # fmt: skip
    status, _, body = talk(server, pieces)
    assert status == 413 and "at most" in error_of(body)


def test_a_body_whose_length_is_not_told_is_refused(server):
    status, _, body = post(server, b"2\r\n{}\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")
    assert status == 411 and "Content-Length" in error_of(body)


def test_a_body_that_ends_early_is_refused(server):
    port = server.server_address[1]
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(head(server, "POST /number HTTP/1.1", X_Token=server.token, Content_Length=50,
                                Content_Type="application/json") + b"{")  # fmt: skip
        connection.shutdown(socket.SHUT_WR)
        assert b"the body ends after 1 of 50 bytes" in connection.makefile("rb").read()


def test_a_slow_body_is_not_waited_for(server, quick):
    def drops():
        yield head(server, "POST /number HTTP/1.1", X_Token=server.token, Content_Length=50,
                   Content_Type="application/json")  # fmt: skip
        for _ in range(20):
            time.sleep(0.05)
            yield b" "

    status, _, body = talk(server, drops())
    assert status == 408 and "too long" in error_of(body)


def test_a_slow_head_is_not_waited_for(server, quick):
    count = threading.active_count()
    with socket.create_connection(server.server_address, 20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        try:
            while True:  # a byte at a time keeps no connection
                connection.sendall(b"X")
                time.sleep(0.05)
                if threading.active_count() <= count:
                    break
        except OSError:
            pass
    assert talk(server, head(server))[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        *(b"[" * 90_000, b'{"a":' * 15_000, b"[1]", b"5", b"null", b'"x"', b"{", b"\xff\xfe", b"{'a': 1}"),
        *(b'{"inverse": %s}' % value for value in (b"NaN", b"-Infinity", b"1e400", b"0", b'"x"', b"[1]")),
        *(b"{}", b'{"inverse": %s}' % (b"9" * 5000), b'{"inverse": %s}' % (b"9" * 4000)),
    ],
)  # fmt: skip
def test_whatever_the_body_is_one_line_answers(server, body):
    status, _, answer = post(server, body)
    assert status in (200, 400), answer
    if status == 400:
        error_of(answer)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /nothing HTTP/1.1", 404),
        ("GET /../../etc/passwd HTTP/1.1", 404),
        ("GET //evil.example/number HTTP/1.1", 404),
        ("GET http://[::1/number HTTP/1.1", 400),
        ("GET /gone HTTP/1.1", 503),
        ("GET /late HTTP/1.1", 503),
        ("GET /bug HTTP/1.1", 500),
        ("OPTIONS /number HTTP/1.1", 501),
        ("PUT /number HTTP/1.1", 501),
        ("TRACE / HTTP/1.1", 501),
        ("GET / HTTP/9.9", 505),
        ("nonsense", 400),
        ("GET /" + "x" * 70_000 + " HTTP/1.1", 414),
        ("GET / HTTP/1.1\r\nX: " + "x" * 70_000, 431),
        ("GET / HTTP/1.1" + "\r\nX: x" * 200, 431),
    ],
)
def test_every_request_gets_an_answer(server, request_, status):
    answered, headers, body = talk(server, head(server, request_))
    assert answered == status
    assert "access-control-allow-origin" not in headers
    if status != 200:
        assert headers["content-type"] == "application/json" and error_of(body)


def test_every_answer_is_closed_to_other_sites(server):
    for raw in (
        head(server, "GET / HTTP/1.1"),
        head(server, "GET /nothing HTTP/1.1"),
        head(server, "PUT / HTTP/1.1"),
    ):
        _, headers, _ = talk(server, raw)
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and headers["referrer-policy"] == "no-referrer"


def test_readers_that_come_and_go_leave_nothing_behind(server):
    for _ in range(50):
        socket.create_connection(server.server_address, 20).close()
    assert talk(server, head(server))[0] == 200
