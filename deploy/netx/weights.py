"""What becomes of a dense layer's weights on their way through netx into Lava's synapse, bit for bit.

netx spreads the weights over the 8 bits that a synapse of Loihi holds (`lava.lib.dl.netx.utils.optimize_weight_bits`),
Lava's `Dense` clips and truncates what it gets (`lava.utils.weightutils`), and shifts the sum of its input back. For
the even weights from -256 to 254, of both signs, that slayer writes, all this together changes nothing. For others it
can: a layer without positive weights, but with zeros, is spread as if it had a sign and clipped as if it had none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.errors import BundleError

IntArray = npt.NDArray[np.int32]

SYNAPSE_BITS = 8
MIXED_MIN, MIXED_MAX = -256, 254
"""What netx clips weights of both signs to."""


@dataclass(frozen=True, eq=False)
class StoredWeights:
    """The integers that a synapse holds: its output is (values @ input) >> shift, rounded down.

    Attributes:
        values: (out, in).
        shift: Bits, 0 to 7.
        changed: How many weights differ from those of the file, that is, where values ≠ weight << shift.
    """

    values: IntArray
    shift: int
    changed: int


def store_weights(weight: IntArray) -> StoredWeights:
    """Do to the weights of a dense layer, (out, in), what netx and Lava do.

    Raises:
        BundleError: If netx fails on them (all are zero), or would make every weight zero (too large, of one sign).
    """
    spread, shift, weight_bits = _spread(weight)
    values = _clip_and_truncate(spread, weight_bits)
    return StoredWeights(values, shift, int(np.count_nonzero(values != weight.astype(np.int64) << shift)))


def _spread(weight: IntArray) -> tuple[IntArray, int, int]:
    """The part of netx: the weights shifted to fill 8 bits, by how much, and how many bits they then need."""
    largest, smallest = int(weight.max()), int(weight.min())
    if (largest > MIXED_MAX and smallest < 0) or (smallest < MIXED_MIN and largest > 0):
        weight = weight.clip(MIXED_MIN, MIXED_MAX)
        largest, smallest = int(weight.max()), int(weight.min())
    if largest == smallest == 0:
        raise BundleError("all weights are zero, on which netx fails")
    mixed = smallest < 0 <= largest
    if mixed:
        scale = min(127 / largest if largest else math.inf, -128 / smallest)
    else:
        scale = -256 / smallest if largest < 0 else 255 / largest
    shift = int(np.floor(np.log2(scale))) + mixed
    if shift < 0:
        raise BundleError(f"weights from {smallest} to {largest}, which netx would make zero, every one")
    zeros = next((n for n in range(SYNAPSE_BITS, 0, -1) if not (weight % 2**n).any()), 0)
    return weight << shift, shift, SYNAPSE_BITS - shift - (zeros - mixed)


def _clip_and_truncate(weight: IntArray, weight_bits: int) -> IntArray:
    """The part of Lava. Its idea of the sign is not netx's: weights of zero and less are inhibitory."""
    inhibitory = weight.min() < 0 and weight.max() <= 0
    mixed = weight.min() < 0 < weight.max()
    magnitude = (-weight if inhibitory else weight).clip(-(2**SYNAPSE_BITS) if mixed else 0, 2**SYNAPSE_BITS - 1)
    lost_bits = SYNAPSE_BITS - weight_bits + mixed
    if lost_bits < 0:  # NumPy, and so Lava, makes zero of a positive number shifted by less than nothing
        return np.zeros_like(weight)
    magnitude = (magnitude >> lost_bits) << lost_bits
    return -magnitude if inhibitory else magnitude
