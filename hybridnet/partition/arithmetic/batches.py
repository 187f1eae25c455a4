"""Any batch: a tape of two examples beside one of three tells which numbers and constants grow with the batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.tape import Const, Operation, Ref, Tape

FEW, MORE = 2, 3
"""Examples of the two tapes."""


@dataclass(frozen=True)
class Size:
    """The number factor·B."""

    factor: int


@dataclass(frozen=True)
class Spread:
    """A constant that is the same for each example.

    Attributes:
        value: It with one example, whose axes of `shape` that hold a `Size` have size 1.
    """

    value: Const
    shape: tuple[int | Size, ...]


def beside(tape: Tape, wide: Tape) -> dict[Operation, Operation]:
    """Each operation of a tape of `FEW` examples with the same of a tape of `MORE`.

    Raises:
        PartitionError: If the model runs other operations for other batches.
    """
    pairs = dict(zip(tape.operations, wide.operations, strict=False))
    for one, other in pairs.items():
        if (one.function, one.results, one.path) != (other.function, other.results, other.path):
            raise _differs(f"{one.name} becomes {other.name}", one.path)
    if len(tape.operations) != len(wide.operations):
        raise _differs("it runs more operations", "")
    return pairs


def freed(operation: Operation, wide: Operation) -> Operation:
    """The operation for any batch: `Size` and `Spread` stand for what grows with it.

    Raises:
        PartitionError: If something changes with the batch in another way.
    """
    args = free(operation.args, wide.args, operation.path)
    return replace(operation, args=args, kwargs=free(dict(operation.kwargs), dict(wide.kwargs), operation.path))


def free(one: Any, other: Any, path: str) -> Any:
    """A value of the tape of `FEW` examples for any batch, by that of the tape of `MORE`."""
    if isinstance(one, dict):
        return {key: free(value, other[key], path) for key, value in one.items()}
    if isinstance(one, list | tuple) and len(one) == len(other):
        made = [free(a, b, path) for a, b in zip(one, other, strict=True)]
        return made if isinstance(one, list) else tuple(made)
    if isinstance(one, Ref) or (isinstance(one, Const) and isinstance(other, Const) and one.key == other.key):
        return one
    if isinstance(one, Const):
        return _spread(one, other.value, path)
    if one == other:
        return one
    if isinstance(one, int) and isinstance(other, int):
        return _size(one, other, path)
    raise _differs(f"{one} becomes {other}", path)


def _size(one: int, other: int, path: str) -> int | Size:
    if one == other:
        return one
    if one * MORE != other * FEW or one % FEW:
        raise _differs(f"{one} becomes {other}", path)
    return Size(one // FEW)


def _spread(one: Const, other: Tensor, path: str) -> Spread:
    few, more = one.value, other
    if few.ndim != more.ndim:
        raise _differs("a constant has other axes", path)
    shape = tuple(_size(a, b, path) for a, b in zip(few.shape, more.shape, strict=True))
    for axis, size in enumerate(shape):
        if isinstance(size, Size):
            few, rest, more, others = (part for x in (few, more) for part in (x.narrow(axis, 0, 1), x))
            if not bool((rest == few).all()) or not bool((others == more).all()):
                raise _differs("a constant has other numbers", path)
    if not torch.equal(few, more):
        raise _differs("a constant has other numbers", path)
    return Spread(Const(few.contiguous(), f"one example of {one.key}"), shape)


def _differs(found: str, path: str) -> PartitionError:
    return PartitionError(
        f"what it computes for one view depends on how many there are: {found}",
        where=path or "the model's forward", remedy="Take sizes from the tensors, and the same constants for each view",
    )  # fmt: skip
