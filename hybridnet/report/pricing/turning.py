"""What would turn a verdict: where spiking pays if one quantity alone were another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from hybridnet.report.pricing.ways import Change, Costs
from hybridnet.report.record.verdict import CROSSED, RATE, SYNAPSES, Turn
from hybridnet.report.record.verdict import STEPS as STEPS_PER_VIEW

STEPS = range(1, 257)
"""Numbers of steps that are tried: what bits they need is no line."""


def turns_of(costs: Costs, views: int, rate: float | None) -> Iterator[Turn]:
    """One per quantity.

    Args:
        costs: At reference prices.
        views: N of the run.
        rate: Share of the synapses of the layers that spikes feed that a spike reaches in a step.
    """
    steps = costs.counted.steps
    if rate:
        low, high = _ends(costs, lambda factor: Change(steps, spikes=factor))
        beyond = high is None or high * rate > 1
        ends = (None, None) if low is not None and low * rate > 1 else (low, None if beyond else high)
        yield Turn(RATE, "share", rate, *_times(ends, rate))
    if crossed := (costs.counted.each_step.bytes + costs.counted.once.bytes) / views:
        ends = _ends(costs, lambda factor: Change(steps, bridge=factor))
        yield Turn(CROSSED, "bytes", crossed, *_times(ends, crossed))
    ends = _ends(costs, lambda factor: Change(steps, synapses=factor))
    yield Turn(SYNAPSES, "", 1.0, *ends)
    paying = [t for t in STEPS if costs.pays(Change(t))]
    nearest = min(paying, key=lambda t: abs(t - steps), default=None)
    yield Turn(STEPS_PER_VIEW, "", float(steps), *(_run(paying, nearest) if nearest is not None else (None, None)))


def _ends(costs: Costs, change: Callable[[float], Change]) -> tuple[float | None, float | None]:
    """The factors, from 0 on, at which events cost less than every other way: each margin is a line."""
    low, high = 0.0, math.inf
    for at_nothing, at_now in zip(costs.margins(change(0.0)), costs.margins(change(1.0)), strict=True):
        slope = at_now - at_nothing
        if slope > 0:
            low = max(low, -at_nothing / slope)
        elif slope < 0:
            high = min(high, -at_nothing / slope)
        elif at_nothing <= 0:
            return None, None
    if low >= high:
        return None, None
    return low, None if high == math.inf else high


def _times(ends: tuple[float | None, float | None], now: float) -> tuple[float | None, float | None]:
    low, high = ends
    return None if low is None else low * now, None if high is None else high * now


def _run(paying: Sequence[int], member: int) -> tuple[float, float | None]:
    """The ends of the numbers in a row around one of them; the last number that was tried is no end."""
    low = high = member
    while low - 1 in paying:
        low -= 1
    while high + 1 in paying:
        high += 1
    return float(low), None if high == STEPS[-1] else float(high)
