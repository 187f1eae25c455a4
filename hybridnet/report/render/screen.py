"""A run on one screen: what it is, how sure that is, what it costs, where, and what to change."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import decibels, energy_cell, joules, share
from hybridnet.report.pricing.advice import advice, levers
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.latency import Latency
from hybridnet.report.record.words import partition_words
from hybridnet.report.render.fitted import REST, wrapped
from hybridnet.report.render.sections import amount, title
from hybridnet.report.render.sections_energy import profiles_text
from hybridnet.report.render.sections_measured import measured_line
from hybridnet.report.render.sections_samples import per_sample, predicted_text, samples_section
from hybridnet.report.render.sections_verdict import short_verdict

CLASSES, SAMPLES = 3, 5
"""Classes of a clip, and samples of arrays, that it shows."""

NO_PREDICTION = "There is no prediction: the bundle has no labels."

BAR = 20
"""Blocks of a whole bar."""


def screen_document(record: RunRecord) -> Document:
    """At most LINES lines of COLUMNS columns, but for names that are longer; the report has the rest."""
    sections = (_what(record), _sure(record), _costs(record), _change(record))
    return Document(title(record), sections)


def _what(record: RunRecord) -> Section:
    source = textwrap.shorten(record.source, 60, placeholder="…") if len(record.source) > 60 else record.source
    lines = (f"{source}: {amount(record)} through {record.model.name}",)
    if len(record.samples) > 1:
        whole = samples_section(record)
        table = None if whole.table is None else Table(whole.table.heading, whole.table.rows, left=1, shown=SAMPLES)
        return Section("", lines=(*lines, predicted_text(record) or NO_PREDICTION), table=table)
    if record.prediction is None:
        return Section("", lines=(*lines, NO_PREDICTION))
    rows = tuple((c.label, bar(c.score), share(c.score)) for c in record.prediction.top_k[:CLASSES])
    return Section("", lines=lines, table=Table((), rows, left=2))


def _sure(record: RunRecord) -> Section:
    p = record.parity
    if p is None:
        compared = "Not compared with the float program."
    else:
        told = [] if p.top1_agrees is None else ["the same class" if p.top1_agrees else "ANOTHER CLASS"]
        if p.spike_agreement:
            told.append(f"{share(min(p.spike_agreement.values()), 2)} of the spikes the same in the worst layer")
        if noise := [value for value in p.sqnr_db.values() if value is not None]:
            told.append(f"{decibels(min(noise))} at the bridge")
        compared = f"Beside float: {', '.join(told)}."
    lost = [
        f"{number} {what}"
        for number, what in (
            (sum(record.overflows.values()), "potentials saturated"),
            (sum(record.clipped_inputs.values()), "inputs were clipped"),
        )
        if number
    ]
    lines = (compared, *((f"{' and '.join(lost)} in the chip's registers.",) if lost else ()))
    return Section("", lines=tuple(line for text in lines for line in wrapped(text)))


def _costs(record: RunRecord) -> Section:
    total = record.totals.energy_pj
    rows = tuple(
        (
            partition_words(row.name),
            bar(row.share or 0.0),
            energy_cell(row.energy_pj) if row.ops is not None else "not priced",
            share(row.share),
            _ms(row.latency_ms),
        )
        for row in record.partitions
    )
    last = ("total", "", energy_cell(total), "", f"{record.totals.latency_ms:.1f}")
    heading = ("partition", "energy, modelled", "", "share", "ms, this host")
    each = per_sample(record)
    note = f"{each and f'{each}. '}Prices: {profiles_text(record)}. {short_verdict(record)}"
    notes = (*wrapped(note), *wrapped(measured_line(record)))
    return Section("", table=Table(heading, (*rows, last), left=2), notes=notes)


def _change(record: RunRecord) -> Section:
    dearest = [f"{one.what} {joules(one.energy_pj)} ({share(one.share, 0)})" for one in levers(record)]
    lines = [f"Dearest: {'; '.join(dearest)}", *_first(record)] if dearest else []
    return Section("", lines=tuple(line for text in lines for line in wrapped(text)), notes=(REST,))


def _first(record: RunRecord) -> Iterator[str]:
    """What would lower the dearest term, and what else there is to say of time."""
    first, *_ = found = levers(record)
    saved = first.saved_pj if first.saved_pj is not None else first.most_pj
    most = "" if first.saved_pj is not None else " at the most"
    yield f"To lower the first{'' if saved is None else f' by {joules(saved)}{most}'}, {first.text}"
    yield from advice(record)[len(found) :]


def bar(part: float) -> str:
    """A share, 0 to 1, as blocks."""
    return "█" * round(BAR * min(max(part, 0.0), 1.0))


def _ms(latency: Latency | None) -> str:
    return "" if latency is None else f"{latency.total:.1f}"
