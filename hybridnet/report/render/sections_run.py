"""Sections on the run: time, bridge and parity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hybridnet.report.document import Bar, Bars, Section, Table
from hybridnet.report.numbers import (
    CHECK_BELOW_DB,
    NONE,
    count,
    decibels,
    energy_cell,
    range_text,
    shape_text,
    share,
)
from hybridnet.report.record.data import LayerRow, Parity, RunRecord
from hybridnet.report.record.firing import firing_of_run
from hybridnet.report.record.latency import Pipeline
from hybridnet.report.record.words import calibrate_command, partition_words
from hybridnet.report.render.firing import idle_lines
from hybridnet.support.inputs import LEAST_CLIPS

CROSSING = {
    "message": "x[t] ≠ 0", "potential": "u[T]", "potentials": "u[1..T]", "spikes": "o[1..T]", "last_spikes": "o[T]",
    "spike_count": "Σ o[t]",
}  # fmt: skip
"""How reports write what crosses the bridge."""


def kind_text(row: LayerRow) -> str:
    """What a layer is, or what crosses."""
    return CROSSING.get(row.kind, row.kind) if row.partition == "bridge" else row.kind


def latency(record: RunRecord) -> Section:
    """Host times, modelled chip time, and what overlapping gives."""
    rows = [
        (partition_words(row.name), row.backend, *(f"{v:.2f}" for v in (t.p50, t.p90, t.p99, t.total)), t.basis)
        for row in record.partitions
        if (t := row.latency_ms) is not None
    ]
    chip = record.timing.chip
    if chip is not None:
        basis = f"modelled, {chip.view_ms.reference:.3f} ({chip.view_ms.low:.3f} to {chip.view_ms.high:.3f}) ms a view"
        rows.append(("snn", f"{chip.chip}, {chip.steps} steps", *(NONE,) * 4, basis))
    lines = [_pipeline(record.timing.pipeline)]
    if record.timing.pipeline_with_chip is not None:
        lines.append(_pipeline(record.timing.pipeline_with_chip))
    heading = ("partition", "runs on", "p50 ms", "p90 ms", "p99 ms", "total ms", "basis")
    over = f"p50, p90, p99 are over {record.views} views, of the halves after a warm-up."
    notes = (over if record.views > 1 else "There was one view: p50, p90, p99 are its time.",)
    bars = tuple(
        Bar(partition_words(row.name), t.p50, t.p50, t.p99, f"{t.p50:.2f} ms")
        for row in record.partitions
        if (t := row.latency_ms) is not None
    )
    picture = Bars("p50 of a view, with its way to p99", bars)
    return Section(
        "Latency", "measured on this host, per view", tuple(lines), Table(heading, tuple(rows), 2), (picture,), notes
    )


def _pipeline(p: Pipeline) -> str:
    return (
        f"{p.sequential_ms:.1f} ms one view after the other, {p.pipelined_ms:.1f} ms with all partitions at work at"
        f" once ({p.views_per_second:.1f} views/s, limited by {partition_words(p.bottleneck)}); the first result after"
        f" {p.first_view_ms:.1f} ms, its critical path ({p.basis})."
    )


def bridge(record: RunRecord) -> Section:
    """What crosses, each way."""
    rows = tuple(
        (
            r.name,
            kind_text(r),
            shape_text(r.shape),
            f"{count(r.ops.bytes)}B",
            energy_cell(r.energy_pj),
            range_text(r.energy_pj),
        )
        for r in record.layers
        if r.partition == "bridge"
    )
    lines = (
        "Into the spiking half: a message for every analog value that is not 0. Out of it: what the ANN half reads."
        " Nothing goes back from the ANN half, so that the spiking half never waits for it.",
    )
    heading = ("tensor", "carries", "shape", "bytes", "energy*", "range")
    return Section("Bridge", "bytes counted, energy modelled", lines, Table(heading, rows, left=3))


def parity(record: RunRecord) -> Section:
    """How far the run is from the float model."""
    p = record.parity
    if p is None:
        compared: tuple[str, ...] = ("Not compared with the float model, or is the float model itself.",)
    else:
        firing = firing_of_run(record)
        sqnr = ", ".join(f"{n} {decibels(v)}" for n, v in p.sqnr_db.items())
        same = ", ".join(f"{n} {share(v, 2)}" for n, v in firing.agreement.items())
        compared = (
            f"With {p.reference}: {'silent in both' if firing.is_silent else parity_outcome(p)}",
            f"SQNR on the bridge: {sqnr or 'nothing but zeros crossed'}",
            f"Same spikes: {same or NONE}",
            *idle_lines(firing),
        )
    lines = (
        *compared,
        f"Potentials that saturated at 24 bits: {_events(record.overflows, _potentials(record))}",
        f"Inputs clipped by input quantisation: {_events(record.clipped_inputs, record.fed_inputs)}",
    )
    return Section("Parity and calibration", "measured on the views of this run", lines)


def _events(counts: dict[str, int], of: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,} of {of[name]:,}" for name, n in counts.items() if n) or "none"


def _potentials(record: RunRecord) -> dict[str, int]:
    """Per layer how many potentials were updated."""
    return {row.name: row.ops.neuron_updates for row in record.layers if row.partition == "snn"}


def lost_lines(record: RunRecord) -> Iterator[str]:
    """A line on what did not fit the chip's registers, and of how many that is."""
    lost = [
        f"{sum(counts.values()):,} of {count(sum(of.values()))} {what}"
        for counts, of, what in (
            (record.overflows, _potentials(record), "potentials saturated"),
            (record.clipped_inputs, record.fed_inputs, "inputs were clipped"),
        )
        if any(counts.values())
    ]
    if lost:
        yield f"{' and '.join(lost)} in the chip's registers."


def check_advice(record: RunRecord) -> str:
    """What to do where an output is doubtful."""
    enough = record.arrays is not None and len(record.samples) >= LEAST_CLIPS
    clips = record.source if enough else None
    out = f"{Path(record.model.bundle).name}-calibrated"  # here: the bundle may be that of an installation
    check = calibrate_command(record.model.bundle, out, clips, video=record.arrays is None)
    return f"Below about {CHECK_BELOW_DB:.0f} dB, a rule of thumb, check the accuracy, and try finer scales: {check}"


def parity_outcome(parity: Parity) -> str:
    """Whether the class is the same, or how far the outputs are apart."""
    if parity.top1_agrees is not None:
        return f"top-1 {'the same' if parity.top1_agrees else 'DIFFERS'}"
    return "SQNR of " + ", ".join(f"{name} {decibels(value)}" for name, value in parity.output_sqnr_db.items())
