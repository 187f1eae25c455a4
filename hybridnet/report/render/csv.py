"""Rows as CSV: plain numbers, one unit per column, nothing rounded."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Iterator, Sequence

from hybridnet.report.document import Document, Table
from hybridnet.report.numbers import NONE, Number
from hybridnet.report.quantities import Ops
from hybridnet.report.record.data import RunRecord
from hybridnet.report.render.sections_run import kind_text
from hybridnet.support.text import visible

LAYER_COLUMNS = ("run", "partition", "layer", "kind", "input", "shape", "width", "synapses")
OPS_COLUMNS = tuple(field.name for field in dataclasses.fields(Ops))
ENERGY_COLUMNS = ("spike_rate", "energy_low_pj", "energy_reference_pj", "energy_high_pj", "energy_missing", "basis")


def render_csv(records: Sequence[RunRecord]) -> str:
    """One line per layer of all records; unknown is empty."""
    rows: list[Iterable[object]] = [(*LAYER_COLUMNS, *OPS_COLUMNS, *ENERGY_COLUMNS)]
    for record in records:
        for r in record.layers:
            e = r.energy_pj
            energy = (None,) * 4 if e is None else (e.low, e.reference, e.high, " ".join(e.missing))
            shape = "x".join(map(str, r.shape))
            head = (record.source, r.partition, r.name, kind_text(r), r.input, shape, r.precision, r.synapses)
            basis = "modelled" if r.ops.chip_us else "counted; energy modelled"
            rows.append((*head, *r.ops.counts, r.spike_rate, *energy, basis))
    return to_csv(rows)


def render_tables(documents: Sequence[Document]) -> str:
    """The tables of reports, one below the other with an empty line between: numbers as they are, one unit a column."""
    return "\n".join(
        to_csv(_rows(part.title, part.table))
        for document in documents
        for part in document.sections
        if part.table is not None and part.table.rows
    )


def _rows(title: str, table: Table) -> Iterator[Sequence[object]]:
    """The section's name before every row, so that each table can be found; units in the heading, or with the name."""
    if not table.heading:
        yield "section", "name", "value"
        yield from ((title, _with_unit(name, (value,)), _plain(value)) for name, value in table.rows)
        return
    columns = zip(*table.rows, strict=True)
    yield "section", *map(_with_unit, table.heading, columns)
    yield from ((title, *map(_plain, row)) for row in table.rows)


def _with_unit(name: str, cells: Iterable[str]) -> str:
    units = sorted({cell.unit for cell in cells if isinstance(cell, Number)} - {""})
    return f"{name} [{' '.join(units)}]".strip() if units else name


def _plain(cell: str) -> object:
    if isinstance(cell, Number) and cell.value is not None:
        return cell.value
    return "" if cell == NONE else cell.strip()


def to_csv(rows: Iterable[Iterable[object]]) -> str:
    """Lines of cells without control characters; what a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([_safe(cell) for cell in row] for row in rows)
    return out.getvalue()


def _safe(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = visible(cell)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
