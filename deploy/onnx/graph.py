"""An ONNX graph in the making: operators by name, in the words of the spiking program."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hybridnet.program.graph import Geometry
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.transposed import TransposedGeometry

OPSET, IR_VERSION = 18, 8
"""The ANN half has opset 18 too; IR version 8 is the oldest that goes with it, so that old runtimes load the file."""


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

    def synapse(self, name: str, x: str, weight: str, geometry: Geometry) -> str:
        """Messages or spikes (N, C_in, H, W) through weights."""
        if isinstance(geometry, ConvGeometry):
            return self("Conv", name, x, weight, **_conv_attributes(geometry))
        return self("ConvTranspose", name, x, weight, **_transposed_attributes(geometry))

    def count_false(self, name: str, flags: str, shape: tuple[int, ...]) -> str:
        """How many of (N, *shape) are false, (N,) int64; rows of up to 2²⁴ are added up in float32, exactly."""
        row, others = (self.constant(np.array(axes)) for axes in ([-1], range(1, len(shape))))
        rows = self("ReduceSum", "", self.cast("", flags, TensorProto.FLOAT), row, keepdims=0)
        true = self("ReduceSum", "", self.cast("", rows, TensorProto.INT64), others, keepdims=0)
        return self("Sub", name, self.constant(np.int64(math.prod(shape))), true)

    def zeros(self, name: str, views: str, shape: tuple[int, ...], dtype: type) -> str:
        """Zeros (N, *shape), with as many views as a tensor (N, …) has."""
        count = self("Shape", "", views, start=0, end=1)
        sizes = self("Concat", "", count, self.constant(np.array(shape, np.int64)), axis=0)
        return self("ConstantOfShape", name, sizes, value=numpy_helper.from_array(np.zeros(1, dtype)))

    def declare_input(self, name: str, shape: tuple[int, ...], dtype: int = TensorProto.FLOAT) -> None:
        """(N, *shape)."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, ["N", *shape]))

    def declare_output(self, name: str, dtype: int, shape: tuple[int, ...]) -> None:
        """(N, *shape)."""
        self._outputs.append(helper.make_tensor_value_info(name, dtype, ["N", *shape]))

    def model(self, metadata: dict[str, str]) -> onnx.ModelProto:
        """The whole model, without what no output depends on."""
        nodes = reaching(self._nodes, {value.name for value in self._outputs})
        used = {name for node in nodes for name in node.input}
        constants = [value for name, value in self._constants.items() if name in used]
        graph = helper.make_graph(nodes, "spiking_program", self._inputs, self._outputs, constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="hybridnet")
        helper.set_model_props(model, metadata)
        return model


def reaching(nodes: Sequence[onnx.NodeProto], outputs: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes that some output depends on, in their order."""
    needed = set(outputs)
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]


def _conv_attributes(geometry: ConvGeometry) -> dict[str, Any]:
    """What an operator of the kind of Conv is told of its shape."""
    return {
        "kernel_shape": geometry.kernel,
        "strides": geometry.stride,
        "pads": (*geometry.padding, *geometry.padding),
        "dilations": geometry.dilation,
        "group": geometry.groups,
    }


def _transposed_attributes(geometry: TransposedGeometry) -> dict[str, Any]:
    """What ConvTranspose is told of its shape."""
    return {
        "kernel_shape": geometry.kernel,
        "strides": geometry.stride,
        "pads": (*geometry.padding, *geometry.padding),
        "output_padding": geometry.output_padding,
        "dilations": geometry.dilation,
        "group": geometry.groups,
    }
