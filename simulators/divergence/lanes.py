"""What is compared, in one form for chains and graphs: lanes, their inputs, and how their neurons compute.

A lane is a stream of a chain program, or a part of a graph program to which nothing comes from its other parts. Lanes
do not depend on each other. Within a window of a lane (step, place in `layers`) is a causal order, inputs first: what a
population needs within a step lies before it, and what reaches it late or in a circle was sent at an earlier step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation
from hybridnet.program.graph import GraphProgram, Input, Population, Shape
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_SHIFT, ConvLIFLayer, FixedConvLIF, Reset, Stream
from hybridnet.program.parts import parts
from hybridnet.program.spiking import AnyProgram
from hybridnet.simulators.quantise import Messages
from hybridnet.support.arrays import Array

AnyLayer = ConvLIFLayer | FixedConvLIF
AnyPopulation = Population | FixedPopulation
AnyStream = Stream[ConvLIFLayer] | Stream[FixedConvLIF]

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
    """How the neurons of a layer or population compute; each number () or as it lies beside maps (C, H, W).

    Attributes:
        fixed_point: Whether in the chip's integers; the unit of u is v then.
        kept: λ; in fixed point 4096 − dv.
        current_kept: λc, or 4096 − dc; None where no current outlives its step.
        threshold: vth in the unit of u; infinity of an integrator.
        amount: r of the soft reset in the unit of u; vth where the reset is hard, 0 of an integrator.
        bias: In the unit of u; 0 for a layer of a chain, whose current holds its bias.
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


def lanes_of(program: AnyProgram) -> tuple[Lane, ...]:
    """The lanes of a program: its streams, or the parts of a graph, called by their inputs."""
    if isinstance(program, GraphProgram | FixedGraph):
        return tuple(map(_part, parts(program)))
    streams: tuple[AnyStream, ...] = program.streams
    return tuple(_stream(stream, program.steps) for stream in streams)


def neurons_of(layer: AnyLayer | AnyPopulation) -> Neurons:
    """How a layer of a chain or a population of a graph computes."""
    if isinstance(layer, Population | FixedPopulation):
        return _population(layer)
    threshold = np.array(threshold_of(layer))
    fixed = isinstance(layer, FixedConvLIF)
    return Neurons(
        name=layer.name,
        shape=layer.geometry.output_shape,
        fixed_point=fixed,
        kept=np.array(DECAY_ONE - layer.decay) if isinstance(layer, FixedConvLIF) else np.array(layer.leak),
        current_kept=None,
        threshold=threshold,
        reset=layer.reset,
        amount=threshold,
        bias=NONE,
        scale=layer.potential_scale if isinstance(layer, FixedConvLIF) else 1.0,
    )


def threshold_of(layer: AnyLayer) -> float:
    """The layer's vth as potentials are compared with it: in units of v in fixed point, else in model units."""
    return layer.threshold << POTENTIAL_SHIFT if isinstance(layer, FixedConvLIF) else layer.threshold


def _stream(stream: AnyStream, steps: int) -> Lane:
    first = stream.layers[0]
    encoding = first if isinstance(first, FixedConvLIF) else None
    node = LaneInput(stream.name, f"{stream.name} input", stream.input_shape, still=False, encoding=encoding)
    return Lane(stream.name, (node,), tuple(map(neurons_of, stream.layers)), steps)


def _part(graph: GraphProgram | FixedGraph) -> Lane:
    nodes: tuple[Input | FixedInput, ...] = graph.inputs
    populations: tuple[AnyPopulation, ...] = graph.populations
    inputs = tuple(
        LaneInput(n.name, f"{n.name} input", n.shape, n.still, n if isinstance(n, FixedInput) else None) for n in nodes
    )
    name = " + ".join(node.name for node in nodes) or populations[0].name
    return Lane(name, inputs, tuple(map(neurons_of, populations)), graph.steps)


def _population(p: AnyPopulation) -> Neurons:
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
