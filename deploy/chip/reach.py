"""Which cores of a layer a position of another one reaches, and over how many synapses.

Both fall apart by axis. The synapses of channel c, row y and column x into the tile (k, i, j) are
R[c, k]·V[y, i]·H[x, j], taps in the border left out, zero weights counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.chip.placing import Counts, Tiling
from hybridnet.program.graph import Geometry
from hybridnet.program.layers import FLOAT32_EXACT, ConvGeometry

Along = tuple[Counts, Counts, Counts]
"""A matrix per axis: (C, P₀), (H, P₁) and (W, P₂)."""


def synapses(geometry: Geometry, target: Tiling) -> Along:
    """Synapses from each channel, row and column into each tile along its axis."""
    channels = _tally(*channel_pairs(geometry), geometry.input_shape[0], target, 0)
    rows, columns = (
        _tally(*position_pairs(geometry, axis)[:2], geometry.input_shape[axis], target, axis) for axis in (1, 2)
    )
    return channels, rows, columns


def united(boxes: Sequence[Along]) -> Iterator[tuple[int, Along]]:
    """The union of products as a sum of them, each with its sign: |A ∪ B| = |A| + |B| − |A ∩ B|, and so on.

    Args:
        boxes: Matrices of 0 and 1.
    """
    kept = [box for n, box in enumerate(boxes) if _any(box) and not any(_within(box, b) for b in boxes[:n])]
    for n, box in enumerate(kept):
        yield 1, box
        common = [tuple(a & b for a, b in zip(box, other, strict=True)) for other in kept[:n]]
        yield from ((-sign, part) for sign, part in united(common))  # type: ignore[arg-type]


def spread(fired: npt.NDArray[np.float32], along: Along) -> Counts:
    """Σ fired[t, c, y, x]·A[c, k]·B[y, i]·C[x, j], (T, P₀·P₁·P₂); fired (T, C, H, W) is 0 or 1."""
    steps, channels = fired.shape[:2]
    most = math.prod(int(part.sum(0).max(initial=0)) for part in along)  # of any sum on the way, too
    exact: np.dtype[Any] = np.dtype(np.float32 if most < FLOAT32_EXACT else np.float64)
    by_channel, by_row, by_column = (part.astype(exact) for part in along)
    pairs = by_row.shape[1] * by_column.shape[1]
    with np.errstate(all="ignore"):  # all is finite; vector units that a product leaves unused may hold anything
        sums = (by_row.T @ (fired @ by_column)).reshape(steps, channels, pairs)
        total = by_channel.T @ sums
    return np.rint(total).astype(np.int64).reshape(steps, by_channel.shape[1] * pairs)


def channel_pairs(g: Geometry) -> tuple[Counts, Counts]:
    """Each input channel with each output channel that it leads to."""
    inputs, outputs = g.input_shape[0] // g.groups, g.out_channels // g.groups
    source, other = np.divmod(np.arange(g.input_shape[0] * outputs), outputs)
    return source, source // inputs * outputs + other


def position_pairs(g: Geometry, axis: int) -> tuple[Counts, Counts, Counts]:
    """Each input position with the output position of each of its taps, and which tap, along one axis."""
    kernel, stride, padding, dilation = (pair[axis - 1] for pair in (g.kernel, g.stride, g.padding, g.dilation))
    size, out = g.input_shape[axis], g.output_shape[axis]
    taps, is_conv = np.arange(kernel) * dilation - padding, isinstance(g, ConvGeometry)
    start = np.repeat(np.arange(out if is_conv else size), kernel)
    end = start * stride + np.tile(taps, out if is_conv else size)
    source, target = (end, start) if is_conv else (start, end)
    inside = (source >= 0) & (source < size) & (target >= 0) & (target < out)
    return source[inside], target[inside], np.tile(np.arange(kernel), out if is_conv else size)[inside]


def _tally(source: Counts, target: Counts, size: int, onto: Tiling, axis: int) -> Counts:
    found = np.zeros((size, onto.grid[axis]), np.int64)
    np.add.at(found, (source, onto.tiles(axis)[target]), 1)
    return found


def _any(box: Along) -> bool:
    return all(part.any() for part in box)


def _within(box: Along, other: Along) -> bool:
    return all((part <= larger).all() for part, larger in zip(box, other, strict=True))
