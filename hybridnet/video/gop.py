"""A view: a decoded GOP with its accumulated motion vectors and residuals."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from hybridnet.video.accumulate import BackTrace, mv_grid, to_pixels
from hybridnet.video.stream import HAS_FRAME_CYCLE


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


def decode_view(frames: Sequence[VideoFrame], reformatter: VideoReformatter, gop: int, corrupt: bool) -> View:
    """Accumulate motion vectors and residuals over the frames of a GOP.

    Args:
        frames: An I-frame and T P-frames of the same size, decoded with motion vectors.
        reformatter: Converts colours; one for all GOPs of a stream is several times faster than one a frame.
        gop: Index for the view.
        corrupt: Whether one of the frames is damaged.
    """
    height, width, steps = frames[0].height, frames[0].width, len(frames) - 1
    i_frame = np.ascontiguousarray(_rgb(frames[0], reformatter))
    motion_vectors = np.empty((steps, 2, height, width), np.int16)
    residuals = np.empty((steps, 3, height, width), np.int16)
    inter = np.zeros((steps, height, width), np.bool_)
    trace = BackTrace(height, width)
    without_vectors = 0
    for t, frame in enumerate(frames[1:]):
        vectors = frame.side_data.get("MOTION_VECTORS")
        if vectors is None:
            without_vectors += 1
        else:
            tau, inter_cells = mv_grid(vectors.to_ndarray(), height, width)
            trace.step(tau)
            inter[t] = to_pixels(inter_cells, height, width)
        motion_vectors[t] = trace.motion_vectors()
        residuals[t] = trace.residual(_rgb(frame, reformatter), i_frame)
    if HAS_FRAME_CYCLE:
        gc.collect(1)
    return View(i_frame, motion_vectors, residuals, inter, gop, corrupt, len(frames), without_vectors)


def _rgb(frame: VideoFrame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """Colours of a frame, shape (3, H, W)."""
    return np.asarray(reformatter.reformat(frame, format="rgb24").to_ndarray(), np.uint8).transpose(2, 0, 1)
