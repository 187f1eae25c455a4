"""A spiking program with one thing of its shape changed and its weights kept: what a network of another size would do.

Nothing is trained. Layers of other sizes follow from those before them; where they cannot, the change is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from hybridnet.errors import ConfigError
from hybridnet.program.graph import Geometry, GraphProgram, Population, Shape, Synapse, label
from hybridnet.program.layers import ConvGeometry, FloatArray, IntArray

Kept = Mapping[str, IntArray]
"""By input or population, which of its channels are left."""


def with_stride(program: GraphProgram, factor: int) -> GraphProgram:
    """The layers that read an input skip so many times more.

    Raises:
        ConfigError: If one of them is no convolution, or sizes that must agree do not.
    """
    inputs = {node.name for node in program.inputs}

    def skipping(g: Synapse) -> Geometry:
        if g.source not in inputs:
            return g.geometry
        if not isinstance(g.geometry, ConvGeometry):
            raise ConfigError(f"{label(g)}.stride", g.geometry.stride, "that of a convolution")
        down, right = g.geometry.stride
        return dataclasses.replace(g.geometry, stride=(down * factor, right * factor))

    return _resized(program, {node.name: node.shape for node in program.inputs}, skipping)


def with_crop(program: GraphProgram, part: float) -> GraphProgram:
    """Inputs whose height and width are this part of theirs.

    Raises:
        ConfigError: If a kernel is larger than what is left, or sizes that must agree do not.
    """
    return _resized(program, {node.name: cropped(node.shape, part) for node in program.inputs}, lambda g: g.geometry)


def cropped(shape: Shape, part: float) -> Shape:
    """A map with this part of its height and width, and at least one of each."""
    return shape[0], max(1, round(shape[1] * part)), max(1, round(shape[2] * part))


def with_steps(program: GraphProgram, steps: int) -> GraphProgram:
    """The first steps alone."""
    return GraphProgram(program.inputs, program.populations, program.synapses, steps)


def with_channels(program: GraphProgram, part: float) -> GraphProgram:
    """This part of the channels of every population: those of the largest weights (Li et al. 2017, arXiv 1608.08710).

    Raises:
        ConfigError: If channels are in groups, which leaving some out would cut.
    """
    for g in program.synapses:
        if g.geometry.groups != 1:
            raise ConfigError(f"{label(g)}.groups", g.geometry.groups, "1, if channels are to be left out")
    kept: Kept = {node.name: np.arange(node.shape[0], dtype=np.int32) for node in program.inputs}
    kept = {**kept, **{p.name: _largest(p, program.onto(p.name), part) for p in program.populations}}
    populations = tuple(_with_channels(p, kept[p.name]) for p in program.populations)
    return GraphProgram(program.inputs, populations, tuple(_narrowed(g, kept) for g in program.synapses), program.steps)


def _largest(p: Population, groups: tuple[Synapse, ...], part: float) -> IntArray:
    """The channels of a population with the largest sums of |w| over all that adds up at it, in order."""
    count = max(1, round(p.shape[0] * part))
    sizes = sum((np.abs(_by_target(g)).sum((1, 2, 3)) for g in groups), np.zeros(p.shape[0]))
    return np.sort(np.argsort(-sizes, kind="stable")[:count]).astype(np.int32)


def _with_channels(p: Population, kept: IntArray) -> Population:
    def of(values: FloatArray) -> FloatArray:
        return values if values.ndim == 0 else values[kept]

    return dataclasses.replace(
        p,
        shape=(len(kept), *p.shape[1:]),
        leak=of(p.leak),
        current_leak=of(p.current_leak),
        threshold=None if p.threshold is None else of(p.threshold),
        reset_amount=of(p.reset_amount),
        bias=p.bias[kept],
    )


def _narrowed(g: Synapse, kept: Kept) -> Synapse:
    source, target = kept[g.source], kept[g.target]
    shape = (len(source), *g.geometry.input_shape[1:])
    geometry = dataclasses.replace(g.geometry, input_shape=shape, out_channels=len(target))
    weight = _by_target(g)[target][:, source]
    return dataclasses.replace(g, geometry=geometry, weight=weight if _is_conv(g) else weight.swapaxes(0, 1))


def _by_target(g: Synapse) -> FloatArray:
    """The weights of one group of channels, (C_out, C_in, kh, kw)."""
    return g.weight if _is_conv(g) else g.weight.swapaxes(0, 1)


def _is_conv(g: Synapse) -> bool:
    return isinstance(g.geometry, ConvGeometry)


def _resized(
    program: GraphProgram, inputs: Mapping[str, Shape], geometry: Callable[[Synapse], Geometry]
) -> GraphProgram:
    """Every layer in the size that those before it give it; what comes back to it in a cycle must agree with that."""
    shapes = dict(inputs)

    def fitted(g: Synapse) -> Geometry:
        return dataclasses.replace(geometry(g), input_shape=shapes[g.source])

    for p in program.populations:
        first = next((g for g in program.onto(p.name) if g.source in shapes), None)
        shapes[p.name] = p.shape if first is None else fitted(first).output_shape
    return GraphProgram(
        tuple(dataclasses.replace(node, shape=shapes[node.name]) for node in program.inputs),
        tuple(dataclasses.replace(p, shape=shapes[p.name]) for p in program.populations),
        tuple(dataclasses.replace(g, geometry=fitted(g)) for g in program.synapses),
        program.steps,
    )
