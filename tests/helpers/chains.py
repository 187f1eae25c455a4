"""Chains as tests write them down: one layer after the other, each a convolution and its neurons; and their graphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

import numpy as np

from hybridnet.deploy.netx.file import write_net
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import (
    DECAY_ONE,
    MESSAGE_MAX,
    POTENTIAL_SHIFT,
    WEIGHT_MAX,
    WEIGHT_MIN,
    ConvGeometry,
    FloatArray,
    IntArray,
    Reset,
)

InputKind = Literal["analog", "spike"]


@dataclass(frozen=True, eq=False)
class ConvLIFLayer:
    """One ConvLIF layer in float.

    Attributes:
        name: `<stream>.<index>`, for example `mv.0`.
        weight: (C_out, C_in/groups, kh, kw).
        bias: (C_out,).
        leak: λ, in (0, 1).
        threshold: vth > 0, in model units.
        input_kind: `analog` for the first layer of a stream, `spike` behind another layer.
        read_out: Whether u[T] of this layer crosses the bridge.
    """

    name: str
    geometry: ConvGeometry
    weight: FloatArray
    bias: FloatArray
    leak: float
    threshold: float
    reset: Reset
    input_kind: InputKind
    read_out: bool


@dataclass(frozen=True, eq=False)
class FixedConvLIF:
    """One ConvLIF layer in the chip's integers.

    Attributes:
        weight: (C_out, C_in/groups, kh, kw), range [WEIGHT_MIN, WEIGHT_MAX], even.
        bias: (C_out,), range [−BIAS_MAX, BIAS_MAX], shifted by POTENTIAL_SHIFT before it is added.
        decay: dv, range [0, DECAY_ONE]; λ ≈ 1 − dv / DECAY_ONE.
        threshold: Mantissa, range [1, THRESHOLD_MAX]; compared with v after a shift by POTENTIAL_SHIFT.
        weight_scale: S_w, integer weight per unit of weight.
        input_scale: S_x, integer message per unit of input; 1 behind another layer.
        input_shift: s, 0 to POTENTIAL_SHIFT; hard reset, whose neuron is stock LIF, has no other than POTENTIAL_SHIFT.
        message_max: Largest |message| of an analog input, MESSAGE_MAX to PAYLOAD_MAX; inputs beyond it are clipped.
    """

    name: str
    geometry: ConvGeometry
    weight: IntArray
    bias: IntArray
    decay: int
    threshold: int
    reset: Reset
    input_kind: InputKind
    read_out: bool
    weight_scale: float
    input_scale: float
    input_shift: int = POTENTIAL_SHIFT
    message_max: int = MESSAGE_MAX
    weight_min: ClassVar[int] = WEIGHT_MIN
    weight_max: ClassVar[int] = WEIGHT_MAX

    @property
    def potential_scale(self) -> float:
        """2^s · S_w · S_x: v / potential_scale is the membrane potential in model units."""
        return 2.0**self.input_shift * self.weight_scale * self.input_scale

    @property
    def current_bias(self) -> IntArray:
        """B in units of the convolution's sum, (C_out,): the current is (conv(w, x) + current_bias) << s."""
        return self.bias << (POTENTIAL_SHIFT - self.input_shift)

    def largest_current(self, largest_input: int) -> int:
        """max|x|·Σ|w| + |b| of the largest output channel: no partial sum of the convolution exceeds it.

        Args:
            largest_input: max|x|: `message_max` where messages arrive, 1 where spikes do.
        """
        fan_in = np.abs(self.weight).sum(axis=(1, 2, 3), dtype=np.int64)
        return int((largest_input * fan_in + np.abs(self.current_bias)).max())


Layer = TypeVar("Layer", ConvLIFLayer, FixedConvLIF)


@dataclass(frozen=True, eq=False)
class Stream(Generic[Layer]):
    """A stack of layers fed by one input of the model, shape (N, T, C, H, W)."""

    name: str
    input_name: str
    layers: tuple[Layer, ...]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one step of the input."""
        return self.layers[0].geometry.input_shape


@dataclass(frozen=True, eq=False)
class Program(Generic[Layer]):
    """The spiking half: all streams, run for `steps` steps per window."""

    streams: tuple[Stream[Layer], ...]
    steps: int

    def layers(self) -> Iterator[Layer]:
        """All layers, stream by stream, in the order in which data flows."""
        for stream in self.streams:
            yield from stream.layers


FloatProgram = Program[ConvLIFLayer]
FixedProgram = Program[FixedConvLIF]


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
        ValueError: If streams send the same input as different messages.
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
            raise ValueError(f"{node.name} is sent as different messages")
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
        reset_amount=threshold if layer.reset == "soft" else np.array(0.0),
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
        reset_amount=threshold if layer.reset == "soft" else np.zeros((), np.int32),
        bias=layer.bias,
        scale=layer.potential_scale,
    )


def write_chain(path: Path, in_float: Stream[ConvLIFLayer], fixed: Stream[FixedConvLIF], steps: int) -> None:
    """A stream as a `.net` file."""
    write_net(path, fixed.name, graph_of(Program((in_float,), steps)), fixed_graph_of(Program((fixed,), steps)))
