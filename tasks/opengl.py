"""Choose how to render, then import MuJoCo: `from tasks import mujoco`; explain it if that fails.

Pictures are rendered without a window, so no display is needed: EGL is used where it is installed.
`MUJOCO_GL`, if set, decides.
"""

from __future__ import annotations

import atexit
import ctypes.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

GL_HELP = (
    "no OpenGL library for rendering without a display; on Debian or Ubuntu: "
    "apt-get install libegl1 libgl1-mesa-dri   (or libosmesa6, with MUJOCO_GL=osmesa)"
)
_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}
_WINDOWS = ("glfw", "on", "enable", "enabled", "true", "1", "")
_OFF = ("disabled", "disable", "off", "false", "0")
_FORKED = (
    "this process was forked from one that had rendered, and OpenGL does not outlive a fork; start it with "
    "context='spawn' (gymnasium's AsyncVectorEnv) or multiprocessing_context='spawn' (torch's DataLoader)"
)
_rendered_in: int | None = None  # process id


def _display() -> str:
    """The display that the environment names; empty if none."""
    return os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or ""


def choose_gl_backend() -> None:
    """On Linux, set `MUJOCO_GL` if it is unset or empty: EGL; else MuJoCo's choice on a display; else OSMesa;
    else none (physics only). ValueError if it names no backend.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    if chosen:
        if chosen not in (*_LIBRARIES, *_WINDOWS, *_OFF):
            raise ValueError(f"MUJOCO_GL is {chosen!r}; it must be {', '.join(_LIBRARIES)}, glfw or disabled")
        os.environ["MUJOCO_GL"] = chosen
        return
    if not sys.platform.startswith("linux"):
        return
    installed = [backend for backend, library in _LIBRARIES.items() if ctypes.util.find_library(library)]
    if "egl" in installed or not _display():
        os.environ["MUJOCO_GL"] = next(iter(installed), "disabled")


@contextmanager
def opengl_explained() -> Iterator[None]:
    """For imports that load OpenGL: an ImportError that says what to install if it is missing."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="glfw")  # `check_rendering` explains it
            yield
    except (ImportError, AttributeError) as error:  # how PyOpenGL says that a library is missing
        if not any(word in str(error) for word in ("EGL", "OSMesa", "'NoneType'")):
            raise
        raise ImportError(f"{GL_HELP} ({error})") from error


choose_gl_backend()  # before MuJoCo reads it, at import
with opengl_explained():
    import mujoco


def check_fork() -> None:
    """Call before rendering: RuntimeError in a process that was forked from one that had rendered.

    There it would wait for ever: the drawing threads are not forked.
    """
    global _rendered_in
    _rendered_in = _rendered_in or os.getpid()
    if _rendered_in != os.getpid():
        raise RuntimeError(_FORKED)


@contextmanager
def rendering() -> Iterator[None]:
    """For making a renderer: RuntimeError, in one line, if it cannot be made."""
    check_fork()
    check_rendering()
    try:
        yield
    except mujoco.FatalError as error:
        raise RuntimeError(f"{GL_HELP} ({error})") from error


def check_rendering() -> None:
    """RuntimeError if rendering is known to be impossible here, without trying it."""
    backend = os.environ.get("MUJOCO_GL", "")
    if backend in _OFF:
        raise RuntimeError(GL_HELP)
    if backend not in _WINDOWS or not sys.platform.startswith("linux"):
        return
    import glfw  # what MuJoCo opens windows with

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they only say that it failed
        if glfw.init():
            return
    display = _display()
    problem = (
        f"display {display!r} cannot be opened for rendering" if display else "there is no display (DISPLAY)"
    )
    setting = f"MUJOCO_GL is {backend!r} and " if backend else ""
    advice = "MUJOCO_GL=egl renders without one" if ctypes.util.find_library("EGL") else GL_HELP
    raise RuntimeError(f"{setting}{problem}; {advice}")


def _forget_display() -> None:
    """Keep a forked process from closing its parent's OpenGL when it ends: that would wait for ever too."""
    if _rendered_in is not None:
        for name in ("dm_control._render.pyopengl.egl_renderer", "mujoco.egl"):
            if name in sys.modules:
                atexit.unregister(sys.modules[name].EGL.eglTerminate)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_display)
