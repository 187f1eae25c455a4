"""Evaluating clips on workers, none of whose deaths loses a clip.

If a worker dies, its clip is tried again after all others; a clip whose workers died MAX_DEATHS times is a failure of
that clip.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from hybridnet.evaluation.clips import Clip
from hybridnet.evaluation.results import ClipResult
from hybridnet.evaluation.runners import Runner, RunnerSpec, load_runner, run_clip
from hybridnet.support.processes import MAX_DEATHS, DeadWorkerError, Worker, spread_again


def here(clips: Sequence[Clip], runner: Runner, views: int) -> Iterator[ClipResult]:
    """One after another in this process."""
    for clip in clips:
        yield run_clip(runner, clip, views)


def evaluate_on(
    clips: Sequence[Clip], start: Callable[[], Worker[Clip, ClipResult]], count: int
) -> Generator[ClipResult]:
    """Results of all clips, as they are finished.

    Args:
        clips: Each of another name.
        start: Starts a worker.
        count: How many work at a time.

    Raises:
        BackendError: If workers die before any has finished a clip.
    """
    results = spread_again(clips, start, count)
    with closing(results):
        for clip, result in results:
            if isinstance(result, DeadWorkerError):
                failure = f"its worker died {MAX_DEATHS} times"
                result = ClipResult(clip.name, clip.label, None, 0, 0.0, None, failure)
            yield result


@dataclass(frozen=True)
class ClipRunner:
    """What a worker does with a clip; the model is loaded where the first one runs."""

    spec: RunnerSpec
    views: int

    @functools.cached_property
    def _runner(self) -> Runner:
        torch.set_num_threads(self.spec.threads or 1)
        return load_runner(self.spec)

    def __call__(self, clip: Clip) -> ClipResult:
        """The mean over the clip's views, or why there is none."""
        return run_clip(self._runner, clip, self.views)
