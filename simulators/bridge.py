"""The bridge at run time: potentials in, model units out, everything checked and counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.errors import RangeError
from hybridnet.partition.bridge import BridgeTensor, FixedEncoding
from hybridnet.simulators.interface import Array

FLOAT_BITS = 32


@dataclass(frozen=True, eq=False)
class Crossing:
    """What arrived: per tensor, u[T] in model units, float32 (N, C, H, W), and the bytes that it took."""

    potentials: dict[str, npt.NDArray[np.float32]]
    bytes: dict[str, int]


@dataclass(frozen=True)
class Bridge:
    """Carries potentials from the spiking half to the ANN half.

    Attributes:
        tensors: What crosses.
        encodings: Scale and bits of each tensor in fixed point.
    """

    tensors: tuple[BridgeTensor, ...]
    encodings: Mapping[str, FixedEncoding]

    def cross(self, readouts: Mapping[str, Array], *, fixed_point: bool) -> Crossing:
        """Convert read-outs, (N, C, H, W) by layer, to model units.

        Raises:
            RangeError: If a read-out has another shape, another type, or does not fit its bits.
        """
        potentials: dict[str, npt.NDArray[np.float32]] = {}
        sizes: dict[str, int] = {}
        for tensor in self.tensors:
            values = readouts[tensor.layer]
            if values.shape[1:] != tensor.shape:
                raise RangeError(f"has shape {values.shape[1:]}, not {tensor.shape}", where=f"bridge {tensor.name}")
            encoding = self.encodings[tensor.name]
            potentials[tensor.name] = (
                _decode(values, encoding, tensor.name) if fixed_point else values.astype(np.float32)
            )
            sizes[tensor.name] = math.ceil(values.size * (encoding.bits if fixed_point else FLOAT_BITS) / 8)
        return Crossing(potentials, sizes)


def _decode(values: Array, encoding: FixedEncoding, name: str) -> npt.NDArray[np.float32]:
    """Return to model units: u = v / scale."""
    if not np.issubdtype(values.dtype, np.integer):
        raise RangeError(f"holds {values.dtype}, not integers", where=f"bridge {name}")
    limit = 2 ** (encoding.bits - 1) - 1
    if np.abs(values).max(initial=0) > limit:
        raise RangeError(f"holds potentials beyond ±{limit}, {encoding.bits} bits", where=f"bridge {name}")
    return (values / encoding.scale).astype(np.float32)
