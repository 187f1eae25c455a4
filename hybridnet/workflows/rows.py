"""What a finished run counted, as rows: layers, what crosses the bridge, ONNX nodes, time on the chip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip.fit import fit, layer_demands
from hybridnet.deploy.chip.profile import Chip
from hybridnet.program.bridge import ANALOG
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse
from hybridnet.program.graph import Population, Synapse
from hybridnet.program.pipeline import pipeline
from hybridnet.program.spiking import AnyGraph
from hybridnet.report.counting.graph import count_graph, reach
from hybridnet.report.counting.onnx import GraphCount
from hybridnet.report.counting.program import CHIP_WORDS, FLOAT_WORDS
from hybridnet.report.quantities import Ops, Precision, Span, total_ops
from hybridnet.report.record.data import Carried, FitRow, LayerRow
from hybridnet.report.record.latency import ChipTime, chip_time
from hybridnet.simulators.hybrid import HybridRun
from hybridnet.simulators.interface import SpikingResult

STATIC = "static power"
"""Name of the row that stands for the time of the chips."""


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
    on_chip = chip_time(program.steps * machine.period, machine.depth, us, step.source)
    return on_chip, fit(layer_demands(program), chip).row


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
