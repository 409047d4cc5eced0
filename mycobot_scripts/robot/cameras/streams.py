"""Pictures over HTTP: MJPEG streams of any maker, and addresses that give one JPEG at a time."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException

import cv2
import numpy as np

from common import shown, split_login
from mycobot_scripts.robot.cameras.jpeg_cutter import JpegCutter

STREAM_TIMEOUT = 2.0  # s without a byte until a stream is opened anew
PICTURE_TIME = 4.0  # s until a picture must be whole
POLLS = 30  # a second at most, of an address that gives one picture at a time
_PIECE = 65536  # bytes


def _opener(url: str, user: str | None, password: str | None) -> urllib.request.OpenerDirector:
    """Opens addresses of that host with its login: basic at once, digest if the host asks for it.

    Never through a proxy: cameras are near.
    """
    logins = urllib.request.HTTPPasswordMgrWithPriorAuth()
    if user is not None:
        host = urllib.parse.urlsplit(url)._replace(path="/", query="", fragment="").geturl()
        logins.add_password(None, host, user, password or "", is_authenticated=True)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPBasicAuthHandler(logins),
        urllib.request.HTTPDigestAuthHandler(logins),
    )


class MjpegStream:
    """A camera at an address: multipart/x-mixed-replace, a series of JPEGs, or one JPEG that is
    requested again and again. JPEGs are found by their own marks, not by lengths, boundaries or line ends.

    Of a stream of 10 pictures a second, cv2.VideoCapture hands each out only when the next has come: 95 ms
    after it was made, where this takes 22 ms (medians).

    Args:
        url: its address; `user:password@` before the host is sent as HTTP asks for it.
        timeout: s without a byte, after which it is lost.
    """

    def __init__(self, url: str, timeout: float = STREAM_TIMEOUT) -> None:
        self._shown, self._timeout = shown(url), timeout
        self._answer = None
        try:
            self._url, user, password = split_login(url)
            self._open = _opener(self._url, user, password).open
            self._request()
        except (OSError, ValueError, HTTPException) as error:
            raise OSError(f"camera {self._shown} cannot be opened ({_reason(error)})") from None

    def _request(self) -> None:
        self.close()
        self._began, self._count = time.monotonic(), 0  # of this answer: when (s), pictures
        self._cutter = JpegCutter()
        self._answer = self._open(self._url, timeout=self._timeout)
        self._content_type = (
            self._answer.headers.get_content_type() if "Content-Type" in self._answer.headers else ""
        )

    def read(self) -> np.ndarray:
        """The next picture (H, W, 3) uint8 RGB; OSError if there is none, HTTPException if HTTP breaks."""
        bgr = cv2.imdecode(np.frombuffer(self._jpeg(), np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise OSError("the stream holds what is no JPEG")
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    def _jpeg(self) -> bytes:
        """The next picture's bytes."""
        deadline = time.monotonic() + PICTURE_TIME
        while (jpeg := self._cutter.next()) is None:
            if time.monotonic() > deadline:
                passed = self._cutter.passed
                raise OSError(
                    f"the stream holds what is no JPEG ({self._content_type or 'of no type'}, {passed} bytes)"
                    if passed
                    else f"no picture came whole in {PICTURE_TIME:g} s"
                )
            piece = self._answer.read1(_PIECE)
            if piece:
                self._cutter.add(piece)
            elif self._count and not self._content_type.startswith("multipart/"):
                self._poll()
            else:
                empty = "" if self._count else f" without a picture ({self._content_type or 'of no type'})"
                raise OSError(f"the stream has ended{empty}")
        self._count += 1
        return jpeg

    def _poll(self) -> None:
        """Ask for the next picture of an address that gives one at a time."""
        time.sleep(max(0.0, self._began + 1 / POLLS - time.monotonic()))
        self._request()

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()


def _reason(error: Exception) -> str:
    """Why an address cannot be opened."""
    if isinstance(error, urllib.error.HTTPError):
        advice = ": put user:password@ before the host, or the right ones" if error.code == 401 else ""
        return f"it answers {error.code} {error.reason}{advice}"
    if isinstance(error, HTTPException):
        return f"no answer of HTTP: {type(error).__name__} {error}"
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(error).__name__
