# mypy: disable-error-code="arg-type"
"""The emulator against the equations in plain Python, and its claims of exactness."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_program import run_stream
from small_model import fixed_stream, random_layer

from hybridnet.calibration.compare import sqnr_db
from hybridnet.errors import ConfigError, RangeError
from hybridnet.partition.program import POTENTIAL_MAX, ConvGeometry, ConvLIFLayer, Program, Reset, Stream
from hybridnet.simulators.emulator import Emulator, decayed, exact_current
from hybridnet.simulators.quantise import quantise_input
from hybridnet.simulators.torch_float import TorchBackend


@st.composite
def geometries(draw: st.DrawFn, in_channels: int, height: int, width: int, groups: int) -> ConvGeometry:
    pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
    return ConvGeometry(
        (in_channels, height, width),
        draw(st.sampled_from([2, 4])),
        kernel=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        stride=draw(pair),
        padding=draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        dilation=draw(pair),
        groups=groups,
    )


@st.composite
def streams(draw: st.DrawFn) -> Stream[ConvLIFLayer]:
    """One or two layers over maps with H ≠ W, any stride, padding, dilation and groups."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reset: Reset = draw(st.sampled_from(["soft", "hard"]))
    first = draw(geometries(2, 7, 6, draw(st.sampled_from([1, 2]))))
    layers = [random_layer("s.0", first, random, reset=reset)]
    channels, height, width = first.output_shape
    if draw(st.booleans()) and min(height, width) >= 5:
        second = draw(geometries(channels, height, width, 2))
        layers.append(random_layer("s.1", second, random, reset=reset, analog=False))
    return Stream("s", "x", tuple(layers))


@settings(deadline=None, max_examples=25)
@given(stream=streams(), windows=st.integers(1, 2), seed=st.integers(0, 1000))
def test_every_bit_equals_plain_python(stream: Stream[ConvLIFLayer], windows: int, seed: int) -> None:
    fixed = fixed_stream(stream)
    x = np.random.default_rng(seed).uniform(-1, 1, (windows, 3, *stream.input_shape)).astype(np.float32)
    got = Emulator(Program((fixed,), 3)).run({"x": x}, record_potentials=True)
    messages, _ = quantise_input(x, fixed.layers[0].input_scale)
    expected = run_stream(fixed, messages)
    for layer in fixed.layers:
        assert np.array_equal(got.potentials[layer.name], expected.potentials[layer.name])
        assert np.array_equal(got.spikes[layer.name], expected.spikes[layer.name])
        assert got.overflows[layer.name] == expected.overflows[layer.name]


def two_layers() -> Stream[ConvLIFLayer]:
    random = np.random.default_rng(7)
    first = ConvGeometry((2, 9, 7), 4, (3, 3), padding=(1, 1))
    second = ConvGeometry((4, 9, 7), 3, (3, 3), padding=(1, 1))
    return Stream("s", "x", (random_layer("s.0", first, random), random_layer("s.1", second, random, analog=False)))


def test_fixed_point_follows_the_float_model() -> None:
    stream = two_layers()
    x = np.random.default_rng(1).uniform(-1, 1, (2, 11, 2, 9, 7)).astype(np.float32)
    reference = TorchBackend(Program((stream,), 11), torch.float64).run({"x": x})
    fixed = fixed_stream(stream)
    got = Emulator(Program((fixed,), 11), strict=True).run({"x": x})
    u = got.readouts["s.0"] / fixed.layers[0].potential_scale
    sqnr = sqnr_db(u, reference.readouts["s.0"])
    assert sqnr is not None
    assert sqnr > 15
    assert (got.spikes["s.1"] == reference.spikes["s.1"]).mean() > 0.95


def test_saturation_is_counted_or_raised() -> None:
    stream = two_layers()
    fixed = fixed_stream(stream, potential_max=1e-6)  # no head-room at all: scales as large as weights allow
    layer = dataclasses.replace(fixed.layers[0], bias=np.full(4, 4095, np.int32), decay=0, threshold=2**17 - 1)
    program = Program((Stream("s", "x", (layer,)),), 60)
    x = np.ones((1, 60, 2, 9, 7), np.float32)
    result = Emulator(program).run({"x": x}, record_potentials=True)
    assert result.overflows["s.0"] > 0
    assert np.abs(result.potentials["s.0"]).max() == POTENTIAL_MAX
    with pytest.raises(RangeError, match=r"s\.0.*saturated"):
        Emulator(program, strict=True).run({"x": x})


def test_clipped_inputs_are_counted_or_raised() -> None:
    program = Program((fixed_stream(two_layers()),), 1)
    x = np.zeros((1, 1, 2, 9, 7), np.float32)
    x[0, 0, 1, 2, 3] = -1.5
    assert Emulator(program).run({"x": x}).clipped_inputs == {"s": 1}
    with pytest.raises(RangeError, match="did not fit int8"):
        Emulator(program, strict=True).run({"x": x})


def test_large_sums_leave_float32_and_stay_exact() -> None:
    geometry = ConvGeometry((64, 5, 5), 1, (5, 5))
    random = np.random.default_rng(0)
    layer = fixed_stream(Stream("s", "x", (random_layer("s.0", geometry, random),))).layers[0]
    layer = dataclasses.replace(layer, weight=np.full(geometry.weight_shape, 254, np.int32))
    x = torch.full((1, 64, 5, 5), 127, dtype=torch.int32)
    x[0, 0, 0, 0] = 126  # odd digits that float32 would lose
    expected = 254 * (127 * (64 * 25 - 1) + 126) + int(layer.bias[0])
    assert expected > 2**24
    assert exact_current(x, layer).item() == expected


@pytest.mark.parametrize(
    ("v", "decay", "expected"), [(1000, 4096, 0), (1000, 0, 1000), (-1001, 2048, -500), (4097, 1, 4095)]
)
def test_decay_truncates_toward_zero(v: int, decay: int, expected: int) -> None:
    assert decayed(torch.tensor([v], dtype=torch.float64), decay).item() == expected


def test_a_program_refuses_numbers_that_the_chip_has_no_bits_for() -> None:
    layer = fixed_stream(two_layers()).layers[0]
    for field, value in (
        ("weight", layer.weight + 300),
        ("threshold", 2**17),
        ("decay", 4097),
        ("bias", layer.bias + 5000),
    ):
        with pytest.raises(ConfigError, match=field):
            dataclasses.replace(layer, **{field: value})


def test_currents_that_float64_cannot_hold_are_refused() -> None:
    layer = fixed_stream(two_layers()).layers[0]
    with pytest.raises(RangeError, match=r"s\.0.*not exact in float64"):
        exact_current(torch.full((1, 2, 9, 7), 2**40, dtype=torch.int64), layer)
