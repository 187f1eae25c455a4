"""Whether spiking pays, in one sentence, and what a sceptic asks beside it."""

from __future__ import annotations

from collections.abc import Iterator

from hybridnet.report.document import Bar, Bars, Section, Table
from hybridnet.report.numbers import NONE, count, joules, share, size, span
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.verdict import (
    CROSSED,
    RATE,
    STEPS,
    SYNAPSES,
    Turn,
    Verdict,
    Way,
    pays_against,
)

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
    lines = [verdict_sentence(record, v), turning_sentence(v)]
    if not _is_of_the_run(record, v):
        lines.append(f"{record.profile.name} has no price of an ANN beside it: all ways are priced by {v.profile}.")
    return Section(
        TITLE,
        f"modelled with {v.profile}",
        tuple(lines),
        Table(heading, rows),
        (Bars("the ways beside each other", bars),),
    )


PLAIN = {"yes": "pays", "no": "does not pay", "depends": "is open"}
DEPENDS = {
    True: "pays at reference prices, not at all prices of their range",
    False: "does not pay at reference prices, but does at some of their range",
}


def verdict_words(v: Verdict) -> str:
    """Whether it pays, and at which prices."""
    return DEPENDS[v.pays_at_reference] if v.pays == "depends" else PLAIN[v.pays]


def verdict_sentence(record: RunRecord, v: Verdict) -> str:
    """Whether it pays, against what, and over which range."""
    best, whole = v.cheapest, v.ways[0].energy_pj
    front = f" and {joules(v.front_pj.reference)} of the host before the chip" if v.front_pj.high else ""
    return (
        f"Spiking {verdict_words(v)}{_memory(record)}: {joules(whole.reference)} ({span(whole)};"
        f" {joules(v.events_pj.reference)} of events, {joules(v.bridge_pj.reference)} of bridge{front}) against"
        f" {joules(best.energy_pj.reference)} ({span(best.energy_pj)}) of the same layers on {_rival(best)}"
        f"{', the host before the chip included' if front else ''}. {_plain(v)}"
    )


def short_verdict(record: RunRecord) -> str:
    """Whether it pays, against an ideal host and a plain one; empty without spiking layers."""
    v = record.verdict
    if v is None:
        return ""
    front = " and the host before the chip" if v.front_pj.high else ""
    best = v.cheapest
    priced = "" if _is_of_the_run(record, v) else f", all by {v.profile}"
    return (
        f"Spiking {verdict_words(v)}{_memory(record)}: {joules(v.ways[0].energy_pj.reference)} with its bridge{front},"
        f" {joules(best.energy_pj.reference)} for the same layers on {_rival(best)}{priced}. {_plain(v)}"
    )


def verdict_tile(v: Verdict) -> tuple[str, str]:
    """The verdict at reference prices, and beside whom."""
    at = "at reference prices, not at all of their range; " if v.pays == "depends" else ""
    word = "pays" if v.pays_at_reference else "does not pay"
    return f"spiking {word}", f"{at}bridge included, beside {_rival(v.cheapest)}"


def _rival(way: Way) -> str:
    """Whom it is up against, with an article."""
    return f"{'an' if way.name[0] in 'aeio' else 'a'} {way.name}"


def _plain(v: Verdict) -> str:
    """The answer against what one can buy: an int8 host that computes zeros too."""
    plain = v.plain
    if plain is None or plain is v.cheapest:
        return ""
    word = PLAIN[pays_against(v.ways[0].energy_pj, [plain.energy_pj])]
    return f"Against plain dense int8 ({joules(plain.energy_pj.reference)}) it {word}."


def _memory(record: RunRecord) -> str:
    """What the totals beside have in them, and no way has."""
    return ", memory left out of both" if "memory_byte" in record.profile.priced else ""


def _is_of_the_run(record: RunRecord, v: Verdict) -> bool:
    """Whether the verdict uses the prices that the rest of the report uses."""
    return v.profile in (record.profile.name, record.profile.other and record.profile.other.name)


def turning_sentence(v: Verdict) -> str:
    """Where it pays if one quantity alone were another."""
    some = [_condition(t) for t in v.turns if t.low is not None]
    none = [_as_it_is(t) for t in v.turns if t.low is None]
    where = "At reference prices spiking pays where, all else being as it is"
    pays = f"{where}, {'; or where '.join(some)}." if some else ""
    never = f"No change of {', or of '.join(none)}, alone would make it pay." if none else ""
    return " ".join(filter(None, (pays, never)))


def _condition(turn: Turn) -> str:
    """Where it pays, as a clause."""
    values, now = _range(turn), _value(turn, turn.now)
    if turn.quantity == SYNAPSES:
        return f"each neuron has {_range(turn, ' × the synapses')}"
    if turn.quantity == RATE:
        return f"spikes reach {values} of the synapses in a step (now {now})"
    if turn.quantity == CROSSED:
        return f"{values} cross the bridge per view (now {now})"
    return f"a view has {values} steps (now {now})"


def _as_it_is(turn: Turn) -> str:
    """What is so in this run."""
    now = _value(turn, turn.now)
    if turn.quantity == SYNAPSES:
        return "the synapses per neuron"
    if turn.quantity == RATE:
        return f"the spike rate (spikes reach {now} of the synapses in a step)"
    return (
        f"the bytes across the bridge ({now} per view)" if turn.quantity == CROSSED else f"the steps ({now} per view)"
    )


def _range(turn: Turn, of: str = "") -> str:
    """The values at which it pays; of counts and shares, from 0 or 1 on is no lower end."""
    low, high = (None if end is None else _value(turn, end) for end in (turn.low, turn.high))
    if high is None:
        return f"{low}{of} or more" if turn.low else "any"
    return (
        f"{high}{of} or less" if not turn.low or (turn.quantity == STEPS and turn.low == 1) else f"{low} to {high}{of}"
    )


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
    note = (
        "The spike rate is over the layers that spikes feed. Each synapse counts once, so that a neuron counts by its"
        " fan-out."
    )
    return Section("For the sceptic", "counted and modelled", (track, *lines), table, notes=(note,) if rows else ())


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
