"""Arrangements: which elements of which frames a traced tensor holds, and where.

A model stacks frames, flattens time into the batch, puts time last, takes slices and pads. None of this computes
anything. So each traced tensor has a *label* per element, which frame and which element of it, and an operation that
only moves elements is carried out on the labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.frames import Frame, FrameTable, Rearrangement, fingerprint

FRAME = 32
"""Bits of a label that tell the element; the bits above tell the frame. A label of −1 is a zero."""

ZERO = -1


class MisalignedError(Exception):
    """Elements do not lie as whole frames, one over the other."""


@dataclass(frozen=True, eq=False)
class Arranged:
    """A traced tensor that holds elements of frames.

    Attributes:
        labels: int64, in the tensor's shape; None if it is just its one frame.
    """

    frames: tuple[Frame, ...]
    shape: tuple[int, ...]
    labels: Tensor | None = None

    def table(self) -> Tensor:
        """Its labels, in any case."""
        return torch.arange(_size(self.shape)).reshape(self.shape) if self.labels is None else self.labels

    def holds_all(self, sizes: list[int]) -> list[bool]:
        """Whether it holds each element of each of its frames, of these sizes."""
        if self.labels is None:
            return [True]
        labels = self.labels.flatten()
        labels = labels[labels >= 0]
        starts = torch.tensor([0, *sizes]).cumsum(0)
        held = torch.zeros(int(starts[-1]), dtype=torch.bool)
        held[starts[labels >> FRAME] + element(labels)] = True
        return [bool(part.all()) for part in held.split(sizes)]

    def whole(self) -> Frame | None:
        """The one frame that it is, in the frame's own order; None if it is anything else."""
        return self.frames[0] if self.labels is None else None


def arranged(frames: Sequence[Frame], labels: Tensor, table: FrameTable) -> Arranged:
    """Elements as `labels` tell; frames that are not used are left out."""
    found = labels >> FRAME
    used = torch.bincount(found[labels >= 0].flatten(), minlength=1).nonzero().flatten()
    renamed = torch.zeros(max(len(frames), 1), dtype=torch.int64)
    renamed[used] = torch.arange(len(used))
    new = torch.where(labels < 0, labels, (renamed[found.clamp(min=0)] << FRAME) | element(labels))
    kept = tuple(frames[i] for i in used.tolist())
    shape = tuple(labels.shape)
    is_whole = len(kept) == 1 and shape == table.full(kept[0])
    if is_whole and bool((new.flatten() == torch.arange(new.numel())).all()):
        return Arranged(kept, shape)
    return Arranged(kept, shape, new)


def merged(values: Sequence[Arranged]) -> tuple[list[Frame], list[Tensor]]:
    """The labels of several tensors with one numbering of frames."""
    frames: dict[Frame, int] = {}
    tables = []
    for value in values:
        numbers = torch.tensor([frames.setdefault(frame, len(frames)) for frame in value.frames] or [0])
        labels = value.table()
        moved = (numbers[(labels >> FRAME).clamp(min=0)] << FRAME) | element(labels)
        tables.append(torch.where(labels < 0, labels, moved))
    return list(frames), tables


def element(labels: Tensor) -> Tensor:
    """Which element of its frame, per label."""
    return labels & ((1 << FRAME) - 1)


def picks_one_example(value: Arranged, table: FrameTable) -> bool:
    """Whether it holds one example of a batch, and not the others."""
    if value.labels is None or table.batch < 2 or not all(frame.batched for frame in value.frames):
        return False
    labels = value.labels[value.labels >= 0]
    sizes = torch.tensor([_size(frame.shape) for frame in value.frames], dtype=torch.int64)
    return len(torch.bincount(element(labels) // sizes[labels >> FRAME]).nonzero()) == 1


@dataclass(frozen=True, eq=False)
class Aligned:
    """Frames that lie exactly over each other.

    Attributes:
        frames: One per tensor; None where that tensor is zero.
        order: Per element of a frame, batch included, where it lies in the tensors, flat.
    """

    frames: tuple[Frame | None, ...]
    order: Tensor


def align(values: Sequence[Arranged], shape: tuple[int, ...], table: FrameTable) -> Iterator[Aligned]:
    """The frames of tensors that are combined element by element, after broadcasting to `shape`.

    Raises:
        MisalignedError: If different elements, or parts of frames, meet.
    """
    tables = [value.table().expand(shape).reshape(-1) for value in values]
    elements = torch.stack([torch.where(t < 0, -1, element(t)) for t in tables])
    places = elements.max(0).values
    if bool(((elements != places) & (elements >= 0)).any()):
        raise MisalignedError
    meeting = torch.zeros_like(places)
    for value, labels in zip(values, tables, strict=True):
        meeting = meeting * (len(value.frames) + 1) + (labels >> FRAME) + 1
    for positions in _groups(meeting):
        first = int(positions[0])
        frames = tuple(
            value.frames[int(labels[first]) >> FRAME] if labels[first] >= 0 else None
            for value, labels in zip(values, tables, strict=True)
        )
        sizes = {table.full(frame) for frame in frames if frame is not None}
        if len(sizes) != 1 or not all(frame.batched for frame in frames if frame is not None):
            raise MisalignedError
        yield Aligned(frames, positions[_permutation(places[positions], _size(sizes.pop()))])


def _groups(keys: Tensor) -> list[Tensor]:
    """The positions of each different key, by first appearance."""
    if bool((keys == keys[0]).all()):
        return [torch.arange(len(keys))]
    order = torch.argsort(keys, stable=True)
    _, counts = torch.unique_consecutive(keys[order], return_counts=True)
    return sorted(torch.split(order, counts.tolist()), key=lambda positions: int(positions[0]))


def _permutation(places: Tensor, size: int) -> Tensor:
    """Where each of `size` places is found; each must be, once."""
    order = torch.full((size,), -1)
    if len(places) != size or int(places.max()) >= size:
        raise MisalignedError
    order[places] = torch.arange(size)
    if bool((order < 0).any()):
        raise MisalignedError
    return order


@dataclass(frozen=True, eq=False)
class Rows:
    """A tensor taken apart along its first axis: each row is one example of one frame.

    Attributes:
        frames: The frames whose examples the rows are.
        label: (N,) which of them, and which example, as labels of (B,) tensors.
    """

    frames: tuple[Frame, ...]
    label: Tensor


def rows(value: Arranged, table: FrameTable, path: str) -> Rows:
    """`value` (N, …) as rows, each of which holds one example; rows that mix frames become frames of their own.

    Raises:
        MisalignedError: If a row mixes examples of the batch, or examples are missing.
    """
    whole = value.whole()
    if whole is not None and whole.batched:
        return Rows((whole,), torch.arange(table.batch))
    if not all(frame.batched for frame in value.frames) or not value.shape:
        raise MisalignedError
    labels = value.table().reshape(value.shape[0], -1)
    sizes = torch.tensor([_size(frame.shape) for frame in value.frames] or [1])
    found, zero = (labels >> FRAME).clamp(min=0), labels < 0
    example = torch.where(zero, -1, element(labels) // sizes[found])
    number = example.max(1).values
    if bool(((example != number[:, None]) & ~zero).any()):
        raise MisalignedError
    inside = torch.where(zero, -1, (found << FRAME) | (element(labels) % sizes[found]))
    weights = torch.randint(1, 2**62, (inside.shape[1],), generator=torch.Generator().manual_seed(0)) | 1
    frames: list[Frame] = []
    label = torch.zeros(len(labels), dtype=torch.int64)
    for positions in _groups((inside * weights).sum(1)):
        examples = number[positions] if int(number[positions[0]]) >= 0 else torch.arange(len(positions))
        _permutation(examples, table.batch)
        label[positions] = (len(frames) << FRAME) | examples
        frames.append(_row_frame(value.frames, inside[positions[0]], value.shape[1:], table, path))
    return Rows(tuple(frames), label)


def _row_frame(
    frames: tuple[Frame, ...], labels: Tensor, shape: tuple[int, ...], table: FrameTable, path: str
) -> Frame:
    """The frame of which `labels` (elements without batch) are an example."""
    used = torch.unique(labels[labels >= 0] >> FRAME).tolist()
    in_order = bool((element(labels) == torch.arange(len(labels))).all()) and bool((labels >= 0).all())
    if in_order and len(used) == 1 and frames[used[0]].shape == shape:
        return frames[used[0]]
    renamed = torch.full((max(len(frames), 1),), -1)
    renamed[used] = torch.arange(len(used))
    operand = torch.where(labels < 0, -1, renamed[(labels >> FRAME).clamp(min=0)]).reshape(shape)
    picks = Rearrangement(operand, torch.where(labels < 0, -1, element(labels)).reshape(shape))
    key = f"{fingerprint(picks.operand)} {fingerprint(picks.element)}"
    return table.make("move", picks, tuple(frames[i] for i in used), shape, path, key=key, what="a rearrangement")


def from_rows(frames: Sequence[Frame], label: Tensor, table: FrameTable) -> Arranged:
    """The tensor (N, …) whose rows are examples of `frames`, all of one shape."""
    size = _size(frames[0].shape)
    inside = torch.arange(size)[None] + (element(label) * size)[:, None]
    labels = ((label >> FRAME)[:, None] << FRAME) | inside
    return arranged(frames, labels.reshape(len(label), *frames[0].shape), table)


def moved(values: Sequence[Arranged], move: Any, table: FrameTable) -> list[Arranged]:
    """What `move`, which takes label tables and gives tensors, makes of tensors."""
    frames, tables = merged(values)
    output = move(tables)
    results = list(output) if isinstance(output, tuple | list) else [output]
    return [arranged(frames, labels, table) for labels in results]


def _size(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())
