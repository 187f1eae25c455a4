"""What is fed to a graph program: checked."""

from __future__ import annotations

from collections.abc import Mapping

from hybridnet.errors import BackendError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.support.arrays import Array


def count_graph_views(program: GraphProgram | FixedGraph, inputs: Mapping[str, Array]) -> int:
    """N of inputs (N, T, C, H, W), or (N, C, H, W) of still ones, checked.

    Raises:
        BackendError: If an input is missing, has a wrong shape, or not as many views as the others.
    """
    views: int | None = None
    for node in program.inputs:
        if node.name not in inputs:
            raise BackendError("the input is missing", where=node.name)
        found = inputs[node.name].shape
        views = views or found[0]
        expected = node.shape if node.still else (program.steps, *node.shape)
        if found != (views, *expected) or not views:
            raise BackendError(
                f"the shape is {found} and should be ({views or 'N'}, {', '.join(map(str, expected))})", where=node.name
            )
    return views or 0
