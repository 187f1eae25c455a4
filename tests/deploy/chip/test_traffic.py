"""Messages, hops and synaptic events against a walk over every spike; what doubles when spikes double."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.naive_traffic import walk
from helpers.random_traffic import Run, runs
from hypothesis import given, settings

from hybridnet.deploy.chip.traffic import Traffic, traffic
from hybridnet.program.pipeline import pipeline


def as_counts(found: Traffic) -> dict[str, dict[Any, int]]:
    """In the form of the walk, without zeros."""
    counted: dict[str, dict[Any, int]] = {}
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
def test_counts_are_those_of_a_walk_over_every_spike(run: Run) -> None:
    graph, placed, mesh, events = run
    machine = pipeline(graph)
    found, walked = traffic(graph, placed, mesh, machine, events), walk(graph, placed, mesh, machine, events)
    for kind, counted in as_counts(found).items():
        assert counted == dict(walked[kind]), kind
    assert found.updates.sum() == graph.steps * sum(np.prod(p.shape) for p in graph.populations)
