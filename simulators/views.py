"""How many views a back-end is given, checked."""

from __future__ import annotations

from collections.abc import Mapping

from hybridnet.errors import BackendError
from hybridnet.program.spiking import AnyGraph, input_shapes
from hybridnet.support.arrays import Array


def count_views(program: AnyGraph, inputs: Mapping[str, Array]) -> int:
    """N of inputs (N, T, C, H, W), or (N, C, H, W) of still ones, checked.

    Raises:
        BackendError: If an input is missing, has a wrong shape, or not as many views as the others.
    """
    views: int | None = None
    for name, expected in input_shapes(program).items():
        if name not in inputs:
            raise BackendError("the input is missing", where=name)
        shape = inputs[name].shape
        views = views or shape[0]
        if shape != (views, *expected) or not views:
            raise BackendError(
                f"the shape is {shape} and should be ({views or 'N'}, {', '.join(map(str, expected))})", where=name
            )
    return views or 0
