"""Whether spiking pays: the layers of the spiking half as they ran, and as what would replace them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hybridnet.report.quantities import Span

DENSE_INT8 = "plain int8 host, dense"
"""How a `Way` is called."""

RATE = "spike rate: share of the synapses that a spike reaches in a step"
CROSSED = "bytes across the bridge per view"
SYNAPSES = "synapses per neuron, times as many as now"
STEPS = "steps per view"
"""How a `Turn` calls what it changes."""

Answer = Literal["yes", "no", "depends"]
"""Whether it pays: at all prices within their ranges, at none, or at some."""


def pays_against(whole: Span, others: Iterable[Span]) -> Answer:
    """Whether a cost is less than every other; each price may be anything in its range, whatever the others are."""
    found = tuple(others)
    if all(whole.high < other.low for other in found):
        return "yes"
    return "no" if any(whole.low >= other.high for other in found) else "depends"


@dataclass(frozen=True)
class Way:
    """The same layers run in one way.

    Attributes:
        macs: Multiply-accumulates that it takes, of all views.
        acs: Accumulates.
        energy_pj: With the front where there is one; of events with their bridge too.
    """

    name: str
    macs: int
    acs: int
    energy_pj: Span


@dataclass(frozen=True)
class Turn:
    """Where spiking pays if one quantity alone were another, at reference prices.

    Attributes:
        quantity: In words.
        unit: `share`, `bytes`, or empty.
        now: In this run.
        low: Lower end of the values at which it pays; None if it pays at none.
        high: Upper end; None likewise, or if there is none.
    """

    quantity: str
    unit: Literal["share", "bytes", ""]
    now: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Verdict:
    """Does spiking pay?

    Attributes:
        pays: Whether it costs less than every other way: over the whole range of prices (yes), over none of it (no), or
            over a part of it (depends).
        pays_at_reference: At reference prices alone.
        profile: Whose prices these are.
        steps: T of a view.
        bits: ⌈log2(T + 1)⌉, of the ANN of equal information.
        events_pj: What the layers themselves cost as events.
        bridge_pj: What the bridge costs, which no other way needs.
        front_pj: What the front costs, which every way needs.
        ways: As in this run first.
        turns: What would turn it.
        rate: Share of the synapses that a spike reaches in a step, over the layers that spikes feed: each synapse
            counts once, so that a neuron counts by its fan-out. None without any.
        spikes_per_synapse: Per view, over the same layers.
        analog_macs: MACs of the layers that messages feed, by name.
    """

    pays: Answer
    pays_at_reference: bool
    profile: str
    steps: int
    bits: int
    events_pj: Span
    bridge_pj: Span
    front_pj: Span
    ways: tuple[Way, ...]
    turns: tuple[Turn, ...]
    rate: float | None
    spikes_per_synapse: float | None
    analog_macs: dict[str, int]

    @property
    def cheapest(self) -> Way:
        """The other way that costs least, at reference prices."""
        return min(self.ways[1:], key=lambda way: way.energy_pj.reference)

    @property
    def plain(self) -> Way | None:
        """The way that one can buy: an int8 host that computes zeros too."""
        return next((way for way in self.ways if way.name == DENSE_INT8), None)
