"""An ONNX graph made ready to be counted: one view, all shapes, quantised operators read as the ones they stand for.

Quantised graphs come in two forms. In QDQ form operators stay what they were and DequantizeLinear feeds them; in
QOperator form they have names of their own (QLinearConv, QGemm, MatMulInteger, …) and take scales and zero points as
inputs. Here both become the float graph that they stand for, and each node's precision is kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybridnet.report.quantities import Precision
from hybridnet.support.onnx_file import Type, errors_in, of_one_view, read_model, tensors_of
from hybridnet.support.sealed import AnyFile

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]

BYTES: Mapping[Precision, int] = {"fp32": 4, "int8": 1}
"""The bytes of one value."""


@dataclass(frozen=True)
class SizedGraph:
    """A graph for one view.

    Attributes:
        nodes: Those that work on data; what is constant is computed once, before any view.
        shapes: Shapes of every tensor whose shape can be known.
        constants: Names of tensors that depend on no input.
        precisions: Precisions of each node in `nodes`.
    """

    nodes: tuple[onnx.NodeProto, ...]
    shapes: Mapping[str, Shape]
    constants: frozenset[str]
    precisions: tuple[Precision, ...]


def sized_graph(path: AnyFile) -> SizedGraph:
    """Read an ONNX file and set its free batch dimension to 1.

    Raises:
        BundleError: If it is not what `hybridnet.support.onnx_file` reads.
    """
    model = read_model(path)
    quantised = [_as_float(node) for node in model.graph.node]
    with errors_in(path):
        model = of_one_view(model)
    constants, sizes = _constants(model.graph), _sizes(model.graph)
    kept = [i for i, node in enumerate(model.graph.node) if not set(node.output) <= constants | sizes]
    nodes = [model.graph.node[i] for i in kept]
    dequantised = {name for n in model.graph.node if n.op_type == "DequantizeLinear" for name in n.output}
    widths = zip(kept, precisions_of(nodes, dequantised, constants), strict=True)
    precisions: list[Precision] = ["int8" if quantised[i] else width for i, width in widths]
    return SizedGraph(
        tuple(nodes),
        {name: shape for name, (_, shape) in tensors_of(model).items()},
        constants,
        tuple(precisions),
    )


def _every_third(inputs: Sequence[str]) -> list[str]:
    return list(inputs[2::3])


def _at(*places: int) -> Callable[[Sequence[str]], list[str]]:
    return lambda inputs: [inputs[i] for i in places if i < len(inputs)]


STANDS_FOR: dict[str, tuple[str, Callable[[Sequence[str]], list[str]]]] = {
    "QLinearConv": ("Conv", _at(0, 3, 8)),
    "ConvInteger": ("Conv", _at(0, 1)),
    "QLinearMatMul": ("MatMul", _at(0, 3)),
    "MatMulInteger": ("MatMul", _at(0, 1)),
    "MatMulIntegerToFloat": ("MatMul", _at(0, 1)),
    "DynamicQuantizeMatMul": ("MatMul", _at(0, 1)),
    "QGemm": ("Gemm", _at(0, 3, 6)),
    "QLinearAdd": ("Add", _at(0, 3)),
    "QLinearMul": ("Mul", _at(0, 3)),
    "QLinearConcat": ("Concat", _every_third),
    "QLinearLeakyRelu": ("LeakyRelu", _at(0)),
    "QLinearSigmoid": ("Sigmoid", _at(0)),
    "QLinearSoftmax": ("Softmax", _at(0)),
    "QLinearAveragePool": ("AveragePool", _at(0)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", _at(0)),
    "QLinearReduceMean": ("ReduceMean", _at(0)),
}
"""Quantised operators of ONNX and ONNX Runtime: the operator each stands for, and which of its inputs are data."""


def _as_float(node: onnx.NodeProto) -> bool:
    """Turn a quantised operator into what it stands for; whether it was one."""
    if node.op_type not in STANDS_FOR:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.domain = ""  # ONNX Runtime's own take 16 bits; they have the same shapes
        return False
    operator, data = STANDS_FOR[node.op_type]
    inputs = data(node.input)
    node.op_type, node.domain = operator, ""
    del node.input[:]
    node.input.extend(inputs)
    for attribute in [a for a in node.attribute if a.name in ("channels_last", "opset")]:
        node.attribute.remove(attribute)
    return True


def precisions_of(nodes: Sequence[onnx.NodeProto], dequantised: set[str], constants: frozenset[str]) -> list[Precision]:
    """What each node computes in, if some tensors come from 8 bits."""
    return ["int8" if _is_dequantised(node, dequantised, constants) else "fp32" for node in nodes]


def _is_dequantised(node: onnx.NodeProto, dequantised: set[str], constants: frozenset[str]) -> bool:
    """Whether all that a node computes with comes from 8 bits; biases and other constants do not matter."""
    varying = [name for name in node.input if name and name not in constants]
    fixed = [name for name in node.input[:2] if name in constants]
    return bool(varying) and {*varying, *fixed} <= dequantised


def _constants(graph: onnx.GraphProto) -> frozenset[str]:
    """What depends on no input."""
    constants = {tensor.name for tensor in graph.initializer} | {""}
    for node in graph.node:
        if set(node.input) <= constants:
            constants.update(node.output)
    return frozenset(constants)


def _sizes(graph: onnx.GraphProto) -> frozenset[str]:
    """Integers that are computed from shapes alone, to reshape by: a handful per view, and no work on data."""
    integers = {v.name for v in graph.value_info if v.type.tensor_type.elem_type == Type.INT64}
    sizes = {t.name for t in graph.initializer if t.data_type == Type.INT64} | {""}
    for node in graph.node:
        if node.op_type in ("Shape", "Size") or (set(node.input) <= sizes and set(node.output) <= integers):
            sizes.update(node.output)
    return frozenset(sizes)
