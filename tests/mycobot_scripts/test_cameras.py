"""Cameras: the newest picture and its age, streams and devices, and what happens to one that is lost."""

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from emulated import Noise, eventually, fake_cameras, our_threads

from mycobot_scripts.robot.cameras import camera as module
from mycobot_scripts.robot.cameras.camera import (
    Camera,
    CaptureDevice,
    find_cameras,
    lock,
    open_cameras,
    same_pictures,
    size_text,
)
from mycobot_scripts.robot.cameras.names import same_sources
from mycobot_scripts.robot.cameras.streams import MjpegStream


@pytest.fixture
def mjpeg():
    """Serves what `send(n)` gives as picture n; `.url`, and `.cut` ends the streams that are open."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.opened += 1
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            n, opened = 0, self.server.opened
            while not self.server.ending.is_set() and self.server.cut < opened:
                part = self.server.send(n)
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(part)
                try:
                    self.wfile.write(head + part + b"\r\n")
                except OSError:
                    return
                n += 1
                time.sleep(0.01)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.ending, server.cut, server.opened = threading.Event(), 0, 0
    server.send = jpeg
    server.url = f"http://127.0.0.1:{server.server_port}/top"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.ending.set()
    server.shutdown()
    server.server_close()
    thread.join()


def picture(n):
    """Red is bright, blue tells the number."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 0], image[..., 2] = 200, n % 20 * 10
    return image


def jpeg(n):
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture(n), cv2.COLOR_RGB2BGR))
    return data.tobytes()


# --- the thread


def test_the_newest_picture_and_its_age():
    with fake_cameras(["top"]) as cameras:
        camera = cameras["top"]
        first = camera.latest
        assert first.image.shape == (480, 640, 3) and first.image.dtype == np.uint8, "as large as all are"
        assert eventually(lambda: camera.count > 5)
        assert camera.latest.time > first.time and 0 <= camera.age < 5
        assert camera.unchanged == 0, "noise makes any two pictures differ"
    assert our_threads() == [] and camera.noise.closed


def test_pictures_that_stay_the_same_are_noticed():
    with fake_cameras(["top"]) as cameras:
        cameras["top"].noise.frozen = True
        assert eventually(lambda: cameras["top"].unchanged > 0.3)
        assert cameras["top"].age < 5, "they do come"
        cameras["top"].noise.frozen = False
        assert eventually(lambda: cameras["top"].unchanged == 0)


def test_a_lost_camera_is_opened_anew(monkeypatch):
    monkeypatch.setattr(module, "RETRY", 0.05)
    with fake_cameras(["top"]) as cameras:
        camera = cameras["top"]
        camera.noise.gone.set()
        assert eventually(lambda: camera.lost >= 2 and camera.age > 0.1)
        assert camera.error == "unplugged" and camera.latest.image.any(), "the last picture is still there"
        camera.noise.gone.clear()
        assert eventually(lambda: camera.age < 0.1 and camera.error is None)


def test_a_camera_without_a_picture_says_why():
    def opener(*_):
        raise OSError("camera 7 cannot be opened; this machine has none")

    with pytest.raises(RuntimeError, match=r"camera 'top' \(7\) gives no picture: camera 7 cannot be opened"):
        camera = Camera("top", "7", opener=opener)
        try:
            camera.wait(0.3)
        finally:
            camera.close()
    assert our_threads() == []


class Odd(Exception):
    """Nobody knows it."""

    def __str__(self):
        return ""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "MemoryError"),
        (OverflowError("cannot fit 'int'"), "cannot fit 'int'"),
        (http.client.IncompleteRead(b"x", 5), "IncompleteRead"),
        (cv2.error("assertion\n failed"), "assertion failed"),
        (Odd(), "Odd"),
        (RecursionError("deep"), "deep"),
        (TypeError("int() argument"), "int() argument"),
        (OSError("no http://me:secret@host/ here"), "no http://me:***@host/ here"),
    ],
)
@pytest.mark.parametrize("where", ["open", "read", "close"])
def test_a_cameras_thread_outlives_every_exception(monkeypatch, error, text, where):
    monkeypatch.setattr(module, "RETRY", 0.02)
    well = threading.Event()

    class Breaking(Noise):
        def __init__(self, *_):
            super().__init__()
            if where == "open" and not well.is_set():
                raise error

        def read(self):
            if where != "open" and not well.is_set():
                raise error
            return super().read()

        def close(self):
            if where == "close":
                raise error

    camera = Camera("top", "http://me:secret@host/", opener=Breaking)
    try:
        assert eventually(lambda: camera.lost > 2)
        with pytest.raises(RuntimeError, match="gives no picture") as caught:
            camera.wait(0.05)
        assert text in str(caught.value) and "secret" not in str(caught.value) and "\n" not in camera.error
        well.set()
        assert camera.wait() is camera and camera.error is None
    finally:
        camera.close()
    assert our_threads() == []


def giving(image):
    class Giving(Noise):
        def read(self):
            super().read()
            return image

    return Giving


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (np.full((48, 64), 90, np.uint8), [90, 90, 90]),
        (np.full((48, 64, 1), 90, np.uint8), [90, 90, 90]),
        (np.full((48, 64, 3), 90 * 256 + 7, np.uint16), [90, 90, 90]),
        (np.dstack([picture(0), np.zeros((48, 64), np.uint8)]), [200, 0, 0]),
        (picture(0)[:, ::-1][::2, ::2], [200, 0, 0]),
    ],
    ids=["grey", "one channel", "16 bits", "alpha", "not in order"],
)
def test_pictures_of_other_kinds_become_colours(image, pixel):
    with Camera("top", "x", size=(48, 64), opener=giving(image)) as camera:
        latest = camera.latest.image
    assert latest.shape == (48, 64, 3) and latest.dtype == np.uint8 and latest[5, 5].tolist() == pixel


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (None, "no picture"),
        ([[1, 2], [3, 4]], "no picture"),
        (np.zeros((0, 64, 3), np.uint8), "no picture"),
        (np.zeros((48, 64, 3)), "float64 pictures of 48x64x3"),
        (np.full((48, 64, 3), np.nan, np.float32), "float32"),
        (np.zeros((48, 64, 2), np.uint8), "48x64x2"),
        (np.zeros((2, 48, 64, 3), np.uint8), "2x48x64x3"),
        (np.zeros(48, np.uint8), "uint8 pictures of 48"),
        (np.array("picture"), "pictures of"),
    ],
)
def test_what_is_no_picture_is_told(monkeypatch, image, why):
    monkeypatch.setattr(module, "RETRY", 0.02)
    camera = Camera("top", "x", opener=giving(image))
    try:
        assert eventually(lambda: camera.lost > 1)
        assert why in camera.error and camera.count == 0
    finally:
        camera.close()


@pytest.mark.parametrize(
    ("given", "is_squashed", "text"),
    [
        ((480, 640), False, "640x480"),
        ((240, 320), False, "320x240, scaled to 640x480"),
        ((720, 1280), True, "1280x720, squashed to 640x480"),
        ((640, 480), True, "480x640, squashed to 640x480"),
        ((481, 640), False, "640x481, scaled to 640x480"),
    ],
)
def test_the_size_that_came_is_told(capsys, monkeypatch, given, is_squashed, text):
    monkeypatch.setattr(module, "open_source", giving(np.zeros((*given, 3), np.uint8)))
    monkeypatch.setattr(Camera.__init__, "__defaults__", (30, (480, 640), module.open_source))
    cameras = open_cameras({"top": "x"})
    module.close_cameras(cameras)
    assert cameras["top"].native_size == given and size_text(cameras["top"]) == text
    assert cameras["top"].latest.image.shape == (480, 640, 3)
    assert (f"camera top gives {text}" in capsys.readouterr().out) == is_squashed


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("0", "0", True),
        ("0", "00", True),
        ("0", "/dev/video0", True),
        ("0", "1", False),
        ("http://cam/a", "http://cam:80/a", True),
        ("http://me:x@CAM/a", "http://cam/a#top", True),
        ("http://localhost:81/", "http://127.0.0.1:81", True),
        ("http://cam/a", "http://cam/b", False),
        ("http://cam/a?n=1", "http://cam/a?n=2", False),
        ("http://cam:x/", "http://cam:x/", True),
    ],
)
def test_two_names_of_one_camera(one, other, are_same):
    assert bool(same_sources({"top": one, "right_wrist": other})) == are_same


def test_a_link_to_a_camera_is_that_camera(tmp_path):
    (tmp_path / "video7").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "video7")
    paths = {"top": str(tmp_path / "by-id"), "wrist": str(tmp_path / "video7"), "other": str(tmp_path / "x")}
    assert same_sources(paths) == [("top", "wrist")]


def test_cameras_that_give_the_same_pictures_are_found():
    with fake_cameras(["top", "right_wrist", "other"]) as cameras:
        cameras["other"].noise.rng = np.random.default_rng(5)
        cameras["other"].prints.clear()
        assert eventually(lambda: len(cameras["other"].prints) > 3)
        pairs = same_pictures({name: cameras[name] for name in cameras})
    assert pairs == [("top", "right_wrist")]


def test_if_one_camera_fails_all_are_closed(mjpeg, monkeypatch):
    monkeypatch.setattr(module, "OPENING", 1.0)
    monkeypatch.setattr(Camera.wait, "__defaults__", (1.0,))
    with pytest.raises(RuntimeError, match="camera 'right_wrist'"):
        open_cameras({"top": mjpeg.url, "right_wrist": "http://127.0.0.1:9/none"})
    assert our_threads() == []


def test_pictures_are_scaled_to_the_size_of_all():
    class Small(Noise):
        def read(self):
            super().read()
            return picture(3)

    with Camera("top", "x", size=(24, 32), opener=Small) as camera:
        assert camera.latest.image.shape == (24, 32, 3)
        assert camera.latest.image[5, 5].tolist() == [200, 0, 30]


# --- streams


def test_a_stream_is_read_in_rgb(mjpeg):
    with Camera("top", mjpeg.url) as camera:
        assert eventually(lambda: camera.count > 3)
        red, green, _ = camera.latest.image[240, 320]
        assert red > 180 and green < 20


def test_a_stream_gives_every_picture_as_it_comes(mjpeg):
    stream = MjpegStream(mjpeg.url)
    seen = [int(stream.read()[20, 20, 2]) for _ in range(8)]
    stream.close()
    assert np.allclose(np.diff(seen), 10, atol=6)


def test_a_stream_that_ends_is_opened_anew(mjpeg, monkeypatch):
    monkeypatch.setattr(module, "RETRY", 0.05)
    with Camera("top", mjpeg.url) as camera:
        mjpeg.cut = mjpeg.opened
        assert eventually(lambda: camera.lost >= 1)
        count = camera.count
        assert eventually(lambda: camera.count > count + 3)
    assert mjpeg.opened >= 2


def test_a_stream_that_holds_what_is_no_picture_is_an_error(mjpeg):
    mjpeg.send = lambda n: b"no jpeg"
    stream = MjpegStream(mjpeg.url)
    with pytest.raises(OSError, match="what is no JPEG"):
        stream.read()
    stream.close()


def test_a_stream_that_falls_silent_is_an_error(mjpeg):
    mjpeg.send = lambda n: jpeg(n) if n < 2 else time.sleep(1.0) or b""
    stream = MjpegStream(mjpeg.url, timeout=0.2)
    with pytest.raises(OSError):
        for _ in range(4):
            stream.read()
    stream.close()


# --- cameras at this machine


class Capture:
    """A cv2.VideoCapture that sees red."""

    def __init__(self, name=0, backend="V4L2", refuses=()):
        self.name, self.backend, self.refuses = name, backend, refuses
        self.settings = {cv2.CAP_PROP_EXPOSURE: 157.0, cv2.CAP_PROP_WB_TEMPERATURE: 4600.0}
        self.order, self.released = [], False

    def isOpened(self):
        return self.name != 9

    def getBackendName(self):
        return self.backend

    def get(self, setting):
        return self.settings.get(setting, 0.0)

    def set(self, setting, value):
        if setting in self.refuses:
            return False
        self.settings[setting] = value
        self.order.append(setting)
        return True

    def read(self):
        time.sleep(0.005)
        return True, np.full((48, 64, 3), (0, 0, 255), np.uint8)

    def release(self):
        self.released = True


@pytest.mark.parametrize(("backend", "manual"), [("V4L2", 1), ("DSHOW", 0.25)])
def test_exposure_focus_and_white_balance_are_locked(backend, manual):
    capture = Capture(backend=backend)
    assert lock(capture) == {"exposure": True, "focus": True, "white balance": True}
    assert capture.settings[cv2.CAP_PROP_AUTO_EXPOSURE] == manual
    assert capture.settings[cv2.CAP_PROP_EXPOSURE] == 157 and capture.settings[cv2.CAP_PROP_AUTOFOCUS] == 0
    assert (
        capture.settings[cv2.CAP_PROP_AUTO_WB] == 0 and capture.settings[cv2.CAP_PROP_WB_TEMPERATURE] == 4600
    )


def test_what_a_driver_does_not_lock_is_told():
    capture = Capture(refuses=(cv2.CAP_PROP_AUTOFOCUS, cv2.CAP_PROP_EXPOSURE))
    assert lock(capture) == {"exposure": False, "focus": False, "white balance": True}
    assert capture.settings[cv2.CAP_PROP_AUTO_EXPOSURE] == 3, "automatic, not frozen at any value"


def test_a_device_is_locked_after_it_has_adjusted_itself(monkeypatch):
    made = []
    monkeypatch.setattr(cv2, "VideoCapture", lambda name: made.append(Capture(name)) or made[-1])
    device = CaptureDevice("0", 30, (480, 640), settle=0.05)
    assert made[0].name == 0 and device.read()[0, 0].tolist() == [255, 0, 0], "RGB"
    assert device.locked["exposure"] and made[0].settings[cv2.CAP_PROP_FRAME_WIDTH] == 640
    assert made[0].order.index(cv2.CAP_PROP_FPS) < made[0].order.index(cv2.CAP_PROP_AUTO_EXPOSURE)
    device.close()
    assert made[0].released
    path = "/dev/v4l/by-id/usb-cam-index0"
    assert CaptureDevice(path, 30, (480, 640), settle=0.0) and made[1].name == path


@pytest.mark.parametrize("frame", [None, np.zeros((48, 64, 3), np.float32), np.zeros((48, 64), np.uint8)])
def test_a_device_of_odd_frames(monkeypatch, frame):
    monkeypatch.setattr(Capture, "read", lambda self: (True, frame))
    made = []
    monkeypatch.setattr(cv2, "VideoCapture", lambda name: made.append(Capture(name)) or made[-1])
    if frame is not None and frame.dtype == np.uint8:
        assert CaptureDevice("0", 30, (480, 640), settle=0.01).read().shape == (48, 64, 3)
    else:
        with pytest.raises(OSError, match="the camera gave no picture|float32 pictures of 48x64x3"):
            CaptureDevice("0", 30, (480, 640), settle=0.01)
        assert made[0].released, "so that it can be opened once more"


def test_a_device_that_is_not_there_names_those_that_are(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr(module, "find_cameras", lambda: ["/dev/v4l/by-id/usb-cam-index0"])
    with pytest.raises(OSError, match="camera 9 cannot be opened; there are /dev/v4l/by-id/usb-cam-index0"):
        CaptureDevice("9", 30, (480, 640))


def test_cameras_have_stable_names_where_there_are_some(monkeypatch):
    paths = {
        "/dev/v4l/by-id/*": [
            "/dev/v4l/by-id/usb-b-index0",
            "/dev/v4l/by-id/usb-a-index0",
            "/dev/v4l/x-index1",
        ],
        "/dev/video*": ["/dev/video0", "/dev/video1"],
    }
    monkeypatch.setattr(module.glob, "glob", lambda pattern: paths[pattern])
    assert find_cameras() == ["/dev/v4l/by-id/usb-a-index0", "/dev/v4l/by-id/usb-b-index0"]
    paths["/dev/v4l/by-id/*"] = []
    assert find_cameras() == ["/dev/video0", "/dev/video1"]
