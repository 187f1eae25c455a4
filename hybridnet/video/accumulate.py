"""Accumulation of motion vectors and residuals over a GOP (arXiv 2503.13724, equations 1 and 2).

With τ_t(i) the motion vector of pixel i of P-frame t, a pixel comes from μ_t(i) = i − τ_t(i) in frame t − 1. Following
it back to the I-frame, frame 0, gives

    Γ_t = μ_1 ∘ … ∘ μ_t,    so Γ_0(i) = i and Γ_t(i) = Γ_{t−1}(μ_t(i))
    Π_t(i) = i − Γ_t(i)                                                          (eq. 1)
    Δ_t(i) = Σ_{0<j<t} δ_j(Γ(t, j)(i)) + δ_t(i),    δ_j(i) = I_j(i) − I_{j−1}(μ_j(i))   (eq. 2)

where Γ(t, j) follows pixels from frame t to frame j only. The sum of eq. 2 telescopes to Δ_t(i) = I_t(i) − I_0(Γ_t(i)),
so that one gather from the I-frame replaces t of them, and I_t(i) = I_0(i − Π_t(i)) + Δ_t(i) holds to the last bit.

Gathers of 4 or 8 bytes are several times faster than gathers of 3, and contiguous arithmetic than strided: coordinates
and colours are kept packed in 32 bits a pixel, on a canvas of whole macroblocks.
"""

from __future__ import annotations

from itertools import product
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

CELL = 8
"""Side in pixels of a cell of the motion grid: FFmpeg exports no smaller block."""

MACROBLOCK = 16
"""Side in pixels of a macroblock; coded frames are whole macroblocks, so blocks may hang over the frame's edge."""

VECTOR = np.dtype(
    [("source", "i4"), ("w", "u1"), ("h", "u1"), ("src_x", "i2"), ("src_y", "i2"), ("dst_x", "i2"), ("dst_y", "i2")]
)
"""The fields of FFmpeg's `AVMotionVector` that are used."""

_T = TypeVar("_T", bound=np.generic)

Canvas = NDArray[np.int32]
"""Four bytes a pixel, H and W rounded up to whole macroblocks; what lies beyond the frame is undefined."""


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
    h, w = grid_shape(height, width)
    tau = np.zeros((h, w, 2), np.int16)
    inter = np.zeros((h, w), np.bool_)
    past = vectors if (vectors["source"] < 0).all() else vectors[vectors["source"] < 0]
    # The fields are 8 and 16 bit wide: widen before arithmetic.
    block_w, block_h = past["w"].astype(np.intp), past["h"].astype(np.intp)
    left = (past["dst_x"] - (block_w >> 1)) // CELL
    top = (past["dst_y"] - (block_h >> 1)) // CELL
    motion = np.stack([past["dst_x"] - past["src_x"], past["dst_y"] - past["src_y"]], axis=1)
    pairs, packed = motion.view(np.int32)[:, 0], tau.view(np.int32)[..., 0]  # x and y in one write
    for row, column in product(range(MACROBLOCK // CELL), repeat=2):
        y, x = top + row, left + column
        covered = (block_h > CELL * row) & (block_w > CELL * column) & (y >= 0) & (y < h) & (x >= 0) & (x < w)
        y, x = y[covered], x[covered]
        packed[y, x] = pairs[covered]
        inter[y, x] = True
    return tau.transpose(2, 0, 1), inter


def to_pixels(grid: NDArray[_T], height: int, width: int) -> NDArray[_T]:
    """Repeat every cell of a grid (…, h, w) over its 8×8 pixels and crop to (…, H, W)."""
    return grid.repeat(CELL, axis=-1).repeat(CELL, axis=-2)[..., :height, :width]


def pack(frame: NDArray[np.uint8], out: Canvas | None = None) -> Canvas:
    """Put a picture (3, H, W) on a canvas: three bytes of colour and an undefined fourth in each pixel."""
    _, height, width = frame.shape
    colours = np.empty(height * width * 3 + 1, np.uint8)  # a last pixel of four bytes ends beyond the picture
    colours[:-1].reshape(height, width, 3)[...] = frame.transpose(1, 2, 0)
    h, w = grid_shape(height, width)
    canvas = np.empty((h * CELL, w * CELL), np.int32) if out is None else out
    canvas[:height, :width] = np.ndarray((height, width), np.int32, colours, strides=(3 * width, 3))
    return canvas


class BackTrace:
    """Γ_t: for every pixel of P-frame t, the pixel of the I-frame that it stems from.

    Sources outside the frame are clamped to its edge, as the codec's unrestricted motion vectors are.

    Args:
        height: H in pixels, at most 8192.
        width: W in pixels, at most 8192.
    """

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        self._cells = grid_shape(height, width)
        rows, columns = (side * CELL for side in self._cells)
        self._stride = columns
        self._identity = np.arange(rows * columns).reshape(rows, columns)
        self._coordinates = np.empty((rows, columns, 2), np.int16)  # x then y
        self._coordinates[..., 0], self._coordinates[..., 1] = np.arange(columns), np.arange(rows)[:, None]
        # Memory that is touched for the first time costs more than the arithmetic on it: all of it is used again.
        self._source, *self._maps = (np.empty_like(self._identity) for _ in range(3))
        self._gathered = np.empty((rows, columns), np.int32)
        self._gamma = self._identity

    def reset(self) -> None:
        """Return to the I-frame: Γ_0(i) = i."""
        self._gamma = self._identity

    def step(self, tau: NDArray[np.int16]) -> None:
        """Advance by one P-frame: Γ_t(i) = Γ_{t−1}(i − τ_t(i)).

        Args:
            tau: τ_t on the grid of 8×8 cells in whole pixels, x then y, shape (2, h, w).
        """
        if not tau.any():
            return
        tau_x, tau_y = tau.astype(np.intp)
        offsets = (tau_y * self._stride + tau_x).repeat(CELL, axis=1)[:, None]
        bands = (self._cells[0], CELL, self._stride)
        np.subtract(self._identity.reshape(bands), offsets, out=self._source.reshape(bands))
        self._clamp(tau_x, tau_y)
        # All indices of the frame are inside it: mode="wrap" only spares numpy's check, and what is beyond is not used.
        self._gamma.take(self._source, mode="wrap", out=self._maps[0])
        self._gamma = self._maps[0]
        self._maps.reverse()

    def _clamp(self, tau_x: NDArray[np.intp], tau_y: NDArray[np.intp]) -> None:
        """Correct the sources of the cells that lie partly outside of the frame."""
        left, top = np.arange(self._cells[1]) * CELL, np.arange(self._cells[0])[:, None] * CELL
        far_x, far_y = self._width - 1, self._height - 1
        right, bottom = np.minimum(left + CELL - 1, far_x), np.minimum(top + CELL - 1, far_y)
        outside = (tau_x > left) | (tau_y > top) | (right - tau_x > far_x) | (bottom - tau_y > far_y)
        row, column = np.nonzero(outside)
        if len(row):
            side = np.arange(CELL)
            x = np.clip(left[column, None] + side - tau_x[row, column, None], 0, far_x)
            y = np.clip(top[row] + side - tau_y[row, column, None], 0, far_y)
            cells = self._source.reshape(self._cells[0], CELL, self._cells[1], CELL)
            cells[row, :, column] = y[:, :, None] * self._stride + x[:, None, :]

    def motion_vectors(self, out: NDArray[np.int16] | None = None) -> NDArray[np.int16]:
        """Π_t(i) = i − Γ_t(i) in pixels, x then y, shape (2, H, W).

        Args:
            out: Where to put them, shape (rows, columns, 2) of the canvas; a new array if None.
        """
        source = self._moved(self._coordinates.view(np.int32)[..., 0]).view(np.int16)
        return self.crop(np.subtract(self._coordinates, source, out=out))

    def warp(self, i_frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """I_0(Γ_t(i)): the I-frame (3, H, W), moved to where frame t shows it; same shape."""
        return self.crop(self._moved(pack(i_frame)).view(np.uint8))[:3].copy()

    def residual(self, frame: NDArray[np.uint8], i_frame: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Δ_t(i) = I_t(i) − I_0(Γ_t(i)) in grey levels, −255 to 255, of frames (3, H, W); same shape."""
        return self.packed_residual(pack(frame), pack(i_frame))

    def packed_residual(
        self, frame: Canvas, i_frame: Canvas, out: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """As `residual`, of pictures on canvases; shape (3, H, W).

        Args:
            frame: I_t.
            i_frame: I_0.
            out: Where to put it, shape (rows, columns, 4) of the canvas; a new array if None.
        """
        moved = self._moved(i_frame).view(np.uint8)
        return self.crop(np.subtract(frame[..., None].view(np.uint8), moved, out=out, dtype=np.int16))[:3]

    def _moved(self, canvas: Canvas) -> NDArray[np.int32]:
        """What each pixel stems from, shape (rows, columns, 1); valid until the next call."""
        return canvas.take(self._gamma, mode="wrap", out=self._gathered)[..., None]

    @property
    def canvas_shape(self) -> tuple[int, int]:
        """Rows and columns of the canvas in pixels."""
        return self._gathered.shape

    def crop(self, canvas: NDArray[Any]) -> NDArray[Any]:
        """The frame's part of (…, rows, columns, C), channels first: (…, C, H, W); not copied."""
        return np.moveaxis(canvas[..., : self._height, : self._width, :], -1, -3)
