"""Compiled loops of the emulator: what goes into a convolution, and the membrane that takes what comes out.

All arrays lie channels-last in memory, a row of W·C numbers in one piece, as a fast convolution reads and writes them.
"""

from __future__ import annotations

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
    total: Array,
    shift: int,
    keep_current: Array,
    keep: Array,
    threshold: Array,
    amount: Array,
    bias: Array,
    soft: bool,
    top: int,
    state: Array,
    spikes: Array,
    currents: Array,
    potentials: Array,
) -> tuple[int, int]:
    """Integrate a band of rows over time; equations: `hybridnet.program.fixed_graph`.

    Exact: a sum below 2^53, shifted by at most 6 bits, and a state below 2^23 times 2^12 stay far inside int64.

    Args:
        total: What the groups add up to, integers in a float type, (T, rows, W·C).
        shift: That all groups share.
        keep_current: 4096 − dc of a row, int64 (W·C,).
        keep: 4096 − dv, likewise.
        threshold: In units of v, likewise; larger than any v where nothing fires.
        amount: Of the soft reset, in units of v, likewise.
        bias: In units of v, int64 (H, W·C), or (1, W·C) for all rows.
        soft: Soft reset, else hard.
        top: Row of the map that row 0 of the band is.
        state: c and v of the step before, int32 (2, H, W·C); what they then are.
        spikes: Filled in the band's rows, bool (T, H, W·C).
        currents: Filled in the band's rows, c of the last K steps, int32 (K, H, W·C), K of 0 to T.
        potentials: Likewise v, before any reset.

    Returns:
        How many potentials saturated, and how many currents that are kept did.
    """
    steps, rows, width = total.shape
    first_current, first_potential = steps - len(currents), steps - len(potentials)
    saturated = saturated_currents = 0
    with_current = keep_current.max() > 0 or len(currents) > 0
    for row in range(rows):
        c, v, b = state[0, top + row], state[1, top + row], bias[(top + row) % len(bias)]
        for t in range(steps):
            drive, fires = total[t, row], spikes[t, top + row]
            if with_current:
                for i in range(width):
                    product = int(c[i]) * keep_current[i]
                    kept = (product + ((product >> 63) & (DECAY_ONE - 1))) >> DECAY_BITS
                    exact = kept + (int(drive[i]) << shift)
                    c[i] = min(max(exact, -POTENTIAL_MAX), POTENTIAL_MAX)
                    saturated_currents += keep_current[i] > 0 and c[i] != exact
                    saturated += _step(exact + b[i], v, i, keep[i], threshold[i], amount[i], soft, fires)
                if t >= first_current:
                    currents[t - first_current, top + row] = c
            else:
                for i in range(width):
                    exact = (int(drive[i]) << shift) + b[i]
                    saturated += _step(exact, v, i, keep[i], threshold[i], amount[i], soft, fires)
            if t >= first_potential:
                potentials[t - first_potential, top + row] = v
    return saturated, saturated_currents


@kernel
def _step(drive: int, v: Array, i: int, keep: int, threshold: int, amount: int, soft: bool, fires: Array) -> int:
    """Advance neuron i of a row; whether it saturated. An arithmetic shift rounds down, the chip toward zero."""
    before = int(v[i])
    fired = before > threshold
    if fired and not soft:
        before = 0
    product = before * keep
    exact = ((product + ((product >> 63) & (DECAY_ONE - 1))) >> DECAY_BITS) + drive
    if fired and soft:
        exact -= amount
    after = min(max(exact, -POTENTIAL_MAX), POTENTIAL_MAX)
    fires[i] = after > threshold
    v[i] = after
    return int(after != exact)
