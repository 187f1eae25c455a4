"""One step of a fixed-point graph program in ONNX; equations: `hybridnet.program.fixed_graph`.

Each operator is exact, whatever runs it:

* A group is a float32 Conv or ConvTranspose where Σ|w|·max|x| ≤ 2²⁴, so that no partial sum can round. Its weights are
  multiplied by 2ˢ beforehand, which changes exponents alone. Beyond that bound the weights are split, w = 16·h + l,
  into two such operators. Weights that groups share are stored once.
* What groups add up to is int32 where at most 2³⁰ can arrive, else int64. Currents and potentials are int32. The larger
  half of split weights adds up to at most 2²⁹ more than both, which int32 holds too.
* (4096 − d)·v / 4096 is a float64 product of 35 bits over a power of two; the Cast to integers truncates toward zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from hybridnet.deploy.onnx.graph import OnnxGraph
from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.graph import label
from hybridnet.program.layers import DECAY_ONE, FLOAT32_EXACT, POTENTIAL_MAX, POTENTIAL_SHIFT, IntArray
from hybridnet.support.arrays import Array

TYPES: dict[type, int] = {np.int32: TensorProto.INT32, np.int64: TensorProto.INT64}
"""Types of sums in NumPy and in ONNX."""

INT32_ARRIVING = 2**30
"""With no more arriving, no sum of a step leaves int32: two decayed states, a bias and a reset are less than 2²⁶."""

SPLIT = 16
"""Weights are split at this place where they are too large together."""


class PopulationNames(NamedTuple):
    """What a population's step gives, by the names of tensors (N, C, H, W).

    Attributes:
        c: Current, int32.
        v: Potential, int32.
        o: Spikes, bool.
        unclipped: Where v was not clipped, bool.
        unclipped_current: Where c was not, or is not kept, bool; empty if no channel keeps it.
    """

    c: str
    v: str
    o: str
    unclipped: str
    unclipped_current: str


def add_messages(graph: OnnxGraph, node: FixedInput, x: str) -> tuple[str, str]:
    """Messages (float32) of an input tensor of any shape, and where they were not clipped (bool)."""
    scale = graph.constant(np.float64(node.input_scale))
    rounded = graph("Round", "", graph("Mul", "", graph.cast("", x, TensorProto.DOUBLE), scale))
    clipped = graph("Clip", "", rounded, *(graph.constant(np.float64(s * node.message_max)) for s in (-1, 1)))
    return graph.cast("", clipped, TensorProto.FLOAT), graph("Equal", "", rounded, clipped)


def add_step(
    graph: OnnxGraph,
    program: FixedGraph,
    suffix: str,
    sent: Callable[[str, int], str | None],
    before: dict[str, PopulationNames],
) -> dict[str, PopulationNames]:
    """All populations of one step.

    Args:
        graph: What it is added to.
        program: The program.
        suffix: Suffix of the step's names.
        sent: What a node sent so many steps ago, (N, C, H, W) of any type; None before the window.
        before: Populations at the step before; empty at the first step.
    """
    now: dict[str, PopulationNames] = {}
    for p in program.populations:
        integer = np.int32 if program.largest_arriving(p.name) <= INT32_ARRIVING else np.int64
        sums: list[str] = []
        for number, g in enumerate(program.onto(p.name)):
            x = now[g.source].o if g.delay == 0 and g.source in now else sent(g.source, g.delay)
            if x is not None:
                values = graph.cast("", x, TensorProto.FLOAT)
                sums += _add_group(graph, program, g, f"{label(g)}.{number}{suffix}", values, TYPES[integer])
        total = sums[0] if sums else graph.zeros("", program.inputs[0].name, p.shape, integer)
        for one in sums[1:]:
            total = graph("Add", "", total, one)
        now[p.name] = add_population(graph, p, total, integer, before.get(p.name), suffix)
    return now


def add_population(
    graph: OnnxGraph, p: FixedPopulation, total: str, integer: type, before: PopulationNames | None, suffix: str
) -> PopulationNames:
    """One step of a population.

    Args:
        graph: What it is added to.
        p: The population.
        total: What its groups add up to.
        integer: Type of that, int32 or int64, which no sum of the step leaves.
        before: The population at the step before, if there is one.
        suffix: Suffix of the step's names.
    """

    def column(values: Array, name: str) -> str:
        return graph.constant(_by_channel(values)[None], f"{p.name}.{name}")

    def kept(values: str, decay: IntArray, name: str) -> str:
        keep = column((DECAY_ONE - decay.astype(np.float64)) / DECAY_ONE, name)
        product = graph("Mul", "", graph.cast("", values, TensorProto.DOUBLE), keep)
        return graph.cast("", product, TYPES[integer])

    def saturated(values: str, name: str) -> tuple[str, str]:
        least, most = (graph.constant(integer(sign * POTENTIAL_MAX)) for sign in (-1, 1))
        clipped = graph("Min", "", graph("Max", "", values, least), most)  # CUDA has no Clip of int32
        return graph.cast(f"{p.name}.{name}{suffix}", clipped, TensorProto.INT32), graph("Equal", "", values, clipped)

    a = total
    if before is not None and p.keeps_current:
        a = graph("Add", "", a, kept(before.c, p.current_decay, "keep_current"))
    c, unclipped_current = saturated(a, "current")
    bias = _by_channel(p.bias.astype(integer) << POTENTIAL_SHIFT)
    drive, exact = column(bias, "bias"), a
    if before is not None:
        v = before.v
        if p.reset == "hard":
            v = graph("Where", "", before.o, graph.constant(np.int32(0)), v)
        else:
            after_spike = bias - _by_channel(p.reset_amount.astype(integer) << POTENTIAL_SHIFT)
            drive = graph("Where", "", before.o, column(after_spike, "bias_after_spike"), drive)
        exact = graph("Add", "", exact, kept(v, p.decay, "keep"))
    v, unclipped = saturated(graph("Add", "", exact, drive), "potential")
    o = add_spikes(graph, p, v, f"{p.name}.o{suffix}")
    if p.keeps_current and (p.current_decay == DECAY_ONE).any():
        keeps_none = column(p.current_decay == DECAY_ONE, "keeps_no_current")
        unclipped_current = graph("Or", "", unclipped_current, keeps_none)
    return PopulationNames(c, v, o, unclipped, unclipped_current if p.keeps_current else "")


def add_spikes(graph: OnnxGraph, p: FixedPopulation, v: str, name: str = "") -> str:
    """Where a potential is above the threshold, bool."""
    never = np.array(POTENTIAL_MAX + 1, np.int32)
    threshold = never if p.threshold is None else p.threshold.astype(np.int32) << POTENTIAL_SHIFT
    return graph("Greater", name, v, graph.constant(_by_channel(threshold)[None], f"{p.name}.threshold"))


def _by_channel(values: Array) -> Array:
    """Parameters (), (C,) or (C, H, W), so that they go with (C, H, W)."""
    return values.reshape(-1, 1, 1) if values.ndim < 3 else values


def _add_group(graph: OnnxGraph, program: FixedGraph, g: FixedSynapse, name: str, x: str, dtype: int) -> list[str]:
    """What a group adds, shifted, in integers (N, C_out, H_out, W_out), as one or two summands."""
    summands = []
    for index, (part, values) in enumerate(_parts(program, g).items()):
        found = graph.synapse(f"{name}.{index}", x, graph.constant(values, part), g.geometry)
        summands.append(graph.cast("", found, dtype))
    return summands


def _parts(program: FixedGraph, g: FixedSynapse) -> dict[str, Array]:
    """The weights of a group, shifted, in float32, by a name that groups with the same array share."""
    number = [one.weight is g.weight and one.shift == g.shift for one in program.synapses].index(True)
    parts = _exact_parts(g, program.largest_input(g))
    return {
        f"weight.{number}.{index}of{len(parts)}": (part * 2.0**g.shift).astype(np.float32)
        for index, part in enumerate(parts)
    }


def _exact_parts(g: FixedSynapse, largest_input: int) -> list[IntArray]:
    """The weights, in as many parts as float32 needs to add them up without rounding.

    Raises:
        RangeError: If two are not enough.
    """
    low = (g.weight + SPLIT // 2) % SPLIT - SPLIT // 2
    for parts in ([g.weight], [g.weight - low, low]):
        if all(_bound(g, part, largest_input) <= FLOAT32_EXACT for part in parts):
            return parts
    bound = _bound(g, g.weight, largest_input)
    raise RangeError(f"sums of up to {bound} are not exact in two float32 convolutions", where=label(g))


def _bound(g: FixedSynapse, weight: IntArray, largest_input: int) -> int:
    """The largest partial sum, in units of the largest power of two that divides all weights."""
    unit = int(np.gcd.reduce(weight, axis=None)) or 1
    power = unit & -unit
    return FixedSynapse(g.source, g.target, g.geometry, weight // power).largest_sum(largest_input)
