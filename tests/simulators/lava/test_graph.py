"""Graph programs in Lava: every bit of c, v and o as the naive loop has it; in float, the torch step to 1e-10.

A worker takes seconds to start, hence many graphs in each run of the worker, as parts of one program.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.float_graphs import in_float
from helpers.graph_equality import assert_as_naive
from helpers.needs import needs_lava
from helpers.random_graphs import graphs, random_inputs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.lava.graph_backend import LavaGraph
from hybridnet.simulators.torch.graph_step import TorchGraph

pytestmark = [needs_lava, pytest.mark.filterwarnings("ignore:Generating overly large repr")]

# An example takes a minute: what failed is printed whole, not searched for something smaller.
once = settings(deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


def batches(size: int) -> st.SearchStrategy[list[FixedGraph]]:
    """So many graphs, not the simplest ones, with which hypothesis starts."""
    return st.lists(graphs(), min_size=size, max_size=size).filter(
        lambda batch: batch[0].steps > 2 and max(len(graph.populations) for graph in batch) > 3
    )


def side_by_side(batch: Sequence[FixedGraph]) -> FixedGraph:
    """Graphs as parts of one program, of the steps of the first."""
    inputs, populations, synapses = [], [], []
    for number, graph in enumerate(batch):

        def renamed(name: str, number: int = number) -> str:
            return f"{number}.{name}"

        inputs += [replace(node, name=renamed(node.name)) for node in graph.inputs]
        populations += [replace(p, name=renamed(p.name)) for p in graph.populations]
        synapses += [replace(g, source=renamed(g.source), target=renamed(g.target)) for g in graph.synapses]
    return FixedGraph(tuple(inputs), tuple(populations), tuple(synapses), batch[0].steps)


def assert_equal(batch: list[FixedGraph], windows: int, seed: int) -> None:
    graph = side_by_side(batch)
    inputs = random_inputs(graph, windows, seed)
    assert_as_naive(graph, LavaGraph(graph, timeout_s=300).run(inputs, record_potentials=True), inputs, windows)


@settings(once, max_examples=1)
@given(batch=batches(3), windows=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_any_graph(batch: list[FixedGraph], windows: int, seed: int) -> None:
    assert_equal(batch, windows, seed)


@pytest.mark.slow
@settings(once, max_examples=20)
@given(batch=batches(10), windows=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_many_graphs(batch: list[FixedGraph], windows: int, seed: int) -> None:
    assert_equal(batch, windows, seed)


@settings(once, max_examples=1)
@given(batch=batches(1), seed=st.integers(0, 2**32 - 1))
def test_float(batch: list[FixedGraph], seed: int) -> None:
    fixed = side_by_side(batch)
    program, inputs = in_float(fixed), random_inputs(fixed, 2, seed)
    expected = TorchGraph(program, torch.float64).run(inputs, record_potentials=True)
    found = LavaGraph(program, timeout_s=300).run(inputs, record_potentials=True)
    for name in expected.potentials:
        np.testing.assert_allclose(found.currents[name], expected.currents[name], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found.potentials[name], expected.potentials[name], rtol=1e-10, atol=1e-10)
        np.testing.assert_array_equal(found.spikes[name], expected.spikes[name])
