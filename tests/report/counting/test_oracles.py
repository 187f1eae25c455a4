# mypy: disable-error-code="no-untyped-call,import-untyped,import-not-found"
"""Synaptic operations against a loop over events, NeuroBench and SpikingJelly; and the same on every back-end."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers.chains import FixedConvLIF, Program, Stream, fixed_graph_of
from helpers.float_graphs import in_float
from helpers.needs import needs_lava
from helpers.random_programs import geometries
from helpers.small_graphs import population
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.program.graph import Synapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.report.counting.graph import count_graph, count_group, count_population
from hybridnet.report.counting.program import FLOAT_WORDS
from hybridnet.report.quantities import Ops
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.torch.graph_step import TorchGraph
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import simulate

CASES = [
    ConvGeometry((3, 16, 16), 16, (3, 3), padding=(1, 1)),
    ConvGeometry((4, 9, 7), 6, (3, 2), (2, 1), (1, 0)),
    ConvGeometry((4, 11, 8), 4, (3, 3), (1, 2), (2, 2), (2, 1)),
    ConvGeometry((6, 8, 10), 9, (2, 3), (1, 1), (0, 1), groups=3),
]


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed; `make setup` installs it", exc_type=ImportError)


def torch_conv(g: ConvGeometry, seed: int = 0) -> nn.Conv2d:
    torch.manual_seed(seed)
    return nn.Conv2d(
        g.input_shape[0], g.out_channels, g.kernel, g.stride, g.padding, g.dilation, g.groups, bias=False
    ).requires_grad_(False)


def counted(g: ConvGeometry, x: Tensor, *, analog: bool) -> Ops:
    """Ours; x (T, C, H, W)."""
    sent = x.numpy()[None] if analog else x.bool().numpy()[None]
    return count_group(Synapse("x", "s", g, np.zeros(g.weight_shape)), sent, FLOAT_WORDS, analog=analog)


def naive(g: ConvGeometry, x: npt.NDArray[Any]) -> int:
    """For every output, every tap, every input channel of its group: is there an event, and is it inside?"""
    total, per_group = 0, g.input_shape[0] // g.groups
    for out in range(g.out_channels):
        group = out // (g.out_channels // g.groups)
        for row, column, i, j in itertools.product(*map(range, g.output_shape[1:]), *map(range, g.kernel)):
            y = row * g.stride[0] - g.padding[0] + i * g.dilation[0]
            z = column * g.stride[1] - g.padding[1] + j * g.dilation[1]
            if 0 <= y < g.input_shape[1] and 0 <= z < g.input_shape[2]:
                total += int(np.count_nonzero(x[:, group * per_group : (group + 1) * per_group, y, z]))
    return total


@settings(deadline=None, max_examples=60)
@given(geometry=geometries(), seed=st.integers(0, 2**16), rate=st.floats(0, 1))
def test_operations_equal_a_loop_over_synapses(geometry: ConvGeometry, seed: int, rate: float) -> None:
    x = np.random.default_rng(seed).random((2, *geometry.input_shape)) < rate
    ops = counted(geometry, torch.from_numpy(x), analog=False)
    assert ops.acs == naive(geometry, x)
    assert ops.dense_macs == naive(geometry, np.ones_like(x))
    assert ops.activation_bytes == -(-x.size // 8)
    assert counted(geometry, torch.from_numpy(x * 0.5), analog=True).macs == ops.acs


@pytest.mark.parametrize("geometry", CASES)
@pytest.mark.parametrize("kind", ["spikes", "analog", "sparse analog"])
def test_a_convolution_counts_as_in_neurobench(geometry: ConvGeometry, kind: str) -> None:
    layers = library("neurobench.metrics.utils.layers")
    x = torch.rand(5, *geometry.input_shape, generator=torch.Generator().manual_seed(1))
    x = {"spikes": (x < 0.1).float(), "analog": x, "sparse analog": x * (x < 0.1)}[kind]
    effective, spiking = layers.single_layer_MACs(x, torch_conv(geometry))
    dense, _ = layers.single_layer_MACs(x, torch_conv(geometry), total=True)
    ops = counted(geometry, x, analog=kind != "spikes")
    assert bool(spiking) == (kind == "spikes")
    assert (ops.acs if spiking else ops.macs) == effective
    assert ops.dense_macs == dense


@pytest.mark.parametrize("geometry", CASES)
def test_a_convolution_counts_as_in_spikingjelly(geometry: ConvGeometry) -> None:
    assert counted(geometry, binary(geometry), analog=False).acs == jelly(torch_conv(geometry), [binary(geometry)])


def binary(g: ConvGeometry) -> Tensor:
    return (torch.rand(5, *g.input_shape, generator=torch.Generator().manual_seed(2)) < 0.1).float()


def jelly(module: nn.Module, inputs: list[Tensor]) -> int:
    counter = library("spikingjelly.activation_based.op_counter")
    synops = counter.SynOpCounter()
    with counter.DispatchCounterMode([synops]), torch.no_grad():
        module(*inputs)
    return int(synops.get_total())


class Stack(nn.Module):
    """Two ConvLIF layers with soft reset, as torch modules that the libraries see; x (T, B, C, H, W)."""

    def __init__(self, first: ConvGeometry, second: ConvGeometry) -> None:
        super().__init__()
        self.first, self.second = torch_conv(first, 3), torch_conv(second, 4)

    def forward(self, x: Tensor) -> Tensor:
        states: list[Tensor | None] = [None, None]
        self.spikes: list[Tensor] = []
        for step in x:
            for i, conv in enumerate((self.first, self.second)):
                u = states[i]
                step = conv(step) + (0 if u is None else 0.8 * u - 0.3 * (u > 0.3))
                states[i] = step
                step = (step > 0.3).float()
                if i == 0:
                    self.spikes.append(step)
        return step


def test_a_stack_counts_as_in_neurobench_and_spikingjelly() -> None:
    """MACs of the analog first layer, ACs of the second, over all steps: three tools, one number."""
    benchmark, hooked = library("neurobench.metrics.workload"), library("neurobench.models")
    first = ConvGeometry((2, 16, 15), 8, (3, 3), (1, 1), (1, 1))
    second = ConvGeometry((8, 16, 15), 8, (3, 3), (2, 2), (1, 1))
    stack = Stack(first, second)
    x = torch.rand(11, 1, 2, 16, 15, generator=torch.Generator().manual_seed(5)) - 0.5
    x = x * (x.abs() > 0.2)

    model, metric = hooked.TorchModel(stack), benchmark.SynapticOperations()
    model.connection_hooks = [library("neurobench.hooks.layer").LayerHook(conv) for conv in (stack.first, stack.second)]
    predictions = model(x)
    found = metric(model, predictions, (torch.zeros(1), None))
    spikes = torch.cat(stack.spikes)
    ours = counted(first, x[:, 0], analog=True) + counted(second, spikes, analog=False)
    assert ours.acs == found["Effective_ACs"] > 0
    assert ours.macs == found["Effective_MACs"] > 0
    assert ours.dense_macs == found["Dense"]
    assert ours.acs == jelly(stack, [x])


@pytest.mark.parametrize(("leak", "leaky"), [(0.0, False), (0.5, True), (1.0, False)])
def test_leaks_are_multiplied_only_where_they_leak(leak: float, leaky: bool) -> None:
    ops = count_population(population("s", leak=np.array(leak)), np.zeros((1, 2, 2, 5, 4), bool), FLOAT_WORDS)
    assert ops.leak_multiplies == (ops.neuron_updates if leaky else 0)
    assert ops.state_bytes == 2 * 4 * ops.neuron_updates


def in_integers(name: str, geometry: ConvGeometry, seed: int, *, analog: bool) -> FixedConvLIF:
    """A layer without leak."""
    weight = 2 * np.random.default_rng(seed).integers(-9, 10, geometry.weight_shape, dtype=np.int32)
    bias = np.zeros(geometry.out_channels, np.int32)
    return FixedConvLIF(name, geometry, weight, bias, 0, 40, "soft", "analog" if analog else "spike", True, 1.0, 1.0)


def test_float_and_integers_count_the_same_where_they_compute_the_same() -> None:
    """Integers throughout, and no leak: thresholds of 40 in either, whose shift by 6 the input has too."""
    first = ConvGeometry((2, 9, 8), 4, (3, 3), (2, 1), (1, 1))
    second = ConvGeometry(first.output_shape, 6, (3, 3), (1, 1), (1, 1))
    layers = in_integers("s.0", first, 0, analog=True), in_integers("s.1", second, 1, analog=False)
    chip = fixed_graph_of(Program((Stream("s", "x", layers),), 5))
    floats = in_float(chip)
    x = {"x": np.random.default_rng(2).integers(-4, 5, (2, 5, 2, 9, 8)).astype(np.float32)}
    one, other = TorchGraph(floats).run(x), GraphEmulator(chip).run(x)
    left, right = count_graph(floats, one.inputs, one.spikes), count_graph(chip, other.inputs, other.spikes)
    for a, b in zip(left.groups, right.groups, strict=True):
        assert (a.macs, a.acs, a.dense_macs) == (b.macs, b.acs, b.dense_macs)
    for name, a in left.populations.items():
        b = right.populations[name]
        assert (a.neuron_updates, a.spikes) == (b.neuron_updates, b.spikes)
        assert a.spikes > 0


@needs_lava
def test_emulator_onnx_and_lava_count_the_same_on_a_clip(clip: Any, bundle: Bundle) -> None:
    records = [
        simulate(clip, bundle, SimulateOptions(snn=name, parity=False)).record
        for name in ("emulator", "onnxruntime", "lava")
    ]
    assert len({tuple(row.ops for row in record.layers) for record in records}) == 1
    floats = [
        simulate(clip, bundle, SimulateOptions(snn=name, parity=False)).record
        for name in ("torch", "onnxruntime-float")
    ]
    assert [row.ops.dense_macs for row in floats[0].layers] == [row.ops.dense_macs for row in records[0].layers]
