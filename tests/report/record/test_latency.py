"""Percentiles, the chip's modelled time, and the pipeline against an event-by-event simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.latency import pipeline, summarise

TIMES = st.integers(1, 4).flatmap(
    lambda stages: st.lists(st.lists(st.floats(0.01, 100), min_size=stages, max_size=stages), min_size=1, max_size=7)
)


def naive(views: list[list[float]]) -> float:
    """Every stage takes the oldest waiting view as soon as it is free; a clock runs from event to event."""
    stages = len(views[0])
    queues: list[list[int]] = [list(range(len(views))), *([] for _ in range(stages))]
    busy: dict[int, tuple[float, int]] = {}
    clock = 0.0
    while len(queues[stages]) < len(views):
        for s in range(stages):
            if s not in busy and queues[s]:
                view = queues[s].pop(0)
                busy[s] = (clock + views[view][s], view)
        clock = min(end for end, _ in busy.values())
        for s in [s for s, (end, _) in busy.items() if end <= clock]:
            queues[s + 1].append(busy.pop(s)[1])
    return clock


@given(TIMES)
def test_the_pipeline_is_what_a_clock_sees(views: list[list[float]]) -> None:
    stages = {f"s{i}": tuple(view[i] for view in views) for i in range(len(views[0]))}
    p = pipeline(stages, "a test")
    assert p.pipelined_ms == pytest.approx(naive(views))
    assert p.sequential_ms == pytest.approx(sum(map(sum, views)))
    assert p.first_view_ms == pytest.approx(sum(views[0]))
    slowest = max(sum(times) for times in stages.values())
    assert slowest - 1e-9 <= p.pipelined_ms <= p.sequential_ms + 1e-9
    assert sum(stages[p.bottleneck]) == slowest
    assert p.views_per_second == pytest.approx(1e3 * len(views) / slowest)


def test_percentiles_and_views() -> None:
    latency = summarise(np.arange(1.0, 101.0), once_ms=10.0)
    assert (latency.p50, latency.p90, latency.p99) == pytest.approx((50.5, 90.1, 99.01))
    assert latency.total == 5050 + 10
    assert sum(latency.views) == 5050


def test_a_record_holds_what_was_measured_and_what_was_modelled(record: RunRecord) -> None:
    timing = record.timing
    assert timing.chip is None  # nobody has published what an event takes on Loihi 2
    assert timing.pipeline_with_chip is None
    assert timing.pipeline.sequential_ms == pytest.approx(
        sum(sum(row.latency_ms.views) for row in record.partitions if row.latency_ms)
    )
    assert timing.pipeline.pipelined_ms < timing.pipeline.sequential_ms
    for row in record.partitions:
        assert row.latency_ms is not None
        assert len(row.latency_ms.views) == record.views
