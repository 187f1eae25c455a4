"""What the chip's registers hold, and the geometry of a convolution: the ground that every program stands on.

Widths and shifts are those of Loihi 2's CUBA neuron in Lava: 24-bit states, 8-bit weights, 12-bit decays, 17-bit
thresholds and 13-bit biases, which are shifted left by 6 bits (`hybridnet.program.fixed_graph` has the equations).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hybridnet.errors import ConfigError

POTENTIAL_SHIFT = 6
"""Thresholds and biases are shifted left by 6 bits, and synaptic input by at most as many (Loihi 1 LIF convention, kept
by Lava, whose stock LIF knows no other shift)."""

POTENTIAL_MAX = 2**23 - 1
"""Potentials are 24-bit signed and saturate at ±POTENTIAL_MAX."""

DECAY_ONE = 4096
"""Decays are 12-bit fractions: λ = (DECAY_ONE − dv) / DECAY_ONE."""

THRESHOLD_MAX = 2**17 - 1
"""Threshold mantissas are 17-bit."""

BIAS_MAX = 2**12 - 1
"""Bias mantissas are 13-bit signed."""

WEIGHT_MIN, WEIGHT_MAX = -256, 254
"""Weights of mixed sign are even integers of 8 significant bits, as lava-dl's netx writes them."""

MESSAGE_MAX = 127
"""Analog input is int8, symmetric, unless calibration chose finer messages."""

PAYLOAD_MAX = 2**15 - 1
"""A graded message carries 16 bits, signed."""

INPUT_MAX = 2**23 - 1
"""A sum of synaptic input is 24-bit signed and wraps beyond; messages finer than int8 never reach it."""

FLOAT32_EXACT, FLOAT64_EXACT = 2**24, 2**53
"""Up to here every integer is exact in float32, and in float64."""

Reset = Literal["soft", "hard"]
Pair = tuple[int, int]
IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float64]


MAX_NUMBER, MAX_MAP = 2**20, 2**27
"""The largest number of a geometry, and most values of a map with the border that is added to it, or cut off."""


def check_pairs(kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Refuse numbers that a convolution of no kind has.

    Raises:
        ConfigError: If one is too small or too large.
    """
    for name, pair, least in (
        ("kernel", kernel, 1), ("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)
    ):  # fmt: skip
        if min(pair) < least or max(pair) > MAX_NUMBER:
            raise ConfigError(name, pair, f"{least} to {MAX_NUMBER}")


def check_map(name: str, channels: int, sides: Pair) -> None:
    """Refuse a map that no memory should be asked for.

    Raises:
        ConfigError: In the name of what is too large.
    """
    if channels * sides[0] * sides[1] > MAX_MAP:
        raise ConfigError(name, (channels, *sides), f"at most {MAX_MAP} values with their border")


@dataclass(frozen=True)
class ConvGeometry:
    """Shape of a 2-D convolution. Pairs are (vertical, horizontal)."""

    input_shape: tuple[int, int, int]
    """(C, H, W)"""
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        check_pairs(self.kernel, self.stride, self.padding, self.dilation)
        if self.groups < 1 or self.input_shape[0] % self.groups or self.out_channels % self.groups:
            raise ConfigError("groups", self.groups, f"divisors of {self.input_shape[0]} and {self.out_channels}")
        if min(self.output_shape) < 1:
            raise ConfigError("input_shape", self.input_shape, "large enough for the kernel")
        channels, height, width = self.input_shape
        check_map("input_shape", channels, (height + 2 * self.padding[0], width + 2 * self.padding[1]))

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the layer's neurons."""
        height, width = (
            (size + 2 * p - d * (k - 1) - 1) // s + 1
            for size, k, s, p, d in zip(
                self.input_shape[1:], self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return self.out_channels, height, width

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(C_out, C_in/groups, kh, kw), torch's layout."""
        return self.out_channels, self.input_shape[0] // self.groups, *self.kernel


def check_range(name: str, values: npt.NDArray[np.generic], low: int, high: int) -> None:
    """Refuse what are not integers of a range.

    Raises:
        ConfigError: In the name of the field.
    """
    if not np.issubdtype(values.dtype, np.integer):
        raise ConfigError(f"{name}.dtype", values.dtype, "integers")
    if values.min() < low or values.max() > high:
        raise ConfigError(name, f"{values.min()}..{values.max()}", f"{low}..{high}")
