"""Chains of layers as graphs, and graphs that are no more than chains as such.

A layer of a chain (`hybridnet.program.layers`) is a population with one leak and one threshold, no synaptic current and
a soft reset by its threshold or a hard one, behind one convolution without delay. What the two compute is equal.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from hybridnet.errors import ConfigError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import (
    DECAY_ONE,
    ConvGeometry,
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatArray,
    FloatProgram,
    Program,
    Stream,
)


def graph_of(program: FloatProgram) -> GraphProgram:
    """The graph of a float program: a population per layer, of its name; an input per input of the model."""
    inputs = {stream.input_name: Input(stream.input_name, stream.input_shape) for stream in program.streams}
    return GraphProgram(
        tuple(inputs.values()),
        tuple(map(_population, program.layers())),
        tuple(
            Synapse(source, layer.name, layer.geometry, layer.weight)
            for stream in program.streams
            for source, layer in zip(_sources(stream), stream.layers, strict=False)
        ),
        program.steps,
    )


def fixed_graph_of(program: FixedProgram) -> FixedGraph:
    """The same of a program in the chip's integers.

    Raises:
        ConfigError: If streams send the same input as different messages.
    """
    inputs: dict[str, FixedInput] = {}
    for stream in program.streams:
        first = stream.layers[0]
        node = FixedInput(
            stream.input_name,
            stream.input_shape,
            input_scale=first.input_scale,
            message_max=first.message_max,
        )
        if inputs.setdefault(node.name, node) != node:
            raise ConfigError(f"{first.name}.input_scale", first.input_scale, f"{inputs[node.name].input_scale}")
    return FixedGraph(
        tuple(inputs.values()),
        tuple(map(_fixed_population, program.layers())),
        tuple(
            FixedSynapse(
                source,
                layer.name,
                layer.geometry,
                layer.weight,
                shift=layer.input_shift,
                weight_bits=(layer.weight_max + 2).bit_length() - 1,
            )
            for stream in program.streams
            for source, layer in zip(_sources(stream), stream.layers, strict=False)
        ),
        program.steps,
    )


def graph_of_streams(program: FixedProgram) -> tuple[FixedGraph, dict[str, str]]:
    """The graph in which each stream has an input of its own, as streams may send one input as different messages.

    Returns:
        The graph, and per stream the name of its input.
    """
    own = {stream.name: f"{stream.name} (input)" for stream in program.streams}
    streams = tuple(replace(stream, input_name=own[stream.name]) for stream in program.streams)
    return fixed_graph_of(Program(streams, program.steps)), own


def chains_of(graph: GraphProgram, read_outs: Collection[str]) -> FloatProgram | None:
    """The program of a graph that is no more than chains; None if it is more.

    Args:
        graph: In float.
        read_outs: Names of populations whose last potential is read.
    """
    if any(node.still for node in graph.inputs):
        return None
    layers: dict[str, ConvLIFLayer] = {}
    names = {node.name for node in graph.inputs}
    for p in graph.populations:
        groups = graph.onto(p.name)
        layer = _layer(p, groups[0], names, p.name in read_outs) if len(groups) == 1 else None
        if layer is None or len(graph.behind(p.name)) > 1:
            return None
        layers[p.name] = layer
    streams = []
    for g in graph.synapses:
        if g.source in names:
            chain = [g.target]
            while behind := graph.behind(chain[-1]):
                chain.append(behind[0].target)
            streams.append(Stream(stream_name(g.target), g.source, tuple(layers[name] for name in chain)))
    return Program(tuple(streams), graph.steps)


def stream_name(layer: str) -> str:
    """A stream is called as its layers, `mv` of `mv.0`, or as its first one."""
    return layer.rpartition(".")[0] or layer


def _sources(stream: Stream[ConvLIFLayer] | Stream[FixedConvLIF]) -> list[str]:
    return [stream.input_name, *(layer.name for layer in stream.layers)]


def _population(layer: ConvLIFLayer) -> Population:
    threshold = np.array(layer.threshold)
    return Population(
        name=layer.name,
        shape=layer.geometry.output_shape,
        leak=np.array(layer.leak),
        current_leak=np.array(0.0),
        threshold=threshold,
        reset=layer.reset,
        reset_amount=threshold,
        bias=layer.bias,
    )


def _fixed_population(layer: FixedConvLIF) -> FixedPopulation:
    threshold = np.array(layer.threshold, np.int32)
    return FixedPopulation(
        name=layer.name,
        shape=layer.geometry.output_shape,
        decay=np.array(layer.decay, np.int32),
        current_decay=np.array(DECAY_ONE, np.int32),
        threshold=threshold,
        reset=layer.reset,
        reset_amount=threshold,
        bias=layer.bias,
        scale=layer.potential_scale,
    )


def _layer(p: Population, g: Synapse, inputs: Collection[str], read_out: bool) -> ConvLIFLayer | None:
    """A population behind one group as a layer, if it is no more."""
    if p.threshold is None or g.delay or not isinstance(g.geometry, ConvGeometry) or p.bias.ndim != 1:
        return None
    leak, threshold, amount = (_single(values) for values in (p.leak, p.threshold, p.reset_amount))
    if leak is None or threshold is None or p.current_leak.any() or (p.reset == "soft" and amount != threshold):
        return None
    return ConvLIFLayer(
        name=p.name,
        geometry=g.geometry,
        weight=g.weight,
        bias=p.bias,
        leak=leak,
        threshold=threshold,
        reset=p.reset,
        input_kind="analog" if g.source in inputs else "spike",
        read_out=read_out,
    )


def _single(values: FloatArray) -> float | None:
    """The one number that all channels share, if they do."""
    flat = np.unique(values)
    return float(flat[0]) if flat.size == 1 else None
