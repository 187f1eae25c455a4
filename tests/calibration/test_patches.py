"""Patches of a population: its potential is linear in them, whatever the groups, delays, leaks and geometries."""

import dataclasses

import numpy as np
import torch
from helpers.float_graphs import in_float
from helpers.graph_equality import patient
from helpers.random_graphs import graphs, random_inputs, shapes, transposed
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.calibration.patches import Block, blocks_of, patches, rows_of, weight_of
from hybridnet.calibration.sources import population_alone
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram, Population
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.torch.graph_step import trace_graph


@settings(patient, max_examples=40)
@given(graph=graphs(), seed=st.integers(0, 2**32 - 1))
def test_a_potential_without_spikes_is_weights_times_patches(graph: FixedGraph, seed: int) -> None:
    """Against the torch reference, at every step."""
    program = in_float(graph)
    rng = np.random.default_rng(seed)
    sent = {node.name: x[0] for node, x in zip(graph.inputs, random_inputs(graph, 1, seed).values(), strict=True)}
    sent |= {p.name: rng.integers(0, 2, (graph.steps, *p.shape)).astype(np.float32) for p in program.populations}
    for own in program.populations:
        alone, sources = population_alone(program, own.name)
        if not sources:
            continue
        silent = dataclasses.replace(alone.populations[0], threshold=None)
        alone = GraphProgram(alone.inputs, (silent,), alone.synapses, alone.steps)
        view = {at: torch.from_numpy(sent[source]).double() for at, source in sources.items()}
        u = trace_graph(alone, {at: x[None] for at, x in view.items()})[own.name].u[0].numpy()
        groups, blocks = alone.synapses, blocks_of(silent, alone.synapses)
        assert sorted(np.concatenate([block.channels for block in blocks])) == list(range(own.shape[0]))
        rows = [rows_of(g.geometry, g.weight) for g in groups]
        per_neuron = silent.bias.ndim == 3
        bias = np.zeros(own.shape[0]) if per_neuron else silent.bias
        joined = np.concatenate([*rows, bias[:, None]], 1)
        for t, step in enumerate(patches(blocks, groups, view, alone.steps, set(range(alone.steps)))):
            for block, z in zip(blocks, step, strict=True):
                found = (joined[block.channels] @ z).reshape(-1, *own.shape[1:])
                if per_neuron:
                    found = found + silent.bias[block.channels] * z[-1, 0]
                expected = u[t, block.channels]
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * max(1, np.abs(expected).max()))


@settings(patient, max_examples=40)
@given(data=st.data())
def test_weights_of_a_transposed_group_come_back_from_rows(data: st.DataObject) -> None:
    geometry: TransposedGeometry = data.draw(transposed(data.draw(shapes()), data.draw(shapes())))
    weight = np.random.default_rng(0).normal(size=geometry.weight_shape)
    rows = rows_of(geometry, weight)
    assert len(rows) == geometry.out_channels
    assert np.array_equal(weight_of(geometry, rows), weight)


def leaky(leaks: list[float]) -> Population:
    one = np.array(1.0)
    return Population(
        "p", (len(leaks), 1, 1), np.array(leaks), np.array(0.0), one, "soft", one, np.zeros(len(leaks))
    )  # fmt: skip


def test_channels_of_many_leaks_are_taken_together_with_their_neighbours() -> None:
    blocks: list[Block] = blocks_of(leaky([i / 99 for i in range(100)]), ())
    assert len(blocks) == 8
    assert [block.leak for block in blocks] == sorted(block.leak for block in blocks)
    assert len(blocks_of(leaky([0.5] * 100), ())) == 1
