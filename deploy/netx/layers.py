"""A network as stock netx builds it from a `.net` file: what each synapse and neuron really computes with.

Per time step, with integers (Lava's fixed-point `LIF`; tz truncates toward zero, wrap24 and sat24 keep to 24 bits):

    u ← wrap24( tz((4096 − iDecay)·u / 4096) + (a << 6) )                         the current
    v ← sat24( tz((4096 − vDecay)·v / 4096) + u + (bias << 6) )                   the voltage
    spike = v > vThMant << 6, and then v ← 0

where a is the synapse's output of the step before. Source: `lava.proc.lif.models`, `lava.lib.dl.netx.hdf5`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.program.layers import ConvGeometry, IntArray

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class CubaNeuron:
    """Leaky integrate-and-fire with a filtered current; each parameter is (1,) or one per channel, (C,).

    Attributes:
        current_decay: iDecay, 0 (never) to 4096 (at once).
        voltage_decay: vDecay, likewise.
        threshold: vThMant, 0 to 2^18 − 1.
    """

    current_decay: IntArray
    voltage_decay: IntArray
    threshold: IntArray


@dataclass(frozen=True, eq=False)
class InputNeuron:
    """Neurons that turn what is fed to the network into spikes. They have no synapse: the input is their bias.

    Attributes:
        name: Its place in the file, for example `/layer/0`.
        shape: (C, H, W) or (features,).
        weight: What the caller multiplies the input with, by netx's convention.
        bias: What the caller adds then.
        neuron: How they integrate.
    """

    name: str
    shape: Shape
    weight: int
    bias: int
    neuron: CubaNeuron

    def transform(self, values: npt.NDArray[np.generic]) -> IntArray:
        """What to feed for `values` of any shape, in the units of the model's own input: integers, cut."""
        return (values * self.weight + self.bias).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution and its neurons.

    Attributes:
        name: Its place in the file.
        weight: (C_out, C_in/groups, kh, kw), used as they are, in however many bits.
        bias: (C_out,).
    """

    name: str
    geometry: ConvGeometry
    weight: IntArray
    bias: IntArray
    neuron: CubaNeuron

    @property
    def input_shape(self) -> Shape:
        """(C, H, W)."""
        return self.geometry.input_shape

    @property
    def output_shape(self) -> Shape:
        """(C, H, W)."""
        return self.geometry.output_shape


@dataclass(frozen=True, eq=False)
class Dense:
    """A dense layer and its neurons.

    Attributes:
        name: Its place in the file.
        input_shape: (features,) or, flattened in this order, (C, H, W).
        weight: (out, in), what the synapse stores (`hybridnet.deploy.netx.weights`).
        shift: Bits that sums of weights are shifted right by, rounding down.
        delay: Steps that each synapse delays beyond the one that all do, (out, in); or None.
        bias: (out,).
    """

    name: str
    input_shape: Shape
    weight: IntArray
    shift: int
    delay: IntArray | None
    bias: IntArray
    neuron: CubaNeuron

    @property
    def output_shape(self) -> Shape:
        """(features,)."""
        return self.weight.shape[:1]


Layer = Conv | Dense


@dataclass(frozen=True, eq=False)
class ForeignNetwork:
    """What a `.net` file describes.

    Attributes:
        input_shape: (C, H, W) or (features,) of what is fed to the network.
        input_neuron: Neurons that encode the input as spikes, if the file has them.
        layers: In order, each fed by the spikes of the one before.
        notes: What netx ignores or changes of what the file says, a line each, with the layer.
    """

    input_shape: Shape
    input_neuron: InputNeuron | None
    layers: tuple[Layer, ...]
    notes: tuple[str, ...]
