"""Where a population's error comes from: each thing that is rounded, rounded alone, the rest in float."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch

from hybridnet.program.fixed_graph import FixedGraph, FixedInput
from hybridnet.program.graph import GraphProgram, Input
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_SHIFT
from hybridnet.program.parts import groups_alone
from hybridnet.simulators.quantise import quantise_input
from hybridnet.simulators.torch.graph_step import trace_graph
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import sqnr_db

Source = Literal["messages", "weights", "threshold, decay and bias", "spikes of the layers before"]


def sqnr_by_source(
    program: GraphProgram, fixed: FixedGraph, name: str, exact: Mapping[str, Array], fed: Mapping[str, Array]
) -> dict[Source, float | None]:
    """SQNR of u[T] in dB with one thing rounded at a time; None where that changes no bit; nothing if nothing arrives.

    Args:
        program: In float.
        fixed: The same in integers.
        name: The population.
        exact: What every node sends in float, (N, T, C, H, W), or (N, C, H, W) of a still input.
        fed: Spikes of the rounded populations.
    """
    alone, sources = population_alone(program, name)
    if not sources:
        return {}
    nodes = {node.name: node for node in fixed.inputs}
    given = {at: exact[source] for at, source in sources.items()}
    rounded: dict[Source, tuple[GraphProgram, Mapping[str, Array]]] = {}
    if messages := {at: _sent(exact[at], nodes[at]) for at in given if at in nodes}:
        rounded["messages"] = (alone, {**given, **messages})
    scales = {at: nodes[at].input_scale if at in nodes else 1.0 for at in sources}
    chip = next(p for p in fixed.populations if p.name == name)
    weights = tuple(
        dataclasses.replace(
            g, weight=np.asarray(own.weight * (2.0**own.shift * scales[g.source] / chip.scale), np.float64)
        )
        for g, own in zip(alone.synapses, fixed.onto(name), strict=True)
    )
    rounded["weights"] = (GraphProgram(alone.inputs, alone.populations, weights, alone.steps), given)
    unit, (own_float,) = chip.scale / 2**POTENTIAL_SHIFT, alone.populations
    own = dataclasses.replace(
        own_float,
        bias=chip.bias / unit,
        leak=np.asarray((DECAY_ONE - chip.decay) / DECAY_ONE),
        current_leak=np.asarray((DECAY_ONE - chip.current_decay) / DECAY_ONE),
        threshold=None if chip.threshold is None else np.asarray(chip.threshold / unit),
        reset_amount=np.asarray(chip.reset_amount / unit) if own_float.reset == "soft" else own_float.reset_amount,
    )
    rounded["threshold, decay and bias"] = (GraphProgram(alone.inputs, (own,), alone.synapses, alone.steps), given)
    if spikes := {at: fed[source] for at, source in sources.items() if at not in nodes}:
        rounded["spikes of the layers before"] = (alone, {**given, **spikes})
    reference = _readout(alone, given, name)
    return {source: sqnr_db(_readout(*run, name), reference) for source, run in rounded.items()}


def dominating(by_source: Mapping[Source, float | None]) -> Source | None:
    """The source with the lowest SQNR; None if nothing changes a bit."""
    told = {source: value for source, value in by_source.items() if value is not None}
    return min(told, key=lambda source: told[source], default=None)


def population_alone(program: GraphProgram, name: str) -> tuple[GraphProgram, dict[str, str]]:
    """A population with all that reaches it as inputs, itself too; and the node that each of these stands for."""
    groups, sources = groups_alone(program.onto(name), name)
    still = {node.name for node in program.inputs if node.still}
    shapes = {g.source: g.geometry.input_shape for g in groups}
    inputs = tuple(Input(source, shape, source in still) for source, shape in shapes.items())
    own = tuple(p for p in program.populations if p.name == name)
    return GraphProgram(inputs, own, groups, program.steps), sources


def _sent(values: Array, node: FixedInput) -> Array:
    messages, _ = quantise_input(values, node)
    return messages / node.input_scale


def _readout(program: GraphProgram, inputs: Mapping[str, Array], name: str) -> Array:
    """u[T], (N, C, H, W), in float64."""
    states = trace_graph(program, {at: torch.from_numpy(np.asarray(x, np.float64)) for at, x in inputs.items()})
    return np.asarray(states[name].u[:, -1].numpy())
