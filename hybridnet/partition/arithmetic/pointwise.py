"""Operations that combine traced tensors element by element, as operations on frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.arrangement import (
    FRAME,
    Arranged,
    MisalignedError,
    align,
    arranged,
    from_rows,
    moved,
    rows,
)
from hybridnet.partition.arithmetic.elementwise import Elementwise
from hybridnet.partition.arithmetic.frames import Frame, coefficient
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.tape import Const


def pointwise(op: Elementwise, arguments: list[Any], path: str, lifted: Lifted) -> Arranged:
    """The tensor that `op` makes of arguments: tensors, constants and numbers.

    Raises:
        MisalignedError: If frames do not lie exactly over each other.
    """
    table = lifted.table
    values = [a for a in arguments if isinstance(a, Arranged)]
    shape = torch.broadcast_shapes(
        *(a.shape if isinstance(a, Arranged) else a.value.shape for a in arguments if isinstance(a, Arranged | Const))
    )
    first = values[0].whole()
    if first is not None and first.batched and all(v.labels is None and v.shape == shape for v in values):
        args = tuple(a.whole() if isinstance(a, Arranged) else _meeting(a, None, shape, shape) for a in arguments)
        made = table.make("elementwise", op, args, first.shape, path, key=op.key, what=op.name)
        return Arranged((made,), tuple(shape))
    try:
        groups = list(align(values, shape, table))
    except MisalignedError:
        values = [_by_rows(v, shape, lifted, path) for v in values]
        groups = list(align(values, shape, table))
    frames: list[Frame] = []
    labels = torch.full((torch.Size(shape).numel(),), -1)
    for group in groups:
        rest = next(f.shape for f in group.frames if f is not None)
        met = iter(group.frames)
        args = tuple(
            (next(met) or 0.0) if isinstance(a, Arranged) else _meeting(a, group.order, shape, (table.batch, *rest))
            for a in arguments
        )
        labels[group.order] = (len(frames) << FRAME) | torch.arange(len(group.order))
        frames.append(table.make("elementwise", op, args, rest, path, key=op.key, what=op.name))
    return arranged(frames, labels.reshape(shape), table)


def _by_rows(value: Arranged, shape: tuple[int, ...], lifted: Lifted, path: str) -> Arranged:
    """A tensor whose parts of frames are made frames, if its first axis, or its first two, are examples."""
    if value.shape != shape:
        raise MisalignedError
    for axes in (1, 2):
        flat = moved([value], lambda t, axes=axes: t[0].reshape(-1, *shape[axes:]), lifted.table)[0]
        try:
            taken = rows(flat, lifted.table, path)
        except MisalignedError:
            continue
        whole = from_rows(taken.frames, taken.label, lifted.table)
        made = moved([whole], lambda t: t[0].reshape(shape), lifted.table)[0]
        lifted.note_parts(value, made)
        return made
    raise MisalignedError


def _meeting(argument: Any, order: Tensor | None, shape: tuple[int, ...], full: tuple[int, ...]) -> Any:
    """A constant as it meets a frame of shape `full`: a number, or a coefficient in the frame's axes."""
    if not isinstance(argument, Const):
        return tuple(argument) if isinstance(argument, list) else argument
    value = argument.value
    if value.numel() == 1 or bool((value == value.flatten()[0]).all()):
        return value.flatten()[0].item()
    value = value.expand(shape)
    value = value if order is None else value.flatten()[order].reshape(full)
    if bool((value != value[:1]).any()):
        raise MisalignedError  # it differs between the examples of a batch
    return coefficient(value[0])
