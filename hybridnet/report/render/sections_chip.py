"""Sections on the chip: what of it the spiking half takes, what goes on there, and how long that takes."""

from __future__ import annotations

from collections.abc import Iterator

from hybridnet.report.document import Grid, GridRow, Section, Table
from hybridnet.report.numbers import NONE, count, plural, share, whole
from hybridnet.report.quantities import Ops, total_ops
from hybridnet.report.record.chip import ChipTime
from hybridnet.report.record.data import NoteKind, RunRecord


def fit(record: RunRecord) -> Section:
    """Whether the spiking half fits a chip."""
    if record.fit is None:
        return Section("Chip", lines=("Not mapped.",))
    f = record.fit
    row = (f.chip, str(f.neurons), str(f.cores), str(f.cores_per_chip), str(f.chips), ", ".join(f.broken) or "none")
    heading = ("chip", "neurons", "cores", "cores per chip", "chips", "rules broken on one chip")
    lines = (f"Rules and advice: hybridnet fit {record.model.bundle} --chip {f.chip}",)
    return Section("Chip", f.basis, lines, Table(heading, (row,)))


def traffic(record: RunRecord) -> Section:
    """Messages from core to core, layer by layer."""
    rows = [
        (
            row.name,
            count(row.ops.macs + row.ops.acs),
            count(row.ops.neuron_updates),
            *_messages(row.ops, row.ops.spikes),
        )
        for row in record.layers
        if row.partition == "snn" and row.input != "time"
    ]
    inputs = [row for row in record.layers if row.partition == "bridge" and row.kind == "message"]
    rows += [(row.name, NONE, NONE, *_messages(row.ops, None)) for row in inputs]
    ops = total_ops(row.ops for row in record.layers if row.partition in ("snn", "bridge"))
    into = sum(row.ops.bytes for row in inputs)
    lines = (
        f"{count(ops.messages)} messages over {count(ops.hops_ew + ops.hops_ns)} hops, {count(into)}B from the host and"
        f" {count(ops.bytes - into)}B to it, of {plural(record.views, 'view')}.",
    )
    heading = ("from", "synaptic events", "updates", "spikes", "messages", "per spike", "hops", "per message")
    note = (
        "A spike is one message to each core that it reaches. Hops are those of a stated placement: cores in the order"
        " of layers, routers of the mesh column by column, the host at the first one."
    )
    return Section("Traffic on the chip", "counted", lines, Table(heading, tuple(rows)), notes=(note,))


def _messages(ops: Ops, spikes: int | None) -> tuple[str, ...]:
    hops = ops.hops_ew + ops.hops_ns
    return (
        NONE if spikes is None else count(spikes),
        count(ops.messages),
        f"{ops.messages / spikes:.2f}" if spikes else NONE,
        count(hops),
        f"{hops / ops.messages:.2f}" if ops.messages else NONE,
    )


def chip_time(record: RunRecord) -> Section:
    """How long it takes there, what limits it, and what would help."""
    chip = record.timing.chip
    notes = tuple(note.text for note in record.notes if note.kind is NoteKind.CHIP)
    if chip is None:
        timed = "Time from activity: hybridnet simulate … --chip loihi1, or the profile of another chip."
        return Section("Time on the chip", lines=(*notes, timed))
    step = chip.step_us
    row = tuple(f"{v:.2f}" for v in (step.p50, step.p90, step.p99))
    view = f"{chip.view_ms.reference:.3f} ({chip.view_ms.low:.3f} – {chip.view_ms.high:.3f})"
    heading = ("chip", "steps a view", "p50 µs of a step", "p90 µs", "p99 µs", "ms of a view", "of it barrier")
    table = Table(heading, ((chip.chip, whole(chip.steps), *row, view, share(chip.barrier_share)),))
    return Section("Time on the chip", chip.basis, tuple(_limits(chip)), table, (_cores(chip),), (*notes, chip.source))


def chip_line(record: RunRecord) -> str:
    """The time on the chip in one sentence; empty of a chip whose times are not published."""
    chip = record.timing.chip
    if chip is None:
        return ""
    return (
        f"On {chip.chip}, modelled: {chip.view_ms.reference:.3f} ms a view, half of the steps within"
        f" {chip.step_us.p50:.1f} µs, limited by {chip.limiting_layer}."
    )


def _limits(chip: ChipTime) -> Iterator[str]:
    core = chip.cores[chip.limiting_core]
    yield (
        f"Limited by {chip.limiting_layer}: one of its cores is the slowest for {share(chip.limiting_share, 0)} of the"
        f" time in which cores work. Core {chip.limiting_core} ({core.layer}) limits most; it works for"
        f" {share(core.utilisation, 0)} of the run."
    )
    split = chip.split
    if split is not None:
        yield (
            f"With the tiles of {split.layer} halved, on {split.cores} cores instead of {len(chip.cores)}, a view would"
            f" take {split.view_ms:.3f} ms instead of {chip.view_ms.reference:.3f}."
        )


def _cores(chip: ChipTime) -> Grid:
    """Each core as a cell, in the row of its layer."""
    most = max((core.utilisation for core in chip.cores), default=0.0) or 1.0
    rows = tuple(
        GridRow(
            layer,
            tuple(
                (c.utilisation / most, f"core {n}: {share(c.utilisation)}")
                for n, c in enumerate(chip.cores)
                if c.layer == layer
            ),
        )
        for layer in dict.fromkeys(core.layer for core in chip.cores)
    )
    return Grid(f"utilisation of each core; the fullest colour is {share(most)} of the run", rows)
