"""A run record as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from hybridnet.report.data import Energy, Latency, Ops, Parity, PartitionRow, RunRecord


def render_text(record: RunRecord) -> str:
    """Headline, prediction, the table of partitions, parity and notes."""
    return (
        "\n\n".join((_headline(record), _prediction(record), _partitions(record), _parity(record), _notes(record)))
        + "\n"
    )


def render_layers(record: RunRecord) -> str:
    """The table of all layers."""
    rows = [
        (
            r.partition,
            r.name,
            r.kind,
            r.input,
            "×".join(map(str, r.shape)),
            count(r.ops.macs),
            count(r.ops.acs),
            "–" if r.spike_rate is None else f"{r.spike_rate:.2%}",
            "–" if r.energy_pj is None else joules(r.energy_pj.reference),
        )
        for r in record.layers
    ]
    return table(("half", "layer", "kind", "input", "output", "MAC", "AC", "spike rate", "energy*"), rows, left=5)


def _headline(record: RunRecord) -> str:
    m = record.model
    return f"{_source(record)}\nModel   {m.name}, {m.bundle}, checkpoint {m.checkpoint_sha256[:12]}"


def _source(record: RunRecord) -> str:
    if record.arrays is not None:
        return f"Arrays  {record.arrays.path}; {record.arrays.views} views"
    v = record.video
    if v is None:
        return "Input   not recorded"
    how = "transcoded" if v.transcoded else "read directly"
    how += f": {v.read_reason}" if v.read_reason else ""
    return f"Video   {v.path}: {v.codec}, {v.width}×{v.height}, {v.frames} frames, {v.gop}, {how}; {v.views} views"


def _prediction(record: RunRecord) -> str:
    if record.prediction is None:
        return "  no prediction: the bundle has no labels"
    return "\n".join(f"  {c.score:6.1%}  {c.label}" for c in record.prediction.top_k)


def _partitions(record: RunRecord) -> str:
    rows = [_partition_cells(row) for row in record.partitions]
    total_ms, total = record.totals.latency_ms, record.totals.energy_pj
    rows.append(("total", "", "", "", f"{total_ms:.1f}", "", joules(total.reference), span(total), "100.0 %"))
    heading = ("partition", "back-end", "p50 ms", "p90 ms", "total ms", "operations", "energy*", "range", "share")
    footer = (
        f"* energy is modelled with profile {record.profile.name}, not measured; operations are counted;\n"
        "  ms are measured on this host (they say nothing of a neuromorphic chip), for all views together."
    )
    return f"{table(heading, rows, left=2)}\n{footer}\n{_against_dense(record)}"


def _against_dense(record: RunRecord) -> str:
    """The saving of events, visible and honest."""
    dense = record.totals.snn_dense_energy_pj.reference
    events = next(row.energy_pj for row in record.partitions if row.name == "snn")
    if events is None or dense == 0:
        return "  the spiking half was not priced against a dense run."
    share = events.reference / dense
    return f"  the spiking half run dense would cost {joules(dense)}*; as events it costs {share:.1%} of that."


def _partition_cells(row: PartitionRow) -> tuple[str, ...]:
    share = "–" if row.share is None else f"{row.share:.1%}".replace("%", " %")
    return (row.name, row.backend, *_latency(row.latency_ms), _operations(row.ops), *_energy(row.energy_pj), share)


def _latency(latency: Latency | None) -> tuple[str, str, str]:
    if latency is None:
        return ("–", "–", "–")
    return (f"{latency.p50:.1f}", f"{latency.p90:.1f}", f"{latency.total:.1f}")


def _operations(ops: Ops | None) -> str:
    if ops is None:
        return "not counted"
    parts = ((ops.macs, " MAC"), (ops.acs, " AC"), (ops.neuron_updates, " updates"), (ops.bytes, "B"))
    return " + ".join(f"{count(n)}{unit}" for n, unit in parts if n) or "0"


def _energy(energy: Energy | None) -> tuple[str, str]:
    return ("not priced", "–") if energy is None else (joules(energy.reference), span(energy))


def _parity(record: RunRecord) -> str:
    if record.parity is None:
        return "Parity  not compared with the float model, or is the float model itself"
    p = record.parity
    sqnr = ", ".join(f"{n} {decibels(v)}" for n, v in p.sqnr_db.items())
    agreement = ", ".join(f"{n} {v:.2%}" for n, v in p.spike_agreement.items())
    return (
        f"Parity  with {p.reference}: {_outcome(p)}\n        SQNR on the bridge {sqnr}\n        same spikes {agreement}"
    )


def _outcome(parity: Parity) -> str:
    if parity.top1_agrees is not None:
        return f"top-1 {'the same' if parity.top1_agrees else 'DIFFERS'}"
    return "SQNR of " + ", ".join(f"{name} {decibels(value)}" for name, value in parity.output_sqnr_db.items())


def decibels(value: float | None) -> str:
    """An SQNR; None is that of equal bits."""
    return "exact" if value is None else f"{value:.1f} dB"


def _notes(record: RunRecord) -> str:
    return "Notes\n" + "\n".join(f"  - {note}" for note in record.notes)


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Columns padded to their widest cell; the first `left` columns flush left, the others right."""
    lines = [tuple(heading), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heading))]
    drawn = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join((drawn[0], "─" * (sum(widths) + 2 * len(widths) - 2), *drawn[1:]))


def count(number: int) -> str:
    """A count with a decimal prefix: 405504 is 405.5 k."""
    value = float(number)
    for prefix in ("", " k", " M", " G", " T"):
        if value < 1000 or prefix == " T":
            break
        value /= 1000
    return f"{number}" if number < 1000 else f"{value:.1f}{prefix}"


def joules(energy_pj: float) -> str:
    """An energy with its unit: 1.5e6 pJ is 1.50 µJ."""
    value = energy_pj
    for unit in ("pJ", "nJ", "µJ", "mJ", "J"):
        if value < 1000 or unit == "J":
            break
        value /= 1000
    return f"{value:.2f} {unit}"


def span(energy: Energy) -> str:
    """The range of an energy."""
    return f"{joules(energy.low)} – {joules(energy.high)}"
