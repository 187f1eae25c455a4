"""The bridge at run time: potentials, spikes and spike counts in, model units out, everything checked and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from hybridnet.errors import RangeError
from hybridnet.program.bridge import ANALOG, FLOAT_BITS, BridgeTensor, FixedEncoding
from hybridnet.support.arrays import Array

NO_POTENTIALS: Mapping[str, Array] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Crossing:
    """What arrived.

    Attributes:
        values: Per tensor in model units, float32 (N, …).
        bytes: Per tensor what it took.
        clipped: Per tensor how many potentials saturated, as they did not fit the fewer bits that calibration chose.
    """

    values: dict[str, npt.NDArray[np.float32]]
    bytes: dict[str, int]
    clipped: dict[str, int]


@dataclass(frozen=True)
class Bridge:
    """Carries tensors from the spiking half to the ANN half.

    Attributes:
        tensors: What crosses.
        encodings: Scale and bits of each tensor in fixed point.
    """

    tensors: tuple[BridgeTensor, ...]
    encodings: Mapping[str, FixedEncoding]

    @property
    def needs_all_potentials(self) -> bool:
        """Whether potentials of all steps cross, which a back-end must record."""
        return any(tensor.kind == "potentials" for tensor in self.tensors)

    def cross(
        self,
        readouts: Mapping[str, Array],
        spikes: Mapping[str, Array],
        potentials: Mapping[str, Array] = NO_POTENTIALS,
        *,
        fixed_point: bool,
    ) -> Crossing:
        """Convert what the spiking half reads out to model units.

        Args:
            readouts: u[T] by layer, (N, C, H, W); see `SpikingResult`.
            spikes: o of every step by layer, bool (N, T, C, H, W).
            potentials: u of every step by layer, (N, T, C, H, W), if `needs_all_potentials`.
            fixed_point: Whether potentials are the chip's integers.

        Raises:
            RangeError: If a tensor has another shape, another type, is not finite, or does not fit its bits.
        """
        values: dict[str, npt.NDArray[np.float32]] = {}
        sizes: dict[str, int] = {}
        clipped: dict[str, int] = {}
        for tensor in self.tensors:
            encoding = self.encodings[tensor.name]
            raw = _take(tensor, readouts, spikes, potentials)
            if raw.shape[1:] != tensor.shape:
                raise RangeError(f"has shape {raw.shape[1:]}, not {tensor.shape}", where=f"bridge {tensor.name}")
            in_float = tensor.kind in ANALOG and not fixed_point
            if in_float and not np.isfinite(raw).all():
                raise RangeError(
                    "holds NaN or infinity", where=f"bridge {tensor.name}", remedy="Export the bundle again"
                )
            clipped[tensor.name] = 0
            if not in_float and encoding.shift:
                raw, clipped[tensor.name] = shorten(raw, encoding)
            values[tensor.name] = raw.astype(np.float32) if in_float else _decode(raw, encoding, tensor)
            sizes[tensor.name] = tensor.bytes(FLOAT_BITS if in_float else encoding.bits, len(raw))
        return Crossing(values, sizes, clipped)


def _take(
    tensor: BridgeTensor, readouts: Mapping[str, Array], spikes: Mapping[str, Array], potentials: Mapping[str, Array]
) -> Array:
    """What one tensor consists of, (N, …): u[T], u[1] to u[T], o[1] to o[T], or the sum of these."""
    if tensor.kind == "potentials":
        return potentials[tensor.layer]
    if tensor.kind == "potential":
        return readouts[tensor.layer]
    o = spikes[tensor.layer]
    if o.dtype != np.bool_:
        raise RangeError(f"holds {o.dtype}, not spikes", where=f"bridge {tensor.name}")
    if tensor.kind == "last_spikes":
        return o[:, -1]
    return o if tensor.kind == "spikes" else o.sum(axis=1, dtype=np.int32)


def _decode(values: Array, encoding: FixedEncoding, tensor: BridgeTensor) -> npt.NDArray[np.float32]:
    """Return to model units: potentials u = v / scale, spikes and their counts as they are."""
    if tensor.kind in ("spikes", "last_spikes"):
        return values.astype(np.float32)
    if not np.issubdtype(values.dtype, np.integer):
        raise RangeError(f"holds {values.dtype}, not integers", where=f"bridge {tensor.name}")
    limit = encoding.largest if tensor.kind in ANALOG else 2**encoding.bits - 1
    if np.abs(values).max(initial=0) > limit:
        what = f"potentials beyond ±{limit}" if tensor.kind in ANALOG else f"counts above {limit}"
        raise RangeError(f"holds {what}, {encoding.bits} bits", where=f"bridge {tensor.name}")
    return (values / encoding.scale).astype(np.float32)


def shorten(v: Array, encoding: FixedEncoding) -> tuple[Array, int]:
    """Shift potentials right, rounding half up as an adder and a shifter do, and saturate; also how many saturated."""
    exact = (v.astype(np.int64) + (1 << encoding.shift - 1)) >> encoding.shift
    sent = np.clip(exact, -encoding.largest, encoding.largest)
    return sent, int(np.count_nonzero(sent != exact))
