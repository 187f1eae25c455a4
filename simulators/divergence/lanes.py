"""What is compared, in one form for float and fixed point: lanes, their inputs, and how their neurons compute.

A lane is a part of a program to which nothing comes from its other parts. Lanes
do not depend on each other. Within a window of a lane (step, place in `layers`) is a causal order, inputs first: what a
population needs within a step lies before it, and what reaches it late or in a cycle was sent at an earlier step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation
from hybridnet.program.graph import GraphProgram, Input, Population, Shape
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_SHIFT, Reset
from hybridnet.program.parts import parts
from hybridnet.program.spiking import AnyGraph
from hybridnet.simulators.quantise import Messages
from hybridnet.support.arrays import Array

AnyPopulation = Population | FixedPopulation

NONE = np.array(0)


@dataclass(frozen=True, eq=False)
class LaneInput:
    """What is fed to a lane.

    Attributes:
        key: Its name among the inputs of a `SpikingResult`.
        name: How reports call it.
        shape: (C, H, W) of one step.
        still: Whether it has no time axis.
        encoding: How it becomes messages; None in float.
    """

    key: str
    name: str
    shape: Shape
    still: bool
    encoding: Messages | None


@dataclass(frozen=True, eq=False)
class Neurons:
    """How the neurons of a population compute; each number () or as it lies beside maps (C, H, W).

    Attributes:
        fixed_point: Whether in the chip's integers; the unit of u is v then.
        kept: λ; in fixed point 4096 − dv.
        current_kept: λc, or 4096 − dc; None where no current outlives its step.
        threshold: vth in the unit of u; infinity of an integrator.
        amount: r of the soft reset in the unit of u; vth where the reset is hard, 0 of an integrator.
        bias: In the unit of u.
        scale: u divided by it is in model units.
    """

    name: str
    shape: Shape
    fixed_point: bool
    kept: Array
    current_kept: Array | None
    threshold: Array
    reset: Reset
    amount: Array
    bias: Array
    scale: float


@dataclass(frozen=True, eq=False)
class Lane:
    """Inputs and neurons between which and all others nothing passes; layers in causal order within a step."""

    name: str
    inputs: tuple[LaneInput, ...]
    layers: tuple[Neurons, ...]
    steps: int


def lanes_of(program: AnyGraph) -> tuple[Lane, ...]:
    """The lanes of a program: the parts between which nothing passes, called by their inputs."""
    return tuple(map(_part, parts(program)))


def _part(graph: GraphProgram | FixedGraph) -> Lane:
    nodes: tuple[Input | FixedInput, ...] = graph.inputs
    populations: tuple[AnyPopulation, ...] = graph.populations
    inputs = tuple(
        LaneInput(n.name, f"{n.name} input", n.shape, n.still, n if isinstance(n, FixedInput) else None) for n in nodes
    )
    name = " + ".join(node.name for node in nodes) or populations[0].name
    return Lane(name, inputs, tuple(map(neurons_of, populations)), graph.steps)


def neurons_of(p: AnyPopulation) -> Neurons:
    """How a population computes."""
    fixed = isinstance(p, FixedPopulation)
    shift = POTENTIAL_SHIFT if fixed else 0
    if isinstance(p, FixedPopulation):
        kept, current_kept = DECAY_ONE - _columns(p.decay), DECAY_ONE - _columns(p.current_decay)
    else:
        kept, current_kept = _columns(p.leak), _columns(p.current_leak)
    threshold = np.array(np.inf) if p.threshold is None else _columns(p.threshold) * 2**shift
    amount = threshold if p.reset == "hard" else _columns(p.reset_amount) * 2**shift
    return Neurons(
        name=p.name,
        shape=p.shape,
        fixed_point=fixed,
        kept=kept,
        current_kept=current_kept if current_kept.any() else None,
        threshold=threshold,
        reset=p.reset,
        amount=NONE if p.threshold is None else amount,
        bias=_columns(p.bias) * 2**shift,
        scale=p.scale if isinstance(p, FixedPopulation) else 1.0,
    )


def _columns(values: Array) -> Array:
    """One number, one per channel or one per neuron, beside maps (C, H, W); integers as int64."""
    wide = values.astype(np.int64) if values.dtype.kind == "i" else values
    return wide[:, None, None] if wide.ndim == 1 else wide
