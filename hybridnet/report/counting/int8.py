"""What an ANN takes once its layers with weights are in int8, before anybody has quantised it.

As ONNX Runtime's static quantisation writes it: what a layer reads, and what a convolution writes, is quantised and
dequantised, each tensor once, in float32; what lies between such tensors alone is in int8 as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hybridnet.report.counting.shapes import SizedGraph, precisions_of
from hybridnet.report.quantities import Precision

if TYPE_CHECKING:
    from onnx import NodeProto

WEIGHTED = ("Conv", "MatMul", "Gemm")
"""Operators that are quantised where they have weights. All others stay in float, also products of two activations (in
attention): they were slower in int8."""

FLOAT_OUTPUT = ("MatMul", "Gemm")
"""Operators whose sums go on as float, since norms and activations follow; convolutions mostly feed convolutions."""


def in_int8(graph: SizedGraph) -> SizedGraph | None:
    """The graph with its layers in int8; None if none of them has weights, or it is in int8 already."""
    weighted = [node for node in graph.nodes if node.op_type in WEIGHTED and _weights(node, graph)]
    if not weighted or "int8" in graph.precisions:
        return None
    tensors = dict.fromkeys(name for node in weighted for name in _quantised(node, graph))
    added = [node for name in tensors for node in _pair(name)]
    shapes = {out: graph.shapes[name] for name in tensors if name in graph.shapes for out in _outputs(name)}
    in_float: list[Precision] = ["fp32" for _ in added]
    dequantised = {*tensors, *(name for node in weighted for name in _weights(node, graph))}
    return dataclasses.replace(
        graph,
        nodes=(*graph.nodes, *added),
        shapes={**graph.shapes, **shapes},
        precisions=(*precisions_of(graph.nodes, dequantised, graph.constants), *in_float),
    )


def _weights(node: NodeProto, graph: SizedGraph) -> list[str]:
    return [name for name in node.input[:2] if name in graph.constants]


def _quantised(node: NodeProto, graph: SizedGraph) -> Iterator[str]:
    """The tensors around a layer that have 8 bits."""
    yield from (name for name in node.input[:2] if name not in graph.constants)
    if node.op_type not in FLOAT_OUTPUT:
        yield node.output[0]


def _pair(name: str) -> Iterator[NodeProto]:
    from onnx import helper

    quantised, back = _outputs(name)
    yield helper.make_node("QuantizeLinear", [name], [quantised], name=f"{name}, quantised")
    yield helper.make_node("DequantizeLinear", [quantised], [back], name=f"{name}, dequantised")


def _outputs(name: str) -> tuple[str, str]:
    return f"{name}, 8 bits", f"{name}, 8 bits as float"
