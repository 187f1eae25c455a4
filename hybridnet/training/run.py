"""One training run from nothing to a checkpoint and its record."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from hybridnet.config import Experiment, to_dict
from hybridnet.errors import ConfigError
from hybridnet.files import sha256_file, write_text
from hybridnet.model.checkpoint import Checkpoint, save_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.progress import Progress, silent
from hybridnet.training.data import motion_set
from hybridnet.training.loop import EpochReport, Evaluation, evaluate, train
from hybridnet.video.synthetic import MOTIONS

CHECKPOINT, RECORD = "best.pt", "record.json"


VALIDATION_SEED, TEST_SEED = 1_000_000, 2_000_000
"""First seeds of the clips that choose the epoch, and of those that no choice ever sees."""


@dataclass(frozen=True)
class ClipCounts:
    """Clips per class."""

    training: int = 60
    validation: int = 10
    test: int = 30

    def __post_init__(self) -> None:
        if min(self.training, self.validation, self.test) < 1:
            raise ConfigError("clips per class", dataclasses.astuple(self), "1 or more each")


@dataclass(frozen=True)
class TrainingRecord:
    """What was trained, how, and how well. Times are of the machine that trained."""

    command: str
    config: dict[str, object]
    clips_per_class: ClipCounts
    versions: dict[str, str]
    parameters: int
    seconds: float
    labels: tuple[str, ...]
    test: Evaluation
    validation_accuracy: float
    epochs: tuple[EpochReport, ...]
    leak: dict[str, float]
    threshold: dict[str, float]
    checkpoint_sha256: str


def run_training(
    experiment: Experiment,
    out: Path,
    *,
    clips: ClipCounts | None = None,
    command: str = "hybridnet.training.run_training",
    progress: Progress = silent,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> TrainingRecord:
    """Train on the synthetic motion set; write `best.pt` and `record.json` into `out`.

    The epoch is chosen on validation clips; the accuracy that is recorded comes from test clips of unseen seeds.
    """
    started = time.perf_counter()
    clips = clips or ClipCounts()
    model_config = dataclasses.replace(experiment.model, num_classes=len(MOTIONS))
    preprocess, seed = model_config.preprocess, experiment.training.seed
    first = seed * 100_000
    sets = [
        motion_set(preprocess, range(start, start + number), progress=progress)
        for start, number in (
            (first, clips.training),
            (first + VALIDATION_SEED, clips.validation),
            (first + TEST_SEED, clips.test),
        )
    ]
    torch.manual_seed(seed)
    model = HybridNet(model_config)
    reports: list[EpochReport] = []

    def save(**metrics: float) -> None:
        save_checkpoint(out / CHECKPOINT, Checkpoint(model, MOTIONS, {"data": "motion", **metrics}))

    def keep(report: EpochReport) -> None:
        reports.append(report)
        if report.accuracy == max(past.accuracy for past in reports):
            save(validation_accuracy=report.accuracy)  # so that an interrupted run leaves its best epoch
        on_epoch(report)

    best = train(model, experiment.training, sets[0], sets[1], progress=progress, on_epoch=keep)
    test = evaluate(model, sets[2])
    save(validation_accuracy=best.accuracy, test_accuracy=test.accuracy)
    neurons = {f"{name}.{i}": layer for name, stack in model.stacks().items() for i, layer in enumerate(stack.layers)}
    record = TrainingRecord(
        command=command,
        config=to_dict(dataclasses.replace(experiment, model=model_config)),
        clips_per_class=clips,
        versions={name: importlib.metadata.version(name) for name in ("hybridnet", "torch", "av", "numpy")},
        parameters=sum(p.numel() for p in model.parameters()),
        seconds=time.perf_counter() - started,
        labels=MOTIONS,
        test=test,
        validation_accuracy=best.accuracy,
        epochs=tuple(reports),
        leak={name: layer.leak.item() for name, layer in neurons.items()},
        threshold={name: layer.threshold.item() for name, layer in neurons.items()},
        checkpoint_sha256=sha256_file(out / CHECKPOINT),
    )
    write_text(out / RECORD, json.dumps(dataclasses.asdict(record), indent=1) + "\n")
    return record
