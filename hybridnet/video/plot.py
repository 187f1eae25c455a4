"""A GOP as the reader delivers it, drawn as in Figure 2 of arXiv 2503.13724.

Rows: frames I_t, motion vectors τ_t, residuals δ_t, accumulated motion vectors Π_t and accumulated residuals Δ_t. The
first column shows the I-frame and the scales, the others P-frames, evenly spaced. Vectors are colours of a wheel, hue
for direction and saturation for length; residuals are added to mid-grey, channel by channel. All scales are symmetric
about zero and reach to the 99th percentile of their row over the whole GOP.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridnet.errors import ConfigError, VideoError
from hybridnet.support.figures import new_figure, save_figure
from hybridnet.support.statistics import evenly
from hybridnet.video.frames import Gop
from hybridnet.video.reader import Clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = (
    "frames\n$I_t$",
    "motion vectors\n$\\tau_t$",
    "residuals\n$\\delta_t$",
    "accumulated\nmotion vectors $\\Pi_t$",
    "accumulated\nresiduals $\\Delta_t$",
)

COLUMNS = 6
"""P-frames that are drawn."""

PANEL_IN, GAP_IN, LEFT_IN, TOP_IN, BOTTOM_IN = 1.55, 0.06, 0.62, 0.62, 0.12
"""Longer side of a panel, gap, and margins in inches."""

SCALE_PERCENTILE = 99.0
"""Scales reach to this percentile of the absolute values in their row."""

INTRA_GREY = 0.72
"""Grey level of pixels without a motion vector, which no vector's colour has."""


def plot_gop(clip: Clip, gop: int, out: Path) -> None:
    """Draw one GOP of a video into a file.

    Args:
        clip: The video.
        gop: Index of the GOP, 0 to `Clip.gop_count` − 1.
        out: The picture; its suffix chooses the format (.png, .pdf, .svg).

    Raises:
        VideoError: If the GOP cannot be read.
        ConfigError: If there is no such GOP or no such format.
        MissingBackendError: If matplotlib is not installed.
    """
    pictures = _settled(clip, gop)
    info = clip.info
    height, width = pictures.i_frame.shape[-2:]
    how = "transcoded" if info.transcoded else "read directly"
    title = f"{info.path.name}:  GOP {gop} (0–{info.gops - 1}),  {info.codec}, {how},  {width}×{height} px"
    save_figure(draw(pictures, title), out)


def _settled(clip: Clip, gop: int) -> Gop:
    """A GOP of the clip as it reads once all of it was looked at, if its packets turn out to lie."""
    if not 0 <= gop < clip.gop_count:
        raise ConfigError("gop", gop, f"0 to {clip.gop_count - 1}")
    before = clip.info.reason
    try:
        return clip.gop(gop)
    except VideoError:
        if clip.info.reason == before:
            raise
    return _settled(clip, gop)


def draw(gop: Gop, title: str) -> Figure:
    """Lay out the figure of a GOP with at least one P-frame.

    Raises:
        MissingBackendError: If matplotlib is not installed.
    """
    _, height, width = gop.i_frame.shape
    steps = len(gop)
    shown = [1 + step for step in evenly(steps, COLUMNS)]
    panel_w, panel_h = PANEL_IN * width / max(width, height), PANEL_IN * height / max(width, height)
    columns = len(shown) + 1
    size = (LEFT_IN + columns * (panel_w + GAP_IN), TOP_IN + len(ROWS) * (panel_h + GAP_IN) + BOTTOM_IN)
    figure = new_figure(*size)
    figure.text(LEFT_IN / size[0], 1 - 0.12 / size[1], title, va="top", fontsize=9)

    def panel(row: int, column: int) -> Axes:
        left, top = LEFT_IN + column * (panel_w + GAP_IN), TOP_IN + row * (panel_h + GAP_IN)
        axes = figure.add_axes((left / size[0], 1 - (top + panel_h) / size[1], panel_w / size[0], panel_h / size[1]))
        axes.set_axis_off()
        return axes

    motion_px = _scale([_length(frame.tau) for frame in gop])
    accumulated_px = _scale([_length(frame.motion_vectors) for frame in gop])
    grey = _scale([abs(frame.residual) for frame in gop])
    accumulated_grey = _scale([abs(frame.accumulated_residual) for frame in gop])
    for column, t in enumerate(shown, start=1):
        frame = gop.p_frames[t - 1]
        pictures = (
            frame.rgb.transpose(1, 2, 0),
            np.where(frame.inter[..., None], vector_colours(frame.tau, motion_px), INTRA_GREY),
            residual_colours(frame.residual, grey),
            vector_colours(frame.motion_vectors, accumulated_px),
            residual_colours(frame.accumulated_residual, accumulated_grey),
        )
        for row, picture in enumerate(pictures):
            _show(panel(row, column), picture)
        _head(figure, size, LEFT_IN + column * (panel_w + GAP_IN) + panel_w / 2, f"P-frame, t = {t}")
    _show(panel(0, 0), gop.i_frame.transpose(1, 2, 0))
    _head(figure, size, LEFT_IN + panel_w / 2, "I-frame, t = 0")
    _wheel(panel(1, 0), motion_px, panel_w / panel_h, "τ", "grey: intra coded")
    _ramp(panel(2, 0), grey)
    _wheel(panel(3, 0), accumulated_px, panel_w / panel_h, "Π", "")
    _ramp(panel(4, 0), accumulated_grey)
    for row, label in enumerate(ROWS):
        y = 1 - (TOP_IN + row * (panel_h + GAP_IN) + panel_h / 2) / size[1]
        figure.text(0.3 / size[0], y, label, rotation=90, ha="center", va="center", fontsize=8, linespacing=1.3)
    return figure


def vector_colours(vectors: NDArray[np.int16] | NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Colours of vectors (2, H, W): hue for direction, saturation for length up to `limit`; RGB 0 to 1, (H, W, 3)."""
    from matplotlib.colors import hsv_to_rgb

    x, y = vectors.astype(np.float64)
    hue = (np.arctan2(-y, x) / (2 * np.pi)) % 1
    saturation = np.minimum(np.hypot(x, y) / limit, 1)
    return np.asarray(hsv_to_rgb(np.stack([hue, saturation, 1 - 0.1 * saturation], axis=-1)), np.float64)


def residual_colours(residual: NDArray[np.int16], limit: float) -> NDArray[np.float64]:
    """Mid-grey plus the residual (3, H, W), where ±`limit` reaches black and full colour; RGB 0 to 1, (H, W, 3)."""
    return np.clip(0.5 + residual.transpose(1, 2, 0) / (2 * limit), 0, 1)


def _length(vectors: NDArray[np.int16]) -> NDArray[np.float32]:
    """|v| of vectors (2, H, W), shape (H, W)."""
    return np.hypot(vectors[0], vectors[1], dtype=np.float32)


def _scale(sizes: Sequence[NDArray[np.float32] | NDArray[np.int16]]) -> float:
    """Where a row's scale ends: the percentile of all absolute values of a GOP, rounded up, at least 1."""
    return max(1.0, float(np.ceil(np.percentile(np.stack(sizes), SCALE_PERCENTILE))))


def _show(axes: Axes, picture: NDArray[np.uint8] | NDArray[np.float64]) -> None:
    """A picture (H, W, 3) in a thin frame: where nothing moves, the maps are white."""
    axes.imshow(picture, aspect="auto", interpolation="nearest")
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(linewidth=0.4, color="0.6")


def _head(figure: Figure, size: tuple[float, float], x: float, text: str) -> None:
    figure.text(x / size[0], 1 - (TOP_IN - 0.07) / size[1], text, ha="center", va="bottom", fontsize=8)


def _wheel(axes: Axes, limit: float, aspect: float, name: str, note: str) -> None:
    """The key to the colours of vectors, in a panel of the given width over height."""
    reach = np.linspace(-1, 1, 256)
    x, y = np.meshgrid(reach, reach)
    colours = vector_colours(np.stack([x, y]) * limit, limit)
    opaque = np.hypot(x, y)[..., None] <= 1
    radius = 0.3
    axes.imshow(np.concatenate([colours, opaque], axis=-1), extent=(-radius, radius, -radius, radius), aspect="auto")
    axes.set(xlim=(-aspect / 2, aspect / 2), ylim=(-0.5, 0.5))
    axes.annotate("", (radius, 0), (0, 0), arrowprops={"arrowstyle": "->", "lw": 0.7, "shrinkA": 0, "shrinkB": 0})
    axes.text(0.0, 0.36, f"|{name}| = {limit:.0f} px at the rim", ha="center", va="bottom", fontsize=7)
    axes.text(0.0, -0.36, note, ha="center", va="top", fontsize=7)


def _ramp(axes: Axes, limit: float) -> None:
    """The key to residuals."""
    axes.imshow(
        np.linspace(0, 1, 256)[None, :], cmap="gray", vmin=0, vmax=1, extent=(0.12, 0.88, 0.44, 0.56), aspect="auto"
    )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for x, text in ((0.12, f"−{limit:.0f}"), (0.5, "0"), (0.88, f"+{limit:.0f}")):
        axes.text(x, 0.4, text, ha="center", va="top", fontsize=7)
    axes.text(0.5, 0.6, "grey levels, per channel", ha="center", va="bottom", fontsize=7)
