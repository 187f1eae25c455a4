"""Whether spiking pays, in one sentence, and what a sceptic asks beside it."""

from __future__ import annotations

from collections.abc import Iterator

from hybridnet.report.document import Bar, Bars, Section, Table
from hybridnet.report.numbers import NONE, count, joules, share, size, span
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.verdict import STEPS, Turn, Verdict

TITLE = "Does spiking pay?"


def spiking(record: RunRecord) -> Section:
    """The verdict, its range, and the ways that it is about."""
    v = record.verdict
    if v is None:
        return Section(TITLE, lines=("There is no spiking layer.",))
    first = v.ways[0].energy_pj.reference
    rows = tuple(
        (
            w.name,
            count(w.macs),
            count(w.acs),
            joules(w.energy_pj.reference),
            span(w.energy_pj),
            _ratio(first, w.energy_pj.reference),
        )
        for w in v.ways
    )
    heading = ("the spiking half's layers", "MAC", "AC", "energy*", "range", "events / this")
    bars = tuple(
        Bar(w.name, w.energy_pj.low, w.energy_pj.reference, w.energy_pj.high, joules(w.energy_pj.reference))
        for w in v.ways
    )
    lines = [verdict_sentence(v), turning_sentence(v)]
    if not _is_of_the_run(record, v):
        lines.append(f"{record.profile.name} has no price of an ANN beside it: all ways are priced by {v.profile}.")
    return Section(
        TITLE,
        f"modelled with {v.profile}",
        tuple(lines),
        Table(heading, rows),
        (Bars("the ways beside each other", bars),),
    )


def verdict_sentence(v: Verdict) -> str:
    """Whether it pays, against what, and over which range."""
    best, whole = v.cheapest, v.ways[0].energy_pj
    word = {
        "yes": "Spiking pays on this run",
        "no": "Spiking does not pay on this run",
        "depends": f"Spiking {'pays' if v.pays_at_reference else 'does not pay'} on this run at reference prices, and"
        " within their range it may be otherwise",
    }[v.pays]
    front = f" and {joules(v.front_pj.reference)} of front" if v.front_pj.high else ""
    also = ", front included" if v.front_pj.high else ""
    return (
        f"{word}: {joules(whole.reference)} ({span(whole)}; {joules(v.events_pj.reference)} of events,"
        f" {joules(v.bridge_pj.reference)} of bridge{front}) against {joules(best.energy_pj.reference)}"
        f" ({span(best.energy_pj)}) of the same layers {best.name}{also}."
    )


def short_verdict(record: RunRecord) -> str:
    """Whether it pays, in one line; empty without spiking layers."""
    v = record.verdict
    if v is None:
        return ""
    word = {"yes": "Spiking pays", "no": "Spiking does not pay", "depends": "Spiking may pay or not"}[v.pays]
    front = " and front" if v.front_pj.high else ""
    best = v.cheapest
    priced = "" if _is_of_the_run(record, v) else f", all by {v.profile}"
    return (
        f"{word} here: {joules(v.ways[0].energy_pj.reference)} with its bridge{front},"
        f" {joules(best.energy_pj.reference)} for the same layers {best.name}{priced}."
    )


def _is_of_the_run(record: RunRecord, v: Verdict) -> bool:
    """Whether the verdict uses the prices that the rest of the report uses."""
    return v.profile in (record.profile.name, record.profile.other and record.profile.other.name)


def turning_sentence(v: Verdict) -> str:
    """Where it pays if one quantity alone were another."""
    some = [f"{t.quantity}: {_range(t)} (now {_value(t, t.now)})" for t in v.turns if t.low is not None]
    none = [f"{t.quantity} (now {_value(t, t.now)})" for t in v.turns if t.low is None]
    pays = f"Spiking pays if, all else being as it is, {'; or '.join(some)}." if some else ""
    never = f"No other {', and no other '.join(none)}, alone would make it pay." if none else ""
    return " ".join(filter(None, (pays, never)))


def _range(turn: Turn) -> str:
    """The values at which it pays; of counts and shares, from 0 or 1 on is no lower end."""
    low, high = (None if end is None else _value(turn, end) for end in (turn.low, turn.high))
    if high is None:
        return f"{low} or more" if turn.low else "any"
    return f"{high} or less" if not turn.low or (turn.quantity == STEPS and turn.low == 1) else f"{low} to {high}"


def _value(turn: Turn, value: float) -> str:
    if turn.unit == "share":
        return share(value, 2)
    return size(round(value)) if turn.unit == "bytes" else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(first: float, other: float) -> str:
    return f"{first / other:.2f}" if other else NONE


def sceptic(record: RunRecord) -> Section:
    """What a reviewer asks of such numbers, answered for this run."""
    v = record.verdict
    lines = () if v is None else tuple(_answers(record, v))
    track = (
        "Track: this is NeuroBench's algorithm track, counts of a model times published prices. It is not the system"
        " track: no chip was measured, and no sum here says what one would draw."
    )
    rows = (
        ()
        if v is None
        else tuple((t.quantity, _value(t, t.now), "none" if t.low is None else _range(t)) for t in v.turns)
    )
    table = Table(("what decides, one at a time", "now", "spiking pays at"), rows)
    return Section("For the sceptic", "counted and modelled", (track, *lines), table)


def _answers(record: RunRecord, v: Verdict) -> Iterator[str]:
    analog = sum(v.analog_macs.values())
    events = v.ways[0].macs + v.ways[0].acs
    if events:
        named = ", ".join(v.analog_macs) or "none"
        yield (
            f"Analog inputs: {share(analog / events)} of the spiking half's operations ({count(analog)} of"
            f" {count(events)}) are MACs, since messages, not spikes, feed {named}."
        )
    rate = "no layer is fed by spikes" if v.rate is None else f"this run {share(v.rate, 2)} at T = {v.steps}"
    per = NONE if v.spikes_per_synapse is None else f"{v.spikes_per_synapse:.3f}"
    yield (
        f"Published bands: spiking pays below a rate of 5.7 % at T = 5 (Yan et al., arXiv 2409.08290 v4); {rate}. It"
        f" pays below 0.15 to 1.38 spikes per synapse and inference (Dampfhoffer et al. 2023, IEEE TETCI 7(3));"
        f" this run {per}."
    )
    equal = v.ways[-1]
    yield (
        f"Equal information: {v.steps} steps tell what {v.bits} bits tell. An ANN of {v.bits}-bit activations takes"
        f" {count(equal.macs)} MAC and {joules(equal.energy_pj.reference)}, the spiking half with its bridge"
        f" {joules(v.ways[0].energy_pj.reference)}."
    )
    ops = record.partition("snn").ops
    if ops is not None:
        yield (
            f"Memory: {size(ops.memory_bytes)} of weights, potentials and activations move in the spiking half; the"
            " verdict leaves memory out of all ways. --profile horowitz45-int8-memory prices them in the totals."
        )
