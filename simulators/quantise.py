"""How an analog input becomes the chip's graded messages; shared by all fixed-point simulators."""

from __future__ import annotations

import numpy as np

from hybridnet.errors import RangeError
from hybridnet.partition.program import MESSAGE_MAX, IntArray
from hybridnet.simulators.interface import Array


def quantise_input(values: Array, input_scale: float) -> tuple[IntArray, int]:
    """Round an input to integer messages, half to even, and clip them to int8.

    Args:
        values: Any shape, in units of the model's input.
        input_scale: S_x, messages per unit.

    Returns:
        Messages of the same shape, range [−MESSAGE_MAX, MESSAGE_MAX], and how many of them were clipped.

    Raises:
        RangeError: If a value is not finite.
    """
    messages = np.rint(values.astype(np.float64) * input_scale)
    if not np.isfinite(messages).all():
        raise RangeError("the input holds values that are not finite", remedy="Look for NaN in what is fed")
    clipped = np.clip(messages, -MESSAGE_MAX, MESSAGE_MAX)
    return clipped.astype(np.int32), int(np.count_nonzero(clipped != messages))
