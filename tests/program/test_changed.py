"""Programs changed in shape and not in weights: laws that hold whatever the weights are, and refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from helpers.small_graphs import population, synapse
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.errors import ConfigError
from hybridnet.program.bridge import BridgeTensor, crossing_of
from hybridnet.program.changed import with_channels, with_crop, with_steps, with_stride
from hybridnet.program.graph import GraphProgram, Input, Synapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.torch.graph_step import trace_graph
from hybridnet.support.arrays import Array
from hybridnet.workflows.variants import inputs_of, variants

STEPS = 4


def two_layers(seed: int, kernel: tuple[int, int] = (3, 2), padding: tuple[int, int] = (0, 0)) -> GraphProgram:
    """Layers of another height, width, kernel, stride and dilation; the second also feeds itself, later."""
    random = np.random.default_rng(seed)
    one = ConvGeometry((2, 13, 21), 5, kernel, (1, 2), padding)
    two = ConvGeometry(one.output_shape, 3, (2, 3), (2, 1), dilation=(1, 2))
    back = ConvGeometry(two.output_shape, 3, (1, 1))
    groups = [("x", "a", one, 0), ("a", "b", two, 0), ("b", "b", back, 1)]
    synapses = tuple(Synapse(s, t, g, random.normal(0, 1, g.weight_shape), d) for s, t, g, d in groups)
    leaks = random.uniform(0.2, 0.9, 5)
    a = population("a", one.output_shape, leak=leaks, bias=random.normal(0, 0.3, 5))
    return GraphProgram((Input("x", (2, 13, 21)),), (a, population("b", two.output_shape)), synapses, STEPS)


def spikes(program: GraphProgram, inputs: dict[str, Array]) -> dict[str, Array]:
    tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
    return {name: state.o.numpy() for name, state in trace_graph(program, tensors).items()}


def fed(program: GraphProgram, seed: int) -> dict[str, Array]:
    shape = (1, STEPS, *program.inputs[0].shape)
    return {"x": np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 99))
def test_fewer_steps_are_the_first_ones(seed: int) -> None:
    program, inputs = two_layers(seed), fed(two_layers(seed), seed)
    shorter = with_steps(program, 3)
    whole = spikes(program, inputs)
    for name, fired in spikes(shorter, inputs_of(shorter, inputs)).items():
        assert (fired == whole[name][:, :3]).all()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 99))
def test_a_longer_stride_leaves_neurons_out(seed: int) -> None:
    program, inputs = two_layers(seed, padding=(1, 1)), fed(two_layers(seed), seed)
    stepping = with_stride(program, 2)
    whole, fired = (spikes(one, inputs)["a"] for one in (program, stepping))
    assert stepping.synapses[0].geometry.stride == (2, 4)
    assert (fired == whole[..., ::2, ::2]).all()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 99))
def test_a_crop_sees_the_middle(seed: int) -> None:
    """A first layer without a border; 13 × 21 becomes 10 × 16, from row 1 and column 2 on."""
    program, inputs = two_layers(seed), fed(two_layers(seed), seed)
    smaller = with_crop(program, 0.75)
    assert smaller.inputs[0].shape == (2, 10, 16)
    cropped = inputs_of(smaller, inputs)
    assert (cropped["x"] == inputs["x"][..., 1:11, 2:18]).all()
    assert (spikes(smaller, cropped)["a"] == spikes(program, inputs)["a"][..., 1:9, 1:9]).all()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 99))
def test_channels_that_do_nothing_may_go(seed: int) -> None:
    """Two of five have no weights and no bias: without them all others fire as before."""
    program, inputs = two_layers(seed), fed(two_layers(seed), seed)
    kept = [0, 2, 3]
    first = program.synapses[0]
    weight = first.weight.copy()
    weight[[1, 4]] = 0
    a = program.populations[0]
    bias = np.where(np.isin(np.arange(5), kept), a.bias, 0.0)
    silent = GraphProgram(
        program.inputs,
        (dataclasses.replace(a, bias=bias), program.populations[1]),
        (dataclasses.replace(first, weight=weight), *program.synapses[1:]),
        STEPS,
    )
    fewer = with_channels(silent, 0.6)  # of the second layer two of three
    assert [p.shape[0] for p in fewer.populations] == [3, 2]
    assert (spikes(fewer, inputs)["a"] == spikes(silent, inputs)["a"][:, :, kept]).all()
    assert (with_channels(silent, 1.0).synapses[1].weight == silent.synapses[1].weight).all()


def test_channels_of_a_transposed_group_go_too() -> None:
    grown = TransposedGeometry((2, 5, 4), 3, (2, 2), (2, 2))
    weight = np.arange(24.0).reshape(grown.weight_shape)
    program = GraphProgram(
        (Input("x", (2, 5, 4)),),
        (population("a"), population("b", grown.output_shape)),
        (
            dataclasses.replace(synapse("x", "a"), weight=np.stack([np.ones((2, 3, 3)), np.zeros((2, 3, 3))])),
            Synapse("a", "b", grown, weight),
        ),
        2,
    )
    half = with_channels(program, 0.5)
    assert (half.synapses[1].weight == weight[:1, 1:]).all()  # the first channel of a; the heavier two of b


def test_what_cannot_be_is_refused() -> None:
    program = two_layers(0)
    dense = ConvGeometry(program.populations[1].shape, 4, program.populations[1].shape[1:])
    whole = GraphProgram(
        program.inputs,
        (*program.populations, population("c", (4, 1, 1))),
        (*program.synapses, Synapse("b", "c", dense, np.zeros(dense.weight_shape))),
        STEPS,
    )
    with pytest.raises(ConfigError, match="large enough for the kernel"):
        with_crop(whole, 0.5)
    grouped = ConvGeometry((2, 5, 4), 2, (3, 3), padding=(1, 1), groups=2)
    depthwise = GraphProgram(
        (Input("x", (2, 5, 4)),), (population("a"),), (Synapse("x", "a", grouped, np.zeros((2, 1, 3, 3))),), 2
    )
    with pytest.raises(ConfigError, match="groups"):
        with_channels(depthwise, 0.5)
    each = population("a", bias=np.zeros((2, 5, 4)))
    placed = GraphProgram((Input("x", (2, 5, 4)),), (each,), (synapse("x", "a"),), 2)
    with pytest.raises(ConfigError, match=r"bias\.shape"):
        with_crop(placed, 0.5)


def test_what_crosses_follows_the_program() -> None:
    program = two_layers(0)
    bridge = (BridgeTensor("b_u", "b", program.populations[1].shape), BridgeTensor("a_s", "a", (), "spikes"))
    smaller = with_steps(with_stride(program, 2), 3)
    shapes = [tensor.shape for tensor in crossing_of(bridge, smaller)]
    assert shapes == [smaller.populations[1].shape, (3, *smaller.populations[0].shape)]


def test_every_kind_of_change_is_tried_once() -> None:
    changes = list(variants(two_layers(0)))
    assert [change.knob for change in changes[:1]] == [""]
    assert {change.knob for change in changes[1:]} == {"stride", "channels", "bits", "steps", "crop"}
    assert len({change.change for change in changes}) == len(changes)
    assert [change.make().steps for change in changes if change.knob == "steps"] == [3, 2, 1]
