"""Strategies for hypothesis: graph programs in the chip's integers with every freedom that they have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.graph import Shape
from hybridnet.program.layers import BIAS_MAX, DECAY_ONE, INPUT_MAX, ConvGeometry
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.support.arrays import Array

DECAYS = (0, 1, 407, 2048, 4095, 4096)
KEPT_CURRENTS = (4096, 4096, 4096, 4095, 1500, 3, 0)


@st.composite
def graphs(draw: st.DrawFn, largest: int = 5) -> FixedGraph:
    """One or two inputs, up to `largest` populations: fan-in, fan-out, joins, delays, cycles, relays, integrators."""
    inputs = [
        FixedInput(
            f"x{index}",
            draw(shapes()),
            still=draw(st.integers(0, 3)) == 0,
            input_scale=20.0,
            message_max=draw(st.sampled_from([1, 127, 300])),
        )
        for index in range(draw(st.integers(1, 2)))
    ]
    nodes: list[tuple[str, Shape, int]] = [(node.name, node.shape, node.message_max) for node in inputs]
    populations: list[FixedPopulation] = []
    synapses: list[FixedSynapse] = []
    for index in range(draw(st.integers(1, largest))):
        name, shape = f"p{index}", draw(shapes())
        sources = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3))
        groups = [draw(fixed_synapses(*source, name, shape, st.sampled_from([0, 0, 0, 1, 2, 5]))) for source in sources]
        nodes.append((name, shape, 1))
        if draw(st.integers(0, 3)) == 0:  # feeds itself, or one that came before it
            back, onto, _ = draw(st.sampled_from(nodes[len(inputs) :]))
            groups.append(draw(fixed_synapses(name, shape, 1, back, onto, st.integers(1, 2))))
        synapses += groups
        populations.append(
            draw(
                fixed_populations(
                    name, shape, [g for g in groups if g.target == name], {node[0]: node[2] for node in nodes}
                )
            )
        )
    if draw(st.integers(0, 3)) == 0:
        pooled, relay = draw(relays(populations[-1]))
        populations.append(pooled)
        synapses.append(relay)
    return FixedGraph(tuple(inputs), tuple(populations), tuple(synapses), draw(st.integers(1, 6)))


def shapes() -> st.SearchStrategy[Shape]:
    return st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7))


@st.composite
def fixed_synapses(
    draw: st.DrawFn,
    source: str,
    shape: Shape,
    largest: int,
    target: str,
    onto: Shape,
    delays: st.SearchStrategy[int],
) -> FixedSynapse:
    """A group of either kind between two maps."""
    geometry = draw(st.one_of(convolutions(shape, onto), transposed(shape, onto)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    half = min(rng.choice([3, 20, 127]), INPUT_MAX // (largest * math.prod(geometry.weight_shape)) // 2)
    weight = 2 * rng.integers(-half, half + 1, geometry.weight_shape, dtype=np.int32)
    return FixedSynapse(source, target, geometry, weight, draw(delays), int(rng.choice([0, 2, 5, 6, 6])))


@st.composite
def convolutions(draw: st.DrawFn, shape: Shape, onto: Shape) -> ConvGeometry:
    """Any kernel, stride, padding and dilation that lead from one map to the other."""
    axes = [draw(_axes(size, size_onto)) for size, size_onto in zip(shape[1:], onto[1:], strict=True)]
    kernel, stride, padding, dilation = (tuple(values) for values in zip(*axes, strict=True))
    return ConvGeometry(shape, onto[0], kernel, stride, padding, dilation, draw(_groups(shape[0], onto[0])))


@st.composite
def transposed(draw: st.DrawFn, shape: Shape, onto: Shape) -> TransposedGeometry:
    """The same, transposed; the map that is reached may be larger by what no input reaches."""
    axes = []
    for size, size_onto in zip(shape[1:], onto[1:], strict=True):
        stride = draw(st.integers(1, 3))
        extra = draw(st.integers(0, min(stride - 1, size_onto - 1)))
        kernel, stride, padding, dilation = draw(_axes(size_onto - extra, size, stride))
        extra = extra if extra < max(stride, dilation) else 0
        axes.append((kernel, stride, padding, dilation, extra))
    kernels, strides, paddings, dilations, extras = (tuple(values) for values in zip(*axes, strict=True))
    geometry = TransposedGeometry(
        shape,
        onto[0],
        kernels,
        strides,
        paddings,
        extras,
        dilations,
        draw(_groups(shape[0], onto[0])),
    )
    assert geometry.output_shape == onto
    return geometry


@st.composite
def _axes(draw: st.DrawFn, size: int, onto: int, stride: int = 0) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation of one axis: a convolution of `size` gives `onto`."""
    stride = stride or draw(st.integers(1, 3))
    padding = draw(st.integers(0, 2))
    reach = size + 2 * padding - (onto - 1) * stride
    while reach < 1:
        padding, reach = padding + 1, reach + 2
    dilation = draw(st.sampled_from([d for d in (1, 2) if (reach - 1) % d == 0]))
    return (reach - 1) // dilation + 1, stride, padding, dilation


def _groups(channels: int, onto: int) -> st.SearchStrategy[int]:
    both = math.gcd(channels, onto)
    return st.sampled_from([number for number in range(1, both + 1) if both % number == 0])


@st.composite
def fixed_populations(
    draw: st.DrawFn, name: str, shape: Shape, groups: Sequence[FixedSynapse], largest: Mapping[str, int]
) -> FixedPopulation:
    """Neurons whose thresholds are about as large as what they integrate, which may saturate."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    magnitudes = (np.abs(g.weight).mean() * largest[g.source] * 2.0**g.shift for g in groups)
    typical = sum(magnitudes) / 2**6

    def per_channel(values: Array) -> Array:
        found = values if draw(st.booleans()) else values[0]
        return np.asarray(found, np.int32)

    threshold = np.clip(typical * rng.choice([0.02, 0.2, 1], shape[0]), 1, 2**17 - 1).astype(np.int32)
    neuron_wise = draw(st.integers(0, 3)) == 0
    return FixedPopulation(
        name=name,
        shape=shape,
        decay=per_channel(rng.choice(DECAYS, shape[0])),
        current_decay=per_channel(rng.choice(KEPT_CURRENTS if draw(st.booleans()) else [DECAY_ONE], shape[0])),
        threshold=None if draw(st.integers(0, 5)) == 0 else per_channel(threshold),
        reset=draw(st.sampled_from(["soft", "hard"])),
        reset_amount=per_channel((threshold * rng.choice([1, 1, 0.9, 0, -0.5], shape[0])).astype(np.int32)),
        bias=rng.integers(-BIAS_MAX, BIAS_MAX + 1, shape if neuron_wise else shape[0], dtype=np.int32)
        // draw(st.sampled_from([1, 50, 5000])),
        scale=100.0,
    )


@st.composite
def relays(draw: st.DrawFn, before: FixedPopulation) -> tuple[FixedPopulation, FixedSynapse]:
    """Max pooling of spikes: a depthwise window of ones, half a one as threshold, no memory."""
    channels, *size = before.shape
    window = tuple(draw(st.integers(1, n)) for n in size)
    geometry = ConvGeometry(before.shape, channels, (window[0], window[1]), (window[0], window[1]), groups=channels)
    weight = np.full(geometry.weight_shape, 128, np.int32)
    none, half = np.array(0, np.int32), np.array(64, np.int32)
    pooled = FixedPopulation(
        "pooled",
        geometry.output_shape,
        decay=np.array(DECAY_ONE, np.int32),
        current_decay=np.array(DECAY_ONE, np.int32),
        threshold=half,
        reset="hard",
        reset_amount=none,
        bias=np.zeros(channels, np.int32),
        scale=128.0 * 64,
    )
    return pooled, FixedSynapse(before.name, "pooled", geometry, weight)


def random_inputs(graph: FixedGraph, views: int, seed: int) -> dict[str, Array]:
    """Float inputs of several windows, a few of which are clipped, with many zeros."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for node in graph.inputs:
        shape = (views, *node.shape) if node.still else (views, graph.steps, *node.shape)
        values = rng.uniform(-1.1, 1.1, shape) * node.message_max / node.input_scale
        inputs[node.name] = (values * (rng.random(shape) < 0.7)).astype(np.float32)
    return inputs
