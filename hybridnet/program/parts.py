"""The parts of a graph between which nothing passes."""

from __future__ import annotations

from typing import Any, TypeVar

from hybridnet.program.graph import Graph

AnyGraph = TypeVar("AnyGraph", bound=Graph[Any, Any, Any])


def parts(graph: AnyGraph) -> list[AnyGraph]:
    """All connected parts, in the order of their first populations; inputs that feed nothing are left out."""
    together: list[set[str]] = [{p.name} for p in graph.populations]
    for g in graph.synapses:
        joined = [names for names in together if g.source in names or g.target in names]
        together = [names for names in together if names not in joined]
        together.append({g.source, g.target}.union(*joined))
    places = {p.name: place for place, p in enumerate(graph.populations)}
    first = sorted(together, key=lambda names: min(places[name] for name in names & places.keys()))
    return [graph.part(names) for names in first]
