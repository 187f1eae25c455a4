"""How the operations of layers act on frames: linear maps, poolings, norms, and sums over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from hybridnet.partition.arithmetic.arrangement import Arranged, MisalignedError, from_rows, moved, rows
from hybridnet.partition.arithmetic.elementwise import ADD, MASKED_FILL, MULTIPLY
from hybridnet.partition.arithmetic.frames import Frame, made_by
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.linear import (
    AdaptivePool,
    AveragePool,
    Convolution,
    Dense,
    MaximumPool,
    Nearest,
    pair,
)
from hybridnet.partition.arithmetic.pointwise import pointwise
from hybridnet.partition.arithmetic.reduction_rules import reduced
from hybridnet.partition.arithmetic.rowwise import linear_map, per_row, reshaped
from hybridnet.partition.arithmetic.tape import Const, Operation, leaves

Rule = Callable[[Operation, Lifted], list[Any]]


def _convolution(operation: Operation, lifted: Lifted) -> list[Any]:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = lifted.arguments(operation)
    if weight.value.ndim == 3:  # a convolution along (N, C, L) is one of (N, C, 1, L) with a kernel of height 1
        flat = reshaped(x, (*x.shape[:-1], 1, x.shape[-1]), lifted)
        lifted.note_same(x, flat)
        lengths = (1, *stride), (0, *padding), (1, *dilation), transposed, (0, *output_padding), groups
        row = Const(weight.value.unsqueeze(2), f"{weight.key} as a row")
        return [
            reshaped(linear_map(Convolution(row, *lengths), flat, operation, lifted, bias), operation.shapes[0], lifted)
        ]
    if weight.value.ndim != 4:
        raise MisalignedError
    sizes = (pair(stride), pair(padding), pair(dilation), transposed, pair(output_padding), groups)
    return [linear_map(Convolution(weight, *sizes), x, operation, lifted, bias)]


def _addmm(operation: Operation, lifted: Lifted) -> list[Any]:
    bias, x, weight = lifted.arguments(operation)
    if operation.kwargs:
        raise MisalignedError
    return [_dense(_constant(weight), x, operation, lifted, _constant(bias))]


def _mm(operation: Operation, lifted: Lifted) -> list[Any]:
    x, weight = lifted.arguments(operation)
    return [_dense(_constant(weight), x, operation, lifted)]


def _dense(weight: Const, x: Arranged, operation: Operation, lifted: Lifted, bias: Const | None = None) -> Arranged:
    """A dense layer of each row; if each row is a position of a map, a convolution of 1×1 of the whole map."""
    maps = _positions(x, operation, lifted)
    if maps is None:
        return linear_map(Dense(weight), x, operation, lifted, bias)
    kernel = Const(weight.value.t()[:, :, None, None].contiguous(), f"{weight.key} at each position")
    y = linear_map(Convolution(kernel, (1, 1), (0, 0), (1, 1), False, (0, 0), 1), maps, operation, lifted, bias)
    return _as_rows(y, operation.shapes[0], lifted)


def _positions(x: Arranged, operation: Operation, lifted: Lifted) -> Arranged | None:
    """The maps (N, C, H, W) whose positions, (N·H·W, C), are the rows of a tensor; None if these are not such.

    Frames are such maps already; only what the host computes position by position, (P, C), is turned to (C, 1, P).
    """
    shapes = {frame.shape for frame in x.frames}
    shape = shapes.pop() if len(shapes) == 1 else ()
    by_host = len(shape) == 2 and all(made_by(frame).kind == "host" for frame in x.frames)
    channels, *size = (shape[1], 1, shape[0]) if by_host else shape or (0,)
    count = torch.Size(size).numel()
    if channels != x.shape[-1] or len(size) != 2 or count < 2 or x.shape[0] % count:
        return None
    split = moved([x], lambda t: t[0].reshape(-1, count, channels).transpose(1, 2), lifted.table)[0]
    maps = reshaped(split, (-1, channels, *size), lifted)
    try:
        taken = rows(maps, lifted.table, operation.path)
    except MisalignedError:
        return None
    if not by_host and not set(taken.frames) <= set(x.frames):
        return None
    whole = from_rows(taken.frames, taken.label, lifted.table)
    lifted.note_parts(x, _as_rows(whole, x.shape, lifted))
    return whole


def _as_rows(maps: Arranged, shape: tuple[int, ...], lifted: Lifted) -> Arranged:
    """Positions (N·H·W, C) of maps (N, C, H, W)."""
    return moved([maps], lambda t: t[0].flatten(2).transpose(1, 2).reshape(shape), lifted.table)[0]


def _average(operation: Operation, lifted: Lifted) -> list[Any]:
    x, kernel, stride, padding, ceil_mode, include, divisor = _filled(operation, lifted, ([], 0, False, True, None))
    pool = AveragePool(pair(kernel), pair(stride, kernel), pair(padding), ceil_mode, include, divisor)
    return [linear_map(pool, x, operation, lifted)]


def _adaptive(operation: Operation, lifted: Lifted) -> list[Any]:
    x, size = lifted.arguments(operation)
    size = pair(size)
    if x.shape[-2] % size[0] == 0 and x.shape[-1] % size[1] == 0:
        kernel = x.shape[-2] // size[0], x.shape[-1] // size[1]
        return [linear_map(AveragePool(kernel, kernel), x, operation, lifted)]
    return [linear_map(AdaptivePool(size), x, operation, lifted)]


def _nearest(operation: Operation, lifted: Lifted) -> list[Any]:
    x, size = lifted.arguments(operation)[:2]
    if size[0] % x.shape[-2] or size[1] % x.shape[-1]:
        raise MisalignedError
    return [linear_map(Nearest((size[0] // x.shape[-2], size[1] // x.shape[-1])), x, operation, lifted)]


def _maximum(operation: Operation, lifted: Lifted) -> list[Any]:
    x, kernel, stride, padding, dilation, ceil_mode = _filled(operation, lifted, ([], 0, 1, False))
    pool = MaximumPool(pair(kernel), pair(stride, kernel), pair(padding), pair(dilation), ceil_mode)

    def make(frame: Frame, shape: tuple[int, ...]) -> Frame:
        return lifted.table.make("maximum", pool, (frame,), shape, operation.path, what="max_pool2d")

    return [per_row(make, x, operation, lifted), None]


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


def _by_row_on_host(operation: Operation, lifted: Lifted) -> list[Any]:
    """Anything else that treats each example by itself: per step, it is the host's."""
    x, *others = lifted.arguments(operation)
    if any(isinstance(v, Arranged) for v in leaves(others)):
        raise MisalignedError
    settings = " ".join(v.key if isinstance(v, Const) else repr(v) for v in leaves((others, operation.kwargs)))
    name = str(operation.function.overloadpacket.__name__)  # type: ignore[attr-defined]

    def make(frame: Frame, shape: tuple[int, ...]) -> Frame:
        return lifted.table.make("host", name, (frame,), shape, operation.path, what=name, key=f"{name} {settings}")

    return [per_row(make, x, operation, lifted), *[None] * (len(operation.results) - 1)]


def _filled(operation: Operation, lifted: Lifted, defaults: tuple[Any, ...]) -> list[Any]:
    """The arguments (tensor, kernel, …) with the defaults of those that are not given."""
    given = lifted.arguments(operation)
    return [*given, *defaults[len(given) - 2 :]]


def _constant(value: Any) -> Const:
    if not isinstance(value, Const):
        raise MisalignedError
    return value


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
    "sum": lambda operation, lifted: [reduced(operation, lifted, mean=False)],
    "mean": lambda operation, lifted: [reduced(operation, lifted, mean=True)],
}
RULES |= dict.fromkeys(
    (
        "native_group_norm", "native_layer_norm", "upsample_bilinear2d", "upsample_bicubic2d", "adaptive_max_pool2d",
        "reflection_pad2d", "replication_pad2d",
    ),
    _by_row_on_host,
)  # fmt: skip
"""Per operation, what it makes of the frames of its first argument; anything else is the host's."""
