"""The compiled convolution of Lava's `Conv` process equals plain Python, and stock Lava's own function."""

from typing import Any

import numpy as np
import numpy.typing as npt
from helpers import naive_program
from helpers.needs import needs_lava
from helpers.random_programs import geometries
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.lava.convolution import convolve

Array = npt.NDArray[Any]


def in_lavas_order(weight: Array) -> Array:
    """(C_out, C_in/groups, kh, kw) of a correlation to (C_out, kw, kh, C_in/groups) of a convolution."""
    return weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)


def parameters(geometry: ConvGeometry) -> tuple[Any, ...]:
    """Stride, padding, dilation and groups as Lava keeps them."""
    pairs = (geometry.stride, geometry.padding, geometry.dilation)
    return *(np.array(pair[::-1], np.int8) for pair in pairs), np.int8(geometry.groups)


def random_case(geometry: ConvGeometry, seed: int, dtype: type) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    frame: Array = rng.integers(-127, 128, geometry.input_shape).astype(dtype)
    weight: Array = rng.integers(-128, 128, geometry.weight_shape).astype(dtype)
    return (frame, weight) if dtype is np.int32 else (frame / 7, weight / 11)


@settings(deadline=None, max_examples=60)
@given(geometry=geometries(), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.int32, np.float64]))
def test_it_equals_plain_python(geometry: ConvGeometry, seed: int, dtype: type) -> None:
    frame, weight = random_case(geometry, seed, dtype)
    sums = convolve(frame.T, in_lavas_order(weight), *parameters(geometry)).T
    wanted = np.array(list(naive_program.conv(frame, weight, geometry).values())).reshape(geometry.output_shape)
    assert sums.dtype == dtype
    np.testing.assert_allclose(sums, wanted, rtol=0, atol=0 if dtype is np.int32 else 1e-10)


def stock(x: Array, weight: Array, geometry: ConvGeometry) -> Array:
    from lava.proc.conv.utils import conv  # without the rest of Lava, which would set multiprocessing's start method

    stride, padding, dilation = (pair[::-1] for pair in (geometry.stride, geometry.padding, geometry.dilation))
    return conv(x, weight, geometry.kernel[::-1], stride, padding, dilation, geometry.groups)


@needs_lava
@settings(deadline=None, max_examples=60)
@given(geometry=geometries(), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.int32, np.float64]))
def test_it_equals_stock_lava(geometry: ConvGeometry, seed: int, dtype: type) -> None:
    frame, weight = random_case(geometry, seed, dtype)
    sums = convolve(frame.T, in_lavas_order(weight), *parameters(geometry))
    wanted = stock(frame.T, in_lavas_order(weight), geometry)
    assert (sums.dtype, sums.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_allclose(sums, wanted, rtol=0, atol=0 if dtype is np.int32 else 1e-10)


@needs_lava
def test_sums_beyond_24_bits_wrap_as_in_stock_lava() -> None:
    from lava.proc.conv.utils import signed_clamp

    geometry = ConvGeometry((3, 6, 5), 2, (3, 2), stride=(1, 2), padding=(2, 1))
    rng = np.random.default_rng(0)
    frame = rng.integers(-(2**15), 2**15, geometry.input_shape, dtype=np.int32)
    weight = rng.integers(-128, 128, geometry.weight_shape, dtype=np.int32) * 2
    wanted = stock(frame.T, in_lavas_order(weight), geometry)
    assert np.abs(wanted).max() >= 2**23
    sums = convolve(frame.T, in_lavas_order(weight), *parameters(geometry))
    np.testing.assert_array_equal(signed_clamp(sums, bits=24), signed_clamp(wanted, bits=24))


def test_spikes_are_ones() -> None:
    geometry = ConvGeometry((2, 5, 4), 3, (2, 3))
    frame, weight = random_case(geometry, 1, np.int32)
    spikes = frame > 0
    given, wanted = spikes, spikes.astype(np.int32)
    kernel, rest = in_lavas_order(weight), parameters(geometry)
    np.testing.assert_array_equal(convolve(given.T, kernel, *rest), convolve(wanted.T, kernel, *rest))
