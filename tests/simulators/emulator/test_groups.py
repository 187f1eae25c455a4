"""Groups that meet at a population: one floating-point type holds all that they can add up to."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.graph_equality import assert_as_naive

from hybridnet.errors import MissingBackendError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.emulator import groups
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.emulator.groups import Groups, can_run
from hybridnet.simulators.registry import default_snn

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


def narrow(channels: int) -> FixedGraph:
    """A 3×3 convolution of messages of so many channels."""
    graph, geometry = meeting([2]), ConvGeometry((channels, 6, 5), 8, (3, 3), padding=(1, 1))
    (neuron,), weight = graph.populations, np.full(geometry.weight_shape, 2, np.int32)
    neuron = replace(neuron, shape=geometry.output_shape, bias=np.zeros(8, np.int32))
    source = FixedInput("x", geometry.input_shape)
    return FixedGraph((source,), (neuron,), (FixedSynapse("x", "sum", geometry, weight),), 2)


@pytest.mark.parametrize("missing", ["torch", "hybridnet.simulators.emulator.exact_conv"])
def test_without_torch_the_emulator_runs_what_its_own_loops_do(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is missing in the runtime, whether torch is installed or not."""
    few, many = narrow(2), narrow(40)
    inputs = {"x": np.random.default_rng(0).integers(-127, 128, (2, 2, 2, 6, 5)).astype(np.float32)}
    assert (Groups(few, "sum").in_torch, Groups(many, "sum").in_torch) == (False, True)
    assert can_run(many)
    assert default_snn(many) == "emulator"
    monkeypatch.setattr(groups, "is_there", lambda name: name != missing)
    assert_as_naive(few, GraphEmulator(few).run(inputs, record_potentials=True), inputs, 2)
    with pytest.raises(MissingBackendError, match="x→sum: the emulator convolves this in torch") as refused:
        GraphEmulator(many)
    assert "--snn onnxruntime" in str(refused.value)
    assert (default_snn(few), default_snn(many)) == ("emulator", "onnxruntime")
