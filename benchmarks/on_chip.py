"""What is left of trained models with the chip's integers and an int8 ANN half, and what they cost."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridnet.cli import main as hybridnet
from hybridnet.training.run import RECORD


@dataclass(frozen=True)
class Trained:
    """A model and its clips.

    Attributes:
        checkpoint: What a training kept.
        cache: Views whose test split it is tested on.
        clips: Folder of the clips that it is calibrated on, none of which it is tested on.
    """

    checkpoint: Path
    cache: Path
    clips: Path


@dataclass(frozen=True)
class Row:
    """Several models together, each tested on its clips.

    Attributes:
        clips: How many were tested, over all models.
        float_right: How many of them the float models name.
        chip_right: How many the bundles name.
        energy_uj: Mean energy of a clip.
        spike_rate: Mean over layers and models, at the epoch that was kept.
        fit: How much of a chip a model takes.
    """

    clips: int
    float_right: int
    chip_right: int
    energy_uj: float
    spike_rate: float
    fit: str


def on_chip(models: Sequence[Trained]) -> Row:
    """Calibrate what has no bundle yet, and test models and bundles on the same clips."""
    in_float = [_evaluated(model, "float", model.checkpoint) for model in models]
    bundles = [_calibrated(model) for model in models]
    chip = ("--snn", "emulator", "--ann", "onnxruntime-int8")
    deployed = [_evaluated(model, "chip", bundle, *chip) for model, bundle in zip(models, bundles, strict=True)]
    clips = [found["clips"] for found in deployed]
    energies = [found["energy_pj"]["mean"] for found in deployed]
    return Row(
        sum(clips),
        sum(round(found["top1"] * found["clips"]) for found in in_float),
        sum(round(found["top1"] * found["clips"]) for found in deployed),
        statistics.fmean(energies, clips) / 1e6,
        statistics.mean(_spike_rate(model.checkpoint.parent / RECORD) for model in models),
        " or ".join(sorted({_cores(bundle) for bundle in bundles})),
    )


def table(head: str, rows: Mapping[str, Row]) -> str:
    """A line for each row, below `head`, the titles of what the rows' names say."""
    lines = [
        f"| {head} | float | chip's integers, int8 ANN | spike rate | energy of a clip | Loihi 2 |",
        f"|{'---|' * (head.count('|') + 1)}---|---|---|---|---|",
    ]
    for name, row in rows.items():
        in_float, chip = row.float_right / row.clips, row.chip_right / row.clips
        lines.append(
            f"| {name} | {in_float:.1%} | {chip:.1%} ({100 * (chip - in_float):+.1f} points) |"
            f" {row.spike_rate:.1%} | {row.energy_uj:.1f} µJ | {row.fit} |"
        )
    return "\n".join(lines) + "\n"


def _calibrated(model: Trained) -> Path:
    bundle = model.checkpoint.parent / "bundle"
    if not bundle.exists():
        _typed("calibrate", str(model.checkpoint), "--clips", str(model.clips), "--ann", "int8", "-o", str(bundle))
    return bundle


def _evaluated(model: Trained, name: str, what: Path, *options: str) -> Mapping[str, Any]:
    folder = model.checkpoint.parent / f"evaluation-{name}-{model.cache.name}"
    if not (folder / "evaluation.json").exists():
        _typed("evaluate", str(what), "--data", str(model.cache), *options, "-o", str(folder))
    found = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    summary: Mapping[str, Any] = found["evaluated"][0]["summary"]
    return summary


def _cores(bundle: Path) -> str:
    file = bundle.parent / "fit.json"
    _typed("fit", str(bundle), "--format", "json", "-o", str(file))
    fit = json.loads(file.read_text(encoding="utf-8"))
    return f"{fit['cores']} of {fit['cores_per_chip']} cores"


def _spike_rate(record: Path) -> float:
    training = json.loads(record.read_text(encoding="utf-8"))
    rates: Mapping[str, float] = training["epochs"][training["kept_epoch"] - 1]["spike_rate"]
    return statistics.mean(rates.values())


def _typed(*command: str) -> None:
    """Run a command of `hybridnet`, and show it."""
    sys.stderr.write(f"$ hybridnet {' '.join(command)}\n")
    if code := hybridnet([*command]):
        raise SystemExit(code)
