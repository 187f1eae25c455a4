"""Accuracy against energy of several evaluations (figure 6 of arXiv 2503.13724)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridnet.errors import RecordError
from hybridnet.report.record_file import read_json
from hybridnet.report.svg import scatter

SCHEMA = "hybridnet.evaluation/1"
"""Of evaluation.json, which `hybridnet evaluate` writes."""

REMEDY = "Write one with `hybridnet evaluate BUNDLE --data DATA`"


@dataclass(frozen=True)
class Point:
    """One model on one data split.

    Attributes:
        name: Of the model and its data.
        low: 5 % of the clips cost no more than this, in pJ.
        energy_pj: Median over clips, modelled.
        high: 95 % of the clips cost no more than this.
        top1: Share of the clips that were right, measured.
    """

    name: str
    low: float
    energy_pj: float
    high: float
    top1: float


def read_evaluations(path: Path) -> list[Point]:
    """The evaluations in a file.

    Raises:
        RecordError: If it is missing, foreign or damaged, or has no energy: a checkpoint has none, a bundle has.
    """
    items = read_json(path, SCHEMA, REMEDY)
    try:
        return [_point(each, path) for item in items for each in item["evaluated"]]
    except RecordError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"is damaged ({error!r})", where=path, remedy=REMEDY) from error


def _point(evaluated: dict[str, Any], path: Path) -> Point:
    energy = evaluated["summary"]["energy_pj"]
    if energy is None:
        raise RecordError(
            f"has no energy of {evaluated['model']}", where=path, remedy="Evaluate the bundle, not the checkpoint"
        )
    low, middle, high = float(energy["p5"]), float(energy["p50"]), float(energy["p95"])
    if not 0 < low <= middle <= high:
        raise RecordError(f"has energies {low}, {middle}, {high} pJ", where=path, remedy=REMEDY)
    name = f"{Path(evaluated['model']).name} · {evaluated['data']}"
    return Point(name, low, middle, high, float(evaluated["summary"]["top1"]))


def accuracy_plot(points: Sequence[Point]) -> str:
    """An SVG: top-1 in percent over the energy of a clip, its 5 to 95 % as an error bar."""
    return scatter(
        [(p.name, p.energy_pj, p.low, p.high, p.top1) for p in points],
        "energy per clip, median and 5 to 95 % of clips (modelled)",
        "top-1 accuracy in % (measured)",
    )
