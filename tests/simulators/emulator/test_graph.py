"""The emulator of graph programs: every bit of c, v and o as the naive loop has it, of any graph."""

import numpy as np
import pytest
from helpers.random_graphs import graphs, random_inputs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.emulator.graph_loop import graph_messages, run_graph
from hybridnet.simulators.interface import SpikingResult

any_graph = given(graph=graphs(), views=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def assert_as_naive(graph: FixedGraph, result: SpikingResult, inputs: dict[str, np.ndarray], views: int) -> None:
    saturated = dict.fromkeys(result.overflows, 0)
    saturated_currents = dict.fromkeys(result.overflows, 0)
    for view in range(views):
        messages = {node.name: graph_messages(inputs[node.name][view], node) for node in graph.inputs}
        for node in graph.inputs:
            np.testing.assert_array_equal(result.inputs[node.name][view], messages[node.name], node.name)
        for name, state in run_graph(graph, messages).items():
            np.testing.assert_array_equal(result.currents[name][view], state.c, f"c of {name}")
            np.testing.assert_array_equal(result.potentials[name][view], state.v, f"v of {name}")
            np.testing.assert_array_equal(result.spikes[name][view], state.o, f"o of {name}")
            np.testing.assert_array_equal(result.readouts[name][view], state.v[-1], f"read-out of {name}")
            saturated[name] += state.saturated
            saturated_currents[name] += state.saturated_currents
    assert result.overflows == saturated
    assert result.current_overflows == saturated_currents


@settings(patient, max_examples=200)
@any_graph
def test_any_graph(graph: FixedGraph, views: int, seed: int) -> None:
    inputs = random_inputs(graph, views, seed)
    assert_as_naive(graph, GraphEmulator(graph).run(inputs, record_potentials=True), inputs, views)


@pytest.mark.slow
@settings(patient, max_examples=2000)
@any_graph
def test_many_graphs(graph: FixedGraph, views: int, seed: int) -> None:
    inputs = random_inputs(graph, views, seed)
    assert_as_naive(graph, GraphEmulator(graph).run(inputs, record_potentials=True), inputs, views)
