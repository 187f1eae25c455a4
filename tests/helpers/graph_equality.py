"""Every bit of a back-end's result against the naive int64 loop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import HealthCheck, settings

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.emulator.graph_loop import graph_messages, run_graph
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def assert_as_naive(graph: FixedGraph, result: SpikingResult, inputs: Mapping[str, Array], views: int) -> None:
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
