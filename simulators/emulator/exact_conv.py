"""Convolutions of integers in floating point, exact, a band of rows at a time.

No partial sum of a convolution can exceed max|x|·Σ|w| of its output channel, so a floating-point type that holds
all integers up to that bound rounds nothing, in whatever order it adds. The bound follows from the weights alone.

A band is convolved for all steps at once, since nothing recurrent crosses a convolution. Bands keep what goes in and
what comes out in the processor's cache, bound the memory that a frame of any size needs, and are what threads share.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hybridnet.errors import BackendError, RangeError
from hybridnet.model.neuron import conv_current
from hybridnet.program.layers import FLOAT32_EXACT, FLOAT64_EXACT, ConvGeometry, IntArray
from hybridnet.simulators.emulator.load import load_messages, load_spikes
from hybridnet.support.arrays import Array


class ExactConv:
    """The convolution of one synapse group.

    Attributes:
        dtype: float32 where that is exact, else float64.

    Args:
        name: For errors.
        geometry: Its shape.
        weight: (C_out, C_in/groups, kh, kw), integers.
        largest_input: Largest of the absolute values that arrive: the largest message, or 1 for spikes.
        bound: No partial sum is larger.

    Raises:
        RangeError: If not even float64 is exact.
    """

    def __init__(self, name: str, geometry: ConvGeometry, weight: IntArray, largest_input: int, bound: int) -> None:
        self.name, self.geometry, self.largest_input = name, geometry, largest_input
        self._bordered = with_border(geometry)
        self.dtype = exact_dtype(bound, name)
        self._weight = torch.from_numpy(weight).to(self.dtype).contiguous(memory_format=torch.channels_last)

    def __call__(self, source: Array, band: slice) -> Array:
        """conv(w, x) in the rows of a band.

        Args:
            source: x of all steps: spikes, bool (T, H, W·C), or messages, (T, C, H, W).
            band: Rows of the output.

        Returns:
            Integers in `dtype`, (T, rows, W_out·C_out).
        """
        g = self.geometry
        steps, rows, width, channels = self._input_shape(len(source), band)
        top, border = band.start * g.stride[0] - g.padding[0], g.padding[1]
        if source.ndim == 3:
            frames = torch.empty(steps, rows, width, channels, dtype=self.dtype)
            load_spikes(source, top, border * channels, frames.flatten(2).numpy())
            return self._convolve(frames.movedim(3, 1))
        frames = torch.empty(steps, rows, channels, width, dtype=self.dtype)
        load_messages(source, top, border, frames.numpy())
        return self._convolve(frames.movedim(2, 1).contiguous(memory_format=torch.channels_last))

    def verify(self, steps: int, band: slice) -> None:
        """Try that torch adds as it should: an algorithm that transforms its input first (Winograd) would round.

        Raises:
            BackendError: If float32 gives other numbers than float64.
        """
        shape = self._input_shape(steps, band)
        seeded = torch.Generator().manual_seed(0)  # leaves the user's own sequence of random numbers alone
        most = self.largest_input
        frames = torch.randint(-most, most + 1, shape, generator=seeded, dtype=torch.int32).movedim(3, 1)
        if not np.array_equal(self._convolve(frames.to(self.dtype)), self._convolve(frames.double())):
            raise BackendError(
                "torch's float32 convolution is not exact on this machine",
                where=self.name,
                remedy="Enable torch.backends.mkldnn, or switch NNPACK off: torch.backends.nnpack.set_flags(False)",
            )

    def _convolve(self, frames: Tensor) -> Array:
        """(T, C, H, W), border included, that lie channels-last, to (T, H_out, W_out·C_out)."""
        current = conv_current(frames, self._weight.to(frames.dtype), None, self._bordered)
        return current.movedim(1, 3).contiguous().flatten(2).numpy()

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
