"""ONNX of graph programs: the naive loop's bits, a window at a time and a step at a time."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers.graph_equality import assert_as_naive, patient
from helpers.random_graphs import graphs, random_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.deploy.onnx.graph_program import write_onnx_graph
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.onnxruntime.graph import OnnxGraph, OnnxGraphStep

any_graph = given(graph=graphs(), views=st.integers(1, 2), seed=st.integers(0, 2**32 - 1))


def assert_windows(graph: FixedGraph, views: int, seed: int) -> None:
    inputs = random_inputs(graph, views, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        write_onnx_graph(path, graph)
        result = OnnxGraph(path, graph).run(inputs, record_potentials=True)
    assert_as_naive(graph, result, inputs, views)


def assert_steps(graph: FixedGraph, views: int, seed: int) -> None:
    inputs = random_inputs(graph, views, seed)
    expected = GraphEmulator(graph).run(inputs, record_potentials=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        write_onnx_graph(path, graph, "step")
        stepper = OnnxGraphStep(path)
    stepper.start(views)
    overflows = dict.fromkeys(expected.overflows, 0)
    for t in range(graph.steps):
        found = stepper.step({n.name: inputs[n.name] if n.still else inputs[n.name][:, t] for n in graph.inputs})
        for p in graph.populations:
            np.testing.assert_array_equal(found[f"{p.name}.spikes"], expected.spikes[p.name][:, t])
            np.testing.assert_array_equal(found[f"{p.name}.potential.after"], expected.potentials[p.name][:, t])
            if p.keeps_current:
                np.testing.assert_array_equal(found[f"{p.name}.current.after"], expected.currents[p.name][:, t])
            overflows[p.name] += int(found[f"{p.name}.overflows"].sum())
    assert overflows == expected.overflows


@settings(patient, max_examples=60)
@any_graph
def test_any_window(graph: FixedGraph, views: int, seed: int) -> None:
    assert_windows(graph, views, seed)


@settings(patient, max_examples=40)
@any_graph
def test_any_step(graph: FixedGraph, views: int, seed: int) -> None:
    assert_steps(graph, views, seed)


@pytest.mark.slow
@settings(patient, max_examples=2000)
@any_graph
def test_many(graph: FixedGraph, views: int, seed: int) -> None:
    assert_windows(graph, views, seed)
    assert_steps(graph, views, seed)
