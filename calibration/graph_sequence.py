"""Searching a whole graph, component by component, so that each is fed what the rounded ones before it give."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from hybridnet.calibration.graph_fixed_point import check_content, extremes
from hybridnet.calibration.graph_run import Readings, Task
from hybridnet.calibration.graph_scales import Member
from hybridnet.calibration.graph_search import ComponentSearch
from hybridnet.calibration.observers import Observation
from hybridnet.calibration.search import Step
from hybridnet.calibration.sequence import Searched, SearchView
from hybridnet.model.neuron import LIFState
from hybridnet.program.bridge import BridgeTensor
from hybridnet.program.components import components
from hybridnet.program.fixed_graph import FixedGraph, FixedInput
from hybridnet.program.graph import GraphProgram
from hybridnet.program.layers import MESSAGE_MAX
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent


def search_graph(
    program: GraphProgram,
    seen: Observation,
    views: list[SearchView],
    bridge: Iterable[BridgeTensor],
    *,
    progress: Progress = silent,
) -> Searched[FixedGraph]:
    """Find the integers of all populations.

    Args:
        program: In float.
        seen: What all calibration views hold, from which head-room is reckoned.
        views: On which candidates are run; few, spread over the calibration views.
        bridge: What of the populations is read.
        progress: Told after each component.

    Raises:
        RangeError: If calibration saw nothing but zeros in an input, or no scale fits a population.
    """
    largest = extremes(seen)
    for node in program.inputs:
        check_content(node.name, largest.inputs[node.name])
    readings = readings_of(program, bridge)
    wanted = {
        p.name: LIFState(*(torch.cat([getattr(view.states[p.name], part) for view in views]) for part in ("u", "o")))
        for p in program.populations
    }
    exact: dict[str, Array] = {n.name: np.concatenate([v.inputs[n.name] for v in views]) for n in program.inputs}
    exact |= {name: state.o.float().numpy() for name, state in wanted.items()}
    fed = {node.name: exact[node.name] for node in program.inputs}
    settled: dict[str, FixedInput] = {}
    members: dict[str, Member] = {}
    steps: dict[str, tuple[Step, ...]] = {}
    total = len(program.populations)
    for component in (names for level in components(program) for names in level):
        progress("searching scales", len(members), total)
        search = ComponentSearch(Task(program, component, largest, readings, wanted, exact, fed), settled)
        found = search.search()
        members |= found.members
        steps |= search.steps
        fed |= {name: found.run.spikes[name].astype(np.float32) for name in component}
    progress("searching scales", total, total)
    for node in program.inputs:  # one that reaches nothing
        plain = FixedInput(node.name, node.shape, node.still, MESSAGE_MAX / largest.inputs[node.name])
        settled.setdefault(node.name, plain)
    groups = {p.name: iter(members[p.name].groups) for p in program.populations}
    fixed = FixedGraph(
        tuple(settled[node.name] for node in program.inputs),
        tuple(members[p.name].population for p in program.populations),
        tuple(next(groups[g.target]) for g in program.synapses),
        program.steps,
    )
    return Searched(fixed, {p.name: steps[p.name] for p in program.populations})


def readings_of(program: GraphProgram, bridge: Iterable[BridgeTensor]) -> Readings:
    """In which kinds each population crosses the bridge."""
    tensors = list(bridge)
    return {p.name: frozenset(t.kind for t in tensors if t.layer == p.name) for p in program.populations}
