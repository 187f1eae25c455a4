"""Runs of graph programs: a fault is found at the right place and called by its name; who follows the program does."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.faulty_graph import (
    Array,
    Fault,
    N,
    T,
    example,
    messages,
    run,
    with_group,
    with_population,
    wrap,
)
from helpers.float_graphs import in_float

from hybridnet.errors import BackendError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.divergence.causes import Cause, classify
from hybridnet.simulators.divergence.find import Divergence, Side, find
from hybridnet.simulators.divergence.lanes import lanes_of
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.torch.graph_step import TorchGraph


@functools.cache
def right_one() -> tuple[FixedGraph, dict[str, Array], SpikingResult]:
    graph = example()
    fed = messages(graph)
    return graph, fed, run(graph, fed)


def parted(left: SpikingResult, right: SpikingResult) -> tuple[dict[str, Divergence], dict[str, Cause]]:
    """Per part its first difference, held against a search of one number after another, and the cause."""
    graph = right_one()[0]
    a, b = Side("left", graph, left), Side("right", graph, right)
    firsts, causes = {}, {}
    for lane, found in zip(lanes_of(graph), find(a, b), strict=True):
        names = [layer.name for layer in lane.layers]
        place = found.first.place if found.first else None
        assert search(left, right, names) == (place and (place.layer, *[getattr(place, key) for key in PLACE]))
        if found.first:
            firsts[lane.name] = found.first
            (causes[lane.name],) = classify(a, b, found.first)
    return firsts, causes


PLACE = ("window", "step", "channel", "y", "x")


def search(a: SpikingResult, b: SpikingResult, names: list[str]) -> tuple[Any, ...] | None:
    for window, step, name in itertools.product(range(N), range(T), names):
        states = [(getattr(a, key)[name], getattr(b, key)[name]) for key in ("potentials", "spikes", "currents")]
        kept = states if name == "first" else states[:2]
        for neuron in np.ndindex(states[0][0].shape[2:]):
            if any(u[window, step][neuron] != v[window, step][neuron] for u, v in kept):
                return (name, window, step, *neuron)
    return None


def test_the_example_has_life_in_all_its_populations() -> None:
    _, _, result = right_one()
    for name in ("first", "second", "alone"):
        assert 0.02 < result.spikes[name].mean() < 0.6, name
    assert lanes_of(right_one()[0])[0].name == "image + events"
    assert [lane.name for lane in lanes_of(right_one()[0])] == ["image + events", "sound"]


FAULTS = {
    "rounds to nearest": (Fault(decay=lambda p: np.rint(p / 4096).astype(np.int64)), "rounding", "rounds the decay to"),
    "carried": (Fault(kept=True), "reset semantics", "keeps the state of the window before"),
    "other reset": (Fault(reset="none"), "reset semantics", "does not reset"),
}


@pytest.mark.parametrize("population", ["first", "second", "alone"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_that_is_computed_otherwise(fault: str, population: str) -> None:
    change, kind, says = FAULTS[fault]
    graph, fed, left = right_one()
    firsts, causes = parted(left, run(graph, fed, replace(change, population=population)))
    ((part, first),) = firsts.items()
    assert first.place.layer == population
    assert (causes[part].kind, causes[part].side) == (kind, "right"), causes[part]
    assert causes[part].statement.startswith(says)
    assert (first.place.window > 0) == (fault == "carried")
    assert "left follows the program, bit for bit" in causes[part].evidence


def test_the_other_side_may_be_the_one_that_departs() -> None:
    graph, fed, right = right_one()
    _, causes = parted(run(graph, fed, Fault("second", reset="hard")), right)
    assert causes["image + events"].side == "left"
    assert causes["image + events"].statement.startswith("resets hard")


CHANGES: dict[str, tuple[FixedGraph, str, str, str]] = {
    "leak of a channel": (
        with_population(example(), "second", decay=np.array([407, 800, 1190, 300], np.int32)),
        "second", "leak difference", "decays with dv = 1190, not 1200, in channel 2",
    ),
    "leak of all": (
        with_population(example(), "out", decay=np.array(9, np.int32)),
        "out", "leak difference", "decays with dv = 9, not 0",
    ),
    "current of a channel": (
        with_population(example(), "first", current_decay=np.array([1000, 2100, 3000, 4096], np.int32)),
        "first", "leak difference", "keeps its current with dc = 2100, not 2000, in channel 1",
    ),
    "bias of a channel": (
        with_population(example(), "alone", bias=example().populations[3].bias + np.array([0, 0, 0, 7], np.int32)),
        "alone", "bias difference", "adds another bias: +7 in channel 3",
    ),
    "r is vth": (
        with_population(example(), "second", reset_amount=example().populations[1].threshold),
        "second", "reset semantics", "subtracts vth, not the program's r",
    ),
    "a delay lost": (
        with_group(example(), 4, delay=0), "second", "timing", "takes first→second without its delay of 3 steps",
    ),
    "a delay too much": (with_group(example(), 5, delay=3), "second", "timing", "takes events→second one step late"),
    "a group lost": (
        with_group(example(), 1, weight=0 * example().synapses[1].weight),
        "first", "weight difference", "lacks what events→first brings",
    ),
    "weights of a group": (
        with_group(example(), 3, weight=example().synapses[3].weight // 4 * 2),
        "second", "unexplained", "departs from the program in a way that no known cause predicts",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_program_with_another_number(change: str) -> None:
    changed, population, kind, statement = CHANGES[change]
    _, fed, left = right_one()
    firsts, causes = parted(left, run(changed, fed))
    ((part, first),) = firsts.items()
    assert first.place.layer == population
    assert (causes[part].kind, causes[part].side) == (kind, "right"), causes[part]
    assert causes[part].statement == statement
    if kind == "unexplained":
        assert any("what arrives: first→second, first→second (delay 3)" in line for line in causes[part].evidence)


@pytest.mark.parametrize("change", ["leak of a channel", "a delay lost", "weights of a group", "current of a channel"])
def test_without_currents_the_same_is_found(change: str) -> None:
    """A recording need not have them: they follow from what arrives."""
    changed, population, kind, _ = CHANGES[change]
    graph, fed, left = right_one()
    bare = [replace(result, currents={}) for result in (left, run(changed, fed))]
    a, b = (Side(name, graph, result) for name, result in zip(("left", "right"), bare, strict=True))
    first = find(a, b)[0].first
    assert first is not None
    (cause,) = classify(a, b, first)
    assert (first.place.layer, first.a.c, cause.side) == (population, None, "right")
    assert cause.kind == ("unexplained" if change == "current of a channel" else kind)


def test_a_tie_at_a_threshold_of_a_channel() -> None:
    graph, fed, left = right_one()
    exact = int(left.potentials["second"][0, 0, 1].max())  # a multiple of 64: nothing has decayed yet
    assert exact > 0
    assert exact % 64 == 0
    vth = graph.populations[1].threshold
    assert vth is not None
    tied = with_population(graph, "second", threshold=np.where(np.arange(4) == 1, exact // 64, vth).astype(np.int32))
    a = Side("strict", tied, run(tied, fed))
    b = Side("at it", tied, run(tied, fed, Fault("second", spikes=lambda v, vth: v >= vth)))
    first = find(a, b)[0].first
    assert first is not None
    assert (first.place.window, first.place.step, first.place.channel, first.a.distance) == (0, 0, 1, 0)
    (cause,) = classify(a, b, first)
    assert (cause.kind, cause.side) == ("tie at threshold", "at it")


@pytest.mark.parametrize("kind", ["potential", "current"])
def test_saturation_that_wraps_around(kind: str) -> None:
    graph = with_population(
        example(),
        "first",
        decay=np.array(0, np.int32),
        current_decay=np.array(0 if kind == "current" else 4096, np.int32),
        threshold=np.array(2**17 - 1, np.int32),
        bias=np.full(4, 4095, np.int32),
    )
    fed = {name: np.full_like(values, 127) for name, values in messages(graph).items()}
    heavy = [np.full_like(g.weight, 254) if g.target == "first" else g.weight for g in graph.synapses]
    for index, weight in enumerate(heavy):
        graph = with_group(graph, index, weight=weight)
    fault = Fault("first", wrap_current=True) if kind == "current" else Fault("first", saturate=wrap)
    a, b = Side("clips", graph, run(graph, fed)), Side("wraps", graph, run(graph, fed, fault))
    first = find(a, b)[0].first
    assert first is not None
    assert first.place.layer == "first"
    (cause,) = classify(a, b, first)
    assert (cause.kind, cause.side) == ("saturation", "wraps"), cause
    says = "wraps its current around" if kind == "current" else "wraps around at 24 bits"
    assert cause.statement.startswith(says)


def test_a_current_that_differs_alone_is_a_difference() -> None:
    left = right_one()[2]
    currents = left.currents["first"].copy()
    currents[1, 4, 2, 3, 1] += 1
    firsts, causes = parted(left, replace(left, currents={**left.currents, "first": currents}))
    first = firsts["image + events"]
    assert (first.place.window, first.place.step, first.place.channel) == (1, 4, 2)
    assert (first.a.u, first.b.c) == (first.b.u, (first.a.c or 0) + 1)
    assert causes["image + events"].kind == "unexplained"


def test_a_still_input_that_differs_is_found_before_all_else() -> None:
    graph, fed, left = right_one()
    other = {**fed, "image": fed["image"][..., ::-1]}
    a, b = Side("left", graph, left), Side("right", graph, run(graph, other))
    first = find(a, b)[0].first
    assert first is not None
    assert (first.place.layer, first.place.depth, first.place.step) == ("image input", -2, 0)
    (cause,) = classify(a, b, first)
    assert (cause.kind, cause.statement) == ("layout", "b's input is a's flipped horizontally")


def test_records_of_another_shape_are_refused() -> None:
    graph, _, left = right_one()
    turned = {**left.currents, "first": left.currents["first"].swapaxes(3, 4)}
    with pytest.raises(BackendError, match=r"first.c of other is .*transpose it"):
        find(Side("a", graph, left), Side("other", graph, replace(left, currents=turned)))


def test_integers_beside_floats_are_quantised_and_a_fault_is_told_from_that() -> None:
    graph, fed, _ = right_one()
    inputs = tuple(replace(node, input_scale=1.0) for node in graph.inputs)
    populations = tuple(replace(p, scale=2.0**17) for p in graph.populations)
    fixed = FixedGraph(inputs, populations, graph.synapses, graph.steps)
    program = in_float(fixed)
    floats = {name: values.astype(np.float32) for name, values in fed.items()}
    b = Side("float", program, TorchGraph(program, torch.float64).run(floats, record_potentials=True))
    a = Side("fixed", fixed, run(fixed, fed))
    first = find(a, b, 0.0)[0].first
    assert first is not None
    (cause,) = classify(a, b, first)
    assert (cause.kind, cause.side) == ("quantisation", "")
    assert "vth is" in cause.evidence[1]
    wrong = Side("wrong", fixed, run(fixed, fed, Fault("first", reset="none")))
    first = find(wrong, b)[0].first
    assert first is not None
    assert first.place.layer == "first"
    (cause,) = classify(wrong, b, first)
    assert (cause.kind, cause.side) == ("reset semantics", "wrong")


def test_floats_are_equal_within_their_rounding_integrators_too() -> None:
    graph, fed, _ = right_one()
    program = in_float(graph)
    floats = {name: values.astype(np.float32) for name, values in fed.items()}
    single, double = (
        Side(name, program, TorchGraph(program, kind).run(floats, record_potentials=True))
        for name, kind in (("single", torch.float32), ("double", torch.float64))
    )
    assert all(part.first is None for part in find(single, double))
    first = find(single, double, 0.0)[0].first
    assert first is not None
    (cause,) = classify(single, double, first)
    assert (cause.kind, cause.side) == ("rounding", "")
    potentials = np.array(double.result.potentials["out"])
    potentials[2, 3, 1, 0, 0] += 0.1 * np.abs(potentials).max()
    other = replace(double.result, potentials={**double.result.potentials, "out": potentials})
    first = find(double, Side("other", program, other))[0].first
    assert first is not None
    assert (first.place.layer, first.place.step, first.a.distance) == ("out", 3, None)
