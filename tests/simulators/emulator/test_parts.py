"""What the emulator is made of: the bound of exactness, the scan's decay, and its threads."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from helpers.chains import FixedConvLIF
from hypothesis import example, given
from hypothesis import strategies as st

from hybridnet.errors import RangeError
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.emulator import exact_conv
from hybridnet.simulators.emulator.exact_conv import ExactConv, exact_dtype
from hybridnet.simulators.emulator.scan import integrate
from hybridnet.simulators.emulator.workers import single_core_workers


def test_at_the_bounds_edge_float32_gives_what_float64_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Σ|w|·127 + |b| is 2²⁴ exactly in the first channel, and 2 less than that in the second, of both signs."""
    geometry = ConvGeometry((59, 3, 4), 2, (3, 3), padding=(1, 1))
    weight = np.full((2, 59 * 9), 248, np.int32)
    weight[:, :208] = 250  # Σ|w| is 132,104
    weight[1] *= -1
    layer = FixedConvLIF(
        name="s.0",
        geometry=geometry,
        weight=weight.reshape(geometry.weight_shape),
        bias=np.array([8, -6], np.int32),
        decay=4096,
        threshold=2**17 - 1,
        reset="soft",
        input_kind="analog",
        read_out=True,
        weight_scale=1.0,
        input_scale=1.0,
    )
    single = ExactConv(layer, 127)
    assert single.dtype == torch.float32
    assert ExactConv(dataclasses.replace(layer, bias=np.array([9, -6], np.int32)), 127).dtype == torch.float64
    monkeypatch.setattr(exact_conv, "FLOAT32_EXACT", 0)
    double = ExactConv(layer, 127)
    assert double.dtype == torch.float64
    source = np.full((3, 3, 4 * 59), 127, np.int32)
    source[1:] = np.random.default_rng(0).integers(-127, 128, source[1:].shape)
    got = single(source, slice(0, 3))
    assert np.array_equal(got, double(source, slice(0, 3)))
    assert (got.max(), got.min()) == (2**24, -(2**24) + 2)


@given(
    before=st.integers(-(2**17 - 1), 2**17 - 1),
    decay=st.integers(0, 4096),
)
@example(before=1, decay=1)  # 63.98: 63
@example(before=-1, decay=1)  # −63.98: −63, where rounding down gives −64
@example(before=-192, decay=1000)
@example(before=2**17 - 1, decay=1)
def test_decays_truncate_toward_zero(before: int, decay: int) -> None:
    total = np.array([before, 0], np.float32).reshape(2, 1, 1)
    spikes, states = np.empty((2, 1, 1), np.bool_), np.empty((2, 2, 1, 1), np.int32)
    keep, nothing, threshold = (np.array([n]) for n in (4096 - decay, 0, (2**17 - 1) << 6))
    for kept_current, kept, found in ((keep, nothing, states[0]), (nothing, keep, states[1])):
        integrate(
            *(total, 6, kept_current, kept, threshold, threshold, np.zeros((1, 1), np.int64), True, 0),
            *(np.zeros((2, 1, 1), np.int32), spikes, *states),
        )
        magnitude = abs(before) * 64 * (4096 - decay) // 4096
        assert found.ravel().tolist() == [before * 64, magnitude if before >= 0 else -magnitude]


def test_currents_that_float64_cannot_hold_are_refused() -> None:
    assert exact_dtype(2**53, "s.0") == torch.float64
    with pytest.raises(RangeError, match=r"s\.0.*not exact in float64"):
        exact_dtype(2**53 + 1, "s.0")


def test_workers_leave_the_cores_to_each_other() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        workers = single_core_workers(2)
        assert {workers.submit(torch.get_num_threads).result() for _ in range(8)} == {1}
        with ThreadPoolExecutor(1) as other:
            assert other.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
