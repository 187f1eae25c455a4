r"""The spiking program as ONNX: all streams in one graph, all T steps unrolled, the batch dimension free.

    input    <input_name>           (N, T, C, H, W) float32, in model units
    outputs  <stream>.messages      (N, T, C, H, W) int8, what the first layer was fed        fixed point only
             <stream>.clipped       (N,) int64, inputs that did not fit their message         fixed point only
             <layer>.spikes         (N, T, C, H, W) bool, o of every step
             <layer>.overflows      (N,) int64, potentials that saturated at 24 bits          fixed point only
             <layer>.readout        (N, C, H, W) u[T], or int32 v[T], of layers that are read out
             <layer>.potentials     (N, T, C, H, W) u, or int32 v, of every step

Equations: `hybridnet.partition.program`. In fixed point each operator is exact, whatever runs it:

* The input is scaled, rounded half to even and clipped in float64, which holds every float32 and every product's
  rounding as the emulator's does.
* conv(w, x) + b comes from a float32 Conv where Σ|w|·max|x| + |b| ≤ 2²⁴ in every output channel, so that no partial sum
  can round. The weights are multiplied by 2ˢ beforehand, a power of two, which changes exponents alone. Elsewhere it
  comes from ConvInteger, in int32, on w/2 (weights are even); ONNX Runtime has no float64 Conv on the CPU. Weights and
  messages then are uint8 with a zero point: kernels for mixed signs may saturate at 16 bits inside on some processors.
* (4096 − dv)·v / 4096 is a float64 product of 35 bits over a power of two; the Cast to int32 truncates toward zero.
* What remains is int32: |decayed v − reset| ≤ 2²³, and |current| is clipped at 2²⁰ before the shift, beyond which v
  saturates anyway, and is counted so.

Unrolled, not a Scan: see docs/onnx.md for what was measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from hybridnet.errors import RangeError
from hybridnet.partition.program import (
    DECAY_ONE,
    MESSAGE_MAX,
    POTENTIAL_MAX,
    POTENTIAL_SHIFT,
    ConvGeometry,
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Stream,
)

OPSET, IR_VERSION = 18, 8
"""Opset 18 has Split by number; IR version 8 is the oldest that goes with it, so that old runtimes load the file."""

SCHEMA = "hybridnet.program/1"

FLOAT32_EXACT = 2**24
"""Up to here every integer is exact in float32."""

INT32_EXACT = 2**30
"""Largest current that ConvInteger may give: its double must fit int32."""

CURRENT_MAX = 2**20
"""Beyond this current v saturates whatever it was: 2²⁰·2⁶ > 2²³ + 2²³ + 2²³."""

Array = npt.NDArray[Any]
Frame = tuple[int, int, int]


def write_onnx_program(path: Path, program: FloatProgram | FixedProgram) -> None:
    """Write the graph of a program, float or fixed point, checked and with inferred shapes.

    Raises:
        RangeError: If a layer's currents are not exact in int32, or its weights are odd where they must be even.
    """
    graph = _Graph()
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


def _add_stream(graph: _Graph, stream: Stream[ConvLIFLayer] | Stream[FixedConvLIF], steps: int) -> None:
    x = stream.input_name
    for place, layer in enumerate(stream.layers):
        if isinstance(layer, FixedConvLIF):
            if place == 0:
                x = _add_messages(graph, stream.name, x, layer.input_scale, (steps, *stream.input_shape))
            x = _add_fixed_layer(graph, layer, x, steps, largest_input=1 if place else MESSAGE_MAX)
        else:
            x = _add_float_layer(graph, layer, x, steps)


# ---------------------------------------------------------------------------------------------------- float


def _add_float_layer(graph: _Graph, layer: ConvLIFLayer, x: str, steps: int) -> str:
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


# ---------------------------------------------------------------------------------------------- fixed point


def _add_messages(graph: _Graph, stream: str, x: str, scale: float, shape: tuple[int, ...]) -> str:
    """Inputs as int8 messages; see `hybridnet.simulators.quantise`."""
    scaled = graph("Mul", f"{stream}.scaled", graph.cast("", x, TensorProto.DOUBLE), graph.constant(np.float64(scale)))
    rounded = graph("Round", f"{stream}.rounded", scaled)
    limits = graph.constant(np.float64(-MESSAGE_MAX)), graph.constant(np.float64(MESSAGE_MAX))
    clipped = graph("Clip", f"{stream}.in_range", rounded, *limits)
    messages = graph.cast(f"{stream}.messages", clipped, TensorProto.INT8)
    graph.declare_output(messages, TensorProto.INT8, shape)
    changed = graph("Not", "", graph("Equal", f"{stream}.fits", rounded, clipped))
    graph.declare_output(graph.count(f"{stream}.clipped", changed), TensorProto.INT64, ())
    return messages


def _add_fixed_layer(graph: _Graph, layer: FixedConvLIF, x: str, steps: int, largest_input: int) -> str:
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


def _drive(graph: _Graph, layer: FixedConvLIF, x: str, largest_input: int) -> str:
    """(conv(w, x) + b) << s in int32, (N·T, C_out, H_out, W_out); clipped at CURRENT_MAX << s."""
    name, shift = layer.name, 2**POTENTIAL_SHIFT
    fan_in = np.abs(layer.weight).sum(axis=(1, 2, 3), dtype=np.int64)
    bound = int((largest_input * fan_in + np.abs(layer.bias)).max())
    if bound <= FLOAT32_EXACT:
        frames = graph.frames(f"{name}.frames", graph.cast("", x, TensorProto.FLOAT), layer.geometry.input_shape)
        current = graph.conv(f"{name}.current", frames, layer.geometry, layer.weight * shift, layer.bias * shift)
        drive = graph.cast(f"{name}.drive", current, TensorProto.INT32)
        return drive  # at most 2²⁴·2⁶
    if bound > INT32_EXACT or (layer.weight % 2).any():
        raise RangeError(f"currents of up to {bound} are not exact in ONNX's integers", where=name)
    halved = graph.conv_integer(f"{name}.halved", x, layer.geometry, layer.weight // 2, signed=largest_input > 1)
    bias = layer.bias.astype(np.int32).reshape(1, -1, 1, 1)
    current = graph("Add", "", graph("Mul", "", halved, graph.constant(np.int32(2))), graph.constant(bias))
    limits = [graph.constant(np.int32(s * CURRENT_MAX)) for s in (-1, 1)]
    return graph("Mul", f"{name}.drive", graph("Clip", "", current, *limits), graph.constant(np.int32(shift)))


def _declare_layer(
    graph: _Graph, layer: ConvLIFLayer | FixedConvLIF, potentials: list[str], spikes: list[str], dtype: int
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


# ---------------------------------------------------------------------------------------------------- graph


class _Graph:
    """A graph in the making; every method that adds a node returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def __call__(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; without a name it gets one."""
        name = name or f"{operator}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: Any, name: str = "") -> str:
        """A constant; equal scalars are stored once."""
        array = np.asarray(value)
        name = name or (f"{array.dtype}.{array}" if array.ndim == 0 else f"constant.{len(self._constants)}")
        self._constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def cast(self, name: str, x: str, dtype: int) -> str:
        """Change a type; floats are truncated toward zero."""
        return self("Cast", name, x, to=dtype)

    def count(self, name: str, flags: str) -> str:
        """How many of (N, T, C, H, W) are true, (N,) int64."""
        return self(
            "ReduceSum",
            name,
            self.cast("", flags, TensorProto.INT64),
            self.constant(np.array([1, 2, 3, 4])),
            keepdims=0,
        )

    def frames(self, name: str, x: str, shape: Frame) -> str:
        """(N, T, C, H, W) as (N·T, C, H, W): nothing recurrent crosses a convolution."""
        return self("Reshape", name, x, self.constant(np.array([-1, *shape])))

    def steps(self, name: str, x: str, steps: int, shape: Frame) -> list[str]:
        """(N·T, C, H, W) as T times (N, 1, C, H, W)."""
        whole = self("Reshape", f"{name}.windows", x, self.constant(np.array([-1, steps, *shape])))
        if steps == 1:
            return [whole]
        parts = [f"{name}.drive.{t}" for t in range(steps)]
        self._nodes.append(helper.make_node("Split", [whole], parts, name=f"{name}.split", axis=1, num_outputs=steps))
        return parts

    def conv(self, name: str, x: str, geometry: ConvGeometry, weight: Array, bias: Array) -> str:
        """A float32 convolution."""
        parameters = [
            self.constant(v.astype(np.float32), f"{name}.{k}") for k, v in (("weight", weight), ("bias", bias))
        ]
        return self("Conv", name, x, *parameters, **_conv_attributes(geometry))

    def conv_integer(self, name: str, x: str, geometry: ConvGeometry, weight: Array, *, signed: bool) -> str:
        """A convolution of int8 messages, or of spikes, with int8 weights, in int32."""
        offset, zero = (128, np.uint8(128)) if signed else (0, np.uint8(0))
        shifted = self("Add", "", self.cast("", x, TensorProto.INT32), self.constant(np.int32(offset)))
        frames = self.frames(f"{name}.frames", self.cast("", shifted, TensorProto.UINT8), geometry.input_shape)
        return self(
            "ConvInteger",
            name,
            frames,
            self.constant((weight + 128).astype(np.uint8), f"{name}.weight"),
            self.constant(zero),
            self.constant(np.uint8(128)),
            **_conv_attributes(geometry),
        )

    def declare_input(self, name: str, shape: tuple[int, ...]) -> None:
        """float32, (N, *shape)."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]))

    def declare_output(self, name: str, dtype: int, shape: tuple[int, ...]) -> None:
        """(N, *shape)."""
        self._outputs.append(helper.make_tensor_value_info(name, dtype, ["N", *shape]))

    def model(self, metadata: dict[str, str]) -> onnx.ModelProto:
        """The whole model."""
        graph = helper.make_graph(
            self._nodes, "spiking_program", self._inputs, self._outputs, [*self._constants.values()]
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="hybridnet")
        helper.set_model_props(model, metadata)
        return model


def _conv_attributes(geometry: ConvGeometry) -> dict[str, Any]:
    return {
        "kernel_shape": geometry.kernel,
        "strides": geometry.stride,
        "pads": (*geometry.padding, *geometry.padding),
        "dilations": geometry.dilation,
        "group": geometry.groups,
    }
