"""The prediction of a step follows what the emulator and torch record of any graph."""

from __future__ import annotations

from dataclasses import replace

import torch
from helpers.float_graphs import in_float
from helpers.graph_equality import patient
from helpers.random_graphs import graphs, random_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.divergence.find import Place, Side, find
from hybridnet.simulators.divergence.observe import observe
from hybridnet.simulators.divergence.step_check import departures, predict
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.torch.graph_step import TorchGraph


def followed(side: Side, places: list[tuple[str, int]], *, within: bool = False) -> None:
    for name, window in places:
        observed = observe(side, Place("", name, 0, window, 0, 0, 0, 0), window)
        assert not departures(observed, predict(observed)).any(), name
        assert within or observed.allowed == 0


@settings(patient, max_examples=60)
@given(graphs(), st.integers(0, 2**32 - 1))
def test_the_emulator_follows_every_program_bit_for_bit(graph: FixedGraph, seed: int) -> None:
    """Each step predicted from the recorded one before it, with currents and without: fan-in, cycles, delays, all."""
    inputs = random_inputs(graph, 2, seed)
    result = GraphEmulator(graph).run(inputs, record_potentials=True)
    side = Side("emulator", graph, result)
    assert all(part.first is None for part in find(side, side))
    places = [(p.name, window) for p in graph.populations for window in range(2)]
    followed(side, places)
    followed(Side("bare", graph, replace(result, currents={})), places)


@settings(patient, max_examples=40)
@given(graphs(), st.integers(0, 2**32 - 1), st.sampled_from([torch.float32, torch.float64]))
def test_torch_follows_every_program_within_its_rounding(graph: FixedGraph, seed: int, dtype: torch.dtype) -> None:
    program = in_float(graph)
    result = TorchGraph(program, dtype).run(random_inputs(graph, 2, seed), record_potentials=True)
    side = Side("torch", program, result)
    assert all(part.first is None for part in find(side, side))
    followed(side, [(p.name, 1) for p in program.populations], within=True)
