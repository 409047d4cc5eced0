"""Cameras of any maker over HTTP: what they send, how they break, and who may see a password."""

import base64
import hashlib
import socket
import threading
import time

import cv2
import numpy as np
import pytest
from emulated import eventually, our_threads

from common.web.addresses import masked, split_login
from mycobot_scripts.robot.cameras import camera as cameras_module
from mycobot_scripts.robot.cameras import streams as module
from mycobot_scripts.robot.cameras.camera import Camera
from mycobot_scripts.robot.cameras.streams import MjpegStream


def jpeg(n):
    """Blue tells the number."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 0], image[..., 2] = n % 20 * 10, 200
    return cv2.imencode(".jpg", image)[1].tobytes()


class Maker:
    """A camera's maker: `answer(connection, request, n)` answers the n-th connection as they do it."""

    def __init__(self, answer):
        self.answer, self.requests = answer, []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/video"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(4096)
                self.requests.append(request.decode())
                self.answer(connection, request.decode(), len(self.requests) - 1)
            except OSError:
                pass

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def maker(monkeypatch):
    monkeypatch.setattr(cameras_module, "RETRY", 0.02)
    monkeypatch.setattr(module, "PICTURE_TIME", 30.0)  # s; the machine may be busy
    made = []

    def make(answer):
        made.append(Maker(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def multipart(kind="multipart/x-mixed-replace; boundary=frame", end=b"\r\n"):
    return end.join([b"HTTP/1.0 200 OK", b"Content-Type: " + kind.encode(), b"", b""])


def stream(part, kind="multipart/x-mixed-replace; boundary=frame", end=b"\r\n", count=1000):
    """Answers with parts `part(n)`, 50 a second."""

    def answer(connection, request, opened):
        connection.sendall(multipart(kind, end))
        for n in range(count):
            connection.sendall(part(n))
            time.sleep(0.02)

    return answer


def part(n, boundary=b"--frame", end=b"\r\n", length=None, kind=b"image/jpeg"):
    lines = [
        boundary,
        b"Content-Type: " + kind,
        *([b"Content-Length: " + length] if length else []),
        b"",
        b"",
    ]
    return end.join(lines) + jpeg(n) + end


WELL = {
    "no lengths": stream(part),
    "quoted boundary": stream(part, 'multipart/x-mixed-replace;boundary="frame"'),
    "boundary with its dashes": stream(part, "multipart/x-mixed-replace; boundary=--frame"),
    "no boundary told": stream(part, "multipart/x-mixed-replace"),
    "no type at all": stream(part, "image"),
    "line feeds alone": stream(lambda n: part(n, end=b"\n"), end=b"\n"),
    "length 0": stream(lambda n: part(n, length=b"0")),
    "length below 0": stream(lambda n: part(n, length=b"-5")),
    "length too small": stream(lambda n: part(n, length=b"10")),
    "length of a terabyte": stream(lambda n: part(n, length=b"1000000000000")),
    "length of 5000 digits": stream(lambda n: part(n, length=b"9" * 5000)),
    "length of words": stream(lambda n: part(n, length=b"many")),
    "long heads of parts": stream(lambda n: part(n, boundary=b"--frame\r\nX: " + b"x" * 200_000)),
    "texts between": stream(lambda n: b"--frame\r\nContent-Type: application/json\r\n\r\n{}\r\n" + part(n)),
    "padding behind pictures": stream(lambda n: part(n) + b"\0" * 5000),
    "pictures without parts": stream(jpeg, "video/x-motion-jpeg"),
}


@pytest.mark.parametrize("answer", WELL.values(), ids=WELL)
def test_every_makers_stream_is_read(maker, answer):
    source = MjpegStream(maker(answer).url)
    seen = [int(source.read()[20, 20, 2]) for _ in range(5)]
    source.close()
    assert np.allclose(np.diff(seen), 10, atol=6), "each picture, in order"


def test_a_chunked_stream_is_read(maker):
    def answer(connection, request, opened):
        connection.sendall(
            multipart()
            .replace(b"1.0", b"1.1")
            .replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        )
        for n in range(1000):
            for piece in (part(n)[:100], part(n)[100:]):
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(0.02)

    source = MjpegStream(maker(answer).url)
    assert [source.read().shape for _ in range(3)] == [(48, 64, 3)] * 3
    source.close()


def test_an_address_of_one_picture_is_asked_again_and_again(maker):
    def answer(connection, request, n):
        picture = jpeg(n)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
            + picture
        )

    served = maker(answer)
    with Camera("top", served.url) as camera:
        assert eventually(lambda: camera.count > 5)
        assert camera.lost == 0 and camera.error is None
    assert len(served.requests) > 5


def test_redirects_are_followed(maker):
    target = maker(stream(part))

    def answer(connection, request, n):
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % target.url.encode())

    source = MjpegStream(maker(answer).url)
    assert source.read().shape == (48, 64, 3)
    source.close()


def answering(raw, pause=0.0):
    def answer(connection, request, n):
        connection.sendall(raw)
        time.sleep(pause)

    return answer


def cut_chunk(connection, request, n):
    connection.sendall(
        multipart().replace(b"1.0", b"1.1").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    )
    connection.sendall(b"fff\r\nabc")


def huge(connection, request, n):
    picture = bytearray(jpeg(0))
    at = picture.find(b"\xff\xc0")
    picture[at + 5 : at + 9] = (30000).to_bytes(2, "big") * 2
    connection.sendall(multipart() + b"--frame\r\n\r\n" + picture)


def trickle(connection, request, n):
    connection.sendall(multipart() + b"--frame\r\n\r\n" + jpeg(0)[:200])
    while True:
        connection.sendall(b"\0")
        time.sleep(0.02)


def loop(connection, request, n):
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again%d\r\n\r\n" % n)


OK = b"HTTP/1.1 200 OK\r\n"
NO = b"HTTP/1.1 401 No\r\nWWW-Authenticate: "
BROKEN = {
    "chunk cut off": (cut_chunk, "IncompleteRead"),
    "no status line": (answering(b"Content-Type: image/jpeg\r\n\r\n"), "BadStatusLine"),
    "nothing": (answering(b""), "closed connection"),
    "many headers": (answering(OK + b"X: x\r\n" * 300 + b"\r\n"), "100 headers"),
    "a header of a megabyte": (answering(OK + b"X: " + b"x" * 10**6 + b"\r\n\r\n"), "LineTooLong"),
    "length of 5000 digits": (answering(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"), ""),
    "length below 0": (answering(OK + b"Content-Length: -3\r\n\r\n"), "ended"),
    "length of a terabyte": (answering(OK + b"Content-Length: 1000000000000\r\n\r\n" + jpeg(0)[:99]), ""),
    "chunk of a terabyte": (answering(OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffff\r\n"), ""),
    "chunk of 5000 digits": (
        answering(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\n"),
        "",
    ),
    "a page": (answering(OK + b"Content-Type: text/html\r\n\r\n<p>log in</p>"), "text/html"),
    "not there": (answering(b"HTTP/1.1 404 Not Found\r\n\r\n"), "404"),
    "a password is needed": (answering(NO + b'Basic realm="x"\r\n\r\n'), "user:password@"),
    "another kind of login": (answering(NO + b"NTLM\r\n\r\n"), ""),
    "redirects for ever": (loop, "loop|redirect"),
    "redirect to a file": (answering(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/x\r\n\r\n"), "file"),
    "a picture too large": (huge, "30000x30000"),
    "no JPEG": (stream(lambda n: b"--frame\r\n\r\nno picture\r\n"), "what is no JPEG"),
    "a picture that never ends": (trickle, "whole|no JPEG"),
    "an empty JPEG": (stream(lambda n: b"--frame\r\n\r\n\xff\xd8\xff\xd9\r\n"), "what is no JPEG"),
}


@pytest.mark.parametrize(("answer", "why"), BROKEN.values(), ids=BROKEN)
def test_a_camera_outlives_whatever_it_is_sent_and_opens_again(maker, monkeypatch, answer, why):
    monkeypatch.setattr(module, "PICTURE_TIME", 0.6)
    well = threading.Event()

    def first_broken(connection, request, n):
        (stream(part) if well.is_set() else answer)(connection, request, n)

    served = maker(first_broken)
    camera = Camera("top", served.url)
    try:
        assert eventually(lambda: camera.lost >= 2)
        with pytest.raises(
            RuntimeError, match=r"camera 'top' \(http://127.0.0.1.* gives no picture: "
        ) as caught:
            camera.wait(0.1)
        said = str(caught.value)
        assert any(word in said for word in why.split("|")) and "silent" not in said
        assert "\n" not in said and len(said) < 500
        well.set()
        assert eventually(lambda: camera.count > 3 and camera.error is None)
    finally:
        camera.close()
    assert our_threads() == []


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://",
            "http:///video",
            "http://[::1/video",
            "http://127.0.0.1:port/",
            "http://127.0.0.1:99999/",
        ),
        *("rtsp://127.0.0.1/video", "ftp://127.0.0.1/x.jpg", "file:///etc/hostname", "http://a b/", "://"),
        *("http://" + "a" * 300 + "/", "http://..../", "http://user:secret@", "data://x,y"),
    ],
)
def test_an_address_that_is_none_is_told(url, monkeypatch):
    monkeypatch.setattr(cameras_module, "RETRY", 0.02)
    camera = Camera("top", url)
    try:
        assert eventually(lambda: camera.lost >= 2)
        with pytest.raises(RuntimeError, match="cannot be opened") as caught:
            camera.wait(0.1)
        assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    finally:
        camera.close()


# --- passwords


def login(request):
    (line,) = [line for line in request.split("\r\n") if line.startswith("Authorization: ")] or [""]
    return line.removeprefix("Authorization: ")


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def asks_for(user, password):
    def answer(connection, request, n):
        if login(request) != basic(user, password):
            connection.sendall(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n')
        else:
            stream(part)(connection, request, n)

    return answer


@pytest.mark.parametrize(
    ("text", "user", "password"),
    [
        ("admin:secret", "admin", "secret"),
        ("admin:s%40c%2Fr%3At", "admin", "s@c/r:t"),
        ("admin:a@b", "admin", "a@b"),
        ("admin:", "admin", ""),
        (":secret", "", "secret"),
        ("%C3%BC:%ED%95%9C", "ü", "한"),
    ],
)
def test_a_login_in_the_address_is_sent_and_not_shown(maker, text, user, password):
    served = maker(asks_for(user, password))
    source = MjpegStream(served.url.replace("//", f"//{text}@"))
    assert source.read().shape == (48, 64, 3)
    source.close()
    assert [line for line in served.requests[0].split("\r\n") if line.startswith("Host:")] == [
        f"Host: 127.0.0.1:{served.port}"
    ]


def test_a_login_is_sent_as_a_digest_where_it_is_asked_for(maker):
    def answer(connection, request, n):
        sent = login(request)
        if not sent.startswith("Digest "):
            ask = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n\r\n'
            connection.sendall(ask)
            return
        said = dict(word.strip().split("=", 1) for word in sent.removeprefix("Digest ").split(","))
        said = {name: value.strip('"') for name, value in said.items()}
        one, two = (hashlib.md5(text.encode()).hexdigest() for text in ("me:r:secret", "GET:/video"))
        right = hashlib.md5(f"{one}:n:{said['nc']}:{said['cnonce']}:auth:{two}".encode()).hexdigest()
        assert said["response"] == right
        stream(part)(connection, request, n)

    source = MjpegStream(maker(answer).url.replace("//", "//me:secret@"))
    assert source.read().shape == (48, 64, 3)
    source.close()


def test_a_login_is_not_sent_to_another_host(maker):
    other = maker(stream(part))

    def answer(connection, request, n):
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % other.url.encode())

    source = MjpegStream(maker(answer).url.replace("//", "//me:secret@"))
    source.read()
    source.close()
    assert login(other.requests[0]) == ""


def test_no_message_shows_a_password(maker):
    served = maker(asks_for("admin", "other"))
    url = served.url.replace("//", "//admin:hush@") + "?user=x&pwd=hush&size=1"
    camera = Camera("top", url)
    try:
        assert eventually(lambda: camera.lost >= 1)
        with pytest.raises(RuntimeError, match="401") as caught:
            camera.wait(0.1)
        assert "hush" not in str(caught.value) + camera.error and "admin:***@127.0.0.1" in str(caught.value)
    finally:
        camera.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:x@host/video", "http://me:***@host/video"),
        ("http://me:a@b:c@host:8080/v", "http://me:***@host:8080/v"),
        ("http://me@host/", "http://me@host/"),
        ("http://host/v.cgi?user=me&pwd=x&n=1", "http://host/v.cgi?user=me&pwd=***&n=1"),
        ("http://host/?token=abc", "http://host/?token=***"),
        ("top=http://me:x@h/,wrist=http://me:y@h/", "top=http://me:***@h/,wrist=http://me:***@h/"),
        ("/dev/video0", "/dev/video0"),
        ("see http://host:80/a and mail me@host", "see http://host:80/a and mail me@host"),
    ],
)
def test_masked(text, shown):
    assert masked(text) == shown


def test_split_login():
    assert split_login("http://a:b@h:81/x?y") == ("http://h:81/x?y", "a", "b")
    assert split_login("https://h/") == ("https://h/", None, None)


def test_cameras_are_near_and_no_proxy_is_asked(maker, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    source = MjpegStream(maker(stream(part)).url)
    assert source.read().shape == (48, 64, 3)
    source.close()
