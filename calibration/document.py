"""A calibration as a report: what was found, what it costs in fidelity, and where."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from hybridnet.calibration.report import IN_BYTES, CalibrationReport, CostRow, LayerCalibration, TensorRow
from hybridnet.calibration.statistics import BINS, BINS_PER_OCTAVE, OCTAVES, edges
from hybridnet.report.document import Bar, Bars, Document, Histogram, Section, Table
from hybridnet.report.numbers import (
    NONE,
    Number,
    count,
    decibels,
    figure,
    joules,
    outputs,
    plural,
    points,
    share,
    size,
    whole,
)
from hybridnet.report.pricing import DEFAULT_PROFILE

OCTAVES_SHOWN = 12
"""Octaves below the largest potential that a histogram shows."""

NO_LOSS_DB = 80.0
"""Where the bar of a layer ends that has no noise at all."""

SAME_COST = 0.005
"""A change of less than this share is none worth a sentence."""

HELD_OUT = "measured on held-out clips"


def calibration_document(report: CalibrationReport) -> Document:
    """Warnings, limits, stages, fidelity and bridge; then spikes, causes, the ANN half, integers and ranges."""
    sections = (
        _headline(report),
        *([_limits(report)] if report.limits else []),
        _stages(report),
        _fidelity(report.layers),
        _bridge(report),
    )
    details = (
        _costs(report),
        _spikes(report.layers),
        _sources(report.layers),
        *([_ann(report)] if report.ann else []),
        _integers(report.layers),
        _tensors(report),
    )
    folded = tuple(dataclasses.replace(part, folded=True) for part in details)
    return Document(f"hybridnet: calibration of {report.model}", (*sections, *folded))


def _headline(report: CalibrationReport) -> Section:
    c = report.clips
    lines = (
        f"Model {report.model}, integers found on {plural(c.searched, 'clip')} of {c.source}",
        f"Figures from {plural(c.held_out, 'clip')} held out, {c.labelled} of them labelled; {c.views} views in all",
        f"First loss: {report.first_loss or 'no single layer stands out'}",
        _cost_sentence(report.costs),
        *(f"Warning: {warning}" for warning in report.warnings),
    )
    return Section("", lines=lines)


def _cost_sentence(costs: Sequence[CostRow]) -> str:
    """What runs cost more or less than before, and what most of it comes from."""
    before, after = (sum(values) for values in zip(*((c.energy_before_pj, c.energy_pj) for c in costs), strict=True))
    now = f"Cost of the held-out clips, modelled: {joules(after)}"
    if abs(after - before) <= SAME_COST * before:
        return f"{now}, as much as before"
    most = max(costs, key=lambda c: abs(c.energy_pj - c.energy_before_pj))
    of = "" if most.part in IN_BYTES else " operations"
    amounts = f"{_amount(most.part, most.after)}{of}, before {_amount(most.part, most.before)}{of}"
    return f"{now}, before {joules(before)}; most of the change is of {most.part}: {amounts}"


def _amount(part: str, number: int) -> Number:
    return size(number) if part in IN_BYTES else count(number)


def _costs(report: CalibrationReport) -> Section:
    """What runs cost, part by part."""
    rows = tuple(
        (
            c.part,
            "bytes" if c.part in IN_BYTES else "operations",
            _amount(c.part, c.before),
            _amount(c.part, c.after),
            joules(c.energy_before_pj),
            joules(c.energy_pj),
        )
        for c in report.costs
    )
    heading = ("part of a run", "counted", "before", "now", "energy* before", "energy* now")
    notes = (
        f"* at the reference prices of {DEFAULT_PROFILE}; reading, and an ANN before the chip, cost as much as before.",
    )
    basis = "counted on held-out clips, energy modelled"
    return Section("What runs cost", basis, table=Table(heading, rows, left=2), notes=notes)


def _fidelity(layers: Sequence[LayerCalibration]) -> Section:
    ways = ("by the maximum", "the layer alone", "end to end")
    rows, bars = [], []
    for r in layers:
        cells = [decibels(f.sqnr_db) for f in (r.maximum, r.teacher_forced, r.end_to_end)]
        rows.append((r.layer, *cells))
        for number, cell in enumerate(cells):
            value = NO_LOSS_DB if cell.value is None else max(cell.value, 0.0)
            bars.append(Bar("" if number else r.layer, value, value, value, cell, number))
    notes = (
        "By the maximum: scales by the largest value alone, end to end. The layer alone: calibrated, fed what the float"
        " layer was fed. End to end: calibrated, fed by the fixed-point layers before it.",
    )
    picture = Bars("SQNR of u[T], float against fixed point", tuple(bars), ways)
    table = Table(("layer", *ways), tuple(rows))
    return Section("SQNR of u[T], float → fixed", HELD_OUT, table=table, pictures=(picture,), notes=notes)


def _spikes(layers: Sequence[LayerCalibration]) -> Section:
    rows, bars = [], []
    for r in layers:
        fixed = r.spike_rate + r.end_to_end.rate_change
        same = (share(f.spike_agreement, 2) for f in (r.maximum, r.teacher_forced, r.end_to_end))
        changes = (points(f.rate_change) for f in (r.maximum, r.end_to_end))
        rows.append((r.layer, share(r.spike_rate, 2), share(fixed, 2), *changes, *same))
        for number, rate in enumerate((r.spike_rate, fixed)):
            bars.append(Bar("" if number else r.layer, rate, rate, rate, share(rate, 2), number))
    heading = ("layer", "float rate", "fixed rate", "points, maximum", "points", "same, maximum", "same, alone", "same")
    notes = (
        "A rate is spikes per neuron and step; points: its change in per cent. Same: neurons and steps that spike in"
        " both or in neither.",
    )
    picture = Bars("spike rate, end to end", tuple(bars), ("float", "fixed point"))
    return Section("Spikes, float → fixed", HELD_OUT, (), Table(heading, tuple(rows)), (picture,), notes)


def _sources(layers: Sequence[LayerCalibration]) -> Section:
    names = tuple(dict.fromkeys(source for r in layers for source in r.by_source))
    rows = tuple(
        (r.layer, r.cause or NONE, *(decibels(r.by_source[n]) if n in r.by_source else NONE for n in names))
        for r in layers
    )
    table = Table(("layer", "costs most", *names), rows, left=2)
    return Section("SQNR of u[T] with one thing rounded at a time", HELD_OUT, table=table)


def _stages(report: CalibrationReport) -> Section:
    rows = tuple(
        (
            s.stage,
            outputs(s.output_sqnr_db),
            share(s.agreement),
            share(s.accuracy),
            figure(s.accuracy_drop, ".1f"),
        )
        for s in report.stages
    )
    heading = ("stage", "SQNR", "same top-1", "accuracy", "points lost")
    return Section("The whole pipeline, stage by stage", f"against float, {HELD_OUT}", table=Table(heading, rows))


def _bridge(report: CalibrationReport) -> Section:
    rows = [(b.tensor, whole(b.bits_before), whole(b.bits), size(b.bytes_before), size(b.bytes)) for b in report.bridge]
    before, after = sum(b.bytes_before for b in report.bridge), sum(b.bytes for b in report.bridge)
    rows.append(("total", figure(None), figure(None), size(before), size(after)))
    bars = tuple(
        Bar("" if number else b.tensor, bits, bits, bits, f"{bits} bits", number)
        for b in report.bridge
        for number, bits in enumerate((b.bits_before, b.bits))
    )
    heading = ("tensor", "bits before", "bits", "per view before", "per view")
    picture = Bars("bits of a value that crosses", bars, ("before", "after"))
    return Section("Bridge", "counted", table=Table(heading, tuple(rows)), pictures=(picture,))


def _ann(report: CalibrationReport) -> Section:
    rows = tuple(
        (
            a.variant,
            "in the bundle" if a.chosen else "",
            ", ".join(a.in_float) or "none",
            NONE if a.bytes is None else size(a.bytes),
            figure(a.size, ".2f"),
            outputs(a.output_sqnr_db) or NONE,
            share(a.agreement),
        )
        for a in report.ann
    )
    notes = tuple(f"{a.variant}: {a.note}" for a in report.ann if a.note)
    heading = ("variant", "used", "nodes left in float", "size", "of fp32", "SQNR", "same top-1")
    basis = f"on bridged potentials, {HELD_OUT}"
    return Section("ANN half", basis, table=Table(heading, rows, left=3), notes=notes)


def _limits(report: CalibrationReport) -> Section:
    rows = tuple(
        (
            r.name,
            r.where,
            Number("equal", None) if r.measured is None else figure(r.measured, ".2f"),
            figure(r.allowed, "g"),
            "ok" if r.ok else "FAILED",
        )
        for r in report.limits
    )
    return Section("Limits", HELD_OUT, table=Table(("limit", "where", "measured", "allowed", ""), rows, left=2))


def _integers(layers: Sequence[LayerCalibration]) -> Section:
    rows = tuple(
        (
            r.layer,
            *_group(number, r),
            *(_span(r, number, values) for values in (r.threshold, r.decay, r.current_decay)),
            *(figure(None if number else room, ".2f", "×") for room in (r.head_room, r.message_head_room)),
            *(figure(None) if number else whole(count) for count in (r.saturated, r.clipped)),
        )
        for r in layers
        for number in range(max(1, len(r.groups)))
    )
    head = ("layer", "from", "S_w", "S_x", "s", "messages", "vth", "dv", "dc", "room of v", "of messages", "saturated",
            "clipped")  # fmt: skip
    return Section(
        "Integers", "found on the clips of the search; room measured on all clips", table=Table(head, rows, left=2)
    )


def _group(number: int, r: LayerCalibration) -> tuple[str, ...]:
    """Cells of one group; a population that nothing reaches has none."""
    if not r.groups:
        return (NONE,) * 5
    g = r.groups[number]
    messages = NONE if g.message_max == 1 else Number(f"±{g.message_max}", g.message_max)
    return g.source, figure(g.weight_scale, ".1f"), figure(g.input_scale, ".1f"), whole(g.shift), messages


def _span(r: LayerCalibration, number: int, values: tuple[int, int] | None) -> str:
    """A number of the neuron, or its smallest and largest, beside the first group."""
    if number or values is None:
        return NONE
    low, high = values
    return figure(low) if low == high else f"{low}..{high}"


def _tensors(report: CalibrationReport) -> Section:
    rows = tuple(
        (
            t.name,
            figure(t.minimum, ".4g"),
            figure(t.maximum, ".4g"),
            *(figure(p, ".3g") for p in t.percentiles),
            share(t.zeros),
        )
        for t in report.tensors
    )
    heading = ("tensor", "min", "max", "|50 %|", "|90 %|", "|99 %|", "|99.9 %|", "zero")
    pictures = tuple(_histograms(report))
    basis = "observed on the clips of the search, in model units"
    return Section("Ranges", basis, table=Table(heading, rows), pictures=pictures)


def _histograms(report: CalibrationReport) -> Iterator[Histogram]:
    """Per layer the share of potentials by magnitude, float and fixed."""
    tensors = {tensor.name: tensor for tensor in report.tensors}
    for row in report.layers:
        kinds = {"float": f"{row.layer} potential", "fixed point": f"{row.layer} potential, fixed"}
        shares = {name: _per_octave(tensors[kind]) for name, kind in kinds.items()}
        seen = np.flatnonzero(sum(shares.values()))
        last = (int(seen[-1]) if len(seen) else BINS - 1) // BINS_PER_OCTAVE + 1
        octaves = range(max(last - OCTAVES_SHOWN, 0), last + 1)
        part = slice(octaves[0] * BINS_PER_OCTAVE, octaves[-1] * BINS_PER_OCTAVE)
        most = max(float(values[part].max()) for values in shares.values())
        yield Histogram(
            title=f"{row.layer}: share of potentials per octave",
            edges=tuple(np.log2(edges()[part.start : part.stop + 1]).tolist()),
            series=tuple((name, tuple(values[part].tolist())) for name, values in shares.items()),
            ticks=tuple((power, f"{2.0**power:.3g}") for power in (o + OCTAVES[0] for o in octaves[::4])),
            label="|u|, model units",
            top=share(most),
        )


def _per_octave(tensor: TensorRow) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Share of all values by bin; bins are of equal width within an octave, not between them."""
    counts = np.array(tensor.histogram, np.float64)
    return (1 - tensor.zeros) * counts / max(counts.sum(), 1) / np.diff(np.log2(edges()))
