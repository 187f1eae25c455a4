"""What is kept of a tensor that is too large to keep: range, and a histogram of magnitudes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from hybridnet.errors import RangeError
from hybridnet.support.arrays import Array
from hybridnet.support.kernels import kernel

OCTAVES = (-24, 16)
"""Magnitudes from 2^−24 to 2^16 are told apart; what is smaller or larger falls into the first or last bin."""

BINS_PER_OCTAVE = 8
"""Bins of equal width: the three highest bits of a float32's fraction, so that its own bits are its bin."""

BINS = (OCTAVES[1] - OCTAVES[0]) * BINS_PER_OCTAVE
FIRST_BIN = (127 + OCTAVES[0]) * BINS_PER_OCTAVE
"""float32 has 23 bits of fraction below an exponent whose zero is 127."""


@dataclass(frozen=True)
class Statistics:
    """The statistics of all values of a tensor over all views.

    Attributes:
        count: Values seen.
        zeros: How many of these are exact zeros.
        minimum: Smallest value.
        maximum: Largest value.
        histogram: Values other than zero by |x|; see `edges`.
    """

    count: int
    zeros: int
    minimum: float
    maximum: float
    histogram: tuple[int, ...]

    @property
    def largest(self) -> float:
        """max|x|."""
        return max(abs(self.minimum), abs(self.maximum))

    def percentile(self, share: float) -> float:
        """The magnitude that this share, 0 to 1, of the values other than zero do not exceed; 0 if all are zero."""
        counts = np.cumsum(self.histogram)
        if not counts[-1]:
            return 0.0
        wanted = share * counts[-1]
        i = int(np.searchsorted(counts, wanted))
        within = (wanted - (counts[i - 1] if i else 0)) / self.histogram[i]
        low, high = edges()[i : i + 2]
        return min(self.largest, float(low + within * (high - low)))

    def __add__(self, other: Statistics) -> Statistics:
        """The statistics of both together."""
        return Statistics(
            self.count + other.count,
            self.zeros + other.zeros,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            tuple(a + b for a, b in zip(self.histogram, other.histogram, strict=True)),
        )


def edges() -> npt.NDArray[np.float64]:
    """The edges of the bins of a histogram, (BINS + 1,)."""
    octave, part = np.divmod(np.arange(BINS + 1), BINS_PER_OCTAVE)
    return np.ldexp(1 + part / BINS_PER_OCTAVE, octave + OCTAVES[0])


def statistics_of(x: Tensor, where: str) -> Statistics:
    """Look at a tensor of any shape.

    Raises:
        RangeError: If a value is not finite.
    """
    values = x.detach().float().flatten().numpy()
    histogram = np.zeros(BINS, np.int64)
    zeros, minimum, maximum, total = _look(values, values.view(np.int32), histogram)
    if not math.isfinite(total):
        raise RangeError("holds values that are not finite", where=where, remedy="Look for NaN and ∞ in the inputs")
    return Statistics(values.size, zeros, minimum, maximum, tuple(histogram.tolist()))


@kernel
def _look(values: Array, bits: Array, histogram: Array) -> tuple[int, float, float, float]:
    """What `Statistics` holds, in one pass, and the sum, which is finite if all are; `bits` are the same memory."""
    zeros, minimum, maximum, total = 0, np.inf, -np.inf, 0.0
    for i in range(len(values)):
        x = float(values[i])
        minimum, maximum = min(minimum, x), max(maximum, x)
        total += x
        if x == 0:
            zeros += 1
        else:
            place = ((bits[i] & 0x7FFFFFFF) >> 20) - FIRST_BIN
            histogram[min(max(place, 0), BINS - 1)] += 1
    return zeros, minimum, maximum, total
