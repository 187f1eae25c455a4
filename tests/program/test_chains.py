"""Chains as graphs: equal in every bit; and graphs that are chains, and those that are more."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.graph_equality import patient
from helpers.random_programs import Streams, streams
from helpers.small_graphs import population, program, synapse
from hybridnet.simulators.emulator.backend import Emulator
from hybridnet.simulators.torch.float_step import TorchBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.errors import ConfigError
from hybridnet.program.chains import chains_of, fixed_graph_of, graph_of
from hybridnet.program.graph import GraphProgram, Input, Synapse
from hybridnet.program.layers import Program
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.torch.graph_step import TorchGraph
from hybridnet.support.arrays import Array
from hybridnet.workflows.simulate import load, shipped_bundle_path

T = 4


def inputs_of(batch: list[Streams], views: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {fixed.input_name: (views, T, *fixed.input_shape) for _, fixed in batch}
    return {name: rng.uniform(-6.4, 6.4, shape).astype(np.float32) for name, shape in shapes.items()}


@settings(patient, max_examples=40)
@given(batch=st.tuples(streams("mv"), streams("r")), views=st.integers(1, 2), seed=st.integers(0, 2**32 - 1))
def test_every_bit_is_that_of_the_chain(batch: tuple[Streams, Streams], views: int, seed: int) -> None:
    fixed = Program(tuple(stream for _, stream in batch), T)
    inputs = inputs_of([*batch], views, seed)
    chain = Emulator(fixed).run(inputs, record_potentials=True)
    graph = GraphEmulator(fixed_graph_of(fixed)).run(inputs, record_potentials=True)
    assert chain.overflows == graph.overflows
    assert [*chain.clipped_inputs.values()] == [*graph.clipped_inputs.values()]
    for stream in fixed.streams:
        np.testing.assert_array_equal(chain.inputs[stream.name], graph.inputs[stream.input_name])
    for layer in fixed.layers():
        np.testing.assert_array_equal(chain.potentials[layer.name], graph.potentials[layer.name])
        np.testing.assert_array_equal(chain.spikes[layer.name], graph.spikes[layer.name])


@settings(patient, max_examples=30)
@given(batch=st.tuples(streams("mv"), streams("r")))
def test_there_and_back(batch: tuple[Streams, Streams]) -> None:
    in_float = Program(tuple(stream for stream, _ in batch), T)
    read_outs = {layer.name for layer in in_float.layers() if layer.read_out}
    found = chains_of(graph_of(in_float), read_outs)
    assert found is not None
    assert found.steps == T
    for wrote, read in zip(in_float.streams, found.streams, strict=True):
        assert (read.name, read.input_name) == (wrote.name, wrote.input_name)
        for one, other in zip(wrote.layers, read.layers, strict=True):
            for field, value in vars(one).items():
                np.testing.assert_array_equal(getattr(other, field), value)


def test_the_shipped_program_is_the_same_in_float_and_in_integers() -> None:
    bundle = load(shipped_bundle_path())
    rng = np.random.default_rng(0)
    shapes = {s.input_name: (2, bundle.program.steps, *s.input_shape) for s in bundle.program.streams}
    inputs = {name: rng.normal(0, 2, shape).astype(np.float32) for name, shape in shapes.items()}
    chain, graph = TorchBackend(bundle.program, torch.float64), TorchGraph(graph_of(bundle.program), torch.float64)
    one, other = (back_end.run(inputs, record_potentials=True) for back_end in (chain, graph))
    emulated = Emulator(bundle.fixed).run(inputs, record_potentials=True)
    again = GraphEmulator(fixed_graph_of(bundle.fixed)).run(inputs, record_potentials=True)
    for layer in bundle.program.layers():
        np.testing.assert_allclose(one.potentials[layer.name], other.potentials[layer.name], rtol=0, atol=1e-10)
        np.testing.assert_array_equal(one.spikes[layer.name], other.spikes[layer.name])
        np.testing.assert_array_equal(emulated.potentials[layer.name], again.potentials[layer.name])
        assert emulated.spikes[layer.name].any()


def test_one_input_in_two_scales_is_refused() -> None:
    bundle = load(shipped_bundle_path())
    one, two = bundle.fixed.streams
    first = replace(two.layers[0], input_scale=one.layers[0].input_scale * 2)
    other = replace(two, input_name=one.input_name, layers=(first, *two.layers[1:]))
    with pytest.raises(ConfigError, match="input_scale"):
        fixed_graph_of(Program((one, other), bundle.fixed.steps))


def changed(*synapses: Synapse, still: bool = False, **changes: Any) -> GraphProgram:
    """A chain of two, changed."""
    populations = population("a", **changes), population("b")
    return GraphProgram((Input("x", (2, 5, 4), still),), populations, (*synapses, synapse("a", "b")), 2)


CHAIN = synapse("x", "a")
TRANSPOSED = TransposedGeometry((2, 5, 4), 2, (1, 1))
MORE = {
    "a still input": changed(CHAIN, still=True),
    "a join": program("x>a", "a>b", "x>b"),
    "two readers": program("x>a", "a>b", "a>c"),
    "a circle": program("x>a", "a>b", "b>>b"),
    "a delay": program("x>>a"),
    "no input": changed(),
    "leaks": changed(CHAIN, leak=np.array([0.5, 0.6])),
    "thresholds": changed(CHAIN, threshold=np.array([1, 2.0])),
    "another reset": changed(CHAIN, reset_amount=np.array(0.5)),
    "currents": changed(CHAIN, current_leak=np.array(0.5)),
    "an integrator": changed(CHAIN, threshold=None),
    "a bias per neuron": changed(CHAIN, bias=np.zeros((2, 5, 4))),
    "transposed": changed(replace(CHAIN, geometry=TRANSPOSED, weight=np.ones(TRANSPOSED.weight_shape))),
}


@pytest.mark.parametrize("more", MORE)
def test_more_than_chains(more: str) -> None:
    assert chains_of(MORE[more], ()) is None


def test_chains_may_share_an_input_and_numbers_per_channel_may_be_one() -> None:
    graph = program("x>mv.0", "mv.0>mv.1", "x>deep")
    found = chains_of(graph, ("mv.1",))
    assert found is not None
    assert [(s.name, s.input_name, len(s.layers)) for s in found.streams] == [("mv", "x", 2), ("deep", "x", 1)]
    assert [layer.read_out for layer in found.layers()] == [False, True, False]
    assert (
        chains_of(changed(CHAIN, leak=np.array([0.5, 0.5]), reset="hard", reset_amount=np.array(7.0)), ()) is not None
    )
