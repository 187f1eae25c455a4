"""Sections on energy: term by term, and what one operation costs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hybridnet.report.document import Bar, Bars, Section, Table
from hybridnet.report.numbers import count, joules, range_text, share
from hybridnet.report.pricing.profile import CHIP_TERMS, TERMS
from hybridnet.report.quantities import Ops, Span, total_ops
from hybridnet.report.record.data import ANN_PARTITIONS, LayerRow, NoteKind, RunRecord
from hybridnet.report.record.prices import NotPriced, ProfileRow
from hybridnet.report.record.words import partition_words


def energy_terms(record: RunRecord) -> Section:
    """Every term on the table, of all partitions."""
    total = record.totals.energy_pj
    rows, bars = [], []
    for name, term in total.terms.items():
        owners = [partition_words(p.name) for p in record.partitions if p.energy_pj and name in p.energy_pj.terms]
        part = term.reference / total.reference if total.reference else None
        cells = (joules(term.reference), range_text(term), share(part))
        words = TERMS[name].words if name in TERMS else name
        rows.append((words, TERMS[name].meaning if name in TERMS else "", ", ".join(owners), *cells))
        bars.append(Bar(words, term.low, term.reference, term.high, joules(term.reference)))
    picture = Bars("energy by term, each with the range of its price", tuple(bars))
    table = Table(("term", "what", "in", "energy*", "range", "share"), tuple(rows), left=3)
    left_out = tuple(note.text for note in record.notes if note.kind is NoteKind.PRICES)
    return Section("Energy by term", f"modelled with {profiles_text(record)}", (), table, (picture,), left_out)


def prices(record: RunRecord) -> Section:
    """What one operation costs, and who says so."""
    rows = []
    for profile in _profiles(record):
        for term, price in profile.priced.items():
            numbers = tuple(f"{value:g}" for value in (price.low, price.reference, price.high))
            rows.append((profile.name, term, price.full_unit, price.grade, price.source, *numbers))
    heading = ("profile", "term", "unit", "grade", "source", "low", "reference", "high")
    return Section("Prices", "published numbers, not of this run", table=Table(heading, tuple(rows), 5, long=True))


def _profiles(record: RunRecord) -> tuple[ProfileRow, ...]:
    """All that price a run, each once."""
    named = [p for p in (record.profile, record.ann_profile) if p is not None]
    return tuple({p.name: p for p in (*named, *(p.other for p in named if p.other is not None))}.values())


def without(record: RunRecord) -> str:
    """The terms that were counted and that the energy leaves out, as far as they are named beside it."""
    return without_text((row.ops, record.profile_of(row.name)) for row in record.partitions if row.ops is not None)


def without_text(parts: Iterable[tuple[Ops, ProfileRow]]) -> str:
    """The same of counts and whose prices are theirs."""
    given = tuple(parts)
    left_out = (
        t.beside for n, t in TERMS.items() if t.beside and any(t.amount(o) > 0 and p.lacks(n) for o, p in given)
    )
    words = list(dict.fromkeys(left_out))
    return f" without {' and '.join(filter(None, (', '.join(words[:-1]), words[-1])))}" if words else ""


def chip_terms(record: RunRecord) -> Section:
    """The spiking half and its bridge by what a chip spends energy on."""
    rows, bars = [], []
    parts = [row for row in record.partitions if row.name in ("snn", "bridge")]
    ops = total_ops(row.ops for row in parts if row.ops is not None)
    spans = {name: span for row in parts if row.energy_pj for name, span in row.energy_pj.terms.items()}
    whole = sum((span.reference for span in spans.values()), 0.0)
    for group, names in CHIP_TERMS.items():
        counted = ", ".join(_amount(name, ops) for name in names if TERMS[name].amount(ops))
        priced = [spans[n] for n in names if n in spans]
        if not counted or (group == "memory" and not priced):
            continue
        total = sum(priced, Span(0.0, 0.0, 0.0)) if priced else None
        cells = (_energy(total), range_text(total), share(total.reference / whole if total and whole else None))
        rows.append((group, counted, _why(record, names, spans), *cells))
        if total is not None:
            bars.append(Bar(group, total.low, total.reference, total.high, joules(total.reference)))
    heading = ("on", "counted", "without a price", "energy*", "range", "share")
    picture = Bars("the chip's energy, each with the range of its price", tuple(bars))
    return Section(
        "The chip's energy", f"modelled with {profiles_text(record)}", (), Table(heading, tuple(rows), 3), (picture,)
    )


def _energy(span: Span | None) -> str:
    return "no price" if span is None else joules(span.reference)


def _why(record: RunRecord, names: Iterable[str], priced: Collection[str]) -> str:
    """What of a group has no price, or is in that of another term."""
    entries = {n: entry for n in names if n not in priced and isinstance(entry := record.profile.entry(n), NotPriced)}
    why: dict[str, list[str]] = {}
    for name, e in entries.items():
        why.setdefault(f"in {e.contained_in}" if e.contained_in else e.kind.value.replace("_", " "), []).append(name)
    return "; ".join(f"{', '.join(named)}: {reason}" for reason, named in why.items())


def _amount(term: str, ops: Ops) -> str:
    return (
        f"{ops.chip_us / 1e3:.3f} ms × chips"
        if term == "static_w"
        else f"{count(round(TERMS[term].amount(ops)))} {TERMS[term].words}"
    )


def profiles_text(record: RunRecord) -> str:
    """The profiles that priced the run, with a flag if they are of different technologies."""
    profile, ann = record.profile, record.ann_profile
    if ann is None:
        return with_width(profile, record.layers)
    halves = [[row for row in record.layers if (row.partition in ANN_PARTITIONS) == is_ann] for is_ann in (False, True)]
    flag = ", MIXED TECHNOLOGIES" if ann.technology != profile.technology else ""
    return f"{with_width(profile, halves[0])} (ANN half: {with_width(ann, halves[1])}{flag})"


def with_width(profile: ProfileRow, rows: Iterable[LayerRow]) -> str:
    """A profile, and the one that prices what computes in another width."""
    other = profile.other
    found = {row.precision for row in rows}
    used = other is not None and other.arithmetic in found and (other.arithmetic == "int8" or "int8" in found)
    return f"{profile.name}, {other.arithmetic} by {other.name}" if used and other is not None else profile.name
