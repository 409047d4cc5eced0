"""Work spread with joblib: over processes of this machine (loky), or over a Ray or Dask cluster.

The scripts that can do so share the flags of `Workers`. What is computed does not depend on where.
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
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import joblib
from tqdm import tqdm

from common import cli
from common.processes import began, end_with, sweep_shared_memory

ROOT = str(Path(__file__).resolve().parents[1])
PACKAGES = {"loky": "joblib", "ray": "ray", "dask": "distributed"}  # what each backend imports
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
                f"--num_workers is {self.num_workers}; with --cluster_address it is the cluster that decides"
            )
        if onscreen and self.backend != "loky":
            raise ValueError(f"--backend is {self.backend}; --onscreen_render shows what this process does")
        if importlib.util.find_spec(PACKAGES[self.backend]) is None:
            raise ImportError(
                f"--backend {self.backend} needs the package {PACKAGES[self.backend]}, the extra "
                f"{self.backend!r}: pip install '{ROOT}[{self.backend}]'"
            )


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put the handlers of both signals back in the end."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _one_interrupt() -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt, once: more of them do not cut the cleaning up short.

    Python drops exceptions that are raised while it frees an object. What is yielded goes through results,
    and raises it once more where that has happened.
    """
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        came.append(number)
        raise KeyboardInterrupt

    def heed(results: Iterable[Any]) -> Iterator[Any]:
        for result in results:
            if came:
                break
            yield result
        if came:
            raise KeyboardInterrupt

    with _handlers_kept():
        for number in SIGNALS:
            signal.signal(number, interrupt)
        yield heed


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started here ignore Ctrl-C, which reaches all of a terminal's: we end them."""
    with _handlers_kept():  # Ray puts its own in their place
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        yield


def _this_process() -> tuple[int, float | None]:
    """Its number, and when it began: what workers end with."""
    return os.getpid(), began(os.getpid())


@contextmanager
def _loky(address: None, processes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    sweep_shared_memory()
    yield processes, {"initializer": end_with, "initargs": _this_process()}


def _hush() -> None:
    """End a worker's stderr. Dask's do not draw in the main thread, which is where EGL then exits, aloud."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@contextmanager
def _dask(address: str | None, processes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    import dask

    dask.config.set({"logging.distributed": "critical"})  # ours; read when it is imported
    from dask.distributed import Client, LocalCluster

    with ExitStack() as stack:
        if address is None:
            with _deaf():
                cluster = LocalCluster(
                    n_workers=processes,
                    threads_per_worker=1,
                    memory_limit=None,  # otherwise workers are stopped that use more than their share
                    dashboard_address=":0",
                    silence_logs=logging.CRITICAL,  # those of the workers
                )
            stack.enter_context(cluster)
        client = stack.enter_context(Client(address or cluster))
        if address is None:
            stack.callback(client.run, _hush, on_error="ignore")
        if max(client.nthreads().values(), default=1) > 1:  # they would share one simulation
            raise ValueError(
                f"the Dask workers of {address} have several threads each; start them with one: "
                "dask worker --nthreads 1 --nworkers <processes>"
            )
        root = ROOT  # a nameless function travels whole; those with names are found only after it has run
        client.register_worker_callbacks(lambda: root in sys.path or sys.path.insert(0, root))
        yield -1, {"client": client}


@contextmanager
def _ray(address: str | None, processes: int) -> Iterator[tuple[int, dict[str, Any]]]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    import ray
    from ray.util.joblib import register_ray

    local = {"num_cpus": processes, "include_dashboard": False} if address is None else {}
    try:
        with _deaf():
            ray.init(address or "local", logging_level="ERROR", log_to_driver=False, **local)
        register_ray()
        yield processes if address is None else -1, {}
    finally:
        ray.shutdown()


_CLUSTERS = {"loky": _loky, "ray": _ray, "dask": _dask}


def _knock(address: str) -> None:
    """ConnectionError at once if nobody is there; Ray's and Dask's own clients try for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise ConnectionError(f"no cluster answers at {address} ({error})") from error


class _Parallel(joblib.Parallel):
    """Moves a bar for every call that is done, also where results can only be had all at once."""

    def __init__(self, progress: tqdm, **options: Any) -> None:
        super().__init__(**options)
        self._bar = progress

    def print_progress(self) -> None:
        """What joblib calls whenever one more is done."""
        self._bar.update(self.n_completed_tasks - self._bar.n)


def _work(
    main: tuple[int, float | None] | None,
    threads: int,
    function: Callable[..., Any],
    arguments: Sequence[Any],
) -> Any:
    """One call, in a worker, which ends with the process `main`: number, and when it began."""
    if main is not None:
        end_with(*main)
    # Software rendering starts a thread per core in each process, unless this is set before OpenGL starts.
    os.environ.setdefault("LP_NUM_THREADS", str(threads))
    return function(*arguments)


@contextmanager
def _told_if_killed(processes: int) -> Iterator[None]:
    """RuntimeError, in one line, for workers that the system killed."""
    try:
        yield
    except joblib.externals.loky.process_executor.TerminatedWorkerError as error:
        fewer = f"try --num_workers {processes // 2}" if processes > 1 else "close other programs"
        why = f"the memory may have run out: {fewer}" if "SIGKILL" in str(error) else "it crashed"
        raise RuntimeError(
            f"a worker was ended by the system; {why}. What was finished is kept, the same command goes on"
        ) from error


@contextmanager
def spread(
    function: Callable[..., Any], calls: Sequence[Sequence[Any]], workers: Workers, progress: tqdm
) -> Iterator[Iterable[Any]]:
    """Call `function` with each of `calls`, side by side; yields the results, in any order, as they arrive.

    On Ray they arrive all together in the end: its joblib backend has no other way.

    Args:
        function: of an importable module: one of `__main__` would be copied for each call, and forget what
            it keeps.
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
    start, streams = _CLUSTERS[workers.backend], workers.backend != "ray"
    with _one_interrupt() as heed, start(workers.cluster_address, processes) as (n_jobs, options):
        with joblib.parallel_config(workers.backend, **options):
            return_as = "generator_unordered" if streams else "list"
            parallel = _Parallel(progress, n_jobs=n_jobs, batch_size=1, return_as=return_as)
        if not streams:
            yield heed(parallel(jobs))
            return
        with _deaf():
            results = parallel(jobs)
        try:
            with _told_if_killed(processes):
                yield heed(results)
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that not all results were asked for
                results.close()
