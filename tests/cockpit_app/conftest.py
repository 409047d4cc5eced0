"""What tests of the cockpit and its pages share."""

import hashlib
import json
import os

import pytest
from browser import chromium, require_chromium

from cockpit_app import programs
from common import replace_file


@pytest.fixture(scope="module")
def driver():
    require_chromium()
    with chromium(width=1400, height=1000) as driver:
        yield driver


@pytest.fixture(scope="session", autouse=True)
def _scripts_tell_their_flags_once(tmp_path_factory):
    """Each question starts a script: however many cockpits and pytest's workers ask, it is asked once."""
    folder, run = tmp_path_factory.getbasetemp(), programs._run_for_flags
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder

    def told(words, here):
        key = repr((words, programs._changed(words, here)))
        kept = folder / f"flags-{hashlib.sha1(key.encode()).hexdigest()}.json"
        if not kept.exists():
            part = kept.with_name(f"{os.getpid()}-{kept.name}")
            part.write_text(json.dumps(run(words, here)), encoding="utf-8")
            replace_file(part, kept)
        return json.loads(kept.read_text(encoding="utf-8"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "_run_for_flags", told)
        yield
