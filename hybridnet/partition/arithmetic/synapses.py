"""Synapse groups: a chain of linear maps as one convolution, transposed convolution or dense layer.

The geometry follows from the maps (`windows`); the weights are the maps' own answers to single impulses. Then both are
compared on random numbers at the real size, so that a border at which they differ is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import gcd
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hybridnet.errors import ConfigError
from hybridnet.model.neuron import conv_current
from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.frames import coefficient
from hybridnet.partition.arithmetic.linear import Channels, Linear, Pick
from hybridnet.partition.arithmetic.routes import NoRouteError, applied
from hybridnet.partition.arithmetic.windows import (
    NoWindowError,
    Window,
    channel_pick,
    plain_geometry,
    window_of,
)
from hybridnet.program.graph import Geometry, Shape
from hybridnet.program.layers import ConvGeometry, FloatArray
from hybridnet.program.transposed import TransposedGeometry

TOLERANCE = 1e-9
"""Largest difference between maps and their folded form in float64, relative to the largest result."""


@dataclass(eq=False)
class Folder:
    """Folds chains of maps; the same chain gives the same array."""

    _known: dict[Any, tuple[Geometry, FloatArray]] = field(default_factory=dict)

    def fold(
        self, maps: tuple[Linear, ...], factor: Tensor, source: tuple[int, ...], target: tuple[int, ...]
    ) -> tuple[Geometry, FloatArray]:
        """The geometry and weights of `factor` · maps, from one step of the source to one of the target.

        Raises:
            NoRouteError: If they are none.
        """
        key = maps, coefficient(factor).key, source, target
        if key not in self._known:
            self._known[key] = _folded(maps, factor, source, target)
        return self._known[key]


def as_map(shape: tuple[int, ...]) -> Shape:
    """(C, H, W) of a frame: a vector (F,) has one position, a plane (H, W) one channel.

    Raises:
        NoRouteError: If it has more axes.
    """
    if len(shape) > 3 or not shape:
        raise NoRouteError(bounds.SHAPE, shape=shape)
    full = (*shape, 1, 1) if len(shape) == 1 else (1,) * (3 - len(shape)) + shape
    return full[0], full[1], full[2]


def _folded(
    maps: tuple[Linear, ...], factor: Tensor, source: tuple[int, ...], target: tuple[int, ...]
) -> tuple[Geometry, FloatArray]:
    start, end = as_map(source), as_map(target)
    try:
        geometry, weight = (
            _by_window(maps, source, end) if len(source) == 3 == len(target) else _dense(maps, source, end)
        )
    except NoWindowError as reason:
        if end[1:] != (1, 1):
            raise NoRouteError(bounds.NO_WINDOW, what=reason) from reason
        geometry, weight = _dense(maps, source, end)
    weight = _scaled(weight, factor, end, transposed=isinstance(geometry, TransposedGeometry))
    _check(geometry, weight, maps, factor, source, start, target)
    geometry, weight = _grouped(geometry, weight)
    return geometry, np.ascontiguousarray(weight.numpy())


def _dense(maps: tuple[Linear, ...], source: tuple[int, ...], end: Shape) -> tuple[Geometry, Tensor]:
    """All inputs reach all outputs: the kernel is the whole map."""
    if end[1:] != (1, 1):
        raise NoRouteError(bounds.REARRANGED)
    start = as_map(source)
    weight = _slopes(maps, (end[0], *source), lambda y: y.reshape(end[0], end[0]))
    return ConvGeometry(start, end[0], start[1:]), weight.reshape(end[0], *start)


def _by_window(maps: tuple[Linear, ...], source: tuple[int, ...], end: Shape) -> tuple[Geometry, Tensor]:
    shapes, x = [], torch.zeros(1, *source, dtype=torch.float64)
    for linear in maps:
        shapes.append(tuple(x.shape[1:]))
        x = linear.apply(x)
    windows = window_of(maps, shapes)
    free = tuple(_unbound(linear, shape) for linear, shape in zip(maps, shapes, strict=True))
    start = as_map(source)
    if any(w.spreads for w in windows):
        return _spreading(free, shapes, windows, start, end)
    try:
        geometry = plain_geometry(*windows, start, end[0])
    except ConfigError as error:
        raise NoWindowError("a map smaller than its kernel") from error
    if geometry.output_shape != end:
        raise NoWindowError("a padding that differs between sides")
    windows = window_of(free, shapes)  # on a map of another size, without the zeros around
    at = [-(-w.padding // w.stride) + 1 for w in windows]
    first = [i * w.stride - w.padding for i, w in zip(at, windows, strict=True)]
    size = [f + w.kernel + w.padding + w.stride for f, w in zip(first, windows, strict=True)]
    weight = _slopes(free, (end[0], start[0], *size), lambda y: y[:, :, at[0], at[1]])
    (y, x0), (h, w) = first, (windows[0].kernel, windows[1].kernel)
    return geometry, weight[:, :, y : y + h, x0 : x0 + w]


def _slopes(maps: tuple[Linear, ...], shape: tuple[int, ...], answers: Callable[[Tensor], Tensor]) -> Tensor:
    """How each of (N,) answers depends on its own row of an input (N, …)."""
    with torch.enable_grad():
        x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(answers(applied(maps, x)).diagonal().sum(), x)[0]


def _spreading(
    free: tuple[Linear, ...], shapes: list[tuple[int, ...]], windows: tuple[Window, Window], start: Shape, end: Shape
) -> tuple[Geometry, Tensor]:
    """A transposed convolution: what one input reaches, from each channel."""
    extra = [
        out - ((size - 1) * w.stride - 2 * w.padding + w.kernel)
        for out, size, w in zip(end[1:], start[1:], windows, strict=True)
    ]
    kernel, stride, padding = ((a, b) for a, b in zip(*((w.kernel, w.stride, w.padding) for w in windows), strict=True))
    try:
        geometry = TransposedGeometry(start, end[0], kernel, stride, padding, (extra[0], extra[1]))
    except ConfigError as error:
        raise NoWindowError("an upsampling with a border of its own") from error
    windows = window_of(free, shapes)
    at = [-(-w.padding // w.stride) + 1 for w in windows]
    size = [2 * i + w.kernel // w.stride + 2 for i, w in zip(at, windows, strict=True)]
    x = torch.zeros(start[0], start[0], *size, dtype=torch.float64)
    x[range(start[0]), range(start[0]), at[0], at[1]] = 1
    y, left = (i * w.stride - w.padding for i, w in zip(at, windows, strict=True))
    return geometry, applied(free, x)[:, :, y : y + kernel[0], left : left + kernel[1]]


def _unbound(linear: Linear, shape: tuple[int, ...]) -> Linear:
    """The map without what ties it to one size: whole channels are moved wherever they end, and no zeros put around."""
    return Channels(channel_pick(linear, shape).sources) if isinstance(linear, Pick) else linear  # type: ignore[union-attr]


def _scaled(weight: Tensor, factor: Tensor, end: Shape, *, transposed: bool) -> Tensor:
    if not factor.ndim:
        return weight * factor
    if factor[0].numel() > 1:
        raise NoRouteError(bounds.POSITIONS_DIFFER, name="gain")
    per_channel = factor.reshape(-1).expand(end[0])
    return weight * (per_channel[None, :, None, None] if transposed else per_channel[:, None, None, None])


def _check(
    geometry: Geometry, weight: Tensor, maps: tuple[Linear, ...], factor: Tensor,
    source: tuple[int, ...], start: Shape, target: tuple[int, ...],
) -> None:  # fmt: skip
    """Refuse what answers random numbers otherwise than the maps."""
    x = torch.randn(2, *source, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = applied(maps, x).reshape(2, *target) * factor
    found = run_synapse(geometry, weight, x.reshape(2, *start)).reshape(2, *target)
    if bool((found - expected).abs().max() > TOLERANCE * expected.abs().max().clamp(min=1e-300)):
        raise NoRouteError(bounds.BORDER)


def run_synapse(geometry: Geometry, weight: Tensor, x: Tensor) -> Tensor:
    """One step of a synapse group on x (N, C, H, W)."""
    g = geometry
    if isinstance(g, TransposedGeometry):
        return F.conv_transpose2d(x, weight, None, g.stride, g.padding, g.output_padding, g.groups, g.dilation)
    return conv_current(x.contiguous(memory_format=torch.channels_last), weight, None, g)


def _grouped(geometry: Geometry, weight: Tensor) -> tuple[Geometry, Tensor]:
    """With as many groups of channels as have nothing to do with each other."""
    rows, columns = weight.shape[:2]
    for groups in range(gcd(rows, columns), 1, -1):
        if rows % groups or columns % groups:
            continue
        blocks = weight.reshape(groups, rows // groups, groups, columns // groups, *weight.shape[2:])
        apart = ~torch.eye(groups, dtype=torch.bool)
        if not bool(blocks.transpose(1, 2)[apart].any()):
            kept = torch.stack([blocks[g, :, g] for g in range(groups)]).flatten(0, 1)
            return replace(geometry, groups=groups), kept
    return geometry, weight
