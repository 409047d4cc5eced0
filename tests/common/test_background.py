"""Work in a thread: in order, finished at the end, its errors told."""

import threading

import pytest

from common import Background
from common.work.background import MOST_WAITING


def test_jobs_are_done_in_order_and_finished_at_the_end():
    done, gate = [], threading.Event()
    with Background() as background:
        background.do(gate.wait)
        for number in range(MOST_WAITING - 1):
            background.do(done.append, number)
        assert done == []
        gate.set()
    assert done == list(range(MOST_WAITING - 1))


def test_no_more_jobs_wait_than_are_allowed():
    began, gate = [], threading.Event()

    def job(number: int) -> None:
        began.append(number)
        gate.wait()

    with Background() as background:
        for number in range(MOST_WAITING):
            background.do(job, number)
        waiting = threading.Thread(target=background.do, args=(job, MOST_WAITING))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        gate.set()
        waiting.join()
    assert began == list(range(MOST_WAITING + 1))


def fail() -> None:
    raise OSError("No space left")


def test_an_error_is_told_by_a_later_call_or_at_the_end():
    with pytest.raises(OSError, match="No space left"), Background() as background:
        background.do(fail)
        background.wait()
    with pytest.raises(OSError, match="No space left"), Background() as background:
        background.do(fail)


def test_another_error_is_not_covered_up_and_what_is_begun_is_finished():
    done, gate = [], threading.Event()
    with pytest.raises(KeyError), Background() as background:
        background.do(gate.wait)
        background.do(done.append, 1)
        background.do(fail)
        gate.set()
        raise KeyError
    assert done == [1]
