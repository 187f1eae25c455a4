"""Which inputs of a chain of linear maps reach which outputs: one kernel, stride and padding for all of them.

Two plain convolutions, one behind the other, are one of a larger kernel; so are poolings, which are convolutions by
ones. A stride widens what follows. Upsampling and transposed convolutions spread: there an input reaches a window of
outputs, and a convolution of stride 1 behind it widens that window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from hybridnet.partition.arithmetic.linear import (
    AveragePool,
    Channels,
    Convolution,
    Linear,
    Nearest,
    Pick,
    Reduction,
    Scale,
)
from hybridnet.program.layers import ConvGeometry


class NoWindowError(Exception):
    """The maps are no convolution; the text says which of them is to blame."""


@dataclass(frozen=True)
class Window:
    """Along one axis, output i sees the inputs from i·stride − padding on, `kernel` of them.

    If it spreads, input i reaches the outputs from i·stride − padding on instead.
    """

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    spreads: bool = False

    def convolved(self, kernel: int, stride: int, padding: int) -> Window:
        """A plain convolution behind it."""
        if not self.spreads:
            return Window(
                self.kernel + (kernel - 1) * self.stride, self.stride * stride, self.padding + padding * self.stride
            )
        if stride != 1:
            raise NoWindowError("a stride behind upsampling")
        return replace(self, kernel=self.kernel + kernel - 1, padding=self.padding + kernel - 1 - padding)

    def spread(self, kernel: int, stride: int, padding: int) -> Window:
        """A transposed convolution behind it."""
        if not self.spreads and (self.kernel, self.stride, self.padding) != (1, 1, 0):
            raise NoWindowError("upsampling behind a convolution, with no neuron between")
        return Window((self.kernel - 1) * stride + kernel, self.stride * stride, self.padding * stride + padding, True)

    def padded(self, before: int) -> Window:
        """Zeros put before the first element."""
        return self.convolved(1, 1, before)


def window_of(maps: tuple[Linear, ...], shapes: list[tuple[int, ...]]) -> tuple[Window, Window]:
    """The vertical and horizontal window of maps; `shapes` are those before each map.

    Raises:
        NoWindowError: If they are no convolution.
    """
    axes = [Window(), Window()]
    for linear, shape in zip(maps, shapes, strict=True):
        for axis in (0, 1):
            axes[axis] = _behind(axes[axis], linear, shape, axis)
    return axes[0], axes[1]


def _behind(window: Window, linear: Linear, shape: tuple[int, ...], axis: int) -> Window:
    if isinstance(linear, Convolution):
        taps = int(linear.weight.value.shape[2 + axis])
        kernel = linear.dilation[axis] * (taps - 1) + 1
        act = window.spread if linear.transposed else window.convolved
        return act(kernel, linear.stride[axis], linear.padding[axis])
    if isinstance(linear, AveragePool):
        return window.convolved(linear.kernel[axis], linear.stride[axis], linear.padding[axis])
    if isinstance(linear, Nearest):
        return window.spread(linear.factors[axis], linear.factors[axis], 0)
    if isinstance(linear, Channels):
        return window
    if isinstance(linear, Scale) and max(linear.factor.value.shape[1:], default=1) == 1:
        return window
    if isinstance(linear, Pick) and len(shape) == 3 and (offsets := channel_pick(linear, shape)) is not None:
        return window.padded(offsets.before[axis])
    if isinstance(linear, Reduction) and linear.axes == (1,) and linear.keep:
        return window
    raise NoWindowError(NAMES.get(type(linear), "a rearrangement within the map"))


NAMES = {Scale: "a factor that differs between positions", Reduction: "a sum over the map"}


class ChannelPick(NamedTuple):
    """The source of each channel, −1 for zeros, and the rows and columns of zeros put before."""

    sources: tuple[int, ...]
    before: tuple[int, int]


def channel_pick(pick: Pick, shape: tuple[int, ...]) -> ChannelPick | None:
    """What it does to channels, if it moves whole channels alone."""
    elements, (_, height, width) = pick.elements, shape
    if elements.ndim != 3 or not bool((elements >= 0).any()):
        return None
    filled = (elements >= 0).nonzero()
    top, left = int(filled[:, 1].min()), int(filled[:, 2].min())
    if elements.shape[1] < top + height or elements.shape[2] < left + width:
        return None
    first = elements[:, top, left]
    if bool((first % (height * width) * (first >= 0) != 0).any()):
        return None
    channels = torch.where(first < 0, -1, first // (height * width))
    expected = torch.full_like(elements, -1)
    inside = first[:, None, None] + torch.arange(height * width).reshape(height, width)
    expected[:, top : top + height, left : left + width] = torch.where(first[:, None, None] < 0, -1, inside)
    return ChannelPick(tuple(channels.tolist()), (top, left)) if torch.equal(expected, elements) else None


def plain_geometry(vertical: Window, horizontal: Window, source: tuple[int, int, int], channels: int) -> ConvGeometry:
    """A convolution with these windows."""
    return ConvGeometry(
        source, channels, (vertical.kernel, horizontal.kernel), (vertical.stride, horizontal.stride),
        (vertical.padding, horizontal.padding),
    )  # fmt: skip
