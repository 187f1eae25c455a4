"""From a finished run to its record: rows are counted, then priced."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip.profile import Chip
from hybridnet.deploy.layout import ANN_INT8, CHECKPOINT
from hybridnet.program.outputs import LOGITS
from hybridnet.program.spiking import AnyGraph
from hybridnet.report.counting.onnx import GraphCount, count_also_in_int8, count_graph
from hybridnet.report.pricing.price import Prices, price_layers, price_partitions, price_samples, pricing_notes
from hybridnet.report.pricing.verdict import judge
from hybridnet.report.quantities import Ops, total_ops
from hybridnet.report.record.data import SCHEMA, ModelRow, Parity, PartitionRow, RunRecord
from hybridnet.report.record.int8 import Int8Ann
from hybridnet.report.record.latency import summarise, timing
from hybridnet.report.record.measured import Measured
from hybridnet.simulators.hybrid import HybridRun
from hybridnet.simulators.registry import packages
from hybridnet.support.installed import our_version, version_of
from hybridnet.support.statistics import mean_logits, spike_agreement, sqnr_db
from hybridnet.workflows.chip import on_chip, time_of
from hybridnet.workflows.notes import chip_notes, run_notes, source_notes
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.pictures import pictures_of
from hybridnet.workflows.predictions import outputs_of, predict, samples_of
from hybridnet.workflows.rows import bridge_rows, input_rows, onnx_rows, snn_rows, static_row, with_messages
from hybridnet.workflows.sources import Read


@dataclass(frozen=True, eq=False)
class Int8Graph:
    """The counted ANN half in int8: the bundle's own, or the one that calibration would make."""

    graph: GraphCount
    in_bundle: bool

    @staticmethod
    def beside(bundle: Bundle, counted: str) -> tuple[GraphCount, Int8Graph | None]:
        """The counted graph of a bundle that runs, and this; None if that is in int8, or has no weights to quantise."""
        path = bundle.file(counted)
        if counted == ANN_INT8:
            return count_graph(path), None
        if ANN_INT8 in bundle.manifest.files:
            return count_graph(path), Int8Graph(count_graph(bundle.file(ANN_INT8)), in_bundle=True)
        graph, made = count_also_in_int8(path)
        return graph, None if made is None else Int8Graph(made, in_bundle=False)

    def row(self, views: int) -> Int8Ann:
        """What so many views take."""
        return Int8Ann(by_width(self.graph, views), self.in_bundle)


@dataclass(frozen=True, eq=False)
class Setup:
    """A bundle on a pair of back-ends, and what its runs are priced with.

    Attributes:
        options: What the record holds.
        snn: Name of the spiking half's back-end.
        ann: Name of the ANN half's.
        program: What the spiking back-end runs, float or fixed.
        front: The counted graph of what the host computes before the spiking half; None without.
        graph: The counted graph of the ANN half.
        int8: What the ANN half would be in int8; None if it runs in it, or no layer of it has weights.
        settings: How the back-ends ran, by option.
        prices: What all counts are priced with.
        chip: Whose time and fit are estimated.
    """

    bundle: Bundle
    options: SimulateOptions
    snn: str
    ann: str
    program: AnyGraph
    front: GraphCount | None
    graph: GraphCount
    int8: Int8Graph | None
    settings: dict[str, str]
    prices: Prices
    chip: Chip


def build_record(
    setup: Setup, read: Read, run: HybridRun, reference: HybridRun | None, measured: Measured | None = None
) -> RunRecord:
    """Assemble the record of one video, or of one set of arrays.

    Args:
        reference: The same views through the float spiking half; None if not compared.
        measured: What meters counted of both halves; None if nobody asked for it.
    """
    options, prices = setup.options, setup.prices
    views, manifest = len(run.ann_ms), setup.bundle.manifest
    placed = on_chip(setup.bundle.fixed, setup.chip, run.spiking)
    bridge = (
        *with_messages(input_rows(setup.program, run.spiking), placed.from_inputs),
        *bridge_rows(setup.bundle.bridge, run.crossing.bytes),
    )
    time = time_of(placed, sum(row.ops.bytes for row in bridge))
    fitted = placed.fitted.row
    counted = (
        *(() if setup.front is None else onnx_rows("front", setup.front, views)),
        *with_messages(snn_rows(setup.program, run.spiking), placed.from_layers),
        *(() if time is None else (static_row(time, fitted),)),
        *bridge,
        *onnx_rows("ann", setup.graph, views),
    )
    layers = price_layers(counted, prices)
    samples = tuple(samples_of(setup.program, run, placed, manifest.labels)) if read.are_samples else ()
    rows = tuple(partition_rows(setup, read, run))
    partitions, totals = price_partitions(rows, layers, prices)
    return RunRecord(
        schema=SCHEMA,
        command=options.command,
        repriced_by=None,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment() | setup.settings,
        video=read.video,
        arrays=read.arrays,
        model=_model_row(setup.bundle),
        prediction=None
        if manifest.labels is None or len(samples) > 1
        else predict(run.logits, manifest.labels, options.top_k),
        outputs=tuple(outputs_of(run, of_samples=read.are_samples)),
        samples=price_samples(samples, layers, prices),
        partitions=partitions,
        layers=layers,
        totals=totals,
        int8_ann=None if setup.int8 is None else setup.int8.row(views),
        verdict=judge(layers, views, setup.program.steps, prices.profile),
        timing=timing({row.name: row.latency_ms for row in partitions}, time),
        measured=measured,
        fit=fitted,
        parity=None if reference is None else compare(run, reference, of_samples=read.are_samples),
        overflows=dict(run.spiking.overflows),
        clipped_inputs=dict(run.spiking.clipped_inputs),
        fed_inputs={name: values.size for name, values in run.spiking.inputs.items()},
        profile=prices.profile.row,
        ann_profile=None if prices.ann is None else prices.ann.row,
        notes=(
            *source_notes(read),
            *run_notes(setup.bundle, setup.graph, run, compared=reference is not None),
            *chip_notes(setup.chip),
            *pricing_notes(prices, layers),
        ),
        pictures=pictures_of(setup.bundle, read, run) if options.pictures else None,
        session=None,
    )


def _model_row(bundle: Bundle) -> ModelRow:
    manifest, crossing = bundle.manifest, {tensor.name for tensor in bundle.bridge}
    direct = tuple(name for name in manifest.ann_inputs if name not in crossing)
    is_reference = manifest.model.config is not None
    return ModelRow(manifest.model.name, manifest.files[CHECKPOINT], str(bundle.path), direct, is_reference)


def by_width(graph: GraphCount, views: int) -> dict[str, Ops]:
    """What the nodes of a graph take that compute in each width, of all views."""
    widths = sorted({node.precision for node in graph.nodes})
    return {width: total_ops(node.ops(views) for node in graph.nodes if node.precision == width) for width in widths}


def partition_rows(setup: Setup, read: Read, run: HybridRun) -> Iterator[PartitionRow]:
    """The partitions with their times, a front where there is one; what they cost is the sum of their layers'."""
    frontend = ("pyav", "not counted") if read.is_clip else ("none", "not run")
    read_ms = None if read.view_ms is None else summarise(read.view_ms, read.open_ms)
    yield PartitionRow("frontend", *frontend, None, read_ms, None, None)
    if run.front_ms is not None:
        yield PartitionRow("front", "onnxruntime", "counted", None, summarise(run.front_ms), None, None)
    yield PartitionRow("snn", setup.snn, "counted", None, summarise(run.spiking.latency_ms), None, None)
    yield PartitionRow("bridge", "host", "counted", None, summarise(run.bridge_ms), None, None)
    yield PartitionRow("ann", setup.ann, "counted", None, summarise(run.ann_ms), None, None)


def compare(run: HybridRun, reference: HybridRun, *, of_samples: bool) -> Parity:
    """The run against the float one."""
    return Parity(
        reference="the float32 program, same views",
        top1_agrees=_same_best_class(run, reference, of_samples=of_samples) if LOGITS in run.outputs else None,
        output_sqnr_db={name: sqnr_db(values, reference.outputs[name]) for name, values in run.outputs.items()},
        sqnr_db={
            name: sqnr_db(u, reference.crossing.values[name])
            for name, u in run.crossing.values.items()
            if u.any() or reference.crossing.values[name].any()
        },
        spike_agreement={
            name: spike_agreement(o, reference.spiking.spikes[name]) for name, o in run.spiking.spikes.items()
        },
    )


def _same_best_class(run: HybridRun, reference: HybridRun, *, of_samples: bool) -> bool:
    """Whether both predict the same, by the mean over views or for each sample."""
    one, other = (r.logits if of_samples else mean_logits(r.logits) for r in (run, reference))
    return bool((one.argmax(axis=-1) == other.argmax(axis=-1)).all())


def environment() -> dict[str, str]:
    """Versions and machine, as far as they bear on results and times."""
    needed, optional = packages()
    installed = {name: version_of(name) for name in (*needed, "numpy", "av", *optional)}
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
        "hybridnet": our_version(),
        **installed,
    }
