"""The bridge converts, checks and counts."""

from typing import Any

import numpy as np
import pytest

from hybridnet.errors import RangeError
from hybridnet.partition.bridge import BridgeTensor, FixedEncoding
from hybridnet.simulators.bridge import Bridge

BRIDGE = Bridge((BridgeTensor("s_0_u", "s.0", (1, 2, 3)),), {"s_0_u": FixedEncoding(scale=64.0)})


def test_potentials_return_in_model_units() -> None:
    v = np.arange(-6, 6, dtype=np.int32).reshape(2, 1, 2, 3) * 32
    crossing = BRIDGE.cross({"s.0": v}, fixed_point=True)
    assert np.array_equal(crossing.potentials["s_0_u"], (v / 64).astype(np.float32))
    assert crossing.bytes == {"s_0_u": 12 * 3}


def test_float_potentials_take_four_bytes() -> None:
    u = np.ones((1, 1, 2, 3), np.float32)
    crossing = BRIDGE.cross({"s.0": u}, fixed_point=False)
    assert np.array_equal(crossing.potentials["s_0_u"], u)
    assert crossing.bytes == {"s_0_u": 6 * 4}


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (np.zeros((1, 1, 3, 2), np.int32), "shape"),
        (np.zeros((1, 1, 2, 3), np.float32), "not integers"),
        (np.full((1, 1, 2, 3), 2**23, np.int32), "24 bits"),
    ],
)
def test_what_does_not_fit_is_refused(values: np.ndarray[Any, Any], what: str) -> None:
    with pytest.raises(RangeError, match=what):
        BRIDGE.cross({"s.0": values}, fixed_point=True)
