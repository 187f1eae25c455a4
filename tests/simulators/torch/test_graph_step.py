"""The float step of graph programs against NumPy's, in float64."""

import numpy as np
import torch
from helpers.float_graphs import in_float, run_naive
from helpers.graph_equality import patient
from helpers.random_graphs import graphs, random_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import Population
from hybridnet.simulators.torch.graph_step import TorchGraph
from hybridnet.support.arrays import Array


@settings(patient, max_examples=60)
@given(graph=graphs(), views=st.integers(1, 2), seed=st.integers(0, 2**32 - 1))
def test_any_graph(graph: FixedGraph, views: int, seed: int) -> None:
    program, inputs = in_float(graph), random_inputs(graph, views, seed)
    result = TorchGraph(program, torch.float64).run(inputs, record_potentials=True)
    for view in range(views):
        states = run_naive(program, {name: values[view].astype(np.float64) for name, values in inputs.items()})
        if any(ties(p, states[p.name][1]) for p in program.populations):
            continue  # a spike may then be there in one of the two alone
        for name, (c, u, o) in states.items():
            np.testing.assert_allclose(result.currents[name][view], c, rtol=1e-10, atol=1e-10)
            np.testing.assert_allclose(result.potentials[name][view], u, rtol=1e-10, atol=1e-10)
            np.testing.assert_array_equal(result.spikes[name][view], o)
            np.testing.assert_array_equal(result.readouts[name][view], result.potentials[name][view, -1])


def ties(p: Population, u: Array) -> bool:
    """Whether a potential is at its threshold, to within rounding."""
    if p.threshold is None:
        return False
    threshold = p.threshold.reshape(-1, 1, 1)
    return bool((np.abs(u - threshold) < 1e-12 * np.maximum(1, np.abs(threshold))).any())
