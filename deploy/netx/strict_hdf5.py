"""HDF5 read with suspicion: of a file that anyone may have written, take what is expected, or say what is not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np

from hybridnet.errors import BundleError
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import EXPORT_AGAIN, AnyFile, content_of

INTEGER, INT32, FLOAT = np.dtype("<i8"), np.dtype("<i4"), np.dtype("<f8")

MAX_TEXT = 128
"""Characters of a name."""

MAX_BYTES = 2**30
"""The largest `.net` file."""


@contextmanager
def bundle_errors(path: AnyFile, remedy: str = EXPORT_AGAIN) -> Iterator[None]:
    """Tell every way in which reading can fail as one BundleError with the file's name.

    Args:
        path: The file.
        remedy: What to do about it; empty for what an error says itself.
    """
    try:
        yield
    except BundleError as error:
        raise BundleError(error.what, where=f"{path}{error.where}", remedy=remedy or error.remedy) from error
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError) as error:
        # h5py tells a damaged file by any of these; ConfigError, of a value out of range, is a ValueError too.
        raise BundleError(f"not a usable .net file: {error}", where=path, remedy=remedy) from error


def opened(file: AnyFile) -> h5py.File:
    """HDF5 in memory: what is read is what was read, whatever becomes of the file, and nothing beside it.

    Raises:
        OSError: If it cannot be read, or is no HDF5.
    """
    return h5py.File(io.BytesIO(content_of(file, MAX_BYTES)), "r")


class StrictGroup:
    """An HDF5 group with exactly the members that it should have, each of exactly the type that it should have.

    Links, filters and storage in other files are refused; a shape is compared before anything is allocated. All methods
    raise BundleError.
    """

    def __init__(self, group: h5py.Group, members: set[str]) -> None:
        self._group = group
        self.where: str = group.name
        if set(group) != members:
            raise BundleError(f"members that differ: {sorted(set(group) ^ members)}", where=self.where)

    def group(self, key: str, members: set[str]) -> StrictGroup:
        """A sub-group with these members."""
        return StrictGroup(self._member(key, h5py.Group), members)

    def count(self, key: str) -> int:
        """How many members a sub-group has."""
        return len(self._member(key, h5py.Group))

    def array(self, key: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """An array of finite numbers of exactly this type and shape."""
        dataset = self._dataset(key)
        if dataset.dtype != dtype or dataset.shape != shape:
            found = f"{dataset.dtype} {dataset.shape}"
            raise BundleError(f"{key} is {found} and should be {dtype} {shape}", where=self.where)
        values: Array = np.asarray(dataset[()]).astype(dtype.newbyteorder("="))
        if not np.isfinite(values).all():
            raise BundleError(f"{key} is not finite", where=self.where)
        return values

    def integers(self, key: str, count: int, low: int, high: int) -> list[int]:
        """Integers, each in [low, high]."""
        return [_bounded(value, low, high, f"{self.where}/{key}") for value in self.array(key, INTEGER, (count,))]

    def integer(self, key: str, low: int, high: int) -> int:
        """One integer in [low, high]."""
        return _bounded(self.array(key, INTEGER, ()), low, high, f"{self.where}/{key}")

    def number(self, key: str) -> float:
        """One finite float."""
        return float(self.array(key, FLOAT, ()))

    def text(self, key: str) -> str:
        """A short ASCII text."""
        dataset = self._dataset(key)
        if dataset.dtype.kind != "S" or dataset.dtype.itemsize > MAX_TEXT or dataset.shape != (1,):
            raise BundleError(f"{key} is not a short text", where=self.where)
        return str(dataset[0].decode("ascii"))

    def expect(self, key: str, text: str) -> None:
        """Check a text."""
        if self.text(key) != text:
            raise BundleError(f"{key} is {self.text(key)!r} and should be {text!r}", where=self.where)

    def _dataset(self, key: str) -> h5py.Dataset:
        dataset = self._member(key, h5py.Dataset)
        # Filters, other files and virtual datasets would let a small file demand much, or read what it does not hold.
        if dataset.chunks or dataset.external or dataset.is_virtual:
            raise BundleError(f"{key} is not stored plainly", where=self.where)
        return dataset

    def _member(self, key: str, kind: type) -> Any:
        if not isinstance(self._group.get(key, getlink=True), h5py.HardLink):
            raise BundleError(f"{key} is a link", where=self.where)
        member = self._group[key]
        if not isinstance(member, kind):
            raise BundleError(f"{key} is not a {kind.__name__.lower()}", where=self.where)
        return member


def _bounded(value: Any, low: int, high: int, where: str) -> int:
    if not low <= value <= high:
        raise BundleError(f"{value} is not in {low} to {high}", where=where)
    return int(value)
