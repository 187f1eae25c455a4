"""Counts of graph programs, tap by tap in plain Python for any graph."""

from itertools import product

import numpy as np
from helpers.float_graphs import in_float
from helpers.graph_equality import patient
from helpers.random_graphs import graphs, random_inputs
from hypothesis import given, settings

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import Geometry
from hybridnet.program.layers import ConvGeometry
from hybridnet.report.counting.graph import count_graph, reach
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.support.arrays import Array


@settings(patient, max_examples=20)
@given(graph=graphs(largest=2))
def test_any_graph(graph: FixedGraph) -> None:
    result = GraphEmulator(graph).run(random_inputs(graph, 1, 0))
    found = count_graph(graph, result.inputs, result.spikes)
    for g, ops in zip(graph.synapses, found.groups, strict=True):
        node = next((node for node in graph.inputs if node.name == g.source), None)
        sent = result.spikes[g.source][0] if node is None else result.inputs[g.source][0]
        frames = [sent] * graph.steps if node is not None and node.still else [*sent]
        arriving = frames[: max(0, graph.steps - g.delay)]
        fan = slow_reach(g.geometry)
        events = sum(int(((frame != 0) * fan).sum()) for frame in arriving)
        assert (ops.macs, ops.acs) == ((0, events) if node is None else (events, 0))
        assert ops.dense_macs == len(arriving) * int(fan.sum()) * g.geometry.input_shape[0]
        assert ops.weight_bytes == events
    for p in graph.populations:
        ops, steps, (channels, *size) = found.populations[p.name], graph.steps, p.shape
        keeps = sum(bool(kept) for kept in np.broadcast_to(p.current_decay < 4096, channels))
        assert ops.neuron_updates == steps * int(np.prod(p.shape))
        assert ops.state_bytes == 2 * 3 * steps * int(np.prod(size)) * (channels + keeps)
        assert ops.spikes == result.spikes[p.name].sum()
        leaks = [0 < d < 4096 for values in (p.decay, p.current_decay) for d in np.broadcast_to(values, channels)]
        assert ops.leak_multiplies == steps * int(np.prod(size)) * sum(leaks)
    in_words_of_float = count_graph(in_float(graph), result.inputs, result.spikes).total
    assert in_words_of_float.weight_bytes == 4 * found.total.weight_bytes
    assert in_words_of_float.acs == found.total.acs


@settings(patient, max_examples=60)
@given(graph=graphs(largest=2))
def test_synapses_that_leave_a_position(graph: FixedGraph) -> None:
    for g in graph.synapses:
        np.testing.assert_array_equal(reach(g.geometry), slow_reach(g.geometry))


def slow_reach(g: Geometry) -> Array:
    """Tap by tap."""
    found = np.zeros(g.input_shape[1:], np.int64)
    (height, width), (high, wide) = g.input_shape[1:], g.output_shape[1:]
    small, large = ((high, wide), (height, width)) if isinstance(g, ConvGeometry) else ((height, width), (high, wide))
    for y, x, i, j in product(range(small[0]), range(small[1]), range(g.kernel[0]), range(g.kernel[1])):
        far = y * g.stride[0] - g.padding[0] + i * g.dilation[0], x * g.stride[1] - g.padding[1] + j * g.dilation[1]
        if 0 <= far[0] < large[0] and 0 <= far[1] < large[1]:
            found[far if isinstance(g, ConvGeometry) else (y, x)] += g.out_channels // g.groups
    return found
