"""Sums and means: over axes that hold different frames, and within frames."""

from __future__ import annotations

from functools import reduce

import torch

from hybridnet.partition.arithmetic.arrangement import Arranged, MisalignedError, moved, rows
from hybridnet.partition.arithmetic.elementwise import ADD, MULTIPLY
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.linear import Reduction
from hybridnet.partition.arithmetic.pointwise import pointwise
from hybridnet.partition.arithmetic.rowwise import linear_map, reshaped
from hybridnet.partition.arithmetic.tape import Operation


def reduced(operation: Operation, lifted: Lifted, *, mean: bool) -> Arranged:
    """A sum or mean: a linear map within frames, a sum of frames over axes that hold different ones."""
    x, axes, keep = (*lifted.arguments(operation), None, False, None)[:3]
    axes = range(len(x.shape)) if not axes else ([axes] if isinstance(axes, int) else axes)
    left = {axis % len(x.shape) for axis in axes}
    shape = [1 if axis in left else size for axis, size in enumerate(x.shape)]
    count = torch.Size(x.shape).numel() // torch.Size(shape).numel()
    for take in (_over_frames, _within_frames, _over_parts):
        x, left = take(x, left, operation, lifted)
    if left:
        raise MisalignedError
    if mean and count > 1:
        x = pointwise(MULTIPLY, [x, 1.0 / count], operation.path, lifted)
    return x if keep else reshaped(x, operation.shapes[0], lifted)


def _over_frames(x: Arranged, axes: set[int], operation: Operation, lifted: Lifted) -> tuple[Arranged, set[int]]:
    """The sum over those of the axes along which different frames lie, kept with size 1; and the other axes."""
    left: set[int] = set()
    for axis in sorted(axes, reverse=True):
        parts = _split(x, axis, lifted)
        summed = None
        if sum(len(part.frames) for part in parts) == len(x.frames):
            summed = _added(parts, operation.path, lifted)
        x, left = (x, left | {axis}) if summed is None else (summed, left)
    return x, left


def _within_frames(x: Arranged, axes: set[int], operation: Operation, lifted: Lifted) -> tuple[Arranged, set[int]]:
    """The sum over all of the axes as a linear map, if these axes lie within frames."""
    last = len(x.shape) - 1
    rows_of_one = [{(*x.shape[lead:last], 1, x.shape[last])} for lead in (1, 2)]
    if {frame.shape for frame in x.frames} in rows_of_one:  # (C, 1, L) as (C, L)
        wide = reshaped(x, (*x.shape[:last], 1, x.shape[last]), lifted)
        y, left = _within_frames(wide, {axis + (axis == last) for axis in axes}, operation, lifted)
        return (x, axes) if left else (reshaped(y, (*y.shape[:last], y.shape[-1]), lifted), left)
    for lead in range(1, min(axes, default=0) + 1):
        flat = reshaped(x, (-1, *x.shape[lead:]), lifted)
        try:
            taken = rows(flat, lifted.table, operation.path)
        except MisalignedError:
            continue
        if set(taken.frames) <= set(x.frames):
            reduction = Reduction(tuple(sorted(axis - lead + 1 for axis in axes)), True, mean=False)
            y = linear_map(reduction, flat, operation, lifted)
            return reshaped(y, (*x.shape[:lead], *y.shape[1:]), lifted), set()
    return x, axes


def _over_parts(x: Arranged, axes: set[int], operation: Operation, lifted: Lifted) -> tuple[Arranged, set[int]]:
    """The sum over the axes, part by part, whatever lies along them."""
    for axis in sorted(axes, reverse=True):
        summed = _added(_split(x, axis, lifted), operation.path, lifted)
        if summed is None:
            raise MisalignedError
        x = summed
    return x, set()


def _split(x: Arranged, axis: int, lifted: Lifted) -> list[Arranged]:
    return moved([x], lambda tables: list(tables[0].split(1, axis)), lifted.table)


def _added(parts: list[Arranged], path: str, lifted: Lifted) -> Arranged | None:
    """The sum of tensors; None if they do not lie over each other."""
    try:
        return reduce(lambda total, part: pointwise(ADD, [total, part], path, lifted), parts)
    except MisalignedError:
        return None
