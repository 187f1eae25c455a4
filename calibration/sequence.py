"""Searching a whole graph in the order of data flow, so that each population is fed what the rounded ones give."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from hybridnet.calibration.fixed_point import check_content
from hybridnet.calibration.member import Found, Task
from hybridnet.calibration.observation import Observation
from hybridnet.calibration.scales import Member, Scales, finest_messages
from hybridnet.calibration.search import Step, search_population
from hybridnet.partition.arithmetic.equations import State, joined
from hybridnet.program.bridge import BridgeTensor
from hybridnet.program.chains import stock_populations
from hybridnet.program.components import Component, components
from hybridnet.program.fixed_graph import WEIGHT_BITS, FixedGraph, FixedInput
from hybridnet.program.graph import GraphProgram
from hybridnet.program.layers import MESSAGE_MAX
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class SearchView:
    """One view that is searched on: what the program is fed, (1, T, C, H, W), or (1, C, H, W), and the float states."""

    inputs: Mapping[str, Array]
    states: Mapping[str, State]


@dataclass(frozen=True, eq=False)
class Searched:
    """The program in integers, and by population how its loss fell."""

    program: FixedGraph
    steps: Mapping[str, tuple[Step, ...]]


def search_graph(
    program: GraphProgram,
    seen: Observation,
    views: list[SearchView],
    bridge: Collection[BridgeTensor],
    *,
    weight_bits: int = WEIGHT_BITS,
    progress: Progress = silent,
) -> Searched:
    """Find the integers of all populations.

    Args:
        program: In float.
        seen: What all calibration views hold, from which head-room is reckoned.
        views: On which candidates are run; few, spread over the calibration views.
        bridge: What of the populations is read.
        weight_bits: Bits of the weights; more than the chip has to see what its bits cost.
        progress: Told after each population.

    Raises:
        RangeError: If calibration saw nothing but zeros in an input, or no scale fits a population.
    """
    for node in program.inputs:
        check_content(node.name, seen.input_max[node.name])
    wanted = {p.name: joined(torch.cat, [view.states[p.name] for view in views], 0) for p in program.populations}
    exact: dict[str, Array] = {n.name: np.concatenate([v.inputs[n.name] for v in views]) for n in program.inputs}
    exact |= {name: state.o.float().numpy() for name, state in wanted.items()}
    fed = dict(exact)
    stock = stock_populations(program)
    kinds = {p.name: frozenset(t.kind for t in bridge if t.layer == p.name) for p in program.populations}
    nodes, finest = {node.name: node for node in program.inputs}, finest_messages(program, seen, weight_bits)
    settled: dict[str, FixedInput] = {}
    found: dict[str, Found] = {}
    steps: dict[str, tuple[Step, ...]] = {}
    total = len(program.populations)
    by_name = {p.name: p for p in program.populations}
    for component in (names for level in components(program) for names in level):
        for name in component:
            progress("searching scales", len(found), total)
            p = by_name[name]
            scales = Scales(
                p, program.onto(name), nodes, dict(settled), seen, finest, stock=name in stock, weight_bits=weight_bits
            )
            task = Task(program, p, kinds[name], wanted[name], exact, fed)
            found[name], steps[name] = search_population(task, scales)
            settled |= found[name].member.inputs
        # Only now: what comes from their own cycle is as in float.
        fed |= _sent(program, component, {name: found[name].member for name in component}, settled, fed)
    progress("searching scales", total, total)
    for node in program.inputs:  # one that reaches nothing
        plain = FixedInput(node.name, node.shape, node.still, MESSAGE_MAX / seen.input_max[node.name])
        settled.setdefault(node.name, plain)
    groups = {p.name: iter(found[p.name].member.groups) for p in program.populations}
    fixed = FixedGraph(
        tuple(settled[node.name] for node in program.inputs),
        tuple(found[p.name].member.population for p in program.populations),
        tuple(next(groups[g.target]) for g in program.synapses),
        program.steps,
    )
    return Searched(fixed, {p.name: steps[p.name] for p in program.populations})


def _sent(
    program: GraphProgram,
    component: Component,
    members: Mapping[str, Member],
    settled: Mapping[str, FixedInput],
    fed: Mapping[str, Array],
) -> dict[str, Array]:
    """Spikes of rounded populations, those of a cycle together, fed by the rounded ones before."""
    own = [p for p in program.populations if p.name in component]
    groups = tuple(g for p in own for g in members[p.name].groups)
    shapes = {g.source: g.geometry.input_shape for g in groups if g.source not in component}
    inputs = tuple(settled.get(s) or FixedInput(s, shape, message_max=1) for s, shape in shapes.items())
    given = {node.name: fed[node.name] for node in inputs}
    if not inputs:
        inputs = (FixedInput("nothing", (1, 1, 1), still=True),)
        given = {"nothing": np.zeros((len(fed[own[0].name]), 1, 1, 1), np.float32)}
    graph = FixedGraph(inputs, tuple(members[p.name].population for p in own), groups, program.steps)
    run = GraphEmulator(graph, currents=False, read_outs=()).run(given)
    return {name: spikes.astype(np.float32) for name, spikes in run.spikes.items()}
