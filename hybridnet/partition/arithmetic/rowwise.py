"""Operations that treat each row of a traced tensor by itself, as operations on frames."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.arrangement import Arranged, MisalignedError, from_rows, moved, rows
from hybridnet.partition.arithmetic.elementwise import ADD
from hybridnet.partition.arithmetic.frames import Frame
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.linear import Linear
from hybridnet.partition.arithmetic.pointwise import pointwise
from hybridnet.partition.arithmetic.tape import Const, Operation


def linear_map(
    linear: Linear, x: Arranged, operation: Operation, lifted: Lifted, bias: Const | None = None
) -> Arranged:
    """A linear map of each row, and a bias per channel added."""
    if not isinstance(x, Arranged):
        raise MisalignedError

    def make(frame: Frame, shape: tuple[int, ...]) -> Frame:
        return lifted.table.make("linear", linear, (frame,), shape, operation.path, what=type(linear).__name__)

    y = per_row(make, x, operation, lifted, linear.apply)
    if bias is None:
        return y
    return pointwise(
        ADD, [y, Const(bias.value.reshape(-1, *[1] * (len(y.shape) - 2)), bias.key)], operation.path, lifted
    )


def per_row(
    make: Callable[[Frame, tuple[int, ...]], Frame],
    x: Arranged,
    operation: Operation,
    lifted: Lifted,
    apply: Callable[[Tensor], Tensor] | None = None,
) -> Arranged:
    """What becomes of a tensor (N, …) if each of its rows does by itself."""
    taken = rows(x, lifted.table, operation.path)
    if not set(taken.frames) <= set(x.frames):
        lifted.note_parts(x, from_rows(taken.frames, taken.label, lifted.table))
    shape = operation.shapes[0][1:] if apply is None else tuple(apply(torch.zeros(1, *x.shape[1:]).double()).shape[1:])
    return from_rows([make(frame, shape) for frame in taken.frames], taken.label, lifted.table)


def reshaped(x: Arranged, shape: tuple[int, ...], lifted: Lifted) -> Arranged:
    """A traced tensor in another shape."""
    return moved([x], lambda tables: tables[0].reshape(shape), lifted.table)[0]
