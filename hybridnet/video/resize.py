"""Antialiased bilinear resizing, as of `torch.nn.functional.interpolate` and of Pillow, to a window of the result."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridnet.support.kernels import kernel


def resize(
    values: NDArray[Any],
    size: tuple[int, int],
    corner: tuple[int, int],
    side: int,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Resize planes and keep a square of the result.

    Args:
        values: (N, C, H, W).
        size: Height and width of the whole result.
        corner: First row and column of the square.
        side: Side of the square, S.
        out: Where to put it; memory of its own if None.

    Returns:
        (N, C, S, S), float32.
    """
    resized = np.empty((*values.shape[:2], side, side), np.float32) if out is None else out
    rows, columns = (_taps(*each, side) for each in zip(values.shape[-2:], size, corner, strict=True))
    for planes, target in zip(values, resized, strict=True):
        _resize(np.ascontiguousarray(planes), *rows, *columns, target)
    return resized


@lru_cache(maxsize=16)
def _taps(length: int, wanted: int, start: int, count: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Where each place of a part of the result takes from, (K, M), and the weights, (K, M).

    Weights are a triangle as wide as two places of the coarser of both grids, cut off at the borders; they sum to 1.
    """
    scale = np.float32(length / wanted)  # as torch, in whose numbers the models that ship were trained
    reach = max(scale, np.float32(1))
    centre = (np.arange(start, start + count, dtype=np.float32) + np.float32(0.5)) * scale
    first = np.maximum((centre - reach + np.float32(0.5)).astype(np.int64), 0)
    end = np.minimum((centre + reach + np.float32(0.5)).astype(np.int64), length)
    places = first + np.arange((end - first).max())[:, None]
    apart = np.abs(places.astype(np.float32) + np.float32(0.5) - centre)
    weights = np.maximum(1 - apart / reach, 0) * (places < end)
    return np.minimum(places, length - 1).astype(np.uint32), weights / weights.sum(axis=0)


@kernel
def _resize(
    planes: Any, row_places: Any, row_weights: Any, column_places: Any, column_weights: Any, resized: Any
) -> None:
    first, last = column_places.min(), column_places.max()
    line = np.empty(planes.shape[2], np.float32)
    for plane in range(len(planes)):
        for y in range(resized.shape[1]):
            line[first : last + 1] = 0
            for k in range(len(row_weights)):
                weight, source, used = row_weights[k, y], planes[plane, row_places[k, y]], line[first : last + 1]
                for x in range(len(used) if weight != 0 else 0):
                    used[x] += weight * np.float32(source[first + x])
            total = resized[plane, y]
            total[:] = 0
            for k in range(len(column_weights)):  # a loop each: the compiler's vectors then hold eight and more
                weights, places = column_weights[k], column_places[k]
                for x in range(len(total)):
                    total[x] += weights[x] * line[places[x]]
