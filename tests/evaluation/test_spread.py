"""Without a model: shares against counting by hand, and a spread over workers that die."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from hybridnet.errors import BackendError
from hybridnet.evaluation.clips import Clip
from hybridnet.evaluation.results import ClipResult
from hybridnet.evaluation.spread import evaluate_on
from hybridnet.evaluation.summary import spread_of, summarise
from hybridnet.support.processes import MAX_DEATHS, DeadWorkerError
from hybridnet.video.dataset import Sample


def results_of(number: int, classes: int = 7) -> list[ClipResult]:
    random = np.random.default_rng(3)
    logits = random.standard_normal((number, classes))
    return [ClipResult(str(i), i % 5, tuple(row), 8, 1.0, float(i)) for i, row in enumerate(logits.tolist())]


def test_shares_against_counting_by_hand() -> None:
    results = results_of(60)
    summary = summarise(results, [f"class {i}" for i in range(7)], {}, None)
    ranks = [sorted(range(7), key=lambda c, r=r: -r.logits[c]) for r in results]  # type: ignore[misc]
    first = [rank[0] == r.label for rank, r in zip(ranks, results, strict=True)]
    assert summary.top1 == pytest.approx(sum(first) / 60)
    assert summary.top5 == pytest.approx(sum(r.label in rank[:5] for rank, r in zip(ranks, results, strict=True)) / 60)
    taken = [first[i] for i, rank in enumerate(ranks) if rank[0] == 2]
    assert summary.classes[2].precision == pytest.approx(sum(taken) / len(taken))
    assert summary.classes[2].top1 == pytest.approx(
        sum(f for f, r in zip(first, results, strict=True) if r.label == 2) / 12
    )
    assert summary.classes[6].top1 is None
    assert summary.classes[6].clips == 0
    assert summary.energy_pj is not None
    assert summary.energy_pj.p50 == 29.5
    half = spread_of([summary, summarise(results[:30], [""] * 7, {}, None)])
    assert half.top1_std > 0


class FakeWorker:
    """A worker that dies of some clips: always, or a number of times."""

    def __init__(self, deaths: dict[str, int], log: list[str]) -> None:
        self._deaths, self._log, self._dead = deaths, log, False

    def submit(self, clip: Clip) -> Future[ClipResult]:
        assert not self._dead
        self._log.append(clip.name)
        future: Future[ClipResult] = Future()
        if self._deaths.get(clip.name, 0):
            self._deaths[clip.name] -= 1
            self._dead = True
            future.set_exception(DeadWorkerError(-9))
        else:
            future.set_result(ClipResult(clip.name, 0, (1.0,), 1, 0.1, None))
        return future

    def close(self) -> None:
        self._log.append("closed")


CLIPS = [Clip(str(i), 0, Sample(Path("x"), 0)) for i in range(6)]


def test_a_death_loses_no_clip() -> None:
    log: list[str] = []
    deaths = {"1": 2, "4": MAX_DEATHS}
    started: list[FakeWorker] = []

    def start() -> FakeWorker:
        started.append(FakeWorker(deaths, log))
        return started[-1]

    results = {r.clip: r for r in evaluate_on(CLIPS, start, 2)}
    assert sorted(results) == [clip.name for clip in CLIPS]
    assert [name for name, r in results.items() if r.failure] == ["4"]
    assert log.count("1") == log.count("4") == 3
    assert log.count("closed") == len(started) >= 2 + MAX_DEATHS


def test_workers_that_never_finish_a_clip_end_it() -> None:
    deaths = {clip.name: 99 for clip in CLIPS}
    with pytest.raises(BackendError, match="die before"):
        list(evaluate_on(CLIPS, lambda: FakeWorker(deaths, []), 2))
