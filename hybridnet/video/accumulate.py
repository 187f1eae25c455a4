"""Accumulation of motion vectors and residuals over a GOP (arXiv 2503.13724, equations 1 and 2).

With τ_t(i) the motion vector of pixel i of P-frame t, a pixel comes from μ_t(i) = i − τ_t(i) in frame t − 1. Following
it back to the I-frame, frame 0, gives

    Γ_t = μ_1 ∘ … ∘ μ_t,    so Γ_0(i) = i and Γ_t(i) = Γ_{t−1}(μ_t(i))
    Π_t(i) = i − Γ_t(i)                                                          (eq. 1)
    Δ_t(i) = Σ_{0<j<t} δ_j(Γ(t, j)(i)) + δ_t(i),    δ_j(i) = I_j(i) − I_{j−1}(μ_j(i))   (eq. 2)

where Γ(t, j) follows pixels from frame t to frame j only. The sum of eq. 2 telescopes to Δ_t(i) = I_t(i) − I_0(Γ_t(i)),
so that one gather from the I-frame replaces t of them, and I_t(i) = I_0(i − Π_t(i)) + Δ_t(i) holds to the last bit.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

CELL = 8
"""Side in pixels of a cell of the motion grid: FFmpeg exports no smaller block."""

MACROBLOCK = 16
"""Side in pixels of a macroblock; coded frames are whole macroblocks, so blocks may hang over the frame's edge."""

ROW_BITS = 16
"""A source pixel is one int32, row << 16 | column: one gather moves both coordinates."""


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
    h, w = (-(-side // MACROBLOCK) * (MACROBLOCK // CELL) for side in (height, width))
    tau = np.zeros((2, h, w), np.int16)
    inter = np.zeros((h, w), np.bool_)
    past = vectors[vectors["source"] < 0]
    # The fields are 8 and 16 bit wide: widen before arithmetic.
    block_w, block_h = past["w"].astype(np.intp), past["h"].astype(np.intp)
    left = (past["dst_x"] - block_w // 2) // CELL
    top = (past["dst_y"] - block_h // 2) // CELL
    for row, column in product(range(MACROBLOCK // CELL), repeat=2):
        y, x = top + row, left + column
        covered = (block_h > CELL * row) & (block_w > CELL * column) & (y >= 0) & (y < h) & (x >= 0) & (x < w)
        y, x = y[covered], x[covered]
        tau[0, y, x] = (past["dst_x"] - past["src_x"])[covered]
        tau[1, y, x] = (past["dst_y"] - past["src_y"])[covered]
        inter[y, x] = True
    return tau, inter


def to_pixels(grid: NDArray[np.generic], height: int, width: int) -> NDArray[np.generic]:
    """Repeat every cell of a grid (…, h, w) over its 8×8 pixels and crop to (…, H, W)."""
    return grid.repeat(CELL, axis=-2).repeat(CELL, axis=-1)[..., :height, :width]


class BackTrace:
    """Γ_t: for every pixel of P-frame t, the pixel of the I-frame that it stems from.

    Sources outside the frame are clamped to its edge, as the codec's unrestricted motion vectors are.

    Args:
        height: H in pixels, at most 8192.
        width: W in pixels, at most 8192.
    """

    def __init__(self, height: int, width: int) -> None:
        self._rows = np.arange(height, dtype=np.int16)[:, None]
        self._columns = np.arange(width, dtype=np.int16)[None, :]
        self._height, self._width = height, width
        self._gamma: NDArray[np.int32] = self._rows.astype(np.int32) << ROW_BITS | self._columns

    def step(self, tau: NDArray[np.int16]) -> None:
        """Advance by one P-frame: Γ_t(i) = Γ_{t−1}(i − τ_t(i)).

        Args:
            tau: τ_t on the grid of 8×8 cells in whole pixels, x then y, shape (2, h, w).
        """
        if not tau.any():
            return
        # A vector longer than the frame ends at its edge anyway; the bound keeps i − τ within 16 bits.
        limit = np.array([self._width, self._height], np.int16)[:, None, None]
        tau_x, tau_y = to_pixels(np.clip(tau, -limit, limit), self._height, self._width)
        x = np.clip(self._columns - tau_x, 0, self._width - 1)
        y = np.clip(self._rows - tau_y, 0, self._height - 1)
        # All indices are inside: mode="wrap" only spares numpy's check.
        self._gamma = self._gamma.take(y.astype(np.int32) * self._width + x, mode="wrap")

    def motion_vectors(self) -> NDArray[np.int16]:
        """Π_t(i) = i − Γ_t(i) in pixels, x then y, shape (2, H, W)."""
        source_x, source_y = self._source()
        return np.stack([self._columns - source_x, self._rows - source_y]).astype(np.int16)

    def warp(self, i_frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """I_0(Γ_t(i)): the I-frame (C, H, W), moved to where frame t shows it; same shape."""
        source_x, source_y = self._source()
        flat = i_frame.reshape(len(i_frame), -1)
        return flat.take(source_y * self._width + source_x, axis=1, mode="wrap")

    def residual(self, frame: NDArray[np.uint8], i_frame: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Δ_t(i) = I_t(i) − I_0(Γ_t(i)) in grey levels, −255 to 255, of frames (C, H, W); same shape."""
        return np.subtract(frame, self.warp(i_frame), dtype=np.int16)

    def _source(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        return self._gamma & ((1 << ROW_BITS) - 1), self._gamma >> ROW_BITS
