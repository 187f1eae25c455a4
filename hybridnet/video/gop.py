"""A view: a decoded GOP with its accumulated motion vectors and residuals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from hybridnet.video.accumulate import VECTOR, BackTrace, grid_shape, mv_grid, pack, to_pixels
from hybridnet.video.frames import Gop, PFrame
from hybridnet.video.memory import Pool


@dataclass(frozen=True, eq=False)
class View:
    """An I-frame and its T P-frames, at the resolution of the stream that is read.

    Attributes:
        i_frame: RGB, shape (3, H, W), 0 to 255.
        motion_vectors: Accumulated motion vectors Π_t in pixels, x then y, shape (T, 2, H, W).
        residuals: Accumulated residuals Δ_t in grey levels, −255 to 255, shape (T, 3, H, W).
        inter: Whether a pixel was predicted from the frame before, shape (T, H, W). Elsewhere τ_t = 0.
        gop: Index of the GOP, 0 to `Clip.gop_count` − 1.
        corrupt: Whether a frame of it is damaged.
        frames: Frames that were decoded for it, T + 1.
        frames_without_vectors: P-frames without one vector: all intra, or decoded in a way that lost them.
    """

    i_frame: NDArray[np.uint8]
    motion_vectors: NDArray[np.int16]
    residuals: NDArray[np.int16]
    inter: NDArray[np.bool_]
    gop: int
    corrupt: bool
    frames: int
    frames_without_vectors: int


class GopDecoder:
    """Turns the frames of GOPs into views; one for all GOPs of a stream is several times faster than one for each.

    Args:
        quarter_turns: How often views are turned by 90 degrees counter-clockwise to stand upright.
    """

    def __init__(self, quarter_turns: int = 0) -> None:
        self._quarter_turns = quarter_turns
        self._reformatter = VideoReformatter()
        self._pool = Pool()
        self._size = (0, 0)

    def view(self, frames: Sequence[VideoFrame], gop: int, corrupt: bool) -> View:
        """Accumulate motion vectors and residuals over the frames of a GOP.

        Args:
            frames: An I-frame and T P-frames of the same size, decoded with motion vectors.
            gop: Index for the view.
            corrupt: Whether one of the frames is damaged.
        """
        height, width, steps = frames[0].height, frames[0].width, len(frames) - 1
        trace = self._trace_of(height, width)
        i_frame = np.ascontiguousarray(self.rgb(frames[0]))
        pack(i_frame, self._i_frame)
        motion_vectors = self._pool.empty((steps, *trace.canvas_shape, 2), np.int16)
        residuals = self._pool.empty((steps, *trace.canvas_shape, 4), np.int16)
        inter = np.zeros((steps, *grid_shape(height, width)), np.bool_)
        without_vectors = 0
        for t, frame in enumerate(frames[1:]):
            vectors = block_vectors(frame)
            if vectors is None:
                without_vectors += 1
            else:
                tau, inter[t] = mv_grid(vectors, height, width)
                trace.step(tau)
            trace.motion_vectors(motion_vectors[t])
            trace.packed_residual(pack(self.rgb(frame), self._p_frame), self._i_frame, residuals[t])
        view = View(
            i_frame=i_frame,
            motion_vectors=trace.crop(motion_vectors),
            residuals=trace.crop(residuals)[:, :3],
            inter=to_pixels(inter, height, width),
            gop=gop,
            corrupt=corrupt,
            frames=len(frames),
            frames_without_vectors=without_vectors,
        )
        return turned(view, self._quarter_turns) if self._quarter_turns else view

    def gop(self, frames: Sequence[VideoFrame], gop: int, corrupt: bool) -> Gop:
        """Take a GOP apart frame by frame; arguments as `view`'s."""
        height, width = frames[0].height, frames[0].width
        pictures = [np.ascontiguousarray(self.rgb(frame)) for frame in frames]
        p_frames: list[PFrame] = []
        taus: tuple[NDArray[np.int16], ...] = ()
        for position, frame in enumerate(frames[1:], start=1):
            vectors = block_vectors(frame)
            tau, inter = mv_grid(np.empty(0, VECTOR) if vectors is None else vectors, height, width)
            taus = (*taus, tau)
            p_frames.append(
                PFrame(
                    position=position,
                    rgb=pictures[position],
                    cells=tau,
                    inter_cells=inter,
                    has_vectors=vectors is not None,
                    corrupt=bool(frame.is_corrupt),
                    _i_frame=pictures[0],
                    _previous=pictures[position - 1],
                    _taus=taus,
                )
            )
        return Gop(gop, pictures[0], tuple(p_frames), corrupt)

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Colours of a frame, shape (3, H, W)."""
        return np.asarray(self._reformatter.reformat(frame, format="rgb24").to_ndarray(), np.uint8).transpose(2, 0, 1)

    def _trace_of(self, height: int, width: int) -> BackTrace:
        if self._size != (height, width):
            self._size, self._trace = (height, width), BackTrace(height, width)
            self._i_frame, self._p_frame = (np.empty(self._trace.canvas_shape, np.int32) for _ in range(2))
        self._trace.reset()
        return self._trace


def turned(view: View, quarter_turns: int) -> View:
    """Turn a view by multiples of 90 degrees counter-clockwise, its motion vectors with it; exact."""
    vectors = view.motion_vectors
    for _ in range(quarter_turns % 4):  # x becomes y upwards: (x, y) → (y, −x)
        vectors = np.stack([vectors[:, 1], -vectors[:, 0]], axis=1)
    return dataclasses.replace(
        view,
        i_frame=np.rot90(view.i_frame, quarter_turns, (-2, -1)).copy(),
        motion_vectors=np.rot90(vectors, quarter_turns, (-2, -1)).copy(),
        residuals=np.rot90(view.residuals, quarter_turns, (-2, -1)).copy(),
        inter=np.rot90(view.inter, quarter_turns, (-2, -1)).copy(),
    )


def block_vectors(frame: VideoFrame) -> NDArray[np.void] | None:
    """FFmpeg's list of a frame's motion vectors, shape (n,), valid as long as the frame; None if it has none."""
    data = frame.side_data.get("MOTION_VECTORS")
    return None if data is None else data.to_ndarray()
