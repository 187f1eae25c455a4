"""What the chip's registers allow a layer's scales to be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hybridnet.program.layers import (
    BIAS_MAX,
    INPUT_MAX,
    MESSAGE_MAX,
    PAYLOAD_MAX,
    POTENTIAL_MAX,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    ConvLIFLayer,
)

SMALL_THRESHOLD = "Its weights or potentials are too large for it; look at them, and at the inputs"
"""What to do where a threshold is less than one unit of its integers."""

HEADROOM = 1.5
"""Potentials and messages may grow by this factor beyond the largest ones that calibration saw."""


@dataclass(frozen=True)
class Registers:
    """The limits of one layer.

    Attributes:
        layer: In float.
        potential_max: Largest |u| that calibration saw, in model units.
        input_max: Largest |x| of an analog input; None behind another layer.
        weight_max: Largest integer weight, WEIGHT_MAX on the chip.
    """

    layer: ConvLIFLayer
    potential_max: float
    input_max: float | None
    weight_max: int

    @property
    def full_weight_scale(self) -> float:
        """S_w at which the largest weight fills its bits."""
        largest = float(np.abs(self.layer.weight).max())
        return self.weight_max / (largest or self.layer.threshold)  # weights that are all zero need no scale

    @property
    def potential_scale(self) -> float:
        """The largest 2^s·S_w·S_x for which potentials, threshold and bias fit their registers."""
        unit = 2**POTENTIAL_SHIFT
        limits = (
            (self.potential_max * HEADROOM, POTENTIAL_MAX),
            (self.layer.threshold, THRESHOLD_MAX * unit),
            (float(np.abs(self.layer.bias).max()), BIAS_MAX * unit),
        )
        return min(limit / value for value, limit in limits if value > 0)

    def input_scale(self, weight_scale: float, shift: int) -> float:
        """The largest S_x for such weights and shift; 1 behind another layer, whatever fits."""
        if self.input_max is None:
            return 1.0
        scale = self.potential_scale / (weight_scale * 2**shift)
        if self.layer.reset == "hard":
            return min(scale, MESSAGE_MAX / self.input_max)
        finest = min(PAYLOAD_MAX, self._largest_message(weight_scale)) / HEADROOM
        return min(scale, max(MESSAGE_MAX, finest) / self.input_max)

    def message_max(self, input_scale: float, fan_in: int, bias: int) -> int:
        """Room for messages: HEADROOM beyond the largest seen, as far as 24 bits of synaptic input allow.

        Args:
            input_scale: S_x.
            fan_in: Σ|w| of the integers, of the largest output channel.
            bias: Largest |b|, in units of the convolution's sum.
        """
        if self.input_max is None or self.layer.reset == "hard":
            return MESSAGE_MAX
        wanted = math.ceil(self.input_max * input_scale * HEADROOM)
        return max(MESSAGE_MAX, min(wanted, PAYLOAD_MAX, (INPUT_MAX - bias) // max(fan_in, 1)))

    def _largest_message(self, weight_scale: float) -> float:
        """Beyond which a sum of synaptic input could leave 24 bits; a bias takes at most 2^18 of it."""
        fan_in = float(np.abs(self.layer.weight).sum(axis=(1, 2, 3)).max()) * weight_scale
        return (INPUT_MAX - (BIAS_MAX << POTENTIAL_SHIFT)) / max(fan_in, 1.0)
