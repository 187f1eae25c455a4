"""Convolutions of integers in floating point, exact, a band of rows at a time.

No partial sum of a convolution can exceed max|x|·Σ|w| + |b| of its output channel, so a floating-point type that holds
all integers up to that bound rounds nothing, in whatever order it adds. The bound follows from the weights alone.

A band is convolved for all steps at once, since nothing recurrent crosses a convolution. Bands keep what goes in and
what comes out in the processor's cache, bound the memory that a frame of any size needs, and are what threads share.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from hybridnet.errors import BackendError, RangeError
from hybridnet.model.neuron import conv_current
from hybridnet.program.layers import FLOAT32_EXACT, FLOAT64_EXACT, ConvGeometry, IntArray
from hybridnet.simulators.emulator.scan import load_band
from hybridnet.support.arrays import Array

BAND_BYTES = 4 * 2**20
"""Input and output of a band should not need more; one row is the least, however large."""


class Convolution(Protocol):
    """What is convolved: a layer of a chain, or a synapse group of a graph."""

    @property
    def name(self) -> str:
        """For errors."""

    @property
    def geometry(self) -> ConvGeometry:
        """Its shape."""

    @property
    def weight(self) -> IntArray:
        """(C_out, C_in/groups, kh, kw)."""

    @property
    def current_bias(self) -> IntArray:
        """(C_out,), in units of the sum."""

    def largest_current(self, largest_input: int) -> int:
        """What no partial sum exceeds."""


class ExactConv:
    """The convolution of one layer.

    Attributes:
        dtype: float32 where that is exact, else float64.

    Args:
        layer: Weight, bias and geometry.
        largest_input: Of the absolute values that arrive: `layer.message_max`, or 1 for spikes.

    Raises:
        RangeError: If not even float64 is exact.
    """

    def __init__(self, layer: Convolution, largest_input: int) -> None:
        self.name, self.geometry, self.largest_input = layer.name, layer.geometry, largest_input
        self._bordered = with_border(layer.geometry)
        self.dtype = exact_dtype(layer.largest_current(largest_input), layer.name)
        weight = torch.from_numpy(layer.weight).to(self.dtype)
        self._weight = weight.contiguous(memory_format=torch.channels_last)
        self._bias = torch.from_numpy(layer.current_bias).to(self.dtype)

    def bands(self, steps: int, threads: int) -> list[slice]:
        """Cut the layer's rows into bands that keep to BAND_BYTES, as many for each thread."""
        _, height, _ = self.geometry.output_shape
        return cut(height, threads * math.ceil(height * self.row_bytes(steps) / (threads * BAND_BYTES)))

    def __call__(self, source: Array, band: slice) -> Array:
        """conv(w, x) + b in the rows of a band.

        Args:
            source: x of all steps, integers or booleans, (T, H, W·C).
            band: Rows of the output.

        Returns:
            Integers in `dtype`, (T, rows, W_out·C_out).
        """
        g = self.geometry
        frames = torch.empty(self._input_shape(len(source), band), dtype=self.dtype)
        border = g.padding[1] * g.input_shape[0]
        load_band(source, band.start * g.stride[0] - g.padding[0], border, frames.flatten(2).numpy())
        return self._convolve(frames).flatten(2).numpy()

    def verify(self, steps: int, threads: int) -> None:
        """Try that torch adds as it should: an algorithm that transforms its input first (Winograd) would round.

        Raises:
            BackendError: If float32 gives other numbers than float64.
        """
        shape = self._input_shape(steps, self.bands(steps, threads)[0])
        seeded = torch.Generator().manual_seed(0)  # leaves the user's own sequence of random numbers alone
        most = self.largest_input
        frames = torch.randint(-most, most + 1, shape, generator=seeded, dtype=torch.int32).to(self.dtype)
        if not torch.equal(self._convolve(frames).double(), self._convolve(frames.double())):
            raise BackendError(
                "torch's float32 convolution is not exact on this machine",
                where=self.name,
                remedy="Enable torch.backends.mkldnn, or switch NNPACK off: torch.backends.nnpack.set_flags(False)",
            )

    def _convolve(self, frames: Tensor) -> Tensor:
        """(T, H, W, C), border included, to (T, H_out, W_out, C_out)."""
        weight, bias = self._weight.to(frames.dtype), self._bias.to(frames.dtype)
        current = conv_current(frames.movedim(3, 1), weight, bias, self._bordered)
        return current.movedim(1, 3).contiguous()

    def _input_shape(self, steps: int, band: slice) -> tuple[int, int, int, int]:
        """(T, rows, W, C) of what a band of the output is computed from, with the border."""
        g = self.geometry
        channels, _, width = g.input_shape
        rows = (band.stop - band.start - 1) * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] + 1
        return steps, rows, width + 2 * g.padding[1], channels

    def row_bytes(self, steps: int) -> int:
        """What one more row of a band takes."""
        g = self.geometry
        channels, _, width = g.input_shape
        channels_out, _, width_out = g.output_shape
        values = g.stride[0] * channels * (width + 2 * g.padding[1]) + channels_out * width_out
        return steps * values * self.dtype.itemsize


def cut(length: int, parts: int) -> list[slice]:
    """Cut 0 … length into at most so many parts of the same size, the last one being smaller."""
    size = -(-length // min(parts, length))
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def with_border(g: ConvGeometry) -> ConvGeometry:
    """The same convolution of frames that bring their border of zeros along."""
    (channels, height, width), (rows, columns) = g.input_shape, g.padding
    return replace(g, input_shape=(channels, height + 2 * rows, width + 2 * columns), padding=(0, 0))


def exact_dtype(bound: int, where: str) -> torch.dtype:
    """The smallest floating-point type that adds integers up to `bound` without rounding.

    Raises:
        RangeError: If there is none.
    """
    if bound > FLOAT64_EXACT:
        raise RangeError(f"currents of up to {bound} are not exact in float64", where=where)
    return torch.float32 if bound <= FLOAT32_EXACT else torch.float64
