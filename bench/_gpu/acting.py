"""How long a policy thinks on a GPU, and what several processes that act there cost."""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from _gpu.building import FROZEN, LITTLE_IMAGE, Make, Preset, able_to_act, build, full_size, seen
from _gpu.session import Session
from _gpu.timing import launches, synchronise
from evaluation import ChunkedExecution
from policies import TorchActor, ready_to_act
from policy import load_policy
from training import Run, TrainConfig

ANSWER = 60.0  # s in which a process must have acted


def latency(session: Session) -> None:
    """Each policy as a rollout runs it, one observation at a time."""
    act, image = partial(full_size, session.tiny, **FROZEN), LITTLE_IMAGE if session.tiny else (480, 640)
    session.measure("ACT", thinking, session, act)
    session.measure("ACT, float32", thinking, session, act, amp="no")
    session.measure("ACT, 3 cameras", thinking, session, partial(act, cameras=3))
    rest = {
        "presets/small": Preset.read("small", session.tiny).build,
        "presets/small_diffusion": Preset.read("small_diffusion", session.tiny).build,
        "VINN": partial(build, "VINN", image),
        "CNNMLP": partial(build, "CNNMLP", image, **FROZEN),
    }
    for what, make in rest.items():
        session.measure(what, thinking, session, make)


def thinking(session: Session, make: Make, amp: str = "auto") -> dict[str, Any]:
    """Milliseconds from the camera's frame to a chunk in the host's memory: the median, and the slowest."""
    policy = ready_to_act(able_to_act(make().to(session.device)), amp)
    execution = ChunkedExecution(TorchActor(policy, amp), query_every=1)
    frame, seconds = seen(policy), 0.0 if session.tiny else 0.8

    def think() -> object:
        return execution(frame)

    began = time.perf_counter()
    think()
    first = time.perf_counter() - began
    for _ in range(0 if session.tiny else 3):
        think()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or not times:
        began = time.perf_counter()
        think()
        times.append(1000 * (time.perf_counter() - began))
    values = {"ms": sorted(times)[len(times) // 2], "slowest_ms": max(times), "first_s": first}
    return {**values, **launches(think, session.device)}


# --- several processes


def workers(session: Session) -> None:
    """Processes that load a policy and act once, as those of an evaluation do."""
    with tempfile.TemporaryDirectory() as folder:
        policy = Preset.read("small").build().to(session.device)
        path = Run(policy, TrainConfig(), 10).save(Path(folder), "best")
        for count in (1,) if session.tiny else (1, 8):
            session.measure(f"{count} at once", at_once, session, path, count)


def at_once(session: Session, path: Path, count: int) -> dict[str, Any]:
    """Seconds and memory of the GPU that they take, their start included."""
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    arguments = (path, str(session.device), answers)
    processes = [spawn.Process(target=first_chunk, args=arguments, daemon=True) for _ in range(count)]
    began = time.perf_counter()
    with used_memory(session) as used:
        for process in processes:
            process.start()
        times = [answers.get(timeout=ANSWER) for _ in processes]
        seconds = time.perf_counter() - began
        for process in processes:
            process.join()
    values = {"all_s": seconds, "load_and_act_s": max(times)}
    return {**values, "GB": max(used) / count} if session.is_cuda else values


@contextmanager
def used_memory(session: Session) -> Iterator[list[float]]:
    """GB of the GPU that others took at most in the block."""
    used, stop = [0.0], threading.Event()

    def watch() -> None:
        before = torch.cuda.mem_get_info(session.device)[0]
        while not stop.wait(0.05):
            used.append((before - torch.cuda.mem_get_info(session.device)[0]) / 1e9)

    thread = threading.Thread(target=watch, daemon=True) if session.is_cuda else None
    if thread:
        thread.start()
    try:
        yield used
    finally:
        stop.set()
        if thread:
            thread.join()


def first_chunk(path: Path, device: str, answers: Any) -> None:
    """In a process of its own: load a policy and act; answers with the seconds, without the imports."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    policy = ready_to_act(load_policy(path, device))
    ChunkedExecution(TorchActor(policy))(seen(policy))
    synchronise(policy.device)
    answers.put(time.perf_counter() - began)
