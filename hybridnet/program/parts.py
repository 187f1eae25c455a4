"""Parts of a graph: those between which nothing passes, and one population with all that reaches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from hybridnet.program.fixed_graph import FixedInput, FixedSynapse
from hybridnet.program.graph import Graph, Synapse

AnyGraph = TypeVar("AnyGraph", bound=Graph[Any, Any, Any])
AnySynapse = TypeVar("AnySynapse", Synapse, FixedSynapse)

BEFORE = " before"
"""Behind the name of a population: what it sent itself, as an input."""


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


def groups_alone(groups: Iterable[AnySynapse], name: str) -> tuple[tuple[AnySynapse, ...], dict[str, str]]:
    """The groups that reach a population, as those of a program in which it stands alone.

    Returns:
        The groups, whose sources are all inputs now, the population itself too; and per input the node that it stands
        for.
    """
    sources = {g.source + BEFORE if g.source == name else g.source: g.source for g in groups}
    at = {source: own for own, source in sources.items()}
    return tuple(replace(g, source=at[g.source]) for g in groups), sources


def inputs_alone(
    groups: Iterable[FixedSynapse], sources: Mapping[str, str], known: Mapping[str, FixedInput]
) -> tuple[FixedInput, ...]:
    """The inputs of these groups: those known, and messages of 0 and 1 where spikes arrive."""
    shapes = {g.source: g.geometry.input_shape for g in groups}
    return tuple(known.get(source) or FixedInput(at, shapes[at], message_max=1) for at, source in sources.items())
