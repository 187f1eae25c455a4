"""A calibration as pictures: SQNR and spike rates per layer, and potentials in float against fixed point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridnet.calibration.statistics import BINS, edges
from hybridnet.support.figures import label, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hybridnet.calibration.report import CalibrationReport, LayerCalibration

SHOWN = 96
"""Bins below the largest potential that are drawn: twelve octaves."""

NO_LOSS_DB = 80.0
"""Where a bar ends that has no noise at all."""


def plot_calibration(report: CalibrationReport, folder: Path) -> list[Path]:
    """Write `sqnr.png`, `spike_rates.png` and `potentials.png` into a folder; returns their paths.

    Raises:
        MissingBackendError: If matplotlib is not installed.
    """
    figures = {"sqnr": _sqnr(report), "spike_rates": _rates(report), "potentials": _potentials(report)}
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in figures]


def _sqnr(report: CalibrationReport) -> Figure:
    """Bars per layer: by the maximum, alone, end to end."""
    kinds = {
        "by the maximum, end to end": [r.maximum.sqnr_db for r in report.layers],
        "calibrated, layer alone": [r.teacher_forced.sqnr_db for r in report.layers],
        "calibrated, end to end": [r.end_to_end.sqnr_db for r in report.layers],
    }
    figure = new_figure(2.5 + 0.9 * len(report.layers), 3.4, layout="constrained")
    axes = figure.add_subplot()
    _bars(axes, report.layers, {name: [NO_LOSS_DB if v is None else v for v in row] for name, row in kinds.items()})
    axes.set_ylabel("SQNR of u[T], dB")
    axes.set_title(label(report.model) + f": float → fixed point, {report.clips.held_out} held-out clips", fontsize=9)
    return figure


def _rates(report: CalibrationReport) -> Figure:
    """Bars per layer: change of the firing rate, in per cent of it."""
    kinds = {
        "by the maximum": [_change(r, r.maximum.rate_change) for r in report.layers],
        "calibrated": [_change(r, r.end_to_end.rate_change) for r in report.layers],
    }
    figure = new_figure(2.5 + 0.9 * len(report.layers), 3.4, layout="constrained")
    axes = figure.add_subplot()
    _bars(axes, report.layers, kinds)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_ylabel("change of the spike rate, % of it")
    axes.set_title(label(report.model) + ": spikes in fixed point against float, end to end", fontsize=9)
    return figure


def _change(row: LayerCalibration, change: float) -> float:
    return 100 * change / row.spike_rate if row.spike_rate else 0.0


def _bars(axes: Any, layers: Sequence[LayerCalibration], kinds: dict[str, list[float]]) -> None:
    places, width = np.arange(len(layers)), 0.8 / len(kinds)
    for number, (name, values) in enumerate(kinds.items()):
        axes.bar(places + (number - (len(kinds) - 1) / 2) * width, values, width, label=name)
    axes.set_xticks(places, [label(row.layer) for row in layers], fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.legend(fontsize=7)


def _potentials(report: CalibrationReport) -> Figure:
    """Per layer the share of potentials by magnitude, float and fixed, on the clips of the search."""
    tensors = {tensor.name: tensor for tensor in report.tensors}
    columns = min(4, len(report.layers))
    rows = -(-len(report.layers) // columns)
    octaves = np.diff(np.log2(edges()))  # bins are of equal width within an octave, not between them
    figure = new_figure(3.2 * columns, 2.6 * rows, layout="constrained")
    for number, row in enumerate(report.layers, start=1):
        axes = figure.add_subplot(rows, columns, number)
        seen = np.flatnonzero(np.array(tensors[f"{row.layer} potential"].histogram))
        last = int(seen[-1]) if len(seen) else BINS - 1
        first, highest = max(last - SHOWN, 0), 0.0
        for kind, style in (("potential", "-"), ("potential, fixed", "--")):
            tensor = tensors[f"{row.layer} {kind}"]
            counts = np.array(tensor.histogram, np.float64)
            share = (1 - tensor.zeros) * counts / max(counts.sum(), 1) / octaves
            axes.stairs(share, edges(), linestyle=style)
            highest = max(highest, float(share[first:].max()))
        axes.set_xscale("log", base=2)
        axes.set_xlim(edges()[first], edges()[last + 1])
        axes.set_ylim(0, 1.1 * highest or 1)
        axes.set_title(label(row.layer), fontsize=9)
        axes.set_xlabel("|u|, model units", fontsize=8)
        axes.tick_params(labelsize=7)
        if number == 1:
            axes.set_ylabel("share of potentials per octave", fontsize=8)
            axes.legend(["float", "fixed point"], fontsize=7)
    return figure
