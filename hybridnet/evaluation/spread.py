"""Spreading clips over workers, none of whose deaths loses a clip.

A worker has one clip at a time. If it dies, a new one takes its place, and the clip is tried again after all others; a
clip whose workers died MAX_DEATHS times is a failure of that clip.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

import torch

from hybridnet.errors import BackendError
from hybridnet.evaluation.clips import Clip
from hybridnet.evaluation.results import ClipResult
from hybridnet.evaluation.runners import Runner, RunnerSpec, load_runner, run_clip

MAX_DEATHS = 3


class Worker(Protocol):
    """A process somewhere that has loaded the model."""

    def submit(self, clip: Clip) -> Future[ClipResult]:
        """Start on a clip; the future raises one of the engine's exceptions if the process dies."""

    def close(self) -> None:
        """End the process; no result is awaited."""


def here(clips: Sequence[Clip], runner: Runner, views: int) -> Iterator[ClipResult]:
    """One after another in this process."""
    for clip in clips:
        yield run_clip(runner, clip, views)


def spread(
    clips: Sequence[Clip], start: Callable[[], Worker], count: int, died: tuple[type[Exception], ...]
) -> Generator[ClipResult]:
    """Results of all clips, as they are finished.

    Args:
        clips: Each of another name.
        start: Starts a worker.
        count: How many work at a time.
        died: What tells that a worker died.

    Raises:
        BackendError: If workers die before any has finished a clip.
    """
    waiting, deaths, finished = deque(clips), Counter[str](), 0
    idle = [start() for _ in range(min(count, len(clips)))]
    running: dict[Future[ClipResult], tuple[Worker, Clip]] = {}
    try:
        while waiting or running:
            while waiting and idle:
                worker, clip = idle.pop(), waiting.popleft()
                running[_submitted(worker, clip, died)] = worker, clip
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker, clip = running.pop(future)
                error = future.exception()
                if error is None:
                    idle.append(worker)
                    finished += 1
                    yield future.result()
                    continue
                worker.close()
                if not isinstance(error, died):
                    raise error
                deaths[clip.name] += 1
                if not finished and deaths.total() >= MAX_DEATHS * count:
                    remedy = "Try fewer --workers if memory is short, or one to see why"
                    raise BackendError("workers die before they finish a clip", remedy=remedy) from error
                idle.append(start())
                if deaths[clip.name] < MAX_DEATHS:
                    waiting.append(clip)
                else:
                    failure = f"its worker died {MAX_DEATHS} times"
                    yield ClipResult(clip.name, clip.label, None, 0, 0.0, None, failure)
    finally:
        for worker in (*idle, *(worker for worker, _ in running.values())):
            worker.close()


def _submitted(worker: Worker, clip: Clip, died: tuple[type[Exception], ...]) -> Future[ClipResult]:
    """The future of a clip, also if the worker has died while it was idle."""
    try:
        return worker.submit(clip)
    except died as error:
        future: Future[ClipResult] = Future()
        future.set_exception(error)
        return future


class LocalWorker:
    """A process of this machine."""

    died = (BrokenProcessPool,)

    def __init__(self, spec: RunnerSpec, views: int) -> None:
        context = multiprocessing.get_context("spawn")  # the caller may run threads, which do not survive a fork
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_load, initargs=(spec,))
        self._views = views

    def submit(self, clip: Clip) -> Future[ClipResult]:
        """See `Worker`."""
        return self._pool.submit(_run, clip, self._views)

    def close(self) -> None:
        """See `Worker`."""
        self._pool.shutdown(wait=False, cancel_futures=True)


_RUNNERS: list[Runner] = []
"""That of this worker process."""


def _load(spec: RunnerSpec) -> None:
    torch.set_num_threads(spec.threads or 1)
    threading.Thread(target=_follow_parent, daemon=True).start()
    _RUNNERS.append(load_runner(spec))


def _follow_parent() -> None:
    """No worker outlives a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(clip: Clip, views: int) -> ClipResult:
    return run_clip(_RUNNERS[0], clip, views)
