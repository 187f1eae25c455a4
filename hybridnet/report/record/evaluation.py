"""Evaluations as files: what a plot of several needs of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridnet.errors import RecordError
from hybridnet.report.record.file import read_json

FAMILY = "hybridnet.evaluation/"
SCHEMA = f"{FAMILY}4"
"""The schema of evaluation.json, which `hybridnet evaluate` writes: `hybridnet.evaluation.record.EvaluationRecord`."""

REMEDY = "Write one with `hybridnet evaluate BUNDLE --data DATA`"


@dataclass(frozen=True)
class EvaluationPoint:
    """One model on one data split.

    Attributes:
        name: Name of the model and its data.
        profile: Whose prices its energy has.
        profile_sha256: SHA-256 of that profile's file.
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


def read_evaluations(path: Path) -> list[EvaluationPoint]:
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


def _point(evaluated: dict[str, Any], path: Path) -> EvaluationPoint:
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
    return EvaluationPoint(name, str(profile["name"]), str(profile["sha256"]), low, middle, high, top1)


def _numbers(*values: object) -> Iterator[float]:
    for value in values:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError(f"{value!r} is no number")
        yield float(value)
