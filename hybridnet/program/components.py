"""Which populations of a graph must be stepped together, and which can be run a whole window at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hybridnet.program.graph import Edge, Graph

Component = tuple[str, ...]
"""Populations that reach each other, in the program's order; a single one that does not feed itself is the usual."""


def components(graph: Graph[Any, Any, Any]) -> list[list[Component]]:
    """All populations in levels: a component needs components of the levels before alone, at whatever delay."""
    reached = _reached(graph)
    levels: list[list[Component]] = []
    level_of: dict[str, int] = {}
    for name in _by_need(graph, reached):
        if name in level_of:
            continue
        together = tuple(p.name for p in graph.populations if p.name == name or _mutual(reached, name, p.name))
        needed = [g.source for g in graph.synapses if g.target in together and g.source not in together]
        level = 1 + max((level_of[source] for source in needed if source in level_of), default=-1)
        level_of |= dict.fromkeys(together, level)
        levels += [[] for _ in range(level + 1 - len(levels))]
        levels[level].append(together)
    return levels


def is_cycle(component: Component, synapses: Iterable[Edge]) -> bool:
    """Whether a component feeds itself."""
    return any(g.source in component and g.target in component for g in synapses)


def _reached(graph: Graph[Any, Any, Any]) -> dict[str, set[str]]:
    """Per population all that it reaches, itself only through a cycle."""
    next_ones = {p.name: {g.target for g in graph.behind(p.name)} for p in graph.populations}
    reached = {name: set(targets) for name, targets in next_ones.items()}
    for found in reached.values():
        waiting = list(found)
        while waiting:
            new = next_ones[waiting.pop()] - found
            found |= new
            waiting += new
    return reached


def _mutual(reached: Mapping[str, set[str]], one: str, other: str) -> bool:
    return other in reached[one] and one in reached[other]


def _by_need(graph: Graph[Any, Any, Any], reached: Mapping[str, set[str]]) -> list[str]:
    """Populations so that each comes behind all that reach it, but for those on a cycle with it."""
    names = [p.name for p in graph.populations]
    return sorted(names, key=lambda name: sum(name in reached[other] and other not in reached[name] for other in names))
