"""The spiking program as a graph, in the chip's integers; the float twin is `hybridnet.program.graph`.

Inputs arrive as messages, integers m = clip(round(S_x·x)); spikes are 0 or 1. Each step of a population computes, with
tz truncating toward zero and sat24 clipping to ±(2²³ − 1),

    a[t] = tz((4096 − dc)·c[t−1] / 4096) + Σ_g (syn_g(m_g[t − d_g]) << s_g)
    c[t] = sat24(a[t])
    v[t] = sat24( tz((4096 − dv)·v[t−1] / 4096) + a[t] + (b << 6) − (r << 6)·o[t−1] )        soft reset
    v[t] = sat24( tz((4096 − dv)·v[t−1]·(1 − o[t−1]) / 4096) + a[t] + (b << 6) )             hard reset
    o[t] = v[t] > vth << 6, or never

Decays, shifts, thresholds and biases are those of Loihi's CUBA neuron and of Lava's `LIF`: 12-bit decays of the
magnitude, 17-bit thresholds, 13-bit biases, a weight exponent of s_g − 6 per group. A current is kept in 24 bits from
step to step. Lava's `LIF` wraps it there; here it saturates, and is counted: short of that the two agree. A neuron
without synaptic current, dc = 4096, keeps nothing, and its a[t] is a sum as wide as it needs to be.

One scale per population turns v and c back into model units, u = v / S; what joins there agrees on it, since the scale
of a group's weights follows: S_w = S / (2^s · S_x), with S_x = 1 for spikes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybridnet.errors import ConfigError
from hybridnet.program.graph import (
    Geometry,
    Graph,
    Shape,
    check_bias,
    check_per_channel,
    check_weight,
    label,
)
from hybridnet.program.layers import (
    BIAS_MAX,
    DECAY_ONE,
    INPUT_MAX,
    MESSAGE_MAX,
    PAYLOAD_MAX,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    ConvGeometry,
    IntArray,
    Reset,
    check_range,
)

WEIGHT_BITS = 8
"""Significant bits of the chip's weights of mixed sign: even integers from WEIGHT_MIN to WEIGHT_MAX."""

WEIGHT_BITS_MAX = 24
"""The most that weights on paper have: sums of more would not fit a current."""


def largest_weight(bits: int) -> int:
    """The largest even integer of so many significant bits, WEIGHT_MAX of the chip's 8."""
    return int(2**bits - 2)


@dataclass(frozen=True)
class FixedInput:
    """What is fed to the program, as messages.

    Attributes:
        name: The input of the model.
        shape: (C, H, W) of one step.
        still: Whether it has no time axis: the same message arrives at each step.
        input_scale: S_x > 0, messages per unit of the input.
        message_max: Largest |message|, 1 to PAYLOAD_MAX; inputs beyond it are clipped.
    """

    name: str
    shape: Shape
    still: bool = False
    input_scale: float = 1.0
    message_max: int = MESSAGE_MAX

    def __post_init__(self) -> None:
        check_range(f"{self.name}.message_max", np.asarray(self.message_max), 1, PAYLOAD_MAX)
        if not 0 < self.input_scale < np.inf:
            raise ConfigError(f"{self.name}.input_scale", self.input_scale, "greater than 0")


@dataclass(frozen=True, eq=False)
class FixedPopulation:
    """Neurons of one equation, in integers.

    Attributes:
        name: Unique in its program, also among inputs.
        shape: (C, H, W).
        decay: dv, range [0, DECAY_ONE], () or (C,); λ ≈ 1 − dv / DECAY_ONE.
        current_decay: dc, likewise; DECAY_ONE for neurons without synaptic current.
        threshold: Mantissa, range [1, THRESHOLD_MAX], () or (C,), shifted by POTENTIAL_SHIFT; None never fires.
        reset: What a spike does to the potential.
        reset_amount: r of the soft reset, range ±THRESHOLD_MAX, () or (C,), shifted by POTENTIAL_SHIFT.
        bias: (C,) or (C, H, W), range ±BIAS_MAX, shifted by POTENTIAL_SHIFT.
        scale: S > 0: v / S and c / S are in model units.
    """

    name: str
    shape: Shape
    decay: IntArray
    current_decay: IntArray
    threshold: IntArray | None
    reset: Reset
    reset_amount: IntArray
    bias: IntArray
    scale: float

    def __post_init__(self) -> None:
        check_per_channel(self, "decay", "current_decay", "reset_amount", "threshold")
        check_bias(self)
        check_range(f"{self.name}.decay", self.decay, 0, DECAY_ONE)
        check_range(f"{self.name}.current_decay", self.current_decay, 0, DECAY_ONE)
        check_range(f"{self.name}.reset_amount", self.reset_amount, -THRESHOLD_MAX, THRESHOLD_MAX)
        check_range(f"{self.name}.bias", self.bias, -BIAS_MAX, BIAS_MAX)
        if self.threshold is not None:
            check_range(f"{self.name}.threshold", self.threshold, 1, THRESHOLD_MAX)
        if not 0 < self.scale < np.inf:
            raise ConfigError(f"{self.name}.scale", self.scale, "greater than 0")

    @property
    def keeps_current(self) -> bool:
        """Whether a synaptic current outlives its step in some channel."""
        return bool((self.current_decay < DECAY_ONE).any())


@dataclass(frozen=True, eq=False)
class FixedSynapse:
    """A synapse group, in integers.

    Attributes:
        source: Name of an input or of a population.
        target: Name of a population.
        geometry: Which inputs reach which neurons.
        weight: In torch's layout of its kind, range [−2^weight_bits, 2^weight_bits − 2], even.
        delay: Steps that pass on the way, d ≥ 0.
        shift: s, range [0, POTENTIAL_SHIFT], of the group's sum.
        weight_bits: Significant bits of the even weights, range ±2^bits; more than 8 exist on paper alone.
    """

    source: str
    target: str
    geometry: Geometry
    weight: IntArray
    delay: int = 0
    shift: int = POTENTIAL_SHIFT
    weight_bits: int = WEIGHT_BITS

    def __post_init__(self) -> None:
        check_weight(self)
        check_range(f"{label(self)}.weight_bits", np.asarray(self.weight_bits), 1, WEIGHT_BITS_MAX)
        check_range(f"{label(self)}.weight", self.weight, -(2**self.weight_bits), largest_weight(self.weight_bits))
        check_range(f"{label(self)}.shift", np.asarray(self.shift), 0, POTENTIAL_SHIFT)

    def largest_sum(self, largest_input: int) -> int:
        """max|x|·Σ|w| of the largest output channel, before the shift: no partial sum of the group exceeds it."""
        magnitudes = np.abs(self.weight.astype(np.int64))
        if isinstance(self.geometry, ConvGeometry):
            return largest_input * int(magnitudes.sum((1, 2, 3)).max())
        by_group = magnitudes.reshape(self.geometry.groups, -1, *magnitudes.shape[1:])
        return largest_input * int(by_group.sum((1, 3, 4)).max())


class FixedGraph(Graph[FixedInput, FixedPopulation, FixedSynapse]):
    """The spiking half, in the chip's integers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for synapse in self.synapses:
            largest = self.largest_input(synapse)
            if largest > MESSAGE_MAX and (bound := synapse.largest_sum(largest)) > INPUT_MAX:
                raise ConfigError(f"{synapse.source}.message_max", largest, f"less: {bound} > {INPUT_MAX}, 24 bits")

    def largest_input(self, synapse: FixedSynapse) -> int:
        """Largest |x| that a group gets: the largest message of an input, or 1, a spike."""
        return {node.name: node.message_max for node in self.inputs}.get(synapse.source, 1)

    def largest_arriving(self, population: str) -> int:
        """What the groups of a population add up to, shifted, is no larger."""
        return sum(g.largest_sum(self.largest_input(g)) << g.shift for g in self.onto(population))
