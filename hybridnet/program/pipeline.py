"""When each population of a graph is computed on a machine that passes every synapse group in one step of its own.

A chip, and Lava, hand spikes on at the end of a step: a group takes one. A population therefore runs some steps behind
the inputs, and where paths of different depth meet, the shorter one waits. With L the lag of a node and F the machine's
steps per step of the program, what a source sends at its step t reaches its target in time for step t + d if it waits

    w = F·d + L(target) − L(source) − 1  ≥  0

steps on the way. The least lags that allow this are taken. F is 1 unless a circle has more groups than delays: a
machine whose groups take a step each cannot be back in time otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybridnet.program.graph import Graph


@dataclass(frozen=True)
class Pipeline:
    """Lags and waits.

    Attributes:
        period: F, the machine's steps per step of the program.
        lags: L of each input (0) and population, in steps of the machine.
        waits: w of each group, in the program's order, likewise.
    """

    period: int
    lags: dict[str, int]
    waits: tuple[int, ...]

    @property
    def depth(self) -> int:
        """Steps of the machine by which the last population is behind the inputs."""
        return max(self.lags.values(), default=0)


def pipeline(graph: Graph[Any, Any, Any]) -> Pipeline:
    """The pipeline of a graph with the least period and lags."""
    period = 1
    while (lags := _lags(graph, period)) is None:
        period += 1
    waits = tuple(period * g.delay + lags[g.target] - lags[g.source] - 1 for g in graph.synapses)
    return Pipeline(period, lags, waits)


def _lags(graph: Graph[Any, Any, Any], period: int) -> dict[str, int] | None:
    """The least lags; None if a circle would have to be faster than the machine."""
    lags = {node.name: 0 for node in (*graph.inputs, *graph.populations)}
    for _ in range(len(lags) + 1):
        before = dict(lags)
        for g in graph.synapses:
            lags[g.target] = max(lags[g.target], lags[g.source] + 1 - period * g.delay)
        if lags == before:
            return lags
    return None
