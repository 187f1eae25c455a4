"""The second integer implementation against a third, in plain Python; then two that agree cannot both be lucky."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from helpers.integer_loop import messages, run_stream
from helpers.naive_program import random_streams
from helpers.naive_program import run_stream as run_naive

from hybridnet.program.layers import POTENTIAL_MAX, ConvGeometry
from hybridnet.simulators.quantise import quantise_input

GEOMETRIES = [
    ConvGeometry((4, 9, 7), 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
    ConvGeometry((6, 5, 9), 3, (2, 3), padding=(1, 0), groups=3),
]


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_every_bit_equals_plain_python(reset: str) -> None:
    random = np.random.default_rng(3)
    _, stream = random_streams(random, "s", GEOMETRIES, reset=reset)
    x = random.integers(-127, 128, (1, 5, *stream.input_shape))
    expected = run_naive(stream, x)
    for name, (v, o) in run_stream(stream, x[0]).items():
        assert np.array_equal(v, expected.potentials[name][0])
        assert np.array_equal(o, expected.spikes[name][0])
        assert o.any()


def test_potentials_saturate() -> None:
    random = np.random.default_rng(4)
    _, stream = random_streams(random, "s", GEOMETRIES[:1])
    layer = dataclasses.replace(stream.layers[0], bias=np.full(6, 4095, np.int32), threshold=2**17 - 1, decay=0)
    stream = dataclasses.replace(stream, layers=(layer,))
    x = np.full((1, 30, *stream.input_shape), 127)
    v, _ = run_stream(stream, x[0])["s.0"]
    assert v.max() == POTENTIAL_MAX
    assert np.array_equal(v, run_naive(stream, x).potentials["s.0"][0])


def test_messages_are_rounded_half_to_even_and_clipped() -> None:
    _, stream = random_streams(np.random.default_rng(5), "s", GEOMETRIES[:1], input_scale=2.0)
    values: Any = np.array([0.25, 0.75, -0.25, 100.0, -100.0, 0.3], np.float32)
    assert messages(values, stream.layers[0]).tolist() == [0, 2, 0, 127, -127, 1]
    assert np.array_equal(messages(values, stream.layers[0]), quantise_input(values, stream.layers[0])[0])
