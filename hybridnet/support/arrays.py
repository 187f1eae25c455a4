"""Arrays by name in `.npz` files, read without pickle and with their sizes known before they are allocated."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridnet.errors import ModelError
from hybridnet.support.files import atomic_file

Array = npt.NDArray[Any]

MAX_BYTES = 2**32
"""Of all arrays of one file together."""

NUMBERS = "biuf"
"""Kinds of NumPy types that are read: truth values, integers, floats."""

_REMEDY = "Write it with numpy.savez(FILE, name=array, …)"


def read_arrays(path: Path) -> dict[str, Array]:
    """Read all arrays of a `.npz` file by name.

    Raises:
        ModelError: If it is missing, damaged, holds anything but numbers, or more than MAX_BYTES.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise ModelError(f"holds more than {MAX_BYTES} bytes", where=path, remedy="Give fewer views at a time")
            return {entry.filename.removesuffix(".npy"): _read(archive, entry) for entry in entries}
    except FileNotFoundError as error:
        raise ModelError("no such file", where=path, remedy=_REMEDY) from error
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"is no .npz file of numbers ({error})", where=path, remedy=_REMEDY) from error


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a `.npz` file, whole or not at all."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, column_major, dtype = header(file)
        if dtype.kind not in NUMBERS:
            raise ValueError(f"{entry.filename} holds {dtype}")
        if file.tell() + math.prod(shape) * dtype.itemsize != entry.file_size:
            raise ValueError(f"{entry.filename} does not hold the {shape} numbers that it declares")
        array: Array = np.frombuffer(bytearray(file.read()), dtype)
    return array.reshape(shape, order="F" if column_major else "C")
