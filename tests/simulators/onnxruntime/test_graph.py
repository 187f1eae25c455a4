"""ONNX of graph programs: the naive loop's bits, a window at a time and a step at a time."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.chains import Program, Stream, fixed_graph_of
from helpers.graph_equality import assert_as_naive, patient
from helpers.naive_program import run_stream
from helpers.random_graphs import graphs, random_inputs
from helpers.small_model import fixed_stream, random_layer
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from hybridnet.deploy.onnx.graph_program import write_onnx_graph
from hybridnet.deploy.onnx.graph_step import INT32_ARRIVING
from hybridnet.errors import BackendError, RangeError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import BIAS_MAX, FLOAT32_EXACT, POTENTIAL_MAX, THRESHOLD_MAX, ConvGeometry, Reset
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
    overflows, current_overflows = (dict.fromkeys(expected.overflows, 0) for _ in range(2))
    for t in range(graph.steps):
        found = stepper.step({n.name: inputs[n.name] if n.still else inputs[n.name][:, t] for n in graph.inputs})
        for p in graph.populations:
            np.testing.assert_array_equal(found[f"{p.name}.spikes"], expected.spikes[p.name][:, t])
            np.testing.assert_array_equal(found[f"{p.name}.potential.after"], expected.potentials[p.name][:, t])
            if p.keeps_current:
                np.testing.assert_array_equal(found[f"{p.name}.current.after"], expected.currents[p.name][:, t])
            overflows[p.name] += int(found[f"{p.name}.overflows"].sum())
            current_overflows[p.name] += int(found[f"{p.name}.current_overflows"].sum())
    assert overflows == expected.overflows
    assert current_overflows == expected.current_overflows


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


@pytest.mark.parametrize("largest", [254, 253], ids=["even", "odd"])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_large_sums_leave_float32_and_stay_exact(tmp_path: Path, reset: Reset, largest: int) -> None:
    """64 × 5 × 5 messages."""
    rng = np.random.default_rng(3)
    geometry = ConvGeometry((64, 9, 7), 4, (5, 5), padding=(2, 1))
    layer = fixed_stream(Stream("s", "x", (random_layer("s.0", geometry, rng),))).layers[0]
    weight = rng.integers(-128, 128, geometry.weight_shape, dtype=np.int32) * 2
    weight[0], weight[1] = largest, -256
    bias = np.array([0, 1, 4095, -4095], np.int32)
    layer = replace(layer, weight=weight, bias=bias, reset=reset, threshold=2**17 - 1)
    graph = fixed_graph_of(Program((Stream("s", "x", (layer,)),), 3))
    x = rng.uniform(0.9, 1, (2, 3, 64, 9, 7)).astype(np.float32)
    x[1] = rng.uniform(-1, 1, x[1].shape)
    write_onnx_graph(tmp_path / "graph.onnx", graph)
    result = OnnxGraph(tmp_path / "graph.onnx", graph).run({"x": x}, record_potentials=True)
    assert_as_naive(graph, result, {"x": x}, 2)
    assert np.abs(result.currents["s.0"]).max() > FLOAT32_EXACT >> 6
    assert result.overflows["s.0"] > 0
    assert "weight.0.0of2" in {node.name for node in onnx.load(tmp_path / "graph.onnx").graph.initializer}


@pytest.mark.parametrize(("last", "dtype"), [(24, TensorProto.INT32), (26, TensorProto.INT64)], ids=["fits", "no"])
@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("current_decay", [4096, 0])
def test_sums_are_int32_as_long_as_they_fit(
    tmp_path: Path, last: int, dtype: int, reset: Reset, current_decay: int
) -> None:
    """With 127·Σw·64 on either side of 2³⁰, decayed states, a bias and a reset that adds."""
    graph = dense(521)
    weight = np.full_like(graph.synapses[0].weight, 254)
    weight[0, -1] = last
    neuron = replace(
        graph.populations[0],
        threshold=np.array(1),
        reset=reset,
        current_decay=np.array(current_decay),
        reset_amount=np.array(-THRESHOLD_MAX),
        bias=np.array([BIAS_MAX], np.int32),
    )
    graph = FixedGraph(graph.inputs, (neuron,), (replace(graph.synapses[0], weight=weight, shift=6),), 3)
    assert (graph.largest_arriving("sum") <= INT32_ARRIVING) == (dtype == TensorProto.INT32)
    inputs = {"x": np.full((2, 3, 521, 1, 1), 127, np.float32)}
    inputs["x"][1, 1:] = -127
    path = tmp_path / "graph.onnx"
    write_onnx_graph(path, graph)
    result = OnnxGraph(path, graph).run(inputs, record_potentials=True)
    assert_as_naive(graph, result, inputs, 2)
    summed = {node.input[0] for node in onnx.load(path).graph.node if node.op_type == "Max"}
    types = {value.name: value.type.tensor_type.elem_type for value in onnx.load(path).graph.value_info}
    assert {types[name] for name in summed if name.startswith("Add")} == {dtype}


def test_spikes_into_a_wide_layer_are_exact(tmp_path: Path) -> None:
    """So many synapses that even sums of spikes leave float32."""
    rng = np.random.default_rng(5)
    first = random_layer("s.0", ConvGeometry((1, 1, 2), 140_000, (1, 1)), rng)
    second = random_layer("s.1", ConvGeometry((140_000, 1, 2), 2, (1, 1)), rng, analog=False)
    stream = fixed_stream(Stream("s", "x", (first, second)))
    weight = np.full(second.geometry.weight_shape, 254, np.int32)
    weight[1, ::2] = -256
    layers = stream.layers[0], replace(stream.layers[1], weight=weight)
    graph = fixed_graph_of(Program((replace(stream, layers=layers),), 3))
    x = rng.uniform(-1.2, 1.2, (1, 3, 1, 1, 2)).astype(np.float32)
    write_onnx_graph(tmp_path / "graph.onnx", graph)
    result = OnnxGraph(tmp_path / "graph.onnx", graph).run({"x": x}, record_potentials=True)
    assert_as_naive(graph, result, {"x": x}, 1)
    names = {node.name for node in onnx.load(tmp_path / "graph.onnx").graph.initializer}
    assert {"weight.0.0of1", "weight.1.0of2", "weight.1.1of2"} <= names


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_saturation_is_counted_as_in_plain_python(tmp_path: Path, reset: Reset) -> None:
    rng = np.random.default_rng(7)
    first, second = (ConvGeometry((c, 9, 7), n, (3, 3), padding=(1, 1)) for c, n in ((2, 4), (4, 3)))
    made = (
        random_layer("s.0", first, rng, reset=reset),
        random_layer("s.1", second, rng, reset=reset, analog=False),
    )
    biases = np.array([4095, -4095, 7, 0], np.int32)
    layers = tuple(
        replace(layer, bias=biases[: len(layer.bias)], decay=3, threshold=2**17 - 1)
        for layer in fixed_stream(Stream("s", "x", made)).layers
    )
    stream = Stream("s", "x", layers)
    graph = fixed_graph_of(Program((stream,), 16))
    write_onnx_graph(tmp_path / "graph.onnx", graph)
    x = {"x": np.ones((2, 16, 2, 9, 7), np.float32)}
    got = OnnxGraph(tmp_path / "graph.onnx", graph).run(x, record_potentials=True)
    expected = run_stream(stream, got.inputs["x"])
    for layer in layers:
        np.testing.assert_array_equal(got.potentials[layer.name], expected.potentials[layer.name])
        assert got.overflows[layer.name] == expected.overflows[layer.name]
    assert got.overflows["s.0"] > 0
    assert got.spikes["s.0"].any()


def test_what_two_parts_do_not_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RangeError, match="x→sum: sums of up to"):
        write_onnx_graph(tmp_path / "graph.onnx", dense(20000))


@settings(patient, max_examples=20)
@given(graph=graphs())
def test_a_step_computes_nothing_that_no_output_needs(graph: FixedGraph) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_onnx_graph(Path(folder) / "step.onnx", graph, "step")
        written = onnx.load(Path(folder) / "step.onnx").graph
    needed = {name for node in written.node for name in node.input} | {value.name for value in written.output}
    assert {name for node in written.node for name in node.output} <= needed
    assert {constant.name for constant in written.initializer} <= needed


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
