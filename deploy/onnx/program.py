r"""The spiking program as ONNX: all streams in one graph, all T steps unrolled, the batch dimension free.

    input    <input_name>           (N, T, C, H, W) float32, in model units
    outputs  <stream>.messages      (N, T, C, H, W) int8 or int16, what the first layer got   fixed point only
             <stream>.clipped       (N,) int64, inputs that did not fit their message         fixed point only
             <layer>.spikes         (N, T, C, H, W) bool, o of every step
             <layer>.overflows      (N,) int64, potentials that saturated at 24 bits          fixed point only
             <layer>.readout        (N, C, H, W) u[T], or int32 v[T], of layers that are read out
             <layer>.potentials     (N, T, C, H, W) u, or int32 v, of every step

Equations: `hybridnet.program.layers`. In fixed point each operator is exact, whatever runs it:

* The input is scaled, rounded half to even and clipped in float64, which holds every float32 and every product's
  rounding as the emulator's does.
* conv(w, x) + b comes from a float32 Conv where Σ|w|·max|x| + |b| ≤ 2²⁴ in every output channel, so that no partial sum
  can round. The weights are multiplied by 2ˢ beforehand (the bias by 2⁶), which changes exponents alone. Elsewhere it
  comes from ConvInteger, in int32, on w/2 (weights are even); ONNX Runtime has no float64 Conv on the CPU. Weights and
  messages then are uint8 with a zero point: kernels for mixed signs may saturate at 16 bits inside on some processors.
* (4096 − dv)·v / 4096 is a float64 product of 35 bits over a power of two; the Cast to int32 truncates toward zero.
* What remains is int32: |decayed v − reset| ≤ 2²³, and |current| is clipped at 2²⁶⁻ˢ before the shift, beyond which
  v saturates anyway, and is counted so.

Unrolled, not a Scan: see docs/onnx.md for what was measured.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from hybridnet.deploy.onnx.graph import OnnxGraph
from hybridnet.errors import RangeError
from hybridnet.program.layers import (
    DECAY_ONE,
    FLOAT32_EXACT,
    MESSAGE_MAX,
    POTENTIAL_MAX,
    POTENTIAL_SHIFT,
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Stream,
)

SCHEMA = "hybridnet.program/1"

INT32_EXACT = 2**30
"""Largest current that ConvInteger may give: its double must fit int32."""

DRIVE_MAX = 2**26
"""Beyond this current, after its shift, v saturates whatever it was: 2²⁶ > 2²³ + 2²³ + 2²³."""


def write_onnx_program(path: Path, program: FloatProgram | FixedProgram) -> None:
    """Write the graph of a program, float or fixed point, checked and with inferred shapes.

    Raises:
        RangeError: If a layer's currents are not exact in int32, its weights are odd where they must be even, or a map
            has more than 2²⁴ neurons.
    """
    graph = OnnxGraph()
    for layer in program.layers():
        shapes = layer.geometry.input_shape, layer.geometry.output_shape
        if max(math.prod(shape[1:]) for shape in shapes) > FLOAT32_EXACT:
            raise RangeError(f"maps of more than {FLOAT32_EXACT} neurons are not counted exactly", where=layer.name)
    for stream in program.streams:
        graph.declare_input(stream.input_name, (program.steps, *stream.input_shape))
        _add_stream(graph, stream, program.steps)
    model = onnx.shape_inference.infer_shapes(graph.model(_metadata(program)), check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _metadata(program: FloatProgram | FixedProgram) -> dict[str, str]:
    """What a reader of the file alone must know: u = v / scale."""
    scales = {layer.name: layer.potential_scale for layer in program.layers() if isinstance(layer, FixedConvLIF)}
    return {
        "hybridnet.schema": SCHEMA,
        "hybridnet.arithmetic": "fixed point" if scales else "float32",
        "hybridnet.potential_scale": json.dumps(scales),
    }


def _add_stream(graph: OnnxGraph, stream: Stream[ConvLIFLayer] | Stream[FixedConvLIF], steps: int) -> None:
    x = stream.input_name
    layers: tuple[ConvLIFLayer | FixedConvLIF, ...] = stream.layers
    for place, layer in enumerate(layers):
        if isinstance(layer, FixedConvLIF):
            if place == 0:
                x = _add_messages(graph, stream.name, x, layer, (steps, *stream.input_shape))
            x = _add_fixed_layer(graph, layer, x, steps, largest_input=1 if place else layer.message_max)
        else:
            x = _add_float_layer(graph, layer, x, steps)


def _add_float_layer(graph: OnnxGraph, layer: ConvLIFLayer, x: str, steps: int) -> str:
    """u[t] = current + λ·u[t−1] − vth·o[t−1], in the order in which the model adds; returns its spikes."""
    name, leak, threshold = layer.name, np.float32(layer.leak), np.float32(layer.threshold)
    frames = graph.frames(f"{name}.frames", graph.cast(f"{name}.x", x, TensorProto.FLOAT), layer.geometry.input_shape)
    current = graph.conv(f"{name}.current", frames, layer.geometry, layer.weight, layer.bias)
    potentials: list[str] = []
    spikes: list[str] = []
    for t, drive in enumerate(graph.steps(name, current, steps, layer.geometry.output_shape)):
        u = drive
        if t:
            kept, o = potentials[-1], spikes[-1]
            if layer.reset == "hard":
                kept = graph("Where", f"{name}.kept.{t}", o, graph.constant(np.float32(0)), kept)
            u = graph("Add", f"{name}.leaked.{t}", drive, graph("Mul", "", kept, graph.constant(leak)))
            if layer.reset == "soft":
                reset = graph("Where", "", o, graph.constant(threshold), graph.constant(np.float32(0)))
                u = graph("Sub", f"{name}.u.{t}", u, reset)
        potentials.append(u)
        spikes.append(graph("Greater", f"{name}.o.{t}", u, graph.constant(threshold)))
    return _declare_layer(graph, layer, potentials, spikes, TensorProto.FLOAT)


def _add_messages(graph: OnnxGraph, stream: str, x: str, layer: FixedConvLIF, shape: tuple[int, ...]) -> str:
    """Inputs as messages; see `hybridnet.simulators.quantise`."""
    scale = graph.constant(np.float64(layer.input_scale))
    scaled = graph("Mul", f"{stream}.scaled", graph.cast("", x, TensorProto.DOUBLE), scale)
    rounded = graph("Round", f"{stream}.rounded", scaled)
    limits = [graph.constant(np.float64(sign * layer.message_max)) for sign in (-1, 1)]
    dtype = TensorProto.INT8 if layer.message_max <= MESSAGE_MAX else TensorProto.INT16
    clipped = graph("Clip", f"{stream}.in_range", rounded, *limits)
    messages = graph.cast(f"{stream}.messages", clipped, dtype)
    graph.declare_output(messages, dtype, shape)
    changed = graph("Not", "", graph("Equal", f"{stream}.fits", rounded, clipped))
    graph.declare_output(graph.count(f"{stream}.clipped", changed), TensorProto.INT64, ())
    return messages


def _add_fixed_layer(graph: OnnxGraph, layer: FixedConvLIF, x: str, steps: int, largest_input: int) -> str:
    """v[t] = sat24(tz(keep·v[t−1] / 4096) + drive − (vth << s)·o[t−1]); returns its spikes."""
    name, threshold = layer.name, graph.constant(np.int32(layer.threshold << POTENTIAL_SHIFT))
    keep = graph.constant(np.float64((DECAY_ONE - layer.decay) / DECAY_ONE))
    zero, limits = graph.constant(np.int32(0)), [graph.constant(np.int32(s * POTENTIAL_MAX)) for s in (-1, 1)]
    potentials: list[str] = []
    spikes: list[str] = []
    exact: list[str] = []
    for t, drive in enumerate(
        graph.steps(name, _drive(graph, layer, x, largest_input), steps, layer.geometry.output_shape)
    ):
        total = drive
        if t:
            kept, o = potentials[-1], spikes[-1]
            if layer.reset == "hard":
                kept = graph("Where", f"{name}.kept.{t}", o, zero, kept)
            product = graph("Mul", f"{name}.product.{t}", graph.cast("", kept, TensorProto.DOUBLE), keep)
            total = graph(
                "Add", f"{name}.sum.{t}", graph.cast(f"{name}.decayed.{t}", product, TensorProto.INT32), drive
            )
            if layer.reset == "soft":
                total = graph(
                    "Sub", f"{name}.total.{t}", total, graph("Where", f"{name}.reset.{t}", o, threshold, zero)
                )
        potentials.append(graph("Clip", f"{name}.v.{t}", total, *limits))
        spikes.append(graph("Greater", f"{name}.o.{t}", potentials[-1], threshold))
        exact.append(graph("Equal", f"{name}.exact.{t}", potentials[-1], total))
    saturated = graph("Not", f"{name}.saturated", graph("Concat", "", *exact, axis=1))
    graph.declare_output(graph.count(f"{name}.overflows", saturated), TensorProto.INT64, ())
    return _declare_layer(graph, layer, potentials, spikes, TensorProto.INT32)


def _drive(graph: OnnxGraph, layer: FixedConvLIF, x: str, largest_input: int) -> str:
    """(conv(w, x) << s) + (b << 6) in int32, (N·T, C_out, H_out, W_out); clipped at DRIVE_MAX."""
    name, shift = layer.name, 2**layer.input_shift
    bound = layer.largest_current(largest_input)
    if bound <= FLOAT32_EXACT:
        frames = graph.frames(f"{name}.frames", graph.cast("", x, TensorProto.FLOAT), layer.geometry.input_shape)
        current = graph.conv(
            f"{name}.current", frames, layer.geometry, layer.weight * shift, layer.current_bias * shift
        )
        return graph.cast(f"{name}.drive", current, TensorProto.INT32)  # at most 2²⁴·2⁶
    if bound > INT32_EXACT or (layer.weight % 2).any():
        raise RangeError(f"currents of up to {bound} are not exact in ONNX's integers", where=name)
    halved = graph.conv_integer(f"{name}.halved", x, layer.geometry, layer.weight // 2, signed=largest_input > 1)
    bias = layer.current_bias.astype(np.int32).reshape(1, -1, 1, 1)
    current = graph("Add", "", graph("Mul", "", halved, graph.constant(np.int32(2))), graph.constant(bias))
    limits = [graph.constant(np.int32(sign * DRIVE_MAX // shift)) for sign in (-1, 1)]
    return graph("Mul", f"{name}.drive", graph("Clip", "", current, *limits), graph.constant(np.int32(shift)))


def _declare_layer(
    graph: OnnxGraph, layer: ConvLIFLayer | FixedConvLIF, potentials: list[str], spikes: list[str], dtype: int
) -> str:
    shape = layer.geometry.output_shape
    if layer.read_out:
        axis = graph.constant(np.array([1]))
        graph.declare_output(graph("Squeeze", f"{layer.name}.readout", potentials[-1], axis), dtype, shape)
    everything = graph("Concat", f"{layer.name}.potentials", *potentials, axis=1)
    graph.declare_output(everything, dtype, (len(potentials), *shape))
    fired = graph("Concat", f"{layer.name}.spikes", *spikes, axis=1)
    graph.declare_output(fired, TensorProto.BOOL, (len(spikes), *shape))
    return fired
