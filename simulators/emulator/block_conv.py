"""Convolutions of few channels, exact, a band of rows at a time: compiled loops over the taps of a kernel.

An output pixel is a sum of rows of eight numbers, eight of its channels, one row per tap of the kernel:

    messages    x·w[tap], in float32, which holds every partial sum exactly (why: see `exact_conv`)
    spikes      table[tap][byte]: eight input channels at a tap are a byte, and what each of its values adds up to is
                known before; integers of 16 bits

The second takes one addition where the first takes eight products, whatever spikes.
"""

from __future__ import annotations

import numpy as np

from hybridnet.program.layers import ConvGeometry, IntArray
from hybridnet.simulators.emulator.lanes import BYTES, LANES, PIXELS, convolve
from hybridnet.simulators.emulator.load import load_bytes, load_messages
from hybridnet.support.arrays import Array

INT16_EXACT = 2**15 - 1
"""Up to here 16 bits hold every sum; what they hold on the way there does not matter."""

LEAST_PRODUCTS, MOST_ADDITIONS = {True: 32, False: 2}, {True: 256, False: 96}
"""For spikes, and for messages: products of a dense convolution that a row must stand for, and rows that a pixel may
take. Measured: beyond that torch's convolution is as fast. 256 tables of 256 rows of 16 bytes are a MiB."""


def pays(g: ConvGeometry, *, spikes: bool) -> bool:
    """Whether this is faster than a dense convolution."""
    wide, taps = g.input_shape[0] // g.groups, g.kernel[0] * g.kernel[1]
    blocks, part = _blocks(g, spikes=spikes)
    additions = g.groups * blocks * part * taps
    products = g.out_channels * wide * taps
    return products >= LEAST_PRODUCTS[spikes] * additions and additions <= MOST_ADDITIONS[spikes]


def _blocks(g: ConvGeometry, *, spikes: bool) -> tuple[int, int]:
    """How many blocks of a group of channels come out, and how many numbers go in at a tap."""
    wide, high = g.input_shape[0] // g.groups, g.out_channels // g.groups
    return -(-high // LANES), -(-wide // 8) if spikes else wide


class BlockConv:
    """The convolution of one synapse group.

    Attributes:
        dtype: Type of the sums: int16 of spikes, float32 of messages.

    Args:
        geometry: Its shape.
        weight: (C_out, C_in/groups, kh, kw), integers.
        spikes: Whether spikes arrive, else messages.
    """

    def __init__(self, geometry: ConvGeometry, weight: IntArray, *, spikes: bool) -> None:
        g, (channels, _, width) = geometry, geometry.input_shape
        wide, high = channels // g.groups, g.out_channels // g.groups
        blocks, part = _blocks(g, spikes=spikes)
        self.geometry, self.spikes, self.dtype = g, spikes, np.dtype(np.int16 if spikes else np.float32)
        self._border = g.padding[1] * (g.groups * part if spikes else 1)
        wide_row = width + 2 * g.padding[1]
        pixel, apart = (g.groups * part, 1) if spikes else (1, wide_row)  # from a pixel, a channel, to the next
        self._line = wide_row * g.groups * part
        self._steps = g.stride[0] * self._line, g.stride[1] * pixel
        rows, columns = (np.arange(k) * d for k, d in zip(g.kernel, g.dilation, strict=True))
        self._taps = (rows[:, None, None] * self._line + columns[:, None] * pixel + np.arange(part) * apart).ravel()
        self._starts = np.repeat(np.arange(g.groups) * part * apart, blocks)
        self._lanes = (np.arange(g.groups)[:, None] * blocks * LANES + np.arange(high)).ravel()
        padded = np.zeros((g.groups, blocks * LANES, part * 8 if spikes else part, *g.kernel), np.int64)
        padded[:, :high, :wide] = weight.reshape(g.groups, high, wide, *g.kernel)
        taps = padded.reshape(g.groups * blocks, LANES, part, -1, *g.kernel)  # (B, lane, part, bit, kh, kw)
        taps = taps.transpose(0, 4, 5, 2, 3, 1)
        if spikes:
            taps = (np.arange(BYTES)[:, None] >> np.arange(8) & 1) @ taps
        self._rows = np.ascontiguousarray(taps.reshape(len(self._starts), -1), self.dtype)

    def row_bytes(self, steps: int) -> int:
        """What one more row of a band takes."""
        channels, _, width = self.geometry.output_shape
        return steps * (self._steps[0] * (2 if self.spikes else 4) + channels * width * self.dtype.itemsize)

    def __call__(self, source: Array, band: slice) -> Array:
        """conv(w, x) in the rows of a band.

        Args:
            source: x of all steps: spikes, bool (T, H, W·C), or messages, (T, C, H, W).
            band: Rows of the output.

        Returns:
            Integers in `dtype`, (T, rows, W_out·C_out).
        """
        g, (row_step, pixel_step) = self.geometry, self._steps
        rows = (band.stop - band.start - 1) * g.stride[0] + (g.kernel[0] - 1) * g.dilation[0] + 1
        frame_size, top = rows * self._line, band.start * g.stride[0] - g.padding[0]
        size = len(source) * frame_size
        frames = np.empty(size + PIXELS * pixel_step, np.uint16 if self.spikes else np.float32)
        frames[size:] = 0
        if self.spikes:
            wide = g.input_shape[0] // g.groups
            load_bytes(
                source.view(np.uint8), top, self._border, wide, LANES, frames[:size].reshape(len(source), rows, -1)
            )
        else:
            shape = len(source), rows, g.input_shape[0], -1
            load_messages(source, top, self._border, frames[:size].reshape(shape))
        channels, _, width = g.output_shape
        total = np.empty((len(source), band.stop - band.start, width * channels), self.dtype)
        line = np.empty(-(-width // PIXELS) * PIXELS * len(self._starts) * LANES, self.dtype)
        convolve(
            *(frames, frame_size, row_step, pixel_step),
            *(self._starts, self._taps, self._rows, self._lanes, line, total),
        )
        return total
