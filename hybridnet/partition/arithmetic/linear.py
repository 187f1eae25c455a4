"""Linear maps between frames, as a model's operations give them; each acts on tensors (N, …)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridnet.partition.arithmetic.frames import Coefficient
from hybridnet.partition.arithmetic.tape import Const

Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """A 2-D convolution without bias, plain or transposed."""

    weight: Const
    stride: Pair
    padding: Pair
    dilation: Pair
    transposed: bool
    output_padding: Pair
    groups: int

    def apply(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H', W')."""
        weight = self.weight.value.to(x.dtype)
        if self.transposed:
            return F.conv_transpose2d(
                x, weight, None, self.stride, self.padding, self.output_padding, self.groups, self.dilation
            )
        return F.conv2d(x, weight, None, self.stride, self.padding, self.dilation, self.groups)


@dataclass(frozen=True)
class Dense:
    """A fully connected layer without bias; `weight` is (F_in, F_out)."""

    weight: Const

    def apply(self, x: Tensor) -> Tensor:
        """(N, F_in) to (N, F_out)."""
        return x @ self.weight.value.to(x.dtype)


@dataclass(frozen=True)
class AveragePool:
    """Averages over windows."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor: int | None = None

    def apply(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        return F.avg_pool2d(
            x, self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor
        )


@dataclass(frozen=True)
class AdaptivePool:
    """Averages over windows whose number is given."""

    size: Pair

    def apply(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, *size)."""
        return F.adaptive_avg_pool2d(x, self.size)


@dataclass(frozen=True)
class Reduction:
    """A sum or mean over some axes of a frame, counted with the batch."""

    axes: tuple[int, ...]
    keep: bool
    mean: bool

    def apply(self, x: Tensor) -> Tensor:
        """(N, …) without these axes."""
        return x.mean(self.axes, self.keep) if self.mean else x.sum(self.axes, self.keep)


@dataclass(frozen=True)
class Nearest:
    """Upsampling by whole factors, each element repeated."""

    factors: Pair

    def apply(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H·f, W·g)."""
        return x.repeat_interleave(self.factors[0], 2).repeat_interleave(self.factors[1], 3)


@dataclass(frozen=True)
class Pick:
    """Elements in another order; −1 in `elements`, which has the result's shape, is zero."""

    elements: Tensor
    key: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pick) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def apply(self, x: Tensor) -> Tensor:
        """(N, …) to (N, *elements.shape)."""
        flat = torch.cat((x.flatten(1), x.new_zeros(len(x), 1)), 1)
        return flat[:, self.elements.flatten()].reshape(len(x), *self.elements.shape)


@dataclass(frozen=True)
class Channels:
    """Whole channels in another order; −1 is zeros."""

    sources: tuple[int, ...]

    def apply(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        return torch.cat((x, torch.zeros_like(x[:, :1])), 1)[:, list(self.sources)]


@dataclass(frozen=True)
class Scale:
    """A factor per element or channel."""

    factor: Coefficient

    def apply(self, x: Tensor) -> Tensor:
        """(N, …) to the same."""
        return x * self.factor.value.to(x.dtype)


@dataclass(frozen=True)
class MaximumPool:
    """The largest of each window; not linear, but an OR of spikes."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil_mode: bool

    def apply(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        return F.max_pool2d(x, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)


Linear = Convolution | Dense | AveragePool | AdaptivePool | Reduction | Nearest | Pick | Channels | Scale


def pair(values: Any, otherwise: Any = None) -> Pair:
    """One number or two, or `otherwise` for an empty list, as (vertical, horizontal)."""
    values = otherwise if values is None or values == [] else values
    if isinstance(values, int):
        return values, values
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])
