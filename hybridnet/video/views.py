"""From views of a clip to the arrays that the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridnet.config import PreprocessConfig
from hybridnet.support.kernels import are_kept, shared_kernel
from hybridnet.support.progress import Progress, silent
from hybridnet.support.views import Views
from hybridnet.video import accumulate
from hybridnet.video.gop import View
from hybridnet.video.resize import resize

PIXEL_MEAN = 0.5
"""Mean of the I-frame's normalisation, in units of white."""

PIXEL_STD = 0.25
"""Standard deviation of the I-frame's normalisation, in units of white."""

LEVELS = 127
"""Integer levels of a scaled value of 1: int8, symmetric, as the chip's graded messages are."""


Place = Mapping[str, NDArray[np.float32]]
"""Memory for the arrays of a view, by name."""


@dataclass(frozen=True, eq=False)
class ViewArrays:
    """A view as the model takes it; S is the crop. A clip that was opened without residuals has 0 of them.

    Attributes:
        i_frame: (x / 255 − 0.5) / 0.25, so −2 to 2, float32, shape (3, S, S).
        motion_vectors: Π, or τ without accumulation, in pixels of the resized frame over `motion_clip_px`, clipped to
            [−1, 1], float32, x then y, shape (T, 2, S, S).
        residuals: Δ, or δ without accumulation, over `residual_clip`, clipped to [−1, 1], float32, shape (T, 3, S, S).
        saturated_motion: Share of the motion values that were clipped, 0 to 1.
        saturated_residual: Share of the residual values that were clipped, 0 to 1; None without residuals.
    """

    i_frame: NDArray[np.float32]
    motion_vectors: NDArray[np.float32]
    residuals: NDArray[np.float32]
    saturated_motion: float
    saturated_residual: float | None

    @property
    def inputs(self) -> dict[str, NDArray[np.float32]]:
        """By the name of the model's input, residuals where they were read."""
        arrays = {"i_frame": self.i_frame, "motion_vectors": self.motion_vectors, "residuals": self.residuals}
        return {name: values for name, values in arrays.items() if values.size}


def load_kernels(progress: Progress = silent) -> None:
    """Compile the reader's loops, or load what an earlier process compiled, before the first view is timed.

    Args:
        progress: Told before and after, since compiling takes seconds: at the first run, or where nothing can be kept.
    """
    what = "loading compiled loops" if are_kept() else "compiling loops, which no folder keeps (NUMBA_CACHE_DIR)"
    progress(what, 0, 1)
    accumulate.load_kernels()
    out, ratios, limit = np.zeros((1, 1, 1, 1), np.float32), np.ones(1, np.float32), np.float32(1)
    for dtype in (np.uint8, np.int16):
        resize(out.astype(dtype), (1, 1), (0, 0), 1)
    for values in (out, out.astype(np.int16)):
        _scale_and_clip(values, 0, 0, ratios, limit, out)
    progress(what, 1, 1)


def prepare_view(view: View, preprocess: PreprocessConfig, place: Place | None = None) -> ViewArrays:
    """Resize to frame_width × frame_height, crop the centre, then scale and clip the values.

    Motion vectors are multiplied by the ratio of new to old size, so that they point at the same place. A view that has
    the right size already is not resampled, and one that is cropped already is not cropped.

    Args:
        view: A view of any resolution.
        preprocess: Sizes and clipping values.
        place: Where to put the three arrays, by name; memory of their own if None.
    """
    size, side = _size(view, preprocess), preprocess.crop
    top, left = _corner(size, side)
    if view.i_frame.shape[-2:] == size:
        levels = view.i_frame[:, top : top + side, left : left + side].astype(np.float32)
    else:
        levels = resize(view.i_frame[None], size, (top, left), side)[0]
    i_frame = (levels / np.float32(255) - np.float32(PIXEL_MEAN)) / np.float32(PIXEL_STD)
    if place is not None:
        place["i_frame"][:] = i_frame
        i_frame = place["i_frame"]
    return ViewArrays(i_frame, *prepare_steps(view, preprocess, place))


def prepare_steps(
    view: View, preprocess: PreprocessConfig, place: Place | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], float, float | None]:
    """`motion_vectors` and `residuals` of a view's steps, and the shares that were clipped; see `prepare_view`."""
    size, (height, width) = _size(view, preprocess), view.i_frame.shape[-2:]
    ratios = (size[1] / width, size[0] / height) if (height, width) != size else (1.0, 1.0)
    motion_vectors, saturated_motion = _scaled(
        view.motion_vectors,
        size,
        preprocess.crop,
        ratios,
        preprocess.motion_clip_px,
        None if place is None else place["motion_vectors"],
    )
    residuals, saturated_residual = _scaled(
        view.residuals,
        size,
        preprocess.crop,
        (1.0,) * 3,
        preprocess.residual_clip,
        None if place is None else place["residuals"],
    )
    return motion_vectors, residuals, saturated_motion, saturated_residual if residuals.size else None


def _size(view: View, preprocess: PreprocessConfig) -> tuple[int, int]:
    """What a view is resized to, before its centre is cropped."""
    return (preprocess.crop,) * 2 if view.cropped else (preprocess.frame_height, preprocess.frame_width)


def places(views: int, preprocess: PreprocessConfig, *, residuals: bool) -> dict[str, NDArray[np.float32]]:
    """Memory for the arrays of N views, which is what `stack_views` returns."""
    side, steps = preprocess.crop, preprocess.steps
    shapes = {"i_frame": (3,), "motion_vectors": (steps, 2), "residuals": (steps * residuals, 3)}
    return {name: np.empty((views, *shape, side, side), np.float32) for name, shape in shapes.items()}


def stack_views(views: Sequence[ViewArrays]) -> Views:
    """Stack N views into the model's input.

    Returns:
        `i_frame` (N, 3, S, S), `motion_vectors` (N, T, 2, S, S) and, where there are any, `residuals` (N, T, 3, S, S).
    """
    return Views.stack((view.inputs for view in views), len(views))


def to_int8(values: NDArray[np.float32], limit: float = 1.0) -> NDArray[np.int8]:
    """Values of ±`limit` as integers of ±127, rounded half to even and clipped.

    Args:
        values: Any shape: a view's arrays with limit 1, or Π in pixels and Δ in grey levels of a `PFrame` or `View`
            with `PreprocessConfig.motion_clip_px` and `residual_clip`.
        limit: What becomes 127, greater than 0.
    """
    return np.rint(values * np.float32(LEVELS / limit)).clip(-LEVELS, LEVELS).astype(np.int8)


def _scaled(
    values: NDArray[np.int16],
    size: tuple[int, int],
    side: int,
    ratios: tuple[float, ...],
    limit: float,
    place: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], float]:
    """The centre of resized values, each channel times its ratio, over the limit and clipped; the share clipped."""
    out = np.empty((*values.shape[:2], side, side), np.float32) if place is None else place
    top, left = _corner(size, side)
    scales = np.array(ratios, np.float32), np.float32(limit)
    if values.shape[-2:] == size:
        beyond = _scale_and_clip(np.ascontiguousarray(values), top, left, *scales, out)
    else:
        beyond = _scale_and_clip(resize(values, size, (top, left), side, out), 0, 0, *scales, out)
    return out, beyond / max(out.size, 1)


def _corner(size: tuple[int, int], side: int) -> tuple[int, int]:
    """First row and column of the centre square."""
    return (size[0] - side) // 2, (size[1] - side) // 2


@shared_kernel
def _scale_and_clip(values: Any, top: int, left: int, ratios: Any, limit: Any, out: Any) -> int:
    # NumPy would take a pass over memory for each step.
    one, beyond, side = np.float32(1), 0, out.shape[3]
    for n in range(len(out)):
        for channel in range(out.shape[1]):
            ratio = ratios[channel]
            for y in range(side):
                row, clipped = values[n, channel, top + y, left : left + side], out[n, channel, y]
                for x in range(len(clipped)):
                    scaled = np.float32(row[x]) * ratio / limit
                    beyond += (scaled > one) | (scaled < -one)
                    clipped[x] = min(max(scaled, -one), one)
    return beyond
