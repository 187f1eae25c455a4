"""Transposed convolutions of integers in floating point, exact, a band of rows at a time (why: see `exact_conv`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridnet.errors import BackendError
from hybridnet.program.layers import IntArray
from hybridnet.program.transposed import TransposedGeometry
from hybridnet.simulators.emulator.exact_conv import exact_dtype
from hybridnet.simulators.emulator.load import channels_first
from hybridnet.support.arrays import Array


class ExactTransposed:
    """The transposed convolution of one synapse group.

    Attributes:
        dtype: float32 where that is exact, else float64.

    Args:
        name: For errors.
        geometry: Its shape.
        weight: (C_in, C_out/groups, kh, kw), integers.
        largest_input: What arrives is no larger.
        bound: No partial sum is larger.

    Raises:
        RangeError: If not even float64 is exact.
    """

    def __init__(
        self, name: str, geometry: TransposedGeometry, weight: IntArray, largest_input: int, bound: int
    ) -> None:
        self.name, self.geometry, self.largest_input = name, geometry, largest_input
        self.dtype = exact_dtype(bound, name)
        self._weight = torch.from_numpy(weight).to(self.dtype)

    def row_bytes(self, steps: int) -> int:
        """What one more row of a band takes."""
        channels, _, width = self.geometry.output_shape
        channels_in, _, width_in = self.geometry.input_shape
        values = channels * width + -(-channels_in * width_in // self.geometry.stride[0])
        return steps * values * self.dtype.itemsize

    def __call__(self, source: Array, band: slice) -> Array:
        """What spreads to the rows of a band.

        Args:
            source: x of all steps: spikes, bool (T, H, W·C), or messages, (T, C, H, W).
            band: Rows of the output.

        Returns:
            Integers in `dtype`, (T, rows, W_out·C_out).
        """
        g = self.geometry
        reach = (g.kernel[0] - 1) * g.dilation[0]
        first = max(0, -(-(band.start + g.padding[0] - reach) // g.stride[0]))
        behind = min(g.input_shape[1], (band.stop - 1 + g.padding[0]) // g.stride[0] + 1)
        channels, _, width = g.output_shape
        total = torch.zeros((len(source), band.stop - band.start, width, channels), dtype=self.dtype)
        if first < behind:
            rows = source if source.ndim == 4 else channels_first(source, g.input_shape)
            found = self._spread(torch.from_numpy(rows[:, :, first:behind]).to(self.dtype).movedim(1, 3))
            top = first * g.stride[0] - g.padding[0] - band.start  # where its row 0 lies in the band
            start, stop = max(0, top), min(total.shape[1], top + found.shape[1])
            if start < stop:
                total[:, start:stop] = found[:, start - top : stop - top]
        return total.flatten(2).numpy()

    def verify(self, steps: int, band: slice) -> None:
        """Try that torch adds as it should.

        Raises:
            BackendError: If float32 gives other numbers than float64.
        """
        channels, height, width = self.geometry.input_shape
        seeded = torch.Generator().manual_seed(0)
        most = self.largest_input
        shape = (steps, min(height, band.stop - band.start), width, channels)
        frames = torch.randint(-most, most + 1, shape, generator=seeded, dtype=torch.int32).to(self.dtype)
        if not torch.equal(self._spread(frames).double(), self._spread(frames.double())):
            raise BackendError("torch's float32 transposed convolution is not exact on this machine", where=self.name)

    def _spread(self, frames: Tensor) -> Tensor:
        """(T, rows, W, C) to (T, all rows that they reach, W_out, C_out)."""
        g = self.geometry
        spread = F.conv_transpose2d(
            frames.movedim(3, 1),
            self._weight.to(frames.dtype),
            None,
            g.stride,
            (0, g.padding[1]),
            (0, g.output_padding[1]),
            g.groups,
            g.dilation,
        )
        return spread.movedim(1, 3)
