"""Counting the ANN half's multiply-accumulates on the exported ONNX graph: what really runs.

Convention: one MAC is one multiplication with its addition; convolutions count every kernel tap, those in the padding
included, as runtimes compute them and other counters count them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from hybridnet.errors import BundleError

Shapes = Mapping[str, tuple[int, ...]]

DATA_MOVEMENT = frozenset(
    (
        *("Cast", "Concat", "Constant", "ConstantOfShape", "Expand", "Flatten", "Gather", "Identity", "Pad"),
        *("Reshape", "Shape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
    )
)
"""Operators that compute nothing."""


@dataclass(frozen=True)
class NodeMacs:
    """MACs of one node for one view; `shape` is its output's without the batch."""

    name: str
    kind: str
    shape: tuple[int, ...]
    macs: int


@dataclass(frozen=True)
class GraphCount:
    """MACs per counted node, and how many nodes of each other computing operator stay uncounted."""

    nodes: tuple[NodeMacs, ...]
    uncounted: dict[str, int]


def count_graph(path: Path) -> GraphCount:
    """Count one view (batch of 1) through an ONNX model.

    Raises:
        BundleError: If a counted node's shapes cannot be inferred.
    """
    model = _with_batch_of_one(onnx.load(str(path)))
    shapes = _shapes(model)
    nodes: list[NodeMacs] = []
    uncounted: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type in COUNTERS:
            try:
                macs = COUNTERS[node.op_type](node, shapes)
                shape = shapes[node.output[0]]
            except KeyError as error:
                raise BundleError(f"the shape of {error} is unknown", where=f"{path}: node {node.name}") from error
            nodes.append(NodeMacs(node.name, node.op_type, shape[1:], macs))
        elif node.op_type not in DATA_MOVEMENT:
            uncounted[node.op_type] += 1
    return GraphCount(tuple(nodes), dict(sorted(uncounted.items())))


def _conv(node: onnx.NodeProto, shapes: Shapes) -> int:
    _, *kernel = shapes[node.input[1]]  # (C_out, C_in/groups, kh, kw)
    return math.prod(shapes[node.output[0]]) * math.prod(kernel)


def _matmul(node: onnx.NodeProto, shapes: Shapes) -> int:
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _gemm(node: onnx.NodeProto, shapes: Shapes) -> int:
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]


SHAPE_BYTES = 4096
"""Constants up to this size may be shapes, which inference reads."""

COUNTERS: dict[str, Callable[[onnx.NodeProto, Shapes], int]] = {"Conv": _conv, "MatMul": _matmul, "Gemm": _gemm}


def _with_batch_of_one(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its free batch dimension set to 1 and all shapes inferred anew."""
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > SHAPE_BYTES:
            tensor.ClearField("raw_data")  # weights: inference needs their shape alone, and would copy them twice
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def _shapes(model: onnx.ModelProto) -> Shapes:
    graph = model.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes
