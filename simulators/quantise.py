"""How an analog input becomes the chip's graded messages; shared by all fixed-point simulators."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hybridnet.errors import RangeError
from hybridnet.program.layers import IntArray
from hybridnet.support.arrays import Array
from hybridnet.support.kernels import kernel


class Messages(Protocol):
    """How an input is sent: by a layer that is the first of its stream, or by an input of a graph."""

    @property
    def input_scale(self) -> float:
        """S_x, messages per unit."""

    @property
    def message_max(self) -> int:
        """Largest magnitude."""


def quantise_input(values: Array, layer: Messages) -> tuple[IntArray, int]:
    """Round an input to integer messages, half to even, and clip them to what a message holds.

    Args:
        values: Any shape, in units of the model's input.
        layer: Who has S_x, messages per unit, and the largest message: the first layer of the stream.

    Returns:
        Messages of the same shape, range [−message_max, message_max], and how many of them were clipped.

    Raises:
        RangeError: If a value is not finite.
    """
    messages = np.empty(values.shape, np.int32)
    return messages, quantise_into(values, layer, messages)


def quantise_into(values: Array, layer: Messages, messages: IntArray) -> int:
    """The same into messages of the same shape, which lie in one piece.

    Returns:
        How many messages were clipped.

    Raises:
        RangeError: If a value is not finite.
    """
    single = values.dtype == np.float32
    numbers = np.ascontiguousarray(values, np.float32 if single else np.float64)
    clipped = _quantise(numbers.reshape(-1), layer.input_scale, layer.message_max, messages.reshape(-1))
    if clipped and not np.isfinite(numbers).all():  # what is not finite is clipped
        raise RangeError("the input holds values that are not finite", remedy="Look for NaN in what is fed")
    return clipped


@kernel
def _quantise(values: Array, input_scale: float, largest: int, messages: IntArray) -> int:
    """See `quantise_into`; scaled and rounded in float64."""
    clipped = 0
    for i in range(len(values)):
        rounded = np.rint(np.float64(values[i]) * input_scale)
        kept = -largest if rounded < -largest else largest if rounded > largest else rounded
        clipped += kept != rounded
        messages[i] = kept
    return clipped
