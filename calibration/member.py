"""A population of a graph under search: run alone in the chip's arithmetic, and what it loses.

It is fed by the rounded populations before it, and by those that it is on a cycle with, itself too, as in float: what
one spike more or less does is soon all over a cycle, and would hide what one number does.

The loss is what a population does to those that read it,

    Σ(u_fixed − u)² / Σu², of the last step, or of all if all cross the bridge  +  spikes that differ / spikes, if read

The noise of u counts where spikes alone are read too: wrong ones are few on the views of a search, and what is near the
threshold there is over it elsewhere. What saturates is never worth it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.calibration.scales import Member
from hybridnet.partition.arithmetic.equations import State
from hybridnet.program.bridge import ANALOG
from hybridnet.program.fixed_graph import FixedGraph, FixedInput
from hybridnet.program.graph import GraphProgram, Population
from hybridnet.program.parts import groups_alone, inputs_alone
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Task:
    """One population to be searched.

    Attributes:
        program: The whole, in float.
        population: In float.
        kinds: In which it crosses the bridge; see `hybridnet.program.bridge.BridgeKind`.
        wanted: Its u and o of all steps in float, (N, T, C, H, W).
        exact: What every node sends in float, (N, T, C, H, W), or (N, C, H, W) of a still input.
        fed: What the nodes that reach it will send: the same of those that are rounded already.
    """

    program: GraphProgram
    population: Population
    kinds: frozenset[str]
    wanted: State
    exact: Mapping[str, Array]
    fed: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Found:
    """Integers of a population, what they do, and what is lost by channel and in all."""

    member: Member
    run: SpikingResult
    losses: Float
    loss: float


def run_member(task: Task, member: Member, settled: Mapping[str, FixedInput]) -> Found:
    """Run it.

    Args:
        task: The population.
        member: Its integers.
        settled: Inputs whose messages were settled before.
    """
    name, nodes = member.population.name, {**settled, **member.inputs}
    groups, sources = groups_alone(member.groups, name)
    inputs = inputs_alone(groups, sources, nodes)
    fed = {at: task.fed[source] for at, source in sources.items()}
    if not inputs:  # what nothing reaches is still run, over as many views as there are
        inputs = (FixedInput(f"nothing to {name}", (1, 1, 1), still=True),)
        fed = {inputs[0].name: np.zeros((len(task.wanted.u), 1, 1, 1), np.float32)}
    graph = FixedGraph(inputs, (member.population,), groups, task.program.steps)
    run = GraphEmulator(graph, currents=False).run(fed, record_potentials="potentials" in task.kinds)
    losses = _losses(task, member, run)
    return Found(member, run, losses, float(losses.sum()) + run.overflows[name] + run.current_overflows[name])


def _losses(task: Task, member: Member, run: SpikingResult) -> Float:
    """By channel."""
    name, scale, u = member.population.name, member.population.scale, task.wanted.u.numpy()
    if "potentials" in task.kinds:
        loss = _noise(run.potentials[name] / scale, u)
    else:
        loss = _noise(run.readouts[name][:, None] / scale, u[:, -1:])
    if task.kinds.difference(ANALOG) or task.program.behind(name):
        spikes = task.wanted.o.numpy() > 0
        wrong = np.count_nonzero(run.spikes[name] != spikes, axis=(0, 1, 3, 4))
        loss = loss + wrong / max(int(np.count_nonzero(spikes)), 1)
    return loss


def _noise(found: Array, wanted: Array) -> Float:
    """Σ of the squared error by channel, relative to all of the signal."""
    signal = max(float(np.square(wanted, dtype=np.float64).sum()), 1e-30)
    return np.asarray(np.square(found - wanted, dtype=np.float64).sum((0, 1, 3, 4)) / signal)
