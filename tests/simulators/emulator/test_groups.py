"""Groups that meet at a population: one floating-point type holds all that they can add up to."""

import numpy as np
from helpers.graph_equality import assert_as_naive

from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.emulator.groups import Groups

TAPS = 1040
"""With weights of 126 and messages of 127, a sum just below 2²⁴."""


def meeting(weights: list[int]) -> FixedGraph:
    """One neuron at which so many dense groups meet, each of equal weights but for the first one of the first."""
    geometry = ConvGeometry((TAPS, 1, 1), 1, (1, 1))
    synapses = []
    for number, weight in enumerate(weights):
        values = np.full(geometry.weight_shape, weight, np.int32)
        values[0, 0] -= 0 if number else 2
        synapses.append(FixedSynapse("x", "sum", geometry, values, shift=0))
    neuron = FixedPopulation(
        "sum",
        (1, 1, 1),
        decay=np.array(4096),
        current_decay=np.array(4096),
        threshold=None,
        reset="soft",
        reset_amount=np.array(0),
        bias=np.zeros(1, np.int32),
        scale=1.0,
    )
    return FixedGraph((FixedInput("x", geometry.input_shape),), (neuron,), tuple(synapses), 1)


def test_sums_that_cancel_on_their_way_through_what_float32_does_not_hold() -> None:
    graph, inputs = meeting([126] * 3 + [-126] * 3), {"x": np.full((1, 1, TAPS, 1, 1), 127, np.float32)}
    result = GraphEmulator(graph).run(inputs, record_potentials=True)
    assert result.potentials["sum"].item() == -254
    assert_as_naive(graph, result, inputs, 1)


def test_one_group_is_added_up_in_float32_and_several_of_them_in_float64() -> None:
    assert Groups(meeting([126]), "sum").dtype == np.float32
    assert Groups(meeting([126, 126]), "sum").dtype == np.float64
