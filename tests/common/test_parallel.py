"""Work is done once, wherever; bars move, errors arrive, flags are checked. Ray and Dask where installed."""

import math
import os
import signal
from fractions import Fraction

import joblib
import pytest
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from common.work import parallel
from common.work.parallel import PACKAGES, Workers, spread


@pytest.fixture(params=[("loky", 1), ("loky", 2), ("ray", 2), ("dask", 2)], ids=lambda p: f"{p[0]}-{p[1]}")
def workers(request):
    """Of each kind; functions that they call come from the standard library, which all of them find."""
    backend, processes = request.param
    pytest.importorskip(PACKAGES[backend])
    yield Workers(num_workers=processes, backend=backend)
    get_reusable_executor().shutdown(wait=True)


def run(function, calls, workers):
    """The results, and how far the bar came."""
    with (
        tqdm(total=len(calls), file=open(os.devnull, "w")) as progress,
        spread(function, calls, workers, progress) as results,
    ):
        return list(results), progress.n


def test_every_call_is_done_once_and_moves_the_bar(workers):
    results, moved = run(math.factorial, [(n,) for n in range(7)], workers)
    assert sorted(results) == [1, 1, 2, 6, 24, 120, 720] and moved == 7


def test_workers_are_other_processes_that_draw_with_their_share_of_threads(workers, monkeypatch):
    monkeypatch.delenv("LP_NUM_THREADS", raising=False)
    share = joblib.cpu_count() // workers.num_workers
    assert set(run(os.getenv, [("LP_NUM_THREADS",)] * 4, workers)[0]) == {str(share if share > 1 else 0)}
    is_here = [pid == os.getpid() for pid in run(os.getpid, [()] * 4, workers)[0]]
    assert is_here == [workers.num_workers == 1] * 4


def test_an_error_arrives_as_it_is(workers):
    with pytest.raises(ZeroDivisionError):
        run(Fraction, [(1, 2), (1, 0), (1, 3)], workers)


class Interrupting:
    """Ctrl-C while it is freed: Python reports the exception, and drops it."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("after", [1, 5], ids=["in the middle", "after the last result"])
def test_ctrl_c_that_python_drops_stops_the_work_all_the_same(after):
    done = []
    with (
        pytest.raises(KeyboardInterrupt),
        tqdm(total=5, disable=True) as progress,
        spread(math.factorial, [(n,) for n in range(5)], Workers(num_workers=1), progress) as results,
    ):
        for result in results:
            done.append(result)
            if len(done) == after:
                Interrupting()
    assert len(done) == after


def test_results_may_be_left_lying(workers, recwarn):
    before = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        tqdm(total=20, disable=True) as progress,
        spread(math.factorial, [(n,) for n in range(20)], workers, progress) as results,
    ):
        next(iter(results))
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert not [warning for warning in recwarn if "joblib" in str(warning.message)]


def test_functions_of_the_running_script_are_refused(monkeypatch):
    monkeypatch.setattr(run, "__module__", "__main__")
    with pytest.raises(AssertionError, match="run has to be imported from its module"):
        run(run, [()], Workers(1))


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        (
            Workers(cluster_address="a:1"),
            "--cluster_address is a:1; it needs --backend ray or --backend dask",
        ),
        (Workers(2, "dask", "a:1"), "--num_workers is 2; with --cluster_address the cluster decides"),
    ],
)
def test_flags_that_make_no_sense(workers, said):
    with pytest.raises(ValueError, match=said):
        workers.check_workers()


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_what_a_backend_lacks(monkeypatch, backend):
    with pytest.raises(ValueError, match=f"--backend is {backend}; --onscreen_render"):
        Workers(backend=backend).check_workers(onscreen=True)
    monkeypatch.setattr(parallel.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=f'needs the package {PACKAGES[backend]}: pip install ["]?{backend}'
    ):
        Workers(backend=backend).check_workers()


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_an_address_where_nobody_is(backend):
    workers = Workers(backend=backend, cluster_address="tcp://127.0.0.1:1")
    with pytest.raises(ConnectionError, match="no cluster answers at tcp://127.0.0.1:1"):
        run(math.factorial, [(3,)], workers)


def test_a_dask_cluster_by_its_address(tmp_path):
    """Workers that are there already, and know nothing of ours; those with several threads are refused."""
    distributed = pytest.importorskip("distributed")
    for threads in (1, 2):
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=threads, dashboard_address=":0", processes=True
        ) as cluster:
            workers = Workers(backend="dask", cluster_address=cluster.scheduler_address)
            workers.check_workers()
            if threads == 1:
                assert sorted(run(math.factorial, [(n,) for n in range(4)], workers)[0]) == [1, 1, 2, 6]
                continue
            with pytest.raises(ValueError, match="several threads each; start them with one"):
                run(math.factorial, [(3,)], workers)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_worker_that_the_system_kills_is_told_in_one_line():
    """As the kernel does when the memory runs out."""
    with pytest.raises(RuntimeError) as caught:
        run(signal.raise_signal, [(signal.SIGKILL,)] * 2, Workers(num_workers=2))
    said = str(caught.value)
    assert said.startswith(
        "a worker was ended by the system; the memory may have run out: try --num_workers 1"
    )
    assert "the same command goes on" in said and "\n" not in said
    with pytest.raises(RuntimeError, match="it crashed"):
        run(signal.raise_signal, [(signal.SIGSEGV,)] * 2, Workers(num_workers=2))
