"""From a finished run to its record: rows are counted, then priced."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip.fit import fit, layer_demands
from hybridnet.deploy.chip.profile import Chip
from hybridnet.deploy.layout import CHECKPOINT
from hybridnet.program.bridge import ANALOG
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse
from hybridnet.program.graph import Population, Synapse
from hybridnet.program.outputs import LOGITS
from hybridnet.program.pipeline import pipeline
from hybridnet.program.spiking import AnyGraph
from hybridnet.report.counting.graph import count_graph, reach
from hybridnet.report.counting.onnx import GraphCount
from hybridnet.report.counting.program import CHIP_WORDS, FLOAT_WORDS
from hybridnet.report.pricing.alternatives import compare_spiking
from hybridnet.report.pricing.price import Prices, price_layers, price_partitions, pricing_notes
from hybridnet.report.quantities import Ops, Precision, Span, total_ops
from hybridnet.report.record.data import (
    SCHEMA,
    Carried,
    ClassScore,
    FitRow,
    LayerRow,
    ModelRow,
    Parity,
    PartitionRow,
    Prediction,
    RunRecord,
)
from hybridnet.report.record.latency import ChipTime, chip_time, summarise, timing
from hybridnet.simulators.hybrid import HybridRun
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.registry import packages
from hybridnet.support.statistics import spike_agreement, sqnr_db
from hybridnet.workflows.notes import run_notes, source_notes
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.sources import Read

STATIC = "static power"
"""Name of the row that stands for the time of the chips."""


@dataclass(frozen=True, eq=False)
class Setup:
    """A bundle on a pair of back-ends, and what its runs are priced with.

    Attributes:
        options: Names of the back-ends, and what the record holds.
        program: What the spiking back-end runs, float or fixed.
        front: The counted graph of what the host computes before the spiking half; None without.
        graph: The counted graph of the ANN half.
        settings: How the back-ends ran, by option.
        prices: What all counts are priced with.
        chip: Whose time and fit are estimated.
    """

    bundle: Bundle
    options: SimulateOptions
    program: AnyGraph
    front: GraphCount | None
    graph: GraphCount
    settings: dict[str, str]
    prices: Prices
    chip: Chip


def build_record(setup: Setup, read: Read, run: HybridRun, reference: HybridRun | None) -> RunRecord:
    """Assemble the record of one video, or of one set of arrays.

    Args:
        reference: The same views through the float spiking half; None if not compared.
    """
    options, prices = setup.options, setup.prices
    views, manifest = len(run.ann_ms), setup.bundle.manifest
    on_chip, fitted = chip_estimates(setup.bundle, setup.chip)
    counted = (
        *(() if setup.front is None else onnx_rows("front", setup.front, views)),
        *snn_rows(setup.program, run.spiking),
        static_row(on_chip, fitted, views),
        *input_rows(setup.program, run.spiking),
        *bridge_rows(setup.bundle, run),
        *onnx_rows("ann", setup.graph, views),
    )
    layers = price_layers(counted, prices)
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
        model=ModelRow(manifest.model.name, manifest.files[CHECKPOINT], str(setup.bundle.path)),
        prediction=None if manifest.labels is None else predict(run.logits, manifest.labels, options.top_k),
        partitions=partitions,
        layers=layers,
        totals=totals,
        comparison=compare_spiking(layers, views, prices.profile),
        timing=timing({row.name: row.latency_ms for row in partitions}, on_chip),
        fit=fitted,
        parity=None if reference is None else compare(run, reference),
        overflows=dict(run.spiking.overflows),
        clipped_inputs=dict(run.spiking.clipped_inputs),
        profile=prices.profile.row,
        ann_profile=None if prices.ann is None else prices.ann.row,
        notes=(
            *source_notes(read.video),
            *run_notes(setup.bundle, setup.graph, run, compared=reference is not None),
            *pricing_notes(prices, layers),
        ),
    )


def partition_rows(setup: Setup, read: Read, run: HybridRun) -> Iterator[PartitionRow]:
    """The partitions with their times, a front where there is one; what they cost is the sum of their layers'."""
    frontend = ("none", "not run") if read.video is None else ("pyav", "not counted")
    read_ms = None if read.view_ms is None else summarise(read.view_ms, read.open_ms)
    yield PartitionRow("frontend", *frontend, None, read_ms, None, None)
    if run.front_ms is not None:
        yield PartitionRow("front", "onnxruntime", "counted", None, summarise(run.front_ms), None, None)
    yield PartitionRow("snn", setup.options.snn, "counted", None, summarise(run.spiking.latency_ms), None, None)
    yield PartitionRow("bridge", "host", "counted", None, summarise(run.bridge_ms), None, None)
    yield PartitionRow("ann", setup.options.ann, "counted", None, summarise(run.ann_ms), None, None)


def snn_rows(graph: AnyGraph, result: SpikingResult) -> Iterator[LayerRow]:
    """One row per population with all groups that add up at it; `analog` if any of them brings messages."""
    counted, inputs = count_graph(graph, result.inputs, result.spikes), {node.name for node in graph.inputs}
    width: Precision = "int8" if isinstance(graph, FixedGraph) else "fp32"
    synapses: tuple[Synapse | FixedSynapse, ...] = graph.synapses
    populations: tuple[Population | FixedPopulation, ...] = graph.populations
    for p in populations:
        groups = [(g, ops) for g, ops in zip(synapses, counted.groups, strict=True) if g.target == p.name]
        ops = total_ops((counted.populations[p.name], *(ops for _, ops in groups)))
        carried: Carried = "analog" if any(g.source in inputs for g, _ in groups) else "spike"
        joined = sum(int(reach(g.geometry).sum()) * g.geometry.input_shape[0] for g, _ in groups)
        kind = "integrator" if p.threshold is None else "neurons"
        yield LayerRow("snn", p.name, kind, carried, p.shape, width, ops, ops.spikes / ops.neuron_updates, joined, None)


def chip_estimates(bundle: Bundle, chip: Chip) -> tuple[ChipTime, FitRow]:
    """How long a view takes on the chip, and how many of them, by its profile."""
    program, step = bundle.fixed, chip.step_us
    machine = pipeline(program)
    us = Span(step.low, step.reference, step.high)
    return chip_time(program.steps * machine.period, machine.depth, us, step.source), fit(
        layer_demands(program), chip
    ).row


def static_row(on_chip: ChipTime, fitted: FitRow, views: int) -> LayerRow:
    """The chips over the modelled time, which a profile with static power prices."""
    time_us = round(views * fitted.chips * on_chip.view_ms.reference * 1e3)
    return LayerRow("snn", STATIC, fitted.chip, "time", (fitted.chips,), None, Ops(chip_us=time_us), None, None, None)


def input_rows(graph: AnyGraph, result: SpikingResult) -> Iterator[LayerRow]:
    """One row per input: a message into the spiking half for every value that is not 0; a still one at each step."""
    message = (CHIP_WORDS if isinstance(graph, FixedGraph) else FLOAT_WORDS).message
    for node in graph.inputs:
        sent = np.count_nonzero(result.inputs[node.name]) * (graph.steps if node.still else 1)
        ops = Ops(bytes=int(sent) * message)
        yield LayerRow("bridge", f"{node.name} → chip", "message", "analog", node.shape, None, ops, None, None, None)


def bridge_rows(bundle: Bundle, run: HybridRun) -> Iterable[LayerRow]:
    """One row per tensor that crossed."""
    for tensor in bundle.bridge:
        ops = Ops(bytes=run.crossing.bytes[tensor.name])
        carried: Carried = "analog" if tensor.kind in ANALOG else "spike"
        yield LayerRow("bridge", tensor.name, tensor.kind, carried, tensor.shape, None, ops, None, None, None)


def onnx_rows(partition: str, graph: GraphCount, views: int) -> Iterator[LayerRow]:
    """One row per counted node of an ONNX graph: the front's, or the ANN half's."""
    for node in graph.nodes:
        width, ops = node.precision, node.ops(views)
        yield LayerRow(partition, node.name, node.kind, "analog", node.shape, width, ops, None, None, None)


def predict(logits: npt.NDArray[np.float32], labels: tuple[str, ...], top_k: int) -> Prediction:
    """Average logits over views (the paper's protocol) and rank the classes."""
    mean = logits.astype(np.float64).mean(axis=0)
    score = np.exp(mean - mean.max())
    score /= score.sum()
    best = np.argsort(-mean, kind="stable")[:top_k]
    return Prediction(
        tuple(ClassScore(int(i), labels[i], float(score[i])) for i in best), tuple(float(value) for value in mean)
    )


def compare(run: HybridRun, reference: HybridRun) -> Parity:
    """The run against the float one."""
    return Parity(
        reference="torch float32, same views",
        top1_agrees=_same_best_class(run, reference) if LOGITS in run.outputs else None,
        output_sqnr_db={name: sqnr_db(values, reference.outputs[name]) for name, values in run.outputs.items()},
        sqnr_db={name: sqnr_db(u, reference.crossing.values[name]) for name, u in run.crossing.values.items()},
        spike_agreement={
            name: spike_agreement(o, reference.spiking.spikes[name]) for name, o in run.spiking.spikes.items()
        },
    )


def _same_best_class(run: HybridRun, reference: HybridRun) -> bool:
    return bool(run.logits.mean(axis=0).argmax() == reference.logits.mean(axis=0).argmax())


def environment() -> dict[str, str]:
    """Versions and machine, as far as they bear on results and times."""
    needed, optional = packages()
    installed = {name: _version(name) for name in ("hybridnet", *needed, "numpy", "av", *optional)}
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
        **installed,
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
