"""Whether two back-ends, or two runs of one, give the same bits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array


def assert_same_run(got: SpikingResult, expected: SpikingResult) -> None:
    """All but times, and but potentials and currents, which one of them may lack."""
    for kind in ("inputs", "spikes", "readouts"):
        assert_same_arrays(getattr(got, kind), getattr(expected, kind))
    assert (got.overflows, got.clipped_inputs) == (expected.overflows, expected.clipped_inputs)
    assert got.current_overflows == expected.current_overflows


def assert_same_arrays(got: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Names, types and numbers."""
    assert got.keys() == expected.keys()
    for name, values in got.items():
        assert values.dtype == expected[name].dtype, name
        np.testing.assert_array_equal(values, expected[name], name)
