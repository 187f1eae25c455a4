"""ONNX of graph programs: the naive loop's bits, a window at a time and a step at a time."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.graph_equality import assert_as_naive, patient
from helpers.random_graphs import graphs, random_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.deploy.onnx.graph_program import write_onnx_graph
from hybridnet.errors import BackendError, RangeError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import POTENTIAL_MAX, ConvGeometry
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


def dense(taps: int, seed: int = 0) -> FixedGraph:
    """One neuron that sums up so many messages with weights near the largest."""
    geometry = ConvGeometry((taps, 1, 1), 1, (1, 1))
    weight = 2 * np.random.default_rng(seed).integers(120, 128, geometry.weight_shape, dtype=np.int32)
    neuron = FixedPopulation(
        "sum",
        (1, 1, 1),
        decay=np.array(0),
        current_decay=np.array(4096),
        threshold=None,
        reset="soft",
        reset_amount=np.array(0),
        bias=np.zeros(1, np.int32),
        scale=1.0,
    )
    source = FixedInput("x", geometry.input_shape)
    return FixedGraph((source,), (neuron,), (FixedSynapse("x", "sum", geometry, weight, shift=0),), 2)


def test_weights_are_split_where_float32_would_round(tmp_path: Path) -> None:
    graph = dense(1250)
    inputs = {"x": np.full((1, 2, 1250, 1, 1), 127, np.float32)}
    inputs["x"][0, 1, ::2] = -126
    write_onnx_graph(tmp_path / "graph.onnx", graph)
    result = OnnxGraph(tmp_path / "graph.onnx", graph).run(inputs, record_potentials=True)
    assert result.currents["sum"][0, 0].item() == min(127 * int(graph.synapses[0].weight.sum()), POTENTIAL_MAX)
    assert_as_naive(graph, result, inputs, 1)
    names = {node.name for node in onnx.load(tmp_path / "graph.onnx").graph.initializer}
    assert {"weight.0.0of2", "weight.0.1of2"} <= names


def test_what_two_parts_do_not_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RangeError, match="x→sum: sums of up to"):
        write_onnx_graph(tmp_path / "graph.onnx", dense(20000))


def test_shared_weights_are_stored_once(tmp_path: Path) -> None:
    one = dense(4)
    twice = FixedGraph(
        one.inputs,
        (*one.populations, replace(one.populations[0], name="twin")),
        (*one.synapses, replace(one.synapses[0], target="twin"), replace(one.synapses[0], delay=1)),
        2,
    )
    write_onnx_graph(tmp_path / "graph.onnx", twice)
    weights = [n.name for n in onnx.load(tmp_path / "graph.onnx").graph.initializer if n.name.startswith("weight")]
    assert weights == ["weight.0.0of1"]


def test_the_graph_of_another_program_is_refused(tmp_path: Path) -> None:
    one = dense(4)
    write_onnx_graph(tmp_path / "graph.onnx", one)
    other = FixedGraph(one.inputs, (replace(one.populations[0], name="other"),), (), 2)
    with pytest.raises(BackendError, match="another program"):
        OnnxGraph(tmp_path / "graph.onnx", other)


def test_what_is_not_finite_is_refused(tmp_path: Path) -> None:
    graph = dense(4)
    write_onnx_graph(tmp_path / "graph.onnx", graph)
    with pytest.raises(RangeError, match="not finite"):
        OnnxGraph(tmp_path / "graph.onnx", graph).run({"x": np.full((1, 2, 4, 1, 1), np.nan, np.float32)})
