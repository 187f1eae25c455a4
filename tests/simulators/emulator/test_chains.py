"""The emulator on chains of layers: every bit is that of the equations in plain Python."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from helpers.chains import ConvLIFLayer, FixedConvLIF, Program, Stream, fixed_graph_of, graph_of
from helpers.naive_program import run_stream
from helpers.random_programs import small_geometries
from helpers.same_runs import assert_same_run
from helpers.small_model import fixed_stream, random_layer
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.layers import POTENTIAL_MAX, ConvGeometry, Reset
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.quantise import quantise_input
from hybridnet.simulators.torch.graph_step import TorchGraph
from hybridnet.support.statistics import sqnr_db

STEPS = 4


@st.composite
def streams(draw: st.DrawFn) -> Stream[FixedConvLIF]:
    """One or two layers over maps with H ≠ W, of any stride, padding, dilation, groups, decay, bias and reset.

    Weights of a few units and thresholds of a few make potentials that equal their threshold; weights of hundreds and
    large biases saturate.
    """
    first = draw(small_geometries(2, 7, 6, draw(st.sampled_from([1, 2]))))
    layers = [draw(fixed_layers("s.0", first))]
    channels, height, width = first.output_shape
    if draw(st.booleans()) and min(height, width) >= 5:
        layers.append(draw(fixed_layers("s.1", draw(small_geometries(channels, height, width, 2)))))
    return Stream("s", "x", tuple(layers))


@st.composite
def fixed_layers(draw: st.DrawFn, name: str, geometry: ConvGeometry) -> FixedConvLIF:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reset: Reset = draw(st.sampled_from(["soft", "hard"]))
    largest = draw(st.sampled_from([1, 20, 127]))
    bias = draw(st.sampled_from([0, 3, 4095]))
    return FixedConvLIF(
        name=name,
        geometry=geometry,
        weight=random.integers(-largest, largest + 1, geometry.weight_shape, dtype=np.int32) * 2,
        bias=random.integers(-bias, bias + 1, geometry.out_channels, dtype=np.int32),
        decay=draw(st.one_of(st.sampled_from([0, 1, 4095, 4096]), st.integers(0, 4096))),
        threshold=draw(st.one_of(st.sampled_from([1, 2, 4, 2**17 - 1]), st.integers(1, 20_000))),
        reset=reset,
        input_kind="analog" if name == "s.0" else "spike",
        read_out=draw(st.booleans()),
        weight_scale=100.0,
        input_scale=draw(st.sampled_from([1.5, 127.0])),
        input_shift=draw(st.integers(0, 6)) if reset == "soft" else 6,
        message_max=draw(st.sampled_from([127, 1000])),
    )


def assert_every_bit_equals_plain_python(stream: Stream[FixedConvLIF], x: Any) -> SpikingResult:
    emulator = GraphEmulator(chain(stream, x.shape[1]))
    got = emulator.run({"x": x}, record_potentials=True)
    messages, clipped = quantise_input(x, stream.layers[0])
    assert np.array_equal(got.inputs["x"], messages)
    assert got.clipped_inputs["x"] == clipped
    expected = run_stream(stream, messages)
    for layer in stream.layers:
        assert np.array_equal(got.potentials[layer.name], expected.potentials[layer.name])
        assert np.array_equal(got.spikes[layer.name], expected.spikes[layer.name])
        assert got.overflows[layer.name] == expected.overflows[layer.name]
    assert_same_run(emulator.run({"x": x}), got)  # and the same when it need not keep the potentials
    return got


def chain(stream: Stream[FixedConvLIF], steps: int) -> FixedGraph:
    return fixed_graph_of(Program((stream,), steps))


@settings(deadline=None, max_examples=150)
@given(stream=streams(), windows=st.integers(1, 2), seed=st.integers(0, 1000))
def test_every_bit_equals_plain_python(stream: Stream[FixedConvLIF], windows: int, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-1.1, 1.1, (windows, STEPS, *stream.input_shape)).astype(np.float32)
    assert_every_bit_equals_plain_python(stream, x)


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_a_potential_that_equals_its_threshold_does_not_fire(reset: Reset) -> None:
    stream = point(threshold=6, decay=0, reset=reset)
    x = np.array([6, 0, 1, 0, 6], np.float32).reshape(1, 5, 1, 1, 1)  # 6: at it; 7: above it, and reset after that
    got = assert_every_bit_equals_plain_python(stream, x)
    assert got.spikes["s.0"].ravel().tolist() == [False, False, True, False, reset == "soft"]


def point(**fields: Any) -> Stream[FixedConvLIF]:
    """One neuron whose potential takes an input n as n·64."""
    layer = FixedConvLIF(
        name="s.0",
        geometry=ConvGeometry((1, 1, 1), 1, (1, 1)),
        weight=np.ones((1, 1, 1, 1), np.int32),
        bias=np.zeros(1, np.int32),
        decay=0,
        threshold=1,
        reset="soft",
        input_kind="analog",
        read_out=True,
        weight_scale=1.0,
        input_scale=1.0,
    )
    return Stream("s", "x", (dataclasses.replace(layer, **fields),))


def two_layers() -> Stream[ConvLIFLayer]:
    random = np.random.default_rng(7)
    first = ConvGeometry((2, 9, 7), 4, (3, 3), padding=(1, 1))
    second = ConvGeometry((4, 9, 7), 3, (3, 3), padding=(1, 1))
    return Stream("s", "x", (random_layer("s.0", first, random), random_layer("s.1", second, random, analog=False)))


def test_fixed_point_follows_the_float_model() -> None:
    stream = two_layers()
    x = np.random.default_rng(1).uniform(-1, 1, (2, 11, 2, 9, 7)).astype(np.float32)
    reference = TorchGraph(graph_of(Program((stream,), 11)), torch.float64).run({"x": x})
    fixed = fixed_stream(stream)
    got = GraphEmulator(chain(fixed, 11), strict=True).run({"x": x})
    u = got.readouts["s.0"] / fixed.layers[0].potential_scale
    sqnr = sqnr_db(u, reference.readouts["s.0"])
    assert sqnr is not None
    assert sqnr > 15
    assert (got.spikes["s.1"] == reference.spikes["s.1"]).mean() > 0.95


def test_saturation_is_counted_or_raised() -> None:
    stream = two_layers()
    fixed = fixed_stream(stream, potential_max=1e-6)  # no head-room at all: scales as large as weights allow
    layer = dataclasses.replace(fixed.layers[0], bias=np.full(4, 4095, np.int32), decay=0, threshold=2**17 - 1)
    program = chain(Stream("s", "x", (layer,)), 60)
    x = np.ones((1, 60, 2, 9, 7), np.float32)
    result = GraphEmulator(program).run({"x": x}, record_potentials=True)
    assert result.overflows["s.0"] > 0
    assert np.abs(result.potentials["s.0"]).max() == POTENTIAL_MAX
    with pytest.raises(RangeError, match=r"s\.0.*saturated"):
        GraphEmulator(program, strict=True).run({"x": x})


def test_clipped_inputs_are_counted_or_raised() -> None:
    program = chain(fixed_stream(two_layers()), 1)
    x = np.zeros((1, 1, 2, 9, 7), np.float32)
    x[0, 0, 1, 2, 3] = -1.5
    assert GraphEmulator(program).run({"x": x}).clipped_inputs == {"x": 1}
    with pytest.raises(RangeError, match="clipped by input quantisation"):
        GraphEmulator(program, strict=True).run({"x": x})


def test_saturation_is_counted_exactly() -> None:
    """Up, down, and neurons that saturate at some steps only."""
    random = np.random.default_rng(3)
    geometry = ConvGeometry((2, 5, 4), 4, (3, 2), padding=(1, 1))
    layer = dataclasses.replace(
        fixed_stream(Stream("s", "x", (random_layer("s.0", geometry, random),))).layers[0],
        weight=random.integers(-127, 128, geometry.weight_shape, dtype=np.int32) * 2,
        bias=np.array([4095, -4095, 4000, 0], np.int32),
        decay=40,
        threshold=2**17 - 1,
    )
    x = random.uniform(-1, 1, (2, 40, 2, 5, 4)).astype(np.float32)
    got = assert_every_bit_equals_plain_python(Stream("s", "x", (layer,)), x)
    assert 0 < got.overflows["s.0"] < got.spikes["s.0"].size
    assert {got.potentials["s.0"].min(), got.potentials["s.0"].max()} == {-POTENTIAL_MAX, POTENTIAL_MAX}


def test_large_sums_leave_float32_and_stay_exact() -> None:
    """Sums that cancel to a few units on their way through numbers that float32 does not hold."""
    geometry = ConvGeometry((128, 5, 5), 1, (5, 5))
    random = np.random.default_rng(0)
    weight = random.integers(230, 255, (1, 128, 25), dtype=np.int32)
    positive = np.zeros((128, 25), bool)
    positive[:80, :20] = True  # half of all, and first in whatever order it is added
    weight[:, ~positive] *= -1
    stream = point(geometry=geometry, weight=weight.reshape(geometry.weight_shape), threshold=2**17 - 1)
    x = random.integers(120, 128, (1, 6, 128, 5, 5)).astype(np.float32)
    got = assert_every_bit_equals_plain_python(stream, x)
    assert got.overflows["s.0"] == 0
