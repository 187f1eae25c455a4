"""Arrays by name in `.npz` files, read without pickle and with their sizes known before they are allocated."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridnet.errors import HybridNetError, ModelError
from hybridnet.support.files import atomic_file
from hybridnet.support.sealed import AnyFile, content_of
from hybridnet.support.text import said

Array = npt.NDArray[Any]

MAX_BYTES = 2**32
"""Most bytes of all arrays of one file together."""

MAX_RATIO, SMALL = 200, 2**26
"""Between what a file declares, if that is more than SMALL, and its size: bombs are packed to a thousandth."""

NUMBERS = "biuf"
"""Kinds of NumPy types that are read: truth values, integers, floats."""

_REMEDY = "Write it with numpy.savez(FILE, name=array, …)"


def read_arrays(file: AnyFile) -> dict[str, Array]:
    """Read all arrays of a `.npz` file by name.

    Raises:
        ModelError: If it is missing, damaged, holds anything but numbers, more than MAX_BYTES, or more than MAX_RATIO
            times its own size.
    """
    try:
        content = content_of(file, MAX_BYTES)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            declared, names = sum(entry.file_size for entry in entries), {entry.filename for entry in entries}
            if declared > min(MAX_BYTES, max(SMALL, MAX_RATIO * len(content))):
                raise ModelError(f"holds {declared} bytes, too many", where=file, remedy="Give fewer views at a time")
            if len(names) < len(entries):
                raise ValueError("a name is there twice")
            return {entry.filename.removesuffix(".npy"): _read(archive, entry) for entry in entries}
    except FileNotFoundError as error:
        raise ModelError("no such file", where=file, remedy=_REMEDY) from error
    except HybridNetError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy's header tell a damaged file by any exception
        raise ModelError(f"is no .npz file of numbers ({said(error)})", where=file, remedy=_REMEDY) from error


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
        if min(shape, default=0) < 0 or file.tell() + math.prod(shape) * dtype.itemsize != entry.file_size:
            raise ValueError(f"{entry.filename} does not hold the {shape} numbers that it declares")
        content = bytearray(file.read())
    return np.frombuffer(content, dtype).reshape(shape, order="F" if column_major else "C")
