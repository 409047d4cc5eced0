"""Work spread with joblib: over processes of this machine (loky), or over a Ray or Dask cluster.

Scripts that do so share the flags of `Workers`. Results do not depend on where they are computed.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

import joblib
from tqdm import tqdm

from common import cli
from common.commands import ROOT
from common.processes import began, end_with, sweep_shared_memory

PACKAGES = {"loky": "joblib", "ray": "ray", "dask": "distributed"}  # what each backend imports
INSTALL = {"ray": "ray", "dask": '"dask[distributed]"'}
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Workers:
    """Flags of scripts that work side by side: how many processes, and where."""

    TITLE: ClassVar[str] = "processes"

    num_workers: int | None = cli.flag(
        None, "processes that work side by side; one per core if not given", least=1, most=1024
    )
    backend: str = cli.flag(
        "loky", "what spreads the work: loky (this machine), or a Ray or Dask cluster", tuple(PACKAGES)
    )
    cluster_address: str | None = cli.flag(
        None,
        "Ray or Dask cluster to use, all of it, e.g. 10.0.0.1:6379 or tcp://10.0.0.1:8786; its machines need "
        "this folder and that of the data under the same paths (a shared folder). Without it, a cluster of "
        "--num_workers is started on this machine",
    )

    def check_workers(self, onscreen: bool = False) -> None:
        """ValueError for flags that make no sense, ImportError for a package that is missing."""
        if self.cluster_address and self.backend == "loky":
            raise ValueError(
                f"--cluster_address is {self.cluster_address}; it needs --backend ray or --backend dask"
            )
        if self.cluster_address and self.num_workers:
            raise ValueError(
                f"--num_workers is {self.num_workers}; with --cluster_address the cluster decides"
            )
        if onscreen and self.backend != "loky":
            raise ValueError(f"--backend is {self.backend}; --onscreen_render shows what this process does")
        if importlib.util.find_spec(PACKAGES[self.backend]) is None:
            raise ImportError(
                f"--backend {self.backend} needs the package {PACKAGES[self.backend]}: "
                f"pip install {INSTALL[self.backend]}"
            )


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Restore the handlers of both signals at the end."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _one_interrupt() -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt once; further ones do not cut the cleaning up short.

    Python drops exceptions that are raised while it frees an object. So the function that is yielded passes
    results on, and raises KeyboardInterrupt again if it was dropped.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        received.append(number)
        raise KeyboardInterrupt

    def passed_on(results: Iterable[Any]) -> Iterator[Any]:
        for result in results:
            if received:
                break
            yield result
        if received:
            raise KeyboardInterrupt

    with _handlers_kept():
        for number in SIGNALS:
            signal.signal(number, interrupt)
        yield passed_on


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Processes started in here ignore Ctrl-C, which a terminal sends to all of them: we end them."""
    with _handlers_kept():  # Ray installs its own
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        yield


def _this_process() -> tuple[int, float | None]:
    """Number and start of the process that workers end with."""
    return os.getpid(), began(os.getpid())


@contextmanager
def _loky(address: None, processes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    sweep_shared_memory()
    yield processes, {"initializer": end_with, "initargs": _this_process()}


def _hush() -> None:
    """Silence a worker's stderr: EGL, which exits in the main thread, complains as Dask draws in another."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@contextmanager
def _dask(address: str | None, processes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    import dask

    dask.config.set({"logging.distributed": "critical"})  # of this process; read at import
    from dask.distributed import Client, LocalCluster

    with ExitStack() as stack:
        if address is None:
            with _ignoring_interrupts():
                cluster = LocalCluster(
                    n_workers=processes,
                    threads_per_worker=1,
                    memory_limit=None,  # otherwise Dask stops workers that use more than their share
                    dashboard_address=":0",
                    silence_logs=logging.CRITICAL,  # those of the workers
                )
            stack.enter_context(cluster)
        client = stack.enter_context(Client(address or cluster))
        if address is None:
            stack.callback(client.run, _hush, on_error="ignore")
        if max(client.nthreads().values(), default=1) > 1:  # the threads would share one simulation
            raise ValueError(
                f"the Dask workers of {address} have several threads each; start them with one: "
                "dask worker --nthreads 1 --nworkers <processes>"
            )
        root = str(ROOT)  # a lambda is sent whole; named functions can be imported only after it has run
        client.register_worker_callbacks(lambda: root in sys.path or sys.path.insert(0, root))
        yield -1, {"client": client}


@contextmanager
def _ray(address: str | None, processes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage reports
    import ray
    from ray.util.joblib import register_ray

    local = {"num_cpus": processes, "include_dashboard": False} if address is None else {}
    try:
        with _ignoring_interrupts():
            ray.init(address or "local", logging_level="ERROR", log_to_driver=False, **local)
        register_ray()
        yield processes if address is None else -1, {}
    finally:
        ray.shutdown()


_CLUSTERS = {"loky": _loky, "ray": _ray, "dask": _dask}


def _knock(address: str) -> None:
    """ConnectionError at once if nothing answers; Ray's and Dask's own clients try for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise ConnectionError(f"no cluster answers at {address} ({error})") from error


class _Parallel(joblib.Parallel):
    """Moves a bar for every finished call, even where all results arrive at once."""

    def __init__(self, progress: tqdm, **options: Any) -> None:
        super().__init__(**options)
        self._bar = progress

    def print_progress(self) -> None:
        """joblib calls this whenever a call has finished."""
        self._bar.update(self.n_completed_tasks - self._bar.n)


def _work(
    main: tuple[int, float | None] | None,
    threads: int,
    function: Callable[..., Any],
    arguments: Sequence[Any],
) -> Any:
    """Run one call in a worker, which ends with the process `main` (number, start)."""
    if main is not None:
        end_with(*main)
    # Software rendering starts a thread per core in each process, unless this is set before OpenGL starts. It
    # starts none at 0: a single one would only be waited for.
    os.environ.setdefault("LP_NUM_THREADS", str(threads if threads > 1 else 0))
    return function(*arguments)


@contextmanager
def _explained_if_killed(processes: int) -> Iterator[None]:
    """A RuntimeError of one line if the system killed a worker."""
    try:
        yield
    except joblib.externals.loky.process_executor.TerminatedWorkerError as error:
        fewer = f"try --num_workers {processes // 2}" if processes > 1 else "close other programs"
        why = f"the memory may have run out: {fewer}" if "SIGKILL" in str(error) else "it crashed"
        raise RuntimeError(
            f"a worker was ended by the system; {why}. What was finished is kept; the same command goes on"
        ) from error


@contextmanager
def spread(
    function: Callable[..., Any], calls: Sequence[Sequence[Any]], workers: Workers, progress: tqdm
) -> Iterator[Iterable[Any]]:
    """Call `function` with each of `calls`, side by side; yields the results, in any order, as they arrive.

    On Ray they arrive all together at the end: its joblib backend has no other way.

    Args:
        function: from an importable module; one from `__main__` would be copied for each call and lose its
            state.
        calls: arguments (positional) of each call.
        workers: how many processes, and where.
        progress: a bar over `calls`; it moves whenever one is done, whatever the backend.
    """
    assert function.__module__ != "__main__", f"{function.__name__} has to be imported from its module"
    processes = min(workers.num_workers or joblib.cpu_count(), len(calls))
    threads = 1 if workers.cluster_address else max(1, joblib.cpu_count() // processes)
    main = None if workers.cluster_address else _this_process()
    jobs = [joblib.delayed(_work)(main, threads, function, arguments) for arguments in calls]
    if workers.cluster_address:
        _knock(workers.cluster_address)
    start, is_streaming = _CLUSTERS[workers.backend], workers.backend != "ray"
    with _one_interrupt() as passed_on, start(workers.cluster_address, processes) as (n_jobs, options):
        with joblib.parallel_config(workers.backend, **options):
            return_as = "generator_unordered" if is_streaming else "list"
            parallel = _Parallel(progress, n_jobs=n_jobs, batch_size=1, return_as=return_as)
        if not is_streaming:
            yield passed_on(parallel(jobs))
            return
        with _ignoring_interrupts():
            results = parallel(jobs)
        try:
            with _explained_if_killed(processes):
                yield passed_on(results)
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that some results were not taken
                results.close()
