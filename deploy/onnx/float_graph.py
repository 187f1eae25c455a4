"""A float graph program as ONNX: all steps of a window, in float32 and in the order in which torch adds.

    input    <input>                      (N, T, C, H, W) float32, in model units; (N, C, H, W) of a still one
    outputs  <population>.spikes          (N, T, C, H, W) bool
             <population>.potentials      (N, T, C, H, W) float32, u of every step; .currents likewise c
             <population>.readout         (N, C, H, W) float32, u[T]

Equations: `hybridnet.program.graph`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from hybridnet.deploy.onnx.graph import OnnxGraph
from hybridnet.deploy.onnx.graph_program import renamed, save, stacked, unstacked
from hybridnet.program.graph import GraphProgram, Population, Synapse, label
from hybridnet.program.layers import FloatArray


class _State(NamedTuple):
    """One step of a population, by the names of tensors (N, C, H, W): current, potential, spikes."""

    c: str
    u: str
    o: str


def write_float_graph(path: Path, program: GraphProgram) -> None:
    """Write the ONNX graph of a float program, checked and with inferred shapes."""
    graph = OnnxGraph()
    sent: dict[str, list[str]] = {}
    for node in program.inputs:
        graph.declare_input(node.name, node.shape if node.still else (program.steps, *node.shape))
        sent[node.name] = [node.name] * program.steps if node.still else unstacked(graph, node.name, program.steps)
    history: list[dict[str, _State]] = []
    for t in range(program.steps):
        history.append({})
        for p in program.populations:
            total = _arriving(graph, program, p, sent, t)
            history[t][p.name] = now = _step(graph, p, total, history[t - 1][p.name] if t else None, f".{t}")
            sent.setdefault(p.name, []).append(now.o)
    for p in program.populations:
        states, everything = [step[p.name] for step in history], (program.steps, *p.shape)
        graph.declare_output(stacked(graph, [s.o for s in states], f"{p.name}.spikes"), TensorProto.BOOL, everything)
        for kind, tensors in (("potentials", [s.u for s in states]), ("currents", [s.c for s in states])):
            graph.declare_output(stacked(graph, tensors, f"{p.name}.{kind}"), TensorProto.FLOAT, everything)
        readout = renamed(graph, states[-1].u, f"{p.name}.readout", TensorProto.FLOAT)
        graph.declare_output(readout, TensorProto.FLOAT, p.shape)
    save(path, graph, {"hybridnet.arithmetic": "float32"})


def _arriving(graph: OnnxGraph, program: GraphProgram, p: Population, sent: dict[str, list[str]], t: int) -> str:
    """What the groups of a population add up to at step t."""
    total = ""
    for number, g in enumerate(program.onto(p.name)):
        if t >= g.delay:
            one = _group(graph, program, g, f"{label(g)}.{number}.{t}", sent[g.source][t - g.delay])
            total = graph("Add", "", total, one) if total else one
    return total or graph.zeros("", program.inputs[0].name, p.shape, np.float32)


def _group(graph: OnnxGraph, program: GraphProgram, g: Synapse, name: str, x: str) -> str:
    shared = [one.weight is g.weight for one in program.synapses].index(True)
    weight = graph.constant(g.weight.astype(np.float32), f"weight.{shared}")
    return graph.synapse(name, graph.cast("", x, TensorProto.FLOAT), weight, g.geometry)


def _step(graph: OnnxGraph, p: Population, total: str, before: _State | None, suffix: str) -> _State:
    def column(values: FloatArray, kind: str) -> str:
        wide = values.reshape(-1, 1, 1) if values.ndim < 3 else values
        return graph.constant(wide[None].astype(np.float32), f"{p.name}.{kind}")

    zero, c = graph.constant(np.float32(0)), total
    if before is not None and p.current_leak.any():
        c = graph("Add", "", graph("Mul", "", before.c, column(p.current_leak, "current_leak")), total)
    u = graph("Add", "", c, column(p.bias, "bias"))
    if before is not None:
        kept = graph("Where", "", before.o, zero, before.u) if p.reset == "hard" else before.u
        u = graph("Add", "", u, graph("Mul", "", kept, column(p.leak, "leak")))
        if p.reset == "soft":
            u = graph("Sub", "", u, graph("Where", "", before.o, column(p.reset_amount, "reset_amount"), zero))
    threshold = np.array(np.inf) if p.threshold is None else p.threshold
    return _State(c, u, graph("Greater", f"{p.name}.o{suffix}", u, column(threshold, "threshold")))
