"""The search of graphs: beats the rule it starts from, keeps every register, and finds the same again."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.float_graphs import in_float
from helpers.graph_equality import patient
from helpers.random_graphs import graphs
from helpers.search_views import assert_losses_fall, fidelity, views_of
from helpers.small_graphs import population
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observation import observation_of
from hybridnet.calibration.sequence import SearchView, search_graph
from hybridnet.errors import RangeError
from hybridnet.program.bridge import BridgeTensor
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import INPUT_MAX, ConvGeometry
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.torch.graph_step import trace_graph

SHAPE, STEPS = (2, 13, 11), 6


def group(source: str, target: str, seed: int, channels: int = 2, **changes: Any) -> Synapse:
    geometry = ConvGeometry((channels, *SHAPE[1:]), 4, (3, 3), padding=(1, 1))
    return Synapse(
        source, target, geometry, np.random.default_rng(seed).normal(0, 0.3, geometry.weight_shape), **changes
    )


def neurons(name: str, **changes: Any) -> Population:
    values = {
        "leak": np.array(0.8),
        "threshold": np.array(0.7),
        "reset_amount": np.array(0.7),
        "bias": np.full(4, 0.02),
    }
    return population(name, (4, *SHAPE[1:]), **{**values, **changes})


X = Input("x", SHAPE)
TRANSPOSED = TransposedGeometry((4, *SHAPE[1:]), 4, (3, 3), padding=(1, 1))
PROGRAMS = {
    "one population": GraphProgram((X,), (neurons("a"),), (group("x", "a", 1),), STEPS),
    "currents, per channel": GraphProgram(
        (X,),
        (
            neurons("a", current_leak=np.array(0.5), threshold=np.array([0.7, 1, 1.2, 1.4])),
            neurons("b", leak=np.array([0.9, 0.5, 0.8, 0.7]), reset="hard"),
        ),
        (group("x", "a", 1), group("a", "b", 2, 4)),
        STEPS,
    ),
    "a join of unequal depth, and a shared input": GraphProgram(
        (X,),
        (neurons("a"), neurons("b"), neurons("c", reset_amount=np.array(0.5))),
        (group("x", "a", 1), group("a", "b", 2, 4), group("x", "b", 5), group("b", "c", 3, 4), group("a", "c", 4, 4)),
        STEPS,
    ),
    "a cycle": GraphProgram(
        (X,),
        (neurons("a"), neurons("b")),
        (group("x", "a", 1), group("a", "a", 2, 4, delay=1), group("a", "b", 3, 4), group("b", "a", 4, 4, delay=1)),
        STEPS,
    ),
    "a still input, an integrator, a transposed group": GraphProgram(
        (Input("x", SHAPE, still=True),),
        (neurons("a", threshold=np.array(1.5)), neurons("b", threshold=None)),
        (
            group("x", "a", 1),
            Synapse("a", "b", TRANSPOSED, np.random.default_rng(2).normal(0, 0.3, TRANSPOSED.weight_shape)),
        ),
        STEPS,
    ),
}


def read(program: GraphProgram) -> list[BridgeTensor]:
    last = program.populations[-1]
    return [BridgeTensor("u", last.name, last.shape)]


@pytest.mark.parametrize("case", PROGRAMS)
def test_it_beats_the_maximum_on_views_it_never_saw(case: str) -> None:
    program = PROGRAMS[case]
    seen, views = views_of(program, 6, 1)
    _, others = views_of(program, 6, 2)
    found = search_graph(program, seen, views, read(program))
    better, before = fidelity(found.program, others), fidelity(quantise_graph(program, seen), others)
    assert better.sqnr_db[-1] > before.sqnr_db[-1], (better, before)
    assert better.same_spikes > before.same_spikes
    assert_losses_fall(found)


@pytest.mark.parametrize("case", PROGRAMS)
def test_every_register_holds(case: str) -> None:
    program = PROGRAMS[case]
    seen, views = views_of(program, 4, 1)
    found = search_graph(program, seen, views, read(program)).program
    emulator = GraphEmulator(found, strict=True)  # raises where anything saturates or is clipped
    for view in views:
        emulator.run(view.inputs)
    assert found.inputs[0].message_max > 127
    for g in found.synapses:
        assert g.source != "x" or g.largest_sum(found.inputs[0].message_max) <= INPUT_MAX
    for p, own in zip(program.populations, found.populations, strict=True):  # what is one number stays one
        for name in ("decay", "threshold", "current_decay"):
            ours, theirs = getattr(own, name), getattr(p, name.replace("decay", "leak"))
            assert np.shape(ours) == np.shape(theirs)


@settings(patient, max_examples=4)
@given(graph=graphs(3), seed=st.integers(0, 2**32 - 1))
def test_no_graph_is_worse_than_by_the_maximum_where_both_are_fed_the_same(graph: FixedGraph, seed: int) -> None:
    """The first population is, in what it loses on the views of the search."""
    program = in_float(graph)
    seen, views = views_of(program, 2, seed)
    try:
        plain = quantise_graph(program, seen)
    except RangeError:
        reject()  # a threshold below one unit
    found = search_graph(program, seen, views, ())
    assert [(g.source, g.target, g.delay) for g in found.program.synapses] == [
        (g.source, g.target, g.delay) for g in program.synapses
    ]
    assert_losses_fall(found)
    first = program.populations[0].name
    if any(g.source == first or g.source not in {n.name for n in program.inputs} for g in program.onto(first)):
        return
    assert found.steps[first][-1].loss <= lost(program, plain, first, views) * (1 + 1e-9)


def lost(program: GraphProgram, fixed: FixedGraph, name: str, views: list[SearchView]) -> float:
    run = GraphEmulator(fixed).run({n.name: np.concatenate([v.inputs[n.name] for v in views]) for n in program.inputs})
    u, o = (torch.cat([getattr(v.states[name], part) for v in views]).numpy() for part in ("u", "o"))
    scale = next(p.scale for p in fixed.populations if p.name == name)
    off = run.readouts[name] / scale - u[:, -1]
    loss = np.square(off, dtype=np.float64).sum() / max(np.square(u[:, -1], dtype=np.float64).sum(), 1e-30)
    if program.behind(name):
        loss += np.count_nonzero(run.spikes[name] != (o > 0)) / max(int(np.count_nonzero(o)), 1)
    return float(loss + run.overflows[name] + run.current_overflows[name])


def test_the_same_views_give_the_same_integers() -> None:
    program = PROGRAMS["a cycle"]
    seen, views = views_of(program, 3, 1)
    one, two = (search_graph(program, seen, views, read(program)).program for _ in range(2))
    assert one.inputs == two.inputs
    pairs: list[tuple[Any, Any]] = [*zip(one.populations, two.populations, strict=True)]
    for a, b in [*pairs, *zip(one.synapses, two.synapses, strict=True)]:
        for field in dataclasses.fields(a):
            assert np.array_equal(getattr(a, field.name), getattr(b, field.name)), field.name


def test_counted_events_are_sent_exactly() -> None:
    """Whole numbers need whole messages per unit; those beyond ±127 are there for what lies between."""
    program = PROGRAMS["one population"]
    rng = np.random.default_rng(3)
    fed = {"x": rng.poisson(1.0, (4, STEPS, *SHAPE)).astype(np.float32)}
    tensors = {"x": torch.from_numpy(fed["x"])}
    states = trace_graph(program, tensors)
    view = SearchView(fed, states)
    found = search_graph(program, observation_of(program, tensors), [view], read(program)).program
    exact = fed["x"] * found.inputs[0].input_scale
    assert np.abs(exact - np.rint(exact)).max() < 1e-3


def test_dead_populations_get_scales_too() -> None:
    """No spike ever arrives, or no weight is there, or nothing arrives at all: finite scales, no NaN."""
    program = PROGRAMS["currents, per channel"]
    first, second = program.populations
    empty = replace(program.synapses[1], weight=np.zeros_like(program.synapses[1].weight))
    alone = neurons("c", bias=np.full(4, 2.0))
    program = GraphProgram(
        (X, Input("unread", (1, 2, 2))),
        (replace(first, threshold=np.array(1e3)), second, alone),
        (program.synapses[0], empty),
        STEPS,
    )
    seen, views = views_of(program, 2, 1)
    for p in search_graph(program, seen, views, ()).program.populations:
        assert np.isfinite(p.scale)
        assert p.scale > 0


def test_zeros_alone_are_refused() -> None:
    program = PROGRAMS["one population"]
    seen, views = views_of(program, 1, 1)
    silent = replace(seen.inputs["x"], minimum=0.0, maximum=0.0)
    with pytest.raises(RangeError, match="x: the calibration inputs hold nothing but zeros"):
        search_graph(program, replace(seen, inputs={"x": silent}), views, ())
