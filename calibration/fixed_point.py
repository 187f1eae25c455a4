"""A float graph program in the chip's integers, by the rule that knows least: scales as large as every register allows.

S of a population is the largest scale for which

    max|u|·HEADROOM·S, and max|c|·HEADROOM·S where c is kept     ≤ 2²³ − 1              24-bit states
    max(vth, |r|)·S                                              ≤ (2¹⁷ − 1)·2⁶         17-bit mantissas
    max|b|·S                                                     ≤ (2¹² − 1)·2⁶         13-bit bias mantissa
    max|w|·S                                                     ≤ 254·2⁶·S_x           8-bit weights of each group

with S_x = 127 / (largest input) of an input and 1 of a population; the largest u, c and inputs are those that
calibration saw. Then each group gets the smallest shift s at which its weights, w·S / (2^s·S_x), fit: they are as fine
as the common scale lets them be. Every number is rounded to its nearest integer, weights to even ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hybridnet.calibration.limits import HEADROOM, SMALL_THRESHOLD
from hybridnet.calibration.observation import Observation
from hybridnet.errors import RangeError
from hybridnet.program.chains import stock_populations
from hybridnet.program.fixed_graph import (
    WEIGHT_BITS,
    FixedGraph,
    FixedInput,
    FixedPopulation,
    FixedSynapse,
    largest_weight,
)
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import (
    BIAS_MAX,
    DECAY_ONE,
    MESSAGE_MAX,
    POTENTIAL_MAX,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    FloatArray,
    IntArray,
)


def quantise_graph(program: GraphProgram, seen: Observation, weight_bits: int = WEIGHT_BITS) -> FixedGraph:
    """The integers of a float graph program.

    Args:
        program: In float.
        seen: What calibration saw.
        weight_bits: Bits of a weight; fewer than the chip has to see what its bits are worth.

    Raises:
        RangeError: If calibration saw nothing but zeros at an input, or a threshold falls below one unit.
    """
    inputs = {node.name: _input(node, seen.input_max[node.name]) for node in program.inputs}
    sent = {name: node.input_scale for name, node in inputs.items()}
    scales = {p.name: population_scale(p, program.onto(p.name), sent, seen, weight_bits) for p in program.populations}
    stock = stock_populations(program)
    return FixedGraph(
        tuple(inputs.values()),
        tuple(quantise_population(p, scales[p.name]) for p in program.populations),
        tuple(
            quantise_synapse(g, scales[g.target] / sent.get(g.source, 1.0), weight_bits, stock=g.target in stock)
            for g in program.synapses
        ),
        program.steps,
    )


def population_scale(
    p: Population,
    groups: tuple[Synapse, ...],
    sent: Mapping[str, float],
    seen: Observation,
    weight_bits: int = WEIGHT_BITS,
) -> float:
    """S: the largest scale that all registers allow.

    Args:
        p: The population.
        groups: What adds up at it.
        sent: S_x of inputs, by name.
        seen: What calibration saw.
        weight_bits: Significant bits of the weights.
    """
    limits = [
        register_scale(p, seen),
        *(
            largest_weight(weight_bits) * 2**POTENTIAL_SHIFT * sent.get(g.source, 1.0) / largest
            for g in groups
            if (largest := _largest(g.weight)) > 0
        ),
    ]
    scale = min(limits)
    return scale if math.isfinite(scale) else 1.0


def register_scale(p: Population, seen: Observation) -> float:
    """The largest S that states, threshold, reset and bias allow; infinite if all are zero."""
    unit = 2.0**POTENTIAL_SHIFT
    limits = [
        (seen.potential_max[p.name] * HEADROOM, POTENTIAL_MAX),
        (seen.current_max[p.name] * HEADROOM if (p.current_leak > 0).any() else 0.0, POTENTIAL_MAX),
        (0.0 if p.threshold is None else _largest(p.threshold), THRESHOLD_MAX * unit),
        (_largest(p.reset_amount) if p.reset == "soft" else 0.0, THRESHOLD_MAX * unit),
        (_largest(p.bias), BIAS_MAX * unit),
    ]
    return float(min((limit / value for value, limit in limits if value > 0), default=math.inf))


def quantise_population(p: Population, scale: float) -> FixedPopulation:
    """Neurons in integers.

    Raises:
        RangeError: If a threshold is below one unit.
    """
    unit = scale / 2**POTENTIAL_SHIFT
    threshold = None if p.threshold is None else _rounded(p.threshold * unit)
    if p.threshold is not None and threshold is not None and (threshold < 1).any():
        raise RangeError(
            f"threshold {p.threshold.min():g} is below one unit of 1/{unit:g}", where=p.name, remedy=SMALL_THRESHOLD
        )
    amount = p.reset_amount if p.reset == "soft" and p.threshold is not None else np.zeros(())
    return FixedPopulation(
        name=p.name,
        shape=p.shape,
        decay=_rounded((1 - p.leak) * DECAY_ONE),
        current_decay=_rounded((1 - p.current_leak) * DECAY_ONE),
        threshold=threshold,
        reset=p.reset,
        reset_amount=_rounded(amount * unit),
        bias=_rounded(p.bias * unit),
        scale=scale,
    )


def quantise_synapse(g: Synapse, scale: float, weight_bits: int = WEIGHT_BITS, *, stock: bool = False) -> FixedSynapse:
    """A group in integers.

    Args:
        g: In float.
        scale: That of its weights before the shift, S / S_x.
        weight_bits: Significant bits of its weights.
        stock: Whether it ends at stock Lava's neurons, which know no other shift than POTENTIAL_SHIFT.
    """
    largest = _largest(g.weight) * scale
    shifts = () if stock else range(POTENTIAL_SHIFT)
    shift = next((s for s in shifts if largest <= largest_weight(weight_bits) * 2**s), POTENTIAL_SHIFT)
    weight = 2 * _rounded(g.weight * scale / 2 ** (shift + 1))
    return FixedSynapse(g.source, g.target, g.geometry, weight, g.delay, shift, weight_bits)


def _input(node: Input, largest: float) -> FixedInput:
    check_content(node.name, largest)
    return FixedInput(node.name, node.shape, node.still, MESSAGE_MAX / largest)


def check_content(name: str, largest: float) -> None:
    """Refuse an input without content.

    Raises:
        RangeError: If calibration saw nothing but zeros.
    """
    if not largest > 0:
        raise RangeError(
            "the calibration inputs hold nothing but zeros",
            where=name,
            remedy="Calibrate on inputs with content; what the host computes before the chip may make zeros of them",
        )


def _largest(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0))


def _rounded(values: FloatArray) -> IntArray:
    return np.rint(values).astype(np.int32)
