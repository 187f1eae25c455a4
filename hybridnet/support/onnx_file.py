"""ONNX files read with suspicion: what they hold, and what running them takes, is known before it is paid for.

Only graphs of the kind that `hybridnet export` writes are read: standard operators, all weights inside, no loops, no
branches, and the shape of every tensor known once the number of views is. Then the memory of a view can be added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from hybridnet.errors import BundleError, HybridNetError
from hybridnet.support.sealed import EXPORT_AGAIN, AnyFile, content_of
from hybridnet.support.text import said

if TYPE_CHECKING:
    import onnx

MAX_STRUCTURE_BYTES = 2**23
"""Most bytes of all but the numbers of weights; parsed, they take up to sixty times as much."""

MAX_ENTRIES = 200_000
"""Nodes, weights and descriptions of tensors together."""

MAX_RANK, MAX_FOLLOWED = 32, 2**22
"""Dimensions of a weight; and those of all tensors with all numbers of which shapes are computed: inference keeps both,
and each node could double them."""

MAX_VIEW_BYTES, MAX_MOVED_BYTES = 2**30, 2**36
"""What the tensors of one view may hold at any one time, and written one after the other."""

WEIGHT_BYTES = 4096
"""Constants up to this size may be shapes, which inference reads; it would copy larger ones twice."""


class Type(IntEnum):
    """Types of numbers as ONNX writes them (`TensorProto.DataType`); those that are read."""

    FLOAT = 1
    UINT8 = 2
    INT8 = 3
    UINT16 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    BOOL = 9
    FLOAT16 = 10
    DOUBLE = 11
    UINT32 = 12
    UINT64 = 13
    BFLOAT16 = 16


BITS: Mapping[int, int] = {
    Type.FLOAT: 32, Type.DOUBLE: 64, Type.FLOAT16: 16, Type.BFLOAT16: 16, Type.INT8: 8, Type.INT16: 16, Type.INT32: 32,
    Type.INT64: 64, Type.UINT8: 8, Type.UINT16: 16, Type.UINT32: 32, Type.UINT64: 64, Type.BOOL: 8,
}  # fmt: skip
"""The bits of one value, for the types that are read."""

Tensor = tuple[int, tuple[int, ...]]
"""Type and shape."""


def read_model(file: AnyFile) -> onnx.ModelProto:
    """Read a file whose form is known: size, number of entries, no weights elsewhere, no graphs within the graph.

    Raises:
        BundleError: If it is anything else.
    """
    import onnx

    with errors_in(file):
        content = content_of(file)
        _check_structure(content)
        model = onnx.ModelProto.FromString(content)
        _check_form(model)
    return model


@contextmanager
def errors_in(file: AnyFile) -> Iterator[None]:
    """Tell whatever goes wrong as one BundleError with the file's name."""
    try:
        yield
    except HybridNetError as error:
        where = file if error.where in ("", str(file)) else f"{file}: {error.where}"
        raise BundleError(error.what, where=where, remedy=EXPORT_AGAIN) from error
    except Exception as error:  # protobuf's errors depend on its version, and inference has several
        raise BundleError(f"is no usable ONNX file ({said(error)})", where=file, remedy=EXPORT_AGAIN) from error


def of_one_view(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph for one view, with the shapes that follow; large weights are left out of it. Call it in `errors_in`."""
    graph = model.graph
    _check_growth(graph)
    for value in graph.input:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    del graph.value_info[:]
    for tensor in graph.initializer:
        if len(tensor.raw_data) > WEIGHT_BYTES:
            tensor.ClearField("raw_data")
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    import onnx.shape_inference

    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def tensors_of(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Every tensor whose type and shape are known."""
    graph = model.graph
    found: dict[str, Tensor] = {tensor.name: (tensor.data_type, tuple(tensor.dims)) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            found[value.name] = kind.elem_type, tuple(dim.dim_value for dim in kind.shape.dim)
    return found


def check_cost(model: onnx.ModelProto) -> dict[str, Tensor]:
    """What one view needs, added up; all tensors of the graph.

    Args:
        model: Read by `read_model`; its large weights are left out of it afterwards.

    Raises:
        BundleError: If a type or shape is not known beforehand, or the sum exceeds MAX_VIEW_BYTES.
    """
    foreign = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if foreign:
        raise BundleError(f"has operators of {', '.join(sorted(foreign))}")
    for value in model.graph.input:
        views = [dim.dim_value for dim in value.type.tensor_type.shape.dim[:1] if dim.HasField("dim_value")]
        if views not in ([], [1]):
            raise BundleError(f"takes {views[0]} views at a time", where=f"tensor {value.name}")
    view = of_one_view(model)
    tensors, last = tensors_of(view), {}
    for place, node in enumerate(view.graph.node):
        last.update(dict.fromkeys(node.input, place))
    weights = {tensor.name for tensor in view.graph.initializer} | {""}
    held, moved = sum(_bytes(tensors, value.name) for value in view.graph.input), 0
    for place, node in enumerate(view.graph.node):
        made = sum(_bytes(tensors, name) for name in node.output if name)
        held, moved = held + made, moved + made
        if held > MAX_VIEW_BYTES or moved > MAX_MOVED_BYTES:
            raise BundleError(f"needs more than {MAX_VIEW_BYTES} bytes for one view", where=_place(node))
        held -= sum(_bytes(tensors, name) for name in {*node.input} - weights if last[name] == place)
    return tensors


def _place(node: onnx.NodeProto) -> str:
    return f"node {node.name or node.op_type}"


def _bytes(tensors: Mapping[str, Tensor], name: str) -> int:
    kind, shape = tensors.get(name, (0, ()))
    if kind not in BITS or min(shape, default=0) < 0:
        raise BundleError("is no tensor of numbers whose shape is known", where=f"tensor {name}")
    return math.prod(shape) * BITS[kind] // 8


def _check_structure(content: bytes) -> None:
    """Walk the outermost layers of the protobuf: the entries of the graph, and how much of the file is weights."""
    weights = 0
    for number, start, end in _fields(content, 0, len(content)):
        if number != 7:  # ModelProto.graph
            continue
        for entry, first, past in _fields(content, start, end):
            if entry == 5:  # GraphProto.initializer
                weights += sum(b - a for field, a, b in _fields(content, first, past) if field == 9)  # raw_data
    if len(content) - weights > MAX_STRUCTURE_BYTES:
        raise BundleError(f"has more than {MAX_STRUCTURE_BYTES} bytes beside its weights")


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field of a protobuf message."""
    read = 0
    while at < end:
        tag, at = _varint(content, at, end)
        kind, start = tag & 7, at
        if kind == 0:
            _, at = _varint(content, at, end)
        elif kind == 2:
            length, start = _varint(content, at, end)
            at = start + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise BundleError("is no ONNX file")
        read += 1
        if at > end or read > MAX_ENTRIES:
            raise BundleError("is cut off" if at > end else f"has more than {MAX_ENTRIES} entries")
        yield tag >> 3, start, at


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = content[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return value, at
    raise BundleError("is cut off")


def _check_form(model: onnx.ModelProto) -> None:
    graph = model.graph
    if model.functions or model.training_info or graph.sparse_initializer or not graph.node:
        raise BundleError("is no plain graph: it has functions, sparse weights, or no nodes")
    held = [*graph.initializer]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs or attribute.sparse_tensors or attribute.tensors:
                raise BundleError("holds graphs, or lists of tensors", where=_place(node))
            if attribute.HasField("t"):
                held.append(attribute.t)
            if attribute.name == "num_outputs" and attribute.i != len(node.output):  # ONNX Runtime would abort
                raise BundleError(f"declares {attribute.i} outputs and has {len(node.output)}", where=_place(node))
    for tensor in held:
        if tensor.external_data or tensor.data_location:
            raise BundleError("keeps its numbers in another file", where=f"tensor {tensor.name}")
        if tensor.data_type not in BITS or len(tensor.dims) > MAX_RANK or min(tensor.dims, default=0) < 0:
            raise BundleError("is no tensor of numbers", where=f"tensor {tensor.name}")
        whole = math.prod(tensor.dims) * BITS[tensor.data_type] // 8
        if (len(tensor.raw_data) != whole) if tensor.raw_data else (whole > 8 * MAX_STRUCTURE_BYTES):
            raise BundleError("does not hold the numbers that it declares", where=f"tensor {tensor.name}")


_COMPUTE_SHAPES = {
    "Add", "Cast", "Concat", "Constant", "Div", "Gather", "Identity", "Mul", "Shape", "Size", "Slice", "Squeeze",
    "Sub", "Unsqueeze", "Reshape", "Range", "Min", "Max", "Floor", "Ceil", "Neg", "Where",
}  # fmt: skip
"""Operators by which inference follows numbers that are to become shapes."""

_ADD_RANKS = {"Gather", "GatherND", "OneHot", "Einsum", "ScatterND", "GatherElements"}


def _check_growth(graph: onnx.GraphProto) -> None:
    """Bound what inference itself must hold before it is asked."""
    ranks: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for value in graph.input:
        ranks[value.name] = len(value.type.tensor_type.shape.dim)
    for tensor in graph.initializer:
        ranks[tensor.name] = len(tensor.dims)
        if tensor.data_type in (Type.INT64, Type.INT32) and len(tensor.dims) < 2:
            numbers[tensor.name] = math.prod(tensor.dims)
    followed = 0
    for node in graph.node:
        rank, number = _growth(node, ranks, numbers)
        followed += rank + number
        if followed > MAX_FOLLOWED:
            raise BundleError("has shapes that grow without limit", where=_place(node))
        for name in node.output:
            ranks[name], numbers[name] = rank, number


def _growth(node: onnx.NodeProto, ranks: Mapping[str, int], numbers: Mapping[str, int]) -> tuple[int, int]:
    """The largest rank that a node's outputs can have, and how many numbers of a shape they can be."""
    given = [ranks.get(name, 0) for name in node.input]
    told = [numbers.get(name, 0) for name in node.input]
    listed = max((len(attribute.ints) for attribute in node.attribute), default=0)
    constants = [math.prod(a.t.dims) for a in node.attribute if a.HasField("t")]
    rank = sum(given) if node.op_type in _ADD_RANKS else max(given, default=0)
    if node.op_type == "Unsqueeze":
        rank += max(*told[1:], listed, 0, 0)
    elif node.op_type in ("Reshape", "Expand", "ConstantOfShape", "Tile"):
        rank = max(rank if node.op_type != "Reshape" else 0, *told, listed)
    elif node.op_type == "Constant":
        rank = max((len(a.t.dims) for a in node.attribute if a.HasField("t")), default=1)
    if node.op_type not in _COMPUTE_SHAPES:
        return max(rank, listed if not node.input else 0), 0
    if node.op_type == "Shape":
        return 1, max(given, default=0)
    if node.op_type == "Constant":
        return rank, max(listed, *constants, 0, 0) if rank < 2 else 0
    return rank, sum(told) if node.op_type == "Concat" else max(told, default=0)


def interface(model: onnx.ModelProto, tensors: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs of a graph for one view, by name."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: tensors[value.name] for value in model.graph.input if value.name not in weights}
    return inputs, {value.name: tensors[value.name] for value in model.graph.output}
