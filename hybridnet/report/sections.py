"""A run record as sections: the headline first, then one table for every question."""

from __future__ import annotations

from hybridnet.report.advice import advice
from hybridnet.report.data import Energy, Latency, Ops, Parity, PartitionRow, Pipeline, RunRecord, Span, VideoRow
from hybridnet.report.document import Bar, Document, Section, Table
from hybridnet.report.energy import TERMS
from hybridnet.report.numbers import NONE, count, decibels, energy_cell, joules, shape_text, share, span

PAYING_BAND = (
    "Published bands: spiking pays below 0.15 to 1.38 spikes per synapse and inference (Dampfhoffer et al. 2023, IEEE"
    " TETCI 7(3)), below a rate of 6.4 % for 5 to 10 steps (Yan et al., arXiv 2409.08290)."
)


def run_document(record: RunRecord) -> Document:
    """Everything that a record says."""
    sections = (
        headline(record),
        prediction(record),
        partitions(record),
        energy_terms(record),
        spiking(record),
        latency(record),
        bridge(record),
        fit(record),
        parity(record),
        layers(record),
        notes(record),
        glossary(record),
        Section("Made by", lines=(record.command, f"{record.created}, {_versions(record)}")),
    )
    return Document(f"hybridnet: {record.model.name} on {record.source}", sections)


def headline(record: RunRecord) -> Section:
    """Four lines: what ran, what it said, what it costs, how long it took and whether it fits; then advice."""
    total, times = record.totals.energy_pj, record.totals.latency_ms
    shares = ", ".join(f"{row.name} {share(row.share, 0)}" for row in record.partitions if row.share is not None)
    best = record.prediction.top_k[0] if record.prediction and record.prediction.top_k else None
    lines = (
        f"{_source(record)} · model {record.model.name}, {record.model.bundle},"
        f" checkpoint {record.model.checkpoint_sha256[:12]}",
        "No prediction: the bundle has no labels" if best is None else f"Predicts {best.label}, score {best.score:.1%}",
        f"Energy {_lower(total)}{joules(total.reference)} ({span(total)}), modelled with {_profiles(record)}: {shares}",
        f"Time {times:.1f} ms for {record.views} views, measured on this host; {_fit_line(record)}",
    )
    tip = advice(record)
    return Section("", lines=lines + ((f"Advice: {tip}",) if tip else ()))


def prediction(record: RunRecord) -> Section:
    """The best classes."""
    if record.prediction is None:
        return Section("Prediction", lines=("There is no prediction: the bundle has no labels.",))
    rows = tuple((f"{c.score:6.1%}", c.label) for c in record.prediction.top_k)
    return Section("Prediction", "softmax of the mean logits over views", table=Table(("score", "class"), rows, left=2))


def partitions(record: RunRecord) -> Section:
    """What each half costs."""
    rows = [_partition(row, record.video) for row in record.partitions]
    total = record.totals.energy_pj
    whole = "100.0 %" if total.reference > 0 else NONE
    rows.append(("total", "", "", "", f"{record.totals.latency_ms:.1f}", "", energy_cell(total), span(total), whole))
    heading = ("partition", "back-end", "p50 ms", "p90 ms", "total ms", "operations", "energy*", "range", "share")
    footer = (
        f"* energy is modelled with profile {_profiles(record)}, not measured; operations are counted;",
        "  ms are measured on this host (they say nothing of a neuromorphic chip), for all views together.",
    )
    return Section("Partitions", _BASES, table=Table(heading, tuple(rows), left=2), notes=footer)


_BASES = "operations counted, ms measured on this host, energy modelled"


def _partition(row: PartitionRow, video: VideoRow | None) -> tuple[str, ...]:
    operations = _decoded(video) if row.ops is None and video is not None else _operations(row.ops)
    cells = ("not priced", NONE) if row.ops is None else (energy_cell(row.energy_pj), _range(row.energy_pj))
    return (row.name, row.backend, *_times(row.latency_ms), operations, *cells, share(row.share))


def energy_terms(record: RunRecord) -> Section:
    """Every term on the table, of all partitions."""
    total = record.totals.energy_pj
    rows, bars = [], []
    for name, term in total.terms.items():
        owners = [p.name for p in record.partitions if p.energy_pj and name in p.energy_pj.terms]
        part = term.reference / total.reference if total.reference else None
        cells = (joules(term.reference), _range(term), share(part))
        rows.append((name, TERMS[name].meaning if name in TERMS else "", ", ".join(owners), *cells))
        bars.append(Bar(name, term.low, term.reference, term.high, joules(term.reference)))
    table = Table(("term", "what", "in", "energy*", "range", "share"), tuple(rows), left=3)
    left_out = tuple(note for note in record.notes if note.startswith("energy "))
    return Section("Energy by term", f"modelled with {_profiles(record)}", (), table, tuple(bars), left_out)


def spiking(record: RunRecord) -> Section:
    """The spiking half beside what would replace it."""
    c = record.comparison
    if c is None:
        return Section("Does spiking pay?", lines=("There is no spiking layer.",))
    rows = tuple((a.name, _reference(a.energy_pj), _reference(a.int8_energy_pj)) for a in c.alternatives)
    heading = ("the spiking half's layers as", f"energy*, {record.profile.name}", "energy*, int8 at 45 nm")
    lines = [_against_dense(record)]
    if c.rate is None:
        lines.append("Spikes feed no layer of it: every input is analog, and there is no break-even rate.")
    else:
        per_synapse = NONE if c.spikes_per_synapse is None else f"{c.spikes_per_synapse:.3f}"
        lines.append(
            f"Spike rate {share(c.rate, 2)} at the inputs of layers that spikes feed (counted), {per_synapse} spikes"
            " per synapse and inference."
        )
        lines.append(
            f"The rate at which spiking stops paying, modelled from arithmetic and membranes alone: against the same"
            f" layers dense, {_break_even(c.break_even_rate)} ({record.profile.name}); against a dense int8 ANN,"
            f" {_break_even(c.int8_break_even_rate)}."
        )
    return Section("Does spiking pay?", "modelled", tuple(lines), Table(heading, rows), notes=(PAYING_BAND,))


def _break_even(rate: float | None) -> str:
    if rate is None:
        return "unknown, for want of a price"
    if rate == 0:
        return "none, as membranes alone cost more"
    return "above 100 %, it always pays" if rate > 1 else share(rate)


def _against_dense(record: RunRecord) -> str:
    ways = record.comparison.alternatives if record.comparison else ()
    if len(ways) < 2 or ways[0].energy_pj is None or ways[1].energy_pj is None or not ways[1].energy_pj.reference:
        return f"Not priced against a dense run: {record.profile.name} has no price for an operation of it."
    dense, events = ways[1].energy_pj.reference, ways[0].energy_pj.reference
    return (
        f"The spiking half run dense would cost {joules(dense)} (modelled);"
        f" as events it costs {events / dense:.1%} of that."
    )


def latency(record: RunRecord) -> Section:
    """Host times, modelled chip time, and what overlapping gives."""
    rows = [
        (row.name, row.backend, *(f"{v:.2f}" for v in (t.p50, t.p90, t.p99, t.total)), t.basis)
        for row in record.partitions
        if (t := row.latency_ms) is not None
    ]
    chip = record.timing.chip
    if chip is not None:
        low, mid, high = chip.view_ms.low, chip.view_ms.reference, chip.view_ms.high
        rows.append(("snn", f"{_chip_name(record)}, {chip.steps} steps", f"{mid:.2f}", NONE, f"{high:.2f}", NONE,
                     f"modelled, {low:.2f} to {high:.2f} ms a view"))  # fmt: skip
    lines = [_pipeline(record.timing.pipeline)]
    if record.timing.pipeline_with_chip is not None:
        lines.append(_pipeline(record.timing.pipeline_with_chip))
    heading = ("partition", "runs on", "p50 ms", "p90 ms", "p99 ms", "total ms", "basis")
    source = () if chip is None else (f"Step time of the chip: {chip.source}",)
    notes = ("p50, p90, p99 are over views, after warm-up.", *source)
    bars = tuple(
        Bar(f"{row.name}, a view", t.p50, t.p50, t.p99, f"{t.p50:.2f} ms")
        for row in record.partitions
        if (t := row.latency_ms) is not None
    )
    return Section(
        "Latency", "measured on this host, per view", tuple(lines), Table(heading, tuple(rows), 2), bars, notes
    )


def _pipeline(p: Pipeline) -> str:
    return (
        f"{p.sequential_ms:.1f} ms one view after the other, {p.pipelined_ms:.1f} ms with all partitions at work at"
        f" once ({p.views_per_second:.1f} views/s, limited by {p.bottleneck}); critical path of a view"
        f" {p.first_view_ms:.1f} ms ({p.basis})."
    )


def bridge(record: RunRecord) -> Section:
    """What crosses, each way."""
    rows = tuple(
        (r.name, r.kind, shape_text(r.shape), f"{count(r.ops.bytes)}B", energy_cell(r.energy_pj), _range(r.energy_pj))
        for r in record.layers
        if r.partition == "bridge"
    )
    lines = (
        "Into the spiking half: a message for every analog value that is not 0. Out of it: what the ANN half reads."
        " Nothing goes back from the ANN half, so that the spiking half never waits for it.",
    )
    heading = ("tensor", "carries", "shape", "bytes", "energy*", "range")
    return Section("Bridge", "bytes counted, energy modelled", lines, Table(heading, rows, left=3))


def fit(record: RunRecord) -> Section:
    """Whether the spiking half fits a chip."""
    if record.fit is None:
        return Section("Chip", lines=("Not mapped.",))
    f = record.fit
    row = (f.chip, str(f.neurons), str(f.cores), str(f.cores_per_chip), str(f.chips), ", ".join(f.broken) or "none")
    heading = ("chip", "neurons", "cores", "cores per chip", "chips", "rules broken on one chip")
    lines = (f"Rules and advice: hybridnet fit {record.model.bundle} --chip {f.chip}",)
    return Section("Chip", f.basis, lines, Table(heading, (row,)))


def parity(record: RunRecord) -> Section:
    """How far the run is from the float model."""
    p = record.parity
    if p is None:
        return Section(
            "Parity and calibration", lines=("Not compared with the float model, or is the float model itself.",)
        )
    sqnr = ", ".join(f"{n} {decibels(v)}" for n, v in p.sqnr_db.items())
    same = ", ".join(f"{n} {v:.2%}" for n, v in p.spike_agreement.items())
    lines = (
        f"With {p.reference}: {parity_outcome(p)}",
        f"SQNR on the bridge: {sqnr}",
        f"Same spikes: {same}",
        f"Potentials that saturated at 24 bits: {_events(record.overflows)}",
        f"Inputs that did not fit their message: {_events(record.clipped_inputs)}",
    )
    return Section("Parity and calibration", "measured on the views of this run", lines)


def _events(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items() if n) or "none"


def parity_outcome(parity: Parity) -> str:
    """Whether the class is the same, or how far the outputs are apart."""
    if parity.top1_agrees is not None:
        return f"top-1 {'the same' if parity.top1_agrees else 'DIFFERS'}"
    return "SQNR of " + ", ".join(f"{name} {decibels(value)}" for name, value in parity.output_sqnr_db.items())


def layers(record: RunRecord) -> Section:
    """Every layer."""
    rows = tuple(
        (
            r.partition,
            r.name,
            r.kind,
            r.input,
            shape_text(r.shape),
            r.precision or NONE,
            count(r.ops.macs),
            count(r.ops.acs),
            count(r.ops.neuron_updates + r.ops.element_ops),
            share(r.spike_rate, 2),
            energy_cell(r.energy_pj),
        )
        for r in record.layers
    )
    heading = ("half", "layer", "kind", "input", "output", "width", "MAC", "AC", "other", "spike rate", "energy*")
    note = "other: membrane updates in the spiking half, element operations in the ANN half."
    return Section("Layers", _BASES, table=Table(heading, rows, left=6, long=True), notes=(note,))


def notes(record: RunRecord) -> Section:
    """What a reader must know."""
    return Section("Notes", lines=record.notes)


GLOSSARY = {
    "MAC": "one multiplication with its addition; some authors count it as two FLOPs",
    "AC, SynOp": "one spike that arrives at one existing synapse: an addition",
    "update": "one membrane potential, one step: leak, input, reset; paid whether a spike comes or not",
    "view": "one I-frame with its P-frames; a prediction is the mean over the views of a clip",
    "bridge": "the membrane potentials that the spiking half hands to the ANN half",
    "counted": "exact: on the graph that runs, or on the events of this run",
    "measured": "a time on this host; no neuromorphic chip was measured",
    "modelled": "counts times published prices, or steps times a published step time; never a measurement",
    "range": "lowest and highest of the sources of a price",
    "≥": "something that was counted has no published price; the energy is a lower bound",
    "p50, p90, p99": "half, 90 % and 99 % of the views took no longer",
    "SQNR": "signal to quantisation noise ratio, 10·log10(Σu² / Σ(u − u_ref)²)",
}


def glossary(record: RunRecord) -> Section:
    """A line per term."""
    used = [(name, TERMS[name].meaning) for name in record.totals.energy_pj.terms if name in TERMS]
    return Section("Glossary", table=Table(("term", "means"), (*GLOSSARY.items(), *used), left=2, long=True))


def _source(record: RunRecord) -> str:
    if record.arrays is not None:
        return f"Arrays {record.arrays.path}; {record.arrays.views} views"
    v = record.video
    if v is None:
        return "Input not recorded"
    how = ("transcoded" if v.transcoded else "read directly") + (f": {v.read_reason}" if v.read_reason else "")
    return f"Video {v.path}: {v.codec}, {v.width}×{v.height}, {v.frames} frames, {v.gop}, {how}; {v.views} views"


def _times(latency: Latency | None) -> tuple[str, str, str]:
    return (NONE,) * 3 if latency is None else (f"{latency.p50:.1f}", f"{latency.p90:.1f}", f"{latency.total:.1f}")


def _decoded(video: VideoRow) -> str:
    return f"{video.decoded_frames} frames, {count(video.decoded_bits)}bit decoded"


def _operations(ops: Ops | None) -> str:
    if ops is None:
        return "not counted"
    parts = (
        (ops.macs, " MAC"),
        (ops.acs, " AC"),
        (ops.neuron_updates, " updates"),
        (ops.element_ops, " element ops"),
        (ops.bytes, "B"),
    )
    return " + ".join(f"{count(n)}{unit}" for n, unit in parts if n) or "0"


def _range(energy: Energy | Span | None) -> str:
    return NONE if energy is None else span(energy)


def _reference(energy: Span | None) -> str:
    return "no price" if energy is None else joules(energy.reference)


def _lower(energy: Energy) -> str:
    return "≥ " if energy.missing else ""


def _profiles(record: RunRecord) -> str:
    ann = record.ann_profile
    return record.profile.name if ann is None else f"{record.profile.name} (ANN half: {ann.name}, MIXED TECHNOLOGIES)"


def _chip_name(record: RunRecord) -> str:
    return "chip" if record.fit is None else record.fit.chip


def _fit_line(record: RunRecord) -> str:
    f = record.fit
    if f is None:
        return "not mapped to a chip"
    chips = f"{f.chips} chip{'s' * (f.chips != 1)}"
    return f"spiking half {f.cores} cores of {f.cores_per_chip}, {chips} of {f.chip} ({f.basis})"


def _versions(record: RunRecord) -> str:
    return ", ".join(f"{name} {version}" for name, version in record.environment.items())
