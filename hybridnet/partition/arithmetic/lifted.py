"""A tape as frames: what each traced tensor holds, and where each frame is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.arrangement import FRAME, Arranged
from hybridnet.partition.arithmetic.frames import Frame, FrameTable
from hybridnet.partition.arithmetic.tape import Const, Operation, Ref, Tape

Value = Arranged | Const | float | int | bool


@dataclass(eq=False)
class Lifted:
    """A tape as frames.

    Attributes:
        values: What each traced tensor holds.
        where: A traced tensor that holds all of a frame.
        mixing: Modules that take single examples out of a batch.
        axes: Per input the axis of time, or None.
        parts: How the tensor that `where` tells holds a frame made of parts of others, where its value does not say.
    """

    tape: Tape
    table: FrameTable
    values: dict[Ref, Value] = field(default_factory=dict)
    where: dict[Frame, Ref] = field(default_factory=dict)
    axes: Mapping[str, int | None] = field(default_factory=dict)
    batch_axis: int = 0
    mixing: list[str] = field(default_factory=list)
    parts: dict[Frame, Arranged] = field(default_factory=dict)
    _refs: dict[Arranged, Ref] = field(default_factory=dict)

    @property
    def frames(self) -> list[Frame]:
        """All frames, each behind those that it is made from."""
        return self.table.frames

    def order(self, frame: Frame) -> Tensor | None:
        """Where the elements of `frame` lie in the tensor `where` tells, flat; None: in the same order."""
        value = self.holder(frame)
        if value.labels is None:
            return None
        size = torch.Size(self.table.full(frame)).numel()
        labels, start = value.labels.flatten(), value.frames.index(frame) << FRAME
        inside = (labels >= start) & (labels < start + size)
        order = torch.full((size,), -1)
        order[labels[inside] - start] = torch.arange(len(labels))[inside]
        return order

    def holder(self, frame: Frame) -> Arranged:
        """The tensor `where` tells, as it holds `frame`."""
        value = self.parts.get(frame, self.values[self.where[frame]])
        assert isinstance(value, Arranged)  # noqa: S101
        return value

    def values_of(self, frames: list[Frame], inputs: Mapping[str, Tensor]) -> dict[Frame, Tensor]:
        """What the model computes for `frames`, each (B, …), on inputs of the traced shapes.

        Raises:
            PartitionError: If the model holds no tensor with all of a frame.
        """
        for frame in frames:
            if frame not in self.where:
                raise PartitionError(f"no tensor of the model holds its {frame.what} as a whole", where=frame.path)
        found, _ = self.tape.run(inputs, [self.where[frame] for frame in frames])
        values = {}
        for frame in frames:
            flat, order = found[self.where[frame]].flatten(), self.order(frame)
            values[frame] = (flat if order is None else flat[order]).reshape(self.table.full(frame))
        return values

    def note(self, ref: Ref, value: Any) -> None:
        """Take note of what a traced tensor holds."""
        self.values[ref] = value
        if not isinstance(value, Arranged):
            return
        self._refs[value] = ref
        if all(frame in self.where for frame in value.frames):
            return
        sizes = [torch.Size(self.table.full(frame)).numel() for frame in value.frames]
        for frame, is_all in zip(value.frames, value.holds_all(sizes), strict=True):
            if is_all:
                self.where.setdefault(frame, ref)

    def note_same(self, value: Arranged, same: Arranged) -> None:
        """Take note that the traced tensor `value`, in another shape, is `same`."""
        if value in self._refs:
            self._refs[same] = self._refs[value]

    def note_parts(self, value: Arranged, made: Arranged) -> None:
        """Take note that the traced tensor `value` holds the frames of `made`, which are made of parts of its own."""
        for frame in made.frames:
            if value in self._refs and frame not in self.where:
                self.where[frame], self.parts[frame] = self._refs[value], made

    def arguments(self, operation: Operation) -> list[Any]:
        """The arguments of an operation, with the value of each traced tensor in its place."""

        def value(argument: Any) -> Any:
            if isinstance(argument, tuple | list):
                return [value(a) for a in argument]
            return self.values[argument] if isinstance(argument, Ref) else argument

        return [value(argument) for argument in operation.args]
