"""An ONNX graph in the making: operators by name, in the words of the spiking program."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hybridnet.program.layers import ConvGeometry
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.support.arrays import Array

OPSET, IR_VERSION = 18, 8
"""Opset 18 has Split by number; IR version 8 is the oldest that goes with it, so that old runtimes load the file."""

Frame = tuple[int, int, int]


class OnnxGraph:
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
        """How many of (N, T, C, H, W) are true, (N,) int64; per map in float32, which is fast, and exact to 2²⁴."""
        maps = self(
            "ReduceSum", "", self.cast("", flags, TensorProto.FLOAT), self.constant(np.array([3, 4])), keepdims=0
        )
        return self(
            "ReduceSum", name, self.cast("", maps, TensorProto.INT64), self.constant(np.array([1, 2])), keepdims=0
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
        return self("Conv", name, x, *parameters, **conv_attributes(geometry))

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
            **conv_attributes(geometry),
        )

    def declare_input(self, name: str, shape: tuple[int, ...], dtype: int = TensorProto.FLOAT) -> None:
        """(N, *shape)."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, ["N", *shape]))

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


def conv_attributes(geometry: ConvGeometry) -> dict[str, Any]:
    """What an operator of the kind of Conv is told of its shape."""
    return {
        "kernel_shape": geometry.kernel,
        "strides": geometry.stride,
        "pads": (*geometry.padding, *geometry.padding),
        "dilations": geometry.dilation,
        "group": geometry.groups,
    }


def transposed_attributes(geometry: TransposedGeometry) -> dict[str, Any]:
    """What ConvTranspose is told of its shape."""
    return {
        "kernel_shape": geometry.kernel,
        "strides": geometry.stride,
        "pads": (*geometry.padding, *geometry.padding),
        "output_padding": geometry.output_padding,
        "dilations": geometry.dilation,
        "group": geometry.groups,
    }
