"""A GOP frame by frame: what the codec says of each P-frame, and what accumulates from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hybridnet.video.accumulate import References, interleaved
from hybridnet.video.grid import to_pixels


@dataclass(frozen=True, eq=False)
class PFrame:
    """A P-frame; H and W are those of the file, and h and w the cells of 8×8 pixels that cover whole macroblocks.

    What costs time per pixel is computed when it is first asked for. `torch.from_numpy` takes every array as it is.

    Attributes:
        position: Place in the GOP, 1 to T; the I-frame's is 0.
        rgb: Decoded picture, uint8, shape (3, H, W).
        cells: τ, whole pixels, x then y, on the grid: int16, shape (2, h, w).
        inter_cells: Which cells were predicted from the frame before, shape (h, w); elsewhere τ = 0.
        has_vectors: Whether the decoder gave any; if not, the frame is all intra or its vectors were lost.
        corrupt: Whether it is damaged.
    """

    position: int
    rgb: NDArray[np.uint8]
    cells: NDArray[np.int16]
    inter_cells: NDArray[np.bool_]
    has_vectors: bool
    corrupt: bool
    _i_frame: NDArray[np.uint8] = field(repr=False)
    _previous: NDArray[np.uint8] = field(repr=False)
    _taus: tuple[NDArray[np.int16], ...] = field(repr=False)

    @cached_property
    def tau(self) -> NDArray[np.int16]:
        """τ of every pixel, x then y: it comes from i − τ(i) of the frame before; shape (2, H, W)."""
        return to_pixels(self.cells, *self.rgb.shape[1:])

    @cached_property
    def inter(self) -> NDArray[np.bool_]:
        """Which pixels were predicted from the frame before, shape (H, W)."""
        return to_pixels(self.inter_cells, *self.rgb.shape[1:])

    @cached_property
    def motion_vectors(self) -> NDArray[np.int16]:
        """Accumulated motion vectors Π in pixels, x then y, shape (2, H, W)."""
        return self._references.motion_vectors()

    @cached_property
    def residual(self) -> NDArray[np.int16]:
        """δ(i) = I_t(i) − I_{t−1}(i − τ(i)) in grey levels, −255 to 255, shape (3, H, W)."""
        one_step = References(*self.rgb.shape[1:])
        one_step.start(interleaved(self._previous))
        one_step.step(self.cells)
        return one_step.residual(interleaved(self.rgb))

    @cached_property
    def accumulated_residual(self) -> NDArray[np.int16]:
        """Δ(i) = I_t(i) − I_0(i − Π(i)) in grey levels, −255 to 255, shape (3, H, W)."""
        return self._references.residual(interleaved(self.rgb))

    @cached_property
    def _references(self) -> References:
        references = References(*self.rgb.shape[1:])
        references.start(interleaved(self._i_frame))
        for tau in self._taus:
            references.step(tau)
        return references


@dataclass(frozen=True, eq=False)
class Gop:
    """An I-frame and its P-frames as they are coded: not turned upright.

    Attributes:
        index: 0 to `Clip.gop_count` − 1.
        i_frame: RGB, shape (3, H, W), 0 to 255.
        p_frames: The T P-frames, in order.
        corrupt: Whether a frame of it is damaged.
    """

    index: int
    i_frame: NDArray[np.uint8]
    p_frames: tuple[PFrame, ...]
    corrupt: bool

    def __len__(self) -> int:
        return len(self.p_frames)

    def __iter__(self) -> Iterator[PFrame]:
        return iter(self.p_frames)
