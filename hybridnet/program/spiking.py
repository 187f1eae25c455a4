"""The spiking half in both of its forms, float and fixed point: as chains of layers, or as a graph that is more."""

from __future__ import annotations

from dataclasses import dataclass

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram, Input, Shape
from hybridnet.program.layers import FixedConvLIF, FixedProgram, FloatProgram

AnyFloat = FloatProgram | GraphProgram
AnyFixed = FixedProgram | FixedGraph
AnyProgram = AnyFloat | AnyFixed


@dataclass(frozen=True, eq=False)
class Chains:
    """A spiking half of chains, which stock netx can run."""

    program: FloatProgram
    fixed: FixedProgram


@dataclass(frozen=True, eq=False)
class Graphs:
    """A spiking half that is more than chains."""

    program: GraphProgram
    fixed: FixedGraph


SpikingHalf = Chains | Graphs


def inputs_of(program: AnyProgram) -> tuple[Input, ...]:
    """What is fed to a program, each input once."""
    if isinstance(program, GraphProgram | FixedGraph):
        return tuple(Input(node.name, node.shape, node.still) for node in program.inputs)
    streams = {stream.input_name: stream.input_shape for stream in program.streams}
    return tuple(Input(name, shape) for name, shape in streams.items())


def input_shapes(program: AnyProgram) -> dict[str, tuple[int, ...]]:
    """The shape of each input for one view: (T, C, H, W), or (C, H, W) of a still one."""
    return {n.name: n.shape if n.still else (program.steps, *n.shape) for n in inputs_of(program)}


def layer_shapes(program: AnyProgram) -> dict[str, Shape]:
    """(C, H, W) of the neurons of each layer or population, in the order in which data flows."""
    if isinstance(program, GraphProgram | FixedGraph):
        return {p.name: p.shape for p in program.populations}
    return {layer.name: layer.geometry.output_shape for layer in program.layers()}


def read_outs_of(program: AnyProgram) -> tuple[str, ...]:
    """Names of layers whose last potential a back-end returns: all populations of a graph."""
    if isinstance(program, GraphProgram | FixedGraph):
        return tuple(p.name for p in program.populations)
    return tuple(layer.name for layer in program.layers() if layer.read_out)


def is_fixed(program: AnyProgram) -> bool:
    """Whether a program holds the chip's integers."""
    if isinstance(program, GraphProgram | FixedGraph):
        return isinstance(program, FixedGraph)
    return any(isinstance(layer, FixedConvLIF) for layer in program.layers())


def scales_of(program: AnyFixed) -> dict[str, float]:
    """S of each layer or population: v / S is in model units."""
    if isinstance(program, FixedGraph):
        return {p.name: p.scale for p in program.populations}
    return {layer.name: layer.potential_scale for layer in program.layers()}
