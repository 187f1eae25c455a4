"""The bridge converts, checks and counts."""

from typing import Any

import numpy as np
import pytest

from hybridnet.errors import RangeError
from hybridnet.program.bridge import BridgeKind, BridgeTensor, FixedEncoding
from hybridnet.simulators.bridge import Bridge

Array = np.ndarray[Any, Any]

BRIDGE = Bridge((BridgeTensor("s_0_u", "s.0", (1, 2, 3)),), {"s_0_u": FixedEncoding(scale=64.0)})
NO_SPIKES: dict[str, Array] = {}


def test_potentials_return_in_model_units() -> None:
    v = np.arange(-6, 6, dtype=np.int32).reshape(2, 1, 2, 3) * 32
    crossing = BRIDGE.cross({"s.0": v}, NO_SPIKES, fixed_point=True)
    assert np.array_equal(crossing.values["s_0_u"], (v / 64).astype(np.float32))
    assert crossing.bytes == {"s_0_u": 12 * 3}


def test_float_potentials_take_four_bytes() -> None:
    u = np.ones((1, 1, 2, 3), np.float32)
    crossing = BRIDGE.cross({"s.0": u}, NO_SPIKES, fixed_point=False)
    assert np.array_equal(crossing.values["s_0_u"], u)
    assert crossing.bytes == {"s_0_u": 6 * 4}


@pytest.mark.parametrize("fixed_point", [True, False])
def test_spikes_and_their_counts_take_few_bits_in_float_too(fixed_point: bool) -> None:
    steps, shape = 5, (2, 3, 3)
    o = np.random.default_rng(0).random((2, steps, *shape)) < 0.4
    bridge = Bridge(
        (BridgeTensor("o", "s.0", (steps, *shape), "spikes"), BridgeTensor("n", "s.0", shape, "spike_count")),
        {"o": FixedEncoding(1.0, bits=1), "n": FixedEncoding(1.0, bits=3)},
    )
    crossing = bridge.cross({}, {"s.0": o}, fixed_point=fixed_point)
    assert crossing.values["o"].dtype == crossing.values["n"].dtype == np.float32
    assert np.array_equal(crossing.values["o"], o)
    assert np.array_equal(crossing.values["n"], o.sum(axis=1))
    assert crossing.bytes == {"o": 2 * 5 * 18 // 8 + 1, "n": 2 * 18 * 3 // 8 + 1}  # 180 and 108 bits


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (np.zeros((1, 1, 3, 2), np.int32), "shape"),
        (np.zeros((1, 1, 2, 3), np.float32), "not integers"),
        (np.full((1, 1, 2, 3), 2**23, np.int32), "24 bits"),
    ],
)
def test_what_does_not_fit_is_refused(values: Array, what: str) -> None:
    with pytest.raises(RangeError, match=what):
        BRIDGE.cross({"s.0": values}, NO_SPIKES, fixed_point=True)


@pytest.mark.parametrize(
    ("kind", "shape", "spikes", "what"),
    [
        ("spikes", (4, 1, 2, 3), np.zeros((1, 3, 1, 2, 3), np.bool_), "shape"),
        ("spikes", (3, 1, 2, 3), np.zeros((1, 3, 1, 2, 3), np.int32), "not spikes"),
        ("spike_count", (1, 2, 3), np.ones((1, 4, 1, 2, 3), np.bool_), "counts above 3"),
    ],
)
def test_spikes_that_do_not_fit_are_refused(kind: BridgeKind, shape: Any, spikes: Array, what: str) -> None:
    bridge = Bridge((BridgeTensor("x", "s.0", shape, kind),), {"x": FixedEncoding(1.0, bits=2)})
    with pytest.raises(RangeError, match=what):
        bridge.cross({}, {"s.0": spikes}, fixed_point=True)
