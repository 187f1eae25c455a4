"""The shapes that docstrings state hold at every call of the tests (see `helpers.shapes`)."""

import numpy as np
import pytest
from helpers.shapes import ShapeError, check, checked, stated_shapes

from hybridnet.calibration.search import Reference
from hybridnet.support.arrays import Array


def scaled(x: Array, weight: Array) -> Array:
    """Scale.

    Args:
        x: Frames, float (N, T, C, H, W).
        weight: (C, 2, …), or
            (C,).
    """
    return x * weight.reshape(-1, 1, 1)


def test_shapes_are_read_from_the_docstring() -> None:
    assert stated_shapes(scaled.__doc__) == {"x": [("N", "T", "C", "H", "W")], "weight": [("C", "2", "…"), ("C",)]}


@pytest.mark.parametrize(
    ("x", "weight", "fits"),
    [
        ((1, 2, 3, 4, 5), (3,), True),
        ((1, 2, 3, 4, 5), (3, 2, 9, 9), True),
        ((1, 2, 3, 4, 5), (3, 1, 9, 9), False),
        ((1, 2, 3, 4, 5), (4,), False),
        ((1, 2, 3, 4), (3,), False),
    ],
)
def test_a_wrong_shape_is_an_error(x: tuple[int, ...], weight: tuple[int, ...], fits: bool) -> None:
    arguments = {"x": np.zeros(x), "weight": np.zeros(weight)}
    if fits:
        check("scaled", stated_shapes(scaled.__doc__), arguments)
        return
    with pytest.raises(ShapeError, match="scaled: "):
        checked(scaled, "scaled")(**arguments)


def test_the_suite_runs_with_shapes_checked() -> None:
    """The wrapper is really in place: a read-out with an axis too many is refused by what its class states."""
    x = np.zeros((1, 2, 3, 4, 5), np.float32)
    with pytest.raises(ShapeError, match=r"Reference: readout has shape \(1, 2, 3, 4, 5\)"):
        Reference(x, x, x > 0)
