"""A component of a graph under search: its populations in the chip's arithmetic, and what they lose.

The loss is what a population does to those that read it,

    Σ(u_fixed − u)² / Σu², of the last step, or of all if all cross the bridge  +  spikes that differ / spikes, if read

and on a circle the sum over its populations. The noise of u counts where spikes alone are read too: wrong ones are few
on the views of a search, and what is near the threshold there is over it elsewhere. What saturates is never worth it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.calibration.graph_fixed_point import GraphObservation
from hybridnet.calibration.graph_scales import Member
from hybridnet.model.neuron import LIFState
from hybridnet.program.components import Component
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation
from hybridnet.program.graph import GraphProgram
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array

Float = npt.NDArray[np.float64]
Readings = Mapping[str, frozenset[str]]
"""Kinds in which each population crosses the bridge; see `hybridnet.program.bridge.BridgeKind`."""


@dataclass(frozen=True, eq=False)
class Task:
    """One component to be searched.

    Attributes:
        program: The whole, in float.
        names: Populations of the component.
        seen: What calibration saw.
        readings: What of each population is read over the bridge.
        wanted: u and o of all steps of the float populations, (N, T, C, H, W).
        exact: What every node sends in float, (N, T, C, H, W), or (N, C, H, W) of a still input.
        fed: The same, of the rounded populations before.
    """

    program: GraphProgram
    names: Component
    seen: GraphObservation
    readings: Readings
    wanted: Mapping[str, LIFState]
    exact: Mapping[str, Array]
    fed: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Found:
    """Integers of a component, and what they do."""

    members: Mapping[str, Member]
    run: SpikingResult
    losses: Mapping[str, Float]
    loss: float


def run_component(task: Task, members: Mapping[str, Member], settled: Mapping[str, FixedInput]) -> Found:
    """Run it, fed by what was rounded before.

    Args:
        task: The component.
        members: Its integers.
        settled: All inputs that reach it.
    """
    groups = [g for name in task.names for g in members[name].groups]
    sources = dict.fromkeys(g.source for g in groups if g.source not in task.names)
    shapes = {p.name: p.shape for p in task.program.populations}
    inputs = tuple(settled.get(s) or FixedInput(s, shapes[s], message_max=1) for s in sources)
    # A component that nothing reaches is still run, over as many views as there are.
    nothing = f"nothing to {task.names[0]}"
    inputs = inputs or (FixedInput(nothing, (1, 1, 1), still=True),)
    populations = tuple(members[name].population for name in task.names)
    graph = FixedGraph(inputs, populations, tuple(groups), task.program.steps)
    views = len(next(iter(task.wanted.values())).u)
    fed = {nothing: np.zeros((views, 1, 1, 1), np.float32), **task.fed}
    all_steps = any("potentials" in task.readings[name] for name in task.names)
    run = GraphEmulator(graph, currents=False).run(
        {node.name: fed[node.name] for node in inputs}, record_potentials=all_steps
    )
    losses = {name: _losses(task, members[name].population, run) for name in task.names}
    saturated = sum(run.overflows.values()) + sum(run.current_overflows.values())
    return Found(members, run, losses, float(sum(own.sum() for own in losses.values())) + saturated)


def _losses(task: Task, population: FixedPopulation, run: SpikingResult) -> Float:
    """What one population does to those that read it, by channel."""
    name, kinds = population.name, task.readings[population.name]
    state, axes = task.wanted[name], (0, 1, 3, 4)
    reads = {"spikes", "spike_count"} & kinds or task.program.behind(name)
    if "potentials" in kinds:
        loss = _noise(run.potentials[name] / population.scale, state.u.numpy())
    else:
        loss = _noise(run.readouts[name][:, None] / population.scale, state.u[:, -1:].numpy())
    if reads:
        spikes = state.o.numpy() > 0
        wrong = np.count_nonzero(run.spikes[name] != spikes, axis=axes)
        loss = loss + wrong / max(int(np.count_nonzero(spikes)), 1)
    return loss


def _noise(found: Array, wanted: Array) -> Float:
    """Σ of the squared error by channel, relative to all of the signal."""
    signal = max(float(np.square(wanted, dtype=np.float64).sum()), 1e-30)
    return np.asarray(np.square(found - wanted, dtype=np.float64).sum((0, 1, 3, 4)) / signal)
