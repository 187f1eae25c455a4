"""How the operations of layers act on frames: linear maps, poolings, norms, and sums over time."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.arrangement import Arranged, MisalignedError, from_rows, moved, rows
from hybridnet.partition.arithmetic.elementwise import ADD, MASKED_FILL, MULTIPLY
from hybridnet.partition.arithmetic.frames import Frame
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.linear import (
    AdaptivePool,
    AveragePool,
    Convolution,
    Dense,
    Linear,
    MaximumPool,
    Nearest,
    Reduction,
    pair,
)
from hybridnet.partition.arithmetic.pointwise import pointwise
from hybridnet.partition.arithmetic.tape import Const, Operation, leaves

Rule = Callable[[Operation, Lifted], list[Any]]


def _convolution(operation: Operation, lifted: Lifted) -> list[Any]:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = lifted.arguments(operation)
    if weight.value.ndim == 3:  # a convolution along (N, C, L) is one of (N, C, 1, L) with a kernel of height 1
        flat = _reshaped(x, (*x.shape[:-1], 1, x.shape[-1]), lifted)
        lifted.note_same(x, flat)
        lengths = (1, *stride), (0, *padding), (1, *dilation), transposed, (0, *output_padding), groups
        row = Const(weight.value.unsqueeze(2), f"{weight.key} as a row")
        return [
            _reshaped(_linear(Convolution(row, *lengths), flat, operation, lifted, bias), operation.shapes[0], lifted)
        ]
    if weight.value.ndim != 4:
        raise MisalignedError
    sizes = (pair(stride), pair(padding), pair(dilation), transposed, pair(output_padding), groups)
    return [_linear(Convolution(weight, *sizes), x, operation, lifted, bias)]


def _addmm(operation: Operation, lifted: Lifted) -> list[Any]:
    bias, x, weight = lifted.arguments(operation)
    if operation.kwargs:
        raise MisalignedError
    return [_linear(Dense(_constant(weight)), x, operation, lifted, _constant(bias))]


def _mm(operation: Operation, lifted: Lifted) -> list[Any]:
    x, weight = lifted.arguments(operation)
    return [_linear(Dense(_constant(weight)), x, operation, lifted)]


def _average(operation: Operation, lifted: Lifted) -> list[Any]:
    x, kernel, stride, padding, ceil_mode, include, divisor = _filled(operation, lifted, ([], 0, False, True, None))
    pool = AveragePool(pair(kernel), pair(stride, kernel), pair(padding), ceil_mode, include, divisor)
    return [_linear(pool, x, operation, lifted)]


def _adaptive(operation: Operation, lifted: Lifted) -> list[Any]:
    x, size = lifted.arguments(operation)
    size = pair(size)
    if x.shape[-2] % size[0] == 0 and x.shape[-1] % size[1] == 0:
        kernel = x.shape[-2] // size[0], x.shape[-1] // size[1]
        return [_linear(AveragePool(kernel, kernel), x, operation, lifted)]
    return [_linear(AdaptivePool(size), x, operation, lifted)]


def _nearest(operation: Operation, lifted: Lifted) -> list[Any]:
    x, size = lifted.arguments(operation)[:2]
    if size[0] % x.shape[-2] or size[1] % x.shape[-1]:
        raise MisalignedError
    return [_linear(Nearest((size[0] // x.shape[-2], size[1] // x.shape[-1])), x, operation, lifted)]


def _maximum(operation: Operation, lifted: Lifted) -> list[Any]:
    x, kernel, stride, padding, dilation, ceil_mode = _filled(operation, lifted, ([], 0, 1, False))
    pool = MaximumPool(pair(kernel), pair(stride, kernel), pair(padding), pair(dilation), ceil_mode)

    def make(frame: Frame, shape: tuple[int, ...]) -> Frame:
        return lifted.table.make("maximum", pool, (frame,), shape, operation.path, what="max_pool2d")

    return [_per_row(make, x, operation, lifted), None]


def _norm(operation: Operation, lifted: Lifted) -> list[Any]:
    """A batch norm in evaluation is a factor and an offset per channel, on the second axis."""
    x, weight, bias, mean, variance, training, _, eps = lifted.arguments(operation)
    if training or mean is None or len(x.shape) < 2:
        raise MisalignedError
    factor = (variance.value.double() + eps).rsqrt()
    factor = factor if weight is None else factor * weight.value.double()
    offset = -mean.value.double() * factor
    offset = offset if bias is None else offset + bias.value.double()
    per_channel = [Const(v.reshape(-1, *[1] * (len(x.shape) - 2)), "norm") for v in (factor, offset)]
    scaled = pointwise(MULTIPLY, [x, per_channel[0]], operation.path, lifted)
    return [pointwise(ADD, [scaled, per_channel[1]], operation.path, lifted), None, None]


def _masked(operation: Operation, lifted: Lifted) -> list[Any]:
    """`x[mask] = number`, the one way of writing where data tells that is element by element."""
    x, (mask,), value, *accumulate = lifted.arguments(operation)
    if any(accumulate) or not isinstance(value, Const) or value.value.numel() != 1 or mask.shape != x.shape:
        raise MisalignedError
    return [pointwise(MASKED_FILL, [x, mask, value.value.item()], operation.path, lifted)]


def _sum(operation: Operation, lifted: Lifted) -> list[Any]:
    return [_reduced(operation, lifted, mean=False)]


def _mean(operation: Operation, lifted: Lifted) -> list[Any]:
    return [_reduced(operation, lifted, mean=True)]


def _reduced(operation: Operation, lifted: Lifted, *, mean: bool) -> Arranged:
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
    return x if keep else _reshaped(x, operation.shapes[0], lifted)


def _over_frames(x: Arranged, axes: set[int], operation: Operation, lifted: Lifted) -> tuple[Arranged, set[int]]:
    """The sum over those of the axes along which different frames lie, kept with size 1; and the other axes."""
    left = set()
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
        wide = _reshaped(x, (*x.shape[:last], 1, x.shape[last]), lifted)
        y, left = _within_frames(wide, {axis + (axis == last) for axis in axes}, operation, lifted)
        return (x, axes) if left else (_reshaped(y, (*y.shape[:last], y.shape[-1]), lifted), left)
    for lead in range(1, min(axes, default=0) + 1):
        flat = _reshaped(x, (-1, *x.shape[lead:]), lifted)
        try:
            taken = rows(flat, lifted.table, operation.path)
        except MisalignedError:
            continue
        if set(taken.frames) <= set(x.frames):
            reduction = Reduction(tuple(sorted(axis - lead + 1 for axis in axes)), True, mean=False)
            y = _linear(reduction, flat, operation, lifted)
            return _reshaped(y, (*x.shape[:lead], *y.shape[1:]), lifted), set()
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


def _reshaped(x: Arranged, shape: tuple[int, ...], lifted: Lifted) -> Arranged:
    return moved([x], lambda tables: tables[0].reshape(shape), lifted.table)[0]


def _by_row_on_host(operation: Operation, lifted: Lifted) -> list[Any]:
    """Anything else that treats each example by itself: per step, it is the host's."""
    x, *others = lifted.arguments(operation)
    if any(isinstance(v, Arranged) for v in leaves(others)):
        raise MisalignedError
    settings = " ".join(v.key if isinstance(v, Const) else repr(v) for v in leaves((others, operation.kwargs)))
    name = str(operation.function.overloadpacket.__name__)  # type: ignore[attr-defined]

    def make(frame: Frame, shape: tuple[int, ...]) -> Frame:
        return lifted.table.make("host", name, (frame,), shape, operation.path, what=name, key=f"{name} {settings}")

    return [_per_row(make, x, operation, lifted), *[None] * (len(operation.results) - 1)]


def _filled(operation: Operation, lifted: Lifted, defaults: tuple[Any, ...]) -> list[Any]:
    """The arguments (tensor, kernel, …) with the defaults of those that are not given."""
    given = lifted.arguments(operation)
    return [*given, *defaults[len(given) - 2 :]]


def _constant(value: Any) -> Const:
    if not isinstance(value, Const):
        raise MisalignedError
    return value


def _linear(linear: Linear, x: Arranged, operation: Operation, lifted: Lifted, bias: Const | None = None) -> Arranged:
    """A linear map of each row, and a bias per channel added."""
    if not isinstance(x, Arranged):
        raise MisalignedError

    def make(frame: Frame, shape: tuple[int, ...]) -> Frame:
        return lifted.table.make("linear", linear, (frame,), shape, operation.path, what=type(linear).__name__)

    y = _per_row(make, x, operation, lifted, linear.apply)
    if bias is None:
        return y
    return pointwise(
        ADD, [y, Const(bias.value.reshape(-1, *[1] * (len(y.shape) - 2)), bias.key)], operation.path, lifted
    )


def _per_row(
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


RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "addmm": _addmm,
    "mm": _mm,
    "avg_pool2d": _average,
    "_adaptive_avg_pool2d": _adaptive,
    "upsample_nearest2d": _nearest,
    "max_pool2d_with_indices": _maximum,
    "native_batch_norm": _norm,
    "index_put": _masked,
    "sum": _sum,
    "mean": _mean,
}
RULES |= dict.fromkeys(
    (
        "native_group_norm", "native_layer_norm", "upsample_bilinear2d", "upsample_bicubic2d", "adaptive_max_pool2d",
        "reflection_pad2d", "replication_pad2d",
    ),
    _by_row_on_host,
)  # fmt: skip
"""Per operation, what it makes of the frames of its first argument; anything else is the host's."""
