"""Float graph programs that fixed ones could have been rounded from, and their equations in plain NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.simulators.emulator.graph_loop import spread
from hybridnet.support.arrays import Array


def in_float(graph: FixedGraph) -> GraphProgram:
    """The same numbers, in units of a potential of about one."""
    unit = 2.0**17
    return GraphProgram(
        tuple(Input(node.name, node.shape, node.still) for node in graph.inputs),
        tuple(
            Population(
                p.name,
                p.shape,
                leak=np.asarray(1 - p.decay / 4096),
                current_leak=np.asarray(1 - p.current_decay / 4096),
                threshold=None if p.threshold is None else np.asarray(p.threshold * 64 / unit),
                reset=p.reset,
                reset_amount=np.asarray(p.reset_amount * 64 / unit),
                bias=p.bias * 64 / unit,
            )
            for p in graph.populations
        ),
        tuple(
            Synapse(g.source, g.target, g.geometry, g.weight.astype(np.float64) * 2.0**g.shift / unit, g.delay)
            for g in graph.synapses
        ),
        graph.steps,
    )


State = tuple[Array, Array, Array]


def run_naive(program: GraphProgram, window: Mapping[str, Array]) -> dict[str, State]:
    """c, u and o of every population and step, (T, C, H, W) each, of one window in float64."""
    steps = program.steps
    sent = {node.name: np.broadcast_to(window[node.name], (steps, *node.shape)) for node in program.inputs}
    states: dict[str, State] = {}
    for p in program.populations:
        states[p.name] = np.zeros((steps, *p.shape)), np.zeros((steps, *p.shape)), np.zeros((steps, *p.shape))
    sent |= {name: state[2] for name, state in states.items()}
    for t in range(steps):
        for p in program.populations:
            c, u, o = states[p.name]
            for g in program.onto(p.name):
                if t >= g.delay:
                    c[t] += spread(sent[g.source][t - g.delay], g.weight, g.geometry)
            if t:
                c[t] += _column(p.current_leak) * c[t - 1]
            u[t] = c[t] + _column(p.bias)
            if t and p.reset == "soft":
                u[t] += _column(p.leak) * u[t - 1] - _column(p.reset_amount) * o[t - 1]
            elif t:
                u[t] += _column(p.leak) * u[t - 1] * (1 - o[t - 1])
            if p.threshold is not None:
                o[t] = u[t] > _column(p.threshold)
    return states


def _column(values: Array) -> Array:
    return values[:, None, None] if values.ndim == 1 else values
