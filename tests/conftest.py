"""Tests run side by side on few cores (pytest-xdist): one thread each for torch and for rendering."""

import os
import signal
import sys

import pytest

os.environ["LP_NUM_THREADS"] = "1"  # read by llvmpipe when it starts
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for a torch that is imported later, and for subprocesses
import tasks.opengl  # noqa: E402, F401  (chooses the OpenGL library before a test imports mujoco)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread():
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def _ctrl_c_goes_on_working():
    """A script that is interrupted ignores Ctrl-C from then on; here it runs inside the tests' process."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)
