"""The bridge: the tensors that the partition cuts, as they travel from the spiking half to the ANN half."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.spiking import AnyGraph, layer_shapes, scales_of

POTENTIAL_BITS = 24

BridgeKind = Literal["potential", "potentials", "spikes", "last_spikes", "spike_count"]
"""What of a layer crosses: u[T] before any reset; u of every step; o of every step; o[T]; or how often each neuron
fired."""


FLOAT_BITS = 32
"""The bits of a potential that the float spiking half hands on."""

ANALOG: tuple[BridgeKind, ...] = ("potential", "potentials")
"""Kinds that are no events."""

SUFFIX: Mapping[BridgeKind, str] = {
    "potential": "u", "potentials": "u_steps", "spikes": "spikes", "last_spikes": "last", "spike_count": "count",
}  # fmt: skip


def bridge_name(layer: str, kind: BridgeKind) -> str:
    """What the input of the ANN half is called that brings this of a layer."""
    called = re.sub(r"\W", "_", layer)
    return f"{called}_{SUFFIX[kind]}"


@dataclass(frozen=True)
class BridgeTensor:
    """What crosses of one layer. The ANN half takes all kinds as float32, potentials in model units.

    Attributes:
        name: Input of the ANN half that it feeds.
        layer: Layer of the spiking program that it comes from.
        shape: Per view: (C, H, W), or (T, C, H, W) of what crosses of all steps.
        kind: Spikes are 0 or 1, a spike count is 0 to T.
    """

    name: str
    layer: str
    shape: tuple[int, ...]
    kind: BridgeKind = "potential"

    @property
    def elements(self) -> int:
        """Numbers per view."""
        return math.prod(self.shape)

    def bytes(self, bits: int, views: int = 1) -> int:
        """What the views take if each number takes so many bits."""
        return math.ceil(views * self.elements * bits / 8)


@dataclass(frozen=True)
class FixedEncoding:
    """How one bridge tensor is carried in fixed point: integers of `bits` bits; value = integer / scale.

    Potentials are signed: v itself in 24 bits, or v shifted right by `shift`, rounded, in fewer. Spikes, 1 bit, and
    spike counts are unsigned, and their scale is 1.
    """

    scale: float
    bits: int = POTENTIAL_BITS
    shift: int = 0

    @property
    def largest(self) -> int:
        """The largest magnitude of a potential that its bits hold."""
        return 2 ** (self.bits - 1) - 1

    def shifted(self, shift: int, bits: int) -> FixedEncoding:
        """This encoding of whole potentials, in fewer bits."""
        return FixedEncoding(self.scale / 2**shift, bits, shift)


def fixed_encodings(bridge: tuple[BridgeTensor, ...], program: FixedGraph) -> dict[str, FixedEncoding]:
    """The encoding of each bridge tensor, by name."""
    scales = scales_of(program)
    return {tensor.name: _encoding(tensor.kind, scales[tensor.layer], program.steps) for tensor in bridge}


def crossing_of(bridge: tuple[BridgeTensor, ...], program: AnyGraph) -> tuple[BridgeTensor, ...]:
    """The same tensors as they cross from a program of other sizes or steps."""
    shapes = layer_shapes(program)

    def shape(tensor: BridgeTensor) -> tuple[int, ...]:
        steps = (program.steps,) if tensor.kind in ("potentials", "spikes") else ()
        return (*steps, *shapes[tensor.layer])

    return tuple(dataclasses.replace(tensor, shape=shape(tensor)) for tensor in bridge)


def event_bits(kind: BridgeKind, steps: int) -> int | None:
    """Bits of a spike, or of a count of 0 to `steps` spikes; None for a potential, whose bits are its arithmetic's."""
    return {"spikes": 1, "last_spikes": 1, "spike_count": steps.bit_length()}.get(kind)


def _encoding(kind: BridgeKind, potential_scale: float, steps: int) -> FixedEncoding:
    bits = event_bits(kind, steps)
    return FixedEncoding(potential_scale) if bits is None else FixedEncoding(1.0, bits)
