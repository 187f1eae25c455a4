"""The spiking half beside what would replace it: the saving of events, visible and honest.

The same layers are priced in three ways: as the events of this run; dense, every input times every synapse as a MAC, no
membranes; and as an ANN that skips zeros, every arriving event as a MAC. Each by the run's profile, and by int8 prices
of one technology, because an int8 ANN is what a spiking half competes with.

Events cost e_ac a piece and pay for membranes at every step whether anything arrives or not. So spiking stops paying at
the rate s* (spikes per input and step, of layers that spikes feed) where

    s*·D·e_ac + U·e_update + L·e_leak = D·e_mac,    D dense operations, U updates, L leaks of those layers.
"""

from __future__ import annotations

import dataclasses

from hybridnet.report.pricing.profile import INT8_PROFILE, Profile, load_profile, price
from hybridnet.report.quantities import Ops, Span, total_ops
from hybridnet.report.record.data import Alternative, LayerRow, SpikingComparison

EVENTS, DENSE, SKIPPING = "events (this run)", "dense: every input, as MACs", "ANN that skips zeros, as MACs"


def compare_spiking(layers: tuple[LayerRow, ...], views: int, profile: Profile) -> SpikingComparison | None:
    """Compare; None without spiking layers."""
    spiking = [row for row in layers if row.partition == "snn" and row.synapses is not None]
    if not spiking:
        return None
    int8, ops = load_profile(INT8_PROFILE), total_ops(row.ops for row in spiking)
    ways = {
        EVENTS: _arithmetic(ops),
        DENSE: Ops(macs=ops.dense_macs),
        SKIPPING: Ops(macs=ops.macs + ops.acs),
    }
    fed = [row for row in spiking if row.input == "spike"]
    inner, synapses = total_ops(row.ops for row in fed), sum(row.synapses or 0 for row in fed)
    return SpikingComparison(
        alternatives=tuple(Alternative(name, _span(o, profile), _span(o, int8)) for name, o in ways.items()),
        rate=inner.acs / inner.dense_macs if inner.dense_macs else None,
        break_even_rate=break_even(inner, profile),
        int8_break_even_rate=break_even(inner, int8),
        spikes_per_synapse=inner.acs / (synapses * views) if synapses and views else None,
    )


def break_even(ops: Ops, profile: Profile) -> float | None:
    """s* of the layers with these counts, at reference prices; 0 if membranes alone cost more than a dense run.

    Returns:
        None if no spikes feed a layer, or the profile lacks a price that decides.
    """
    prices = profile.priced
    if not ops.dense_macs or not {"mac", "ac", "neuron_update"} <= set(prices):
        return None
    membranes = price(Ops(neuron_updates=ops.neuron_updates, leak_multiplies=ops.leak_multiplies), profile)
    if membranes is None:
        return None
    dense = ops.dense_macs * prices["mac"].reference
    one = ops.dense_macs * prices["ac"].reference
    return max(0.0, (dense - membranes.reference) / one) if one else None


def _arithmetic(ops: Ops) -> Ops:
    """Without memory and time, which the other ways have no counts of."""
    return dataclasses.replace(ops, weight_bytes=0, state_bytes=0, activation_bytes=0, chip_us=0)


def _span(ops: Ops, profile: Profile) -> Span | None:
    energy = price(ops, profile)
    return None if energy is None or energy.missing else Span(energy.low, energy.reference, energy.high)
