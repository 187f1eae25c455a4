"""A run record as sections: the headline first, then one table for every question."""

from __future__ import annotations

from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import NONE, count, energy_cell, plural, range_text, shape_text, share
from hybridnet.report.pricing.advice import advice
from hybridnet.report.pricing.profile import TERMS
from hybridnet.report.quantities import Ops
from hybridnet.report.record.data import PartitionRow, RunRecord, VideoRow
from hybridnet.report.record.latency import Latency
from hybridnet.report.record.words import partition_words
from hybridnet.report.render.returned import returned_text
from hybridnet.report.render.sections_chip import chip_time, fit, traffic
from hybridnet.report.render.sections_energy import chip_terms, energy_terms, prices, profiles_text, without
from hybridnet.report.render.sections_measured import measured
from hybridnet.report.render.sections_run import bridge, kind_text, latency, parity
from hybridnet.report.render.sections_samples import per_sample, predicted_text, samples_section
from hybridnet.report.render.sections_session import gops, session
from hybridnet.report.render.sections_verdict import sceptic, spiking


def run_document(record: RunRecord) -> Document:
    """Everything that a record says."""
    sections = (
        headline(record),
        *(() if record.session is None else (session(record.session), gops(record.session))),
        prediction(record),
        partitions(record),
        energy_terms(record),
        prices(record),
        spiking(record),
        sceptic(record),
        latency(record),
        *measured(record),
        bridge(record),
        fit(record),
        traffic(record),
        chip_time(record),
        chip_terms(record),
        parity(record),
        layers(record),
        notes(record),
        glossary(record),
        Section("Made by", lines=(_commands(record), f"{record.created}, {_versions(record)}")),
    )
    return Document(title(record), sections)


def headline(record: RunRecord) -> Section:
    """Four lines: what ran, what it said, what it costs, how long it took and whether it fits; then advice on it."""
    total, times, each = record.totals.energy_pj, record.totals.latency_ms, per_sample(record)
    shares = ", ".join(
        f"{partition_words(row.name)} {share(row.share, 0)}" for row in record.partitions if row.share is not None
    )
    lines = (
        f"{_source(record)} · model {record.model.name}, {record.model.bundle},"
        f" checkpoint {record.model.checkpoint_sha256[:12]}",
        _predicted(record),
        f"Energy {each and f'{each}; all together '}{energy_cell(total)} ({range_text(total)}){without(record)},"
        f" modelled (algorithm track) with {profiles_text(record)}{f': {shares}' if shares else ''}",
        f"Time {times:.1f} ms for {amount(record)}, measured on this host; {_fit_line(record)}",
    )
    return Section("", lines=lines + tuple(f"Advice: {tip}" for tip in advice(record)))


def prediction(record: RunRecord) -> Section:
    """The best classes; of several samples, each with its own."""
    if len(record.samples) > 1:
        return samples_section(record)
    if record.prediction is None:
        return Section("Prediction", lines=(returned_text(record),))
    rows = tuple((share(c.score), c.label) for c in record.prediction.top_k)
    return Section("Prediction", "softmax of the mean logits over views", table=Table(("score", "class"), rows, left=2))


def partitions(record: RunRecord) -> Section:
    """What each half costs."""
    rows = [_partition(row, record.video) for row in record.partitions]
    total = record.totals.energy_pj
    whole = "100.0 %" if total.reference > 0 else NONE
    rows.append(
        ("total", "", "", "", f"{record.totals.latency_ms:.1f}", "", energy_cell(total), range_text(total), whole)
    )
    heading = ("partition", "back-end", "p50 ms", "p90 ms", "total ms", "operations", "energy*", "range", "share")
    footer: tuple[str, ...] = (
        f"* energy is modelled with profile {profiles_text(record)}, not measured; operations are counted;",
        "  ms are measured on this host (they say nothing of a neuromorphic chip), for all views together.",
    )
    if total.missing:
        footer += (f"≥ a lower bound: no price for {', '.join(total.missing)}; shares are of what has one.",)
    return Section("Partitions", _BASES, table=Table(heading, tuple(rows), left=2), notes=footer)


_BASES = "operations counted, ms measured on this host, energy modelled"


def _partition(row: PartitionRow, video: VideoRow | None) -> tuple[str, ...]:
    operations = _decoded(video) if row.ops is None and video is not None else _operations(row.ops)
    cells = ("not priced", NONE) if row.ops is None else (energy_cell(row.energy_pj), range_text(row.energy_pj))
    return (partition_words(row.name), row.backend, *_times(row.latency_ms), operations, *cells, share(row.share))


def layers(record: RunRecord) -> Section:
    """Every layer."""
    rows = tuple(
        (
            partition_words(r.partition),
            r.name,
            kind_text(r),
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
    table = Table(heading, rows, left=6, long=True)
    return Section("Layers", "operations counted, energy modelled", table=table, notes=(note,))


def notes(record: RunRecord) -> Section:
    """What a reader must know."""
    return Section("Notes", lines=tuple(note.text for note in record.notes))


GLOSSARY = {
    "MAC": "one multiplication with its addition; some authors count it as two FLOPs",
    "AC, SynOp": "one spike that arrives at one existing synapse: an addition",
    "update": "one membrane potential, one step: leak, input, reset; paid whether a spike comes or not",
    "view": "one I-frame with its P-frames; a prediction is the mean over the views of a clip",
    "bridge": "what crosses between the halves: inputs into the spiking one, potentials or spikes out of it",
    "counted": "exact: on the graph that runs, or on the events of this run",
    "measured": "a time on this host; no neuromorphic chip was measured",
    "modelled": "counts times published prices or published times of events; never a measurement",
    "message": "what a spike, or a value of an input that is not 0, sends to one core of a chip",
    "hop": "a step of a message from one router of the chip's mesh to the next",
    "range": "lowest and highest of the sources of a price",
    "≥": "a term that was counted has no price, beside those that the headline leaves out; a lower bound",
    "p50, p90, p99": "half, 90 % and 99 % of the views took no longer",
    "SQNR": "signal to quantisation noise ratio, 10·log10(Σu² / Σ(u − u_ref)²); at 20 dB the error is a tenth of the"
    " signal",
}


def glossary(record: RunRecord) -> Section:
    """A line per term."""
    used = [(name, TERMS[name].meaning) for name in record.totals.energy_pj.terms if name in TERMS]
    return Section("Glossary", table=Table(("term", "means"), (*GLOSSARY.items(), *used), left=2, long=True))


def _predicted(record: RunRecord) -> str:
    if predicted := predicted_text(record):
        return f"Predicts {predicted}"
    best = record.prediction.top_k[0] if record.prediction and record.prediction.top_k else None
    return f"Predicts {best.label}, score {share(best.score)}" if best else returned_text(record).rstrip(".")


def amount(record: RunRecord) -> str:
    """How many views or samples were run, or which of a session."""
    if record.session is not None:
        return f"the last of {plural(record.session.gops, 'GOP')}"
    return plural(record.views, "sample" if record.samples else "view")


def title(record: RunRecord) -> str:
    """What a report of the run is called."""
    return f"hybridnet: {record.model.name} on {record.source}"


def _source(record: RunRecord) -> str:
    if record.arrays is not None and record.session is not None:
        return f"Live source {record.arrays.path}; {amount(record)}"
    if record.arrays is not None:
        return f"Arrays {record.arrays.path}; {amount(record)}"
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


def _fit_line(record: RunRecord) -> str:
    f = record.fit
    if f is None:
        return "not mapped to a chip"
    chips = f"{f.chips} chip{'s' * (f.chips != 1)}"
    return f"spiking half {f.cores} cores of {f.cores_per_chip}, {chips} of {f.chip} ({f.basis})"


def _commands(record: RunRecord) -> str:
    return " && ".join(filter(None, (record.command, record.repriced_by)))


def _versions(record: RunRecord) -> str:
    return ", ".join(f"{name} {version}" for name, version in record.environment.items())
