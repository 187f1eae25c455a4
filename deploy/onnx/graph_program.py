"""A fixed-point graph program as ONNX: all steps of a window, or one step with its state as inputs and outputs.

The batch dimension N is free; each operator is exact (see `hybridnet.deploy.onnx.graph_step`). A window:

    input    <input>                      (N, T, C, H, W) float32, in model units; (N, C, H, W) of a still one
    outputs  <input>.messages             (N, T, C, H, W) or (N, C, H, W), int16
             <input>.clipped              (N,) int64, inputs that did not fit their message
             <population>.spikes          (N, T, C, H, W) bool
             <population>.potentials      (N, T, C, H, W) int32, v of every step; .currents likewise c
             <population>.readout         (N, C, H, W) int32, v[T]
             <population>.overflows       (N,) int64, potentials that saturated; .current_overflows likewise

One step has the same names without T. What the next step needs comes out as <name>.after and goes in as <name>.before,
zeros at the start of a window: <population>.potential, int32; <population>.current, int32, where currents are kept; and
<node>.past, (N, D, C, H, W), what a node with delays of up to D sent, the latest first, int16 of an input, else bool.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto

from hybridnet.deploy.onnx.graph import OnnxGraph
from hybridnet.deploy.onnx.graph_step import PopulationNames, add_messages, add_spikes, add_step
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation

SCHEMA = "hybridnet.graph/1"

Form = Literal["window", "step"]


def write_onnx_graph(path: Path, program: FixedGraph, form: Form = "window") -> None:
    """Write the ONNX graph of a program, checked and with inferred shapes.

    Raises:
        RangeError: If a group's sums are not exact.
    """
    graph = OnnxGraph()
    (_add_window if form == "window" else _add_one_step)(graph, program)
    save(path, graph, {"hybridnet.form": form, "hybridnet.arithmetic": "fixed point"})


def save(path: Path, graph: OnnxGraph, metadata: dict[str, str]) -> None:
    """Write a graph program's ONNX graph, checked and with inferred shapes."""
    named = {"hybridnet.schema": SCHEMA, **metadata}
    model = onnx.shape_inference.infer_shapes(graph.model(named), check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def longest_delays(program: FixedGraph) -> dict[str, int]:
    """D of each node that has delayed groups."""
    delays = {g.source: max(one.delay for one in program.behind(g.source)) for g in program.synapses}
    return {node: delay for node, delay in delays.items() if delay}


def _add_window(graph: OnnxGraph, program: FixedGraph) -> None:
    steps = range(program.steps)
    sent: dict[str, list[str]] = {}
    for node in program.inputs:
        shape = node.shape if node.still else (program.steps, *node.shape)
        graph.declare_input(node.name, shape)
        messages, unclipped = add_messages(graph, node, node.name)
        _declare_messages(graph, node.name, messages, unclipped, shape)
        sent[node.name] = [messages] * program.steps if node.still else unstacked(graph, messages, program.steps)
    history: list[dict[str, PopulationNames]] = []

    def sent_before(name: str, delay: int) -> str | None:
        t = len(history) - delay
        if t < 0:
            return None
        return sent[name][t] if name in sent else history[t][name].o

    for t in steps:
        history.append(add_step(graph, program, f".{t}", sent_before, history[-1] if t else {}))
    for p in program.populations:
        states = [now[p.name] for now in history]
        everything = (program.steps, *p.shape)
        graph.declare_output(stacked(graph, [s.o for s in states], f"{p.name}.spikes"), TensorProto.BOOL, everything)
        for kind, tensors in (("potentials", [s.v for s in states]), ("currents", [s.c for s in states])):
            graph.declare_output(stacked(graph, tensors, f"{p.name}.{kind}"), TensorProto.INT32, everything)
        readout = renamed(graph, states[-1].v, f"{p.name}.readout", TensorProto.INT32)
        graph.declare_output(readout, TensorProto.INT32, p.shape)
        for kind, flags in (
            ("overflows", [s.unclipped for s in states]),
            ("current_overflows", [s.unclipped_current for s in states]),
        ):
            unclipped = stacked(graph, flags) if flags[0] else ""
            _count(graph, program, f"{p.name}.{kind}", unclipped, everything)


def _add_one_step(graph: OnnxGraph, program: FixedGraph) -> None:
    now: dict[str, str] = {}
    past: dict[str, list[str]] = {}
    delays = longest_delays(program)
    inputs = {node.name for node in program.inputs}
    shapes = {node.name: node.shape for node in program.inputs} | {p.name: p.shape for p in program.populations}
    for node in program.inputs:
        graph.declare_input(node.name, node.shape)
        now[node.name], unclipped = add_messages(graph, node, node.name)
        _declare_messages(graph, node.name, now[node.name], unclipped, node.shape)
    for name, delay in delays.items():
        dtype = TensorProto.INT16 if name in inputs else TensorProto.BOOL
        graph.declare_input(f"{name}.past.before", (delay, *shapes[name]), dtype)
        past[name] = unstacked(graph, f"{name}.past.before", delay)
    before = {p.name: _declare_before(graph, p) for p in program.populations}

    def sent_before(name: str, delay: int) -> str | None:
        return past[name][delay - 1] if delay else now[name]

    states = add_step(graph, program, ".after", sent_before, before)
    for p in program.populations:
        state = states[p.name]
        graph.declare_output(renamed(graph, state.o, f"{p.name}.spikes", TensorProto.BOOL), TensorProto.BOOL, p.shape)
        for kind, tensor in (("potential", state.v), ("current", state.c)):
            if kind == "potential" or p.keeps_current:
                graph.declare_output(tensor, TensorProto.INT32, p.shape)
        _count(graph, program, f"{p.name}.overflows", state.unclipped, p.shape)
        _count(graph, program, f"{p.name}.current_overflows", state.unclipped_current, p.shape)
    for name, delay in delays.items():
        latest = states[name].o if name in states else f"{name}.messages"
        kept = stacked(graph, [latest, *past[name][:-1]], f"{name}.past.after")
        dtype = TensorProto.INT16 if name in inputs else TensorProto.BOOL
        graph.declare_output(kept, dtype, (delay, *shapes[name]))


def _declare_messages(graph: OnnxGraph, name: str, messages: str, unclipped: str, shape: tuple[int, ...]) -> None:
    kept = renamed(graph, messages, f"{name}.messages", TensorProto.INT16)
    graph.declare_output(kept, TensorProto.INT16, shape)
    graph.declare_output(graph.count_false(f"{name}.clipped", unclipped, shape), TensorProto.INT64, ())


def _declare_before(graph: OnnxGraph, p: FixedPopulation) -> PopulationNames:
    """The state that a step starts from; whether a neuron fired is seen from its potential."""
    for kind in ("current", "potential") if p.keeps_current else ("potential",):
        graph.declare_input(f"{p.name}.{kind}.before", p.shape, TensorProto.INT32)
    v = f"{p.name}.potential.before"
    return PopulationNames(f"{p.name}.current.before", v, add_spikes(graph, p, v), "", "")


def _count(graph: OnnxGraph, program: FixedGraph, name: str, unclipped: str, shape: tuple[int, ...]) -> None:
    """How many were clipped, as an output; none without flags."""
    views = program.inputs[0].name
    counted = graph.count_false(name, unclipped, shape) if unclipped else graph.zeros(name, views, (), np.int64)
    graph.declare_output(counted, TensorProto.INT64, ())


def stacked(graph: OnnxGraph, tensors: list[str], name: str = "") -> str:
    """(N, …) of each step as (N, T, …)."""
    axis = graph.constant(np.array([1]), "axis.1")
    return graph("Concat", name, *(graph("Unsqueeze", "", tensor, axis) for tensor in tensors), axis=1)


def unstacked(graph: OnnxGraph, x: str, steps: int) -> list[str]:
    """(N, T, …) as T times (N, …)."""
    return [graph("Gather", "", x, graph.constant(np.int64(t)), axis=1) for t in range(steps)]


def renamed(graph: OnnxGraph, x: str, name: str, dtype: int) -> str:
    """A tensor of this type under another name."""
    return x if x == name else graph.cast(name, x, dtype)
