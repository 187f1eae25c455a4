"""Figures of matplotlib, drawn without a screen and written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridnet.errors import ConfigError, MissingBackendError, OutputExistsError
from hybridnet.support.files import atomic_file, head_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 160

MARK = "hybridnet"
MARKED = {"png": "Software", "svg": "Creator"}
"""Formats whose files tell near their beginning who drew them, and the key that tells it."""


def new_figure(width_in: float, height_in: float, **options: Any) -> Figure:
    """An empty figure; `options` are those of `matplotlib.figure.Figure`.

    Raises:
        MissingBackendError: If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        remedy = "Install it with: pip install 'hybridnet[plot]'"
        raise MissingBackendError("matplotlib is not installed, which draws figures", remedy=remedy) from error
    figure = Figure(figsize=(width_in, height_in), **options)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, out: Path) -> None:
    """Write a figure in the format of the file's suffix.

    Raises:
        ConfigError: If there is no such format.
        OutputExistsError: If a picture is there that is not ours.
    """
    kind = out.suffix[1:].lower()
    if kind not in figure.canvas.get_supported_filetypes():
        raise ConfigError("plot", str(out), "names that end in .png, .pdf or .svg")
    check_picture(out)
    with atomic_file(out) as part:
        figure.savefig(part, format=kind, dpi=DPI, metadata={MARKED[kind]: MARK} if kind in MARKED else None)


def check_picture(out: Path) -> None:
    """Refuse to draw over a picture that is not ours.

    Raises:
        OutputExistsError: If one is there.
    """
    if out.suffix[1:].lower() in MARKED and out.is_file() and (head := head_of(out)) and MARK.encode() not in head:
        raise OutputExistsError(out, "is not one of our figures, and is not replaced", "Choose another name")
