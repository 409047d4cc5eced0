"""Which demonstrations are repeated (`--ways`): the shortest of those that succeed wherever they are tried.

A short demonstration may have been lucky. Where it fails from new starts, others take its place there, each
with a way of its own, and what is made shows many ways again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from common import spread
from constants import Stream
from dataset_tools.multiplied.job import Job
from dataset_tools.multiplied.retold import retell
from dataset_tools.multiplied.sources import Source
from tasks import sample_start


def with_ways(job: Job) -> Job:
    """The same job, that knows which sources it repeats; tries them, the shortest first, and says which."""
    if job.flags.ways is None:
        return job
    ordered = sorted(job.sources, key=lambda source: len(source.watched.commands))
    cases = [[s for s in ordered if s.case == case] for case in sorted({s.case for s in ordered})]
    succeeded = _successes(job, cases) if job.flags.trials else Counter()
    repeated = []
    for sources in cases:
        ways = sorted(sources, key=lambda source: -succeeded[source.name])[: job.flags.ways]
        repeated += ways
        if job.flags.trials:
            print(_told(job, sources, ways, succeeded))
    return replace(job, repeated=frozenset(source.name for source in repeated))


def _successes(job: Job, cases: Sequence[Sequence[Source]]) -> Counter[str]:
    """How often each source that was tried succeeded, by its name; of each case the shortest is first."""
    succeeded: Counter[str] = Counter()
    with tqdm(total=0, desc="trying demonstrations", unit="start") as progress:
        while due := [source for sources in cases for source in _due(job, sources, succeeded)]:
            succeeded.update(_try(job, due, progress))
    return succeeded


def _due(job: Job, sources: Sequence[Source], succeeded: Mapping[str, int]) -> list[Source]:
    """The sources of a case to try next: as many as are missing, the shortest first."""
    sure = sum(succeeded.get(source.name) == job.flags.trials for source in sources)
    untried = [source for source in sources if source.name not in succeeded]
    return untried[: max(0, job.flags.ways - sure)]


def _try(job: Job, sources: Sequence[Source], progress: tqdm) -> dict[str, int]:
    """How often each source succeeds."""
    calls = [(job, source, number) for source in sources for number in range(job.flags.trials)]
    progress.total += len(calls)
    successes = {source.name: 0 for source in sources}
    with spread(succeeds, calls, job.flags, progress) as results:
        for name, success in results:
            successes[name] += success
    return successes


def succeeds(job: Job, source: Source, number: int) -> tuple[str, bool]:
    """A source's name, and whether it succeeds from trial start `number`, which all of its case share."""
    rng = np.random.default_rng([job.flags.seed, Stream.MULTIPLY_TRIAL, number])
    start = sample_start(job.task, rng, source.case, job.flags.margin)
    return source.name, retell(job.environment(), job.task, source, start) is not None


def _told(job: Job, sources: Sequence[Source], ways: Sequence[Source], succeeded: Mapping[str, int]) -> str:
    """In words, what is repeated of a case; `sources` are in the order of their lengths."""
    names = ", ".join(f"{source.name} ({succeeded[source.name]})" for source in ways)
    case = f" of the case {job.task.cases[sources[0].case].label!r}" if job.task.cases else ""
    told = f"repeated{case}, with the successes from {job.flags.trials} trial starts: {names}"
    shorter = max(sources.index(source) for source in ways) + 1 - len(ways)
    return f"{told}; shorter ones that failed more often: {shorter}" if shorter else told
