"""What reports are made of: counts, and energies with their range."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Precision = Literal["fp32", "int8"]
"""What a layer computes in; the chip's integers are of 8-bit weights."""


@dataclass(frozen=True)
class Ops:
    """Operations of one run (all views).

    Attributes:
        macs: Multiply-accumulates: dense ones of the ANN half; in the spiking half non-zero analog inputs times
            synapses.
        acs: Synaptic operations: spikes arriving at existing synapses, each an accumulate.
        dense_macs: What the same layers cost without event-driven skipping.
        neuron_updates: Membrane updates, one per neuron and step.
        leak_multiplies: Those of the updates that multiply by a leak that is neither 0 nor 1.
        spikes: Spikes emitted.
        element_ops: Additions, multiplications and comparisons of the ANN half that belong to no MAC.
        functions: Exponentials, roots, error functions and the like.
        weight_bytes: Weights read: in the spiking half one per operation, in the ANN half each once per view.
        state_bytes: Membrane potentials, read and written at every update.
        activation_bytes: What enters and leaves layers, each moved once.
        bytes: What crosses the bridge: from and to the host of a chip.
        messages: From core to core of a chip, one per spike and core that it reaches; of an input, from the host.
        hops_ew: Steps of messages from tile to tile, east or west.
        hops_ns: The same, north or south.
        chip_us: Modelled on-chip time in µs, times the chips that are on.
    """

    macs: int = 0
    acs: int = 0
    dense_macs: int = 0
    neuron_updates: int = 0
    leak_multiplies: int = 0
    spikes: int = 0
    element_ops: int = 0
    functions: int = 0
    weight_bytes: int = 0
    state_bytes: int = 0
    activation_bytes: int = 0
    bytes: int = 0
    messages: int = 0
    hops_ew: int = 0
    hops_ns: int = 0
    chip_us: int = 0

    def __add__(self, other: Ops) -> Ops:
        return total_ops((self, other))

    @property
    def counts(self) -> tuple[int, ...]:
        """All of them, in the order of the fields. `dataclasses.astuple` would copy each, in every sum."""
        return tuple(vars(self).values())

    @property
    def memory_bytes(self) -> int:
        """Weights, state and activations."""
        return self.weight_bytes + self.state_bytes + self.activation_bytes


def total_ops(parts: Iterable[Ops]) -> Ops:
    """The sum of several counts."""
    return Ops(*map(sum, zip(*(part.counts for part in parts), strict=True)))


@dataclass(frozen=True)
class Span:
    """A value with the range of its sources."""

    low: float
    reference: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.reference + other.reference, self.high + other.high)


@dataclass(frozen=True)
class Energy:
    """Modelled energy in pJ with the range of the sources.

    Attributes:
        terms: What it consists of, by the name of the price.
        missing: Terms that were counted and have no price in the profile; the energy is a lower bound of theirs.
    """

    low: float
    reference: float
    high: float
    terms: dict[str, Span] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    basis: str = "modelled"

    @property
    def known_pj(self) -> float | None:
        """The reference value; None if nothing of what was counted has a price."""
        return None if self.missing and not self.terms else self.reference

    def __add__(self, other: Energy) -> Energy:
        zero = Span(0.0, 0.0, 0.0)
        terms = {k: self.terms.get(k, zero) + other.terms.get(k, zero) for k in {**self.terms, **other.terms}}
        missing = tuple(sorted({*self.missing, *other.missing}))
        return Energy(self.low + other.low, self.reference + other.reference, self.high + other.high, terms, missing)


NO_ENERGY = Energy(0.0, 0.0, 0.0)
