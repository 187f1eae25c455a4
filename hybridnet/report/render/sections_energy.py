"""Sections on energy: term by term, and whether spiking pays."""

from __future__ import annotations

from hybridnet.report.document import Bar, Bars, Section, Table
from hybridnet.report.numbers import NONE, joules, range_text, share
from hybridnet.report.pricing.profile import TERMS
from hybridnet.report.quantities import Span
from hybridnet.report.record.data import NoteKind, PartitionRow, RunRecord

PAYING_BAND = (
    "Published bands: spiking pays below 0.15 to 1.38 spikes per synapse and inference (Dampfhoffer et al. 2023, IEEE"
    " TETCI 7(3)), below a rate of 6.4 % for 5 to 10 steps (Yan et al., arXiv 2409.08290)."
)


def energy_terms(record: RunRecord) -> Section:
    """Every term on the table, of all partitions."""
    total = record.totals.energy_pj
    rows, bars = [], []
    for name, term in total.terms.items():
        owners = [p.name for p in record.partitions if p.energy_pj and name in p.energy_pj.terms]
        part = term.reference / total.reference if total.reference else None
        cells = (joules(term.reference), range_text(term), share(part))
        rows.append((name, TERMS[name].meaning if name in TERMS else "", ", ".join(owners), *cells))
        bars.append(Bar(name, term.low, term.reference, term.high, joules(term.reference)))
    picture = Bars("energy by term, each with the range of its price", tuple(bars))
    table = Table(("term", "what", "in", "energy*", "range", "share"), tuple(rows), left=3)
    left_out = tuple(note.text for note in record.notes if note.kind is NoteKind.PRICES)
    return Section("Energy by term", f"modelled with {profiles_text(record)}", (), table, (picture,), left_out)


def prices(record: RunRecord) -> Section:
    """What one operation costs, and who says so."""
    rows = []
    for profile in (record.profile, *(() if record.ann_profile is None else (record.ann_profile,))):
        for term, price in profile.priced.items():
            numbers = tuple(f"{value:g}" for value in (price.low, price.reference, price.high))
            rows.append((profile.name, term, price.full_unit, price.grade, price.source, *numbers))
    heading = ("profile", "term", "unit", "grade", "source", "low", "reference", "high")
    return Section("Prices", "published numbers, not of this run", table=Table(heading, tuple(rows), 5, long=True))


def without(record: RunRecord) -> str:
    """The terms that were counted and that the energy leaves out, as far as they are named beside it."""
    words = [
        term.beside
        for name, term in TERMS.items()
        if term.beside and any(_leaves_out(record, row, name) for row in record.partitions)
    ]
    return f" without {' and '.join(filter(None, (', '.join(words[:-1]), words[-1])))}" if words else ""


def _leaves_out(record: RunRecord, row: PartitionRow, term: str) -> bool:
    return row.ops is not None and TERMS[term].amount(row.ops) > 0 and record.profile_of(row.name).lacks(term)


def spiking(record: RunRecord) -> Section:
    """The spiking half beside what would replace it."""
    c = record.comparison
    if c is None:
        return Section("Does spiking pay?", lines=("There is no spiking layer.",))
    rows = tuple((a.name, _reference(a.energy_pj), _reference(a.int8_energy_pj)) for a in c.alternatives)
    heading = ("the spiking half's layers as", f"energy*, {record.profile.name}", "energy*, int8 at 45 nm")
    lines = [_against_dense(record)]
    if c.rate is None:
        lines.append("Spikes feed no layer of it: every input is analog, and there is no break-even rate.")
    else:
        per_synapse = NONE if c.spikes_per_synapse is None else f"{c.spikes_per_synapse:.3f}"
        lines.append(
            f"Spike rate {share(c.rate, 2)} at the inputs of layers that spikes feed (counted), {per_synapse} spikes"
            " per synapse and inference."
        )
        lines.append(
            f"The rate at which spiking stops paying, modelled from arithmetic and membranes alone: against the same"
            f" layers dense, {_break_even(c.break_even_rate)} ({record.profile.name}); against a dense int8 ANN,"
            f" {_break_even(c.int8_break_even_rate)}."
        )
    return Section("Does spiking pay?", "modelled", tuple(lines), Table(heading, rows), notes=(PAYING_BAND,))


def _break_even(rate: float | None) -> str:
    if rate is None:
        return "unknown, for want of a price"
    if rate == 0:
        return "none, as membranes alone cost more"
    return "above 100 %, so that it always pays" if rate > 1 else share(rate)


def _against_dense(record: RunRecord) -> str:
    ways = record.comparison.alternatives if record.comparison else ()
    if len(ways) < 2 or ways[0].energy_pj is None or ways[1].energy_pj is None or not ways[1].energy_pj.reference:
        return f"Not priced against a dense run: {record.profile.name} has no price for an operation of it."
    dense, events = ways[1].energy_pj.reference, ways[0].energy_pj.reference
    text = (
        f"The spiking half run dense would cost {joules(dense)} (modelled);"
        f" as events it costs {share(events / dense)} of that."
    )
    at = {record.profile.name: [a.energy_pj for a in ways], "int8 at 45 nm": [a.int8_energy_pj for a in ways]}
    less = [name for name, (a, *_, c) in at.items() if a is not None and c is not None and c.reference < a.reference]
    return text + f" An ANN that skips zeros costs less than events at the prices of {' and '.join(less)}." * bool(less)


def _reference(energy: Span | None) -> str:
    return "no price" if energy is None else joules(energy.reference)


def profiles_text(record: RunRecord) -> str:
    """The profile, or both, with a flag if they are of different technologies or arithmetics."""
    ann = record.ann_profile
    if ann is None:
        return record.profile.name
    if ann.technology != record.profile.technology:
        return f"{record.profile.name} (ANN half: {ann.name}, MIXED TECHNOLOGIES)"
    flag = ", MIXED ARITHMETICS" if ann.arithmetic != record.profile.arithmetic else ""
    return f"{record.profile.name} (ANN half: {ann.name}{flag})"
