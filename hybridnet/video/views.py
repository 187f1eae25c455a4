"""From views of a clip to the arrays that the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridnet.config import PreprocessConfig
from hybridnet.support.kernels import kernel
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


@dataclass(frozen=True, eq=False)
class ViewArrays:
    """A view as the model takes it; S is the crop. Of a clip that was opened without residuals, there are 0 of them.

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


def load_kernels() -> None:
    """Compile the reader's loops, or load what an earlier process compiled, before the first view is timed."""
    accumulate.load_kernels()
    resize(np.zeros((1, 1, 2, 2), np.float32), (1, 1), (0, 0), 1)
    _clip(np.zeros(1, np.float32), np.float32(1))


def prepare_view(view: View, preprocess: PreprocessConfig) -> ViewArrays:
    """Resize to frame_width × frame_height, crop the centre, then scale and clip the values.

    Motion vectors are multiplied by the ratio of new to old size, so that they point at the same place. A view that has
    the right size already is not resampled, and one that is cropped already is not cropped.

    Args:
        view: A view of any resolution.
        preprocess: Sizes and clipping values.
    """
    i_frame = _resized_crop(view.i_frame[None], _size(view, preprocess), preprocess.crop)[0]
    motion_vectors, residuals, saturated_motion, saturated_residual = prepare_steps(view, preprocess)
    return ViewArrays(
        i_frame=(i_frame / np.float32(255) - np.float32(PIXEL_MEAN)) / np.float32(PIXEL_STD),
        motion_vectors=motion_vectors,
        residuals=residuals,
        saturated_motion=saturated_motion,
        saturated_residual=saturated_residual,
    )


def prepare_steps(
    view: View, preprocess: PreprocessConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32], float, float | None]:
    """`motion_vectors` and `residuals` of a view's steps, and the shares that were clipped; see `prepare_view`."""
    size = _size(view, preprocess)
    height, width = view.i_frame.shape[-2:]
    motion_vectors = _resized_crop(view.motion_vectors, size, preprocess.crop)
    if (height, width) != size:
        motion_vectors *= np.array([size[1] / width, size[0] / height], np.float32)[:, None, None]
    residuals = _resized_crop(view.residuals, size, preprocess.crop)
    motion_vectors, saturated_motion = _scale_and_clip(motion_vectors, preprocess.motion_clip_px)
    residuals, saturated_residual = _scale_and_clip(residuals, preprocess.residual_clip)
    return motion_vectors, residuals, saturated_motion, saturated_residual if residuals.size else None


def _size(view: View, preprocess: PreprocessConfig) -> tuple[int, int]:
    """What a view is resized to, before its centre is cropped."""
    return (preprocess.crop,) * 2 if view.cropped else (preprocess.frame_height, preprocess.frame_width)


def stack_views(views: Sequence[ViewArrays]) -> Views:
    """Stack N views into the model's input.

    Returns:
        `i_frame` (N, 3, S, S), `motion_vectors` (N, T, 2, S, S) and, where there are any, `residuals` (N, T, 3, S, S).
    """
    names = ("i_frame", "motion_vectors", "residuals")
    stacked = {name: np.stack([getattr(view, name) for view in views]) for name in names}
    return Views({name: values for name, values in stacked.items() if values.size})


def to_int8(values: NDArray[np.float32], limit: float = 1.0) -> NDArray[np.int8]:
    """Values of ±`limit` as integers of ±127, rounded half to even and clipped.

    Args:
        values: Any shape: a view's arrays with limit 1, or Π in pixels and Δ in grey levels of a `PFrame` or `View`
            with `PreprocessConfig.motion_clip_px` and `residual_clip`.
        limit: What becomes 127, greater than 0.
    """
    return np.rint(values * np.float32(LEVELS / limit)).clip(-LEVELS, LEVELS).astype(np.int8)


def _resized_crop(values: NDArray[Any], size: tuple[int, int], crop: int) -> NDArray[np.float32]:
    """Resize (N, C, H, W) to (N, C, *size), antialiased bilinear, and cut the centre (N, C, S, S); float32."""
    top, left = (size[0] - crop) // 2, (size[1] - crop) // 2
    if values.shape[-2:] == size:  # convert no more than the crop
        return np.array(values[..., top : top + crop, left : left + crop], np.float32, order="C")
    return resize(values, size, (top, left), crop)


def _scale_and_clip(values: NDArray[np.float32], limit: float) -> tuple[NDArray[np.float32], float]:
    """Scale and clip in place; the share of values that were clipped."""
    beyond = _clip(values.reshape(-1), np.float32(limit))
    return values, beyond / max(values.size, 1)


@kernel
def _clip(values: Any, limit: Any) -> int:
    # NumPy would take a pass over memory for each step.
    one, beyond = np.float32(1), 0
    for n in range(len(values)):
        scaled = values[n] / limit
        beyond += (scaled > one) | (scaled < -one)
        values[n] = min(max(scaled, -one), one)
    return beyond
