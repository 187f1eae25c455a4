"""Trajectories as a picture: the frames of clips in the RGB and in the compressed feature space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridnet.explain.trajectory import Trajectory, layout
from hybridnet.support.figures import label, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPACES = {"rgb": "RGB: pictures", "compressed": "compressed: potentials of motion vectors and residuals"}


def draw_trajectory(frames: Trajectory, names: Sequence[str], title: str) -> Figure:
    """Lay out the figure: a colour per clip, a line along each GOP, a ring around its first P-frame.

    Args:
        frames: Frames of one or more clips.
        names: Names of the clips.
        title: Above it.

    Raises:
        VideoError: If there are too few frames.
        MissingBackendError: If matplotlib or scikit-learn is not installed.
    """
    figure = new_figure(9.0, 4.9, layout="constrained")
    figure.suptitle(label(title), fontsize=9)
    for axes, (space, name) in zip(figure.subplots(1, 2), SPACES.items(), strict=True):
        _space(axes, layout(getattr(frames, space)), frames, names)
        axes.set_title(name, fontsize=8)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(names)), fontsize=7, frameon=False)
    return figure


def _space(axes: Axes, places: NDArray[np.float64], frames: Trajectory, names: Sequence[str]) -> None:
    from matplotlib import colormaps

    colours = colormaps["tab10" if len(names) <= 10 else "tab20"]
    for clip, name in enumerate(names):
        colour = colours(clip % colours.N)
        own = frames.clip == clip
        axes.scatter(places[own, 0], places[own, 1], s=9, color=colour, linewidths=0, label=label(name))
        for gop in np.unique(frames.gop[own]):
            path = places[own & (frames.gop == gop)]
            axes.plot(path[:, 0], path[:, 1], color=colour, linewidth=0.6, alpha=0.6)
            axes.scatter(path[0, 0], path[0, 1], s=26, facecolors="none", edgecolors=[colour], linewidths=0.8)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("t-SNE: distances near by mean something, axes do not", fontsize=6.5)
