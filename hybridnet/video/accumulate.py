"""Accumulation of motion vectors and residuals over a GOP (arXiv 2503.13724, equations 1 and 2).

With τ_t(i) the motion vector of pixel i of P-frame t, a pixel comes from μ_t(i) = i − τ_t(i) in frame t − 1. Following
it back to the I-frame, frame 0, gives

    Γ_t = μ_1 ∘ … ∘ μ_t,    so Γ_0(i) = i and Γ_t(i) = Γ_{t−1}(μ_t(i))
    Π_t(i) = i − Γ_t(i)                                                          (eq. 1)
    Δ_t(i) = Σ_{0<j<t} δ_j(Γ(t, j)(i)) + δ_t(i),    δ_j(i) = I_j(i) − I_{j−1}(μ_j(i))   (eq. 2)

where Γ(t, j) follows pixels from frame t to frame j only. The sum of eq. 2 telescopes to Δ_t(i) = I_t(i) − I_0(Γ_t(i)),
so that I_t(i) = I_0(i − Π_t(i)) + Δ_t(i) holds to the last bit.

Both follow from frame to frame, with M_t = I_0 ∘ Γ_t the I-frame moved to where frame t shows it:

    Π_t(i) = i − μ_t(i) + Π_{t−1}(μ_t(i)),    M_t(i) = M_{t−1}(μ_t(i)),    Δ_t = I_t − M_t

so that nothing is gathered pixel by pixel: neighbouring blocks of one vector are moved as one run of each line.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybridnet.support.kernels import inlined, shared_kernel
from hybridnet.video.grid import CELL, VECTOR, grid_shape, mv_grid

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


def interleaved(frame: NDArray[np.uint8]) -> Picture:
    """A frame (3, H, W) in FFmpeg's layout."""
    return np.ascontiguousarray(frame.transpose(1, 2, 0)).reshape(frame.shape[1], -1)


def planar(picture: Picture, window: Window) -> NDArray[np.uint8]:
    """A part of a picture as (3, H, W), copied."""
    rows = picture[window.top : window.top + window.height, 3 * window.left : 3 * (window.left + window.width)]
    return np.ascontiguousarray(rows.reshape(window.height, window.width, 3).transpose(2, 0, 1))


class References:
    """Π_t and M_t: where in the I-frame every pixel of P-frame t stems from, and how the I-frame looks moved there.

    Sources outside the frame are clamped to its edge, as the codec's unrestricted motion vectors are.

    Args:
        height: H in pixels, at most 8192.
        width: W in pixels, at most 8192.
    """

    def __init__(self, height: int, width: int) -> None:
        self._all = Window(0, 0, height, width)
        self._rest = np.zeros((2, height, width), np.int16)
        self._rooms = tuple(np.empty((2, 2, height, width), np.int16))
        self._moved, self._moved_before = np.empty((2, height, 3 * width), np.uint8)
        self._ends = np.empty(-(-width // CELL) + 1, np.int64)
        self.start()

    def start(self, i_frame: Picture | None = None) -> None:
        """Begin at an I-frame: Π_0 = 0 and M_0 = I_0. Without its picture there are no residuals."""
        self._motion = self._rest
        self._has_picture = i_frame is not None
        if i_frame is not None:
            self._moved[:] = i_frame[:, : self._moved.shape[1]]

    def step(
        self, tau: NDArray[np.int16], part: Window | None = None, motion_vectors: NDArray[np.int16] | None = None
    ) -> None:
        """Advance by one P-frame.

        Args:
            tau: τ_t on the grid of 8×8 cells in whole pixels, x then y, shape (2, h, w).
            part: The part of the frame that is wanted, see `parts`; all of it if None.
            motion_vectors: Where to put Π_t of the frame, (2, H, W), to be left alone until the next step; None for
                memory of its own.
        """
        before, moved_before = self._motion, self._moved
        if motion_vectors is None:
            motion_vectors = self._rooms[before is self._rooms[0]]
        self._motion, self._moved, self._moved_before = motion_vectors, self._moved_before, moved_before
        top, left, height, width = part or self._all
        _follow(before, moved_before, tau, top, left, height, width, self._has_picture, self._ends,
                self._motion, self._moved)  # fmt: skip

    def motion_vectors(self, window: Window | None = None) -> NDArray[np.int16]:
        """Π_t(i) = i − Γ_t(i) in pixels, x then y, shape (2, H, W) of the window; a copy."""
        rows, columns = (window or self._all).slices
        return self._motion[:, rows, columns].copy()

    def residual(
        self, frame: Picture, window: Window | None = None, out: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """Δ_t(i) = I_t(i) − I_0(Γ_t(i)) in grey levels, −255 to 255, shape (3, H, W) of the window."""
        top, left, height, width = window or self._all
        if out is None:
            out = np.empty((3, height, width), np.int16)
        _difference(frame, self._moved, top, left, out)
        return out


def parts(taus: NDArray[np.int16], window: Window, height: int, width: int) -> list[Window]:
    """The part of each P-frame from which what a window shows stems, the window included.

    Args:
        taus: τ_1 to τ_T on the grid, (T, 2, h, w).
        window: What is to be shown of every P-frame.
        height: H of the frame in pixels.
        width: W of the frame in pixels.
    """
    if window == (0, 0, height, width):
        return [window] * len(taus)
    found = np.empty((len(taus), 4), np.int64)
    _trace(taus, *window, height, width, found)
    return [Window(*row) for row in found.tolist()]


@cache
def load_kernels() -> None:
    """Compile the loops, or load what an earlier process compiled, before the first view is timed."""
    references, picture = References(CELL, CELL), interleaved(np.zeros((3, CELL, CELL), np.uint8))
    references.start(picture)
    references.step(mv_grid(np.zeros(2, VECTOR), CELL, CELL)[0])
    references.residual(picture)
    parts(np.zeros((1, 2, *grid_shape(CELL, CELL)), np.int16), Window(1, 1, 1, 1), CELL, CELL)


@shared_kernel
def _follow(
    motion_before: Any, moved_before: Any, tau: Any, top: int, left: int, height: int, width: int, has_picture: bool,
    ends: Any, motion: Any, moved: Any,
) -> None:  # fmt: skip
    """Π_t and M_t in a part of the frame; `ends` is room for where runs of cells with the same vector end."""
    frame_height, frame_width = motion.shape[1], motion.shape[2]
    first_column, last_column = left // CELL, (left + width - 1) // CELL
    for row in range(top // CELL, (top + height - 1) // CELL + 1):
        taus_x, taus_y = tau[0, row], tau[1, row]
        runs = _runs(taus_x, taus_y, first_column, last_column, ends)
        for y in range(max(row * CELL, top), min((row + 1) * CELL, top + height)):
            start = first_column
            for run in range(runs):
                tau_x, tau_y = np.int64(taus_x[start]), np.int64(taus_y[start])
                source_y = min(max(y - tau_y, 0), frame_height - 1)
                a, d = start * CELL, min(ends[run] * CELL, frame_width)
                # From a to b the source is left of the frame, from c to d right of it.
                b = min(max(tau_x, a), d)
                c = max(min(frame_width + tau_x, d), b)
                _edge(motion_before, moved_before, y, source_y, a, b, 0, has_picture, motion, moved)
                _inside(motion_before, moved_before, y, source_y, b, c, tau_x, has_picture, motion, moved)
                _edge(motion_before, moved_before, y, source_y, c, d, frame_width - 1, has_picture, motion, moved)
                start = ends[run]


@inlined
def _runs(taus_x: Any, taus_y: Any, first: int, last: int, ends: Any) -> int:
    """Where runs of cells with the same vector end, and how many there are."""
    runs = 0
    for column in range(first + 1, last + 1):
        if taus_x[column] != taus_x[column - 1] or taus_y[column] != taus_y[column - 1]:
            ends[runs] = column
            runs += 1
    ends[runs] = last + 1
    return runs + 1


@inlined
def _inside(
    motion_before: Any, moved_before: Any, y: int, source_y: int, start: int, end: int, tau_x: Any, has_picture: bool,
    motion: Any, moved: Any,
) -> None:  # fmt: skip
    """Columns of a line that come from as many side by side."""
    source_start, source_end = start - tau_x, end - tau_x
    x_before, x = motion_before[0, source_y, source_start:source_end], motion[0, y, start:end]
    for n in range(len(x)):  # a loop each: the compiler's vectors then hold eight and more
        x[n] = x_before[n] + tau_x
    y_before, y_ = motion_before[1, source_y, source_start:source_end], motion[1, y, start:end]
    for n in range(len(y_)):
        y_[n] = y_before[n] + (y - source_y)
    if has_picture:
        before, after = moved_before[source_y, 3 * source_start : 3 * source_end], moved[y, 3 * start : 3 * end]
        for n in range(len(after)):
            after[n] = before[n]


@inlined
def _edge(
    motion_before: Any, moved_before: Any, y: int, source_y: int, start: int, end: int, source_x: int,
    has_picture: bool, motion: Any, moved: Any,
) -> None:  # fmt: skip
    """Columns of a line that all come from one pixel at the frame's edge."""
    for x in range(start, end):
        motion[0, y, x] = motion_before[0, source_y, source_x] + (x - source_x)
        motion[1, y, x] = motion_before[1, source_y, source_x] + (y - source_y)
        if has_picture:
            for colour in range(3):
                moved[y, 3 * x + colour] = moved_before[source_y, 3 * source_x + colour]


@shared_kernel
def _difference(frame: Any, moved: Any, top: int, left: int, out: Any) -> None:
    width = out.shape[2]
    for y in range(out.shape[1]):
        here, there = frame[top + y, 3 * left : 3 * (left + width)], moved[top + y, 3 * left : 3 * (left + width)]
        red, green, blue = out[0, y], out[1, y], out[2, y]
        for x in range(width):
            red[x] = np.int16(here[3 * x]) - np.int16(there[3 * x])
            green[x] = np.int16(here[3 * x + 1]) - np.int16(there[3 * x + 1])
            blue[x] = np.int16(here[3 * x + 2]) - np.int16(there[3 * x + 2])


@shared_kernel
def _trace(
    taus: Any, top: int, left: int, height: int, width: int, frame_height: int, frame_width: int, found: Any
) -> None:
    """See `parts`."""
    y_start, x_start, y_end, x_end = top, left, top + height, left + width
    for t in range(len(taus) - 1, -1, -1):
        part = found[t]
        part[0], part[1], part[2], part[3] = y_start, x_start, y_end - y_start, x_end - x_start
        first_y, last_y, first_x, last_x = y_start, y_end - 1, x_start, x_end - 1
        y_start, x_start, y_end, x_end = top, left, top + height, left + width
        for row in range(first_y // CELL, last_y // CELL + 1):
            for column in range(first_x // CELL, last_x // CELL + 1):
                tau_x: Any = np.int64(taus[t, 0, row, column])
                tau_y: Any = np.int64(taus[t, 1, row, column])
                y_start = min(y_start, max(max(row * CELL, first_y) - tau_y, 0), frame_height - 1)
                y_end = max(y_end, min(min(row * CELL + CELL - 1, last_y) - tau_y, frame_height - 1) + 1, 1)
                x_start = min(x_start, max(column * CELL - tau_x, 0), frame_width - 1)
                x_end = max(x_end, min(column * CELL + CELL - 1 - tau_x, frame_width - 1) + 1, 1)
