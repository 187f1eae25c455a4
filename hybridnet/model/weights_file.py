"""Files of weights in whichever form: torch.save, safetensors, or an archive of torch.export, read with suspicion.

No code runs, nothing is unpickled but what `hybridnet.model.torch_file` allows, and sizes are compared with what the
file holds before anything is allocated.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from math import prod

import torch
from safetensors.torch import load
from torch import Tensor

from hybridnet.errors import CheckpointError
from hybridnet.model.torch_file import MAX_BYTES, MAX_DESCRIPTION, stored, told_of, unpacked
from hybridnet.support.kinds import EXPORTED_NAMES
from hybridnet.support.plain import read_json
from hybridnet.support.sealed import AnyFile, content_of

WEIGHTS, CONFIG = "data/weights/", "_weights_config.json"
"""Where an archive of torch.export has its weights, and how the name of the file ends that describes them."""

OLD_WEIGHTS = "serialized_state_dict.pt"
"""The same of torch before 2.8: a file of torch.save."""

DTYPES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16, 7: torch.float32,
    8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
"""By the numbers of `torch._export.serde.schema.ScalarType`."""

STRIDED = 7
"""The number of dense tensors in `torch._export.serde.schema.Layout`."""


def read_weights(file: AnyFile) -> object:
    """Plain values and dense tensors on the CPU, in whatever dicts the file has; told by content, not by name.

    Raises:
        CheckpointError: If it holds anything else, or cannot be read.
    """
    with told_of(file, "weights"):
        content = content_of(file, MAX_BYTES)
    if content[8:9] == b"{":
        with told_of(file, "a file of safetensors"):
            return _safetensors(content)
    if _is_exported(content):
        with told_of(file, "an archive of torch.export"):
            return _exported(content)
    with told_of(file, "a file of torch.save"):
        return unpacked(content)


def _safetensors(content: bytes) -> dict[str, Tensor]:
    length = int.from_bytes(content[:8], "little")
    if length > min(len(content) - 8, MAX_DESCRIPTION):
        raise CheckpointError(f"declares a description of {length} bytes, more than it holds or than is read")
    return load(content)


def _is_exported(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(name.endswith(EXPORTED_NAMES) for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):  # damaged: who reads it tells
        return False


def _exported(content: bytes) -> dict[str, object]:
    """The weights of each program in an archive of torch.export, by its name; what the program does is not read."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [entry.filename for entry in stored(archive, len(content))]
        found: dict[str, object] = {}
        for name in names:
            folder, is_weights, last = name.rpartition(WEIGHTS)
            if name.rpartition("/")[2] == OLD_WEIGHTS or (is_weights and last.endswith(".pt")):
                found[last.removesuffix(".pt")] = unpacked(archive.read(name))
            elif is_weights and last.endswith(CONFIG):
                config = read_json(archive.read(name), MAX_DESCRIPTION)
                found[last.removesuffix(CONFIG)] = _payloads(archive, folder + WEIGHTS, config["config"])
    if not found:
        raise CheckpointError("is an archive of torch.export that holds no weights")
    return found


def _payloads(archive: zipfile.ZipFile, folder: str, config: Mapping[str, Mapping[str, object]]) -> dict[str, Tensor]:
    """Tensors as views of the numbers that lie in the archive, each of which is read once."""
    numbers: dict[str, bytearray] = {}
    found = {}
    for name, entry in config.items():
        if entry["use_pickle"]:
            raise CheckpointError(f"has {name} pickled, as torch.export does with tensors of a class of their own")
        path = folder + str(entry["path_name"])
        if path not in numbers:
            numbers[path] = bytearray(archive.read(path))
        found[name] = _tensor(name, numbers[path], entry["tensor_meta"])
    return found


def _tensor(name: str, numbers: bytearray, meta: object) -> Tensor:
    if not isinstance(meta, Mapping) or meta["layout"] != STRIDED or meta["dtype"] not in DTYPES:
        raise CheckpointError(f"has {name} in a form that is not read: dense numbers of up to 64 bits alone are")
    dtype = DTYPES[meta["dtype"]]
    shape, strides = ([_number(number) for number in meta[key]] for key in ("sizes", "strides"))
    offset = _number(meta["storage_offset"])
    held = len(numbers) // dtype.itemsize
    if prod(shape) == 0:
        return torch.zeros(shape, dtype=dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last >= held or prod(shape) > held:
        raise CheckpointError(f"has {name} of shape {tuple(shape)} whose numbers it does not hold")
    return torch.frombuffer(numbers, dtype=dtype, count=held).as_strided(shape, strides, offset)


def _number(value: Mapping[str, int]) -> int:
    number = value["as_int"]
    if not isinstance(number, int) or number < 0:
        raise CheckpointError(f"has {number} for a size")
    return number
