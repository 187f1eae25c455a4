"""What counting the spiking half takes: synapses of a convolution, events of a run, and the bytes of numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hybridnet.program.layers import ConvGeometry
from hybridnet.support.arrays import Array
from hybridnet.support.kernels import kernel


def taps(size_in: int, size_out: int, kernel: int, stride: int, padding: int, dilation: int) -> npt.NDArray[np.int64]:
    """How many (output, kernel tap) pairs read each input position along one axis: border-exact fan-out, (size_in,)."""
    position = np.arange(size_out)[:, None] * stride - padding + np.arange(kernel)[None, :] * dilation
    inside = position[(position >= 0) & (position < size_in)]
    return np.bincount(inside, minlength=size_in)


def fan_out(geometry: ConvGeometry) -> npt.NDArray[np.int64]:
    """Synapses that leave one input channel at each position, (H, W): all taps inside the border, zero weights too."""
    g = geometry
    vertical, horizontal = (
        taps(*axis)
        for axis in zip(g.input_shape[1:], g.output_shape[1:], g.kernel, g.stride, g.padding, g.dilation, strict=True)
    )
    return np.outer(vertical, horizontal) * (g.out_channels // g.groups)


class WordSizes(NamedTuple):
    """Bytes of one number in memory; a spike is one bit."""

    weight: int
    message: int
    potential: int


CHIP_WORDS, FLOAT_WORDS = WordSizes(1, 2, 3), WordSizes(4, 4, 4)
"""The chip's: 8-bit weights, 16-bit graded messages, 24-bit potentials; and float32's."""


def events(values: Array) -> npt.NDArray[np.int64]:
    """How many of all views, steps and channels are not zero at each position, (H, W); values (N, T, C, H, W)."""
    counted = np.zeros(values.shape[3:], np.int64)
    _count_events(values, counted)
    return counted


@kernel
def _count_events(values: Array, counted: npt.NDArray[np.int64]) -> None:
    """A row of all channels after the other, which is in cache whether channels lie first in memory or last."""
    views, steps, channels, height, width = values.shape
    for view in range(views):
        for step in range(steps):
            for y in range(height):
                for channel in range(channels):
                    row = values[view, step, channel, y]
                    for x in range(width):
                        counted[y, x] += row[x] != 0
