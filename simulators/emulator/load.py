"""Compiled loops that bring a band of rows, with its border, into the input of a convolution.

Messages lie channels-first in memory, as they came; spikes channels-last, a row of W·C numbers in one piece.
"""

from __future__ import annotations

import numpy as np

from hybridnet.support.arrays import Array
from hybridnet.support.kernels import inlined, shared_kernel

GATHER = np.uint64(0x0102040810204080)
"""Times a word of eight bytes 0 or 1, it brings byte i to bit 56 + i: no two products meet in a bit."""


@shared_kernel
def load_messages(source: Array, top: int, border: int, frames: Array) -> None:
    """Copy a band of rows, with zeros where it reaches beyond the map, into the convolution's input.

    Args:
        source: Messages, (T, C, H, W).
        top: Row of `source` that becomes row 0; may lie outside.
        border: Zeros at the left and at the right.
        frames: Filled, (T, rows, C, border + W + border), float.
    """
    steps, channels, height = source.shape[:3]
    for t in range(steps):
        for row in range(frames.shape[1]):
            for channel in range(channels):
                if 0 <= top + row < height:
                    _bordered(source[t, channel, top + row], border, frames[t, row, channel])
                else:
                    frames[t, row, channel] = 0


@shared_kernel
def load_spikes(source: Array, top: int, border: int, frames: Array) -> None:
    """The same of spikes, 0 or 1 (T, H, W·C), into (T, rows, border + W·C + border)."""
    steps, height = source.shape[:2]
    for t in range(steps):
        for row in range(frames.shape[1]):
            if 0 <= top + row < height:
                _bordered(source[t, top + row], border, frames[t, row])
            else:
                frames[t, row] = 0


@inlined
def _bordered(values: Array, border: int, line: Array) -> None:
    width = len(values)
    line[:border] = 0
    line[border + width :] = 0
    inner = line[border : border + width]
    for i in range(width):
        inner[i] = values[i]


@shared_kernel
def load_bytes(source: Array, top: int, border: int, wide: int, factor: int, packed: Array) -> None:
    """The same of spikes, eight channels to a byte.

    Args:
        source: 0 or 1, uint8 (T, H, W·C).
        top: Row of `source` that becomes row 0; may lie outside.
        border: Zeros at the left and at the right, padding·bytes.
        wide: Channels whose spikes share bytes: those of a group.
        factor: Factor of all bytes.
        packed: Filled, (T, rows, border + W·bytes + border), integers.
    """
    steps, height, width = source.shape
    part = -(-wide // 8)
    for t in range(steps):
        for row in range(packed.shape[1]):
            line = packed[t, row]
            if not 0 <= top + row < height:
                line[:] = 0
                continue
            spikes, inner = source[t, top + row], line[border : len(line) - border]
            line[:border] = 0
            line[len(line) - border :] = 0
            if wide % 8 == 0:
                words = spikes.view(np.uint64)
                for i in range(len(words)):
                    inner[i] = ((words[i] * GATHER) >> np.uint64(56)) * np.uint64(factor)
            else:
                inner[:] = 0
                for i in range(width):
                    group, channel = divmod(i, wide)
                    inner[group * part + channel // 8] += (spikes[i] << (channel % 8)) * factor


def channels_first(rows: Array, shape: tuple[int, int, int]) -> Array:
    """(…, H, W·C) seen as (…, C, H, W), in place."""
    channels, height, width = shape
    return np.moveaxis(rows.reshape(*rows.shape[:-2], height, width, channels), -1, -3)
