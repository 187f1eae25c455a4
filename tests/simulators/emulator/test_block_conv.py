"""Convolutions of few channels: the integers of a naive loop, whatever the geometry; and where they are taken."""

import numpy as np
import pytest
from helpers.graph_equality import assert_as_naive
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.emulator.block_conv import BlockConv, pays
from hybridnet.simulators.emulator.exact_conv import ExactConv
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.emulator.graph_loop import spread
from hybridnet.simulators.emulator.groups import Groups


@st.composite
def geometries(draw: st.DrawFn) -> ConvGeometry:
    """Any channels of a group, fewer than a block and more, any small kernel, stride, padding and dilation."""
    groups = draw(st.integers(1, 3))
    pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
    return ConvGeometry(
        (groups * draw(st.sampled_from([1, 2, 3, 8, 9, 16])), 7, draw(st.sampled_from([8, 9, 13]))),
        groups * draw(st.sampled_from([1, 3, 8, 10, 16])),
        kernel=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        stride=draw(pair),
        padding=draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        dilation=draw(pair),
        groups=groups,
    )


@settings(deadline=None, max_examples=100)
@given(data=st.data(), geometry=geometries(), spikes=st.booleans())
def test_every_sum_is_that_of_a_naive_loop(data: st.DataObject, geometry: ConvGeometry, spikes: bool) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    weight = random.integers(-127, 128, geometry.weight_shape, dtype=np.int32) * 2
    channels, *size = geometry.input_shape
    x = random.integers(0 if spikes else -127, 2 if spikes else 128, (3, channels, *size), dtype=np.int32)
    source = np.moveaxis(x, 1, 3).reshape(3, size[0], -1).astype(bool) if spikes else x
    height = geometry.output_shape[1]
    first, behind = sorted(data.draw(st.tuples(st.integers(0, height - 1), st.integers(1, height))))
    band = slice(first, max(behind, first + 1))
    got = BlockConv(geometry, weight, spikes=spikes)(source, band)
    for frame, sums in zip(x, got, strict=True):
        expected = spread(frame, weight.astype(np.int64), geometry)[:, band]
        assert np.array_equal(sums, np.moveaxis(expected, 0, -1).reshape(sums.shape))


def two_populations(weight: int) -> tuple[FixedGraph, dict[str, np.ndarray]]:
    """8 channels of messages into 8 of spikes, and those into 8 more by 64 weights that are large."""
    geometry = ConvGeometry((8, 5, 9), 8, (1, 1))
    random = np.random.default_rng(0)
    second = np.full(geometry.weight_shape, weight, np.int32)
    synapses = (
        FixedSynapse("x", "a", geometry, random.integers(-100, 101, geometry.weight_shape, dtype=np.int32) * 2),
        FixedSynapse("a", "b", geometry, second, weight_bits=16),
    )
    populations = tuple(
        FixedPopulation(
            name,
            geometry.output_shape,
            decay=np.array(500),
            current_decay=np.array(4096),
            threshold=np.array(900),
            reset="soft",
            reset_amount=np.array(900),
            bias=np.zeros(8, np.int32),
            scale=1.0,
        )
        for name in ("a", "b")
    )
    x = random.uniform(-1, 1, (2, 6, 8, 5, 9)).astype(np.float32)
    return FixedGraph((FixedInput("x", geometry.input_shape, input_scale=127.0),), populations, synapses, 6), {"x": x}


@pytest.mark.parametrize(("weight", "kind"), [(4094, BlockConv), (-4094, BlockConv), (4096, ExactConv)])
def test_tables_are_taken_where_16_bits_hold_every_sum(weight: int, kind: type) -> None:
    """8 · 4,094 is 32,752, and 8 · 4,096 is 2¹⁵."""
    graph, x = two_populations(weight)
    groups = Groups(graph, "b")
    assert type(groups.sums[0][1]) is kind
    assert groups.dtype == (np.int16 if kind is BlockConv else np.float32)
    result = GraphEmulator(graph).run(x, record_potentials=True)
    assert result.spikes["a"].reshape(2, 6, 8, -1).all(2).any()  # then a sum of b is the largest that can be
    assert_as_naive(graph, result, x, 2)


@pytest.mark.parametrize(
    ("channels", "onto", "groups", "kernel", "spikes", "expected"),
    [
        (2, 8, 1, 3, False, True),
        (3, 8, 1, 3, False, True),
        (8, 8, 1, 3, True, True),
        (16, 16, 1, 3, True, True),
        (8, 8, 8, 3, True, False),
        (16, 16, 1, 3, False, False),
        (64, 64, 1, 3, True, False),
    ],
)
def test_few_channels_are_compiled(
    channels: int, onto: int, groups: int, kernel: int, spikes: bool, expected: bool
) -> None:
    geometry = ConvGeometry((channels, 20, 20), onto, (kernel, kernel), groups=groups)
    assert pays(geometry, spikes=spikes) is expected
