"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybridnet.support.figures import label, new_figure, save_figure

NUMBERED = 30
"""Up to this many classes the cells hold their counts, and every class its name."""


def plot_confusion(confusion: Sequence[Sequence[int]], labels: Sequence[str], title: str, out: Path) -> None:
    """Draw clips by true and predicted class as a PNG; colours are shares of the true class.

    Args:
        confusion: [true][predicted].
        labels: Class names.
        title: Above it.
        out: The file.

    Raises:
        MissingBackendError: If matplotlib is not installed.
    """
    counts = np.array(confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(labels) <= NUMBERED
    side = max(4.0, 2.4 + (0.36 * len(labels) if few else 8.0))
    figure = new_figure(side + 0.8, side, layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(label(title), fontsize=9)
    axes.set_xlabel("predicted", fontsize=8)
    axes.set_ylabel("true", fontsize=8)
    step = 1 if few else -(-len(labels) // 50)
    places = range(0, len(labels), step)
    names = [label(labels[i]) for i in places]
    axes.set_xticks(places, names, rotation=90, fontsize=7 if few else 5)
    axes.set_yticks(places, names, fontsize=7 if few else 5)
    if few:
        for (row, column), number in np.ndenumerate(counts):
            if number:
                colour = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, str(number), ha="center", va="center", fontsize=7, color=colour)
    bar = figure.colorbar(picture, ax=axes, shrink=0.8)
    bar.set_label("share of the true class", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    save_figure(figure, out)
