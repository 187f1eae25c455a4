"""Antialiased bilinear resizing, as of `torch.nn.functional.interpolate` and of Pillow, to a window of the result."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridnet.support.kernels import kernel


def resize(values: NDArray[Any], size: tuple[int, int], corner: tuple[int, int], side: int) -> NDArray[np.float32]:
    """Resize planes and keep a square of the result.

    Args:
        values: (N, C, H, W).
        size: Height and width of the whole result.
        corner: First row and column of the square.
        side: Side of the square, S.

    Returns:
        (N, C, S, S), float32.
    """
    planes = np.ascontiguousarray(values, np.float32).reshape(-1, *values.shape[-2:])
    rows, columns = (_taps(*each, side) for each in zip(values.shape[-2:], size, corner, strict=True))
    resized = np.empty((len(planes), side, side), np.float32)
    _resize(planes, *rows, *columns, resized)
    return resized.reshape(*values.shape[:2], side, side)


@lru_cache(maxsize=16)
def _taps(length: int, wanted: int, start: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Per place of a part of the result where it takes from first, (M,), and the weights from there on, (M, K).

    Weights are a triangle as wide as two places of the coarser of both grids, cut off at the borders; they sum to 1.
    """
    scale = np.float32(length / wanted)  # as torch, in whose numbers the models that ship were trained
    reach = max(scale, np.float32(1))
    centre = (np.arange(start, start + count, dtype=np.float32) + np.float32(0.5)) * scale
    first = np.maximum((centre - reach + np.float32(0.5)).astype(np.int64), 0)
    end = np.minimum((centre + reach + np.float32(0.5)).astype(np.int64), length)
    places = first[:, None] + np.arange((end - first).max())
    apart = np.abs(places.astype(np.float32) + np.float32(0.5) - centre[:, None])
    weights = np.maximum(1 - apart / reach, 0) * (places < end[:, None])
    return first, weights / weights.sum(axis=1, keepdims=True)


@kernel
def _resize(
    planes: Any, row_first: Any, row_weights: Any, column_first: Any, column_weights: Any, resized: Any
) -> None:
    line = np.empty(planes.shape[2], np.float32)
    for plane in range(len(planes)):
        for y in range(len(row_first)):
            line[:] = 0
            for k in range(row_weights.shape[1]):
                weight = row_weights[y, k]
                if weight != 0:
                    source = planes[plane, row_first[y] + k]
                    for x in range(len(line)):
                        line[x] += weight * source[x]
            for x in range(len(column_first)):
                total, first = np.float32(0), column_first[x]
                for k in range(column_weights.shape[1]):
                    if column_weights[x, k] != 0:
                        total += column_weights[x, k] * line[first + k]
                resized[plane, y, x] = total
