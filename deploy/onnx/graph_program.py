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

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from hybridnet.deploy.onnx.graph import OnnxGraph
from hybridnet.deploy.onnx.graph_step import PopulationNames, add_messages, add_step
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation
from hybridnet.program.graph import Node
from hybridnet.program.layers import POTENTIAL_SHIFT

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
        messages, clipped = add_messages(graph, node, node.name)
        graph.declare_output(
            renamed(graph, messages, f"{node.name}.messages", TensorProto.INT16), TensorProto.INT16, shape
        )
        if node.still:
            clipped = stacked(graph, [clipped])
        graph.declare_output(graph.count(f"{node.name}.clipped", clipped), TensorProto.INT64, ())
        sent[node.name] = [messages] * program.steps if node.still else unstacked(graph, messages, program.steps)
    history: list[dict[str, PopulationNames]] = []

    def sent_before(name: str, delay: int) -> str | None:
        t = len(history) - delay
        if t < 0:
            return None
        return sent[name][t] if name in sent else history[t][name].o

    for t in steps:
        history.append(add_step(graph, program, f".{t}", sent_before, history[-1] if t else {}, _zeros(graph, program)))
    for p in program.populations:
        states = [now[p.name] for now in history]
        everything = (program.steps, *p.shape)
        graph.declare_output(stacked(graph, [s.o for s in states], f"{p.name}.spikes"), TensorProto.BOOL, everything)
        for kind, tensors in (("potentials", [s.v for s in states]), ("currents", [s.c for s in states])):
            steps_of = renamed(graph, stacked(graph, tensors), f"{p.name}.{kind}", TensorProto.INT32)
            graph.declare_output(steps_of, TensorProto.INT32, everything)
        readout = renamed(graph, states[-1].v, f"{p.name}.readout", TensorProto.INT32)
        graph.declare_output(readout, TensorProto.INT32, p.shape)
        _count(graph, p, [s.saturated for s in states], [s.saturated_current for s in states])


def _add_one_step(graph: OnnxGraph, program: FixedGraph) -> None:
    now: dict[str, str] = {}
    past: dict[str, list[str]] = {}
    delays = longest_delays(program)
    inputs = {node.name for node in program.inputs}
    shapes = {node.name: node.shape for node in program.inputs} | {p.name: p.shape for p in program.populations}
    for node in program.inputs:
        graph.declare_input(node.name, node.shape)
        now[node.name], clipped = add_messages(graph, node, node.name)
        messages = renamed(graph, now[node.name], f"{node.name}.messages", TensorProto.INT16)
        graph.declare_output(messages, TensorProto.INT16, node.shape)
        graph.declare_output(graph.count(f"{node.name}.clipped", stacked(graph, [clipped])), TensorProto.INT64, ())
    for name, delay in delays.items():
        dtype = TensorProto.INT16 if name in inputs else TensorProto.BOOL
        graph.declare_input(f"{name}.past.before", (delay, *shapes[name]), dtype)
        past[name] = unstacked(graph, f"{name}.past.before", delay)
    before = {p.name: _declare_before(graph, p) for p in program.populations}

    def sent_before(name: str, delay: int) -> str | None:
        return past[name][delay - 1] if delay else now[name]

    states = add_step(graph, program, ".now", sent_before, before, _zeros(graph, program))
    for p in program.populations:
        state = states[p.name]
        graph.declare_output(renamed(graph, state.o, f"{p.name}.spikes", TensorProto.BOOL), TensorProto.BOOL, p.shape)
        for kind, tensor in (("potential", state.v), ("current", state.c)):
            if kind == "potential" or p.keeps_current:
                name = f"{p.name}.{kind}.after"
                graph.declare_output(renamed(graph, tensor, name, TensorProto.INT32), TensorProto.INT32, p.shape)
        _count(graph, p, [state.saturated], [state.saturated_current])
    for name, delay in delays.items():
        latest = states[name].o if name in states else f"{name}.messages"
        kept = stacked(graph, [latest, *past[name][:-1]], f"{name}.past.after")
        dtype = TensorProto.INT16 if name in inputs else TensorProto.BOOL
        graph.declare_output(kept, dtype, (delay, *shapes[name]))


def _declare_before(graph: OnnxGraph, p: FixedPopulation) -> PopulationNames:
    """The state that a step starts from; whether a neuron fired is seen from its potential."""
    states = []
    for kind in ("current", "potential") if p.keeps_current else ("potential",):
        graph.declare_input(f"{p.name}.{kind}.before", p.shape, TensorProto.INT32)
        states.append(graph.cast("", f"{p.name}.{kind}.before", TensorProto.INT64))
    v = states[-1]
    never = np.array(2**31, np.int64)
    threshold = never if p.threshold is None else p.threshold.astype(np.int64) << POTENTIAL_SHIFT
    o = graph("Greater", "", v, graph.constant(threshold.reshape(1, -1, 1, 1), f"{p.name}.threshold.before"))
    return PopulationNames(states[0], v, o, "", "")


def _count(graph: OnnxGraph, p: FixedPopulation, potentials: list[str], currents: list[str]) -> None:
    for kind, flags in (("overflows", potentials), ("current_overflows", currents)):
        graph.declare_output(graph.count(f"{p.name}.{kind}", stacked(graph, flags)), TensorProto.INT64, ())


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


def _zeros(graph: OnnxGraph, program: FixedGraph) -> Callable[[FixedPopulation], str]:
    return lambda p: zeros_like_views(graph, program.inputs[0].name, p, np.int64)


def zeros_like_views(graph: OnnxGraph, views: str, p: Node, dtype: type) -> str:
    """Zeros (N, C, H, W) of a population, with as many views as a tensor has."""
    count = graph("Shape", "", views, start=0, end=1)
    shape = graph("Concat", "", count, graph.constant(np.array(p.shape), f"{p.name}.shape"), axis=0)
    return graph("ConstantOfShape", "", shape, value=numpy_helper.from_array(np.zeros(1, dtype)))
