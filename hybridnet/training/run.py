"""One training run: from splits to a checkpoint and its record, and on from an interruption.

best.pt        the best epoch on validation; the last one without validation
last.pt        the last epoch, and what `--resume` goes on from
record.json    what was trained, how, and how well; written at the end
log.jsonl      a line per epoch; tensorboard/ the same for TensorBoard
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hybridnet.config import Experiment
from hybridnet.errors import OutputExistsError
from hybridnet.model.checkpoint import FORMAT, content_of, save_content
from hybridnet.model.network import HybridNet
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.support.files import head_of, locked, write_text
from hybridnet.support.plain import json_text, to_dict
from hybridnet.support.progress import Progress, silent
from hybridnet.support.sealed import AnyFile, sha256_file
from hybridnet.training.evaluate import CPU, Evaluation, evaluate
from hybridnet.training.group import ALONE, Group
from hybridnet.training.log import BOARD, LOG, EpochLog
from hybridnet.training.loop import Trainer, train
from hybridnet.training.neurons import neuron_layers
from hybridnet.training.optimise import Weights
from hybridnet.training.pretrained import start_from
from hybridnet.training.qat import compute_in_integers, scales_sha256
from hybridnet.training.reports import Best, EpochReport
from hybridnet.training.sources import Splits, centred
from hybridnet.training.state import Saved, check_same, load_state, save_state

CHECKPOINT, LAST, RECORD = "best.pt", "last.pt", "record.json"


@dataclass(frozen=True)
class TrainingRecord:
    """What was trained, how, and how well. Times are of the machine that trained; unknown is None, with a note.

    Attributes:
        task: See `Splits`.
        clips: By split.
        init: SHA-256 of the checkpoint that it started from; None for random weights.
        arithmetic: Arithmetic of the spiking layers: `float`, or fixed point and in whose scales.
        seconds: Time of the epochs and the test, of all parts of an interrupted run; without making or caching clips.
        kept_epoch: The one that `best.pt` holds.
        test: On clips that no choice saw; None if the data have no test split.
        validation_accuracy: Accuracy of the epoch that was kept; None if the data have no validation split.
    """

    command: str
    task: str
    config: dict[str, object]
    data: str
    clips: dict[str, int]
    init: str | None
    arithmetic: str
    versions: dict[str, str]
    device: str
    processes: int
    parameters: int
    seconds: float
    labels: tuple[str, ...]
    test: Evaluation | None
    kept_epoch: int
    validation_accuracy: float | None
    epochs: tuple[EpochReport, ...]
    leak: dict[str, float]
    threshold: dict[str, float]
    notes: tuple[str, ...]
    checkpoint_sha256: str


def run_training(
    experiment: Experiment,
    out: Path,
    splits: Splits,
    *,
    init: AnyFile | None = None,
    scales: FixedGraph | None = None,
    resume: bool = False,
    device: torch.device = CPU,
    group: Group = ALONE,
    command: str = "hybridnet.training.run_training",
    progress: Progress = silent,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> TrainingRecord:
    """Train on `splits` and write the module's files into `out`, over those of another run.

    The epoch is chosen on the validation split; the accuracy that is recorded comes from the test split.

    Args:
        experiment: Model and recipe; the number of classes is that of the data.
        out: A folder.
        splits: See `hybridnet.training.sources`.
        init: A checkpoint to start from; see `hybridnet.training.pretrained`.
        scales: Train in the chip's integers, in the scales of this program; see `hybridnet.training.qat`.
        resume: Go on from `last.pt`; the result is that of a run without interruption.
        device: Where to compute.
        group: The processes that train together; each calls this, rank 0 alone writes.
        command: Kept in the record.
        progress: Told how far the work is.
        on_epoch: Told after each epoch, in each process.

    Raises:
        CheckpointError: If there is nothing to go on from, or `init` does not fit.
        ConfigError: If `scales` do not fit, or what there is to go on from has another config or other data, or was
            trained by another number of processes.
    """
    config = dataclasses.replace(experiment.model, num_classes=len(splits.classes))
    experiment = dataclasses.replace(experiment, model=config)
    model, learned = _initial_model(experiment, splits, init, scales)
    identity: dict[str, Any] = {
        "task": splits.task,
        "config": to_dict(experiment),
        "data": splits.identity,
        "init": None if init is None else sha256_file(init),
        "arithmetic": "float" if scales is None else f"fixed point in scales {scales_sha256(scales)}",
    }
    state = _earlier(out / LAST, identity) if resume else None
    reports = [] if state is None else [EpochReport(**report) for report in state["reports"]]
    with _Files(out, experiment, splits, learned, identity, reports if group.rank == 0 else None) as files:

        def tell(report: EpochReport) -> None:
            reports.append(report)
            on_epoch(report)

        best = train(
            model,
            experiment.training,
            splits.training if experiment.training.augment.active else centred(splits.training, config.preprocess),
            splits.validation,
            state=state,
            device=device,
            group=group,
            progress=progress,
            on_epoch=tell,
            keep=files.keep,
        )
        started = time.perf_counter()
        test = None if splits.test is None else evaluate(model, splits.test, device=device, group=group)
        files.write_best(
            model.state_dict(), _metrics(best) | ({} if test is None else {"test_accuracy": test.accuracy})
        )
        neurons = neuron_layers(model)
        record = TrainingRecord(
            **identity,
            command=command,
            clips=splits.clips(),
            versions={name: importlib.metadata.version(name) for name in ("hybridnet", "torch", "av", "numpy")},
            device=str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
            processes=group.size,
            parameters=sum(p.numel() for p in model.parameters()),
            seconds=sum(report.seconds for report in reports) + time.perf_counter() - started,
            labels=splits.classes,
            test=test,
            kept_epoch=best.epoch,
            validation_accuracy=None if best.evaluation is None else best.evaluation.accuracy,
            epochs=tuple(reports),
            leak={name: layer.leak.item() for name, layer in neurons.items()},
            threshold={name: layer.threshold.item() for name, layer in neurons.items()},
            notes=(*_notes(splits), *files.notes),
            checkpoint_sha256=files.best_sha256(),
        )
        files.write_record(record)
        return record


def _initial_model(
    experiment: Experiment, splits: Splits, init: AnyFile | None, scales: FixedGraph | None
) -> tuple[HybridNet, frozenset[str] | None]:
    """The network before its first step: seeded weights or those of `init`, in float or in the chip's integers.

    Also the SHA-256 of all clips that it will then have been trained on; None if `init` does not list its own.
    """
    torch.manual_seed(experiment.training.seed)
    model = HybridNet(experiment.model)
    learned = splits.learned
    if init is not None:
        earlier = start_from(model, splits.classes, init)
        learned = None if earlier is None or learned is None else earlier | learned
    if scales is not None:
        compute_in_integers(model, scales)
    return model, learned


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that a new run would write into, if it has files of the names that a run writes.

    Raises:
        OutputExistsError: Unless they are another run's, and `overwrite` is set.
    """
    marks = {CHECKPOINT: FORMAT, LAST: FORMAT, RECORD: '{\n "command": "hybridnet', LOG: '{"epoch": '}
    for name in (*marks, BOARD):
        path = out / name
        if not path.exists():
            continue
        if not overwrite:
            raise OutputExistsError(out)
        if name == BOARD:
            ours = path.is_dir() and all(file.name.startswith("events.out.tfevents") for file in path.iterdir())
        else:
            ours = path.is_file() and marks[name].encode() in head_of(path)
        if not ours:
            raise OutputExistsError(path, "is of no training, and is not replaced", "Choose another folder")


def _earlier(path: Path, identity: Mapping[str, Any]) -> Mapping[str, Any]:
    saved = load_state(path)
    check_same(saved, identity)
    return saved.trainer


class _Files:
    """What a run leaves in its folder, which it holds; another run's files stay until the first epoch is done.

    `done` are the epochs of before an interruption, in the process of rank 0; None in the others, which write nothing.
    """

    def __init__(
        self,
        out: Path,
        experiment: Experiment,
        splits: Splits,
        learned: frozenset[str] | None,
        identity: Mapping[str, Any],
        done: Sequence[EpochReport] | None,
    ) -> None:
        self._out, self._config, self._splits, self._identity = out, experiment.model, splits, identity
        self._learned = learned
        self._log = None if done is None else EpochLog(out, done)
        self._held = ExitStack()

    def __enter__(self) -> _Files:
        if self._log is not None:
            self._held.enter_context(locked(self._out))
            self._held.callback(self._log.close)
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self._log is None else self._log.notes

    def keep(self, trainer: Trainer) -> None:
        """Write what an epoch gave."""
        saved, report = Saved(self._identity, trainer.state()), trainer.reports[-1]  # the state needs all processes
        if self._log is None or trainer.best is None:
            return
        (self._out / RECORD).unlink(missing_ok=True)
        self._log.write(report)
        if trainer.best.epoch == report.epoch:  # before `last.pt`, which would else go on from where there is no best
            self.write_best(trainer.best.weights, _metrics(trainer.best))
        save_state(self._out / LAST, self._content(trainer.weights, {"epoch": report.epoch}), saved)

    def write_best(self, weights: Weights, metrics: dict[str, Any]) -> None:
        if self._log is not None:
            save_content(self._out / CHECKPOINT, self._content(weights, metrics))

    def best_sha256(self) -> str:
        return "" if self._log is None else sha256_file(self._out / CHECKPOINT)

    def write_record(self, record: TrainingRecord) -> None:
        if self._log is not None:
            write_text(self._out / RECORD, json_text(dataclasses.asdict(record)))

    def _content(self, weights: Weights, metrics: dict[str, Any]) -> dict[str, Any]:
        told = {"data": self._splits.name, **metrics}
        return content_of(self._config, self._splits.classes, told, weights, learned=self._learned)


def _metrics(best: Best) -> dict[str, Any]:
    validation = {} if best.evaluation is None else {"validation_accuracy": best.evaluation.accuracy}
    return {"epoch": best.epoch, **validation}


def _notes(splits: Splits) -> tuple[str, ...]:
    """What is unknown, and why."""
    notes = splits.notes
    if splits.validation is None:
        notes += ("validation: the data have no such split; the last epoch was kept",)
    if splits.test is None:
        notes += ("test: the data have no such split",)
    return notes
