"""What a value of the traced model is, seen from the spiking half: which frames of which tensor it holds.

A frame is one (C, H, W) map of one window b at one step t. Operations that only move data (`transpose`,
`flatten(0, 1)`, indexing, `stack`, …) are followed by carrying them out on frame numbers, so their spelling does not
matter; a result that is no longer made of whole frames is an ordinary tensor of the ANN half.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx

WINDOWS = 2
"""Windows of the batch that values are followed for; two are enough to tell windows from steps."""

OriginKind = Literal["input", "current", "potential", "settled", "spikes"]


@dataclass(frozen=True)
class Origin:
    """A tensor (B, T, C, H, W) that frames are taken from.

    Attributes:
        kind: A model input; the sum over synapses; u before the reset; v after it; or o.
        name: Input, or path of the module that gives it.
        before: For currents, where the convolution's input comes from; `norm` is the batch norm behind it, if any.
    """

    kind: OriginKind
    name: str
    steps: int
    shape: tuple[int, int, int]
    before: Origin | None = None
    norm: str = ""

    @property
    def is_behind_neurons(self) -> bool:
        """Whether neurons made it, or made what a convolution made it of."""
        return self.kind in ("potential", "settled", "spikes") or (
            self.before is not None and self.before.is_behind_neurons
        )


@dataclass(frozen=True, eq=False)
class Frames:
    """Whole frames of one origin: a tensor (…, C, H, W), or (…, C·H·W) if `flat`; `numbers` (…) holds their b·T + t."""

    origin: Origin
    numbers: Tensor
    flat: bool = False

    @property
    def shape(self) -> torch.Size:
        """As the traced tensor's, with `WINDOWS` windows in the batch."""
        frame = (math.prod(self.origin.shape),) if self.flat else self.origin.shape
        return torch.Size((*self.numbers.shape, *frame))

    @property
    def frame_numbers(self) -> Tensor:
        """The traced tensor with each element's frame number for its value."""
        ones = (1,) * (len(self.shape) - self.numbers.ndim)
        return self.numbers.view(*self.numbers.shape, *ones).expand(self.shape)

    @property
    def places(self) -> Tensor:
        """The traced tensor with each element's place within its frame for its value."""
        return torch.arange(math.prod(self.origin.shape)).view(self.shape[self.numbers.ndim :]).expand(self.shape)

    def is_whole(self, *, time_first: bool = False) -> bool:
        """Whether this is all of the origin, (B, T, …) or (T, B, …)."""
        return torch.equal(self.numbers, whole(self.origin.steps, time_first=time_first))

    def step(self) -> int | None:
        """The step that it is of, when it is (B, C, H, W) of one step."""
        steps = self.origin.steps
        if self.numbers.shape != (WINDOWS,):
            return None
        t = int(self.numbers[0])
        return t if torch.equal(self.numbers, t + steps * torch.arange(WINDOWS)) and t < steps else None


@dataclass(frozen=True)
class Count:
    """The number of spikes over the steps in `steps`, (B, C, H, W), divided by `divisor`."""

    origin: Origin
    steps: frozenset[int]
    divisor: int = 1
    flat: bool = False


@dataclass(frozen=True)
class NeuronState:
    """A record that holds what a neuron's potential settled to after `step`."""

    origin: Origin
    step: int
    flat: bool = False


@dataclass(frozen=True)
class Opaque:
    """Anything else: computed by the ANN half, or a tensor without time.

    Attributes:
        by: The node at which it stopped being frames, or a model input.
        spiking: Whether neurons took part.
        synaptic: Whether a convolution of frames took part.
        timed: Whether frames took part.
        moved: Whether `by` only moves data.
    """

    by: fx.Node
    spiking: bool = False
    synaptic: bool = False
    timed: bool = False
    moved: bool = False


def whole(steps: int, *, time_first: bool = False) -> Tensor:
    """Numbers of all frames, (B, T) or (T, B)."""
    numbers = torch.arange(WINDOWS * steps).view(WINDOWS, steps)
    return numbers.T if time_first else numbers


_AXES = ("transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis", "flatten", "unbind", "unsqueeze")
_JOINING = ("stack", "cat", "concat", "concatenate")
_SIZED = ("unflatten", "reshape", "chunk", "split", "select", "squeeze", "narrow", "index_select")
_UNCHANGING = ("clone", "detach")
_FUNCTIONS = tuple(getattr(torch, name) for name in (*_AXES, *_JOINING, *_SIZED, *_UNCHANGING) if hasattr(torch, name))

MOVES: frozenset[Any] = frozenset((*_AXES, *_SIZED, *_UNCHANGING, "view", "contiguous", operator.getitem, *_FUNCTIONS))
_WITHOUT_SIZES: frozenset[Any] = frozenset((*_AXES, *(getattr(torch, name) for name in (*_AXES, *_JOINING))))

_MINIATURE = (2, 3, 5)
"""Frames that stand in for larger ones where an operation names no sizes; no two sizes are equal, so that it shows when
they change places."""


def names_no_sizes(target: Any, args: Any) -> bool:
    """Whether an operation does the same to frames of any size: it names axes only, or indexes none within a frame."""
    if target is not operator.getitem:
        return target in _WITHOUT_SIZES
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    within_leading = isinstance(args[0], Frames) and len(index) <= args[0].numbers.ndim
    return within_leading and all(isinstance(i, int | slice) for i in index)


def move(
    carry_out: Callable[[Callable[[Frames], Tensor]], Any], origin: Origin, by: fx.Node, *, miniature: bool = False
) -> Any:
    """Follow an operation that moves data.

    Args:
        carry_out: Runs the operation, turning each of its `Frames` into a tensor by the function it is given.
        origin: Where all those frames come from.
        by: Its node.
        miniature: Let small frames stand in, for an operation that `names_no_sizes`.

    Returns:
        `Frames` for each tensor that it gives, or `Opaque` for one that is not made of whole frames.
    """
    small = dataclasses.replace(origin, shape=_MINIATURE) if miniature else origin
    numbers = carry_out(lambda frames: dataclasses.replace(frames, origin=small).frame_numbers)
    places = carry_out(lambda frames: dataclasses.replace(frames, origin=small).places)
    if isinstance(numbers, Opaque):
        return numbers
    if isinstance(numbers, Tensor):
        return _restored(_frames(numbers, places, small, by), origin)
    return type(numbers)(_restored(_frames(n, p, small, by), origin) for n, p in zip(numbers, places, strict=True))


def _restored(value: Frames | Opaque, origin: Origin) -> Frames | Opaque:
    return dataclasses.replace(value, origin=origin) if isinstance(value, Frames) else value


def _frames(numbers: Tensor, places: Tensor, origin: Origin, by: fx.Node) -> Frames | Opaque:
    for flat, ending in ((False, 3), (True, 1)):
        if numbers.ndim >= ending and numbers.numel():
            frames = Frames(origin, numbers.flatten(-ending)[..., 0], flat)
            same_shape = frames.shape == numbers.shape
            if same_shape and torch.equal(frames.frame_numbers, numbers) and torch.equal(frames.places, places):
                return frames
    return Opaque(by, origin.is_behind_neurons, origin.kind == "current", timed=True, moved=True)
