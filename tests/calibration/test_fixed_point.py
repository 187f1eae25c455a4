"""Float graph programs in integers: every number is the nearest, one scale per population, some register is full."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.float_graphs import in_float
from helpers.graph_equality import patient
from helpers.random_graphs import graphs, random_inputs
from helpers.small_graphs import population, synapse
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from hybridnet.calibration.fixed_point import population_scale, quantise_graph, quantise_population
from hybridnet.calibration.limits import HEADROOM
from hybridnet.calibration.observation import Observation, observation_of
from hybridnet.calibration.statistics import statistics_of
from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram, Input, Synapse
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.torch.graph_step import TorchGraph

X = Input("x", (2, 5, 4))


def seen_in(program: GraphProgram, x: float = 2.0, u: float = 3.0, c: float = 1.0) -> Observation:
    """As if each input, potential and current had been no larger."""
    names = [p.name for p in program.populations]
    of = {value: statistics_of(torch.tensor([value]), "seen") for value in (x, u, c)}
    return Observation({"x": of[x]}, dict.fromkeys(names, of[c]), dict.fromkeys(names, of[u]), 1)


def weighted(source: str, target: str, largest: float, delay: int = 0) -> Synapse:
    g = synapse(source, target, delay)
    return replace(g, weight=np.linspace(-largest, largest, g.weight.size).reshape(g.weight.shape))


@settings(patient, max_examples=40)
@given(graph=graphs(), seed=st.integers(0, 2**32 - 1))
def test_every_number_is_the_nearest(graph: FixedGraph, seed: int) -> None:
    program = in_float(graph)
    inputs = {name: torch.as_tensor(v, dtype=torch.float64) for name, v in random_inputs(graph, 2, seed).items()}
    inputs = {name: values + 0.01 for name, values in inputs.items()}
    try:
        fixed = quantise_graph(program, observation_of(program, inputs))
    except RangeError:
        reject()  # a threshold below one unit
    sent = {node.name: node.input_scale for node in fixed.inputs}
    scales = {p.name: p.scale for p in fixed.populations}
    for p, q in zip(program.populations, fixed.populations, strict=True):
        unit = 64 / q.scale
        np.testing.assert_allclose(1 - q.decay / 4096, p.leak, atol=0.5 / 4096)
        np.testing.assert_allclose(1 - q.current_decay / 4096, p.current_leak, atol=0.5 / 4096)
        np.testing.assert_allclose(q.bias * unit, p.bias, rtol=0, atol=0.501 * unit)
        if p.threshold is not None and q.threshold is not None:
            np.testing.assert_allclose(q.threshold * unit, p.threshold, rtol=0, atol=0.501 * unit)
            if p.reset == "soft":
                np.testing.assert_allclose(q.reset_amount * unit, p.reset_amount, rtol=0, atol=0.501 * unit)
    for g, group in zip(program.synapses, fixed.synapses, strict=True):
        unit = 2.0**group.shift * sent.get(g.source, 1.0) / scales[g.target]
        np.testing.assert_allclose(group.weight * unit, g.weight, rtol=0, atol=1.001 * unit)
        assert group.shift == 0 or np.abs(g.weight).max() > 254 / 2 * unit  # a smaller shift would not hold them


def test_integrators_follow_the_float_program() -> None:
    program = GraphProgram(
        (X,),
        (population("a", threshold=None, current_leak=np.array([0.5, 0.9]), bias=np.array([0.1, -0.2])),),
        (weighted("x", "a", 0.7), weighted("x", "a", 0.02, delay=2)),
        5,
    )
    x = {"x": torch.randn(3, 5, 2, 5, 4, generator=torch.Generator().manual_seed(1)).numpy()}
    fixed = quantise_graph(program, observation_of(program, {"x": torch.as_tensor(x["x"])}))
    found = GraphEmulator(fixed, strict=True).run(x, record_potentials=True)
    expected = TorchGraph(program).run(x, record_potentials=True)
    largest = np.abs(expected.potentials["a"]).max()
    scale = fixed.populations[0].scale
    np.testing.assert_allclose(found.potentials["a"] / scale, expected.potentials["a"], rtol=0, atol=0.02 * largest)
    np.testing.assert_allclose(found.currents["a"] / scale, expected.currents["a"], rtol=0, atol=0.02 * largest)
    assert fixed.synapses[1].shift < fixed.synapses[0].shift  # smaller weights are held more finely


LIMITS = {
    "potential": (population("a"), {"u": 1000.0}, 2**23 - 1, 1000 * HEADROOM),
    "current that is kept": (population("a", current_leak=np.array([0, 0.1])), {"c": 1000.0}, 2**23 - 1, 1500),
    "current that is not": (population("a"), {"c": 1000.0, "u": 0.1}, 254 * 64 * 127 / 2, 0.5),
    "threshold": (population("a", threshold=np.array([1.0, 500])), {}, (2**17 - 1) * 64, 500),
    "reset": (population("a", reset_amount=np.array(-500.0)), {}, (2**17 - 1) * 64, 500),
    "hard reset needs no amount": (
        population("a", reset_amount=np.array(-500.0), reset="hard"), {"u": 0.1}, 254 * 64 * 127 / 2, 0.5,
    ),
    "bias": (population("a", bias=np.array([3.0, -9.0])), {}, (2**12 - 1) * 64, 9),
}  # fmt: skip


@pytest.mark.parametrize("case", LIMITS)
def test_the_scale_is_the_largest_that_a_register_allows(case: str) -> None:
    p, seen, register, value = LIMITS[case]
    groups = (weighted("x", "a", 0.5),)
    program = GraphProgram((X,), (p,), groups, 1)
    assert population_scale(p, groups, {"x": 127 / 2}, seen_in(program, **seen)) == pytest.approx(register / value)


@pytest.mark.parametrize("largest", [0.02, 0.9])
def test_stock_neurons_keep_the_shift_that_they_know(largest: float) -> None:
    """For a chain with hard reset; a finer shift is a soft reset's, and a hard one's of what is more than chains."""
    p, g = (
        population("a", reset="hard", reset_amount=np.array(0.0), threshold=np.array(40.0)),
        weighted("x", "a", largest),
    )
    chain = GraphProgram((X,), (p,), (g,), 1)
    assert quantise_graph(chain, seen_in(chain)).synapses[0].shift == 6
    for more in (
        GraphProgram((X,), (population("a", threshold=np.array(40.0), reset_amount=np.array(40.0)),), (g,), 1),
        GraphProgram((X,), (p,), (g, weighted("x", "a", largest)), 1),
    ):
        assert quantise_graph(more, seen_in(more)).synapses[0].shift < 6


def test_an_input_of_zeros_is_refused() -> None:
    program = GraphProgram((X,), (population("a"),), (weighted("x", "a", 1),), 1)
    with pytest.raises(RangeError, match="x: the calibration inputs hold nothing but zeros"):
        quantise_graph(program, seen_in(program, x=0.0))


def test_a_threshold_below_one_unit_is_refused() -> None:
    with pytest.raises(RangeError, match=r"a: threshold 0\.001 is below one unit"):
        quantise_population(population("a", threshold=np.array([0.001, 1])), 64.0)
