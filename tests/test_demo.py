"""demo.py: one script after the other, until one fails or Ctrl-C."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
from repository import ROOT

RUN = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
import demo
from pathlib import Path
demo.ROOT = Path.cwd()
demo.commands = lambda is_twin: ["one.py --twin" if is_twin else "one.py", "two.py"]
demo.cli.run(demo.main)
"""


def start(folder, one: str, *flags: str) -> subprocess.Popen:
    """A demonstration of two scripts: `one`, and one that says that it ran."""
    (folder / "one.py").write_text(f"import sys, time\n{one}\n", encoding="utf-8")
    (folder / "two.py").write_text("print('two ran')\n", encoding="utf-8")
    command = [sys.executable, "-c", RUN, *flags]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_scripts_run_one_after_the_other(tmp_path):
    out, error = start(tmp_path, "print(sys.argv[1:], flush=True)", "--twin").communicate(timeout=60)
    assert out.splitlines() == ["python3 one.py --twin", "['--twin']", "python3 two.py", "two ran"], error


@pytest.mark.parametrize(("one", "status"), [("sys.exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_nothing_runs_after_a_script_that_failed(tmp_path, one, status):
    process = start(tmp_path, one)
    assert "two" not in process.communicate(timeout=60)[0] and process.returncode == status


def test_ctrl_c_waits_for_the_script_to_save_and_ends(tmp_path):
    saves = "try:\n    print('began', flush=True); time.sleep(30)\nexcept KeyboardInterrupt:\n    "
    saves += "time.sleep(0.7); print('saved', flush=True)"
    process = start(tmp_path, saves)
    assert [process.stdout.readline() for _ in range(2)][1] == "began\n"
    time.sleep(0.1)
    child = psutil.Process(process.pid).children()[0]
    for each in (process, child):  # a terminal tells both
        each.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert out == "saved\n" and process.returncode == 130


def test_an_environment_that_lacks_a_package_is_told_in_one_line(tmp_path):
    code = "import importlib.util, runpy; importlib.util.find_spec = lambda name: None; "
    code += f"runpy.run_path({str(ROOT / 'demo.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "install.md" in done.stderr
