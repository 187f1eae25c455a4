"""The spiking half in both of its forms, float and fixed point."""

from __future__ import annotations

from dataclasses import dataclass

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram, Shape

AnyGraph = GraphProgram | FixedGraph


@dataclass(frozen=True, eq=False)
class SpikingHalf:
    """What runs on the chip: in float, as trained, and in the chip's integers."""

    program: GraphProgram
    fixed: FixedGraph


def input_shapes(program: AnyGraph) -> dict[str, tuple[int, ...]]:
    """The shape of each input for one view: (T, C, H, W), or (C, H, W) of a still one."""
    return {n.name: n.shape if n.still else (program.steps, *n.shape) for n in program.inputs}


def layer_shapes(program: AnyGraph) -> dict[str, Shape]:
    """(C, H, W) of the neurons of each population, in the order in which data flows."""
    return {p.name: p.shape for p in program.populations}


def scales_of(program: FixedGraph) -> dict[str, float]:
    """S of each population: v / S is in model units."""
    return {p.name: p.scale for p in program.populations}
