"""Counting a graph program's operations from the events of a run, per synapse group and per population. Exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse
from hybridnet.program.graph import Geometry, GraphProgram, Population, Synapse
from hybridnet.program.layers import DECAY_ONE, ConvGeometry
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.report.counting.program import CHIP_WORDS, FLOAT_WORDS, WordSizes, events, fan_out
from hybridnet.report.quantities import Ops, total_ops
from hybridnet.support.arrays import Array

AnyGraph = GraphProgram | FixedGraph


@dataclass(frozen=True)
class GraphOps:
    """What a run took.

    Attributes:
        groups: For each synapse group, in the program's order: synaptic operations, and the bytes that they move.
        populations: For each population: updates, spikes, and the bytes of states.
    """

    groups: tuple[Ops, ...]
    populations: dict[str, Ops]

    @property
    def total(self) -> Ops:
        """All together."""
        return total_ops((*self.groups, *self.populations.values()))


def count_graph(graph: AnyGraph, inputs: Mapping[str, Array], spikes: Mapping[str, npt.NDArray[np.bool_]]) -> GraphOps:
    """Operations of all views and steps.

    Args:
        graph: Float or fixed point.
        inputs: What was fed, by input, (N, T, C, H, W), or (N, C, H, W) of a still one.
        spikes: What was emitted, by population, (N, T, C, H, W).
    """
    words = CHIP_WORDS if isinstance(graph, FixedGraph) else FLOAT_WORDS
    still = {node.name for node in graph.inputs if node.still}
    sent = {n: np.repeat(v[:, None], graph.steps, 1) if n in still else v for n, v in {**inputs, **spikes}.items()}
    groups: tuple[Synapse | FixedSynapse, ...] = graph.synapses
    populations: tuple[Population | FixedPopulation, ...] = graph.populations
    return GraphOps(
        tuple(count_group(g, sent[g.source], words, analog=g.source in inputs) for g in groups),
        {p.name: count_population(p, spikes[p.name], words) for p in populations},
    )


def count_group(g: Synapse | FixedSynapse, sent: Array, words: WordSizes, *, analog: bool) -> Ops:
    """Operations of one group; what the last d steps of a window send never arrives.

    Args:
        g: The group.
        sent: By its source, (N, T, C, H, W).
        words: Bytes of numbers.
        analog: Whether these are messages, else spikes.
    """
    arriving, fan = sent[:, : max(0, sent.shape[1] - g.delay)], reach(g.geometry)
    arrived = events(arriving)
    operations = int((arrived * fan).sum())
    return Ops(
        macs=operations if analog else 0,
        acs=0 if analog else operations,
        dense_macs=int(fan.sum()) * int(np.prod(arriving.shape[:3])),
        weight_bytes=operations * words.weight,
        activation_bytes=int(arrived.sum()) * words.message if analog else -(-arriving.size // 8),
    )


def count_population(p: Population | FixedPopulation, spikes: Array, words: WordSizes) -> Ops:
    """Updates of one population; a kept current is a second state, with a leak of its own."""
    if isinstance(p, FixedPopulation):
        kept, kept_current = 1 - p.decay / DECAY_ONE, 1 - p.current_decay / DECAY_ONE
    else:
        kept, kept_current = p.leak, p.current_leak
    per_channel = spikes.size // p.shape[0]
    multiplies = sum(int(_channels(p, (leak > 0) & (leak < 1)).sum()) for leak in (kept, kept_current))
    states = p.shape[0] + int(_channels(p, kept_current > 0).sum())
    return Ops(
        neuron_updates=spikes.size,
        leak_multiplies=multiplies * per_channel,
        spikes=int(events(spikes).sum()),
        state_bytes=2 * states * per_channel * words.potential,
    )


def reach(geometry: Geometry) -> npt.NDArray[np.int64]:
    """Synapses that leave one input channel at each position, (H, W): all taps inside the border, zero weights too."""
    return fan_out(geometry) if isinstance(geometry, ConvGeometry) else _transposed_reach(geometry)


def _transposed_reach(g: TransposedGeometry) -> npt.NDArray[np.int64]:
    axes = zip(g.input_shape[1:], g.output_shape[1:], g.kernel, g.stride, g.padding, g.dilation, strict=True)
    vertical, horizontal = (_transposed_taps(*axis) for axis in axes)
    return np.outer(vertical, horizontal) * (g.out_channels // g.groups)


def _transposed_taps(
    size_in: int, size_out: int, kernel: int, stride: int, padding: int, dilation: int
) -> npt.NDArray[np.int64]:
    """How many taps of each input position along one axis fall on an output, (size_in,)."""
    reached = np.arange(size_in)[:, None] * stride - padding + np.arange(kernel)[None, :] * dilation
    return ((reached >= 0) & (reached < size_out)).sum(1)


def _channels(p: Population | FixedPopulation, flags: Array) -> Array:
    return np.broadcast_to(flags, p.shape[:1])
