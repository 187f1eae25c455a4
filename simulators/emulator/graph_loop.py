"""A graph program in NumPy's int64 and nothing else: slow, and independent of the emulator.

A step at a time, a population at a time, a kernel tap at a time (equations: see `hybridnet.program.fixed_graph`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation
from hybridnet.program.graph import Geometry
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX, POTENTIAL_SHIFT, ConvGeometry
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.support.arrays import Array

Int64 = npt.NDArray[np.int64]


@dataclass
class State:
    """One population at all steps of a window, (T, C, H, W) each.

    Attributes:
        c: Currents as they are kept, in 24 bits.
        v: Potentials before any reset.
        o: Spikes, 0 or 1.
        saturated: How many potentials saturated.
        saturated_currents: How many currents that are kept did.
    """

    c: Int64
    v: Int64
    o: Int64
    saturated: int = 0
    saturated_currents: int = 0


def graph_messages(values: npt.NDArray[np.floating], node: FixedInput) -> Int64:
    """An input in integers: scaled, rounded half to even, clipped to its message."""
    rounded = np.rint(values.astype(np.float64) * node.input_scale)
    return np.clip(rounded, -node.message_max, node.message_max).astype(np.int64)


def run_graph(graph: FixedGraph, messages: Mapping[str, Int64]) -> dict[str, State]:
    """All populations over one window; messages (T, C, H, W), or (C, H, W) of a still input, by input."""
    steps = graph.steps
    sent = {node.name: np.broadcast_to(messages[node.name], (steps, *node.shape)) for node in graph.inputs}
    zeros = {p.name: np.zeros((3, steps, *p.shape), np.int64) for p in graph.populations}
    states = {name: State(c, v, o) for name, (c, v, o) in zeros.items()}
    sent |= {name: state.o for name, state in states.items()}
    for t, population in product(range(steps), graph.populations):
        total = np.zeros(population.shape, np.int64)
        for g in graph.onto(population.name):
            if t >= g.delay:
                total += spread(sent[g.source][t - g.delay], g.weight.astype(np.int64), g.geometry) << g.shift
        step(population, states[population.name], t, total)
    return states


def step(population: FixedPopulation, state: State, t: int, total: Int64) -> None:
    """Fill step t of a state from what the groups add up to, (C, H, W)."""
    p = population
    decay, current_decay, r = (
        _columns(values) for values in (p.decay, p.current_decay, p.reset_amount << POTENTIAL_SHIFT)
    )
    bias = _columns(p.bias) if p.bias.ndim == 1 else p.bias
    none = np.zeros_like(total)
    c, v, o = (state.c[t - 1], state.v[t - 1], state.o[t - 1]) if t else (none, none, none)
    a = _decayed(c, current_decay) + total
    exact = a + (bias.astype(np.int64) << POTENTIAL_SHIFT)
    exact += _decayed(v, decay) - r * o if p.reset == "soft" else _decayed(v * (1 - o), decay)
    state.c[t], state.v[t] = _sat24(a), _sat24(exact)
    if p.threshold is not None:
        state.o[t] = state.v[t] > _columns(p.threshold << POTENTIAL_SHIFT)
    state.saturated += int((state.v[t] != exact).sum())
    state.saturated_currents += int(((state.c[t] != a) & (current_decay < DECAY_ONE)).sum())


def spread(x: Array, weight: Array, geometry: Geometry) -> Array:
    """What a group makes of one step, (C_out, H_out, W_out) from (C, H, W), in the weights' own type."""
    if isinstance(geometry, ConvGeometry):
        return _convolve(x, weight, geometry)
    return _transposed(x, weight, geometry)


def _convolve(x: Array, weight: Array, g: ConvGeometry) -> Array:
    (pad_y, pad_x), (stride_y, stride_x), (apart_y, apart_x) = g.padding, g.stride, g.dilation
    channels, height, width = g.output_shape
    padded = np.pad(x, ((0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    total = np.zeros(g.output_shape, weight.dtype)
    for i, j in product(*map(range, g.kernel)):
        y, x0 = i * apart_y, j * apart_x
        rows = np.s_[y : y + (height - 1) * stride_y + 1 : stride_y]
        columns = np.s_[x0 : x0 + (width - 1) * stride_x + 1 : stride_x]
        for source, target in _groups(g.input_shape[0], channels, g.groups):
            total[target] += np.einsum("oc,chw->ohw", weight[target, :, i, j], padded[source, rows, columns])
    return total


def _transposed(x: Array, weight: Array, g: TransposedGeometry) -> Array:
    (_, height, width), (pad_y, pad_x), (stride_y, stride_x) = g.input_shape, g.padding, g.stride
    channels, height_out, width_out = g.output_shape
    total = np.zeros((channels, height_out + 2 * pad_y, width_out + 2 * pad_x), weight.dtype)
    for i, j in product(*map(range, g.kernel)):
        y, x0 = i * g.dilation[0], j * g.dilation[1]
        rows = np.s_[y : y + (height - 1) * stride_y + 1 : stride_y]
        columns = np.s_[x0 : x0 + (width - 1) * stride_x + 1 : stride_x]
        for source, target in _groups(g.input_shape[0], channels, g.groups):
            total[target, rows, columns] += np.einsum("co,chw->ohw", weight[source, :, i, j], x[source])
    return total[:, pad_y : pad_y + height_out, pad_x : pad_x + width_out]


def _groups(channels_in: int, channels_out: int, groups: int) -> list[tuple[slice, slice]]:
    wide, high = channels_in // groups, channels_out // groups
    return [(np.s_[n * wide : (n + 1) * wide], np.s_[n * high : (n + 1) * high]) for n in range(groups)]


def _columns(values: npt.NDArray[np.integer]) -> Int64:
    """One number, or one per channel, beside maps (C, H, W)."""
    wide = values.astype(np.int64)
    return wide[:, None, None] if wide.ndim else wide


def _decayed(values: Int64, decay: Int64) -> Int64:
    return np.sign(values) * ((DECAY_ONE - decay) * np.abs(values) // DECAY_ONE)  # truncates toward zero


def _sat24(values: Int64) -> Int64:
    return np.minimum(np.maximum(values, -POTENTIAL_MAX), POTENTIAL_MAX)
