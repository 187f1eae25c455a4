"""The emulator of graph programs: every bit of c, v and o as the naive loop has it, of any graph."""

from unittest.mock import patch

import pytest
from helpers.graph_equality import assert_as_naive, patient
from helpers.random_graphs import graphs, random_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.emulator import groups
from hybridnet.simulators.emulator.graph import GraphEmulator

any_graph = given(graph=graphs(), views=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))


@pytest.mark.parametrize("way", ["compiled", "dense"])
@settings(patient, max_examples=100)
@any_graph
def test_any_graph(way: str, graph: FixedGraph, views: int, seed: int) -> None:
    """However it is convolved where both are exact."""
    inputs = random_inputs(graph, views, seed)
    with patch.object(groups, "pays", lambda *_, **__: way == "compiled"):
        emulator = GraphEmulator(graph)
    assert_as_naive(graph, emulator.run(inputs, record_potentials=True), inputs, views)


@pytest.mark.slow
@settings(patient, max_examples=2000)
@any_graph
def test_many_graphs(graph: FixedGraph, views: int, seed: int) -> None:
    inputs = random_inputs(graph, views, seed)
    assert_as_naive(graph, GraphEmulator(graph).run(inputs, record_potentials=True), inputs, views)
