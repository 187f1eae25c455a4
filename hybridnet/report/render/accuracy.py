"""Accuracy against energy of several evaluations (figure 6 of arXiv 2503.13724)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridnet.errors import RecordError
from hybridnet.report.record.file import read_json
from hybridnet.report.render.svg import scatter

FAMILY = "hybridnet.evaluation/"
SCHEMA = f"{FAMILY}3"
"""Of evaluation.json, which `hybridnet evaluate` writes: `hybridnet.evaluation.run.EvaluationRecord`."""

REMEDY = "Write one with `hybridnet evaluate BUNDLE --data DATA`"


@dataclass(frozen=True)
class Point:
    """One model on one data split.

    Attributes:
        name: Of the model and its data.
        profile: Whose prices its energy has.
        profile_sha256: Of that profile's file.
        low: 5 % of the clips cost no more than this, in pJ.
        energy_pj: Median over clips, modelled.
        high: 95 % of the clips cost no more than this.
        top1: Share of the clips that were right, measured.
    """

    name: str
    profile: str
    profile_sha256: str
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
        points = [_point(each, path) for item in items for each in item["evaluated"]]
    except RecordError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"is damaged ({error!r})", where=path, remedy=REMEDY) from error
    if not points:
        raise RecordError("holds no evaluation", where=path, remedy=REMEDY)
    return points


def _point(evaluated: dict[str, Any], path: Path) -> Point:
    energy = evaluated["summary"]["energy_pj"]
    if energy is None:
        raise RecordError(
            f"has no energy of {evaluated['model']}", where=path, remedy="Evaluate the bundle, not the checkpoint"
        )
    low, middle, high, top1 = _numbers(energy["p5"], energy["p50"], energy["p95"], evaluated["summary"]["top1"])
    if not 1e-3 < low <= middle <= high < 1e24:
        raise RecordError(f"has energies {low}, {middle}, {high} pJ", where=path, remedy=REMEDY)
    if not 0 <= top1 <= 1:
        raise RecordError(f"has a top-1 share of {top1}", where=path, remedy=REMEDY)
    name, profile = f"{Path(evaluated['model']).name} · {evaluated['data']}", evaluated["profile"]
    return Point(name, str(profile["name"]), str(profile["sha256"]), low, middle, high, top1)


def _numbers(*values: object) -> Iterator[float]:
    for value in values:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError(f"{value!r} is no number")
        yield float(value)


def accuracy_plot(points: Sequence[Point]) -> str:
    """An SVG: top-1 in percent over the energy of a clip, its 5 to 95 % as an error bar.

    Raises:
        RecordError: If the energies are of several profiles.
    """
    if len({point.profile_sha256 for point in points}) > 1:
        names = ", ".join(sorted({point.profile for point in points}))
        raise RecordError(
            f"energies of several profiles are not on one axis: {names}", remedy="Evaluate all with one --profile"
        )
    return scatter(
        [(p.name, p.energy_pj, p.low, p.high, p.top1) for p in points],
        f"energy per clip, median and 5 to 95 % of clips (modelled with {points[0].profile})",
        "top-1 accuracy in % (measured)",
    )
