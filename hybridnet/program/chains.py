"""Chains: programs, or parts of them, that lava-dl's netx can say, since each population feeds the next one alone.

A population of a chain has one leak and one threshold, no synaptic current, a soft reset by its threshold or a hard
one, and one convolution without delay before it. A hard reset is stock Lava's `LIF`, whose synaptic input has no other
shift than POTENTIAL_SHIFT and whose messages have 8 bits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from hybridnet.program.fixed_graph import WEIGHT_BITS, FixedGraph
from hybridnet.program.graph import GraphProgram, Population, Synapse
from hybridnet.program.layers import MESSAGE_MAX, POTENTIAL_SHIFT, ConvGeometry

NAME = re.compile(r"[\w.\-]{1,128}", re.ASCII)
"""What a chain, its input and its populations may be called in a netx file, and the file itself."""

MAX_LAYERS, MAX_STEPS = 64, 4096
"""The most of a netx file: far above any network that a chip holds, and small enough to allocate."""

Chain = tuple[str, ...]
"""The name of an input, and those of the populations behind it, first to last."""


def chains_of(program: GraphProgram) -> Mapping[str, Chain]:
    """The chains of a program by name; none if it is more than chains.

    A chain is called as its populations, `mv` of `mv.0` and `mv.1`, or as the first of them.
    """
    if any(node.still for node in program.inputs) or not all(_is_link(program, p) for p in program.populations):
        return {}
    inputs = {node.name for node in program.inputs}
    chains = []
    for g in program.synapses:
        if g.source in inputs:
            chain = [g.source, g.target]
            while behind := program.behind(chain[-1]):
                chain.append(behind[0].target)
            chains.append(tuple(chain))
    short = [chain[1].rpartition(".")[0] or chain[1] for chain in chains]
    return {name if short.count(name) == 1 else chain[1]: chain for name, chain in zip(short, chains, strict=True)}


def stock_populations(program: GraphProgram) -> frozenset[str]:
    """Populations of chains whose neurons are stock Lava's."""
    hard = frozenset(p.name for p in program.populations if p.reset == "hard")
    return hard if hard and chains_of(program) else frozenset()


def netx_chains(program: GraphProgram, fixed: FixedGraph) -> Mapping[str, Chain]:
    """The chains that netx files can hold; none if the program is more, or its integers are others than netx knows."""
    largest = {g.target: fixed.largest_input(g) for g in fixed.synapses}
    stock = stock_populations(program)
    fits = all(
        g.weight_bits == WEIGHT_BITS
        and (largest[g.target] == 1 or largest[g.target] >= MESSAGE_MAX)
        and (g.target not in stock or (g.shift == POTENTIAL_SHIFT and largest[g.target] <= MESSAGE_MAX))
        for g in fixed.synapses
    ) and all(p.reset == "hard" or np.all(p.reset_amount == p.threshold) for p in fixed.populations)
    chains = chains_of(program) if fits else {}
    small = program.steps <= MAX_STEPS and all(len(chain) <= MAX_LAYERS + 1 for chain in chains.values())
    names = {name for chain in chains.items() for name in (chain[0], *chain[1])}
    return chains if small and all(map(NAME.fullmatch, names)) else {}


def _is_link(program: GraphProgram, p: Population) -> bool:
    groups = program.onto(p.name)
    if len(groups) != 1 or len(program.behind(p.name)) > 1 or p.threshold is None or p.bias.ndim != 1:
        return False
    resets = bool(np.all(p.reset_amount == (0 if p.reset == "hard" else p.threshold)))
    return resets and not p.current_leak.any() and p.leak.size == p.threshold.size == 1 and _is_plain(groups[0])


def _is_plain(g: Synapse) -> bool:
    return not g.delay and isinstance(g.geometry, ConvGeometry)
