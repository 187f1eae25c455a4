"""Arrays by name in `.npz` files, read without pickle and with their sizes known before they are allocated."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

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
_REMEDY_ARRAY = "Write it with numpy.save(FILE, array)"


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


LABELS = "labels"
"""Name of the array of a `.npz` file that holds the class of each row, and is no input."""


def read_samples(file: AnyFile) -> tuple[dict[str, Array], Array | None]:
    """Read the rows of a `.npz` file by the model's inputs, and their labels if it holds LABELS.

    Raises:
        ModelError: As `read_arrays`.
    """
    arrays = read_arrays(file)
    labels = arrays.pop(LABELS, None)
    return arrays, labels


def read_array(file: AnyFile) -> Array:
    """Read a `.npy` file without pickle.

    Raises:
        ModelError: If it is missing, damaged, holds anything but numbers, or more than MAX_BYTES.
    """
    try:
        content = content_of(file, MAX_BYTES)
        return _array(io.BytesIO(content), len(content), "it")
    except FileNotFoundError as error:
        raise ModelError("no such file", where=file, remedy=_REMEDY_ARRAY) from error
    except HybridNetError:
        raise
    except Exception as error:  # NumPy's header tells a damaged file by any exception
        raise ModelError(f"is no .npy file of numbers ({said(error)})", where=file, remedy=_REMEDY_ARRAY) from error


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a `.npz` file, whole or not at all."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    with archive.open(entry) as file:
        return _array(file, entry.file_size, entry.filename)


def _array(file: IO[bytes], size: int, name: str) -> Array:
    """What a `.npy` file of so many bytes holds."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, column_major, dtype = header(file)
    if dtype.kind not in NUMBERS:
        raise ValueError(f"{name} holds {dtype}")
    if min(shape, default=0) < 0 or file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} does not hold the {shape} numbers that it declares")
    return np.frombuffer(bytearray(file.read()), dtype).reshape(shape, order="F" if column_major else "C")
