"""What FFmpeg tells of a frame's motion vectors, on a grid of 8×8 cells."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hybridnet.support.kernels import kernel

CELL = 8
"""Side in pixels of a cell of the motion grid: FFmpeg exports no smaller block."""

MACROBLOCK = 16
"""Side in pixels of a macroblock; coded frames are whole macroblocks, so blocks may hang over the frame's edge."""

VECTOR = np.dtype(
    [("source", "i4"), ("w", "u1"), ("h", "u1"), ("src_x", "i2"), ("src_y", "i2"), ("dst_x", "i2"), ("dst_y", "i2")]
)
"""The fields of FFmpeg's `AVMotionVector` that are used; others follow."""

_T = TypeVar("_T", bound=np.generic)


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """Cells that cover H × W pixels in whole macroblocks: rows, columns."""
    return -(-height // MACROBLOCK) * (MACROBLOCK // CELL), -(-width // MACROBLOCK) * (MACROBLOCK // CELL)


def mv_grid(vectors: NDArray[np.void], height: int, width: int) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Spread FFmpeg's list of motion vectors over a grid of 8×8 cells.

    A vector holds for its block of 8 or 16 pixels a side; cells that no vector covers are intra coded and have τ = 0.
    Vectors that predict from a later frame (B-frames) are left out.

    Args:
        vectors: Structured array of FFmpeg's `AVMotionVector`, shape (n,); `dst` is the centre of the block.
        height: H of the frame in pixels.
        width: W of the frame in pixels.

    Returns:
        τ = dst − src in whole pixels, x then y, shape (2, h, w), and the mask of inter-coded cells, shape (h, w), where
        h and w cover H and W in whole macroblocks.
    """
    tau = np.zeros((2, *grid_shape(height, width)), np.int16)
    inter = np.zeros(tau.shape[1:], np.bool_)
    if not len(vectors):
        return tau, inter
    halves = vectors.view(np.int16).reshape(len(vectors), -1)
    halves.flags.writeable = False  # as FFmpeg's are: one type for the compiler
    _spread(halves, tau, inter)
    return tau, inter


@kernel
def _spread(vectors: Any, tau: Any, inter: Any) -> None:
    """Vectors are the fields of `VECTOR` in halves of 16 bits: one array costs less to hand over than one for each."""
    rows, columns = inter.shape
    for n in range(len(vectors)):
        source, _, sides, src_x, src_y, dst_x, dst_y = vectors[n, :7]
        w, h = sides & 0xFF, sides >> 8 & 0xFF
        if source < 0:
            top, left = (dst_y - h // 2) // CELL, (dst_x - w // 2) // CELL
            for row in range(max(top, 0), min(top + 1 + (h > CELL), rows)):
                for column in range(max(left, 0), min(left + 1 + (w > CELL), columns)):
                    tau[0, row, column] = dst_x - src_x
                    tau[1, row, column] = dst_y - src_y
                    inter[row, column] = True


def to_pixels(grid: NDArray[_T], height: int, width: int) -> NDArray[_T]:
    """Repeat every cell of a grid (…, h, w) over its 8×8 pixels and crop to (…, H, W)."""
    return grid.repeat(CELL, axis=-1).repeat(CELL, axis=-2)[..., :height, :width]
