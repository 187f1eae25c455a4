"""Where two runs of chains part, held against a plain search, and why."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from helpers.chains import FixedConvLIF, Program, fixed_graph_of, graph_of
from helpers.faulty_program import N, T

from hybridnet.simulators.divergence.causes import Cause, classify
from hybridnet.simulators.divergence.find import Divergence, Side, find
from hybridnet.simulators.interface import SpikingResult

PLACE = ("window", "step", "channel", "y", "x")


def side(name: str, program: Any, result: SpikingResult) -> Side:
    """A side that ran a program, which is given as chains or as a graph."""
    if not isinstance(program, Program):
        return Side(name, program, result)
    fixed = isinstance(program.streams[0].layers[0], FixedConvLIF)
    return Side(name, fixed_graph_of(program) if fixed else graph_of(program), result)


def search(a: SpikingResult, b: SpikingResult, layers: list[str]) -> tuple[Any, ...] | None:
    """The first difference by looking at one number after another: window, step, layer, then the neuron."""
    for window, step, layer in itertools.product(range(N), range(T), layers):
        u, v, o, p = (r[layer][window, step] for r in (a.potentials, b.potentials, a.spikes, b.spikes))
        for neuron in np.ndindex(u.shape):
            if u[neuron] != v[neuron] or o[neuron] != p[neuron]:
                return (layer, window, step, *neuron)
    return None


def parted(program: Any, left: SpikingResult, right: SpikingResult) -> tuple[dict[str, Divergence], dict[str, Cause]]:
    """Per stream its first difference, held against the search, and the cause."""
    a, b = side("left", program, left), side("right", program, right)
    firsts, causes = {}, {}
    for stream, found in zip(program.streams, find(a, b, 0.0), strict=True):
        assert found.stream == stream.name
        expected = search(left, right, [layer.name for layer in stream.layers])
        place = found.first.place if found.first else None
        assert expected == (place and (place.layer, *[getattr(place, k) for k in PLACE]))
        if found.first:
            firsts[stream.name] = found.first
            (causes[stream.name],) = classify(a, b, found.first)
    return firsts, causes
