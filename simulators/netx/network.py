"""Runs networks of `.net` files as stock netx does on Lava's CPU simulator, bit for bit, without Lava.

Time is Lava's. Step t of what is fed is sent at Lava's time step t + 1, and each synapse holds its sum for a step, so
that a frame reaches layer l, counted from 0 among the layers with synapses, l + 1 steps later (l steps with neurons at
the input: see `latency`). Until then the layer integrates its bias alone, and may spike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from hybridnet.deploy.netx.layers import Conv, CubaNeuron, ForeignNetwork, Layer, Shape
from hybridnet.errors import BackendError, ConfigError, RangeError
from hybridnet.model.neuron import conv_current
from hybridnet.program.layers import FLOAT32_EXACT, FLOAT64_EXACT, ConvGeometry, IntArray
from hybridnet.simulators.netx.lif import integrate
from hybridnet.support.arrays import Array

BLOCK = 2**25
"""Sums that are computed at once: what bounds the memory of their floating-point form."""

CURRENT_WRAP = 2**24
"""Lava's Conv keeps sums in 24 bits and lets them wrap."""

SUM_LIMIT = 2**31 - 2**23
"""From here on Lava's 32-bit arithmetic gives no defined result."""

MAX_MESSAGE_BITS = 24


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What one layer did, as Lava's variables hold it after each time step; arrays (N, T, C, H, W) or (N, T, features).

    Attributes:
        name: The layer's place in the file.
        spikes: Whether it sent a spike, bool.
        u: The current, int32; None if states were not asked for.
        v: The voltage after reset, which is 0 where there was a spike, int32; None likewise.
        wrapped_sums: How many sums of a convolution did not fit 24 bits and wrapped.
        wrapped_currents: How many currents did.
        saturated_voltages: How many voltages were clipped to 24 bits.
    """

    name: str
    spikes: npt.NDArray[np.bool_]
    u: IntArray | None
    v: IntArray | None
    wrapped_sums: int
    wrapped_currents: int
    saturated_voltages: int


class NetxNetwork:
    """A network as netx builds it: `NetxNetwork(read_foreign_net(path)).run(frames)`.

    Args:
        description: What was read from the file.
        input_message_bits: Bits of what is sent to the first synapse; 0 for spikes.
        reset_interval: All neurons' states become zero each so many steps, as netx's argument of this name does.
        reset_offset: At which steps: those with time_step % reset_interval == (reset_offset + 1 + l) % reset_interval,
            time_step counted from 1, for the l-th layer, the neurons of the input being the 0-th if there are any.

    Raises:
        ConfigError: If an argument is out of range.
    """

    def __init__(
        self,
        description: ForeignNetwork,
        *,
        input_message_bits: int = 0,
        reset_interval: int | None = None,
        reset_offset: int = 0,
    ) -> None:
        if not 0 <= input_message_bits <= MAX_MESSAGE_BITS:
            raise ConfigError("input_message_bits", input_message_bits, f"0 to {MAX_MESSAGE_BITS}")
        if input_message_bits and description.input_neuron:
            raise ConfigError("input_message_bits", input_message_bits, "0, since the neurons of the input send spikes")
        if reset_interval is not None and reset_interval < 1:
            raise ConfigError("reset_interval", reset_interval, "1 or more")
        if reset_offset < -1:
            raise ConfigError("reset_offset", reset_offset, "-1 or more")
        self.description = description
        self._message_bits, self._interval, self._offset = input_message_bits, reset_interval or 0, reset_offset

    @property
    def latency(self) -> int:
        """Steps from a frame to what the last layer makes of it; run so many more than there are frames."""
        return len(self.description.layers)

    def run(self, frames: Array, *, steps: int | None = None, record_states: bool = True) -> tuple[LayerTrace, ...]:
        """Run N windows, each from a state of zero.

        Args:
            frames: (N, T, C, H, W) or (N, T, features), integers or bool. Spikes; with `input_message_bits`, integers
                of so many bits beside the sign; with neurons at the input, their bias, up to 16 bits.
            steps: Time steps to run; after the T frames, zeros are fed. By default T.
            record_states: Also return u and v of every step.

        Returns:
            One trace per layer, the neurons of the input first if there are any.

        Raises:
            BackendError: If the frames have another shape or type.
            RangeError: If an input does not fit, or a sum leaves the 32 bits that Lava computes with.
        """
        x = self._checked(frames, steps)
        traces: list[LayerTrace] = []
        neurons = self.description.input_neuron
        if neurons is not None:
            nothing = np.zeros((), np.int32)
            trace = self._integrate(neurons.name, neurons.neuron, x.shape, nothing, x, 0, 0)
            traces.append(trace if record_states else _without_states(trace))
            x = trace.spikes
        for layer in self.description.layers:
            sums, wrapped = synapse(x, layer)
            bias = layer.bias.reshape(-1, *[1] * (sums.ndim - 3))
            trace = self._integrate(layer.name, layer.neuron, sums.shape, sums, bias, wrapped, len(traces))
            traces.append(trace if record_states else _without_states(trace))
            x = trace.spikes
        return tuple(traces)

    def _integrate(
        self, name: str, neuron: CubaNeuron, shape: Shape, sums: Array, bias: Array, wrapped_sums: int, place: int
    ) -> LayerTrace:
        phase = (self._offset + 1 + place) % self._interval if self._interval else 0
        spikes, u, v, wrapped, saturated = integrate(name, neuron, shape, sums, bias, self._interval, phase)
        return LayerTrace(name, spikes, u, v, wrapped_sums, wrapped, saturated)

    def _checked(self, frames: Array, steps: int | None) -> Array:
        """The frames in the network's own shape, with zeros for the steps behind them."""
        shape, spikes = self.description.input_shape, False
        flat = (math.prod(shape),)
        if frames.dtype.kind not in "iub" or frames.ndim < 3 or frames.shape[2:] not in (shape, flat):
            raise BackendError(
                f"frames of {frames.dtype} {frames.shape}; should be integers (N, T, *{shape})",
                remedy="Integers of a model's input come from your own scaling, or from InputNeuron.transform",
            )
        steps = frames.shape[1] if steps is None else steps
        if not len(frames) or steps < max(1, frames.shape[1]):
            raise BackendError(f"frames {frames.shape} for {steps} steps: no frames, or more than steps")
        low, high = int(frames.min(initial=0)), int(frames.max(initial=0))
        if self.description.input_neuron is not None:
            limits, what = (-(2**15), 2**15 - 1), "the bias of an input neuron"
        elif self._message_bits:
            limits, what = (1 - 2**self._message_bits, 2**self._message_bits - 1), "a message"
        else:
            limits, what, spikes = (0, 1), "a spike", True
        if low < limits[0] or high > limits[1]:
            raise RangeError(
                f"input from {low} to {high}; {what} is {limits[0]} to {limits[1]}",
                remedy="Pass input_message_bits for graded input" if spikes else "",
            )
        x = np.zeros((len(frames), steps, *shape), bool if spikes else np.int32)
        x[:, : frames.shape[1]] = frames.reshape(*frames.shape[:2], *shape)
        return x


def synapse(x: Array, layer: Layer) -> tuple[IntArray, int]:
    """What a layer's neurons get at each step, and how many sums wrapped.

    Args:
        x: (N, T, *layer.input_shape), spikes or integers.
        layer: The layer.

    Returns:
        int32 (N, T, *layer.output_shape): at step t the synapse's sum of step t - 1, and zeros at step 0.

    Raises:
        RangeError: If a sum does not fit Lava's 32 bits.
    """
    sums = np.zeros((*x.shape[:2], *layer.output_shape), np.int32)
    before = x[:, :-1]
    if isinstance(layer, Conv):
        sums[:, 1:], wrapped = _wrap(_products(before, layer.weight, layer.name, layer.geometry))
        return sums, wrapped
    features = before.reshape(*before.shape[:2], -1)
    if layer.delay is None:
        sums[:, 1:] = _products(features, layer.weight, layer.name) >> layer.shift
        return sums, 0
    for delay in np.unique(layer.delay):
        # Lava shifts, and rounds, the sum of each delay by itself.
        rows = np.flatnonzero((layer.delay == delay).any(1))
        weight = np.where(layer.delay[rows] == delay, layer.weight[rows], 0)
        in_time = features[:, : max(0, features.shape[1] - delay)]
        sums[:, 1 + delay :, rows] += _products(in_time, weight, layer.name) >> layer.shift
    return sums, 0


def _wrap(exact: IntArray) -> tuple[IntArray, int]:
    """Sums in 24 bits, and how many did not fit them."""
    half = CURRENT_WRAP // 2
    if -half <= exact.min(initial=0) and exact.max(initial=0) < half:
        return exact, 0
    wrapped = ((exact + half) & (CURRENT_WRAP - 1)) - half
    return wrapped, int(np.count_nonzero(wrapped != exact))


@torch.no_grad()
def _products(x: Array, weight: IntArray, name: str, geometry: ConvGeometry | None = None) -> IntArray:
    """The weights times each frame of x, (N, T, …), as a convolution or a matrix: exact integers.

    No partial sum can exceed max|x|·Σ|w| of its output, so a floating-point type that holds all integers up to that
    bound rounds nothing, in whatever order it adds.
    """
    frames = x.reshape(-1, *x.shape[2:])
    largest = int(x.any() if x.dtype == bool else np.abs(x).max(initial=0))
    bound = largest * int(np.abs(weight).reshape(len(weight), -1).sum(1, dtype=np.int64).max())
    if bound >= FLOAT64_EXACT or largest * int(np.abs(weight).max()) >= 2**31:
        raise _too_large(name, bound)
    dtype = torch.float32 if bound < FLOAT32_EXACT else torch.float64
    shape = geometry.output_shape if geometry else weight.shape[:1]
    kernel = torch.from_numpy(weight).to(dtype)
    sums = np.empty((len(frames), *shape), np.int32)
    block = max(1, BLOCK // math.prod(shape))
    for start in range(0, len(frames), block):
        some = torch.from_numpy(frames[start : start + block]).to(dtype)
        exact = some @ kernel.T if geometry is None else conv_current(some, kernel, None, geometry)
        if bound >= SUM_LIMIT and float(exact.abs().max()) >= SUM_LIMIT:
            raise _too_large(name, int(exact.abs().max()))
        sums[start : start + block] = exact.numpy()
    return sums.reshape(*x.shape[:2], *shape)


def _too_large(name: str, value: int) -> RangeError:
    return RangeError(
        f"sums of input up to {value} leave the 32 bits that Lava computes with",
        where=name,
        remedy="Feed smaller integers",
    )


def _without_states(trace: LayerTrace) -> LayerTrace:
    return replace(trace, u=None, v=None)
