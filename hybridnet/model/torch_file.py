"""Files of `torch.save`, read with suspicion: no code, no more memory than the file is large, one kind of error."""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from hybridnet.errors import CheckpointError, HybridNetError
from hybridnet.support.sealed import AnyFile, content_of
from hybridnet.support.text import said

MAX_BYTES = 2**33
"""Of a file: a model of two billion parameters."""

MAX_DESCRIPTION = 2**25
"""Bytes of everything but the numbers of tensors."""

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in STORAGES),
}
"""What the pickle within may name: dicts, and tensors that lie in the file. Others could ask for more memory."""


def read_torch(file: AnyFile, remedy: str) -> object:
    """Plain values and tensors, never unpickling code.

    Every tensor is dense, on the CPU, and has numbers of its own in the file.

    Raises:
        CheckpointError: If it is anything else, or cannot be read.
    """
    try:
        content = content_of(file, MAX_BYTES)
        _check_archive(content)
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        _check_tensors(found, len(content))
    except FileNotFoundError as error:
        raise CheckpointError("no such file", where=file, remedy=remedy) from error
    except HybridNetError as error:
        raise CheckpointError(error.what, where=file, remedy=remedy) from error
    except Exception as error:  # zipfile, pickle and torch tell a damaged file by any exception
        reason = getattr(error, "strerror", None) or said(error)
        raise CheckpointError(
            f"cannot be read as a file of torch.save ({reason})", where=file, remedy=remedy
        ) from error
    return found


def _check_archive(content: bytes) -> None:
    """An archive that is not compressed, of one pickle that names nothing but tensors."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CheckpointError("is compressed, which torch.save never does")
        if sum(entry.file_size for entry in entries) > len(content):
            raise CheckpointError("declares more than it holds")
        pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].file_size > MAX_DESCRIPTION:
            raise CheckpointError("holds no description of its tensors, or more than one, or a very long one")
        for operation, argument, _ in pickletools.genops(archive.read(pickles[0])):
            named = operation.name in ("GLOBAL", "INST")
            if (named and argument not in GLOBALS) or operation.name in ("STACK_GLOBAL", "LONG4"):
                raise CheckpointError(f"asks for {str(argument)[:80]!r}, which is no part of a tensor")


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
