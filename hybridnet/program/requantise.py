"""Other parameters in the scales of a program that has its integers already; each rounded to its nearest."""

from __future__ import annotations

import dataclasses

import numpy as np

from hybridnet.errors import ConfigError
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse, largest_weight
from hybridnet.program.graph import GraphProgram, Population, Synapse
from hybridnet.program.layers import BIAS_MAX, DECAY_ONE, POTENTIAL_SHIFT, THRESHOLD_MAX, FloatArray, IntArray
from hybridnet.program.spiking import input_shapes, layer_shapes


def requantise(program: GraphProgram, like: FixedGraph) -> FixedGraph:
    """The integers of a program in the scales of another one of the same shape.

    Raises:
        ConfigError: If the two differ in more than their parameters.
    """
    shapes = [
        (input_shapes(one), layer_shapes(one), [(g.source, g.target, g.geometry, g.delay) for g in one.synapses],
         [p.reset for p in one.populations])
        for one in (program, like)
    ]  # fmt: skip
    if shapes[0] != shapes[1]:
        raise ConfigError("scales", "of another spiking half", "those of a bundle of the same model")
    return FixedGraph(
        like.inputs,
        tuple(map(_population, program.populations, like.populations)),
        tuple(
            _synapse(g, twin, weight_scale(like, twin)) for g, twin in zip(program.synapses, like.synapses, strict=True)
        ),
        like.steps,
    )


def weight_scale(graph: FixedGraph, g: FixedSynapse) -> float:
    """S_w = S / (2^s · S_x) of a group, integer weight per unit of weight."""
    sent = {node.name: node.input_scale for node in graph.inputs}.get(g.source, 1.0)
    target = next(p for p in graph.populations if p.name == g.target)
    return float(target.scale / (2.0**g.shift * sent))


def _population(p: Population, like: FixedPopulation) -> FixedPopulation:
    unit = like.scale / 2**POTENTIAL_SHIFT
    threshold = None if p.threshold is None else _rounded(p.threshold * unit, 1, THRESHOLD_MAX)
    soft = p.reset == "soft" and p.threshold is not None
    return dataclasses.replace(
        like,
        decay=_rounded((1 - p.leak) * DECAY_ONE, 0, DECAY_ONE),
        current_decay=_rounded((1 - p.current_leak) * DECAY_ONE, 0, DECAY_ONE),
        threshold=threshold,
        reset_amount=_rounded(p.reset_amount * unit, -THRESHOLD_MAX, THRESHOLD_MAX) if soft else like.reset_amount,
        bias=_rounded(p.bias * unit, -BIAS_MAX, BIAS_MAX),
    )


def _synapse(g: Synapse, like: FixedSynapse, scale: float) -> FixedSynapse:
    most = largest_weight(like.weight_bits)
    return dataclasses.replace(like, weight=2 * _rounded(g.weight * scale / 2, -(most // 2) - 1, most // 2))


def _rounded(values: FloatArray, low: int, high: int) -> IntArray:
    return np.clip(np.rint(values), low, high).astype(np.int32)
