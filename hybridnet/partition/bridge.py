"""The bridge: the tensors that the partition cuts, as they travel from the spiking half to the ANN half."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybridnet.partition.program import FixedProgram

POTENTIAL_BITS = 24


@dataclass(frozen=True)
class BridgeTensor:
    """Membrane potentials u[T] of one layer.

    Attributes:
        name: Input of the ANN half that it feeds.
        layer: Layer of the spiking program that it comes from.
        shape: (C, H, W) per view.
    """

    name: str
    layer: str
    shape: tuple[int, int, int]

    @property
    def elements(self) -> int:
        """Potentials per view."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class FixedEncoding:
    """How one bridge tensor is carried in fixed point: potentials v of `bits` bits; u = v / scale."""

    scale: float
    bits: int = POTENTIAL_BITS


def fixed_encodings(bridge: tuple[BridgeTensor, ...], program: FixedProgram) -> dict[str, FixedEncoding]:
    """The encoding of each bridge tensor, by name."""
    scales = {layer.name: layer.potential_scale for layer in program.layers()}
    return {tensor.name: FixedEncoding(scales[tensor.layer]) for tensor in bridge}
