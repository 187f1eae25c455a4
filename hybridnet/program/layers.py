"""The spiking program: the neutral middle between the model and every consumer of its spiking half.

A program is a set of *streams* (one per spiking stack), a stream is a list of ConvLIF layers that feed each other, each
step of which computes, in float (DESIGN: paper eq. 3-4)

    u[t] = conv(w, x[t]) + b + λ·u[t−1] − vth·o[t−1],      o[t] = u[t] > vth                       (soft reset)
    u[t] = conv(w, x[t]) + b + λ·u[t−1]·(1 − o[t−1]),      o[t] = u[t] > vth                       (hard reset)

and on the chip, with integers (Loihi 2 shape; tz truncates toward zero, sat24 clips to ±(2²³ − 1))

    v[t] = sat24( tz((4096 − dv)·v[t−1] / 4096) + (conv(w, x[t]) << s) + (b << 6) − (vth << 6)·o[t−1] )
    o[t] = v[t] > vth << 6

(hard reset: v[t−1] is 0 where o[t−1]). s, 0 to 6, aligns the synaptic input with the membrane: Loihi's weight exponent
is s − 6. A smaller shift leaves room for finer messages and weights. u = v / (2^s · S_w · S_x) returns to model
units. State is zero before the first
step of each window. What a layer reads out is u[T], after the last step and before any reset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

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
InputKind = Literal["analog", "spike"]
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


@dataclass(frozen=True, eq=False)
class ConvLIFLayer:
    """One ConvLIF layer in float.

    Attributes:
        name: `<stream>.<index>`, for example `mv.0`.
        weight: (C_out, C_in/groups, kh, kw).
        bias: (C_out,).
        leak: λ, in (0, 1).
        threshold: vth > 0, in model units.
        input_kind: `analog` for the first layer of a stream, `spike` behind another layer.
        read_out: Whether u[T] of this layer crosses the bridge.
    """

    name: str
    geometry: ConvGeometry
    weight: FloatArray
    bias: FloatArray
    leak: float
    threshold: float
    reset: Reset
    input_kind: InputKind
    read_out: bool

    def __post_init__(self) -> None:
        _check_parameters(self.name, self.geometry, self.weight, self.bias)
        if not 0 <= self.leak <= 1:
            raise ConfigError(f"{self.name}.leak", self.leak, "0 to 1")
        if not self.threshold > 0:
            raise ConfigError(f"{self.name}.threshold", self.threshold, "greater than 0")


@dataclass(frozen=True, eq=False)
class FixedConvLIF:
    """One ConvLIF layer in the chip's integers.

    Attributes:
        weight: (C_out, C_in/groups, kh, kw), range [WEIGHT_MIN, WEIGHT_MAX], even.
        bias: (C_out,), range [−BIAS_MAX, BIAS_MAX], shifted by POTENTIAL_SHIFT before it is added.
        decay: dv, range [0, DECAY_ONE]; λ ≈ 1 − dv / DECAY_ONE.
        threshold: Mantissa, range [1, THRESHOLD_MAX]; compared with v after a shift by POTENTIAL_SHIFT.
        weight_scale: S_w, integer weight per unit of weight.
        input_scale: S_x, integer message per unit of input; 1 behind another layer.
        input_shift: s, 0 to POTENTIAL_SHIFT; hard reset, whose neuron is stock LIF, has no other than POTENTIAL_SHIFT.
        message_max: Largest |message| of an analog input, MESSAGE_MAX to PAYLOAD_MAX; inputs beyond it are clipped.
    """

    name: str
    geometry: ConvGeometry
    weight: IntArray
    bias: IntArray
    decay: int
    threshold: int
    reset: Reset
    input_kind: InputKind
    read_out: bool
    weight_scale: float
    input_scale: float
    input_shift: int = POTENTIAL_SHIFT
    message_max: int = MESSAGE_MAX
    weight_min: ClassVar[int] = WEIGHT_MIN
    weight_max: ClassVar[int] = WEIGHT_MAX

    def __post_init__(self) -> None:
        _check_parameters(self.name, self.geometry, self.weight, self.bias)
        check_range(f"{self.name}.weight", self.weight, self.weight_min, self.weight_max)
        check_range(f"{self.name}.bias", self.bias, -BIAS_MAX, BIAS_MAX)
        check_range(f"{self.name}.decay", np.asarray(self.decay), 0, DECAY_ONE)
        check_range(f"{self.name}.threshold", np.asarray(self.threshold), 1, THRESHOLD_MAX)
        lowest = 0 if self.reset == "soft" else POTENTIAL_SHIFT
        check_range(f"{self.name}.input_shift", np.asarray(self.input_shift), lowest, POTENTIAL_SHIFT)
        check_range(f"{self.name}.message_max", np.asarray(self.message_max), MESSAGE_MAX, PAYLOAD_MAX)
        if self.message_max > MESSAGE_MAX and (bound := self.largest_current(self.message_max)) > INPUT_MAX:
            raise ConfigError(f"{self.name}.message_max", self.message_max, f"less: {bound} > {INPUT_MAX}, 24 bits")

    @property
    def potential_scale(self) -> float:
        """2^s · S_w · S_x: v / potential_scale is the membrane potential in model units."""
        return 2.0**self.input_shift * self.weight_scale * self.input_scale

    @property
    def current_bias(self) -> IntArray:
        """B in units of the convolution's sum, (C_out,): the current is (conv(w, x) + current_bias) << s."""
        return self.bias << (POTENTIAL_SHIFT - self.input_shift)

    def largest_current(self, largest_input: int) -> int:
        """max|x|·Σ|w| + |b| of the largest output channel: no partial sum of the convolution exceeds it.

        Args:
            largest_input: max|x|: `message_max` where messages arrive, 1 where spikes do.
        """
        fan_in = np.abs(self.weight).sum(axis=(1, 2, 3), dtype=np.int64)
        return int((largest_input * fan_in + np.abs(self.current_bias)).max())


Layer = TypeVar("Layer", ConvLIFLayer, FixedConvLIF)


@dataclass(frozen=True, eq=False)
class Stream(Generic[Layer]):
    """A stack of layers fed by one input of the model, shape (N, T, C, H, W)."""

    name: str
    input_name: str
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.geometry.output_shape != after.geometry.input_shape:
                raise ConfigError(
                    f"{after.name}.input_shape", after.geometry.input_shape, f"{before.geometry.output_shape}"
                )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one step of the input."""
        return self.layers[0].geometry.input_shape


@dataclass(frozen=True, eq=False)
class Program(Generic[Layer]):
    """The spiking half: all streams, run for `steps` steps per window."""

    streams: tuple[Stream[Layer], ...]
    steps: int

    def layers(self) -> Iterator[Layer]:
        """All layers, stream by stream, in the order in which data flows."""
        for stream in self.streams:
            yield from stream.layers


FloatProgram = Program[ConvLIFLayer]
FixedProgram = Program[FixedConvLIF]


def _check_parameters(
    name: str, geometry: ConvGeometry, weight: npt.NDArray[np.generic], bias: npt.NDArray[np.generic]
) -> None:
    if weight.shape != geometry.weight_shape:
        raise ConfigError(f"{name}.weight.shape", weight.shape, f"{geometry.weight_shape}")
    if bias.shape != (geometry.out_channels,):
        raise ConfigError(f"{name}.bias.shape", bias.shape, f"({geometry.out_channels},)")


def check_range(name: str, values: npt.NDArray[np.generic], low: int, high: int) -> None:
    """Refuse what are not integers of a range.

    Raises:
        ConfigError: In the name of the field.
    """
    if not np.issubdtype(values.dtype, np.integer):
        raise ConfigError(f"{name}.dtype", values.dtype, "integers")
    if values.min() < low or values.max() > high:
        raise ConfigError(name, f"{values.min()}..{values.max()}", f"{low}..{high}")
