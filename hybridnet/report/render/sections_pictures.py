"""What a page of a run begins with: the answers in short, then pictures of one view, of the partitions, of energy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hybridnet.report.document import (
    Box,
    Flow,
    Grid,
    GridRow,
    Lane,
    Picture,
    Section,
    Stack,
    Stacks,
    Tiles,
    Timeline,
)
from hybridnet.report.numbers import (
    count,
    energy_cell,
    figure,
    is_doubtful,
    joules,
    plural,
    range_text,
    share,
    worst_output_text,
)
from hybridnet.report.pricing.advice import advice
from hybridnet.report.pricing.profile import TERMS
from hybridnet.report.quantities import NO_ENERGY, Energy, total_ops
from hybridnet.report.record.data import PartitionRow, RunRecord
from hybridnet.report.record.firing import firing_of_run
from hybridnet.report.record.latency import schedule
from hybridnet.report.record.pictures import Pictures, SheetKind
from hybridnet.report.record.words import partition_words
from hybridnet.report.render.firing import idle_lines
from hybridnet.report.render.raster import images_of
from hybridnet.report.render.returned import returned_text
from hybridnet.report.render.sections import amount
from hybridnet.report.render.sections_energy import profiles_text
from hybridnet.report.render.sections_run import check_advice
from hybridnet.report.render.sections_samples import predicted_text, whole_verdict
from hybridnet.report.render.sections_verdict import verdict_tile
from hybridnet.support.statistics import mean_and_deviation

VIEWS, TERMS_SHOWN, LAYERS_SHOWN = 24, 5, 12
"""Views of a time line, terms that have a colour of their own, and layers that have a bar."""

SEEN = (SheetKind.FRAME, SheetKind.MOTION, SheetKind.RESIDUAL, SheetKind.INPUT)
CARRIED = {"message": "messages", "potential": "potentials", "potentials": "potentials"}
"""What goes over the bridge, in short; all other kinds are spikes."""


def answers(record: RunRecord) -> Section:
    """What it is, how sure, what it costs, how long it took."""
    best = record.prediction.top_k[0] if record.prediction and record.prediction.top_k else None
    tiles: list[tuple[str, str]] = []
    if (s := record.session) is not None:
        tiles.append((plural(s.gops, "GOP"), f"watched, {s.dropped} dropped; all else is of the last one"))
    if best is not None:
        tiles.append((best.label, f"predicted, score {share(best.score)}"))
    elif several := predicted_text(record):
        tiles.append((plural(len(record.samples), "sample"), several))
    elif record.outputs:
        tiles.append(("no labels", returned_text(record)))
    p, firing = record.parity, firing_of_run(record)
    if p is not None and p.top1_agrees is not None:
        tiles.append(("same class" if p.top1_agrees else "ANOTHER CLASS", "as the float program, same views"))
    tiles += [("silent" if firing.is_silent else "idle layers", line) for line in idle_lines(firing)]
    tiles.append(_energy(record))
    tiles.append((f"{record.totals.latency_ms:.1f} ms", f"for {amount(record)}, measured on this host"))
    if record.verdict is not None:
        tiles.append(verdict_tile(record.verdict))
    return Section("", pictures=(Tiles("In short", tuple(tiles)),))


def _energy(record: RunRecord) -> tuple[str, str]:
    """The energy of a clip, or of one sample of several, and what it is of."""
    whole, profile = energy_cell(record.totals.energy_pj), record.profile.name
    priced = [sample.energy_pj.reference for sample in record.samples if sample.energy_pj is not None]
    if len(priced) < 2:
        return whole, f"for {amount(record)}, range {range_text(record.totals.energy_pj)}, modelled with {profile}"
    mean, deviation = mean_and_deviation(priced)
    range_of_all = range_text(record.totals.energy_pj)
    return joules(mean), (
        f"a sample, ± {joules(deviation)}, modelled with {profile}; {whole} ({range_of_all}) for all {len(priced)}"
    )


def changes(record: RunRecord) -> Section:
    """The verdict and the advice."""
    sqnr_db = {} if record.parity is None else record.parity.output_sqnr_db
    parity = f"{worst_output_text(sqnr_db)}. {check_advice(record)}" if is_doubtful(sqnr_db) else ""
    return Section("What to change", lines=tuple(filter(None, (whole_verdict(record), parity, *advice(record)))))


def seen(record: RunRecord, pictures: Pictures) -> Section:
    """The inputs of one view."""
    found = tuple(map(images_of, pictures.of_kind(*SEEN)))
    return Section("What it saw", _which(record, pictures), pictures=found)


def spiked(record: RunRecord, pictures: Pictures) -> Section:
    """The spikes of layers, the potentials that cross behind them, and how rates went step by step."""
    most = max((rate for layer in pictures.rates for rate in layer.rates), default=0.0)
    rows = tuple(
        GridRow(
            layer.name, tuple((r / (most or 1.0), f"step {n + 1}: {share(r, 2)}") for n, r in enumerate(layer.rates))
        )
        for layer in pictures.rates
    )
    scale = f"the fullest colour is {share(most)}" if most else "none spiked"
    rates = Grid(f"spike rate of each layer, step after step, all views; {scale}", rows)
    maps = tuple(map(images_of, pictures.of_kind(SheetKind.MESSAGE, SheetKind.SPIKES, SheetKind.POTENTIAL)))
    drawn = len({sheet.name for sheet in pictures.of_kind(SheetKind.SPIKES, SheetKind.POTENTIAL)})
    lines = () if drawn == pictures.layers else (f"{drawn} of {pictures.layers} layers are drawn, evenly spread.",)
    note = "Channels are those with the most spikes. Potentials are drawn of layers whose potentials cross the bridge."
    return Section(
        "What spiked, and what crosses", _which(record, pictures), lines, pictures=(*maps, rates), notes=(note,)
    )


def network(record: RunRecord) -> Section:
    """The partitions as boxes, when each was at work, and what the energy is spent on."""
    return Section(
        "Where energy and time go",
        f"ms measured on this host; energy modelled with {profiles_text(record)}",
        pictures=tuple(_whole(record)),
    )


def _whole(record: RunRecord) -> Iterator[Picture]:
    yield partition_flow(record)
    yield time_line(record)
    rows = [(partition_words(row.name), row.energy_pj) for row in record.partitions if row.energy_pj is not None]
    yield energy_stacks("energy of each partition, by term", rows, record.totals.energy_pj)
    layers = [
        (f"{partition_words(row.partition)}: {row.name}", row.energy_pj)
        for row in record.layers
        if row.energy_pj is not None
    ]
    layers.sort(key=lambda one: -one[1].reference)
    some = (
        f"the {LAYERS_SHOWN} most expensive of {len(layers)} layers"
        if len(layers) > LAYERS_SHOWN
        else "energy of each layer"
    )
    yield energy_stacks(f"{some}, by term", layers[:LAYERS_SHOWN], record.totals.energy_pj)
    if record.verdict is not None:
        ways = ((w.name, w.energy_pj.reference) for w in record.verdict.ways)
        bars = tuple(Stack(name, (energy,), joules(energy)) for name, energy in ways)
        yield Stacks("the spiking half's layers, and what would replace them", (), bars)


def partition_flow(record: RunRecord) -> Flow:
    """The partitions that compute, and the bridge as the ways into the spiking half and out of it."""
    rows = [row for row in record.partitions if row.name != "bridge"]
    boxes = tuple(Box(partition_words(row.name), tuple(_box_lines(record, row)), row.share) for row in rows)
    names = [row.name for row in rows]
    edges = tuple(_edge(record, into) for into in names[1:])
    direct = record.model.direct_inputs
    past = f"{', '.join(direct)}, directly" if direct else ""
    return Flow("partitions, and what goes from one to the next", boxes, edges, past)


def _box_lines(record: RunRecord, row: PartitionRow) -> Iterator[str]:
    if row.name == "frontend" and record.video is None:
        yield f"{plural(record.views, 'sample')} from a file" if record.samples else plural(record.views, "view")
        return
    yield row.backend
    yield energy_cell(row.energy_pj) if row.ops is not None else "energy not counted"
    if row.latency_ms is not None:
        yield f"{row.latency_ms.total:.1f} ms, p50 {row.latency_ms.p50:.1f}"
    if row.share is not None:
        yield f"{share(row.share)} of the energy"


def _edge(record: RunRecord, into: str) -> tuple[str, ...]:
    """What crosses into the spiking half, or out of it: energy, bytes, and what they are."""
    if into not in ("snn", "ann"):
        return ()
    rows = [r for r in record.layers if r.partition == "bridge" and (r.kind == "message") == (into == "snn")]
    energy = sum((r.energy_pj for r in rows if r.energy_pj is not None), NO_ENERGY)
    kinds = dict.fromkeys(CARRIED.get(row.kind, "spikes") for row in rows)
    priced = joules(energy.reference) if energy.terms else "no price"
    return (priced, f"{count(total_ops(r.ops for r in rows).bytes)}B", ", ".join(kinds))


def time_line(record: RunRecord) -> Timeline:
    """When each partition has which view, each at work as soon as it can be."""
    rows = [row for row in record.partitions if row.latency_ms is not None]
    times = np.array([row.latency_ms.views[:VIEWS] for row in rows if row.latency_ms is not None])
    ends = schedule(times)
    lanes = tuple(
        Lane(partition_words(row.name), tuple(zip((ends[s] - times[s]).tolist(), ends[s].tolist(), strict=True)))
        for s, row in enumerate(rows)
    )
    what = "sample" if record.samples else "view"
    some = f"the first {VIEWS} of {record.views} {what}s" if record.views > VIEWS else plural(record.views, what)
    title = f"{some}, each partition on hardware of its own: simulated from the times of the host"
    return Timeline(title, lanes, "ms", what)


def energy_stacks(title: str, rows: Sequence[tuple[str, Energy]], total: Energy) -> Stacks:
    """A bar per row; the dearest terms of the whole run have a part each, the others one together."""
    dearest = sorted(total.terms, key=lambda name: -total.terms[name].reference)[:TERMS_SHOWN]
    others = len(total.terms) > len(dearest)
    stacked = []
    for label, energy in rows:
        parts = [energy.terms[name].reference if name in energy.terms else 0.0 for name in dearest]
        rest = (max(energy.reference - sum(parts), 0.0),) if others else ()
        stacked.append(Stack(label, (*parts, *rest), energy_cell(energy)))
    words = (TERMS[name].words if name in TERMS else name for name in dearest)
    return Stacks(title, (*words, *(("other terms",) if others else ())), tuple(stacked))


def _which(record: RunRecord, pictures: Pictures) -> str:
    what = "sample" if record.samples else "view"
    return f"{what} {pictures.view + 1} of {figure(record.views)}, the one with the most spikes"
