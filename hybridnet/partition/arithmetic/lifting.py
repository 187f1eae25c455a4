"""From a tape to frames: each traced tensor becomes an arrangement of frames, each operation acts on frames.

What acts on a whole window at once, as a convolution on time flattened into the batch, becomes one frame per step here,
so that loops inside and outside of layers, and any order of axes, read the same.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.arrangement import (
    FRAME,
    Arranged,
    MisalignedError,
    arranged,
    from_rows,
    moved,
    picks_one_example,
    rows,
)
from hybridnet.partition.arithmetic.elementwise import Elementwise
from hybridnet.partition.arithmetic.frames import Frame, FrameTable, Step
from hybridnet.partition.arithmetic.layer_rules import RULES
from hybridnet.partition.arithmetic.lifted import Lifted
from hybridnet.partition.arithmetic.moves import base_name, carried_out, is_cast, is_move, is_pointwise, time_axes
from hybridnet.partition.arithmetic.pointwise import pointwise
from hybridnet.partition.arithmetic.tape import Const, Operation, Ref, Tape, leaves


def lift(tape: Tape, batch_axis: int = 0) -> Lifted:
    """The frames of a tape whose inputs have their examples along `batch_axis`."""
    batch = next(iter(tape.shapes.values()))[batch_axis]
    lifted = Lifted(tape, FrameTable(batch), axes=time_axes(tape, batch_axis), batch_axis=batch_axis)
    lengthwise = {channels for operation in tape.operations if (channels := _lengthwise_channels(operation))}
    for name, ref in tape.inputs.items():
        lifted.note(ref, _input(name, tape.shapes[name], lifted.axes[name], batch_axis, lifted.table, lengthwise))
    for operation in tape.operations:
        for result, value in zip(operation.results, _results(operation, lifted), strict=True):
            if result is not None:
                lifted.note(result, value)
    return lifted


def _input(
    name: str, shape: tuple[int, ...], time: int | None, batch: int, table: FrameTable, lengthwise: Container[int]
) -> Arranged:
    rest = tuple(size for axis, size in enumerate(shape) if axis not in (time, batch))
    step = _step_shape(rest, lengthwise)
    numbers = [None] if time is None else list(range(shape[time]))
    frames = [table.make("input", Step(name, number), (), step, "", what=f"the input {name}") for number in numbers]
    inside = torch.arange(torch.Size((table.batch, *rest)).numel()).reshape(table.batch, *rest)
    labels = torch.stack([(index << FRAME) | inside for index in range(len(frames))])
    others = iter(range(2, 2 + len(rest)))
    order = [0 if axis == time else 1 if axis == batch else next(others) for axis in range(len(shape))]
    return arranged(
        frames, labels.permute(order) if time is not None else labels[0].permute([o - 1 for o in order]), table
    )


def _step_shape(rest: tuple[int, ...], lengthwise: Container[int]) -> tuple[int, ...]:
    """(C, H, W) of a step (H, W), or of (C, L) or (L,) if the model convolves these along L; else as it is."""
    if len(rest) in (1, 2) and (1, *rest)[-2] in lengthwise:
        return (1, *rest)[-2], 1, rest[-1]
    return (1, *rest) if len(rest) == 2 else rest


def _lengthwise_channels(operation: Operation) -> int | None:
    """C of a convolution along (N, C, L); None of anything else."""
    if base_name(operation) != "convolution" or not isinstance(weight := operation.args[1], Const):
        return None
    if weight.value.ndim != 3:
        return None
    transposed, groups = operation.args[6], operation.args[8]
    return int(weight.value.shape[0] if transposed else weight.value.shape[1] * groups)


def _results(operation: Operation, lifted: Lifted) -> list[Any]:
    """The values of an operation's results."""
    values = [lifted.values[ref] for ref in operation.reads()]
    try:
        if all(isinstance(v, Const) for v in values):
            return _constant(operation, lifted)
        if is_cast(operation):
            return values[:1]
        if is_move(operation):
            return _moved(operation, lifted)
        if base_name(operation) in RULES:
            return RULES[base_name(operation)](operation, lifted)
        if is_pointwise(operation) or base_name(operation) == "_to_copy":
            return [pointwise(Elementwise.of(operation), lifted.arguments(operation), operation.path, lifted)]
        return _host(operation, lifted)
    except Exception:  # whatever an operation holds that is not followed: its result is then the host's
        return _host(operation, lifted)


def _constant(operation: Operation, lifted: Lifted) -> list[Any]:
    args = [_as_tensor(a) for a in lifted.arguments(operation)]
    output = operation.function(*args, **{k: _as_tensor(v) for k, v in operation.kwargs.items()})
    return [Const(value, f"computed {id(value)}") if isinstance(value, Tensor) else value for value in leaves(output)]


def _as_tensor(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_as_tensor(v) for v in value]
    return value.value if isinstance(value, Const) else value


def _moved(operation: Operation, lifted: Lifted) -> list[Any]:
    refs = list(dict.fromkeys(operation.reads()))
    known = {ref: lifted.values[ref] for ref in refs}
    constants = {ref: torch.full(v.value.shape, -1) for ref, v in known.items() if isinstance(v, Const)}
    if any(bool((v.value != 0).any()) for v in known.values() if isinstance(v, Const)):
        raise MisalignedError
    traced = [ref for ref in refs if ref not in constants]
    if base_name(operation) in ("clone", "alias", "detach", "contiguous", "lift_fresh"):
        return [known[refs[0]]]
    return list(
        moved(
            [known[ref] for ref in traced],  # type: ignore[misc]
            lambda tables: carried_out(operation, dict(zip(traced, tables, strict=True)) | constants),
            lifted.table,
        )
    )


def _host(operation: Operation, lifted: Lifted) -> list[Any]:
    """Anything that is not followed further: its results are frames of their own."""
    values = [v for v in leaves(lifted.arguments(operation)) if isinstance(v, Arranged)]
    examples = [_examples(value, operation.path, lifted) for value in values]
    plain = None not in examples
    taken = [e for e in examples if e is not None] if plain else [frame for value in values for frame in value.frames]
    frames = tuple(dict.fromkeys(taken))
    if any(picks_one_example(value, lifted.table) for value in values):
        lifted.mixing.append(operation.path)
    alike = f"{_settings(operation)} {[frame.number for frame in taken]}"  # an operand may come twice
    key = f"{operation.name} {alike if plain else operation.results}"
    made: list[Any] = []
    for index, shape in enumerate(operation.shapes):
        batched = bool(shape) and shape[0] == lifted.table.batch and plain
        frame = lifted.table.make(
            "host", operation, frames, shape[1:] if batched else shape, operation.path,
            what=base_name(operation), batched=batched, key=f"{key} {index}",
        )  # fmt: skip
        made.append(Arranged((frame,), tuple(shape)))
    return made


def _examples(value: Arranged, path: str, lifted: Lifted) -> Frame | None:
    """The one frame (B, …) of a tensor that holds all steps of each example, one behind the other; None without."""
    if value.whole() is not None:
        return value.whole()
    try:
        taken = rows(value, lifted.table, path)
    except MisalignedError:
        return None
    if len(taken.frames) > 1 or not torch.equal(taken.label, torch.arange(lifted.table.batch)):
        return None
    lifted.note_parts(value, from_rows(taken.frames, taken.label, lifted.table))
    return taken.frames[0]


def _settings(operation: Operation) -> str:
    """All that an operation is given besides traced tensors."""
    given = leaves((operation.args, operation.kwargs))
    return " ".join(v.key if isinstance(v, Const) else "·" if isinstance(v, Ref) else repr(v) for v in given)
