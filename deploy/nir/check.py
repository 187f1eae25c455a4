"""Looking at a NIR file before the package `nir` reads it, which follows all links and allocates all it is told."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from hybridnet.errors import BundleError

MAX_FILE_BYTES = 2**30
MAX_DECLARED_BYTES = 2**30
"""Most bytes of all arrays together, unpacked."""
MAX_MEMBERS, MAX_DEPTH = 10_000, 8
MAX_TEXT = 2**14
"""Bytes of a text: a small file can hold one long text that many entries share."""


def check_nir_file(path: Path) -> None:
    """Refuse a file with links, foreign storage, references, or more in it than a spiking half can need.

    Raises:
        BundleError: With what was found.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BundleError(f"is larger than {MAX_FILE_BYTES} bytes", where=path)
        with h5py.File(path, "r") as file:
            _Inspector(path).group(file, 0)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"is no NIR file ({error})", where=path) from error


class _Inspector:
    def __init__(self, path: Path) -> None:
        self._path, self._members, self._bytes = path, 0, 0

    def group(self, group: h5py.Group, depth: int) -> None:
        """Everything below a group; a group that holds itself ends at MAX_DEPTH or MAX_MEMBERS."""
        for key in group:
            where = f"{self._path}: {group.name}/{key}"
            self._members += 1
            if self._members > MAX_MEMBERS or depth > MAX_DEPTH:
                raise BundleError(f"more than {MAX_MEMBERS} members or {MAX_DEPTH} levels", where=where)
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise BundleError("is a link", where=where)
            member = group[key]
            if isinstance(member, h5py.Group):
                self.group(member, depth + 1)
            elif isinstance(member, h5py.Dataset):
                self._dataset(member, where)
            else:
                raise BundleError("is neither group nor array", where=where)

    def _dataset(self, dataset: h5py.Dataset, where: str) -> None:
        if dataset.external or dataset.is_virtual:
            raise BundleError("is stored elsewhere", where=where)
        if h5py.check_string_dtype(dataset.dtype) is not None:
            self._texts(dataset, where)
        elif dataset.dtype.kind not in "biuf":
            raise BundleError(f"is of type {dataset.dtype}", where=where)
        self._bytes += dataset.size * dataset.dtype.itemsize
        if self._bytes > MAX_DECLARED_BYTES:
            raise BundleError(f"more than {MAX_DECLARED_BYTES} bytes in all arrays", where=where)

    def _texts(self, dataset: h5py.Dataset, where: str) -> None:
        if dataset.size > MAX_MEMBERS:
            raise BundleError(f"more than {MAX_MEMBERS} texts", where=where)
        for index in np.ndindex(dataset.shape):
            if len(dataset[index]) > MAX_TEXT:
                raise BundleError(f"a text of more than {MAX_TEXT} bytes", where=where)
