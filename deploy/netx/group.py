"""An HDF5 group that somebody else wrote: kinder than `StrictGroup` in types of numbers, as suspicious otherwise."""

from __future__ import annotations

import math
from typing import Any

import h5py
import numpy as np

from hybridnet.deploy.netx.strict_hdf5 import MAX_TEXT, StrictGroup
from hybridnet.errors import BundleError
from hybridnet.program.layers import IntArray

INT31 = 2**31


class ForeignGroup(StrictGroup):
    """A group with the members that it must have, and none that it may not.

    Numbers may be of any type: writers differ, and netx casts what it reads. Links, filters and storage in other files
    are refused, and a size is compared with a limit, and with what the file really stores, before anything is
    allocated. All methods raise BundleError.

    Args:
        group: The HDF5 group.
        required: What it must have.
        optional: What else it may have; None for anything.
        notes: Where `note` writes to.
    """

    def __init__(self, group: h5py.Group, required: set[str], optional: set[str] | None, notes: list[str]) -> None:
        self._present = set(group)
        super().__init__(group, self._present)
        self._notes = notes
        if optional is None:
            optional = self._present
        self.allow(required, optional)

    def allow(self, required: set[str], optional: set[str]) -> None:
        """Check the members."""
        if required - self._present:
            raise BundleError(f"lacks {', '.join(sorted(required - self._present))}", where=self.where)
        unknown = self._present - required - optional
        if unknown:
            raise BundleError(f"holds {', '.join(sorted(unknown))}, whose meaning is unknown here", where=self.where)

    def sub(self, key: str, required: set[str], optional: set[str] | None) -> ForeignGroup:
        """A sub-group."""
        return ForeignGroup(self._member(key, h5py.Group), required, optional, self._notes)

    def has(self, key: str) -> bool:
        """Whether there is a member of this name."""
        return key in self._present

    def is_group(self, key: str) -> bool:
        """Whether the member of this name is a group."""
        return self._group.get(key, getclass=True) is h5py.Group

    def note(self, text: str) -> None:
        """Tell the user something about this group."""
        self._notes.append(f"{self.where}: {text}")

    def text(self, key: str) -> str:
        """A short ASCII text, of fixed length or not, alone or in an array of one."""
        dataset = self._dataset(key)
        is_text = dataset.dtype.kind == "S" or h5py.check_string_dtype(dataset.dtype) is not None
        if not is_text or dataset.shape not in ((), (1,)):
            raise BundleError(f"{key} is not a short text", where=self.where)
        value = np.asarray(dataset[()]).reshape(-1)[0]
        if not isinstance(value, bytes) or len(value) > MAX_TEXT:
            raise BundleError(f"{key} is not a short text", where=self.where)
        return value.decode("ascii")

    def integers(self, key: str, most: int, *, fractions: bool = False) -> IntArray:  # type: ignore[override]
        """Integers of 32 bits, in an array of any shape with at most `most` elements.

        Args:
            key: The name.
            most: The largest number of elements.
            fractions: Allow floats, and cut what lies behind the point, as netx does; a note tells of it.
        """
        dataset = self._dataset(key)
        shape, dtype = dataset.shape, dataset.dtype
        if dtype.kind not in "iub" + "f" * fractions or dtype.itemsize > 8 or shape is None:
            raise BundleError(
                f"{key} is {dtype} and should be {'numbers' if fractions else 'integers'}", where=self.where
            )
        if not 1 <= math.prod(shape) <= most:
            raise BundleError(f"{key} has shape {shape}; allowed: 1 to {most} elements", where=self.where)
        if dataset.id.get_storage_size() < math.prod(shape) * dtype.itemsize:  # a small file may claim much
            raise BundleError(f"{key} is not stored in full", where=self.where)
        values = np.asarray(dataset[()])
        if dtype.kind == "f":
            values = self._whole(key, values)
        if int(values.min()) < -INT31 or int(values.max()) >= INT31:
            raise BundleError(f"{key} does not fit 32 bits", where=self.where)
        return values.astype(np.int32)

    def integer(self, key: str, low: int, high: int) -> int:
        """One integer in [low, high]."""
        value = self.integers(key, 1)
        if value.shape != () or not low <= int(value) <= high:
            raise BundleError(f"{key} is {value} and should be one number in {low} to {high}", where=self.where)
        return int(value)

    def one(self, key: str, default: int) -> int:
        """One number, alone or in an array of one; `default` if there is none."""
        return int(self.integers(key, 1, fractions=True).item()) if self.has(key) else default

    def pair(self, key: str, low: int, high: int) -> tuple[int, int]:
        """One integer for both directions, or two, (vertical, horizontal), each in [low, high]."""
        values = self.integers(key, 2)
        if values.shape not in ((), (2,)) or values.min() < low or values.max() > high:
            raise BundleError(f"{key} is {values.tolist()} and should be in {low} to {high}", where=self.where)
        vertical, horizontal = np.broadcast_to(values, 2).tolist()
        return vertical, horizontal

    def shape(self, key: str, ranks: tuple[int, ...], extent: int, size: int) -> tuple[int, ...]:
        """The shape of a layer: so many numbers, each 1 to `extent`, and their product at most `size`."""
        values = self.integers(key, max(ranks))
        lengths = tuple(values.reshape(-1).tolist())
        if values.ndim != 1 or len(lengths) not in ranks or min(lengths) < 1 or max(lengths) > extent:
            raise BundleError(f"{key} is {values.tolist()}, which is no shape of this layer", where=self.where)
        if math.prod(lengths) > size:
            raise BundleError(f"{key} is {lengths}: more than {size} neurons", where=self.where)
        return lengths

    def expect_integers(self, key: str, wanted: int | tuple[int, ...]) -> None:
        """Check numbers that say again what is known already; they may be missing."""
        if self.has(key) and not np.array_equal(self.integers(key, 3), wanted):
            raise BundleError(f"{key} is {self.integers(key, 3).tolist()} and should be {wanted}", where=self.where)

    def _whole(self, key: str, values: Any) -> Any:
        if not np.isfinite(values).all():
            raise BundleError(f"{key} is not finite", where=self.where)
        whole = np.trunc(values)
        cut = int(np.count_nonzero(whole != values))
        if cut:
            self.note(f"{cut} values of {key} are no integers; what lies behind the point is cut, as netx does")
        return whole
