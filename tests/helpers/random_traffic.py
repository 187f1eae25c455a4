"""Strategies for hypothesis: a graph program on a chip, placed in any way, with any events."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.random_graphs import graphs
from hypothesis import strategies as st

from hybridnet.deploy.chip.placing import Tiling
from hybridnet.deploy.chip.profile import Mesh
from hybridnet.program.fixed_graph import FixedGraph

Run = tuple[FixedGraph, dict[str, Tiling], Mesh, dict[str, Any]]


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """A graph, any tiles for its layers, any mesh, and any events."""
    graph, placed, first = draw(graphs(4)), {}, 0
    for p in graph.populations:
        tile = tuple(draw(st.integers(1, size + 1)) for size in p.shape)
        placed[p.name] = Tiling(p.name, p.shape, tile, first)  # type: ignore[arg-type]
        first = placed[p.name].cores.stop
    mesh = Mesh(draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3)), "a test")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rate = draw(st.sampled_from([0.0, 0.1, 0.6]))
    shapes = {n.name: n.shape for n in graph.inputs} | {p.name: p.shape for p in graph.populations}
    events = {name: rng.random((2, graph.steps, *shape)) < rate for name, shape in shapes.items()}
    return graph, placed, mesh, events
