"""Random networks that the benchmarks run: chains of 3×3 convolutions, each with its neurons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observation import Observation
from hybridnet.calibration.statistics import Statistics
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram, Input, Population, Shape, Synapse
from hybridnet.program.layers import ConvGeometry


def chain(shape: Shape, channels: Sequence[int], strides: Sequence[int], steps: int, seed: int = 0) -> GraphProgram:
    """Soft-reset neurons behind normal weights.

    Args:
        shape: (C, H, W) of the input `x`; the paddings keep H and W, but for strides.
        channels: Channels of each layer, called `s.0`, `s.1` and so on.
        strides: Strides of each layer.
        steps: T.
        seed: Seed of the weights.
    """
    random, source = np.random.default_rng(seed), "x"
    inputs, populations, synapses = (Input("x", shape),), [], []
    for index, (out_channels, stride) in enumerate(zip(channels, strides, strict=True)):
        geometry = ConvGeometry(shape, out_channels, (3, 3), (stride, stride), (1, 1))
        name, shape = f"s.{index}", geometry.output_shape
        synapses.append(Synapse(source, name, geometry, random.normal(0, 0.3, geometry.weight_shape)))
        bias = random.normal(0, 0.01, out_channels)
        one = np.array(1.0)
        populations.append(Population(name, shape, np.array(0.8), np.array(0.0), one, "soft", one, bias))
        source = name
    return GraphProgram(inputs, tuple(populations), tuple(synapses), steps)


def in_integers(program: GraphProgram) -> FixedGraph:
    """The same on the chip, for inputs in [−1, 1] and potentials in [−8, 8]."""
    eight = dict.fromkeys((p.name for p in program.populations), _up_to(8.0))
    return quantise_graph(program, Observation({"x": _up_to(1.0)}, eight, eight, 1))


def _up_to(largest: float) -> Statistics:
    return Statistics(1, 0, -largest, largest, ())
