"""Layouts: how a traced tensor holds the examples of a batch, so that one of any batch can be put together likewise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridnet.partition.arithmetic.arrangement import FRAME, Arranged, element


@dataclass(frozen=True, eq=False)
class Layout:
    """A tensor in which each example holds the same elements of the same frames.

    The axis `axis` of its shape is outer·B·inner long. Its examples, (B, M), are its elements with that B in front, the
    rest in order.

    Attributes:
        frame: (M,) which of the tensor's frames each element of an example comes from; −1 is zero.
        element: (M,) which element of that frame.
    """

    shape: tuple[int, ...]
    axis: int
    outer: int
    inner: int
    frame: Tensor
    element: Tensor

    @property
    def is_first(self) -> bool:
        """Whether the tensor's elements lie example by example."""
        return torch.Size(self.shape[: self.axis]).numel() * self.outer == 1

    @property
    def split(self) -> tuple[int, ...]:
        """The shape with the axis of the batch taken apart; −1 stands for B."""
        return (*self.shape[: self.axis], self.outer, -1, self.inner, *self.shape[self.axis + 1 :])

    @property
    def batch_first(self) -> tuple[int, ...]:
        """`split` with B in front."""
        return (-1, *(size for size in self.split if size != -1))

    @property
    def joined(self) -> tuple[int, ...]:
        """The shape; −1 stands for the axis with the batch."""
        return (*self.shape[: self.axis], -1, *self.shape[self.axis + 1 :])

    @property
    def to_front(self) -> list[int]:
        """The order of axes that brings `split` to `batch_first`."""
        place = self.axis + 1
        return [place, *(axis for axis in range(len(self.split)) if axis != place)]

    @property
    def to_place(self) -> list[int]:
        """The order of axes that brings `batch_first` to `split`."""
        place = self.axis + 1
        return [*range(1, place + 1), 0, *range(place + 1, len(self.split))]


def layout(value: Arranged, batch: int) -> Layout | None:
    """The layout of a tensor of `batch` examples; None if its examples are not alike, or mixed."""
    if 0 in value.shape or not value.frames or not all(frame.batched for frame in value.frames):
        return None
    sizes = torch.tensor([torch.Size(frame.shape).numel() for frame in value.frames])
    labels = value.table()
    numbers = labels >> FRAME
    example = torch.where(labels < 0, -1, element(labels) // sizes[numbers.clamp(min=0)])
    inside = torch.where(labels < 0, -1, (numbers << FRAME) | (element(labels) % sizes[numbers.clamp(min=0)]))
    for axis, outer, inner in _places(value.shape, batch):
        split = (*value.shape[:axis], outer, batch, inner, *value.shape[axis + 1 :])
        whose, what = (x.reshape(split).movedim(axis + 1, 0).reshape(batch, -1) for x in (example, inside))
        own = torch.arange(batch)[:, None]
        if bool(((whose == own) | (whose < 0)).all()) and bool((what == what[:1]).all()):
            first = what[0]
            return Layout(value.shape, axis, outer, inner, first >> FRAME, torch.where(first < 0, -1, element(first)))
    return None


def _places(shape: tuple[int, ...], batch: int) -> Iterator[tuple[int, int, int]]:
    """Where the batch may lie: an axis, or the slow, the fast or a middle part of one."""
    for axis, size in enumerate(shape):
        rest = size // batch
        if size % batch == 0:
            middle = (outer for outer in range(2, rest) if rest % outer == 0)
            yield from dict.fromkeys((axis, outer, rest // outer) for outer in (rest, 1, *middle))
