"""What a finished run counted, as rows: layers, what crosses the bridge, ONNX nodes, time on the chip."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from hybridnet.deploy.chip.traffic import Sent
from hybridnet.program.bridge import ANALOG, BridgeTensor
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse
from hybridnet.program.graph import Population, Synapse
from hybridnet.program.spiking import AnyGraph
from hybridnet.report.counting.graph import count_graph, reach
from hybridnet.report.counting.onnx import GraphCount
from hybridnet.report.counting.program import CHIP_WORDS, FLOAT_WORDS
from hybridnet.report.quantities import Ops, Precision, total_ops
from hybridnet.report.record.chip import ChipTime
from hybridnet.report.record.data import Carried, FitRow, LayerRow
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


def input_rows(graph: AnyGraph, result: SpikingResult) -> Iterator[LayerRow]:
    """One row per input: a message into the spiking half for every value that is not 0; a still one at each step."""
    message = (CHIP_WORDS if isinstance(graph, FixedGraph) else FLOAT_WORDS).message
    for node in graph.inputs:
        sent = np.count_nonzero(result.inputs[node.name]) * (graph.steps if node.still else 1)
        ops = Ops(bytes=int(sent) * message)
        yield LayerRow("bridge", f"{node.name} → chip", "message", "analog", node.shape, None, ops, None, None, None)


def bridge_rows(tensors: Iterable[BridgeTensor], sizes: Mapping[str, int]) -> Iterator[LayerRow]:
    """One row per tensor that crosses, with its bytes by name."""
    for tensor in tensors:
        ops = Ops(bytes=sizes[tensor.name])
        carried: Carried = "analog" if tensor.kind in ANALOG else "spike"
        yield LayerRow("bridge", tensor.name, tensor.kind, carried, tensor.shape, None, ops, None, None, None)


def onnx_rows(partition: str, graph: GraphCount, views: int) -> Iterator[LayerRow]:
    """One row per counted node of an ONNX graph: the front's, or the ANN half's."""
    for node in graph.nodes:
        width, ops = node.precision, node.ops(views)
        yield LayerRow(partition, node.name, node.kind, "analog", node.shape, width, ops, None, None, None)


def static_row(on_chip: ChipTime, fitted: FitRow) -> LayerRow:
    """The chips over the modelled time, which a profile with static power prices."""
    time_us = round(fitted.chips * sum(on_chip.views_ms) * 1e3)
    return LayerRow("snn", STATIC, fitted.chip, "time", (fitted.chips,), None, Ops(chip_us=time_us), None, None, None)


def with_messages(rows: Iterable[LayerRow], sent: Mapping[str, Sent]) -> Iterator[LayerRow]:
    """Rows of layers, or of inputs, with the messages that each of them sends."""
    for row, messages in zip(rows, sent.values(), strict=True):
        east_west, north_south = messages.hops
        ops = dataclasses.replace(row.ops, messages=messages.total, hops_ew=east_west, hops_ns=north_south)
        yield dataclasses.replace(row, ops=ops)
