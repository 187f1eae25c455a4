"""What would turn a verdict: where spiking pays if one quantity alone were another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hybridnet.report.pricing.ways import Change, Costs
from hybridnet.report.record.verdict import STEPS as STEPS_PER_VIEW
from hybridnet.report.record.verdict import Turn

FACTORS = (0.0, *(float(f) for f in np.geomspace(1e-4, 1e4, 101)))
"""What a quantity is tried at, as a factor of what it is; ends between two of them are found by halving."""
STEPS = range(1, 257)
HALVINGS = 40


def turns_of(costs: Costs, views: int, rate: float | None) -> Iterator[Turn]:
    """One per quantity.

    Args:
        costs: At reference prices.
        views: N of the run.
        rate: Spikes per input and step of the layers that spikes feed.
    """
    steps = costs.counted.steps
    if rate:
        ends = _ends(lambda f: costs.pays(Change(steps, spikes=f)), [f for f in FACTORS if f < 1 / rate] + [1 / rate])
        yield Turn("spike rate", "share", rate, *_times(ends, rate))
    if crossed := (costs.counted.each_step.bytes + costs.counted.once.bytes) / views:
        ends = _ends(lambda f: costs.pays(Change(steps, bridge=f)), FACTORS)
        yield Turn("bytes across the bridge per view", "bytes", crossed, *_times(ends, crossed))
    ends = _ends(lambda f: costs.pays(Change(steps, synapses=f)), FACTORS)
    yield Turn("times the synapses per neuron", "", 1.0, *ends)
    paying = [t for t in STEPS if costs.pays(Change(t))]
    nearest = min(paying, key=lambda t: abs(t - steps), default=None)
    yield Turn(STEPS_PER_VIEW, "", float(steps), *(_run(paying, nearest) if nearest is not None else (None, None)))


def _ends(pays: Callable[[float], bool], factors: Sequence[float]) -> tuple[float | None, float | None]:
    """Of the range of factors that contains 1, or is the nearest to it; the upper one is None if there is none."""
    held = {n for n, factor in enumerate(factors) if pays(factor)}
    if not held:
        return None, None
    here = min(held, key=lambda n: abs(factors[n] - 1))
    low = high = here
    while low - 1 in held:
        low -= 1
    while high + 1 in held:
        high += 1
    return (
        factors[0] if low == 0 else _edge(pays, factors[low], factors[low - 1]),
        None if high == len(factors) - 1 else _edge(pays, factors[high], factors[high + 1]),
    )


def _edge(pays: Callable[[float], bool], inside: float, outside: float) -> float:
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if pays(middle) else (inside, middle)
    return inside


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
