"""One verdict: does spiking pay, with the bridge and the front that the split needs? `ways` has what it is up against.

Prices are those of integers, since the chip's weights have 8 bits and an int8 ANN is what a spiking half competes with.
"""

from __future__ import annotations

from hybridnet.report.pricing.profile import INT8_PROFILE, Profile, load_profile
from hybridnet.report.pricing.turning import turns_of
from hybridnet.report.pricing.ways import (
    DENSE_FLOAT,
    ENDS,
    EVENTS,
    SKIPPING,
    Change,
    Costs,
    Counted,
    information_bits,
    is_spiking,
)
from hybridnet.report.quantities import Span, total_ops
from hybridnet.report.record.data import LayerRow
from hybridnet.report.record.prices import ProfileRow
from hybridnet.report.record.verdict import DENSE_INT8, Verdict, Way, pays_against

NEEDED = ("mac", "ac", "neuron_update", "bridge_byte")
"""A profile without a price of one of these judges nothing, and `horowitz45-int8` does."""


def judge(layers: tuple[LayerRow, ...], views: int, steps: int, profile: Profile) -> Verdict | None:
    """Judge a run; None without spiking layers.

    Args:
        layers: All rows of the run, priced or not.
        views: N.
        steps: T of a view.
        profile: The run's.
    """
    spiking = [row for row in layers if is_spiking(row)]
    if not spiking:
        return None
    integers, floats = _widths(profile)
    counted, now = Counted.of(layers, steps), Change(steps)
    low, reference, high = (Costs.of(counted, integers, floats, end) for end in ENDS)
    events, bridge, front = (
        Span(*(getattr(costs, part)(now) for costs in (low, reference, high))) for part in ("events", "bridge", "front")
    )
    others = {
        name: Span(*(costs.others(now)[name] for costs in (low, reference, high))) + front for name in low.others(now)
    }
    whole = events + bridge + front
    fed = [row for row in spiking if row.input == "spike"]
    inner, synapses = total_ops(row.ops for row in fed), sum(row.synapses or 0 for row in fed)
    rate = inner.acs / inner.dense_macs if inner.dense_macs else None
    return Verdict(
        pays=pays_against(whole, others.values()),
        pays_at_reference=reference.pays(now),
        profile=integers.name,
        steps=steps,
        bits=information_bits(steps),
        events_pj=events,
        bridge_pj=bridge,
        front_pj=front,
        ways=(
            Way(EVENTS, counted.spiking.macs, counted.spiking.acs, whole),
            *(Way(name, _macs(name, counted), 0, cost) for name, cost in others.items()),
        ),
        turns=tuple(turns_of(reference, views, rate)),
        rate=rate,
        spikes_per_synapse=inner.acs / (synapses * views) if synapses and views else None,
        analog_macs={row.name: row.ops.macs for row in spiking if row.ops.macs},
    )


def _widths(profile: Profile) -> tuple[ProfileRow, ProfileRow | None]:
    """Prices of integers, and of float32; of a device, or of a profile that has no other width, its own for both."""
    own = {width.arithmetic: width for width in (profile, profile.other) if width is not None}
    integers = own.get("int8") or profile
    if any(integers.lacks(term) for term in NEEDED):
        shipped = load_profile(INT8_PROFILE)
        return shipped, shipped.other
    return integers, own.get("fp32") if integers.arithmetic == "int8" else None


def _macs(way: str, counted: Counted) -> int:
    if way == SKIPPING:
        return counted.spiking.macs + counted.spiking.acs
    if way in (DENSE_FLOAT, DENSE_INT8):
        return counted.spiking.dense_macs
    return counted.analog.dense_macs + counted.fed.dense_macs // counted.steps
