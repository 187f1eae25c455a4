"""Operations that only move elements, and the one input axis along which a model takes steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from hybridnet.partition.arithmetic.tape import Const, Operation, Ref, Tape, leaves

DATA_ARGUMENTS: dict[str, tuple[int, ...]] = {
    "cat": (0,), "stack": (0,), "copy": (0, 1), "index_put": (0, 2), "select_scatter": (0, 1), "slice_scatter": (0, 1),
}  # fmt: skip
"""Which arguments of a move hold elements; of others the first."""

MOVES = frozenset(
    [
        "view",
        "_unsafe_view",
        "reshape",
        "_reshape_alias",
        "transpose",
        "permute",
        "t",
        "select",
        "slice",
        "unbind",
        "split",
        "split_with_sizes",
        "chunk",
        "expand",
        "squeeze",
        "unsqueeze",
        "clone",
        "contiguous",
        "alias",
        "detach",
        "flip",
        "roll",
        "narrow",
        "index_select",
        "index",
        "gather",
        "constant_pad_nd",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "repeat",
        "lift_fresh",
        "movedim",
    ]
) | set(DATA_ARGUMENTS)

ROWWISE = frozenset(
    [
        "convolution",
        "addmm",
        "mm",
        "avg_pool2d",
        "_adaptive_avg_pool2d",
        "max_pool2d_with_indices",
        "upsample_nearest2d",
        "native_batch_norm",
        "upsample_bilinear2d",
        "native_group_norm",
        "adaptive_max_pool2d",
    ]
)
"""Operations that treat each row of their first axis by itself."""


def base_name(operation: Operation) -> str:
    """For example `convolution`."""
    return str(operation.function.overloadpacket.__name__)  # type: ignore[attr-defined]


def is_move(operation: Operation) -> bool:
    """Whether it moves elements and computes nothing; a padding, only if by zeros."""
    name = base_name(operation)
    places = DATA_ARGUMENTS.get(name, (0,))
    if any(isinstance(v, Ref) for i, a in enumerate(operation.args) if i not in places for v in leaves(a)):
        return False  # where elements go depends on data
    if name == "constant_pad_nd":
        return len(operation.args) < 3 or operation.args[2] == 0
    return name in MOVES and not (name == "index_put" and len(operation.args) > 3 and operation.args[3])


def is_cast(operation: Operation) -> bool:
    """Whether it changes the number format alone, to one that holds fractions."""
    return base_name(operation) == "_to_copy" and operation.kwargs.get("dtype", torch.float32).is_floating_point


def is_pointwise(operation: Operation) -> bool:
    """Whether it computes element by element."""
    return torch.Tag.pointwise in operation.function.tags  # type: ignore[attr-defined]


def carried_out(operation: Operation, elements: Mapping[Ref, Tensor]) -> Any:
    """A move carried out on other elements than the model's.

    Raises:
        ValueError: If it mixes in constants other than zero.
    """
    name = base_name(operation)
    places = DATA_ARGUMENTS.get(name, (0,))

    def substitute(is_data: bool) -> Any:
        def value(leaf: Any) -> Any:
            if isinstance(leaf, Ref):
                return elements[leaf]
            if isinstance(leaf, Const) and is_data:
                if bool((leaf.value != 0).any()):
                    raise ValueError("constants among the elements")
                return torch.full(leaf.value.shape, -1)
            return leaf.value if isinstance(leaf, Const) else leaf

        return value

    args = [
        tree_map(substitute(i in places), arg, is_leaf=lambda v: isinstance(v, Ref | Const))
        for i, arg in enumerate(operation.args)
    ]
    if name == "copy":
        return args[1].expand(args[0].shape)
    if name == "constant_pad_nd":
        return torch.constant_pad_nd(args[0], args[1], -1)
    if name in ("view", "_unsafe_view", "_reshape_alias"):  # what shares memory in the model need not do so here
        return args[0].reshape(args[1])
    return operation.function(*args, **operation.kwargs)


def time_axes(tape: Tape, batch_axis: int) -> dict[str, int | None]:
    """Per input the axis along which the model takes steps; None for an input without time.

    The model's first operations tell: they take one index of this axis, or flatten it into the batch.
    """
    return {name: _time_axis(tape, name, batch_axis) for name in tape.inputs}


def _time_axis(tape: Tape, name: str, batch_axis: int) -> int | None:
    shape = tape.shapes[name]
    if len(shape) < 3:
        return None
    found: dict[int, set[int]] = {axis: set() for axis in range(len(shape)) if axis != batch_axis}
    elements = {tape.inputs[name]: torch.arange(torch.Size(shape).numel()).reshape(shape)}
    for operation in tape.operations:
        refs = [ref for ref in operation.reads() if ref in elements]
        if not refs:
            continue
        for ref in refs:
            _note_fixed(elements[ref], base_name(operation) in ROWWISE, shape, found)
        followed = is_move(operation) or is_cast(operation) or is_pointwise(operation)
        if not followed or any(ref not in elements for ref in operation.reads()):
            continue
        if is_move(operation):
            try:
                output = carried_out(operation, elements)
            except (ValueError, RuntimeError):
                continue
        else:
            output = elements[refs[0]]
        outputs = list(output) if isinstance(output, tuple | list) else [output]
        for made, value, result in zip(operation.results, outputs, operation.shapes, strict=False):
            if made is not None and tuple(value.shape) == result:
                elements[made] = value
    axes = [a for a, seen in found.items() if len(seen) > 1 and (len(seen) == shape[a] or len(shape) > 4)]
    if not axes and len(shape) in (3, 5):
        axes = [axis for axis in (1, 0, len(shape) - 1) if axis in found and shape[axis] == 1]
    return max(axes, key=lambda axis: len(found[axis])) if axes else None


def _note_fixed(elements: Tensor, by_rows: bool, shape: tuple[int, ...], found: dict[int, set[int]]) -> None:
    """Note per axis of the input the index that all elements of a row, or all elements, share."""
    table = elements.reshape(len(elements), -1) if by_rows else elements.reshape(1, -1)
    table = table[:, (table >= 0).all(0)]
    if not table.numel():
        return
    stride = 1
    for axis in reversed(range(len(shape))):
        index = table // stride % shape[axis]
        if axis in found:
            fixed = (index == index[:, :1]).all(1)
            found[axis].update(index[fixed, 0].tolist())
        stride *= shape[axis]
