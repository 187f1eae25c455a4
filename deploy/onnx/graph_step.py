"""One step of a fixed-point graph program in ONNX; equations: `hybridnet.program.fixed_graph`.

Each operator is exact, whatever runs it:

* A group is a float32 Conv or ConvTranspose where Σ|w|·max|x| ≤ 2²⁴, so that no partial sum can round. Its weights are
  multiplied by 2ˢ beforehand, which changes exponents alone. Beyond that bound the weights are split, w = 16·h + l,
  into two such operators. Weights that groups share are stored once.
* What groups add up to is int64, and so are currents and potentials.
* (4096 − d)·v / 4096 is a float64 product of 35 bits over a power of two; the Cast to int64 truncates toward zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from hybridnet.deploy.onnx.graph import OnnxGraph, conv_attributes, transposed_attributes
from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.graph import label
from hybridnet.program.layers import DECAY_ONE, FLOAT32_EXACT, POTENTIAL_MAX, POTENTIAL_SHIFT, ConvGeometry, IntArray
from hybridnet.support.arrays import Array

SPLIT = 16
"""Weights are split at this place where they are too large together."""


class PopulationNames(NamedTuple):
    """What a population's step gives, by the names of tensors (N, C, H, W).

    Attributes:
        c: Current, int64.
        v: Potential, int64.
        o: Spikes, bool.
        saturated: Where v was clipped, bool.
        saturated_current: Where c was, if it is kept, bool.
    """

    c: str
    v: str
    o: str
    saturated: str
    saturated_current: str


def add_messages(graph: OnnxGraph, node: FixedInput, x: str) -> tuple[str, str]:
    """Messages (float32) of an input tensor of any shape, and where they were clipped (bool)."""
    scale = graph.constant(np.float64(node.input_scale))
    rounded = graph("Round", "", graph("Mul", "", graph.cast("", x, TensorProto.DOUBLE), scale))
    clipped = graph("Clip", "", rounded, *(graph.constant(np.float64(s * node.message_max)) for s in (-1, 1)))
    changed = graph("Not", "", graph("Equal", "", rounded, clipped))
    return graph.cast("", clipped, TensorProto.FLOAT), changed


def add_step(
    graph: OnnxGraph,
    program: FixedGraph,
    suffix: str,
    sent: Callable[[str, int], str | None],
    before: dict[str, PopulationNames],
    zeros: Callable[[FixedPopulation], str],
) -> dict[str, PopulationNames]:
    """All populations of one step.

    Args:
        graph: What it is added to.
        program: The program.
        suffix: Suffix of the step's names.
        sent: What a node sent so many steps ago, (N, C, H, W) of any type; None before the window.
        before: Populations at the step before; empty at the first step.
        zeros: For populations that nothing reaches, int64 (N, C, H, W).
    """
    now: dict[str, PopulationNames] = {}
    for p in program.populations:
        sums = []
        for number, g in enumerate(program.onto(p.name)):
            x = now[g.source].o if g.delay == 0 and g.source in now else sent(g.source, g.delay)
            if x is not None:
                name = f"{label(g)}.{number}{suffix}"
                sums.append(_add_group(graph, g, name, _parts(program, g), graph.cast("", x, TensorProto.FLOAT)))
        total = sums[0] if sums else zeros(p)
        for one in sums[1:]:
            total = graph("Add", "", total, one)
        now[p.name] = add_population(graph, p, total, before.get(p.name), suffix)
    return now


def add_population(
    graph: OnnxGraph, p: FixedPopulation, total: str, before: PopulationNames | None, suffix: str
) -> PopulationNames:
    """One step of a population from what its groups add up to, int64."""

    def column(values: Array, kind: str) -> str:
        wide = values.reshape(-1, 1, 1) if values.ndim < 3 else values
        return graph.constant(wide[None], f"{p.name}.{kind}")

    limits = [graph.constant(np.int64(s * POTENTIAL_MAX)) for s in (-1, 1)]
    a = total
    if before is not None and p.keeps_current:
        keep = column((DECAY_ONE - p.current_decay.astype(np.float64)) / DECAY_ONE, "keep_current")
        a = graph("Add", "", a, _truncated(graph, before.c, keep))
    c = graph("Clip", f"{p.name}.c{suffix}", a, *limits)
    exact = graph("Add", "", a, column(p.bias.astype(np.int64) << POTENTIAL_SHIFT, "bias"))
    if before is not None:
        keep = column((DECAY_ONE - p.decay.astype(np.float64)) / DECAY_ONE, "keep")
        zero, kept = graph.constant(np.int64(0)), before.v
        if p.reset == "hard":
            kept = graph("Where", "", before.o, zero, kept)
        exact = graph("Add", "", exact, _truncated(graph, kept, keep))
        if p.reset == "soft":
            amount = column(p.reset_amount.astype(np.int64) << POTENTIAL_SHIFT, "reset_amount")
            exact = graph("Sub", "", exact, graph("Where", "", before.o, amount, zero))
    v = graph("Clip", f"{p.name}.v{suffix}", exact, *limits)
    never = np.array(POTENTIAL_MAX + 1, np.int64)
    threshold = never if p.threshold is None else p.threshold.astype(np.int64) << POTENTIAL_SHIFT
    o = graph("Greater", f"{p.name}.o{suffix}", v, column(threshold, "threshold"))
    changed = graph("Not", "", graph("Equal", "", a, c))
    kept_at_all = column(p.current_decay < DECAY_ONE, "keeps_current")
    return PopulationNames(
        c, v, o, graph("Not", "", graph("Equal", "", exact, v)), graph("And", "", changed, kept_at_all)
    )


def _add_group(graph: OnnxGraph, g: FixedSynapse, name: str, weights: Mapping[str, Array], x: str) -> str:
    """What a group adds, shifted, int64 (N, C_out, H_out, W_out), from its weights in parts, by name."""
    sums = []
    for index, (part, values) in enumerate(weights.items()):
        constant = graph.constant(values, part)
        if isinstance(g.geometry, ConvGeometry):
            found = graph("Conv", f"{name}.{index}", x, constant, **conv_attributes(g.geometry))
        else:
            found = graph("ConvTranspose", f"{name}.{index}", x, constant, **transposed_attributes(g.geometry))
        sums.append(graph.cast("", found, TensorProto.INT64))
    return sums[0] if len(sums) == 1 else graph("Add", "", *sums)


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


def _truncated(graph: OnnxGraph, values: str, keep: str) -> str:
    product = graph("Mul", "", graph.cast("", values, TensorProto.DOUBLE), keep)
    return graph.cast("", product, TensorProto.INT64)
