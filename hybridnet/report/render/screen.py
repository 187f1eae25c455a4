"""A run on one screen: what it is, how sure that is, what it costs, where, and what to change."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import energy_cell, is_doubtful, joules, share, worst_output_text
from hybridnet.report.pricing.advice import advice, levers
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.firing import Firing, firing_of_run
from hybridnet.report.record.latency import Latency
from hybridnet.report.record.words import partition_words
from hybridnet.report.render.firing import agreement_text, idle_lines
from hybridnet.report.render.fitted import LINES, REST, height, wrapped
from hybridnet.report.render.returned import returned_text
from hybridnet.report.render.sections import amount, title
from hybridnet.report.render.sections_chip import chip_line
from hybridnet.report.render.sections_energy import profiles_text
from hybridnet.report.render.sections_measured import measured_line
from hybridnet.report.render.sections_run import check_advice, lost_lines
from hybridnet.report.render.sections_samples import per_sample, predicted_text, samples_table, whole_verdict

CLASSES, SAMPLES, FEW_TERMS = 3, 5, 2
"""Classes of a clip, samples of arrays, and dearest terms of these or beside a chip's time, at the most."""

BAR = 20
"""Blocks of a whole bar."""


def screen_document(record: RunRecord) -> Document:
    """At most LINES lines of COLUMNS columns, but for names that are longer; the report has the rest."""
    if len(record.samples) < 2:
        sure = Section("", lines=tuple(line for text in _sure(record) for line in wrapped(text)))
        return Document(title(record), (_what(record), sure, _costs(record), _change(record)))
    rest = (_costs(record), _change(record))
    room = LINES - sum(map(height, rest)) - len(rest)
    head = next((one for n in range(SAMPLES, 1, -1) if height(one := _samples(record, n)) <= room), _samples(record, 1))
    return Document(title(record), (head, *rest))


def _samples(record: RunRecord, shown: int) -> Section:
    """What some samples are, and how sure that is."""
    returned = predicted_text(record) or returned_text(record)
    each = f"* of its own events, an equal share of the rest: {per_sample(record)}"
    notes = (*wrapped(each), *wrapped(" ".join(_sure(record))))
    return Section("", lines=(_title(record), *wrapped(returned)), table=samples_table(record, shown), notes=notes)


def _title(record: RunRecord) -> str:
    source = textwrap.shorten(record.source, 60, placeholder="…") if len(record.source) > 60 else record.source
    return f"{source}: {amount(record)} through {record.model.name}"


def _what(record: RunRecord) -> Section:
    if record.prediction is None:
        return Section("", lines=(_title(record), *wrapped(returned_text(record))))
    rows = tuple((c.label, bar(c.score), share(c.score)) for c in record.prediction.top_k[:CLASSES])
    return Section("", lines=(_title(record),), table=Table((), rows, left=2))


def _sure(record: RunRecord) -> Iterator[str]:
    """How near the float program is, what to do where that is far, and what is odd about the spikes and registers."""
    firing = firing_of_run(record)
    yield from idle_lines(firing)
    yield from lost_lines(record)
    yield from _compared(record, firing)


def _compared(record: RunRecord, firing: Firing) -> Iterator[str]:
    p = record.parity
    if p is None:
        yield "Not compared with the float program."
        return
    told = [] if p.top1_agrees is None else ["the same class" if p.top1_agrees else "ANOTHER CLASS"]
    told += filter(None, (agreement_text(firing), "" if firing.is_silent else worst_output_text(p.output_sqnr_db)))
    if told:
        yield f"Beside float: {'; '.join(told)}."
    if not firing.is_silent and is_doubtful(p.output_sqnr_db):
        yield check_advice(record)


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
        if row.ops is not None or row.latency_ms is not None
    )
    last = ("total", "", energy_cell(total), "", f"{record.totals.latency_ms:.1f}")
    all_samples = f"all {len(record.samples)} samples" if len(record.samples) > 1 else ""
    heading = (f"partition{all_samples and f', {all_samples}'}", "energy, modelled", "", "share", "ms, this host")
    note = f"Prices: {profiles_text(record)}. {whole_verdict(record)}"
    notes = (*wrapped(note), *wrapped(chip_line(record)), *wrapped(measured_line(record)))
    return Section("", table=Table(heading, (*rows, last), left=2), notes=notes)


def _change(record: RunRecord) -> Section:
    dearest = [f"{one.what} {joules(one.energy_pj)} ({share(one.share, 0)})" for one in levers(record)]
    dearest = dearest[: FEW_TERMS if len(record.samples) > 1 or record.timing.chip else None]
    lines = [f"Largest: {'; '.join(dearest)}", *_first(record)] if dearest else []
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
