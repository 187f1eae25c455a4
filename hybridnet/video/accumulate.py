"""Accumulation of motion vectors and residuals over a GOP (arXiv 2503.13724, equations 1 and 2).

With τ_t(i) the motion vector of pixel i of P-frame t, a pixel comes from μ_t(i) = i − τ_t(i) in frame t − 1. Following
it back to the I-frame, frame 0, gives

    Γ_t = μ_1 ∘ … ∘ μ_t,    so Γ_0(i) = i and Γ_t(i) = Γ_{t−1}(μ_t(i))
    Π_t(i) = i − Γ_t(i)                                                          (eq. 1)
    Δ_t(i) = Σ_{0<j<t} δ_j(Γ(t, j)(i)) + δ_t(i),    δ_j(i) = I_j(i) − I_{j−1}(μ_j(i))   (eq. 2)

where Γ(t, j) follows pixels from frame t to frame j only. The sum of eq. 2 telescopes to Δ_t(i) = I_t(i) − I_0(Γ_t(i)),
so that one gather from the I-frame replaces t of them, and I_t(i) = I_0(i − Π_t(i)) + Δ_t(i) holds to the last bit.

Every step is one compiled pass over the frame. Γ_t is kept in 32 bits a pixel, (y << 16) + x.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, TypeVar

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
"""The fields of FFmpeg's `AVMotionVector` that are used."""

_T = TypeVar("_T", bound=np.generic)

Picture = NDArray[np.uint8]
"""Colours as FFmpeg lays them out, R, G, B, R, G, B …: shape (H, line), a line at least 3·W bytes long, contiguous."""


class Window(NamedTuple):
    """A rectangle of a frame, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


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
    vectors = vectors.view()
    vectors.flags.writeable = False  # as FFmpeg's are: one type for the compiler
    source, w, h, src_x, src_y, dst_x, dst_y = (vectors[field] for field in VECTOR.names or ())
    _spread(tau, inter, source, w, h, src_x, src_y, dst_x, dst_y)
    return tau, inter


@kernel
def _spread(tau: Any, inter: Any, source: Any, w: Any, h: Any, src_x: Any, src_y: Any, dst_x: Any, dst_y: Any) -> None:
    rows, columns = inter.shape
    for n in range(len(source)):
        if source[n] < 0:
            top, left = (dst_y[n] - h[n] // 2) // CELL, (dst_x[n] - w[n] // 2) // CELL
            for row in range(max(top, 0), min(top + 1 + (h[n] > CELL), rows)):
                for column in range(max(left, 0), min(left + 1 + (w[n] > CELL), columns)):
                    tau[0, row, column] = dst_x[n] - src_x[n]
                    tau[1, row, column] = dst_y[n] - src_y[n]
                    inter[row, column] = True


def to_pixels(grid: NDArray[_T], height: int, width: int) -> NDArray[_T]:
    """Repeat every cell of a grid (…, h, w) over its 8×8 pixels and crop to (…, H, W)."""
    return grid.repeat(CELL, axis=-1).repeat(CELL, axis=-2)[..., :height, :width]


def interleaved(frame: NDArray[np.uint8]) -> Picture:
    """A frame (3, H, W) in FFmpeg's layout."""
    return np.ascontiguousarray(frame.transpose(1, 2, 0)).reshape(frame.shape[1], -1)


def planar(picture: Picture, window: Window) -> NDArray[np.uint8]:
    """A part of a picture as (3, H, W), copied."""
    rows = picture[window.top : window.top + window.height, 3 * window.left : 3 * (window.left + window.width)]
    return np.ascontiguousarray(rows.reshape(window.height, window.width, 3).transpose(2, 0, 1))


class References:
    """Γ_t: for every pixel of P-frame t, the pixel of the I-frame that it stems from.

    Sources outside the frame are clamped to its edge, as the codec's unrestricted motion vectors are.

    Args:
        height: H in pixels, at most 8192.
        width: W in pixels, at most 8192.
    """

    def __init__(self, height: int, width: int) -> None:
        rows, columns = np.arange(height, dtype=np.uint32), np.arange(width, dtype=np.uint32)
        self._identity = (rows[:, None] << 16) + columns
        self._before, self._gamma = np.empty_like(self._identity), self._identity.copy()

    def reset(self) -> None:
        """Return to the I-frame: Γ_0(i) = i."""
        self._gamma[...] = self._identity

    def step(self, tau: NDArray[np.int16]) -> None:
        """Advance by one P-frame: Γ_t(i) = Γ_{t−1}(i − τ_t(i)).

        Args:
            tau: τ_t on the grid of 8×8 cells in whole pixels, x then y, shape (2, h, w).
        """
        self._before, self._gamma = self._gamma, self._before
        _follow(self._before, tau, self._gamma)

    def motion_vectors(self) -> NDArray[np.int16]:
        """Π_t(i) = i − Γ_t(i) in pixels, x then y, shape (2, H, W)."""
        out = np.empty((2, *self._gamma.shape), np.int16)
        _displacement(self._gamma, 0, 0, out)
        return out

    def residual(self, frame: Picture, i_frame: Picture) -> NDArray[np.int16]:
        """Δ_t(i) = I_t(i) − I_0(Γ_t(i)) in grey levels, −255 to 255, shape (3, H, W)."""
        out = np.empty((3, *self._gamma.shape), np.int16)
        _difference(frame, i_frame, self._gamma, 0, 0, out)
        return out

    def view(
        self,
        taus: NDArray[np.int16],
        pictures: tuple[Picture, ...],
        window: Window,
        motion_vectors: NDArray[np.int16],
        residuals: NDArray[np.int16],
        *,
        accumulate: bool,
    ) -> None:
        """Π_t and Δ_t of all P-frames of a GOP, or τ_t and δ_t, in one call, during which other threads run.

        It starts at the I-frame, whatever was traced before, and leaves Γ undefined until the next `reset`.

        Args:
            taus: τ_1 to τ_T on the grid, (T, 2, h, w).
            pictures: I_0 to I_T.
            window: The part of the frame to compute.
            motion_vectors: Where to put Π, (T, 2, H, W) of the window.
            residuals: Where to put Δ, (T, 3, H, W) of the window.
            accumulate: If not, every P-frame refers to the frame before.
        """
        top, left, _, _ = window
        buffers = self._identity, self._before, self._gamma
        accumulate_view(taus, pictures, *buffers, top, left, motion_vectors, residuals, accumulate)

    def warp(self, i_frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """I_0(Γ_t(i)): the I-frame (3, H, W), moved to where frame t shows it; same shape."""
        return i_frame[:, self._gamma >> 16, self._gamma & 0xFFFF]


@cache
def load_kernels(steps: int) -> None:
    """Compile the loops, or load what an earlier process compiled, before the first view of T steps is timed."""
    references, picture = References(CELL, CELL), interleaved(np.zeros((3, CELL, CELL), np.uint8))
    references.step(mv_grid(np.zeros(2, VECTOR), CELL, CELL)[0])
    references.motion_vectors()
    references.residual(picture, picture)
    window = Window(0, 0, CELL, CELL)
    motion, residuals = (np.zeros((steps, channels, CELL, CELL), np.int16) for channels in (2, 3))
    tau = np.zeros((steps, 2, *grid_shape(CELL, CELL)), np.int16)
    references.view(tau, (picture,) * (steps + 1), window, motion, residuals, accumulate=True)


@kernel
def _follow(before: Any, tau: Any, after: Any) -> None:
    height, width = after.shape
    for y in range(height):
        for left in range(0, width, CELL):
            tau_x, tau_y = tau[0, y // CELL, left // CELL], tau[1, y // CELL, left // CELL]
            source_y = min(max(y - tau_y, 0), height - 1)
            if left + CELL <= width and left - tau_x >= 0 and left + CELL - tau_x <= width:
                for x in range(left, left + CELL):  # wholly inside: nothing to clamp, and the compiler copies at once
                    after[y, x] = before[source_y, x - tau_x]
            else:
                for x in range(left, min(left + CELL, width)):
                    after[y, x] = before[source_y, min(max(x - tau_x, 0), width - 1)]


@kernel
def _displacement(gamma: Any, top: int, left: int, out: Any) -> None:
    _, height, width = out.shape
    for y in range(height):
        source = gamma[top + y, left : left + width]
        for x in range(width):
            out[0, y, x] = left + x - (source[x] & 0xFFFF)
            out[1, y, x] = top + y - (source[x] >> 16)


@kernel
def _difference(frame: Any, i_frame: Any, gamma: Any, top: int, left: int, out: Any) -> None:
    _, height, width = out.shape
    for y in range(height):
        here, source = frame[top + y, 3 * left : 3 * (left + width)], gamma[top + y, left : left + width]
        for x in range(width):
            there = i_frame[source[x] >> 16]
            column = 3 * (source[x] & 0xFFFF)
            out[0, y, x] = np.int16(here[3 * x]) - np.int16(there[column])
            out[1, y, x] = np.int16(here[3 * x + 1]) - np.int16(there[column + 1])
            out[2, y, x] = np.int16(here[3 * x + 2]) - np.int16(there[column + 2])


@kernel
def accumulate_view(
    taus: Any,
    pictures: Any,
    identity: Any,
    before: Any,
    gamma: Any,
    top: int,
    left: int,
    motion_vectors: Any,
    residuals: Any,
    accumulate: bool,
) -> None:
    """Π and Δ of all P-frames of a view; arguments as `References.view` names them, its buffers among them."""
    gamma[:] = identity
    for t in range(len(taus)):
        before, gamma = gamma, before
        _follow(before if accumulate else identity, taus[t], gamma)
        _displacement(gamma, top, left, motion_vectors[t])
        _difference(pictures[t + 1], pictures[0 if accumulate else t], gamma, top, left, residuals[t])
