"""Messages, hops and synaptic events against a walk over every spike; what doubles when spikes double."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from helpers.naive_traffic import walk
from helpers.random_graphs import graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.deploy.chip.placing import Tiling
from hybridnet.deploy.chip.profile import Mesh
from hybridnet.deploy.chip.traffic import Traffic, traffic
from hybridnet.program.fixed_graph import FixedGraph


@st.composite
def runs(draw: st.DrawFn) -> tuple[FixedGraph, dict[str, Tiling], Mesh, dict[str, Any]]:
    """A graph, any tiles for its layers, any mesh, and any events."""
    graph, placed, first = draw(graphs(4)), {}, 0
    for p in graph.populations:
        tile = tuple(draw(st.integers(1, size + 1)) for size in p.shape)
        placed[p.name] = Tiling(p.name, p.shape, tile, first)  # type: ignore[arg-type]
        first = placed[p.name].cores.stop
    mesh = Mesh(draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3)), "a test")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rate = draw(st.sampled_from([0.0, 0.1, 0.6]))
    shapes = {node.name: node.shape for node in (*graph.inputs, *graph.populations)}
    events = {name: rng.random((2, graph.steps, *shape)) < rate for name, shape in shapes.items()}
    return graph, placed, mesh, events


def as_counts(found: Traffic) -> dict[str, dict[Any, int]]:
    """In the form of the walk, without zeros."""
    counted = {}
    for kind in ("synaptic_events", "spikes", "messages_out", "messages_in"):
        values = getattr(found, kind)
        counted[kind] = {tuple(place): int(values[tuple(place)]) for place in np.argwhere(values).tolist()}
    counted["sent"] = {
        (name, view, t, *sent.distances[d].tolist()): int(sent.messages[view, t, d])
        for name, sent in found.sent.items()
        for view, t, d in np.argwhere(sent.messages).tolist()
    }
    return counted


@settings(max_examples=60, deadline=None)
@given(runs())
def test_counts_are_those_of_a_walk_over_every_spike(run: tuple[FixedGraph, dict[str, Tiling], Mesh, Any]) -> None:
    graph, placed, mesh, events = run
    found, walked = traffic(graph, placed, mesh, events), walk(graph, placed, mesh, events)
    for kind, counted in as_counts(found).items():
        assert counted == dict(walked[kind]), kind
    assert found.updates.sum() == sum(np.prod(p.shape) for p in graph.populations)
