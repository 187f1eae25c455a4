"""Files of `torch.save`, read with suspicion: no code, no more memory than the file is large, one kind of error."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from hybridnet.errors import CheckpointError, HybridNetError
from hybridnet.model.pickled import check_pickle
from hybridnet.support.sealed import AnyFile, content_of
from hybridnet.support.text import said

MAX_BYTES = 2**33
"""The largest file: a model of two billion parameters."""

MAX_DESCRIPTION = 2**25
"""Bytes of everything but the numbers of tensors."""

REWRITE = "Write it with torch.save(model.state_dict(), FILE)"


def read_torch(file: AnyFile, remedy: str) -> object:
    """Plain values and tensors, never unpickling code.

    Raises:
        CheckpointError: If it holds anything else, or cannot be read.
    """
    with told_of(file, "a file of torch.save", remedy):
        return unpacked(content_of(file, MAX_BYTES))


def unpacked(content: bytes) -> object:
    """What a file of torch.save holds: plain values, and dense tensors on the CPU, with all their numbers in it.

    Raises:
        CheckpointError: If it holds anything else.
        Exception: One of any kind, if it is damaged.
    """
    _check_archive(content)
    with warnings.catch_warnings(action="ignore"):  # of a pickle in another protocol than torch's, which may be read
        found: object = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    _check_tensors(found, len(content))
    return found


@contextmanager
def told_of(file: AnyFile, what: str, remedy: str = "") -> Iterator[None]:
    """Turn whatever reading a file raises into one error that names the file, and what it was read as.

    Args:
        file: Named in the error.
        what: What it was read as.
        remedy: What to do, whatever was wrong; if empty, the error's own remedy, or to write the weights anew.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError("no such file", where=file, remedy=remedy or REWRITE) from error
    except HybridNetError as error:
        raise CheckpointError(error.what, where=file, remedy=remedy or error.remedy or REWRITE) from error
    except MemoryError:
        raise
    except Exception as error:  # zipfile, pickle, torch and safetensors tell a damaged file by any exception
        reason = getattr(error, "strerror", None) or said(error)
        raise CheckpointError(f"cannot be read as {what} ({reason})", where=file, remedy=remedy or REWRITE) from error


def stored(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """The entries of an archive of `size` bytes.

    Raises:
        CheckpointError: If they are compressed, or say that they hold more than the file does.
    """
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError("is compressed, which torch never does")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError("declares more than it holds")
    return entries


def _check_archive(content: bytes) -> None:
    """An archive that is not compressed, of one pickle that names nothing but tensors."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any("/code/" in name for name in archive.namelist()):
            remedy = 'Load it with torch.jit.load, and write its state_dict() with torch.save(…, "weights.pt")'
            raise CheckpointError("is a TorchScript program", remedy=remedy)
        entries = stored(archive, len(content))
        pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].file_size > MAX_DESCRIPTION:
            raise CheckpointError("holds no description of its tensors, or more than one, or a very long one")
        check_pickle(archive.read(pickles[0]))


def _check_tensors(found: object, size: int) -> None:
    held: dict[int, int] = {}
    for tensor in _tensors(found):
        if type(tensor) not in (Tensor, torch.nn.Parameter) or tensor.layout != torch.strided or tensor.is_quantized:
            raise CheckpointError("holds a tensor that is not dense")
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        if tensor.device.type != "cpu" or tensor.numel() * tensor.element_size() > storage.nbytes():
            raise CheckpointError(f"has a tensor of shape {tuple(tensor.shape)} whose numbers it does not hold")
    if sum(held.values()) > size:
        raise CheckpointError("has tensors that are larger than the file")


def _tensors(found: object) -> Iterator[Tensor]:
    """All tensors in nested containers; of one that contains itself each once."""
    seen: set[int] = set()
    left = [found]
    while left:
        value = left.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (Mapping, list, tuple, set)) and id(value) not in seen:
            seen.add(id(value))
            left += [*value.keys(), *value.values()] if isinstance(value, Mapping) else [*value]
