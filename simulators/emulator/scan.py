"""The membrane over time, in one compiled pass over what a convolution gave.

All arrays lie channels-last in memory, a row of W·C numbers in one piece. All sums are computed in the type of the
parameters: int32 where none can leave it, eight neurons at once; else int64.
"""

from __future__ import annotations

import numpy as np

from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX
from hybridnet.support.arrays import Array
from hybridnet.support.kernels import inlined, shared_kernel

DECAY_BITS = DECAY_ONE.bit_length() - 1

CHUNK = 1024
"""Neurons whose states and parameters the fastest cache holds over all steps. A constant, for the compiler computes
several neurons at once only where it can tell how far apart their numbers lie."""


def chunked(rows: Array) -> Array:
    """Numbers of the neurons of a row, (K, W·C), a chunk at a time and one kind behind the other, (pieces, K·CHUNK)."""
    kinds, width = rows.shape
    pieces = -(-width // CHUNK)
    padded = np.zeros((kinds, pieces * CHUNK), rows.dtype)
    padded[:, :width] = rows
    return np.ascontiguousarray(padded.reshape(kinds, pieces, CHUNK).swapaxes(0, 1)).reshape(pieces, kinds * CHUNK)


@shared_kernel
def integrate(
    total: Array,
    factor: float,
    parameters: Array,
    bias: Array,
    keeps_current: bool,
    soft: bool,
    top: int,
    state: Array,
    spikes: Array,
    currents: Array,
    potentials: Array,
) -> tuple[int, int]:
    """Integrate a band of rows over time; equations: `hybridnet.program.fixed_graph`.

    Exact in int32 if no sum that arrives is larger than 2^30: decayed states and a reset of up to 2^23 each, and a bias
    of up to 2^18, then leave it below 2^31. In int64, if none is larger than 2^59.

    Args:
        total: What the groups add up to, whole numbers of any type, (T, rows, W·C).
        factor: Factor of them all, a power of two in their type, or in a wider one.
        parameters: Those of the neurons of a row, see `chunked`: 4096 − dc, 4096 − dv, and in units of v the threshold,
            larger than any v where nothing fires, and the amount of the soft reset.
        bias: In units of v, integers (H, W·C), or (1, W·C) for all rows.
        keeps_current: Whether a current is kept, or else dc is 4096 everywhere.
        soft: Soft reset, else hard.
        top: Row of the map that row 0 of the band is.
        state: c and v of the step before, (H, pieces, 2·CHUNK); what they then are.
        spikes: Filled in the band's rows, bool (T, H, W·C).
        currents: Filled in the band's rows, c of the last K steps, int32 (K, H, W·C), K of 0 to T.
        potentials: Likewise v, before any reset.

    Returns:
        How many potentials saturated, and how many currents that are kept did.
    """
    steps, rows, width = total.shape
    first_current, first_potential = steps - len(currents), steps - len(potentials)
    saturated = saturated_currents = 0
    with_current = keeps_current or len(currents) > 0
    for row in range(rows):
        for piece in range(len(parameters)):
            p, s = parameters[piece], state[top + row, piece]
            here = slice(piece * CHUNK, min(width, (piece + 1) * CHUNK))
            b = bias[(top + row) % len(bias), here]
            for t in range(steps):
                drive, fires = total[t, row, here], spikes[t, top + row, here]
                if with_current:
                    count, count_currents = _with_current(drive, factor, b, p, s, fires, soft)
                    saturated_currents += count_currents
                elif soft:  # two loops, so that neither asks at each neuron
                    count = _without_current(drive, factor, b, p, s, fires, True)
                else:
                    count = _without_current(drive, factor, b, p, s, fires, False)
                saturated += count
                if t >= first_current:
                    _keep(s, 0, currents[t - first_current, top + row, here])
                if t >= first_potential:
                    _keep(s, CHUNK, potentials[t - first_potential, top + row, here])
    return saturated, saturated_currents


@inlined
def _keep(s: Array, start: int, into: Array) -> None:
    for i in range(len(into)):
        into[i] = s[start + i]


@inlined
def _without_current(drive: Array, factor: float, b: Array, p: Array, s: Array, fires: Array, soft: bool) -> int:
    """Advance a chunk by a step; how many potentials saturated."""
    integer = p.dtype.type
    count = integer(0)
    for i in range(len(b)):
        arrives = integer(integer(drive[i] * factor) + b[i])
        count = integer(count + _advance(arrives, p, s, i, fires, soft))
    return count


@inlined
def _with_current(
    drive: Array, factor: float, b: Array, p: Array, s: Array, fires: Array, soft: bool
) -> tuple[int, int]:
    """The same where currents are kept; how many potentials saturated, and how many currents that are kept did."""
    integer = p.dtype.type
    count = count_currents = integer(0)
    for i in range(len(b)):
        exact = integer(_decayed(s[i], p[i], integer) + integer(drive[i] * factor))
        s[i] = _clipped(exact, integer)
        count_currents = integer(count_currents + (p[i] > 0 and s[i] != exact))
        count = integer(count + _advance(integer(exact + b[i]), p, s, i, fires, soft))
    return count, count_currents


@inlined
def _advance(arrives: int, p: Array, s: Array, i: int, fires: Array, soft: bool) -> bool:
    """Advance neuron i of a chunk; whether it saturated."""
    integer = p.dtype.type
    keep, threshold, amount, before = p[CHUNK + i], p[2 * CHUNK + i], p[3 * CHUNK + i], s[CHUNK + i]
    fired = before > threshold
    if fired and not soft:
        before = integer(0)
    exact = integer(_decayed(before, keep, integer) + arrives)
    if fired and soft:
        exact = integer(exact - amount)
    after = _clipped(exact, integer)
    fires[i] = after > threshold
    s[CHUNK + i] = after
    return after != exact


@inlined
def _decayed(value: int, keep: int, integer: type) -> int:
    """keep·value / 4096, toward zero: with value = 4096·a + b, neither product leaves 32 bits."""
    rest = integer((value & (DECAY_ONE - 1)) * keep)
    if value < 0:
        rest = integer(rest + (DECAY_ONE - 1))  # a shift rounds down
    return integer((value >> DECAY_BITS) * keep + (rest >> DECAY_BITS))


@inlined
def _clipped(value: int, integer: type) -> int:
    return min(max(value, integer(-POTENTIAL_MAX)), integer(POTENTIAL_MAX))
