"""What the layers of a spiking half cost as the events of a run, and as what would replace them.

- dense: every input times every synapse, a MAC at each of the T steps, in float32 and in int8;
- skipping zeros: a MAC for every input that is not 0, in int8, and nothing for finding them, as no host does;
- in equal information: T spikes of a neuron tell its T + 1 rates, which ⌈log2(T + 1)⌉ bits tell as well (Yan et al.,
  arXiv 2409.08290 v4). Layers that spikes feed run once per view then, on activations of so many bits; what messages
  feed differs from step to step, and runs T times in int8.

A product of b bits and 8 costs b/8 of one of 8 and 8, its sum as much as any: e_b = e_ac + (e_mac − e_ac)·b/8. No
other way has membranes, none needs the bridge, and the front, where there is one, is computed in all of them. Memory
traffic, static power, and what has no price are in none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from hybridnet.report.pricing.profile import TERMS
from hybridnet.report.quantities import Ops, total_ops
from hybridnet.report.record.data import LayerRow
from hybridnet.report.record.prices import Price, ProfileRow
from hybridnet.report.record.verdict import DENSE_INT8

End = Callable[[Price], float]
"""Which end of the range of each price."""
ENDS: tuple[End, ...] = (lambda p: p.low, lambda p: p.reference, lambda p: p.high)

EVENTS = "events (this run), with their bridge"
DENSE_FLOAT = "plain float32 host, dense"
SKIPPING = "ideal int8 host that skips zeros for free"
EQUAL = "ideal {bits}-bit host, in equal information"

EACH_STEP = ("message", "potentials", "spikes")
"""Kinds of the bridge of which each step brings as much; others cross once per view."""


@dataclass(frozen=True)
class Change:
    """What is other than in the run, as factors: spikes, bytes of the bridge, synapses of a neuron; and the steps T."""

    steps: int
    spikes: float = 1.0
    bridge: float = 1.0
    synapses: float = 1.0


@dataclass(frozen=True)
class Counted:
    """Counts of a run, apart by what they grow with.

    Attributes:
        analog: Those of the layers that messages feed.
        fed: Those of the layers that spikes feed.
        each_step: Crosses at each step.
        once: Crosses once per view.
        front: That of the front.
    """

    analog: Ops
    fed: Ops
    each_step: Ops
    once: Ops
    front: Ops
    steps: int

    @staticmethod
    def of(layers: Iterable[LayerRow], steps: int) -> Counted:
        """The layers of the rows of a run of T steps a view."""
        rows = tuple(layers)
        spiking = [row for row in rows if is_spiking(row)]
        bridge = [row for row in rows if row.partition == "bridge"]
        return Counted(
            total_ops(row.ops for row in spiking if row.input == "analog"),
            total_ops(row.ops for row in spiking if row.input == "spike"),
            total_ops(row.ops for row in bridge if row.kind in EACH_STEP),
            total_ops(row.ops for row in bridge if row.kind not in EACH_STEP),
            total_ops(row.ops for row in rows if row.partition == "front"),
            steps,
        )

    @cached_property
    def spiking(self) -> Ops:
        """The sum over all spiking layers."""
        return self.analog + self.fed


def is_spiking(row: LayerRow) -> bool:
    """Whether a row is of a spiking layer."""
    return row.partition == "snn" and row.synapses is not None


def information_bits(steps: int) -> int:
    """⌈log2(T + 1)⌉."""
    return steps.bit_length()


@dataclass(frozen=True)
class Costs:
    """Energies in pJ of a run at one end of the range of prices.

    Attributes:
        counted: What they are of.
        analog: MACs of messages.
        spikes: Accumulates of spikes.
        membranes: Updates and leaks.
        sent: Spikes and their messages.
        each_step: What crosses at each step, with the messages of inputs.
        once: What crosses once per view.
        before: The front.
        mac: Price of one MAC in integers.
        ac: Price of one accumulate.
        float_mac: Price of one MAC in float32; None if it has no price.
    """

    counted: Counted
    analog: float
    spikes: float
    membranes: float
    sent: float
    each_step: float
    once: float
    before: float
    mac: float
    ac: float
    float_mac: float | None

    @staticmethod
    def of(counted: Counted, integers: ProfileRow, floats: ProfileRow | None, end: End) -> Costs:
        """What counts cost; what is in another price, or has none, costs nothing.

        Args:
            counted: Counts of the run.
            integers: Prices of the chip's arithmetic, and of int8.
            floats: Prices of float32; None if there are none.
            end: Which end of the range.
        """

        def each(term: str, prices: ProfileRow = integers) -> float:
            entry = prices.entry(term)
            return end(entry) if isinstance(entry, Price) else 0.0

        def total(ops: Ops, *terms: str, prices: ProfileRow = integers) -> float:
            return sum(TERMS[term].amount(ops) * each(term, prices) for term in terms)

        messages, own = ("message", "hop_ew", "hop_ns"), counted.spiking
        return Costs(
            counted,
            analog=total(own, "mac"),
            spikes=total(own, "ac"),
            membranes=total(own, "neuron_update", "leak"),
            sent=total(own, "spike", *messages),
            each_step=total(counted.each_step, "bridge_byte", *messages),
            once=total(counted.once, "bridge_byte"),
            before=total(counted.front, "mac", "element_op", prices=floats or integers),
            mac=each("mac"),
            ac=each("ac"),
            float_mac=None if floats is None else each("mac", floats),
        )

    def events(self, change: Change) -> float:
        """The layers as events."""
        arriving = change.synapses * (self.analog + change.spikes * self.spikes)
        return self._grown(change) * (arriving + self.membranes + change.spikes * self.sent)

    def bridge(self, change: Change) -> float:
        """What crosses, and the messages of inputs."""
        return change.bridge * (self._grown(change) * self.each_step + self.once)

    def front(self, change: Change) -> float:
        """What is computed before the chip, in every way."""
        return self._grown(change) * self.before

    def others(self, change: Change) -> dict[str, float]:
        """The layers as what would replace them, without the front."""
        c, grown = self.counted, self._grown(change)
        dense, skipped = c.spiking.dense_macs, c.spiking.macs + change.spikes * c.spiking.acs
        few_bits = self.ac + (self.mac - self.ac) * information_bits(change.steps) / 8
        found = {
            DENSE_INT8: grown * dense * self.mac,
            SKIPPING: grown * skipped * self.mac,
            EQUAL.format(bits=information_bits(c.steps)): grown * c.analog.dense_macs * self.mac
            + c.fed.dense_macs / c.steps * few_bits,
        }
        if self.float_mac is not None:
            found = {DENSE_FLOAT: grown * dense * self.float_mac} | found
        return {name: change.synapses * cost for name, cost in found.items()}

    def pays(self, change: Change) -> bool:
        """Whether the events with their bridge cost less than every other way."""
        return min(self.margins(change)) > 0

    def margins(self, change: Change) -> list[float]:
        """By how much each other way costs more."""
        own = self.events(change) + self.bridge(change)
        return [other - own for other in self.others(change).values()]

    def _grown(self, change: Change) -> float:
        return change.steps / self.counted.steps
