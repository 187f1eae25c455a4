"""Frames: what a model computes per step, one tensor (B, …) each, whatever tensors of its own the model keeps it in."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

Kind = Literal["input", "elementwise", "linear", "maximum", "move", "host"]


@dataclass(frozen=True)
class Coefficient:
    """Constants that meet a frame element by element.

    Attributes:
        value: float64, with the axes of a frame without its batch; an axis along which nothing changes has size 1.
    """

    value: Tensor = field(compare=False, repr=False)
    key: str


@dataclass(frozen=True, eq=False)
class Frame:
    """One tensor of the computation, and what it is computed from.

    Attributes:
        number: Unique; what a frame is made from has lower numbers.
        kind: `input`: a step of an input. `elementwise`: `op`, a name, of `args`. `linear`: the linear map `op` of its
            one operand. `maximum`: a pooling `op` by the largest. `move`: elements of its operands in another order,
            where `op` tells which. `host`: anything else.
        args: Frames, coefficients and numbers.
        shape: Its shape without the batch; (C, H, W) or (F,) for neurons.
        batched: Whether its first axis is the batch; otherwise `shape` is all of it.
        path: The module that computes it.
        what: In words, for refusals.
    """

    number: int
    kind: Kind
    op: Any = field(repr=False)
    args: tuple[Any, ...] = field(repr=False)
    shape: tuple[int, ...]
    batched: bool
    path: str
    what: str = ""

    @property
    def operands(self) -> tuple[Frame, ...]:
        """The frames among its arguments."""
        return tuple(a for a in self.args if isinstance(a, Frame))

    def before(self) -> Iterator[Frame]:
        """All frames that it depends on."""
        seen, todo = set(), [self]
        while todo:
            for frame in todo.pop().operands:
                if frame not in seen:
                    seen.add(frame)
                    todo.append(frame)
                    yield frame


@dataclass(frozen=True)
class Step:
    """Which frame of a model input: step `number` of the input `name`, or all of one without time (None)."""

    name: str
    number: int | None


@dataclass(frozen=True, eq=False)
class Rearrangement:
    """How a `move` takes elements of its operands.

    Attributes:
        picks: Per element of the frame without its batch, the place of its operand in `args` (first) and of the element
            in that operand (second); −1 where it is zero. Two tensors of the frame's shape.
    """

    operand: Tensor
    element: Tensor


class FrameTable:
    """Makes frames; what is computed twice from the same is one frame."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.frames: list[Frame] = []
        self._known: dict[Hashable, Frame] = {}

    def make(
        self,
        kind: Kind,
        op: Any,
        args: tuple[Any, ...],
        shape: tuple[int, ...],
        path: str,
        *,
        what: str = "",
        batched: bool = True,
        key: Hashable = None,
    ) -> Frame:
        """The frame of this making; `key` tells operations apart that `op` and `args` do not."""
        known = kind, op if key is None else key, args, shape
        if known not in self._known:
            frame = Frame(len(self.frames), kind, op, args, shape, batched, path, what)
            self.frames.append(frame)
            self._known[known] = frame
        return self._known[known]

    def full(self, frame: Frame) -> tuple[int, ...]:
        """The shape of the whole frame, its batch included."""
        return (self.batch, *frame.shape) if frame.batched else frame.shape


def made_by(frame: Frame) -> Frame:
    """The last frame that is computed, of those whose elements a frame holds."""
    while frame.kind == "move":
        frame = max(frame.operands, key=lambda operand: operand.number)
    return frame


def coefficient(values: Tensor, *, within: float = 0.0) -> Coefficient:
    """Constants (…) as a coefficient: axes along which they are all the same are cut to size 1.

    Args:
        values: The constants.
        within: Differences that count as none, relative to the largest constant.
    """
    values = values.detach().double()
    for axis in range(values.ndim):
        first = values.narrow(axis, 0, 1)
        same = (values == first) | ((values - first).abs() <= within * values.abs().max())
        if values.shape[axis] > 1 and bool(same.all()):
            values = first
    digest = hashlib.blake2b(values.contiguous().numpy().tobytes(), digest_size=12).hexdigest()
    return Coefficient(values, f"{digest} {tuple(values.shape)}")


def fingerprint(values: Tensor) -> str:
    """The same for equal integers in an equal shape."""
    content = values.to(torch.int64).contiguous().numpy().tobytes()
    return f"{hashlib.blake2b(content, digest_size=12).hexdigest()} {tuple(values.shape)}"
