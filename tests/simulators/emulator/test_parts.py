# mypy: disable-error-code="arg-type"
"""What the emulator is made of: the bound of exactness, the scan's decay, and its threads."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hybridnet.errors import RangeError
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.emulator.block_conv import BlockConv
from hybridnet.simulators.emulator.exact_conv import ExactConv, exact_dtype
from hybridnet.simulators.emulator.scan import CHUNK, chunked, integrate
from hybridnet.simulators.emulator.workers import workers


def test_at_the_bounds_edge_float32_gives_what_float64_gives() -> None:
    """Σ|w|·127 is 2²⁴ − 8 in the first channel, and 2 · 127 less than that in the second, of both signs."""
    geometry = ConvGeometry((59, 3, 4), 2, (3, 3), padding=(1, 1))
    weight = np.full((2, 59 * 9), 248, np.int32)
    weight[:, :208] = 250  # Σ|w| is 132,104
    weight[1] *= -1
    weight[1, 0] += 2
    weight = weight.reshape(geometry.weight_shape)
    single, double = (ExactConv("x", geometry, weight, 127, bound) for bound in (2**24, 2**24 + 1))
    compiled = BlockConv(geometry, weight, spikes=False)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert compiled.dtype == np.float32
    source = np.full((3, 59, 3, 4), 127, np.int32)
    source[1:] = np.random.default_rng(0).integers(-127, 128, source[1:].shape)
    got = double(source, slice(0, 3))
    assert np.array_equal(got, single(source, slice(0, 3)))
    assert np.array_equal(got, compiled(source, slice(0, 3)))
    assert (got.max(), got.min()) == (2**24 - 8, -(2**24) + 8 + 254)


@settings(deadline=None)
@given(
    before=st.integers(-(2**17 - 1), 2**17 - 1),
    decay=st.integers(0, 4096),
)
@example(before=1, decay=1)  # 63.98: 63
@example(before=-1, decay=1)  # −63.98: −63, where rounding down gives −64
@example(before=-192, decay=1000)
@example(before=2**17 - 1, decay=1)
def test_decays_truncate_toward_zero(before: int, decay: int) -> None:
    scan_of_one(before, decay, np.float32, np.int32)
    scan_of_one(before, decay, np.float64, np.int64)


def scan_of_one(before: int, decay: int, numbers: Any, integer: Any) -> None:
    """A neuron that gets `before`·64, as a current that decays, then as a potential that does."""
    total = np.array([before, 0], numbers).reshape(2, 1, 1)
    spikes, found = np.empty((2, 1, 1), np.bool_), np.empty((2, 2, 1, 1), np.int32)
    for kept, keeps in enumerate([(4096 - decay, 0), (0, 4096 - decay)]):
        parameters = chunked(np.array([*keeps, (2**17 - 1) << 6, 0], integer)[:, None])
        state = np.zeros((1, 1, 2 * CHUNK), integer)
        bias = np.zeros((1, 1), integer)
        integrate(total, numbers(64), parameters, bias, True, True, 0, state, spikes, *found)
        magnitude = abs(before) * 64 * (4096 - decay) // 4096
        assert found[kept].ravel().tolist() == [before * 64, magnitude if before >= 0 else -magnitude]


def test_currents_that_float64_cannot_hold_are_refused() -> None:
    assert exact_dtype(2**53, "s.0") == torch.float64
    with pytest.raises(RangeError, match=r"s\.0.*not exact in float64"):
        exact_dtype(2**53 + 1, "s.0")


def test_workers_leave_the_cores_to_each_other() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        single = workers(2, in_torch=True)
        assert {single.submit(torch.get_num_threads).result() for _ in range(8)} == {1}
        with ThreadPoolExecutor(1) as other:
            assert other.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
