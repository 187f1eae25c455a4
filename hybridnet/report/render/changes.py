"""Two runs beside each other: what changed, in numbers that mean the same in both."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import Number, energy_cell, figure, joules
from hybridnet.report.pricing.profile import TERMS
from hybridnet.report.quantities import Energy, Ops, Span
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.words import partition_words
from hybridnet.support.plain import json_text

COUNTS = tuple(field.name for field in dataclasses.fields(Ops) if field.name != "chip_us")
"""What is counted of a layer; the time on the chip is modelled."""

SAME = 0.005
"""A change of the energy by less than this share has no cause worth a name."""


@dataclass(frozen=True)
class Change:
    """One quantity of both runs; None where a run has none.

    Attributes:
        ratio: The second over the first; None if either is missing, or the first is 0 or too small.
        basis: Counted, measured or modelled.
    """

    quantity: str
    unit: str
    one: float | None
    other: float | None
    basis: str

    @property
    def ratio(self) -> float | None:
        """The second over the first."""
        ratio = self.other / self.one if self.one and self.other is not None else None
        return ratio if ratio is not None and math.isfinite(ratio) else None


def compare(one: RunRecord, other: RunRecord) -> tuple[Change, ...]:
    """Totals and partitions, then every count of a layer that is not the same."""
    return (*_totals(one, other), *_partitions(one, other), *_layers(one, other))


def compare_document(one: RunRecord, other: RunRecord, changes: tuple[Change, ...]) -> Document:
    """The comparison as a report."""
    rows = tuple((c.quantity, c.unit, _cell(c.one), _cell(c.other), figure(c.ratio, ".3f"), c.basis) for c in changes)
    heading = ("quantity", "unit", "A", "B", "B / A", "basis")
    lines = (
        f"A  {_what(one)}",
        f"B  {_what(other)}",
        *_caveats(one, other),
    )
    first, second = (
        r.prediction.top_k[0].label if r.prediction and r.prediction.top_k else "none" for r in (one, other)
    )
    classes = f"Predicted class: {f'the same, {first}' if first == second else f'{first} against {second}'}"
    same = "Layers whose counts are the same in both are left out."
    table = Table(heading, rows, left=2)
    return Document(
        "hybridnet: two runs compared",
        (Section("", lines=(_sentence(one, other), *lines, classes)), Section("Changes", table=table, notes=(same,))),
    )


def _sentence(one: RunRecord, other: RunRecord) -> str:
    """What B takes beside A."""
    a, b = one.totals, other.totals
    energy, time = _times(a.energy_pj.reference, b.energy_pj.reference), _times(a.latency_ms, b.latency_ms)
    return (
        f"B takes {energy_cell(b.energy_pj)}, A {energy_cell(a.energy_pj)}{energy}{_cause(one, other)};"
        f" B takes {b.latency_ms:.1f} ms, A {a.latency_ms:.1f} ms{time}."
    )


def _cause(one: RunRecord, other: RunRecord) -> str:
    """The term of a partition that most of the difference comes from."""
    total = other.totals.energy_pj.reference - one.totals.energy_pj.reference
    small = abs(total) <= SAME * one.totals.energy_pj.reference
    if small or (one.profile, one.ann_profile) != (other.profile, other.ann_profile):
        return ""
    rows = {(p.name, term) for r in (one, other) for p in r.partitions if p.energy_pj for term in p.energy_pj.terms}
    costs = {key: tuple(_term(record, *key) for record in (one, other)) for key in sorted(rows)}
    (partition, term), (before, now) = max(costs.items(), key=lambda item: (item[1][1] - item[1][0]) / total)
    ratio = f", {now / before:.2f} ×" if before else ""
    what = TERMS[term].words if partition == "bridge" else f"{TERMS[term].words} of {partition_words(partition)}"
    return f", most of it {what}: {joules(now)} for {joules(before)}{ratio}"


def _term(record: RunRecord, partition: str, term: str) -> float:
    energy = next((row.energy_pj for row in record.partitions if row.name == partition), None)
    return 0.0 if energy is None or term not in energy.terms else energy.terms[term].reference


def _times(one: float, other: float) -> str:
    return f" (B / A {other / one:.2f})" if one else ""


def to_json(changes: tuple[Change, ...]) -> str:
    """The changes as a JSON list."""
    rows = [{**dataclasses.asdict(change), "ratio": change.ratio} for change in changes]
    return json_text({"schema": "hybridnet.changes/1", "changes": rows})


def _totals(one: RunRecord, other: RunRecord) -> Iterator[Change]:
    a, b = one.totals, other.totals
    yield Change("total energy", "pJ", a.energy_pj.reference, b.energy_pj.reference, "modelled")
    yield Change("total time", "ms", a.latency_ms, b.latency_ms, "measured on the host of each")
    for name in dict.fromkeys((*a.energy_pj.terms, *b.energy_pj.terms)):
        x, y = (t.energy_pj.terms.get(name) for t in (a, b))
        yield Change(f"energy: {name}", "pJ", _reference(x), _reference(y), "modelled")


def _partitions(one: RunRecord, other: RunRecord) -> Iterator[Change]:
    for a, b in zip(one.partitions, other.partitions, strict=True):
        x, y = a.energy_pj, b.energy_pj
        if x is not None or y is not None:
            yield Change(f"{partition_words(a.name)}: energy", "pJ", _reference(x), _reference(y), "modelled")
        s, t = a.latency_ms, b.latency_ms
        if s is not None or t is not None:
            before, after = (None if times is None else times.p50 for times in (s, t))
            yield Change(
                f"{partition_words(a.name)}: p50 of a view", "ms", before, after, "measured on the host of each"
            )
        for name in COUNTS:
            m, n = (None if ops is None else float(getattr(ops, name)) for ops in (a.ops, b.ops))
            if m or n:
                yield Change(f"{partition_words(a.name)}: {name}", "", m, n, "counted")


def _layers(one: RunRecord, other: RunRecord) -> Iterator[Change]:
    rows = [{(row.partition, row.name): row for row in record.layers} for record in (one, other)]
    for key in dict.fromkeys((*rows[0], *rows[1])):
        a, b = (side.get(key) for side in rows)
        for name in COUNTS:
            m, n = (None if row is None else getattr(row.ops, name) for row in (a, b))
            if m != n and (m or n):
                yield Change(f"{key[1]}: {name}", "", m, n, "counted")


def _caveats(one: RunRecord, other: RunRecord) -> Iterator[str]:
    if (one.profile, one.ann_profile) != (other.profile, other.ann_profile):
        yield "Energies are of different profiles: they compare prices, not runs. Use --profile to price both alike."
    if one.model.checkpoint_sha256 != other.model.checkpoint_sha256:
        yield "Models differ: every count may."
    elif one.model.bundle != other.model.bundle:
        yield f"Bundles differ, of one checkpoint: A {one.model.bundle}, B {other.model.bundle}."
    if one.source != other.source or one.views != other.views:
        yield "Inputs differ: counts of the spiking half depend on what was seen."
    hosts = [{k: r.environment.get(k) for k in ("machine", "cpus", "threads", "provider")} for r in (one, other)]
    if hosts[0] != hosts[1]:
        yield "Hosts or their settings differ: times do not compare."


def _reference(energy: Energy | Span | None) -> float | None:
    return None if energy is None else energy.reference


def _what(record: RunRecord) -> str:
    backends = " + ".join(row.backend for row in record.partitions if row.name in ("snn", "ann"))
    return f"{record.source}, {record.views} views, {record.model.name} on {backends}, {record.profile.name}"


def _cell(value: float | None) -> Number:
    return figure(value, ",.0f" if value is not None and abs(value) >= 1000 else ".4g")
