"""When each population of a graph is computed on a machine that passes every synapse group in one step of its own.

A chip, and Lava, hand spikes on at the end of a step: a group takes one. A population therefore runs some steps behind
the inputs, and where paths of different depth meet, the shorter one waits. With L the lag of a node and F the machine's
steps per step of the program, what a source sends at its step t reaches its target in time for step t + d if it waits

    w = F·d + L(target) − L(source) − 1  ≥  0

steps on the way. The least lags that allow this are taken. F is 1 unless a cycle has more groups than delays: a
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

    def length(self, steps: int) -> int:
        """M, the steps of the machine that so many steps of the program take."""
        return steps * self.period + self.depth

    def steps_of(self, name: str, steps: int) -> slice:
        """The steps of the machine that stand for this node's steps of the program."""
        first = self.lags[name]
        return slice(first, first + (steps - 1) * self.period + 1, self.period)


def pipeline(graph: Graph[Any, Any, Any]) -> Pipeline:
    """The pipeline of a graph with the least period and lags."""
    too_short, period = 0, max(1, len(graph.populations))  # enough for a cycle of them all
    while period - too_short > 1:
        middle = (too_short + period) // 2
        too_short, period = (middle, period) if _lags(graph, middle) is None else (too_short, middle)
    lags = _lags(graph, period)
    assert lags is not None  # noqa: S101
    waits = tuple(period * g.delay + lags[g.target] - lags[g.source] - 1 for g in graph.synapses)
    return Pipeline(period, lags, waits)


def _lags(graph: Graph[Any, Any, Any], period: int) -> dict[str, int] | None:
    """The least lags; None if a cycle would have to be faster than the machine."""
    lags = {node.name: 0 for node in (*graph.inputs, *graph.populations)}
    order = {name: place for place, name in enumerate(lags)}
    groups = sorted((order[g.target], g.source, g.target, 1 - period * g.delay) for g in graph.synapses)
    settled = not groups
    while not settled:
        if max(lags.values()) >= len(lags):  # no way is as long but a cycle
            return None
        settled = True
        for _, source, target, later in groups:
            if lags[source] + later > lags[target]:
                lags[target], settled = lags[source] + later, False
    return lags
