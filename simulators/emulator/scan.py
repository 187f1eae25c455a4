"""Compiled loops of the emulator: what goes into a convolution, and the membrane that takes what comes out.

All arrays lie channels-last in memory, a row of W·C numbers in one piece, as a fast convolution reads and writes them.
"""

from __future__ import annotations

import numpy as np

from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX
from hybridnet.support.arrays import Array
from hybridnet.support.kernels import kernel

DECAY_BITS = DECAY_ONE.bit_length() - 1


@kernel
def load_band(source: Array, top: int, border: int, frames: Array) -> None:
    """Copy a band of rows, with zeros where it reaches beyond the map, into the convolution's input.

    Args:
        source: Messages or spikes, (T, H, W·C).
        top: Row of `source` that becomes row 0; may lie outside.
        border: Zeros at the left and at the right, padding·C.
        frames: Filled, (T, rows, border + W·C + border), float.
    """
    steps, height, width = source.shape
    for t in range(steps):
        for row in range(frames.shape[1]):
            line = frames[t, row]
            if 0 <= top + row < height:
                line[:border] = 0
                line[border + width :] = 0
                inner, values = line[border : border + width], source[t, top + row]
                for i in range(width):
                    inner[i] = values[i]
            else:
                line[:] = 0


@kernel
def integrate(
    current: Array, keep: int, shift: int, threshold: int, soft: bool, top: int, spikes: Array, potentials: Array
) -> int:
    """Integrate a band of rows over time; equations: `hybridnet.program.layers`.

    Exact: a current below 2^53, shifted by at most 6 bits, and a potential below 2^23 times 2^12 stay far inside int64.

    Args:
        current: conv(w, x) + b, integers in a float type, (T, rows, W·C).
        keep: 4096 − dv.
        shift: s, of the current.
        threshold: In units of v.
        soft: Soft reset, else hard.
        top: Row of `spikes` and `potentials` that row 0 of the band is.
        spikes: Filled in the band's rows, bool (T, H, W·C).
        potentials: Filled in the band's rows, v of the last K steps before any reset, int32 (K, H, W·C), K of 0 to T.

    Returns:
        How many potentials saturated.
    """
    steps, rows, width = current.shape
    first_kept = steps - len(potentials)
    v = np.empty(width, np.int32)
    saturated = 0
    for row in range(rows):
        v[:] = 0
        for t in range(steps):
            drive, fires = current[t, row], spikes[t, top + row]
            for i in range(width):
                before = int(v[i])
                fired = before > threshold
                if fired and not soft:
                    before = 0
                product = before * keep
                # An arithmetic shift rounds down; the chip truncates toward zero.
                exact = (product + ((product >> 63) & (DECAY_ONE - 1))) >> DECAY_BITS
                if fired and soft:
                    exact -= threshold
                exact += int(drive[i]) << shift
                after = min(max(exact, -POTENTIAL_MAX), POTENTIAL_MAX)
                saturated += after != exact
                fires[i] = after > threshold
                v[i] = after
            if t >= first_kept:
                potentials[t - first_kept, top + row] = v
    return saturated
