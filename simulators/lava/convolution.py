"""Lava's convolution as one compiled loop.

Stock Lava convolves every output channel with every input channel by `scipy.signal.convolve2d`, computes what a stride
then skips, and does it in float64. The sums here are the same; in float they differ in the order of addition. Imports
no Lava.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hybridnet.support.arrays import Array
from hybridnet.support.kernels import kernel


def convolve(
    x: Array, weight: Array, stride: Iterable[int], padding: Iterable[int], dilation: Iterable[int], groups: int
) -> Array:
    """What `lava.proc.conv.utils.conv` gives, which flips the kernel; pairs are (x, y), Lava's axis order.

    Args:
        x: (W, H, C), of the type of `weight`.
        weight: (C_out, kw, kh, C/groups), int32 or float64.

    Returns:
        (W', H', C_out), of the type of `weight`; int32 wraps at 32 bits, as sums of Lava's int32 would.
    """
    (step_x, step_y), (pad_x, pad_y), (gap_x, gap_y) = (map(int, pair) for pair in (stride, padding, dilation))
    out_channels, kernel_x, kernel_y, _ = weight.shape
    width, height, channels = x.shape
    rows = -(-(height + 2 * pad_y) // step_y)
    padded = np.zeros((channels, width + 2 * pad_x, rows * step_y), weight.dtype)
    padded[:, pad_x : pad_x + width, pad_y : pad_y + height] = x.transpose(2, 0, 1)
    # What a stride picks from a column then lies side by side.
    phases = np.ascontiguousarray(padded.reshape(*padded.shape[:2], rows, step_y).swapaxes(2, 3))
    out_width = (width + 2 * pad_x - gap_x * (kernel_x - 1) - 1) // step_x + 1
    out_height = (height + 2 * pad_y - gap_y * (kernel_y - 1) - 1) // step_y + 1
    sums = np.zeros((out_channels, out_width, out_height), weight.dtype)
    taps = np.ascontiguousarray(weight[:, ::-1, ::-1].transpose(0, 3, 1, 2))
    _correlate(phases, taps, step_x, gap_x, gap_y, out_channels // int(groups), sums)
    return np.ascontiguousarray(sums.transpose(1, 2, 0))


@kernel
def _correlate(phases: Array, taps: Array, step_x: int, gap_x: int, gap_y: int, fan_out: int, sums: Array) -> None:
    """Add up; phases (C, W, stride, H/stride), taps (C_out, C/groups, kw, kh), sums (C_out, W', H')."""
    out_channels, fan_in, kernel_x, kernel_y = taps.shape
    step_y = phases.shape[2]
    out_width, out_height = sums.shape[1:]
    for out_channel in range(out_channels):
        first = out_channel // fan_out * fan_in
        for out_x in range(out_width):
            target = sums[out_channel, out_x]
            for channel in range(fan_in):
                for i in range(kernel_x):
                    for j in range(kernel_y):
                        tap = taps[out_channel, channel, i, j]
                        phase, offset = j * gap_y % step_y, j * gap_y // step_y
                        source = phases[first + channel, out_x * step_x + i * gap_x, phase, offset:]
                        for out_y in range(out_height):  # side by side in memory: several at a time
                            target[out_y] += tap * source[out_y]
