"""The membrane over time, in one compiled pass over what a convolution gave.

All arrays lie channels-last in memory, a row of W·C numbers in one piece.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX
from hybridnet.support.arrays import Array
from hybridnet.support.kernels import kernel

DECAY_BITS = DECAY_ONE.bit_length() - 1

CHUNK = 1024
"""Neurons whose states and parameters the fastest cache holds over all steps. A constant, for the compiler computes eight
neurons at once only where it can tell what lies apart."""


def _integrator(integer: type[np.int32] | type[np.int64], *, soft: bool) -> Callable[..., tuple[int, int]]:
    """The scan in one type of integers, which holds all that it computes, and of one reset."""

    @kernel
    def decayed(value: int, keep: int) -> int:
        """keep·value / 4096, toward zero: with value = 4096·a + b, no product is larger than the value itself."""
        product = integer((value & (DECAY_ONE - 1)) * keep)
        rest = integer(product + (DECAY_ONE - 1 if value < 0 else 0)) >> DECAY_BITS  # a shift rounds down
        return integer((value >> DECAY_BITS) * keep + rest)

    @kernel
    def clipped(value: int) -> int:
        return min(max(value, integer(-POTENTIAL_MAX)), integer(POTENTIAL_MAX))

    @kernel
    def step(drive: int, s: Array, p: Array, i: int, fires: Array) -> int:
        """Advance neuron i of a chunk; whether it saturated."""
        keep, threshold, amount = p[CHUNK + i], p[2 * CHUNK + i], p[3 * CHUNK + i]
        before = integer(s[CHUNK + i])
        fired = before > threshold
        if fired and not soft:
            before = integer(0)
        exact = integer(decayed(before, keep) + drive)
        if fired and soft:
            exact = integer(exact - amount)
        after = clipped(exact)
        fires[i] = after > threshold
        s[CHUNK + i] = after
        return integer(after != exact)

    @kernel
    def integrate(
        total: Array,
        factor: float,
        parameters: Array,
        bias: Array,
        keeps_current: bool,
        top: int,
        state: Array,
        spikes: Array,
        currents: Array,
        potentials: Array,
    ) -> tuple[int, int]:
        """Integrate a band of rows over time; equations: `hybridnet.program.fixed_graph`.

        Args:
            total: What the groups add up to, whole numbers of any type, (T, rows, W·C).
            factor: Of them all, a power of two in their type, or a wider one.
            parameters: Of the neurons of a row, see `chunked`: 4096 − dc, 4096 − dv, and in units of v the threshold,
                larger than any v where nothing fires, and the amount of the soft reset.
            bias: In units of v, integers (H, W·C), or (1, W·C) for all rows.
            keeps_current: Whether a current is kept, or else dc is 4096 everywhere.
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
                    count = count_currents = integer(0)
                    if with_current:
                        for i in range(len(b)):
                            exact = integer(decayed(s[i], p[i]) + integer(drive[i] * factor))
                            kept = clipped(exact)
                            s[i] = kept
                            count_currents = integer(count_currents + (p[i] > 0 and kept != exact))
                            count = integer(count + step(integer(exact + b[i]), s, p, i, fires))
                        if t >= first_current:
                            currents[t - first_current, top + row, here] = s[: len(b)]
                    else:
                        for i in range(len(b)):
                            exact = integer(integer(drive[i] * factor) + b[i])
                            count = integer(count + step(exact, s, p, i, fires))
                    saturated += count
                    saturated_currents += count_currents
                    if t >= first_potential:
                        potentials[t - first_potential, top + row, here] = s[CHUNK : CHUNK + len(b)]
        return saturated, saturated_currents

    return integrate


INTEGRATORS = {
    (integer, reset): _integrator(integer, soft=reset == "soft")
    for integer in (np.int32, np.int64)
    for reset in ("soft", "hard")
}
"""By the type of the integers, and by the reset."""


def chunked(rows: Array) -> Array:
    """Numbers of the neurons of a row, (K, W·C), a chunk at a time and one behind the other, (pieces, K·CHUNK)."""
    kinds, width = rows.shape
    pieces = -(-width // CHUNK)
    padded = np.zeros((kinds, pieces * CHUNK), rows.dtype)
    padded[:, :width] = rows
    return np.ascontiguousarray(padded.reshape(kinds, pieces, CHUNK).swapaxes(0, 1)).reshape(pieces, kinds * CHUNK)
