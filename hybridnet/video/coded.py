"""A decoded frame, taken apart into what the reader works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from hybridnet.video.accumulate import Picture, Window, planar
from hybridnet.video.grid import VECTOR, mv_grid
from hybridnet.video.structure import kind_of


@dataclass(frozen=True, eq=False)
class CodedFrame:
    """What the reader needs of a frame.

    Attributes:
        height: H in pixels.
        width: W in pixels.
        kind: I, P, B, S or ?.
        corrupt: Whether the decoder found it damaged.

    All else is taken out of the decoded frame by the thread that asks for it, since decoding takes the most time.
    """

    height: int
    width: int
    kind: str
    corrupt: bool
    _frame: VideoFrame = field(repr=False)
    _reformatter: VideoReformatter = field(repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """H and W in pixels."""
        return self.height, self.width

    @property
    def tau(self) -> NDArray[np.int16]:
        """τ in whole pixels, x then y, on the grid of 8×8 cells, shape (2, h, w)."""
        return self._grid[0]

    @property
    def inter(self) -> NDArray[np.bool_]:
        """Which cells were predicted from the frame before, shape (h, w); elsewhere τ = 0."""
        return self._grid[1]

    @property
    def has_vectors(self) -> bool:
        """Whether the decoder gave any; if not, it is all intra, or they were lost."""
        return self._vectors is not None

    @cached_property
    def _vectors(self) -> NDArray[np.void] | None:
        return block_vectors(self._frame)

    @cached_property
    def _grid(self) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        return mv_grid(np.zeros(0, VECTOR) if self._vectors is None else self._vectors, self.height, self.width)

    @property
    def picture(self) -> Picture:
        """Its colours, where FFmpeg puts them each time that this is asked for: a GOP's would not fit the caches."""
        # Not RGBA: FFmpeg (8.1) leaves its last columns out where the width is 1 to 4 above a multiple of 16. Not
        # several threads: each may write beyond its last line, where the next one's part begins.
        plane = self._reformatter.reformat(self._frame, format="rgb24", threads=1).planes[0]
        return np.frombuffer(memoryview(plane), np.uint8).reshape(self.height, plane.line_size)

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """Its colours, shape (3, H, W); a copy."""
        return planar(self.picture, Window(0, 0, *self.size))


class FrameReader:
    """Takes frames apart; one for all frames of a stream is several times faster than one for each."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def read(self, frame: VideoFrame) -> CodedFrame:
        """A frame decoded with motion vectors."""
        return CodedFrame(
            height=frame.height,
            width=frame.width,
            kind=kind_of(frame),
            corrupt=bool(frame.is_corrupt),
            _frame=frame,
            _reformatter=self._reformatter,
        )


def block_vectors(frame: VideoFrame) -> NDArray[np.void] | None:
    """FFmpeg's list of a frame's motion vectors, shape (n,), valid as long as the frame; None if it has none."""
    # `frame.side_data` would keep the frame in a cycle, alive until the garbage collector finds it (PyAV before 19).
    data = SideDataContainer(frame).get("MOTION_VECTORS")  # type: ignore[call-arg] # PyAV's types omit it
    return None if data is None else data.to_ndarray()
