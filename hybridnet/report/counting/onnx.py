"""Counting the ANN half on the exported ONNX graph: what really runs, in float32 or int8."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybridnet.errors import BundleError
from hybridnet.report.counting.int8 import in_int8
from hybridnet.report.counting.operators import DATA_MOVEMENT, MAC_OPERATORS, OTHER_OPERATORS, Node, Work
from hybridnet.report.counting.shapes import BYTES, SizedGraph, sized_graph
from hybridnet.report.quantities import Ops, Precision
from hybridnet.support.sealed import AnyFile

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclass(frozen=True)
class NodeCount:
    """One node for one view; `shape` is its output's without the batch.

    Attributes:
        weight_bytes: Bytes of its constants, each read once.
        activation_bytes: Bytes of what varies: inputs read once, outputs written once.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    precision: Precision
    macs: int
    element_ops: int
    functions: int
    weight_bytes: int
    activation_bytes: int

    def ops(self, views: int) -> Ops:
        """What it takes for so many views."""
        return Ops(
            macs=self.macs * views,
            dense_macs=self.macs * views,
            element_ops=self.element_ops * views,
            functions=self.functions * views,
            weight_bytes=self.weight_bytes * views,
            activation_bytes=self.activation_bytes * views,
        )


@dataclass(frozen=True)
class GraphCount:
    """Every node that computes, how many of each operator could not be counted, and the modules with weights here."""

    nodes: tuple[NodeCount, ...]
    uncounted: dict[str, int]
    modules: tuple[str, ...]

    @property
    def macs(self) -> int:
        """MACs of one view."""
        return sum(node.macs for node in self.nodes)

    @property
    def coverage(self) -> str:
        """One line: what was counted and what was not."""
        counted = Counter(node.kind for node in self.nodes)
        total = len(self.nodes) + sum(self.uncounted.values())
        without = ", ".join(f"{kind} {n}" for kind, n in self.uncounted.items()) or "none"
        listed = ", ".join(f"{kind} {n}" for kind, n in sorted(counted.items()))
        return f"counted {len(self.nodes)} of {total} computing nodes ({listed}); not counted: {without}"


def count_graph(path: AnyFile) -> GraphCount:
    """Count one view (batch of 1) through an ONNX model.

    Raises:
        BundleError: If the shapes of a node with MACs cannot be inferred.
    """
    return _count(sized_graph(path), path)


def count_also_in_int8(path: AnyFile) -> tuple[GraphCount, GraphCount | None]:
    """The same, and as static quantisation would make it; None if there is nothing to quantise.

    Raises:
        BundleError: Likewise.
    """
    graph = sized_graph(path)  # once: of a large model it takes half a second
    made = in_int8(graph)
    return _count(graph, path), None if made is None else _count(made, path)


def _count(graph: SizedGraph, path: AnyFile) -> GraphCount:
    nodes: list[NodeCount] = []
    uncounted: Counter[str] = Counter()
    for node, precision in zip(graph.nodes, graph.precisions, strict=True):
        if node.op_type in DATA_MOVEMENT:
            continue
        work = _work(node, graph, path)
        if work is None:
            uncounted[node.op_type] += 1
        else:
            nodes.append(_counted(node, work, precision, graph))
    held = [name for node in graph.nodes for name in node.input if name in graph.constants and "." in name]
    modules = dict.fromkeys(name.rpartition(".")[0] for name in held)  # exported under their names in the model
    return GraphCount(tuple(nodes), dict(sorted(uncounted.items())), tuple(modules))


def _work(node: NodeProto, graph: SizedGraph, path: AnyFile) -> Work | None:
    """None for what no closed form is known for, or no shape."""
    counter = MAC_OPERATORS.get(node.op_type) or OTHER_OPERATORS.get(node.op_type)
    if counter is None:
        return None
    try:
        return counter(Node(node, graph.shapes))
    except NotImplementedError:
        return None
    except KeyError as error:
        if node.op_type in MAC_OPERATORS:
            raise BundleError(f"the shape of {error} is unknown", where=f"{path}: node {node.name}") from error
        return None


def _counted(node: NodeProto, work: Work, precision: Precision, graph: SizedGraph) -> NodeCount:
    def size(names: list[str]) -> int:
        return sum(math.prod(graph.shapes[name]) for name in names if name in graph.shapes) * BYTES[precision]

    given = [name for name in node.input if name]
    return NodeCount(
        name=node.name,
        kind=node.op_type,
        shape=graph.shapes.get(node.output[0], ())[1:],
        precision=precision,
        macs=work.macs,
        element_ops=work.element_ops,
        functions=work.functions,
        weight_bytes=size([name for name in given if name in graph.constants]),
        activation_bytes=size([*(name for name in given if name not in graph.constants), node.output[0]]),
    )
