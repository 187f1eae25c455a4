"""Operation counts against loops over events, closed forms, and torch's own counter."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from helpers.small_graphs import population
from helpers.small_model import SMALL, counted_ann, small_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.program.graph import Synapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.report.counting.graph import count_group, count_population
from hybridnet.report.counting.program import CHIP_WORDS, fan_out

PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


def naive_fan_out(g: ConvGeometry) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Walk over all synapses of one group and see where each begins."""
    counts = np.zeros(g.input_shape[1:], np.int64)
    for row, column, i, j in itertools.product(*map(range, g.output_shape[1:]), *map(range, g.kernel)):
        y = row * g.stride[0] - g.padding[0] + i * g.dilation[0]
        x = column * g.stride[1] - g.padding[1] + j * g.dilation[1]
        if 0 <= y < g.input_shape[1] and 0 <= x < g.input_shape[2]:
            counts[y, x] += g.out_channels // g.groups
    return counts


@settings(deadline=None, max_examples=60)
@given(
    kernel=PAIR,
    stride=PAIR,
    dilation=PAIR,
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    groups=st.sampled_from([1, 2]),
)
def test_fan_out_is_border_exact(
    kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], padding: tuple[int, int], groups: int
) -> None:
    geometry = ConvGeometry((2, 9, 7), 4, kernel, stride, padding, dilation, groups)
    assert np.array_equal(fan_out(geometry), naive_fan_out(geometry))


@pytest.mark.parametrize("analog", [True, False])
def test_counts_equal_a_loop_over_events(analog: bool) -> None:
    random = np.random.default_rng(3)
    geometry = ConvGeometry((2, 7, 5), 4, (3, 2), (2, 1), (1, 1), groups=2)
    group, neurons = (
        Synapse("x", "s", geometry, np.zeros(geometry.weight_shape)),
        population("s", geometry.output_shape),
    )
    x = random.integers(-1, 2, (2, 3, *geometry.input_shape)) if analog else random.random((2, 3, 2, 7, 5)) < 0.2
    spikes = random.random((2, 3, *geometry.output_shape)) < 0.1
    fan = naive_fan_out(geometry)
    events = sum(int(fan[y, x_]) for *_, y, x_ in np.argwhere(x))
    ops = count_group(group, x, CHIP_WORDS, analog=analog)
    assert (ops.macs, ops.acs) == ((events, 0) if analog else (0, events))
    assert ops.dense_macs == int(fan.sum()) * 2 * 3 * 2
    updates = count_population(neurons, spikes, CHIP_WORDS)
    assert updates.neuron_updates == spikes.size
    assert updates.spikes == spikes.sum()
    assert count_group(group, np.asfortranarray(x), CHIP_WORDS, analog=analog) == ops  # whatever the layout
    assert count_population(neurons, np.asfortranarray(spikes), CHIP_WORDS) == updates


def test_synops_equal_a_convolution_of_ones() -> None:
    """The definition of other tools (NeuroBench, sinabs): convolve events with a kernel of ones, sum the outputs."""
    geometry = ConvGeometry((3, 8, 9), 5, (3, 3), (2, 2), (1, 1), (2, 1))
    random = np.random.default_rng(0)
    spikes = random.random((1, 2, 3, 8, 9)) < 0.3
    x = torch.from_numpy(spikes[0].astype(np.float64))
    expected = torch.nn.functional.conv2d(
        x, torch.ones(geometry.weight_shape, dtype=torch.float64), None, (2, 2), (1, 1), (2, 1)
    ).sum()
    group = Synapse("x", "s", geometry, np.zeros(geometry.weight_shape))
    assert count_group(group, spikes, CHIP_WORDS, analog=False).acs == int(expected)


def test_ann_macs_equal_torchs_counter(tmp_path: Path) -> None:
    graph, counter = counted_ann(small_checkpoint().model, tmp_path / "ann.onnx")
    flops = counter.get_flop_counts()["Global"]
    # torch does not count attention on the CPU: 2·N²·d MACs per block, N = 3·9 tokens, d = 12.
    attention = 0 if any("attention" in str(op) for op in flops) else 2 * 27**2 * 12 * SMALL.depth
    assert sum(node.macs for node in graph.nodes) == counter.get_total_flops() // 2 + attention
    assert graph.uncounted == {}
    assert {"Conv", "MatMul", "Gemm", "Softmax", "LayerNormalization", "Add"} <= {node.kind for node in graph.nodes}
    names = [node.name for node in onnx.load(str(tmp_path / "ann.onnx")).graph.node]
    assert len(set(names)) == len(names)
    assert "transformer.blocks.0.attention.qkv/MatMul" in names
