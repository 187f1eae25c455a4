"""What one call of `hybridnet evaluate` leaves: the content of evaluation.json."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from hybridnet.evaluation.summary import Spread, Summary
from hybridnet.report.record.data import Note
from hybridnet.report.record.prices import ProfileRow
from hybridnet.support.plain import json_text


@dataclass(frozen=True)
class Evaluated:
    """One model on one data split.

    Attributes:
        model: Path of the checkpoint or bundle.
        model_sha256: SHA-256 of the checkpoint, or of the bundle's manifest.
        data: Name of the data set and its split's number.
        split: Name of the split.
        views: Most views of a clip: uniformly sampled GOPs, each with the centre crop.
        backends: Back-ends of the spiking and the ANN half; torch for a checkpoint.
        profile: Whose prices the energy has; None of a checkpoint, which has none.
        learned: Clips among these that the model was trained on, by the SHA-256 of their files; None if its checkpoint
            does not list them.
        summary: What it comes to.
        notes: What a reader must know.
    """

    model: str
    model_sha256: str
    data: str
    split: str
    views: int
    backends: tuple[str, ...]
    profile: ProfileRow | None
    learned: int | None
    summary: Summary
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class EvaluationRecord:
    """All of one call; `mean` over several splits, None of one."""

    schema: str
    command: str
    created: str
    environment: dict[str, str]
    engine: str
    workers: int
    evaluated: tuple[Evaluated, ...]
    mean: Spread | None


def to_json(record: EvaluationRecord) -> str:
    """The record as JSON, ending in a newline."""
    return json_text(dataclasses.asdict(record))
