"""A comparison as a report: where two sides part first, why, and how the difference spreads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import NONE, Number, figure, plural, whole
from hybridnet.simulators.divergence.find import Reading, StreamComparison
from hybridnet.workflows.compare import Comparison

STEPS_SHOWN = 12
"""Steps of the table of neurons that differ that a terminal shows."""


def comparison_document(found: Comparison) -> Document:
    """The verdict, the first difference of all and its cause, those of other streams, then the spread."""
    lines = (
        f"Compared {found.a} with {found.b}, {plural(found.windows, 'window')} of {found.source}",
        f"Equal if {found.criterion}",
        *(f"{stream.stream}: {_verdict(found, stream)}" for stream in found.streams),
    )
    parts = [
        dataclasses.replace(part, folded=stream.stream != found.first)
        for stream in found.streams
        if stream.first is not None
        for part in _stream(found, stream)
    ]
    parts.sort(key=lambda part: part.folded)
    spread = [] if found.first is None else [_spread(found)]
    return Document(f"hybridnet: {found.a} and {found.b} compared", (Section("", lines=lines), *parts, *spread))


def _verdict(found: Comparison, stream: StreamComparison) -> str:
    if stream.first is None:
        largest = max(stream.largest.values())
        return f"equal; largest |Δu| {largest:.4g}" if largest else "equal to the bit"
    place = stream.first.place
    first = " (the first of all)" if stream.stream == found.first and len(found.streams) > 1 else ""
    return (
        f"first differs in layer {place.layer}, window {place.window}, step {place.step}, channel {place.channel},"
        f" y {place.y}, x {place.x}{first}"
    )


def _stream(found: Comparison, stream: StreamComparison) -> Iterator[Section]:
    if (first := stream.first) is None:
        return
    rows = tuple((name, *_cells(reading)) for name, reading in ((found.a, first.a), (found.b, first.b)))
    name = "v" if found.unit == "v" else "u"
    columns: tuple[str, ...] = ("side", name, "o", f"{name} − vth")
    if first.a.c is not None:
        rows = tuple((*row, _state(reading.c)) for row, reading in zip(rows, (first.a, first.b), strict=True))
        columns = (*columns, "c")
    table = Table(columns, rows)
    if first.place.depth < 0:
        table = Table(("side", "input"), tuple(row[:2] for row in rows))
    yield Section(f"{stream.stream}: the first number that differs", table=table)
    for cause in found.causes[stream.stream]:
        statement = f"{cause.side} {cause.statement}" if cause.side else cause.statement
        yield Section(f"Cause: {cause.kind}", f"stream {stream.stream}", (statement,), notes=cause.evidence)


def _cells(reading: Reading) -> tuple[str, ...]:
    integer = isinstance(reading.u, int)
    spike = NONE if reading.o is None else Number(str(int(reading.o)), int(reading.o))
    return _state(reading.u), spike, figure(reading.distance, "+d" if integer else "+.4g")


def _state(value: float | None) -> Number:
    return figure(value, "d" if isinstance(value, int) else ".9g")


def _spread(found: Comparison) -> Section:
    """Layers that differ anywhere, from the first step at which one does."""
    layers = {name: counts for s in found.streams for name, counts in s.differing.items() if any(counts)}
    steps = len(next(iter(layers.values())))
    start = min(next(t for t, n in enumerate(counts) if n) for counts in layers.values())
    rows = tuple((f"{t}", *(whole(counts[t]) for counts in layers.values())) for t in range(start, steps))
    table = Table(("step", *layers), rows, left=0, shown=STEPS_SHOWN)
    return Section("Neurons that differ per step and layer", "counted in all windows", table=table)
