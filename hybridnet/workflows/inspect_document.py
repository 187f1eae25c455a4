"""How a model is split, as a report."""

from __future__ import annotations

from hybridnet.report.document import Document, Section, Table, facts
from hybridnet.report.numbers import NONE, plural, shape_text, size, whole
from hybridnet.report.record.words import BEFORE, partition_words
from hybridnet.workflows.inspect import RELAY, SplitReport, SplitRow


def model_document(report: SplitReport, *, everything: bool = False) -> Document:
    """Every layer with its half and the reason, and the totals of each half and of the bridge.

    Args:
        report: The split.
        everything: List the operations between layers too.
    """
    shown = tuple(_cells(row) for row in report.rows if everything or row.layer)
    hidden = len(report.rows) - len(shown)
    shown = (*(row for row in shown if row[0] not in HOST), *(row for row in shown if row[0] in HOST))
    layers = {
        half: sum(r.half == half and r.layer and r.kind != RELAY for r in report.rows) for half in report.parameters
    }
    relays = sum(row.kind == RELAY for row in report.rows)
    halves = {
        partition_words(
            half
        ): f"{plural(n, 'layer')}{_relays(relays if half == 'snn' else 0)}, {whole(report.parameters[half])} parameters"
        for half, n in layers.items()
    }
    fixed, in_float = report.crossing
    totals = facts(
        ("model", report.model),
        ("a view", plural(report.steps, "step")),
        *halves.items(),
        ("crosses per view in fixed point", size(fixed)),
        ("crosses per view in float", size(in_float)),
    )
    heading = ("half", "layer", "kind", "output", "why", "parameters", "crosses")
    notes = (f"{hidden} operations between layers are not listed (--all).",) if hidden else ()
    placed = Section("Placement", lines=report.placement.lines())
    sections = (
        Section("Model", table=totals),
        placed,
        Section("Split", table=Table(heading, shown, left=5), notes=notes),
    )
    return Document(f"hybridnet: how {report.model} is split", sections)


HOST = (BEFORE, "ann")
"""What a short screen leaves out first."""


def _relays(number: int) -> str:
    return (
        f" + {plural(number, 'relay')} that pool{'s' * (number == 1)} or join{'s' * (number == 1)} spikes"
        if number
        else ""
    )


def _cells(row: SplitRow) -> tuple[str, ...]:
    shape = NONE if row.shape is None else shape_text(row.shape)
    crosses = size(row.bytes_fixed) if row.half == "bridge" else ""
    return (partition_words(row.half), row.name, row.kind, shape, row.why, whole(row.parameters or None), crosses)
