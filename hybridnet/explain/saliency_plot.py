"""Saliency as a picture: a row per view, and per modality what the network sees beside where it looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hybridnet.explain.saliency import Saliency
from hybridnet.support.figures import new_figure
from hybridnet.support.statistics import evenly
from hybridnet.video.plot import residual_colours, vector_colours
from hybridnet.video.views import PIXEL_MEAN, PIXEL_STD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

NAMES = {"i": "I-frame", "mv": "motion vectors $\\Pi_T$", "r": "residuals $\\Delta_T$"}

ONE_STEP_NAMES = {"mv": "motion vectors $\\tau_T$", "r": "residuals $\\delta_T$"}

ROWS = 4
"""Views that are drawn, evenly spaced."""

PANEL_IN = 1.5

DIMMED = 0.35
"""Brightness of the picture below the evidence."""

REACH = 99.0
"""Scales of vectors, residuals and evidence end at this percentile."""


def draw_saliency(inputs: Mapping[str, Tensor], found: Saliency, title: str, *, accumulated: bool = True) -> Figure:
    """Lay out the figure. Evidence has one scale for all modalities, so that a modality without influence stays dark.

    Args:
        inputs: The model's, of the views that were looked at.
        found: What `saliency` gave for them.
        title: Above it.
        accumulated: Whether motion vectors and residuals are Π and Δ, or τ and δ; for their names.

    Raises:
        MissingBackendError: If matplotlib is not installed.
    """
    modalities = list(found.maps)
    count = len(inputs["i_frame"])
    shown = evenly(count, ROWS)
    top = 0.75
    figure = new_figure(2 * len(modalities) * PANEL_IN + 0.7, len(shown) * PANEL_IN + top, layout="constrained")
    figure.suptitle(title, fontsize=9)
    grid = figure.subplots(len(shown), 2 * len(modalities), squeeze=False)
    names = NAMES if accumulated else NAMES | ONE_STEP_NAMES
    brightest = _reach(np.concatenate([found.maps[m].numpy().ravel() for m in modalities]))
    heat = None
    for row, view in zip(grid, shown, strict=True):
        pictures = _pictures({name: x[view] for name, x in inputs.items()})
        row[0].set_ylabel(f"view {view + 1} of {count}", fontsize=8)
        for number, m in enumerate(modalities):
            seen, looked = row[2 * number], row[2 * number + 1]
            _show(seen, pictures[m])
            _show(looked, pictures["i"] * DIMMED)
            heat = _overlay(looked, found.maps[m][view].numpy(), brightest, pictures["i"].shape[:2])
            if view == shown[0]:
                seen.set_title(names[m], fontsize=8)
                looked.set_title(f"evidence: {found.share(m):.0%} of all", fontsize=8)
    if heat is not None:
        bar = figure.colorbar(heat, ax=grid, shrink=0.6, pad=0.01)
        bar.set_label("share of a view's evidence in one patch", fontsize=7)
        bar.ax.tick_params(labelsize=7)
    return figure


def _pictures(view: Mapping[str, Tensor]) -> dict[str, NDArray[np.float64]]:
    """What the network is given, as colours 0 to 1, (S, S, 3); vectors and residuals of the last step."""
    i_frame = view["i_frame"].double().numpy() * PIXEL_STD + PIXEL_MEAN
    vectors, residual = view["motion_vectors"][-1].double().numpy(), view["residuals"][-1].double().numpy()
    return {
        "i": np.clip(i_frame, 0, 1).transpose(1, 2, 0),
        "mv": vector_colours(vectors, _reach(np.hypot(*vectors))),
        "r": residual_colours(residual, _reach(abs(residual))),
    }


def _reach(values: NDArray[np.float64] | NDArray[np.float32]) -> float:
    """Where a scale ends; 1 where everything is zero."""
    return float(np.percentile(values, REACH)) or float(values.max()) or 1.0


def _overlay(axes: Axes, evidence: NDArray[np.float32], brightest: float, size: tuple[int, ...]) -> AxesImage:
    """Evidence (h, w) as light over the picture; none is transparent."""
    height, width = size
    strength = np.clip(evidence / brightest, 0, 1)
    return axes.imshow(
        evidence, cmap="inferno", vmin=0, vmax=brightest, alpha=0.15 + 0.75 * strength, extent=(0, width, height, 0)
    )


def _show(axes: Axes, picture: NDArray[np.float64]) -> None:
    height, width = picture.shape[:2]
    axes.imshow(picture, interpolation="nearest", extent=(0, width, height, 0))
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(linewidth=0.4, color="0.6")
