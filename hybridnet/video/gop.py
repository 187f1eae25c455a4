"""A view: a decoded GOP with its accumulated motion vectors and residuals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hybridnet.video.accumulate import References, Window, parts, planar
from hybridnet.video.coded import CodedFrame
from hybridnet.video.frames import Gop, PFrame
from hybridnet.video.grid import to_pixels
from hybridnet.video.memory import Pool
from hybridnet.video.orientation import QUARTER_TURN, UPRIGHT, Orientation

_POOL = Pool()
"""One for all clips: opening the next clip must not cost fresh memory."""


@dataclass(frozen=True, eq=False)
class View:
    """An I-frame and its T P-frames, at the resolution of the stream that is read; H and W are those of the window.

    Without accumulation, motion vectors are τ_t, cut where they would leave the frame, and residuals δ_t: those of one
    frame to the next.

    Attributes:
        i_frame: RGB, shape (3, H, W), 0 to 255.
        motion_vectors: Accumulated motion vectors Π_t in pixels, x then y, shape (T, 2, H, W).
        residuals: Accumulated residuals Δ_t in grey levels, −255 to 255, shape (T, 3, H, W); (0, 3, H, W) of a clip
            that was opened without them.
        gop: Index of the GOP, 0 to `Clip.gop_count` − 1.
        corrupt: Whether a frame of it is damaged.
        frames: Frames that were decoded for it, T + 1.
        frames_without_vectors: P-frames without one vector: all intra, or decoded in a way that lost them.
        cropped: Whether it is the centre crop only.
    """

    i_frame: NDArray[np.uint8]
    motion_vectors: NDArray[np.int16]
    residuals: NDArray[np.int16]
    gop: int
    corrupt: bool
    frames: int
    frames_without_vectors: int
    cropped: bool = False
    _inter: Callable[[], NDArray[np.bool_]] = field(kw_only=True, repr=False)

    @cached_property
    def inter(self) -> NDArray[np.bool_]:
        """Whether a pixel was predicted from the frame before, shape (T, H, W). Elsewhere τ_t = 0."""
        return self._inter()


class GopBuilder:
    """Makes views of the frames of GOPs; one for all GOPs of a stream.

    Args:
        orientation: How views are mirrored and turned to stand upright.
        window: The part of the frames that views show, before they are turned; all of it if None.
        accumulate: Whether motion vectors and residuals of views refer to the I-frame, or to the frame before only.
        residuals: Whether views hold residuals; without them the pixels of P-frames are not looked at.
    """

    def __init__(
        self,
        orientation: Orientation = UPRIGHT,
        window: Window | None = None,
        *,
        accumulate: bool = True,
        residuals: bool = True,
    ) -> None:
        self._orientation, self._window, self._accumulate = orientation, window, accumulate
        self._residuals, self._size = residuals, (0, 0)

    def view(self, frames: Sequence[CodedFrame], gop: int, corrupt: bool) -> View:
        """Accumulate motion vectors and residuals over the frames of a GOP.

        Args:
            frames: An I-frame and T P-frames of the same size.
            gop: Index for the view.
            corrupt: Whether one of the frames is damaged.
        """
        (height, width), p_frames = frames[0].size, frames[1:]
        window = self._window or Window(0, 0, height, width)
        before = frames[0].picture
        i_frame = planar(before, window)
        motion_vectors = _POOL.empty((len(p_frames), 2, window.height, window.width), np.int16)
        residuals = _POOL.empty((len(p_frames) * self._residuals, 3, window.height, window.width), np.int16)
        taus, inter = np.stack([frame.tau for frame in p_frames]), np.stack([frame.inter for frame in p_frames])
        wanted = parts(taus, window, height, width) if self._accumulate else [window] * len(p_frames)
        references, is_whole = self._references_of(height, width), window == (0, 0, height, width)
        for t, frame in enumerate(p_frames):  # a picture is used while it is in the caches
            if t == 0 or not self._accumulate:
                references.start(before if self._residuals else None)
            references.step(taus[t], wanted[t], motion_vectors[t] if is_whole else None)
            if not is_whole:
                motion_vectors[t] = references.motion_vectors(window)
            if self._residuals:
                before = frame.picture
                references.residual(before, window, residuals[t])
        rows, columns = window.slices
        view = View(
            i_frame=i_frame,
            motion_vectors=motion_vectors,
            residuals=residuals,
            gop=gop,
            corrupt=corrupt,
            frames=len(frames),
            frames_without_vectors=sum(not frame.has_vectors for frame in p_frames),
            cropped=self._window is not None,
            _inter=lambda: to_pixels(inter, height, width)[..., rows, columns],
        )
        rotation, mirrored = self._orientation
        return turned(view, rotation // QUARTER_TURN, mirrored=mirrored) if rotation or mirrored else view

    def gop(self, frames: Sequence[CodedFrame], gop: int, corrupt: bool) -> Gop:
        """Take a GOP apart frame by frame; arguments as `view`'s."""
        pictures = [frame.rgb for frame in frames]
        p_frames: list[PFrame] = []
        taus: tuple[NDArray[np.int16], ...] = ()
        for position, frame in enumerate(frames[1:], start=1):
            taus = (*taus, frame.tau)
            p_frames.append(
                PFrame(
                    position=position,
                    rgb=pictures[position],
                    cells=frame.tau,
                    inter_cells=frame.inter,
                    has_vectors=frame.has_vectors,
                    corrupt=frame.corrupt,
                    _i_frame=pictures[0],
                    _previous=pictures[position - 1],
                    _taus=taus,
                )
            )
        return Gop(gop, pictures[0], tuple(p_frames), corrupt)

    def _references_of(self, height: int, width: int) -> References:
        if self._size != (height, width):
            self._size, self._references = (height, width), References(height, width)
        return self._references


class GopSteps:
    """Makes the view of one GOP frame by frame, as a live source brings them; the same numbers as `GopBuilder.view`.

    Args:
        i_frame: The frame that it begins with.
        gop: Index for the view.
        orientation: How views are mirrored and turned to stand upright.
        accumulate: As of `GopBuilder`.

    Attributes:
        size: H and W of its frames in pixels.
    """

    def __init__(
        self, i_frame: CodedFrame, gop: int, orientation: Orientation = UPRIGHT, *, accumulate: bool = True
    ) -> None:
        self.size, self._gop, self._accumulate = i_frame.size, gop, accumulate
        self._orientation, self._corrupt = orientation, i_frame.corrupt
        self._before = i_frame.picture
        self._i_frame = planar(self._before, Window(0, 0, *self.size))
        self._references = References(*self.size)
        self._references.start(self._before)
        self._steps: list[View] = []

    def __len__(self) -> int:
        return 1 + len(self._steps)

    def add(self, frame: CodedFrame) -> View:
        """What the next P-frame shows: a view of this one step."""
        if not self._accumulate:
            self._references.start(self._before)
        self._references.step(frame.tau)
        self._before, inter, size = frame.picture, frame.inter[None], self.size
        view = View(
            i_frame=self._i_frame,
            motion_vectors=self._references.motion_vectors()[None],
            residuals=self._references.residual(self._before)[None],
            gop=self._gop,
            corrupt=frame.corrupt,
            frames=1,
            frames_without_vectors=int(not frame.has_vectors),
            _inter=lambda: to_pixels(inter, *size),  # without self, which holds the view: nothing would free the cycle
        )
        rotation, mirrored = self._orientation
        if rotation or mirrored:
            view = turned(view, rotation // QUARTER_TURN, mirrored=mirrored)
        self._steps.append(view)
        return view

    def view(self) -> View:
        """The view of all steps so far."""
        steps = self._steps
        return dataclasses.replace(
            steps[0],
            motion_vectors=np.concatenate([step.motion_vectors for step in steps]),
            residuals=np.concatenate([step.residuals for step in steps]),
            corrupt=self._corrupt or any(step.corrupt for step in steps),
            frames=len(self),
            frames_without_vectors=sum(step.frames_without_vectors for step in steps),
            _inter=lambda: np.concatenate([step.inter for step in steps]),
        )


def turned(view: View, quarter_turns: int, *, mirrored: bool = False) -> View:
    """Mirror a view if asked to, and turn it by multiples of 90 degrees counter-clockwise, vectors too; exact."""
    orientation = Orientation(quarter_turns % 4 * QUARTER_TURN, mirrored)
    return dataclasses.replace(
        view,
        i_frame=orientation.applied(view.i_frame),
        motion_vectors=orientation.applied_to_vectors(view.motion_vectors),
        residuals=orientation.applied(view.residuals),
        _inter=lambda: orientation.applied(view.inter),
    )
